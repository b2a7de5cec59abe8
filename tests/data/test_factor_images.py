"""The procedural images: exact entropies, an injective renderer, recoverable noise, independent draws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from ib_analysis.artifacts import UserError
from ib_analysis.data import DataConfig, FactorsConfig, image_space, load_data, split_sizes
from ib_analysis.data.factors import CLASS_NAMES, FACTOR_LEVELS, draw, enumerate_images, factor_bits, render


def all_combinations() -> dict[str, np.ndarray]:
    table = np.array(list(itertools.product(*(range(levels) for levels in FACTOR_LEVELS.values()))))
    return dict(zip(FACTOR_LEVELS, table.T, strict=True))


@pytest.mark.parametrize("size", [8, 9, 12, 13, 16, 32])
def test_every_combination_of_factors_gives_another_image(size: int) -> None:
    clean = render(all_combinations(), size)
    assert len(clean) == 10 * 3 * 3 * 2 * 4 * 4
    assert len({image.tobytes() for image in clean}) == len(clean)


def test_entropies_follow_from_enumeration() -> None:
    # Uniform over distinct images: H(clean) is the log of their number; the noise is independent of it.
    distinct = len({image.tobytes() for image in render(all_combinations(), 8)})
    for noise_levels in (1, 2, 5):
        config = FactorsConfig(noise_levels=noise_levels, n_encoder=2, n_decoder=2, n_evaluation=2)
        data = load_data(DataConfig(factors=config))
        assert data.h_x_bits == pytest.approx(math.log2(distinct) + 64 * math.log2(noise_levels), abs=1e-9)
        assert data.h_y_bits == pytest.approx(math.log2(10))
        assert sum(data.factor_bits.values()) == pytest.approx(data.h_x_bits)
        assert data.factor_bits == factor_bits(config)
        assert set(data.factor_bits) == {*FACTOR_LEVELS, "noise"}


def test_all_images_are_enumerated_once_and_every_draw_is_among_them() -> None:
    config = FactorsConfig(noise_levels=2, noise_grain=4)
    images = enumerate_images(config)
    assert math.log2(len(images)) == pytest.approx(sum(factor_bits(config).values()))
    known = {image.tobytes() for image in images}
    assert len(known) == len(images)
    assert {image.tobytes() for image in draw(500, config, np.random.default_rng(0)).images} <= known


def test_the_glyph_shows_all_factors() -> None:
    """Read independently: the box gives position and scale, the two levels the intensities."""
    factors = all_combinations()
    for i in range(0, 2880, 7):
        image = render({name: values[i : i + 1] for name, values in factors.items()}, 8)[0]
        rows, columns = np.nonzero(image >= 4)
        side = rows.max() - rows.min() + 1
        assert side == columns.max() - columns.min() + 1 == 3 * (1 + factors["scale"][i])
        offsets = [0, 2, 5] if side == 3 else [0, 1, 2]
        assert rows.min() == offsets[factors["y"][i]]
        assert columns.min() == offsets[factors["x"][i]]
        assert set(np.unique(image)) == {factors["background"][i], 4 + factors["foreground"][i]}


@pytest.mark.parametrize(("size", "grain"), [(8, 2), (12, 3), (16, 4), (11, 11)])
def test_coarse_noise_shares_a_symbol_and_has_fewer_bits(size: int, grain: int) -> None:
    config = FactorsConfig(size=size, noise_levels=2, noise_grain=grain, n_encoder=50, n_decoder=20, n_evaluation=10)
    data = load_data(DataConfig(factors=config))
    side = size // grain
    assert data.factor_bits["noise"] == side**2
    assert data.h_x_bits == pytest.approx(math.log2(2880) + side**2)
    for split in data.splits.values():
        noise = (split.images[:, 0] % 2).reshape(len(split), side, grain, side, grain)
        assert (noise == noise[:, :, :1, :, :1]).all()
        np.testing.assert_array_equal(noise[:, :, 0, :, 0].reshape(len(split), -1), split.factors["noise"])


def test_a_grain_that_does_not_divide_the_size_is_refused() -> None:
    with pytest.raises(UserError, match="divisor"):
        FactorsConfig(size=8, noise_grain=5)


@pytest.mark.parametrize("noise_levels", [1, 2, 3, 32])
def test_image_splits_into_clean_part_and_noise(noise_levels: int) -> None:
    config = FactorsConfig(noise_levels=noise_levels, n_encoder=200, n_decoder=50, n_evaluation=40)
    data = load_data(DataConfig(factors=config))
    assert data.image_shape == (1, 8, 8)
    assert data.intensities == 8 * noise_levels
    for split in data.splits.values():
        assert split.images.dtype == np.uint8
        assert split.images.max() < data.intensities
        np.testing.assert_array_equal(split.images[:, 0] // noise_levels, render(split.factors, 8))
        np.testing.assert_array_equal((split.images % noise_levels).reshape(len(split), -1), split.factors["noise"])
        np.testing.assert_array_equal(split.labels, split.factors["shape"])


def test_draws_are_uniform_and_independent() -> None:
    data = load_data(DataConfig(factors=FactorsConfig(n_encoder=20_000, n_decoder=2, n_evaluation=1)))
    factors = data.encoder.factors
    for name, levels in FACTOR_LEVELS.items():
        assert stats.chisquare(np.bincount(factors[name], minlength=levels)).pvalue > 1e-4
    for one, other in itertools.combinations(FACTOR_LEVELS, 2):
        table = stats.contingency.crosstab(factors[one], factors[other]).count
        assert stats.chi2_contingency(table).pvalue > 1e-4
    ones = factors["noise"].sum()
    assert stats.binomtest(int(ones), factors["noise"].size).pvalue > 1e-4
    # Each pixel of the noise against the class.
    rates = [factors["noise"][factors["shape"] == shape].mean() for shape in range(10)]
    assert max(abs(rate - 0.5) for rate in rates) < 5 * 0.5 / math.sqrt(20_000 / 12 * 64)


def test_splits_differ_and_seed_fixes_them() -> None:
    config = FactorsConfig(n_encoder=300, n_decoder=300, n_evaluation=300)
    data = load_data(DataConfig(factors=config))
    drawn = {image.tobytes() for split in data.splits.values() for image in split.images}
    assert len(drawn) == 900
    assert load_data(DataConfig(factors=config)).sha256 == data.sha256
    assert load_data(DataConfig(factors=config, seed=1)).sha256 != data.sha256
    # More evaluation images leave the other splits and the first draws of this one as they were.
    longer = load_data(DataConfig(factors=FactorsConfig(n_encoder=300, n_decoder=300, n_evaluation=301)))
    assert longer.encoder.sha256 == data.encoder.sha256
    assert longer.decoder.sha256 == data.decoder.sha256


def test_default_is_as_documented_and_described_without_loading() -> None:
    config = DataConfig()
    data = load_data(config)
    assert image_space(config) == (data.image_shape, data.intensities, len(data.class_names))
    assert image_space(config) == ((1, 8, 8), 16, 10)
    assert (
        split_sizes(config)
        == {name: len(split) for name, split in data.splits.items()}
        == {
            "encoder": 6000,
            "decoder": 6000,
            "evaluation": 1000,
        }
    )
    assert data.n_validation == len(data.validation) == 600
    assert len(data.fitting) == 5400
    assert data.h_x_bits == pytest.approx(75.4919, abs=1e-4)
    assert data.class_names == CLASS_NAMES
    assert not data.augment


@pytest.mark.parametrize("option", [{"resolution": 16}, {"greyscale": True}, {"bits": 3}])
def test_options_that_would_break_the_entropies_are_refused(option: dict) -> None:
    for use in (load_data, image_space):
        with pytest.raises(UserError, match=rf"data.{next(iter(option))} cannot be set .*data.factors.size"):
            use(DataConfig(**option))


@pytest.mark.parametrize("name", ["per_class", "evaluation_per_class"])
def test_a_cap_per_class_which_would_break_the_entropies_is_refused(name: str) -> None:
    for use in (load_data, image_space, split_sizes):
        with pytest.raises(UserError, match=rf"data.{name} cannot be set .*n_encoder, n_decoder and n_evaluation"):
            use(DataConfig(**{name: 3}))  # type: ignore[arg-type]
