"""Minibatches from images and activations: the right images with the right activations, every cell in every part."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ib_analysis.activations import Groups
from ib_analysis.stages.feed import CellFeed, name_of


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
