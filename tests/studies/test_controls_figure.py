"""The figure of controls: everything is drawn once, and what is not allowed is crossed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ib_analysis.artifacts import UserError
from ib_analysis.information.table import write_table
from ib_analysis.plots.style import drawing_style
from ib_analysis.studies.controls import figure as controls
from ib_analysis.studies.controls.row import COMMON_NULL, LOWER_BOUND, OWN_NULL, ControlRow


def row(control: str, layer: str, quantity: str, bits: float, passed: str = "shown", **given) -> ControlRow:
    known = {
        "experiment": "toy", "control": control, "task": "classification", "encoder_seed": 0, "decoder_seed": 0,
        "epoch": 2, "layer": layer, "quantity": quantity, "bits": bits, "low": bits - 0.2, "high": bits + 0.2,
        "allowed_low": None, "allowed_high": None, "rule": "", "passed": passed, "warnings": "", "n_images": 10,
        "null_code_length_bits": 30.0, "h_x_bits": 27.5, "decoder": "", "decoder_steps": None, "command": "",
    }  # fmt: skip
    return ControlRow(**{**known, **given})


NOTHING = [
    row("shuffled", "h1", OWN_NULL, 0.1, "yes", allowed_low=-0.5, allowed_high=0.5),
    row("shuffled", "h1", COMMON_NULL, -0.9),
    row("constant", "h1", OWN_NULL, 1.3, "no", allowed_low=-0.5, allowed_high=0.5),
    row("permuted_labels", "h1", "I(H;Y), permuted labels", -0.1, "yes", allowed_high=0.0),
]
CEILINGS = [
    row("image", "image", "L, code length", 0.4),
    row("image", "image", COMMON_NULL, 29.6),
    row("image", "image", LOWER_BOUND, 27.1),
    *(row("untrained", "h1", f"{what}, {state}", 2.0) for what in ("I(X;H)", "I(H;Y)") for state in (
        "untrained", "trained", "trained - untrained",
    )),
    row("bottleneck", "h4_signs2", LOWER_BOUND, 2.9, "no", allowed_high=2.0, warnings="information_above_upper_bound"),
    row("bottleneck", "h4_signs2", COMMON_NULL, 1.5, allowed_high=2.0),
    row("bottleneck", "h4_signs2", "H(H), plug-in of the training images", 1.9, allowed_high=2.0),
]  # fmt: skip
PAIRS = [
    row("data_processing", "h1 > h2", "loss", bits, passed, epoch=epoch, task=task)
    for task in ("classification", "autoencoding")
    for epoch, bits, passed in ((0, 1.0, "yes"), (2, -1.0, "violation"))
]


def drawn(folder: Path, rows: list[ControlRow]) -> tuple[Figure, Counter]:
    table = folder / "controls.csv"
    write_table(table, ControlRow, rows)
    with drawing_style():
        ((_, figure),) = controls.draw(table)
        figure.draw_without_rendering()
    marks = Counter(artist.get_gid() for artist in figure.findobj(Line2D) if artist.get_gid())
    return figure, marks


def test_all_is_drawn_and_only_what_is_not_allowed_is_crossed(tmp_path: Path) -> None:
    figure, marks = drawn(tmp_path, NOTHING + CEILINGS + PAIRS)
    assert marks["no"] == 2
    assert marks["violation"] == 2
    # 4 + image 2 + untrained 4 + bottleneck 2 (one of them warned) + pairs 4
    assert (marks["control"], marks["warned"]) == (15, 1)
    assert {"Nothing to be found", "Layers of n binary units", "Ceiling, and the untrained network"} <= {
        axes.get_title(loc="left") for axes in figure.axes
    }
    text = " ".join(artist.get_text() for artist in figure.texts)
    assert "2 of 4 rules kept" in text.replace("\n", " ")
    assert "2 of 4 below zero" in text.replace("\n", " ")


@pytest.mark.parametrize("rows", [NOTHING[:1], CEILINGS[:3], CEILINGS[-3:], PAIRS])
def test_one_control_alone_can_be_drawn(tmp_path: Path, rows: list[ControlRow]) -> None:
    figure, _ = drawn(tmp_path, rows)
    assert any("not run" in text.get_text() for axes in figure.axes for text in axes.texts)


def test_numbers_that_are_not_finite_are_survived(tmp_path: Path) -> None:
    broken = {"low": float("nan"), "high": float("inf"), "warnings": "not_finite"}
    drawn(tmp_path, [row("shuffled", "h1", COMMON_NULL, 0.0, **broken), *PAIRS])


def test_a_missing_or_empty_table_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `ib controls` first"):
        list(controls.draw(tmp_path / "controls.csv"))
    write_table(tmp_path / "controls.csv", ControlRow, [])
    with pytest.raises(UserError, match="has no rows"):
        list(controls.draw(tmp_path / "controls.csv"))
