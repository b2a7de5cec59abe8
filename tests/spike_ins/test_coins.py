"""Coins: where they lie, how they fall, how images show them; against naive loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ib_analysis.artifacts import UserError
from ib_analysis.spike_ins import SpikeInConfig, check, coin_map, coin_pixels, draw_coins, overwrite

SHAPES = st.tuples(st.integers(1, 4), st.sampled_from([1, 3]), st.integers(2, 6), st.integers(2, 6))


def a_case(shape: tuple[int, ...], intensities: int, seed: int) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    n, _, height, width = shape
    images = np.random.default_rng(seed).integers(intensities, size=shape).astype(np.uint8)
    count = height * width // 4
    return images, draw_coins(n, count, "decoder", seed), coin_pixels(count, height, width, seed)


@given(SHAPES, st.integers(2, 256), st.integers(0, 99), st.sampled_from(["extremes", "least_significant_bit"]))
@settings(max_examples=60, deadline=None)
def test_overwritten_images_are_those_of_a_naive_loop(shape, intensities: int, seed: int, shown_as) -> None:
    images, coins, pixels = a_case(shape, intensities, seed)
    before = images.copy()
    found = overwrite(images, coins, pixels, intensities, shown_as)
    assert np.array_equal(images, before)
    assert found.dtype == np.uint8
    assert found.max() < intensities
    n, channels, height, width = shape
    for i in range(n):
        for channel in range(channels):
            for row in range(height):
                for column in range(width):
                    value, old = int(found[i, channel, row, column]), int(images[i, channel, row, column])
                    if row * width + column not in pixels:
                        assert value == old
                        continue
                    coin = int(coins[i, pixels.index(row * width + column)])
                    if shown_as == "extremes":
                        assert value == coin * (intensities - 1)
                    else:
                        assert value % 2 == coin  # every image tells its coins
                        top = intensities % 2 and old == intensities - 1
                        assert value // 2 == (old // 2 - 1 if top else old // 2)  # and nothing else has changed


@given(SHAPES, st.integers(0, 99), st.sampled_from(["extremes", "least_significant_bit"]), st.integers(2, 20))
@settings(max_examples=30, deadline=None)
def test_the_rest_of_the_image_says_nothing_about_a_coin(shape, seed: int, shown_as, intensities: int) -> None:
    """Whatever a coin shows, the other coin would have left all else as it is: given the rest it is a fair coin."""
    images, coins, pixels = a_case(shape, intensities, seed)
    one = overwrite(images, coins, pixels, intensities, shown_as)
    other = overwrite(images, 1 - coins, pixels, intensities, shown_as)
    places = np.zeros(images.shape[2] * images.shape[3], dtype=bool)
    places[list(pixels)] = True
    flat_one, flat_other = one.reshape(*one.shape[:2], -1), other.reshape(*one.shape[:2], -1)
    assert np.array_equal(flat_one[:, :, ~places], flat_other[:, :, ~places])
    assert (flat_one[:, :, places] != flat_other[:, :, places]).all()
    if shown_as == "least_significant_bit":
        assert np.array_equal(flat_one // 2, flat_other // 2)


def test_coins_are_fair_independent_and_functions_of_split_and_index() -> None:
    coins = draw_coins(4000, 8, "decoder", seed=1)
    assert np.array_equal(coins[:7], draw_coins(7, 8, "decoder", seed=1))
    others = [draw_coins(4000, 8, "evaluation", seed=1), draw_coins(4000, 8, "decoder", seed=2)]
    columns = np.concatenate([coins, *others], axis=1).astype(float)
    error = 0.5 / np.sqrt(len(columns))  # of a mean of coins; a correlation has twice that
    assert (abs(columns.mean(0) - 0.5) < 5 * error).all()
    correlations = np.corrcoef(columns.T) - np.eye(columns.shape[1])
    assert abs(correlations).max() < 5 * 2 * error


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 5), st.data())
@settings(deadline=None)
def test_pixels_are_different_ones_of_the_image(height: int, width: int, seed: int, data) -> None:
    count = data.draw(st.integers(0, height * width // 4))
    pixels = coin_pixels(count, height, width, seed)
    assert pixels == coin_pixels(count, height, width, seed)
    assert len(set(pixels)) == count
    assert all(0 <= pixel < height * width for pixel in pixels)


def test_the_map_shows_each_coin_at_its_pixel() -> None:
    coins, pixels = draw_coins(5, 6, "evaluation", 0), coin_pixels(6, 4, 6, 0)
    found = coin_map(coins, pixels, 4, 6)
    assert found.shape == (5, 1, 4, 6)
    wanted = np.zeros((5, 1, 4, 6))
    for i in range(5):
        for k, pixel in enumerate(pixels):
            wanted[i, 0, pixel // 6, pixel % 6] = 1 if coins[i, k] else -1
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize(("count", "words"), [(17, "at most 16 coins"), (-1, "spike_in is -1")])
def test_too_many_or_too_few_coins_are_one_sentence(count: int, words: str) -> None:
    check(16, 8, 8)
    check(0, 1, 1)
    with pytest.raises(UserError, match=words):
        check(count, 8, 8)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(UserError, match=r"spike_in_options\.seed"):
        SpikeInConfig(seed=-1)
