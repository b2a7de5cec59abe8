"""Quantized formats in the figures: which cells are real numbers still, and what is said about the codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from saved_experiments import EPOCHS, TASKS, MakeExperiment

from ib_analysis.artifacts import sha256_of_file
from ib_analysis.information.table import InformationRow, read_table, write_table
from ib_analysis.plots import information_by_epoch, information_plane
from ib_analysis.plots.codes import codes_notes, real_yet
from ib_analysis.plots.curves import panels_of
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import drawing_style, save

START = 5
"""First epoch with codes."""
CODES = {  # task -> tap -> (bits, is_bottleneck), as with shortcut A
    "classification": {"h1": (4, 0), "h2": (4, 0), "h4": (8, 1)},
    "autoencoding": {"h1": (4, 0), "h2": (4, 0), "h3": (4, 1)},
}


def coded(row: InformationRow, number_format: str) -> InformationRow:
    """The same cell in another format, with a little less information."""
    code = CODES[row.task].get(row.layer) if number_format.startswith("w") and row.epoch >= START else None
    bits, bottleneck = code or (None, None)
    return replace(
        row, number_format=number_format, i_xh_bits=0.93 * row.i_xh_bits, i_xh_bits_low=0.93 * row.i_xh_bits_low,
        i_xh_bits_high=0.93 * row.i_xh_bits_high, code_bits=bits, code_is_bottleneck=bottleneck,
    )  # fmt: skip


def quantized(folder: Path, *formats: str) -> SavedExperiment:
    """The experiment with the same cells in further formats."""
    rows = read_table(folder / "information.csv", InformationRow)
    rows += [coded(row, name) for name in formats for row in rows]
    write_table(folder / "information.csv", InformationRow, rows)
    return SavedExperiment(folder)


def drawn(draw: Callable, saved: SavedExperiment) -> Figure:
    with drawing_style():
        ((_, figure),) = draw(saved)
    return figure


def crosses(figure: Figure) -> list[Line2D]:
    return [line for line in figure.findobj(Line2D) if line.get_gid() == "real_yet"]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for one in figure.findobj(Legend) for text in one.get_texts()]


def told(figure: Figure) -> str:
    return " ".join(" ".join(text.get_text() for text in figure.texts).split())


def test_the_plane_crosses_out_what_becomes_codes_later(make_experiment: MakeExperiment) -> None:
    saved = quantized(make_experiment(), "w4a4_ends8")
    figure = drawn(information_plane.draw, saved)
    places = [(x, y) for line in crosses(figure) for x, y in zip(*line.get_data(), strict=True)]
    expected = [
        (row.i_xh_bits, row.i_hy_bits)
        for row in saved.information
        if row.number_format == "w4a4_ends8" and row.epoch < START
    ]
    assert len(expected) == 2 * 4 * sum(epoch < START for epoch in EPOCHS)
    assert sorted(places) == sorted(expected)
    assert sum("crossed" in text for text in legend(figure)) == 1


def test_curves_over_epochs_do_so_too(make_experiment: MakeExperiment) -> None:
    saved = quantized(make_experiment(seeds=(0, 1)), "w4a4_ends8")
    figure = drawn(information_by_epoch.draw, saved)
    found = crosses(figure)
    assert len(found) == 2 * len(TASKS) * 4  # quantities, tasks, taps
    assert all(tuple(line.get_xdata()) == (0, 1, 2) for line in found)
    heights = np.concatenate([line.get_ydata() for line in found])
    points = [
        np.mean([getattr(row, column) for row in cells])
        for column in ("i_xh_bits", "i_hy_bits")
        for task in TASKS
        for tap in ("h1", "h2", "h3", "h4")
        for epoch in EPOCHS
        if epoch < START
        and (cells := [
            row for row in saved.information
            if (row.task, row.number_format, row.layer, row.epoch) == (task, "w4a4_ends8", tap, epoch)
        ])
    ]  # fmt: skip
    assert sorted(heights) == pytest.approx(sorted(points))
    assert sum("crossed" in text for text in legend(figure)) == 1


def test_peaks_are_those_of_the_quantized_network(make_experiment: MakeExperiment) -> None:
    folder = make_experiment()
    quantized(folder, "w4a4_ends8")
    rows = [
        replace(row, i_xh_bits=1000.0) if (row.number_format, row.epoch) == ("w4a4_ends8", 0) else row
        for row in read_table(folder / "information.csv", InformationRow)
    ]
    write_table(folder / "information.csv", InformationRow, rows)
    figure = drawn(information_by_epoch.draw, SavedExperiment(folder))
    rings = [line for line in figure.findobj(Line2D) if line.get_gid() == "peak"]
    assert len(rings) == 2 * 2 * len(TASKS) * 4  # quantities, formats, tasks, taps
    assert max(line.get_ydata()[0] for line in rings) < 1000
    for line in rings:
        bottom, top = line.axes.get_ylim()
        assert bottom <= line.get_ydata()[0] <= top


@pytest.mark.parametrize("draw", [information_plane.draw, information_by_epoch.draw])
def test_notes_say_per_format_what_the_codes_are(make_experiment: MakeExperiment, draw: Callable) -> None:
    words = told(drawn(draw, quantized(make_experiment(), "bfloat16", "w4a4_ends8", "w8a8")))
    assert "Crossed: the checkpoint lies before" in words
    assert (
        "w4a4_ends8 and w8a8: in classification the codes of h1 and h2 are no bottleneck (real numbers pass beside "
        "them on a shortcut), and h3 is made of real numbers at all epochs; in autoencoding the codes of h1 and h2 are "
        "no bottleneck (real numbers pass beside them on a shortcut), and h4 is made of real numbers at all epochs."
    ) in words
    assert "bfloat16:" not in words


def test_formats_and_tasks_that_differ_are_told_apart(make_experiment: MakeExperiment) -> None:
    rows = quantized(make_experiment(), "w4a4", "w8a8").information
    narrow = {"w8a8": {"code_bits": 8, "code_is_bottleneck": 1}}
    notes = codes_notes([replace(row, **narrow.get(row.number_format, {})) for row in rows])
    assert [note.partition(":")[0] for note in notes] == ["Crossed", "w4a4", "w8a8"]
    assert notes[2] == "w8a8: in classification and autoencoding codes are all that goes on from every layer."


def test_without_codes_nothing_is_crossed_or_said(make_experiment: MakeExperiment) -> None:
    rows = SavedExperiment(make_experiment()).information
    assert not any(real_yet(rows, panel) for panel in panels_of(rows))
    assert codes_notes(rows) == []
    # as a table of a version that did not know codes
    assert codes_notes([replace(row, number_format="w4a4") for row in rows]) == []


def test_codes_from_the_first_checkpoint_on_are_not_crossed(make_experiment: MakeExperiment) -> None:
    saved = quantized(make_experiment(), "w8a8")
    rows = [row for row in saved.information if row.epoch >= START]
    notes = codes_notes(rows)
    assert len(notes) == 1
    assert notes[0].startswith("w8a8: ")


def test_older_tables_of_floating_point_formats_give_the_same_bytes(
    make_experiment: MakeExperiment, tmp_path: Path
) -> None:
    """A figure without quantized formats does not depend on the columns of codes."""
    folder = make_experiment()
    found = []
    for columns in ("all", "older"):
        table = folder / "information.csv"
        if columns == "older":
            table.write_text("".join(line.rsplit(",", 2)[0] + "\n" for line in table.read_text().splitlines()))
        saved = SavedExperiment(folder)
        with drawing_style():
            for module in (information_plane, information_by_epoch):
                for name, figure in module.draw(saved):
                    found.append(sha256_of_file(save(figure, tmp_path / columns, name)[0]))
    assert found[: len(found) // 2] == found[len(found) // 2 :]
