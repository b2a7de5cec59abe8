"""The figure of spike-ins: every cell where the table says, the truth and its tolerance, nothing without spike-ins."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from saved_experiments import EPOCHS, LAYERS, TASKS, MakeExperiment

from ib_analysis.information.table import InformationRow, read_table, write_table
from ib_analysis.plots import draw_all, spike_ins
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import drawing_style

BITS = 16.0


def with_spike_ins(folder: Path) -> Path:
    """Give a synthetic experiment columns of spike-ins; h4 is too small to mix them in."""
    path, rows = folder / "information.csv", []
    for row in read_table(path, InformationRow):
        index = list(LAYERS).index(row.layer)
        map_, mixed = 1.01 - 0.02 * index + 0.01 * row.encoder_seed, 0.9 - 0.25 * index - 0.002 * row.epoch
        rows.append(
            dataclasses.replace(
                row, spike_in_bits=BITS, spike_in_recovered=map_, spike_in_recovered_low=map_ - 0.012,
                spike_in_recovered_high=map_ + 0.013,
                spike_in_mixed_recovered=None if row.layer == "h4" else mixed,
                spike_in_mixed_recovered_low=None if row.layer == "h4" else mixed - 0.04,
                spike_in_mixed_recovered_high=None if row.layer == "h4" else mixed + 0.04,
            )
        )  # fmt: skip
    write_table(path, InformationRow, rows)
    return folder


def figure_of(folder: Path) -> Figure:
    with drawing_style():
        ((name, figure),) = spike_ins.draw(SavedExperiment(folder))
    assert name == "spike_ins"
    return figure


def panels(figure: Figure) -> list[Axes]:
    return figure.findobj(Axes)


def points(axes: Axes) -> list[float]:
    return sorted(line.get_ydata()[0] for line in axes.findobj(Line2D) if line.get_gid() in ("cell", "warned"))


def test_every_cell_is_where_the_table_says(make_experiment: MakeExperiment) -> None:
    folder = with_spike_ins(make_experiment())
    rows = SavedExperiment(folder).information
    figure = figure_of(folder)
    shown = panels(figure)
    assert len(shown) == 2 * len(TASKS)
    for axes, (name, task) in zip(
        shown,
        [(name, task) for name in ("spike_in_recovered", "spike_in_mixed_recovered") for task in TASKS],
        strict=True,
    ):
        wanted = [getattr(row, name) for row in rows if row.task == task and row.layer in LAYERS]
        assert points(axes) == pytest.approx(sorted(value for value in wanted if value is not None))
        ends = [line.get_ydata() for line in axes.findobj(Line2D) if line.get_gid() == "interval"]
        lows = [getattr(row, f"{name}_low") for row in rows if row.task == task]
        assert sorted(low for low, _ in ends) == pytest.approx(sorted(low for low in lows if low is not None))
        assert axes.get_ylim()[0] < min(low for low, _ in ends)
        assert axes.get_ylim()[1] > max(high for _, high in ends)


def test_truth_and_tolerance_are_drawn_and_told(make_experiment: MakeExperiment) -> None:
    figure = figure_of(with_spike_ins(make_experiment()))
    for axes in panels(figure):
        (truth,) = [line for line in axes.findobj(Line2D) if line.get_gid() == "truth"]
        assert set(truth.get_ydata()) == {1}
        (band,) = [patch for patch in axes.patches if patch.get_gid() == "tolerance"]
        box = band.get_extents().transformed(axes.transData.inverted())
        assert (box.y0, box.y1) == pytest.approx((1 - 0.5 / BITS, 1 + 0.5 / BITS))
    told = " ".join(" ".join(text.get_text() for text in figure.texts).split())
    assert "Not mixed into h4" in told
    assert "the truth is 1" in told
    assert all(text.get_fontsize() >= 8 or not text.get_text() for text in figure.findobj(Text))


def test_points_are_means_over_seeds(make_experiment: MakeExperiment) -> None:
    folder = with_spike_ins(make_experiment(seeds=(0, 1)))
    axes = panels(figure_of(folder))[0]
    assert len(points(axes)) == len(LAYERS) * len(EPOCHS)
    assert max(points(axes)) == pytest.approx(1.015)


def test_nothing_is_drawn_without_spike_ins_and_something_with(make_experiment: MakeExperiment, tmp_path: Path) -> None:
    folder = make_experiment(size=8)
    (folder / "samples.h5").unlink()
    assert list(spike_ins.draw(SavedExperiment(folder))) == []
    assert "spike_ins" not in {path.stem for path in draw_all(folder, tmp_path / "without")}
    with_spike_ins(folder)
    assert "spike_ins" in {path.stem for path in draw_all(folder, tmp_path / "with")}


def test_what_is_not_finite_or_empty_is_left_out(make_experiment: MakeExperiment) -> None:
    folder = with_spike_ins(make_experiment())
    path = folder / "information.csv"
    rows = read_table(path, InformationRow)
    rows[0] = dataclasses.replace(rows[0], spike_in_recovered=math.nan, spike_in_recovered_high=math.inf)
    rows = [
        dataclasses.replace(
            row, spike_in_mixed_recovered=None, spike_in_mixed_recovered_low=None, spike_in_mixed_recovered_high=None
        )
        for row in rows
    ]
    write_table(path, InformationRow, rows)
    figure = figure_of(folder)
    figure.draw_without_rendering()
    assert len(panels(figure)) == len(TASKS)
    assert np.isfinite(panels(figure)[0].get_ylim()).all()
