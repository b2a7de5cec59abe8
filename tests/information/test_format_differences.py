"""Differences between number formats: paired by seed, with the t-interval of a textbook."""

from __future__ import annotations

import math

import numpy as np
import pytest
from result_rows import row
from scipy import stats

from ib_analysis.information.format_differences import format_differences
from ib_analysis.information.table import InformationRow

BITS = {
    "float32": {"h1": (400.0, 500.0, 450.0), "h4": (14.0, 15.0, 13.0)},
    "w2a2": {"h1": (260.0, 340.0, 300.0), "h4": (14.5, 14.0, 13.5)},
}


def rows(bits: dict = BITS, seeds: int = 3, **fields: object) -> list[InformationRow]:
    """Two epochs, of which the first is another world."""
    return [
        row(
            epoch=epoch,
            layer=layer,
            number_format=name,
            encoder_seed=seed,
            i_xh_bits=value + 7 * (epoch == 0),
            **fields,
        )
        for name, layers in bits.items()
        for layer, values in layers.items()
        for seed, value in enumerate(values[:seeds])
        for epoch in (0, 20)
    ]


def test_differences_of_the_same_seed_have_the_interval_of_a_paired_t_test() -> None:
    told = format_differences(rows(), 0.95)
    assert "at epoch 20" in told[1]
    assert told[2].split()[-3:] == ["w2a2", "-", "float32"]
    for layer, line in zip(("h1", "h4"), told[-2:], strict=True):
        difference = np.subtract(BITS["w2a2"][layer], BITS["float32"][layer])
        interval = stats.ttest_1samp(difference, 0).confidence_interval(0.95)
        single = ", ".join(f"{bits:.2f}" for bits in difference)
        assert f"{difference.mean():.2f} [{interval.low:.2f}, {interval.high:.2f}] ({single})" in line


def test_a_warning_of_either_side_marks_the_difference() -> None:
    marked = [*rows({"float32": BITS["float32"]}, warnings="nan_recovered"), *rows({"w2a2": BITS["w2a2"]})]
    assert all("! [" in line for line in format_differences(marked, 0.95)[-2:])


@pytest.mark.parametrize(
    "found",
    [
        rows({"float32": BITS["float32"]}),
        rows(seeds=1),
        rows(preference="4:1"),
        [one for one in rows() if (one.number_format == "float32") != (one.encoder_seed > 0)],  # no seed in common
    ],
)
def test_nothing_where_nothing_can_be_paired(found: list[InformationRow]) -> None:
    assert format_differences(found, 0.95) == []


def test_decoders_of_one_encoder_are_one_unit() -> None:
    twice = [*rows(decoder_seed=0), *rows(decoder_seed=1)]
    once, both = (format_differences(found, 0.95)[-1].split("]")[0] for found in (rows(), twice))
    assert once == both
    assert math.isfinite(float(once.split("[")[1].split(",")[0]))
