"""The figure of number formats: every layer and format at the last epoch, and where the networks stand in quality."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.text import Text

from ib_analysis.information.table import InformationRow, read_table, write_table
from ib_analysis.plots import number_formats
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import drawing_style


@pytest.fixture
def folder(experiment: Path, tmp_path: Path) -> Path:
    """An experiment of which every network is there in float32 and, with half its bits and worse, in w4a4."""
    made = tmp_path / "toy"
    rows = []
    for row in read_table(experiment / "information.csv", InformationRow):
        half = dataclasses.replace(row, number_format="w4a4", i_xh_bits=row.i_xh_bits / 2)
        rows += [row, half]
    made.mkdir()
    write_table(made / "information.csv", InformationRow, rows)
    for path in (experiment / "encoders").glob("*/training.csv"):
        for name in (path.parent.name, path.parent.name.replace("float32", "w4a4")):
            shutil.copytree(path.parent, made / "encoders" / name)
    return made


def test_layers_formats_and_quality_are_drawn(folder: Path) -> None:
    with drawing_style():
        ((name, figure),) = number_formats.draw(SavedExperiment(folder))
    assert name == "number_formats"
    rows = read_table(folder / "information.csv", InformationRow)
    last = [row for row in rows if row.epoch == rows[-1].epoch]
    layers, tasks = {row.layer for row in last}, {row.task for row in last}
    assert len(figure.axes) == 3 * len(tasks)
    for axes in figure.axes:
        assert len([bar for bar in axes.containers if isinstance(bar, ErrorbarContainer)]) == 2 * len(layers)
    first = [bar.lines[0].get_ydata()[0] for bar in figure.axes[0].containers[:2]]  # type: ignore[union-attr]
    assert first[1] == pytest.approx(first[0] / 2, rel=1e-6)
    told = [text.get_text() for text in figure.findobj(Text) if text.get_gid() == "format"]
    assert sorted(told) == sorted(["float32", "w4a4"] * len(tasks))


def test_one_format_gives_no_figure(experiment: Path) -> None:
    assert list(number_formats.draw(SavedExperiment(experiment))) == []
