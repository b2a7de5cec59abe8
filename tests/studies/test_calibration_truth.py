"""The truths of the calibration, by brute force: entropies and mutual informations of everything that can happen."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ib_analysis.activations import Groups
from ib_analysis.data import FactorsConfig
from ib_analysis.data.factors import FACTOR_LEVELS, factor_bits
from ib_analysis.studies.calibration.channels import BinarySymmetric, Erasure, channel_of
from ib_analysis.studies.calibration.outputs import ChannelOutputs
from ib_analysis.studies.calibration.sources import CoinImages, FactorImages, SplitSizes, symbols_in_order


def entropy(probabilities) -> float:
    return -sum(p * math.log2(p) for p in probabilities if p > 0)


def mutual_information(joint: dict[tuple, float]) -> float:
    """I(A; B) of a table (a, b) -> probability: H(A) + H(B) - H(A, B)."""
    first: Counter = Counter()
    second: Counter = Counter()
    for (a, b), p in joint.items():
        first[a] += p
        second[b] += p
    return entropy(first.values()) + entropy(second.values()) - entropy(joint.values())


def erasure_table(levels: tuple[int, ...], rate: float) -> dict[tuple, float]:
    joint: Counter = Counter()
    for symbols in itertools.product(*map(range, levels)):
        for lost in itertools.product((False, True), repeat=len(levels)):
            p = math.prod(rate if gone else 1 - rate for gone in lost) / math.prod(levels)
            joint[symbols, tuple(None if gone else s for s, gone in zip(symbols, lost, strict=True))] += p
    return joint


def flip_table(m: int, probability: float) -> dict[tuple, float]:
    joint: Counter = Counter()
    for coins in itertools.product((0, 1), repeat=m):
        for turned in itertools.product((0, 1), repeat=m):
            p = math.prod(probability if t else 1 - probability for t in turned) / 2**m
            joint[coins, tuple(c ^ t for c, t in zip(coins, turned, strict=True))] += p
    return joint


@pytest.mark.parametrize("levels", [(2,), (2, 2, 2), (3, 2), (5, 1, 2)])
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.75, 1.0])
def test_an_erasure_channel_lets_through_what_enumeration_says(levels: tuple[int, ...], rate: float) -> None:
    expected = mutual_information(erasure_table(levels, rate))
    assert Erasure(rate).mutual_information_bits(np.array(levels)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("m", [1, 2, 4])
@pytest.mark.parametrize("probability", [0.0, 0.11, 0.5, 0.8, 1.0])
def test_a_binary_symmetric_channel_lets_through_what_enumeration_says(m: int, probability: float) -> None:
    expected = mutual_information(flip_table(m, probability))
    found = BinarySymmetric(probability).mutual_information_bits(np.full(m, 2))
    assert found == pytest.approx(expected, abs=1e-12)


@given(rate=st.floats(0, 1), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_realised_erasures_are_the_entropy_of_the_symbols_that_arrived(rate: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = np.array([10, 4, 2])
    symbols = np.stack([rng.integers(k, size=50) for k in levels], axis=1).astype(np.uint8)
    received = Erasure(rate).transmit(symbols, levels, rng)
    naive = [sum(math.log2(k) for k, lost in zip(levels, row, strict=True) if not lost) for row in received.erased]
    assert received.information_bits == pytest.approx(naive)


@pytest.mark.parametrize("probability", [0.0, 0.11, 0.5])
def test_density_of_flips_is_the_log_ratio_of_the_enumerated_table(probability: float) -> None:
    joint = flip_table(3, probability)
    given_coins = {pair: p * 8 for pair, p in joint.items()}  # coins are uniform
    coins = np.array(list(itertools.product((0, 1), repeat=3)) * 4, dtype=np.uint8)
    received = BinarySymmetric(probability).transmit(coins, np.full(3, 2), np.random.default_rng(0))
    for sent, came, density in zip(coins, received.symbols, received.information_bits, strict=True):
        ratio = given_coins[tuple(map(int, sent)), tuple(map(int, came))] * 8  # what comes is uniform as well
        assert density == pytest.approx(math.log2(ratio))


@pytest.mark.parametrize(("kind", "parameter"), [("erasure", 250), ("flip", 110)])
def test_the_mean_density_is_the_mutual_information(kind: str, parameter: int) -> None:
    coins = np.random.default_rng(0).integers(2, size=(40_000, 8)).astype(np.uint8)
    channel = channel_of(kind, parameter)
    density = channel.transmit(coins, np.full(8, 2), np.random.default_rng(1)).information_bits
    error = density.mean() - channel.mutual_information_bits(np.full(8, 2))
    assert abs(error) < 4 * density.std() / math.sqrt(len(density))


def test_a_binary_symmetric_channel_takes_coins_only() -> None:
    with pytest.raises(ValueError, match="coins"):
        BinarySymmetric(0.1).mutual_information_bits(np.array([2, 3]))


@pytest.mark.parametrize(
    ("source", "h_x"), [(CoinImages(1, 2, 2), 9), (CoinImages(4, 1, 2), 8), (CoinImages(1, 3, 1), 4)]
)
def test_the_images_that_occur_are_as_many_and_as_likely_as_the_entropy_says(source: CoinImages, h_x: int) -> None:
    assert source.h_x_bits == h_x
    n = 400 * 2**h_x
    images = source.draw(n, np.random.default_rng(0)).images.reshape(n, -1)
    counts = np.unique(images, axis=0, return_counts=True)[1]
    assert len(counts) == 2**h_x  # all of them occur in so many draws, and no other
    chi_square = ((counts - 400) ** 2 / 400).sum()
    assert abs(chi_square - (2**h_x - 1)) < 5 * math.sqrt(2 * 2**h_x)


@pytest.mark.parametrize("coins", [1, 4, 16, 64, 256, 1024, 3, 12, 3072])
def test_every_coin_can_be_read_off_its_block(coins: int) -> None:
    source = CoinImages(coins, noise_bits=4)
    split = source.draw(4, np.random.default_rng(0))
    channels, side, _ = source.grid
    assert channels * side * side == coins
    assert split.images.shape == (4, *source.image_shape)
    block = source.image_shape[1] // side
    blocks = split.images.reshape(4, channels, side, block, side, block)
    means = blocks.mean(axis=(3, 5))
    assert np.array_equal(means > 127, split.factors["symbols"] == 1)
    noise = split.images.astype(int) - np.where(split.factors["symbols"] == 1, 192, 64).repeat(block, 2).repeat(
        block, 3
    )
    assert noise.min() >= -8
    assert noise.max() < 8


def test_an_odd_number_of_coins_is_refused() -> None:
    with pytest.raises(ValueError, match="square"):
        CoinImages(5)
    with pytest.raises(ValueError, match="noise_bits"):
        CoinImages(4, noise_bits=8)


def test_factor_images_have_the_entropy_of_their_factors_and_noise() -> None:
    config = FactorsConfig(noise_levels=3)
    source = FactorImages(config)
    assert source.h_x_bits == pytest.approx(sum(factor_bits(config).values()))
    data = source.load(SplitSizes(30, 5, 7), 0)
    assert (len(data.fitting), len(data.validation), len(data.evaluation)) == (30, 5, 7)
    assert data.h_x_bits == pytest.approx(source.h_x_bits)
    assert symbols_in_order(data).shape == (42, len(FACTOR_LEVELS))


def test_images_of_two_splits_differ_and_repeat_with_the_seed() -> None:
    first, again, other = (CoinImages(4).load(SplitSizes(20, 5, 20), seed) for seed in (0, 0, 1))
    assert first.sha256 == again.sha256 != other.sha256
    assert not np.array_equal(first.decoder.images[:20], first.evaluation.images)


def outputs(source, cells, n: int = 60) -> tuple[ChannelOutputs, np.ndarray]:
    data = source.load(SplitSizes(n, 10, 10), 0)
    symbols = symbols_in_order(data)
    return ChannelOutputs(symbols, source.levels, cells, Groups(n, 10, 10, 8), seed=3), symbols


def test_coins_come_out_as_a_map_of_signs_with_zeros_where_erased() -> None:
    source = CoinImages(12)
    found, symbols = outputs(source, [(500, "erasure"), (110, "flip")])
    assert found.shape("erasure") == (3, 2, 2)
    for group, (start, stop) in enumerate(found.groups.bounds):
        values = found.read(500, "erasure", group).numpy()
        signs = 2.0 * symbols[start:stop] - 1
        assert set(np.unique(values)) <= {-1, 0, 1}
        assert np.array_equal(values[values != 0], signs[values != 0])
        assert found.information_bits(500, "erasure", group) == pytest.approx((values != 0).sum((1, 2, 3)))
        assert np.array_equal(values, found.read(500, "erasure", group).numpy())
    share = np.mean([(found.read(500, "erasure", group) == 0).float().mean() for group in range(len(found.groups))])
    assert 0.4 < share < 0.6
    flipped = np.concatenate([found.read(110, "flip", group).numpy() for group in range(len(found.groups))])
    assert 0.05 < np.mean(flipped != 2.0 * symbols - 1) < 0.18


def test_factors_come_out_one_hot_with_zeros_where_erased() -> None:
    source = FactorImages()
    found, symbols = outputs(source, [(0, "erasure"), (500, "erasure"), (1000, "erasure")])
    assert found.shape("erasure") == (int(source.levels.sum()),)
    ends = np.cumsum(source.levels)[:-1]
    whole = np.concatenate([found.read(0, "erasure", group).numpy() for group in range(len(found.groups))])
    for k, part in enumerate(np.split(whole, ends, axis=1)):
        assert np.array_equal(part.argmax(1), symbols[:, k])
        assert np.array_equal(part.sum(1), np.ones(len(symbols)))
    bits = np.log2(source.levels)
    for group in range(len(found.groups)):
        half = found.read(500, "erasure", group).numpy()
        arrived = np.stack([part.sum(1) for part in np.split(half, ends, axis=1)], axis=1)
        assert set(np.unique(arrived)) <= {0, 1}
        assert found.information_bits(500, "erasure", group) == pytest.approx(arrived @ bits)
        assert not found.read(1000, "erasure", group).any()
