"""Counts beside a decoder whose code lengths are exact: the true posterior of an image, given a code of a few bits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from ib_analysis.brackets.plug_in import count_codes, plug_in
from ib_analysis.data import FactorsConfig
from ib_analysis.data.factors import draw, enumerate_images, factor_bits
from ib_analysis.information.counted_table import CountedRow, agreement, counted_text
from ib_analysis.information.estimates import lower_bound, plug_in_entropy_bits, usable_information
from ib_analysis.information.intervals import Bootstrap, Interval
from ib_analysis.information.table import write_table
from ib_analysis.plots import counted
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import drawing_style

FACTORS = FactorsConfig(noise_levels=1)
QUICK = Bootstrap(n_resamples=200)


def codes(images: np.ndarray, units: int) -> np.ndarray:
    """Signs of random projections, as 0 and 1: shape (N, units)."""
    weights = np.random.default_rng(0).normal(size=(images[0].size, units))
    values = (images.reshape(len(images), -1) - 3.5) @ weights
    return (values > 0).astype(np.int64)


@pytest.mark.parametrize("units", [1, 4, 8])
def test_an_exact_decoder_reads_what_is_counted(units: int) -> None:
    everything = enumerate_images(FACTORS)
    values = codes(everything, units) @ (1 << np.arange(units))
    truth = plug_in_entropy_bits(values)  # H(H) = I(X;H): every image is equally likely
    h_x_bits = sum(factor_bits(FACTORS).values())
    assert h_x_bits == pytest.approx(np.log2(len(everything)))

    evaluation = draw(1500, FACTORS, np.random.default_rng(1)).images
    sample = codes(evaluation, units)
    shared = np.bincount(values, minlength=1 << units)
    lengths = np.log2(shared[sample @ (1 << np.arange(units))])  # -log2 p(x|h) of the true posterior
    lower = lower_bound(h_x_bits, lengths, QUICK)
    usable = usable_information(np.full(len(lengths), h_x_bits), lengths, QUICK)
    found = plug_in(count_codes(sample, bits=1), units)
    assert found.entropy.low <= truth <= found.entropy.high
    assert lower.low <= truth <= lower.high
    assert usable == lower, "L0 of the true distribution is H(X) for every image"
    assert agreement(found.entropy, found.saturated, usable, lower) == "compatible"

    # A decoder that is worse tells less, and never more than is there.
    worse = lower_bound(h_x_bits, lengths + 0.8, QUICK)
    assert agreement(found.entropy, found.saturated, worse, worse) == "read in part"


@given(st.floats(0, 12), st.floats(0, 1), st.floats(-3, 14), st.floats(0, 1), st.floats(0, 2))
@settings(max_examples=100, deadline=None)
def test_a_bound_is_never_told_to_be_above_a_count_that_it_may_be_below(
    bits: float, spread: float, estimate: float, width: float, gap: float
) -> None:
    count = Interval(bits, bits - spread, bits + spread)
    usable = Interval(estimate, estimate - width, estimate + width)
    lower = Interval(estimate - gap, estimate - gap - width, estimate - gap + width)
    told = agreement(count, False, usable, lower)
    assert (told == "lower bound above the count") == (lower.low > count.high)
    assert (told == "compatible") == (usable.overlaps(count))
    assert agreement(count, True, usable, lower) == "count saturated"
    assert agreement(count, False, usable, None) in ("compatible", "usable information above the count", "read in part")


ROW = CountedRow(
    experiment="toy", task="classification", number_format="binary", encoder_seed=0, decoder_seed=0, epoch=1,
    layer="h4", units=12, code_bits=1, n_images=60_000, n_values=900, log2_images_bits=15.87, plug_in_bits=8.0,
    plug_in_bits_low=7.9, plug_in_bits_high=8.2, bias_bits=0.095, saturated=0, lower_bits=6.0, lower_bits_low=5.8,
    lower_bits_high=6.2, i_xh_bits=6.5, i_xh_bits_low=6.3, i_xh_bits_high=6.7, agreement="read in part",
)  # fmt: skip


def figure_of(folder: Path, rows: list[CountedRow]) -> list[tuple[str, Figure]]:
    facts = {"name": "factors", "class_names": ["a", "b"], "h_x_bits": 14.0, "h_y_bits": 1.0}
    (folder / "data.json").write_text(json.dumps(facts))
    write_table(folder / "counted.csv", CountedRow, rows)
    with drawing_style():
        return list(counted.draw(SavedExperiment(folder)))


def test_count_decoder_and_bound_are_drawn_by_epoch(tmp_path: Path) -> None:
    later = replace(ROW, epoch=5, plug_in_bits=9.0, plug_in_bits_low=8.9, plug_in_bits_high=9.3, saturated=1)
    ((name, figure),) = figure_of(tmp_path, [ROW, later, replace(ROW, number_format="w1a1", layer="h3")])
    assert name == "counted"
    assert len(figure.axes) == 2
    lines = {line.get_gid(): line for line in figure.axes[0].findobj(Line2D) if line.get_gid()}
    assert [float(y) for y in lines["saturated"].get_ydata()] == [9.0]
    drawn = {float(y) for axes in figure.axes for line in axes.lines for y in np.atleast_1d(line.get_ydata())}
    assert {8.0, 9.0, 6.5, 6.0, 12.0} <= drawn
    words = " ".join(text.get_text().replace("\n", " ") for text in figure.findobj(Text))
    assert "Classification, binary, h4: read in part" in words
    assert "within a bit of log2 N" in words


def test_without_a_known_entropy_no_bound_is_drawn(tmp_path: Path) -> None:
    ((_, figure),) = figure_of(tmp_path, [replace(ROW, lower_bits=None, lower_bits_low=None, lower_bits_high=None)])
    words = " ".join(text.get_text().replace("\n", " ") for text in figure.findobj(Text))
    assert "H(X) − mean(L)" not in words
    assert "real images give no lower bound" in words
    (tmp_path / "none").mkdir()
    assert figure_of(tmp_path / "none", []) == []


def test_the_table_for_the_terminal_tells_how_the_two_stand() -> None:
    told = counted_text([ROW])
    assert "8.00 [7.90, 8.20]" in told
    assert "6.00 [5.80, 6.20]" in told
    assert "read in part" in told
