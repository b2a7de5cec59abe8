"""H(X) is drawn and said to be Shannon's I(X;H) only of layers that can hold every image and were seen to."""

from __future__ import annotations

import dataclasses

import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from saved_experiments import LAYERS

from ib_analysis.information.shannon import capacity_bits, holds_all, upper_bound_bits
from ib_analysis.information.table import InformationRow, read_table, write_table
from ib_analysis.plots import information_by_epoch, information_plane
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.shannon import draw_truth_about_images, shannon_note


@pytest.fixture
def row(make_experiment) -> InformationRow:
    return SavedExperiment(make_experiment()).information[0]


def changed(row: InformationRow, **columns) -> InformationRow:
    return dataclasses.replace(row, height=1, width=1, code_bits=None, **columns)


@pytest.mark.parametrize(
    ("units", "h_x", "null", "distinct", "held", "upper"),
    [
        (64, 27.5, 28.6, 1.0, True, 27.5),
        (64, 27.5, 28.6, None, True, 27.5),
        (64, 27.5, 28.6, 0.999, False, 27.5),  # two images share their activations
        (1, 27.5, 28.6, 1.0, False, 16.0),  # no room, whatever was seen
        (64, None, 10_000.0, 1.0, False, 1024.0),  # a pooled h4 of CIFAR
        (64, None, 1000.0, 1.0, True, 1000.0),
        (64, None, 1000.0, None, None, 1000.0),  # not looked at
    ],
)
def test_a_layer_holds_every_image_where_it_has_room_and_is_seen_to(
    row: InformationRow, units: int, h_x: float | None, null: float, distinct: float | None, held: bool, upper: float
) -> None:
    cell = changed(row, channels=units, h_x_bits=h_x, null_code_length_bits=null, distinct_activations=distinct)
    assert holds_all(cell) is held
    assert upper_bound_bits(cell) == upper
    coded = dataclasses.replace(cell, code_bits=2)
    assert (capacity_bits(coded), holds_all(coded)) == (2 * units, None)


def test_the_sentence_names_the_layers(row: InformationRow) -> None:
    def cell(layer: str, units: int, distinct: float | None, **columns) -> InformationRow:
        given = {"h_x_bits": None, "null_code_length_bits": 100.0, **columns}
        return changed(row, layer=layer, channels=units, distinct_activations=distinct, **given)

    large, small, shared, unknown = cell("h1", 50, 1.0), cell("h4", 4, 1.0), cell("h2", 50, 0.5), cell("h3", 50, None)
    assert "is H(X) at every epoch in every float layer" in shannon_note([large], None)
    told = shannon_note([large, shared, unknown, small], None)
    assert "is H(X) at every epoch in h1:" in told
    assert "h4 at most 64 bits" in told
    assert "In h2 images share activations" in told
    assert "in h3 has not been looked at" in told
    assert "is H(X) at" not in shannon_note([small], None)
    known = shannon_note([cell("h1", 50, 1.0, h_x_bits=90.0)], 90.0, " (dashed line)")
    assert "H(X) = 90.0 bits at every epoch (dashed line) in" in known
    assert shannon_note([dataclasses.replace(large, code_bits=2)], None) == ""
    beside_codes = shannon_note([small, dataclasses.replace(small, code_bits=1)], None)
    assert "every image as float numbers (units x bits): h4 at most 64 bits" in beside_codes
    later = dataclasses.replace(large, epoch=7, distinct_activations=0.9)
    assert "is H(X) at" not in shannon_note([large, later], None)  # not at one epoch: not at every epoch


@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_line_is_drawn_for_the_layers_that_it_is_true_of(row: InformationRow, axis: str) -> None:
    large, small = (changed(row, layer=name, channels=units, h_x_bits=50.0) for name, units in (("h1", 9), ("h4", 2)))

    def lines(*rows: InformationRow) -> dict[str, list[float]]:
        axes = Figure().subplots()
        draw_truth_about_images(axes, axis, rows, 50.0, 40.0)
        texts.append(" ".join(text.get_text() for text in axes.texts))
        drawn = {gid: [line for line in axes.get_lines() if line.get_gid() == gid] for gid in ("truth", "upper_end")}
        at = Line2D.get_xdata if axis == "x" else Line2D.get_ydata
        return {gid: [float(at(line)[0]) for line in found] for gid, found in drawn.items()}

    texts: list[str] = []
    assert lines(large) == {"truth": [50.0], "upper_end": []}
    assert " in " not in texts[-1]
    assert lines(large, small) == {"truth": [50.0], "upper_end": [32.0]}
    assert "H(X) = 50.0 bits in h1" in texts[-1]
    assert "h4: at most 32 bits" in texts[-1]
    assert lines(small) == {"truth": [], "upper_end": [32.0]}


@pytest.mark.parametrize("module", [information_plane, information_by_epoch])
def test_figures_do_not_draw_the_line_for_layers_that_are_too_small(make_experiment, module) -> None:
    folder = make_experiment(h_x=271.3, factors=False)
    path = folder / "information.csv"
    rows = read_table(path, InformationRow)
    write_table(path, InformationRow, [dataclasses.replace(row, channels=3, height=1, width=1) for row in rows])
    ((_, figure),) = module.draw(SavedExperiment(folder))
    ends = figure.findobj(lambda artist: isinstance(artist, Line2D) and artist.get_gid() == "upper_end")
    assert len(ends) == 2 * len(LAYERS)
    truths = figure.findobj(lambda artist: isinstance(artist, Line2D) and artist.get_gid() == "truth")
    assert len(truths) == 2  # those of H(Y)
