"""Coins mixed into activations: orthonormal, where the image part lies, invertible; against naive float64 loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ib_analysis.spike_ins import coin_pixels, mixing_for
from ib_analysis.spike_ins.mixing import Mixing

TAPS = [
    ((4, 8, 8), (8, 8), 16),
    ((8, 4, 4), (8, 8), 16),
    ((16, 2, 2), (8, 8), 16),
    ((16,), (8, 8), 16),
    ((20, 1, 1), (8, 8), 16),
    ((3, 16, 16), (8, 8), 9),
    ((9, 3, 2), (8, 9), 12),
    ((6, 7, 5), (8, 9), 12),
]


def matrix(mixing: Mixing, count: int) -> np.ndarray:
    """The map as a matrix, (units, m), coin by coin."""
    return np.stack([mixing(torch.eye(count)[[k]]).numpy().ravel() for k in range(count)], axis=1)


@pytest.mark.parametrize("kind", ["local", "global"])
@pytest.mark.parametrize(("shape", "size", "count"), TAPS, ids=str)
def test_columns_are_orthonormal_and_coins_can_be_told_from_them(shape, size, count: int, kind) -> None:
    mixing = mixing_for(shape, size, coin_pixels(count, *size, seed=0), kind, seed=0)
    assert mixing is not None
    columns = matrix(mixing, count)
    for j in range(count):
        for k in range(count):
            product = sum(a * b for a, b in zip(columns[:, j], columns[:, k], strict=True))
            assert product == pytest.approx(float(j == k), abs=1e-12)
    coins = np.random.default_rng(0).choice([-1.0, 1.0], size=(5, count))
    mixed = mixing(torch.from_numpy(coins))
    assert mixed.shape == (5, *shape)
    assert mixed.numpy().reshape(5, -1) == pytest.approx(coins @ columns.T, abs=1e-12)
    assert mixed.numpy().reshape(5, -1) @ columns == pytest.approx(coins, abs=1e-12)  # the inverse is the transpose


@pytest.mark.parametrize(("shape", "size", "count"), [tap for tap in TAPS if len(tap[0]) == 3], ids=str)
def test_a_local_coin_only_changes_the_position_that_covers_its_pixel(shape, size, count: int) -> None:
    pixels = coin_pixels(count, *size, seed=0)
    mixing = mixing_for(shape, size, pixels, "local", seed=0)
    assert mixing is not None
    columns = matrix(mixing, count).reshape(*shape, count)
    _, height, width = shape
    vectors: dict[tuple[int, int], list[np.ndarray]] = {}
    for k, pixel in enumerate(pixels):
        row, column = divmod(pixel, size[1])
        touched = {(int(r), int(c)) for _, r, c in zip(*np.nonzero(columns[..., k]), strict=True)}
        # the position whose share of the image, [p / h, (p + 1) / h), holds the pixel's upper left corner
        wanted = math.floor(row * height / size[0]), math.floor(column * width / size[1])
        assert touched == {wanted}
        vectors.setdefault((row % (size[0] // height or 1), column % (size[1] // width or 1)), []).append(
            columns[:, wanted[0], wanted[1], k]
        )
    if size[0] % height == 0 and size[1] % width == 0:
        for same_place in vectors.values():  # as in a convolution: equal places in their patches, equal weights
            for vector in same_place[1:]:
                assert np.array_equal(vector, same_place[0])


@given(st.integers(0, 20), st.sampled_from(["local", "global"]), st.sampled_from(TAPS))
@settings(max_examples=25, deadline=None)
def test_variances_are_those_of_all_fair_coins(seed: int, kind, tap) -> None:
    """Independent coins of variance 1: a unit's variance is the sum of its squared weights; here, by enumeration."""
    shape, size, _ = tap
    count = 6
    mixing = mixing_for(shape, size, coin_pixels(count, *size, seed), kind, seed)
    assert mixing is not None
    every = 2.0 * np.array([[(code >> k) & 1 for k in range(count)] for code in range(2**count)]) - 1
    mixed = mixing(torch.from_numpy(every)).numpy().reshape(len(every), shape[0], -1)
    assert abs(mixed.mean(0)).max() < 1e-12
    assert mixing.channel_variances().numpy() == pytest.approx(mixed.var(0).mean(1))


def test_a_coin_has_the_mean_variance_of_a_unit() -> None:
    mixing = mixing_for((4,), (4, 4), (0, 5, 9), "local", seed=0)
    assert mixing is not None
    deviations = torch.tensor([0.0, 1.0, 2.0, 3.0])
    scale = mixing.scale(deviations)
    assert scale**2 == pytest.approx((0 + 1 + 4 + 9) / 4)
    # On average over directions, activations of these variances have that variance in a direction of length 1.
    directions = np.random.default_rng(0).normal(size=(100_000, 4))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    assert (directions**2 @ deviations.numpy() ** 2).mean() == pytest.approx(scale**2, rel=0.01)
    assert mixing.scale(torch.zeros(4)) == 1.0


@pytest.mark.parametrize(
    ("shape", "kind", "fits"),
    [((15,), "local", False), ((16,), "local", True), ((1, 3, 5), "global", False), ((1, 4, 4), "global", True),
     ((2, 2, 2), "local", False)],
)  # fmt: skip
def test_without_room_there_is_no_mixing(shape, kind, fits: bool) -> None:
    pixels = coin_pixels(16, 8, 8, seed=0)
    assert (mixing_for(shape, (8, 8), pixels, kind, seed=0) is not None) == fits


def test_seeds_give_other_matrices_and_the_same_seed_the_same() -> None:
    found = [mixing_for((16,), (8, 8), (1, 2, 3), "local", seed=seed) for seed in (0, 1)]
    mixing_for.cache_clear()
    again = mixing_for((16,), (8, 8), (1, 2, 3), "local", seed=0)
    assert all(one is not None for one in (*found, again))
    assert torch.equal(found[0].columns, again.columns)
    assert not torch.allclose(found[0].columns, found[1].columns)
