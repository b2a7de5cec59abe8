"""The figures of `ib cost-quality`: every number of the tables at its place, and what they say in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cost_quality_rows import FORMATS, SIZES, write_tables
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ib_analysis.artifacts import UserError
from ib_analysis.information.table import write_table
from ib_analysis.plots.style import drawing_style
from ib_analysis.studies.cost_quality import figure as cost_quality
from ib_analysis.studies.cost_quality import generalization_gap
from ib_analysis.studies.cost_quality.dominance import curve_at
from ib_analysis.studies.cost_quality.rows import COST_MODELS, CostQualityPointRow, CostQualityRow


def drawn(module, folder: Path) -> Figure:
    with drawing_style():
        ((name, figure),) = module.draw(folder)
        figure.draw_without_rendering()
    assert name == {cost_quality: "cost_quality", generalization_gap: "generalization_gap"}[module]
    return figure


def values(axes: Axes, *gids: str) -> list[float]:
    lines = [line for line in axes.get_lines() if line.get_gid() in gids and line.get_marker() not in ("None", "_")]
    return sorted(float(y) for line in lines for y in np.ravel(line.get_ydata()))


def words(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.texts).replace("\n", " ")


def test_accuracies_are_drawn_against_three_costs(tmp_path: Path) -> None:
    networks, points, _ = write_tables(tmp_path, warned=(14, 16))
    figure = drawn(cost_quality, tmp_path)
    panels = figure.get_axes()
    assert [axes.get_title(loc="left") for axes in panels] == ["Quadratic cost", "Linear cost", "Weight memory"]
    for axes, model in zip(panels, COST_MODELS, strict=True):
        assert axes.get_xscale() == "log"
        every = sorted(100 * row.test_accuracy for row in points)
        assert values(axes, "efficient", "beaten", "warned") == pytest.approx(every)
        assert values(axes, "seeds") == pytest.approx(sorted(100 * row.test_accuracy for row in networks), rel=1e-6)
        assert len(values(axes, "warned")) == len(FORMATS)
        assert len(values(axes, "beaten")) == 1  # the network that write_tables makes worse than a cheaper one
        curves = [line for line in axes.get_lines() if line.get_gid() == "curve"]
        assert len(curves) == len(FORMATS)
        for line, name in zip(curves, FORMATS, strict=True):
            own = [row for row in points if row.number_format == name]
            costs = np.array([getattr(row, model) for row in own], dtype=float)
            accuracies = np.array([row.test_accuracy for row in own])
            expected = [100 * curve_at(costs, accuracies, cost) for cost in np.asarray(line.get_xdata())]
            assert np.asarray(line.get_ydata()).tolist() == pytest.approx(expected, rel=1e-6)
    assert "By linear cost, w4a4_ends8 dominates bfloat16; undecided: bfloat16 and w8a8, w8a8 and w4a4" in words(figure)
    assert "By quadratic cost, no common cost: bfloat16 and w8a8" in words(figure)


def test_gaps_are_drawn_by_format_from_small_to_large(tmp_path: Path) -> None:
    networks, points, _ = write_tables(tmp_path, warned=(8, 8))
    (axes,) = drawn(generalization_gap, tmp_path).get_axes()
    assert [label.get_text() for label in axes.get_xticklabels()] == list(FORMATS)
    assert values(axes, "mean", "warned") == pytest.approx(sorted(100 * row.generalization_gap for row in points))
    assert values(axes, "seed") == pytest.approx(sorted(100 * row.generalization_gap for row in networks), rel=1e-6)
    assert len(values(axes, "warned")) == len(FORMATS)
    at = {float(np.ravel(line.get_xdata())[0]) for line in axes.get_lines() if line.get_gid() in ("mean", "warned")}
    assert len(at) == len(FORMATS) * len(SIZES)


def test_one_format_and_one_seed_have_figures_too(tmp_path: Path) -> None:
    write_tables(tmp_path, formats=("w8a8",), seeds=1)
    figure = drawn(cost_quality, tmp_path)
    assert "no verdict is reached" in words(figure)
    assert "A dominates B" not in words(figure)
    labels = [line for line in drawn(generalization_gap, tmp_path).findobj(Line2D) if line.get_gid() == "seed"]
    assert len(labels) == len(SIZES)


def test_one_network_has_a_figure_too(tmp_path: Path) -> None:
    networks, points, _ = write_tables(tmp_path, formats=("w8a8",), seeds=1)
    write_table(tmp_path / "cost_quality.csv", CostQualityRow, networks[:1])
    write_table(tmp_path / "cost_quality_points.csv", CostQualityPointRow, points[:1])
    for axes, model in zip(drawn(cost_quality, tmp_path).get_axes(), COST_MODELS, strict=True):
        (tick,) = axes.get_xticks()
        assert tick == pytest.approx(getattr(points[0], model), rel=0.1)


def test_missing_and_empty_tables_are_one_sentence(tmp_path: Path) -> None:
    for module in (cost_quality, generalization_gap):
        with pytest.raises(UserError, match="run `ib cost-quality` first"):
            drawn(module, tmp_path)
    write_tables(tmp_path)
    write_table(tmp_path / "cost_quality_points.csv", CostQualityPointRow, [])
    with pytest.raises(UserError, match="has no rows"):
        drawn(cost_quality, tmp_path)
