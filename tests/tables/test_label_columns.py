"""I(H;Y) of a layer is at least that of every later layer that is a function of it, and of no other."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from ib_analysis.cli import main, parse_experiment
from ib_analysis.experiment import Experiment
from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.table import InformationRow, read_table
from ib_analysis.records import encoders
from ib_analysis.records.codes import Code
from ib_analysis.records.probes import best_kind
from ib_analysis.tables import label_columns
from ib_analysis.tables.label_columns import label_bound_columns, layers_of_bound


def test_codes_beside_which_real_numbers_pass_determine_nothing() -> None:
    later = ("h2", "h4")
    assert layers_of_bound("h1", later, None) == ("h1", "h2", "h4")
    assert layers_of_bound("h1", later, Code(3, "h1", 4, 1)) == ("h1", "h2", "h4")
    assert layers_of_bound("h1", later, Code(3, "h1", 4, 0)) == ("h1",)


def probes(validation: float, evaluation: float, overfits: bool | None = False) -> dict[str, np.ndarray]:
    found = {}
    for kind, worse in (("linear", 0.0), ("network", 0.1)):
        found[f"label/{kind}"] = np.full(40, evaluation + worse)
        found[f"label/{kind}/validation"] = np.array(validation + worse)
    return found if overfits is None else {**found, "label/network/overfits_at_once": np.array(overfits)}


@pytest.fixture
def experiment(tiny: Path) -> Experiment:
    return Experiment(parse_experiment("train", ["tiny.yaml", "--tasks", "[classification]"]))


def test_the_validation_images_choose_the_layer(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    # h4 looks best on the evaluation images, h3 on the validation images; another epoch does not count.
    known = {(2, "h1"): probes(2.0, 2.2, True), (2, "h3"): probes(1.0, 1.2, None), (2, "h4"): probes(1.1, 0.9)}
    monkeypatch.setattr(label_columns, "probe_artifact", lambda experiment, run, cell: cell)
    monkeypatch.setattr(label_columns, "load_arrays", known.__getitem__)
    run, h_y = experiment.runs[0], np.log2(10)

    def columns(layer: str, code: Code | None = None) -> dict:
        return label_bound_columns(experiment, run, (2, layer), code, Bootstrap())

    for layer, best, bits in (("h1", "h3", 1.2), ("h3", "h3", 1.2), ("h4", "h4", 0.9)):
        found = columns(layer)
        assert found["i_hy_bound_layer"] == best
        assert found["i_hy_bound_bits"] == pytest.approx(h_y - bits)
        assert found["probe_warnings"] == ("network_probe_overfits_at_once" if layer == "h1" else "")
    assert columns("h1", Code(2, "h1", 4, 0))["i_hy_bound_layer"] == "h1"
    assert columns("h1", Code(2, "h1", 4, 1))["i_hy_bound_layer"] == "h3"


def test_a_network_that_says_nothing_of_its_taps_gets_no_bound(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = experiment.runs[0]
    assert encoders.later_layers(experiment, run) == {"h1": ("h3", "h4"), "h3": ("h4",), "h4": ()}  # h2 between them
    monkeypatch.setattr(encoders, "_determined_by", lambda *config: {"h4": "h3"})
    assert encoders.later_layers(experiment, run) == {"h1": (), "h3": ("h4",), "h4": ()}


def test_the_table_has_the_bound(tiny: Path) -> None:
    options = ["tiny.yaml", "--tasks", "[classification]", "--fitting.steps", "3"]
    assert main(["estimate-mi", *options]) == 0
    rows = read_table(Path("checkpoints/tiny/information.csv"), InformationRow)
    by_cell = {(row.epoch, row.layer): row for row in rows}
    folder = Path("checkpoints/tiny/probes/classification_float32_seed0")
    for row in rows:
        later = ["h1", "h3", "h4"][["h1", "h3", "h4"].index(row.layer) :]
        validation = {}
        for layer in later:
            with np.load(folder / f"epoch_{row.epoch:04d}_{layer}.npz") as arrays:
                validation[layer] = float(arrays[f"label/{best_kind(arrays, 'label')}/validation"])
        assert row.i_hy_bound_layer == min(validation, key=validation.__getitem__)
        assert row.i_hy_bound_bits == pytest.approx(by_cell[row.epoch, row.i_hy_bound_layer].i_hy_bits)
        # 64 pixels of noise and 2,880 clean images: all drawn images differ, and so do their activations.
        assert (row.distinct_activations, row.injective) == (1.0, 1)
        assert row.upper_bound_bits == row.h_x_bits
    # A table from before these columns is read as it is.
    path = Path("checkpoints/tiny/information.csv")
    with path.open(newline="") as file:
        header, *lines = list(csv.reader(file))
    keep = header.index("i_hy_bound_bits")
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(line[:keep] for line in (header, *lines))
    assert all(row.i_hy_bound_layer == "" for row in read_table(path, InformationRow))
