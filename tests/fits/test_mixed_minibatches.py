"""Minibatches that mix images and cells freely: each image with its own activations, every cell and image reached."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from decoders import Minibatch
from ib_analysis.activations import Groups
from ib_analysis.artifacts import UserError
from ib_analysis.fits.feed import MIXED_CELLS, CellFeed, name_of
from ib_analysis.fits.spike_ins import SpikeIns
from ib_analysis.spike_ins import mixing_for

CELLS = [(epoch, layer) for epoch in (0, 5, 10) for layer in ("h3", "h4")]


class Telling:
    """Activations that tell whose they are: channel 0 is the image's index, channel 1 the epoch."""

    epochs = (0, 5, 10)
    layers = ("h3", "h4")

    def __init__(self, groups: Groups, dtype: torch.dtype = torch.float16) -> None:
        self.groups, self.dtype = groups, dtype
        self.reads: Counter[tuple[int, str, int]] = Counter()

    def shape(self, layer: str) -> tuple[int, ...]:
        return (2, 2, 2) if layer == "h3" else (2,)

    def read(self, epoch: int, layer: str, group: int) -> Tensor:
        self.reads[epoch, layer, group] += 1
        start, stop = self.groups.bounds[group]
        values = torch.stack([torch.arange(start, stop), torch.full((stop - start,), epoch)], 1).to(self.dtype)
        return values[:, :, None, None].expand(-1, 2, 2, 2) if layer == "h3" else values


def feed_of(
    groups: Groups, cells: list[tuple[int, str]] = CELLS, batch: int = 8, validation_images: int = 6
) -> CellFeed:
    # Each image holds its own index in its two pixels.
    index = np.arange(groups.n_images)
    images = np.stack([index // 256, index % 256], 1).astype(np.uint8).reshape(-1, 1, 1, 2)
    return CellFeed(images, groups, Telling(groups), cells, batch, validation_images, mixed=True)


def index_of(images: Tensor) -> list[int]:
    return (images.flatten(1).long() @ torch.tensor([256, 1])).tolist()


def check(minibatch: Minibatch, allowed: range) -> None:
    """Every image comes with its own activations, under the cell that they are said to be of."""
    start, shown = 0, index_of(minibatch.images)
    for part in minibatch.condition or ():
        values = part.activations.flatten(2)[..., 0] if part.activations.ndim == 4 else part.activations
        stop = start + len(values)
        assert values[:, 0].int().tolist() == shown[start:stop]
        assert {int(epoch) for epoch in values[:, 1]} == {int(part.cell[6:10])}
        start = stop
    assert start == len(minibatch)
    assert set(shown) <= set(allowed)


@settings(max_examples=30, deadline=None)
@given(
    n_train=st.integers(1, 300),
    n_validation=st.integers(1, 20),
    group_size=st.sampled_from([1, 3, 8]),
    batch=st.sampled_from([1, 3, 8, 24]),
    n_cells=st.integers(1, 6),
    validation_images=st.integers(1, 30),
)
def test_every_image_comes_with_its_own_activations(
    n_train: int, n_validation: int, group_size: int, batch: int, n_cells: int, validation_images: int
) -> None:
    groups = Groups(n_train, n_validation, 9, group_size)
    feed = feed_of(groups, CELLS[:n_cells], batch, validation_images)
    for seed in range(3):
        minibatch = feed.minibatch(np.random.default_rng(seed))
        check(minibatch, groups.images("train"))
        parts = minibatch.condition or ()
        assert len(minibatch) == batch
        assert len({part.cell for part in parts}) == len(parts) == min(MIXED_CELLS, n_cells, batch)
        sizes = [len(part.activations) for part in parts]
        assert max(sizes) - min(sizes) <= 1, "shares are equal"
    seen: dict[str, list[int]] = {}
    for minibatch in feed.validation():
        check(minibatch, groups.images("validation"))
        start, shown = 0, index_of(minibatch.images)
        for part in minibatch.condition or ():
            seen.setdefault(part.cell, []).extend(shown[start : start + len(part.activations)])
            start += len(part.activations)
    assert set(seen) == {name_of(cell) for cell in CELLS[:n_cells]}
    different = {tuple(images) for images in seen.values()}
    assert len(different) == 1, "every cell is judged by the same images"
    (images,) = different
    assert len(set(images)) == len(images) >= min(validation_images, n_validation)


def test_a_minibatch_is_a_pure_function_of_the_random_generator() -> None:
    groups = Groups(200, 8, 8, 4)
    first, second = feed_of(groups), feed_of(groups)
    for seed in range(5):
        second.minibatch(np.random.default_rng(100 + seed))  # what was drawn before does not matter
        one, other = (feed.minibatch(np.random.default_rng(seed)) for feed in (first, second))
        assert torch.equal(one.images, other.images)
        assert [part.cell for part in one.condition or ()] == [part.cell for part in other.condition or ()]
    assert index_of(one.images) != index_of(first.minibatch(np.random.default_rng(99)).images)


def test_the_images_of_a_seed_are_the_same_whatever_the_activations_are() -> None:
    """Readers of one layer under two tasks see the same images under the same cells: their difference is the tasks'."""
    groups = Groups(200, 8, 8, 4)
    for seed in range(5):
        one = feed_of(groups, [(e, "h3") for e in (0, 5, 10)]).minibatch(np.random.default_rng(seed))
        other = feed_of(groups, [(e, "h4") for e in (0, 5, 10)]).minibatch(np.random.default_rng(seed))
        assert index_of(one.images) == index_of(other.images)
        epochs = [[part.cell[:10] for part in minibatch.condition or ()] for minibatch in (one, other)]
        assert epochs[0] == epochs[1]


def test_every_image_is_reached_under_every_cell_and_alike_often() -> None:
    groups, rng = Groups(12, 4, 4, 4), np.random.default_rng(0)
    feed = feed_of(groups, batch=24)
    seen: Counter[tuple[str, int]] = Counter()
    for _ in range(400):
        minibatch = feed.minibatch(rng)
        start, shown = 0, index_of(minibatch.images)
        for part in minibatch.condition or ():
            stop = start + len(part.activations)
            seen.update((part.cell, image) for image in shown[start:stop])
            start = stop
    assert len(seen) == 12 * 6
    expected = 400 * 24 / (12 * 6)
    assert all(abs(count - expected) < 6 * expected**0.5 for count in seen.values())


def test_activations_are_read_once() -> None:
    groups = Groups(40, 8, 8, 4)
    activations = Telling(groups)
    feed = CellFeed(np.zeros((56, 1, 1, 2), np.uint8), groups, activations, CELLS, 8, 6, mixed=True)
    for seed in range(40):
        feed.minibatch(np.random.default_rng(seed))
    # The first group once more, to see in how many bytes they are kept.
    assert all(count == 1 + (group == 0) for (_, _, group), count in activations.reads.items())
    assert {group for _, _, group in activations.reads} == set(groups.part("train"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_where_they_do_not_fit_in_memory_minibatches_are_made_of_whole_groups(
    dtype: torch.dtype,
) -> None:
    groups = Groups(40, 8, 8, 4)
    size = torch.empty(0, dtype=dtype).element_size()
    needed = 40 * 3 * (8 + 2) * size
    index = np.arange(groups.n_images)
    images = np.stack([index // 256, index % 256], 1).astype(np.uint8).reshape(-1, 1, 1, 2)
    for allowed, mixed in ((needed, True), (needed - 1, False)):
        feed = CellFeed(images, groups, Telling(groups, dtype), CELLS, 8, 6, mixed=True, held_gib=allowed / 2**30)
        found = [feed.minibatch(np.random.default_rng(seed)) for seed in range(20)]
        for minibatch in found:
            check(minibatch, groups.images("train"))
        whole = all(
            shown[start : start + 4] == list(range(shown[start], shown[start] + 4)) and shown[start] % 4 == 0
            for shown in (index_of(minibatch.images) for minibatch in found)
            for start in (0, 4)
        )
        assert whole is not mixed
        assert len(feed.validation_pairs()) == 6 * 2


def test_without_cells_there_is_no_condition_and_spike_ins_are_mixed_as_cells_are() -> None:
    groups = Groups(40, 8, 8, 4)
    assert feed_of(groups, []).minibatch(np.random.default_rng(0)).condition is None
    coins = np.zeros((groups.n_images, 2), dtype=np.uint8)
    mixings = {"h3": mixing_for((2, 2, 2), (2, 4), (0, 3), "local", seed=0), "h4": None}
    spike_ins = SpikeIns(coins, (0, 3), (2, 4), mixings, {name_of(cell): 1.0 for cell in CELLS})
    images = np.zeros((groups.n_images, 1, 2, 4), dtype=np.uint8)
    feed = CellFeed(images, groups, Telling(groups), CELLS, 8, 6, spike_ins, mixed=True)
    names = {part.name for seed in range(60) for part in feed.minibatch(np.random.default_rng(seed)).condition or ()}
    assert names == {reading.condition for reading in feed.readings}
    turns = Counter(reading for _, reading in feed.validation_pairs())
    assert set(turns.values()) == {2}


def test_the_leak_guard_stays_around_them(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = Groups(40, 8, 8, 4)
    feed = feed_of(groups)
    guarded = feed.guarded()
    for seed in range(10):
        check(guarded.minibatch(np.random.default_rng(seed)), groups.images("train"))
    assert len(list(guarded.validation())) == 6
    monkeypatch.setattr(CellFeed, "_mixture", lambda self, rng: next(self.part("evaluation", CELLS[0])))
    with pytest.raises(UserError, match="Evaluation images leak"):
        feed.guarded().minibatch(np.random.default_rng(0))
