"""Figures of several number formats: no more than two panels side by side, and none over another."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from saved_experiments import EPOCHS, TASKS, MakeExperiment, write_csv, write_mean_maps

from ib_analysis.information.certificates_table import CertificateRow
from ib_analysis.information.table import FactorRow, InformationRow, read_table, write_table
from ib_analysis.plots import (
    certificates,
    factors_by_epoch,
    information_by_epoch,
    information_plane,
    phases,
    spike_ins,
)
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import drawing_style

FORMATS = ("float32", "w8a8", "w4a4_ends8")


def write_certificates(folder: Path, panels: list[tuple[str, str]]) -> None:
    """One epoch of one layer, and the null condition, of every decoder."""
    rows = []
    for task, number_format in panels:
        decoder = f"{task}_{number_format}_seed0_decoder0"
        row = CertificateRow(
            experiment="toy", task=task, number_format=number_format, encoder_seed=0, decoder_seed=0, decoder=decoder,
            epoch=0, layer="h1", serves_as_l0="no", reached_bits=20.0, bits_to_gain=0.2, bits_to_gain_low=0.1,
            bits_to_gain_high=0.4, asymptote_bits=19.8, asymptote_bits_low=19.6, asymptote_bits_high=19.9,
            steady_asymptote_bits=20.8, exponent=0.7, steady_start=400, steady_end=1500, early_stopped="no",
            steps_done=2000, best_step=2000, warnings="",
        )  # fmt: skip
        rows += [replace(row, epoch=epoch) for epoch in EPOCHS] + [replace(row, epoch=None, layer="null")]
        names = ["validation_null_bits", *(f"epoch_{epoch:04d}/h1" for epoch in EPOCHS)]
        curve = [{"step": step, **dict.fromkeys(names, 20 + 500 / step)} for step in range(100, 2100, 100)]
        write_csv(folder / "decoders" / decoder / "curve.csv", ["step", *names], curve)
    write_table(folder / "certificates.csv", CertificateRow, rows)


def saved_of(folder: Path, formats: tuple[str, ...], tasks: tuple[str, ...]) -> SavedExperiment:
    """An experiment with the same cells in several formats, with everything that the figures read."""
    for kind, name in ((InformationRow, "information.csv"), (FactorRow, "factors.csv")):
        found = [row for row in read_table(folder / name, kind) if row.task in tasks]
        write_table(folder / name, kind, [_in_format(row, other) for other in formats for row in found])
    write_mean_maps(folder)
    write_certificates(folder, [(task, name) for name in formats for task in tasks])
    return SavedExperiment(folder)


def _in_format(row, name: str):
    if isinstance(row, FactorRow):
        return replace(row, number_format=name)
    coins = {f"{column}{end}": 0.9 for column in ("spike_in_recovered", "spike_in_mixed_recovered")
             for end in ("", "_low", "_high")}  # fmt: skip
    decoder = f"{row.task}_{name}_seed0_decoder0"
    return replace(row, number_format=name, decoder=decoder, spike_in_bits=16.0, **coins)


@pytest.mark.parametrize(("tasks", "formats"), [(TASKS, FORMATS), (TASKS[:1], FORMATS)])
@pytest.mark.parametrize(
    "draw",
    [
        information_plane.draw, information_by_epoch.draw, factors_by_epoch.draw, phases.draw, spike_ins.draw,
        certificates.draw,
    ],
    ids=lambda draw: draw.__module__.rpartition(".")[2],
)  # fmt: skip
def test_panels_of_several_formats_have_room(
    make_experiment: MakeExperiment, draw: Callable, tasks: tuple[str, ...], formats: tuple[str, ...]
) -> None:
    with drawing_style(), warnings.catch_warnings():
        warnings.simplefilter("error")  # a layout that does not fit is only warned of
        ((_, figure),) = draw(saved_of(make_experiment(), formats, tasks))
        figure.draw_without_rendering()
    panels = [axes for axes in figure.findobj(Axes) if axes.get_label() != "<colorbar>"]
    assert len(panels) >= len(tasks) * len(formats)
    boxes = [axes.get_tightbbox() for axes in panels]
    for box in boxes:
        assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1 + 1
    for one, other in combinations(boxes, 2):
        across = min(one.x1, other.x1) - max(one.x0, other.x0)
        along = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(across, along) < 4, "two panels lie over each other"  # points at 100 dpi: a title may touch
