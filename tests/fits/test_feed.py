"""Minibatches from images and activations: the right images with the right activations, every cell in every part."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from decoders import Condition
from ib_analysis.activations import Groups
from ib_analysis.fits.feed import CellFeed, name_of
from ib_analysis.fits.spike_ins import SpikeIns
from ib_analysis.spike_ins import mixing_for, overwrite


class Telling:
    """Activations that tell whose they are: channel 0 is the image's index, channel 1 the epoch."""

    epochs = (0, 5, 10)
    layers = ("h3", "h4")

    def __init__(self, groups: Groups) -> None:
        self.groups = groups

    def shape(self, layer: str) -> tuple[int, ...]:
        return (2, 2, 2) if layer == "h3" else (2,)

    def read(self, epoch: int, layer: str, group: int) -> Tensor:
        start, stop = self.groups.bounds[group]
        values = torch.stack([torch.arange(start, stop), torch.full((stop - start,), epoch)], 1).half()
        return values[:, :, None, None].expand(-1, 2, 2, 2) if layer == "h3" else values


def feed_of(groups: Groups, cells: list[tuple[int, str]], batch: int, validation_images: int = 20) -> CellFeed:
    # each image holds its own index in its one pixel
    images = np.arange(groups.n_images, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return CellFeed(images, groups, Telling(groups) if cells else None, cells, batch, validation_images)


CELLS = [(epoch, layer) for epoch in (0, 5, 10) for layer in ("h3", "h4")]


def check(minibatch, allowed: range) -> None:
    start = 0
    for part in minibatch.condition:
        values = part.activations.flatten(2)[..., 0] if part.activations.ndim == 4 else part.activations
        stop = start + len(values)
        assert values[:, 0].int().tolist() == minibatch.images[start:stop].flatten().int().tolist()
        assert {int(epoch) for epoch in values[:, 1]} == {int(part.cell[6:10])}
        start = stop
    assert start == len(minibatch)
    assert all(int(index) in allowed for index in minibatch.images.flatten())


@given(st.integers(8, 60), st.integers(2, 20), st.integers(1, 30), st.sampled_from([2, 4, 8]), st.integers(1, 90))
@settings(max_examples=40, deadline=None)
def test_every_image_comes_with_its_own_activations_and_every_cell_is_validated(
    n_train: int, n_validation: int, n_evaluation: int, group_size: int, validation_images: int
) -> None:
    groups = Groups(n_train, n_validation, n_evaluation, group_size)
    feed = feed_of(groups, CELLS, 2 * group_size, validation_images)
    check(feed.minibatch(np.random.default_rng(0)), groups.images("train"))
    validation = list(feed.validation())
    for minibatch in validation:
        check(minibatch, groups.images("validation"))
    turns = Counter(part.cell for minibatch in validation for part in minibatch.condition)
    assert set(turns) == {name_of(cell) for cell in CELLS}
    assert sum(len(minibatch) for minibatch in validation) >= validation_images


@pytest.mark.parametrize("cells", [[], CELLS[:1], CELLS[:3]])
def test_enough_validation_images_means_all_of_them(cells: list[tuple[int, str]]) -> None:
    groups = Groups(8, 24, 4, 4)  # six validation groups
    feed = feed_of(groups, cells, 8, validation_images=24 * max(1, len(cells)))
    seen = torch.cat([minibatch.images for minibatch in feed.validation()]).flatten().tolist()
    assert set(seen) == set(groups.images("validation"))


def test_a_minibatch_is_a_pure_function_of_the_random_generator() -> None:
    feed = feed_of(Groups(40, 8, 8, 4), CELLS, 8)
    first, second = (feed.minibatch(np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert [part.cell for part in first.condition] == [part.cell for part in second.condition]
    assert not torch.equal(first.images, feed.minibatch(np.random.default_rng(4)).images)


def test_a_part_is_whole_and_in_order_and_selected_images_are_themselves() -> None:
    groups = Groups(10, 3, 7, 4)
    feed = feed_of(groups, CELLS, 8)
    seen = torch.cat([minibatch.images for minibatch in feed.part("evaluation", (5, "h4"))])
    assert seen.flatten().tolist() == list(range(13, 20))
    assert feed.activations("evaluation", (5, "h4"))[:, 0].int().tolist() == list(range(13, 20))
    assert feed.select((10, "h3"), [19, 13])[:, 0, 0, 0].tolist() == [19, 13]


def test_statistics_are_those_of_the_training_part() -> None:
    groups = Groups(10, 3, 7, 4)
    mean, deviation = feed_of(groups, CELLS, 8).channel_statistics()["epoch_0005/h3"]
    assert mean.tolist() == pytest.approx([4.5, 5])
    assert deviation.tolist() == pytest.approx([np.arange(10).std(), 0], abs=1e-6)


def test_without_cells_there_are_only_images() -> None:
    feed = feed_of(Groups(10, 3, 7, 4), [], 8)
    assert feed.minibatch(np.random.default_rng(0)).condition is None
    assert all(minibatch.condition is None for minibatch in feed.validation())


def spiked_feed(
    groups: Groups, scales: dict[str, float] | None = None, size: tuple[int, int] = (1, 1)
) -> tuple[CellFeed, SpikeIns]:
    """Images whose pixels are all the image's index (of one pixel, though coins would need more). The coins are the
    bits of the index; h4 has no room for mixing."""
    coins = (np.arange(groups.n_images)[:, None] >> np.arange(2)) & 1
    mixings = {"h3": mixing_for((2, 2, 2), (2, 4), (0, 3), "local", seed=0), "h4": None}
    spike_ins = SpikeIns(coins.astype(np.uint8), (0, 3), (2, 4), mixings, dict(scales or {}))
    images = np.tile(np.arange(groups.n_images, dtype=np.uint8).reshape(-1, 1, 1, 1), (1, 1, *size))
    return CellFeed(images, groups, Telling(groups), CELLS, 8, 20, spike_ins), spike_ins


def test_every_reading_is_drawn_and_validated_with_the_coins_of_its_images() -> None:
    groups = Groups(40, 8, 8, 4)
    scales = {name_of(cell): 3.0 for cell in CELLS}
    feed, spike_ins = spiked_feed(groups, scales)
    assert len(feed.readings) == 3 * 3 + 3 * 2
    mixing = spike_ins.mixings["h3"]
    assert mixing is not None
    seen: Counter[str] = Counter()
    rng = np.random.default_rng(0)
    for minibatch in [*feed.validation(), *(feed.minibatch(rng) for _ in range(60))]:
        start = 0
        for part in minibatch.condition or ():
            stop = start + len(part.activations)
            index = minibatch.images[start:stop].flatten().long()
            coins = torch.stack([2 * (index & 1) - 1, 2 * (index >> 1 & 1) - 1], 1)
            if part.beside:
                (coins_part,) = part.beside
                wanted = torch.zeros(len(index), 2, 4)
                wanted[:, 0, 0], wanted[:, 0, 3] = coins[:, 0].float(), coins[:, 1].float()
                assert torch.equal(coins_part.activations[:, 0].float(), wanted)
            plain = Telling(groups).read(int(part.cell[6:10]), part.cell[11:13], 0)[:1].float()
            plain = plain.expand(len(index), *plain.shape[1:]).clone()
            plain[:, 0] = index.float().view(-1, *[1] * (plain.ndim - 2))
            if part.cell.endswith("_spike_in_mixed"):
                plain = (plain.double() + 3.0 * mixing(coins)).half()
            assert torch.equal(part.activations, plain.half())
            seen[part.name] += 1
            start = stop
        assert start == len(minibatch)
    assert set(seen) == {reading.condition for reading in feed.readings}


def test_coins_are_mixed_into_float32_without_rounding_it_to_float16() -> None:
    _, spike_ins = spiked_feed(Groups(8, 4, 4, 4), {"epoch_0000/h3": 3.0})
    mixing = spike_ins.mixings["h3"]
    assert mixing is not None
    plain = 1e6 + torch.rand(4, 2, 2, 2)
    coins = spike_ins.coins[:4]
    found = spike_ins.condition(Condition(plain, "epoch_0000/h3"), "h3", "spike_in_mixed", coins).activations
    assert found.dtype == torch.float32
    expected = plain.double() + 3.0 * mixing(torch.from_numpy(2.0 * coins - 1))
    assert float((found - expected).abs().max()) < 0.1


def test_scales_are_those_of_the_activations_and_mixed_statistics_allow_for_the_coins() -> None:
    groups = Groups(64, 4, 8, 4)
    feed, _ = spiked_feed(groups, size=(2, 4))
    statistics = feed.channel_statistics()
    mixed = feed.calibrate_spike_ins(statistics)
    assert set(mixed) == {f"epoch_{epoch:04d}/h3_spike_in_mixed" for epoch in (0, 5, 10)}
    # channel 0 is the index, 0..63, channel 1 constant
    assert feed.spike_in_scales["epoch_0005/h3"] == pytest.approx(np.sqrt((64**2 - 1) / 12 / 2), rel=1e-6)
    mean, deviation = mixed["epoch_0005/h3_spike_in_mixed"]
    values = torch.cat(
        [part.activations for m in feed.part("train", (5, "h3"), "spike_in_mixed") for part in m.condition]
    )
    flat = values.double().movedim(1, 0).flatten(1)
    assert mean.tolist() == pytest.approx(statistics["epoch_0005/h3"][0].tolist())
    # these coins are bits of the index, so nearly but not quite independent of channel 0
    assert deviation.tolist() == pytest.approx(flat.std(1, correction=0).tolist(), rel=0.1)


def test_the_plain_reading_is_the_feed_without_spike_ins() -> None:
    groups = Groups(16, 4, 8, 4)
    plain, (spiked, _) = feed_of(groups, CELLS, 8), spiked_feed(groups)
    for cell in CELLS:
        for one, other in zip(plain.part("evaluation", cell), spiked.part("evaluation", cell), strict=True):
            assert torch.equal(one.images, other.images)
            assert [part.name for part in one.condition] == [part.name for part in other.condition]
            assert torch.equal(one.condition[0].activations, other.condition[0].activations)


def test_coins_of_training_images_fall_anew_and_only_theirs() -> None:
    groups, pixels = Groups(40, 8, 8, 4), (1, 4, 6)
    rng = np.random.default_rng(5)
    shown = rng.integers(16, size=(groups.n_images, 1, 2, 4)).astype(np.uint8)
    coins = rng.integers(2, size=(groups.n_images, 3)).astype(np.uint8)
    images = overwrite(shown, coins, pixels, 16)
    spike_ins = SpikeIns(coins, pixels, (2, 4), {"h3": None, "h4": None}, intensities=16, redraw=True)
    feed = CellFeed(images, groups, Telling(groups), CELLS, 8, 20, spike_ins)
    places, rest = list(pixels), [k for k in range(8) if k not in pixels]
    fallen = []
    for step in range(50):
        minibatch = feed.minibatch(np.random.default_rng(step))
        again = feed.minibatch(np.random.default_rng(step))
        assert torch.equal(minibatch.images, again.images)
        flat = minibatch.images.flatten(1).numpy()
        assert {*flat[:, places].ravel().tolist()} <= {0, 15}
        fallen.append(flat[:, places] == 15)
        untouched = images.reshape(len(images), -1)[:, rest]
        assert all((untouched == row).all(1).any() for row in flat[:, rest])
        start = 0
        for part in minibatch.condition or ():
            stop = start + len(part.activations)
            if part.beside:  # the map tells the coins that these images show, not those of before
                told = part.beside[0].activations.flatten(1)[:, places].numpy() > 0
                assert (told == (flat[start:stop, places] == 15)).all()
            start = stop
    assert abs(np.concatenate(fallen).mean() - 0.5) < 0.05
    for minibatch in feed.validation():
        assert all((images.reshape(len(images), -1) == row).all(1).any() for row in minibatch.images.flatten(1).numpy())
    assert torch.equal(
        feed.without_coins(torch.from_numpy(images)), torch.from_numpy(overwrite(shown, 0 * coins, pixels, 16))
    )
