"""The figure of an audit: every number of the tables at its place, and the panels that the tables have."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ib_analysis.artifacts import UserError
from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.table import write_table
from ib_analysis.plots.style import WARNED, drawing_style, layer_colour
from ib_analysis.studies.audit import figure as audit
from ib_analysis.studies.audit.hysteresis import HysteresisRow, hysteresis_rows
from ib_analysis.studies.audit.rows import AuditRow, Cost, Measured, Place, audit_row, pool

BOOTSTRAP = Bootstrap(n_resamples=99)
RNG = np.random.default_rng(0)


def measured(mean: float, warnings: tuple[str, ...] = ()) -> Measured:
    return Measured(mean + RNG.normal(size=30), 30 + RNG.normal(size=30), Cost(10, 320, 1e9, 3), warnings)


def table(folder: Path, remedies: tuple[str, ...]) -> tuple[Path, list[AuditRow]]:
    """Two cells at two multiples; the second cell of the first task has a warning."""
    places = [Place("classification", "float32", 0, 0, 4, "h2"), Place("autoencoding", "float32", 0, 0, 0, "h4")]
    null, rows = np.full(30, 30.0), []
    for remedy in ("none", *remedies):
        for multiple in (1, 10):
            shared, dedicated = [measured(20), measured(18)], [measured(22 - multiple / 10), measured(21, ("w",))]
            for k, place in enumerate(places):
                rows.append(audit_row("toy", remedy, place, multiple, null, shared[k], dedicated[k], BOOTSTRAP))
            everything = Place(n_cells=2)
            rows.append(
                audit_row("toy", remedy, everything, multiple, null, pool(shared), pool(dedicated), BOOTSTRAP)
            )  # fmt: skip
    path = folder / "audit.csv"
    write_table(path, AuditRow, rows)
    return path, rows


def sweeps(folder: Path) -> tuple[Path, list[HysteresisRow]]:
    place = Place("classification", "float32", 0, 0, None, "h3")
    rows = hysteresis_rows("toy", place, [(epoch, measured(20), measured(20)) for epoch in (0, 3, 9)], BOOTSTRAP)
    path = folder / "hysteresis.csv"
    write_table(path, HysteresisRow, rows)
    return path, rows


def drawn(*tables: Path | None) -> Figure:
    with drawing_style():
        (name, figure), *others = audit.draw(*tables)  # type: ignore[arg-type]
        figure.draw_without_rendering()
    assert name == "audit"
    assert not others
    return figure


def panels(figure: Figure) -> dict[str, Axes]:
    return {axes.get_title(loc="left").split(" ")[0]: axes for axes in figure.get_axes()}


def points(axes: Axes, gid: str) -> list[Line2D]:
    return [line for line in axes.get_lines() if line.get_gid() == gid and line.get_marker() not in ("None", "_", "|")]


def values(axes: Axes, *gids: str) -> list[float]:
    return sorted(float(line.get_ydata()[0]) for gid in gids for line in points(axes, gid))  # type: ignore[index]


def test_all_gaps_are_drawn_and_warned_ones_hollow(tmp_path: Path) -> None:
    path, rows = table(tmp_path, ())
    found = panels(drawn(path, None))
    assert set(found) == {"Gap", "Mean"}
    gap = found["Gap"]
    assert values(gap, "value", "warned") == pytest.approx(sorted(row.gap_bits for row in rows), rel=1e-6)
    hollow = points(gap, "warned")
    assert len(hollow) == sum(bool(row.warnings) for row in rows) == 4
    assert {to_hex(line.get_markerfacecolor()) for line in hollow} == {"#ffffff"}
    assert {to_hex(line.get_color()) for line in hollow} == {WARNED}
    labels = [label.get_text() for label in gap.get_xticklabels()]
    assert labels == ["autoenc.\nh4\nep. 0", "class.\nh2\nep. 4", "mean of\nall cells"]


def test_information_is_shown_against_both_nulls(tmp_path: Path) -> None:
    path, rows = table(tmp_path, ())
    axes = panels(drawn(path, None))["Mean"]
    together = [row for row in rows if row.layer == "all"]
    by_colour = {
        colour: [float(line.get_ydata()[0]) for line in points(axes, "value") if to_hex(line.get_color()) == colour]  # type: ignore[index]
        for colour in (layer_colour(0).lower(), layer_colour(1).lower())
    }
    common, own = by_colour.values()
    assert common == pytest.approx([together[0].shared_i_xh_bits, *(row.i_xh_bits for row in together)], rel=1e-6)
    expected = [together[0].shared_own_null_i_xh_bits, *(row.own_null_i_xh_bits for row in together)]
    assert own == pytest.approx(expected, rel=1e-6)
    assert axes.get_title(loc="left") == "Mean information, reported in two ways"


def test_readers_have_no_null_of_their_own_to_be_shown(tmp_path: Path) -> None:
    path, rows = table(tmp_path, ())
    nulls = [field.name for field in dataclasses.fields(AuditRow) if "own_null" in field.name]
    write_table(path, AuditRow, [dataclasses.replace(row, **dict.fromkeys(nulls)) for row in rows])
    figure = drawn(path, None)
    axes = panels(figure)["Mean"]
    assert axes.get_title(loc="left") == "Mean information"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["against the common L0"]


def test_remedies_and_sweeps_have_panels_where_there_are_any(tmp_path: Path) -> None:
    path, rows = table(tmp_path, ("larger_trunk",))
    hysteresis, swept = sweeps(tmp_path)
    found = panels(drawn(path, hysteresis))
    assert set(found) == {"Gap", "Mean", "Warm", "Attempts"}
    assert values(found["Warm"], "value") == pytest.approx(sorted(row.difference_bits for row in swept), rel=1e-6)
    labels = [label.get_text() for label in found["Attempts"].get_yticklabels()]
    assert sorted(labels) == ["as it is (1.0×)", "larger trunk (1.0×)"]
    longest = sorted((row for row in rows if (row.layer, row.multiple) == ("all", 10)), key=lambda row: row.gap_bits)
    names = ["as it is" if row.remedy == "none" else "larger trunk" for row in longest]
    assert [label.split(" (")[0] for label in labels] == names


def test_a_missing_or_empty_table_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `ib audit` first"):
        drawn(tmp_path / "audit.csv", None)
    write_table(tmp_path / "audit.csv", AuditRow, [])
    with pytest.raises(UserError, match="has no rows"):
        drawn(tmp_path / "audit.csv", None)
