"""Activations altered on purpose: strangers' activations, one for all, the image itself, and n binary units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ib_analysis.activations import Groups
from ib_analysis.artifacts import UserError
from ib_analysis.studies.altered import IMAGE, ConstantActivations, ImageItself, ShuffledActivations, derangement
from ib_analysis.studies.sign_codes import SignCodes, check_units, orthogonal, sign_layer


class Drawn:
    """Random activations of two layers at two epochs, and how often they were read."""

    epochs = (0, 3)
    layers = ("h3", "h4")

    def __init__(self, groups: Groups, channels: int = 5) -> None:
        self.groups = groups
        generator = torch.Generator().manual_seed(1)
        shapes = {"h3": (channels, 2, 3), "h4": (channels,)}
        self.values = {
            (epoch, layer): torch.randn(groups.n_images, *shapes[layer], generator=generator).half() + epoch
            for epoch in self.epochs
            for layer in self.layers
        }

    def shape(self, layer: str) -> tuple[int, ...]:
        return tuple(self.values[0, layer].shape[1:])

    def read(self, epoch: int, layer: str, group: int) -> Tensor:
        start, stop = self.groups.bounds[group]
        return self.values[epoch, layer][start:stop]


def everything(source, epoch: int, layer: str) -> Tensor:
    return torch.cat([source.read(epoch, layer, group) for group in range(len(source.groups))])


def test_derangements_are_uniform() -> None:
    rng = np.random.default_rng(0)
    drawn = [tuple(derangement(4, rng).tolist()) for _ in range(1800)]
    counts = {found: drawn.count(found) for found in set(drawn)}
    assert len(counts) == 9  # !4 = 9, by hand
    expected = 1800 / 9
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 26.1  # chi-square(8), 0.999


@given(st.integers(2, 200), st.integers(0, 2**32))
def test_a_derangement_moves_everything_and_loses_nothing(n: int, seed: int) -> None:
    found = derangement(n, np.random.default_rng(seed))
    assert sorted(found.tolist()) == list(range(n))
    assert not (found == np.arange(n)).any()


@given(st.integers(2, 30), st.integers(2, 9), st.integers(2, 20), st.sampled_from([1, 4, 8]), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_shuffled_activations_are_a_strangers_of_the_same_part(
    n_train: int, n_validation: int, n_evaluation: int, group_size: int, seed: int
) -> None:
    groups = Groups(n_train, n_validation, n_evaluation, group_size)
    source = Drawn(groups)
    shuffled = ShuffledActivations(source, seed)
    for layer in source.layers:
        values, found = source.values[3, layer], everything(shuffled, 3, layer)
        assert torch.equal(found, values[torch.from_numpy(shuffled.stranger)])
        assert shuffled.shape(layer) == source.shape(layer)
    assert not (shuffled.stranger == np.arange(groups.n_images)).any()
    for part in ("train", "validation", "evaluation"):  # so that every part keeps its marginal distribution
        images = groups.images(part)
        assert sorted(shuffled.stranger[images.start : images.stop].tolist()) == list(images)


def test_shuffling_is_the_same_for_every_cell_and_every_reading() -> None:
    groups = Groups(12, 5, 7, 4)
    first, second = ShuffledActivations(Drawn(groups)), ShuffledActivations(Drawn(groups))
    assert np.array_equal(first.stranger, second.stranger)
    assert torch.equal(first.read(0, "h3", 2), second.read(0, "h3", 2))
    assert torch.equal(first.read(0, "h3", 2), first.read(0, "h3", 2))
    assert not np.array_equal(first.stranger, ShuffledActivations(Drawn(groups), seed=1).stranger)


def test_one_image_cannot_be_shuffled() -> None:
    with pytest.raises(UserError, match="validation part has 1 images"):
        ShuffledActivations(Drawn(Groups(8, 1, 8, 4)))


def test_constant_activations_are_the_mean_of_the_training_part() -> None:
    groups = Groups(10, 3, 7, 4)
    source = Drawn(groups)
    for layer in source.layers:
        found = everything(ConstantActivations(source), 3, layer)
        mean = source.values[3, layer][:10].numpy().astype(np.float64).mean(0)
        assert found.dtype == torch.float16
        assert len(found) == groups.n_images
        assert (found == found[0]).all()
        np.testing.assert_allclose(found[0].numpy(), mean, rtol=1e-3, atol=1e-4)


def test_the_mean_of_float32_activations_is_float32() -> None:
    source = Drawn(Groups(10, 3, 7, 4))
    source.values = {cell: 1e6 + values.float() for cell, values in source.values.items()}
    found = everything(ConstantActivations(source), 3, "h3")
    assert found.dtype == torch.float32
    expected = source.values[3, "h3"][:10].double().mean(0).float()
    assert torch.equal(found[0], expected)


@pytest.mark.parametrize("intensities", [2, 17, 256])
def test_the_image_itself_can_be_read_back(intensities: int) -> None:
    groups = Groups(10, 3, 7, 4)
    rng = np.random.default_rng(0)
    images = rng.integers(0, intensities, (groups.n_images, 3, 8, 8)).astype(np.uint8)
    images[0].flat[:2] = 0, intensities - 1
    source = ImageItself(images, intensities, groups, (0, 3))
    found = everything(source, 3, IMAGE)
    assert source.shape(IMAGE) == (3, 8, 8)
    assert found.dtype == torch.float16
    assert found.min() == -1
    assert found.max() == 1
    back = ((found.double() + 1) * (intensities - 1) / 2).round().numpy()
    assert np.array_equal(back, images)


# ---------------------------------------------------------------------------------------------- binary units


@given(st.integers(1, 12), st.integers(0, 50))
def test_the_projection_is_orthogonal(n: int, seed: int) -> None:
    found = orthogonal(n, seed)
    np.testing.assert_allclose(found @ found.T, np.eye(n), atol=1e-12)


@pytest.mark.parametrize("layer", ["h3", "h4"])
def test_codes_are_those_of_a_naive_computation(layer: str) -> None:
    groups = Groups(21, 6, 9, 4)
    source = Drawn(groups)
    codes = SignCodes(source, layer)
    features = source.values[3, layer].numpy().astype(np.float64)
    features = features.mean(axis=(2, 3)) if features.ndim == 4 else features
    standardised = (features - features[:21].mean(0)) / features[:21].std(0)
    projection = orthogonal(5, 0)
    for units in (1, 3, 5):
        found = everything(codes, 3, sign_layer(layer, units)).numpy()
        assert codes.shape(sign_layer(layer, units)) == found.shape[1:] == (units,)
        for k in range(units):
            values = [float(projection[k] @ row) for row in standardised]
            middle = sorted(values[:21])[10]
            # the image at the median itself may fall on either side by rounding
            clear = [i for i, value in enumerate(values) if abs(value - middle) > 1e-5]
            assert [found[i, k] for i in clear] == [1.0 if values[i] > middle else -1.0 for i in clear]


@given(st.integers(4, 40), st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_every_unit_splits_the_training_part_in_halves(n_train: int, channels: int) -> None:
    groups = Groups(n_train, 3, 5, 4)
    codes = SignCodes(Drawn(groups, channels), "h4").codes(3)
    assert codes.shape == (groups.n_images, channels)
    assert (np.abs(codes[:n_train].sum(0) - n_train / 2) <= 0.5).all()
    assert len(np.unique(codes, axis=0)) <= 2**channels


def test_a_feature_that_never_varies_does_no_harm() -> None:
    source = Drawn(Groups(20, 4, 8, 4))
    source.values[3, "h4"][:, 2] = 0.1
    codes = SignCodes(source, "h4").codes(3)
    assert (np.abs(codes[:20].sum(0) - 10) <= 1).all()


@pytest.mark.parametrize("units", [(), (0,), (17,), (4, 4)])
def test_impossible_units_are_refused(units: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="from 1 to 16"):
        check_units(units, 16)
