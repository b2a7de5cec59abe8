"""The figure of brackets: every end of the table is drawn, open below on real images, and shortcuts are told."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation

from ib_analysis.information.brackets_table import BracketRow, brackets_text
from ib_analysis.information.table import InformationRow, read_table, write_table
from ib_analysis.plots import brackets
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import drawing_style

ROW = BracketRow(
    experiment="toy", task="classification", number_format="w2a2", encoder_seed=0, decoder_seed=0, epoch=50,
    layer="h1", units=64, code_bits=2, code_is_bottleneck=1, capacity_bits=128.0, null_code_length_bits=30.0,
    null_code_length_bits_low=29.0, null_code_length_bits_high=31.0, h_x_bits=27.5, entropy_code_bits=44.0,
    entropy_code_bits_low=43.0, entropy_code_bits_high=45.0, density_bits=22.0, density_bits_low=21.0,
    density_bits_high=23.0, density_warnings="", earlier_layer="", earlier_layer_bits=None, earlier_layer_bits_low=None,
    earlier_layer_bits_high=None, upper_bits=22.0, upper_bits_low=21.0, upper_bits_high=23.0, upper_end="density",
    lower_bits=12.0, lower_bits_low=11.0, lower_bits_high=13.0, width_bits=10.0, counted_bits=None,
    counted_bits_low=None, counted_bits_high=None, i_xh_bits=14.5, i_xh_bits_low=13.5, i_xh_bits_high=15.5,
    i_hy_bits=2.0, warnings="",
)  # fmt: skip
REAL = {"h_x_bits": None, "lower_bits": None, "lower_bits_low": None, "lower_bits_high": None, "width_bits": None}


def drawn(experiment: Path, tmp_path: Path, rows: list[BracketRow]) -> list[tuple[str, Figure]]:
    """The figure of an experiment whose classifier is quantized to 2 bits; its other task stays real."""
    folder = tmp_path / "toy"
    folder.mkdir()
    known = rows and rows[0].h_x_bits is not None
    measured = []
    for row in read_table(experiment / "information.csv", InformationRow):
        quantized = dataclasses.replace(row, number_format="w2a2")
        measured += [dataclasses.replace(found, h_x_bits=27.5 if known else None) for found in (row, quantized)]
    write_table(folder / "information.csv", InformationRow, measured)
    write_table(folder / "brackets.csv", BracketRow, rows)
    with drawing_style():
        return list(brackets.draw(SavedExperiment(folder)))


def marks(figure: Figure, gid: str) -> list[float]:
    return [float(line.get_ydata()[-1]) for line in figure.findobj(Line2D) if line.get_gid() == gid]  # type: ignore[index]


def last_epoch(experiment: Path) -> int:
    return max(row.epoch for row in read_table(experiment / "information.csv", InformationRow))


def test_all_ends_are_drawn(experiment: Path, tmp_path: Path) -> None:
    row = dataclasses.replace(ROW, epoch=last_epoch(experiment))
    small = dataclasses.replace(row, layer="h4", counted_bits=15.0, counted_bits_low=15.0, counted_bits_high=15.0)
    earlier = dataclasses.replace(row, epoch=0, density_bits=3.0)
    ((name, figure),) = drawn(experiment, tmp_path, [earlier, row, small])
    assert name == "brackets"
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["h1", "h4"]
    assert marks(figure, "capacity") == [128.0] * 2
    assert marks(figure, "entropy_code") == [44.0] * 2
    assert marks(figure, "density") == [22.0] * 2
    assert marks(figure, "null_code_length") == [30.0] * 2
    assert marks(figure, "bracket") == [22.0] * 2
    assert marks(figure, "counted") == [15.0]
    assert len(marks(figure, "usable")) == 4  # two layers, two formats
    assert not [text for text in figure.findobj(Annotation) if text.get_gid() == "open"]


def test_a_layer_knows_no_more_than_the_codes_it_is_computed_from(experiment: Path, tmp_path: Path) -> None:
    row = dataclasses.replace(ROW, epoch=last_epoch(experiment), upper_bits=9.0, density_bits=9.0)
    later = dataclasses.replace(
        row, layer="h2", density_bits=22.0, earlier_layer="h1", earlier_layer_bits=9.0, upper_end="earlier_layer"
    )
    ((_, figure),) = drawn(experiment, tmp_path, [row, later])
    assert marks(figure, "earlier_layer") == [9.0]
    assert marks(figure, "bracket") == [9.0, 9.0]
    assert "upper end of h1" in brackets_text([row, later])


def test_an_earlier_layer_that_tells_no_more_than_l0_has_no_mark(experiment: Path, tmp_path: Path) -> None:
    row = dataclasses.replace(ROW, epoch=last_epoch(experiment), **REAL)
    later = dataclasses.replace(row, layer="h2", earlier_layer="h1", earlier_layer_bits=row.null_code_length_bits)
    ((_, figure),) = drawn(experiment, tmp_path, [row, later])
    assert not marks(figure, "earlier_layer")


def test_real_images_have_no_lower_end_and_shortcuts_are_told(experiment: Path, tmp_path: Path) -> None:
    row = dataclasses.replace(ROW, epoch=last_epoch(experiment), code_is_bottleneck=0, **REAL)
    ((_, figure),) = drawn(experiment, tmp_path, [row])
    assert not marks(figure, "bracket")
    assert len([text for text in figure.findobj(Annotation) if text.get_gid() == "open"]) == 1
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["float32", "w2a2 *"]
    assert any("no bottleneck" in text.get_text() for text in figure.texts)


def test_without_codes_there_is_no_figure(experiment: Path, tmp_path: Path) -> None:
    assert drawn(experiment, tmp_path, []) == []


def test_the_table_in_words() -> None:
    told = brackets_text([ROW, dataclasses.replace(ROW, layer="h2", code_is_bottleneck=0)])
    assert "64 x 2 bits *" in told
    assert "density model of the codes" in told
    assert "no bottleneck" in told
    assert "lower end" not in brackets_text([dataclasses.replace(ROW, **REAL)])
    assert brackets_text([]) == ""
