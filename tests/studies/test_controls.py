"""Controls through the real command line at a size of seconds; and that each of them can fail."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from decoders import Cell, ImageSpace, PixelCNNPP, PixelCNNPPConfig, code_lengths_bits, fit
from decoders.config import Architecture
from decoders.fitting.fit import FittingConfig
from ib_analysis import load_results
from ib_analysis.activations import Activations, Groups
from ib_analysis.cli import main, parse_experiment
from ib_analysis.experiment import Experiment
from ib_analysis.fits.feed import CellFeed
from ib_analysis.information import ProbeConfig, ProbeSplit, paired_bootstrap_interval, usable_information
from ib_analysis.information.table import read_table
from ib_analysis.results import Results
from ib_analysis.studies.altered import IMAGE, ImageItself, ShuffledActivations
from ib_analysis.studies.controls import ControlsConfig, permuted_labels
from ib_analysis.studies.controls.permuted_labels import permuted, probe_permuted
from ib_analysis.studies.controls.plan import Controls
from ib_analysis.studies.controls.row import CONTROLS, ControlRow, is_near_zero, may_be_below
from ib_analysis.studies.controls.rows import rows_of
from ib_analysis.studies.controls.summary import summary
from ib_analysis.studies.extra_fits import ExtraFits

EXPERIMENT = """
name: tiny
tasks: [classification]
layers: [h3, h4]
data: {factors: {n_encoder: 64, n_decoder: 80, n_evaluation: 24}}
encoder: {depth: 8, width: 4}
training: {epochs: 2, batch_size: 32, checkpoints: [0, 2]}
activations: {group_size: 8}
reader: gated
sharing: shared
decoder: {blocks: 1, filters: 4, output: categorical, dropout: 0.2, condition_filters: 4}
fitting:
  {steps: 12, batch_size: 16, learning_rate: 0.003, validate_every: 3, validation_images: 16, save_every: 3,
   optimiser: adam, matrix_learning_rate: 0.02, betas: [0.95, 0.9995], lr_decay_per_step: 0.999995, warmup_steps: 0,
   cooldown_share: 0.0, averaging: 0.9995, gradient_clip: null, halfway: false}
probe: {epochs: 2, hidden_units: 8}
estimation: {resamples: 200}
workers: 1
"""
FOLDER = Path("checkpoints/tiny")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all controls of a tiny experiment have been run."""
    folder = tmp_path_factory.mktemp("controls")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("tiny.yaml").write_text(EXPERIMENT)
        assert main(["controls", "tiny.yaml"]) == 0
    return folder


@pytest.fixture
def inside(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(finished)
    return finished


def rows(control: str | None = None) -> list[ControlRow]:
    found: list[ControlRow] = read_table(FOLDER / "controls.csv", ControlRow)
    return [row for row in found if control in (None, row.control)]


def own(control: str, what: str) -> np.ndarray:
    folder = FOLDER / "studies/controls/code_lengths" / control / "classification_float32_seed0_decoder0"
    return np.load(folder / f"{what}.npz")["bits"]


def experiments(name: str) -> np.ndarray:
    with h5py.File(FOLDER / "code_lengths.h5") as file:
        return file[name if name == "null" else f"classification_float32_seed0_decoder0/{name}"][:]


def test_every_control_has_its_rows_and_its_command(inside: Path) -> None:
    with (FOLDER / "controls.csv").open() as file:
        assert next(csv.reader(file)) == [field.name for field in dataclasses.fields(ControlRow)]
    counts = {name: len(rows(name)) for name in CONTROLS}
    # 2 layers; pairs of layers: 1 x 2 epochs; h = x: L, usable, lower bound; 3 numbers of 3 binary layers
    assert counts == {
        "shuffled": 4, "constant": 4, "image": 3, "untrained": 12, "permuted_labels": 2, "data_processing": 2,
        "bottleneck": 9,
    }  # fmt: skip
    for row in rows():
        assert row.command == f"ib controls tiny --controls.only {row.control}"
        assert row.low <= row.bits <= row.high
        assert row.null_code_length_bits == pytest.approx(experiments("null").mean(), rel=1e-8)
        assert row.decoder_steps in (None, 4)  # a third of twelve
    assert Path("figures/tiny/controls.png").exists()


@pytest.mark.parametrize("control", ["shuffled", "constant"])
def test_nothing_is_judged_against_the_decoders_own_null(inside: Path, control: str) -> None:
    null = {"I(X;H), own null": own(control, "null"), "I(X;H), common L0": experiments("null")}
    for row in rows(control):
        difference = null[row.quantity] - own(control, f"epoch_0002_{row.layer}")
        assert row.bits == pytest.approx(difference.mean(), rel=1e-7, abs=1e-8)
        if row.quantity == "I(X;H), own null":
            allowed = max((row.high - row.low) / 2, 0.5)
            assert row.allowed_high == -(row.allowed_low or 0) == pytest.approx(allowed)
            assert row.passed == ("yes" if abs(row.bits) <= allowed else "no")
        else:
            assert row.passed == "shown"


def test_ceilings_are_those_of_the_code_lengths(inside: Path) -> None:
    h_x = np.log2(2880) + 64
    length, usable, bound = rows("image")
    lengths = own("image", "epoch_0002_image")
    assert length.bits == pytest.approx(lengths.mean())
    assert usable.bits == pytest.approx((experiments("null") - lengths).mean(), rel=1e-6)
    assert bound.bits == pytest.approx(h_x - lengths.mean())
    assert bound.allowed_high == pytest.approx(h_x)
    for row in rows("bottleneck"):
        units = int(row.layer.removeprefix("h4_signs"))
        assert row.allowed_high == units
        if row.quantity == "H(X) - mean(L)":
            assert row.bits == pytest.approx(h_x - own("bottleneck", f"epoch_0002_{row.layer}").mean(), rel=1e-6)
            assert row.passed == ("yes" if row.low <= units else "no")
        elif row.quantity == "I(X;H), common L0":
            above = "information_above_upper_bound" in row.warnings.split(";")
            assert above == (row.low > units)
        else:
            assert 0 < row.bits <= units


def test_comparisons_are_paired_by_image(inside: Path) -> None:
    found = {(row.layer, row.quantity): row for row in rows("untrained")}
    for layer in ("h3", "h4"):
        gained = found[layer, "I(X;H), trained - untrained"]
        ends = [found[layer, f"I(X;H), {state}"].bits for state in ("trained", "untrained")]
        difference = experiments(f"epoch_0000/{layer}") - experiments(f"epoch_0002/{layer}")
        assert gained.bits == pytest.approx(difference.mean(), rel=1e-6, abs=1e-8)
        assert gained.bits == pytest.approx(ends[0] - ends[1], rel=1e-5, abs=1e-6)
    for row in rows("data_processing"):
        difference = experiments(f"epoch_{row.epoch:04d}/h4") - experiments(f"epoch_{row.epoch:04d}/h3")
        assert row.layer == "h3 > h4"
        assert row.bits == pytest.approx(difference.mean(), rel=1e-6, abs=1e-8)
        assert row.passed == ("violation" if row.high < 0 else "yes")


def test_a_second_run_does_nothing_and_a_single_control_keeps_the_others(inside: Path) -> None:
    def times() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in Path("checkpoints").rglob("*") if path.is_file()}

    before = times()
    assert main(["controls", "tiny.yaml"]) == 0
    assert main(["controls", "tiny.yaml", "--controls.only", "[image,shuffled]"]) == 0
    after = times()
    assert after.keys() == before.keys()
    assert {path.name for path in after if after[path] != before[path]} <= {".lock", "config.yaml"}
    assert {row.control for row in rows()} == set(CONTROLS)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--controls.only", "shufled"], "shuffled"),
        (["--controls.task", "autoencoding"], "it has classification with seed 0"),
        (["--controls.layers", "[h1]"], "choose from h3, h4"),
        (["--controls.epoch", "1"], "choose from 0, 2"),
        (["--controls.bottleneck_units", "[40]"], "give numbers from 1 to 16"),
        (["--controls.steps", "-1"], "controls.steps is -1"),
        (["--controls.null_share", "1"], "controls.null_share is 1"),
        (["--controls.only", "untrained", "--controls.epoch", "0"], "compares a trained network with epoch 0"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(
    inside: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["controls", "tiny.yaml", *options]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("ib: ")
    assert sentence in error


# ---------------------------------------------------------------------------------------------- controls can fail


def test_decoders_of_other_settings_lie_beside_each_other(inside: Path) -> None:
    experiment = Experiment(parse_experiment("figures", ["tiny.yaml"]))
    settings = ControlsConfig(steps=9, null_share=0.5, layers=("h4",), bottleneck_units=(2, 3), task="classification")
    run = "classification_float32_seed0_decoder0"
    fits = Controls(experiment, settings).fits
    assert {name: fit.key for name, fit in fits.items()} == {
        "shuffled": f"shuffled/{run}_layersh4_steps9_null_share0.5",
        "constant": f"constant/{run}_layersh4_steps9_null_share0.5",
        "image": f"image/{run}_steps9_null_share0.5",
        "bottleneck": f"bottleneck/{run}_steps9_null_share0.5_bottleneck_units2-3",
    }
    fitting = fits["image"].fitting
    assert (fitting.steps, fitting.null_share, fitting.validate_every) == (9, 0.5, 2)
    assert (
        Controls(experiment, ControlsConfig()).fits["image"].fitting.null_share == experiment.config.fitting.null_share
    )


@pytest.fixture
def controls(inside: Path) -> Controls:
    return Controls(Experiment(parse_experiment("figures", ["tiny.yaml"])), ControlsConfig())


@pytest.mark.parametrize(("length", "passed"), [(10.0, "no"), (75.0, "yes")])
def test_more_than_a_layer_can_hold_is_refused_and_warned_of(
    controls: Controls, monkeypatch: pytest.MonkeyPatch, length: float, passed: str
) -> None:
    planted = length + np.random.default_rng(0).normal(0, 0.1, 24)
    monkeypatch.setattr(ExtraFits, "code_lengths", lambda self, fit, what: planted)
    monkeypatch.setattr(Results, "null_code_lengths", lambda self: np.full(24, 76.0))
    judged = [row for row in rows_of(controls, "bottleneck") if not row.quantity.startswith("H(H)")]
    assert {row.quantity for row in judged} == {"H(X) - mean(L)", "I(X;H), common L0"}
    for row in judged:  # H(X) is 75.49: with 10 bits left a layer of at most 8 bits would have told 65
        assert ("information_above_upper_bound" in row.warnings.split(";")) == (passed == "no")
        assert row.passed == ("shown" if "common" in row.quantity else passed)


def test_conditions_that_tell_something_do_not_pass_as_shuffled(
    controls: Controls, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 24)
    planted = {"null": 80.0 + noise, "epoch_0002/h3": 79.8 + noise, "epoch_0002/h4": 79.0 - noise}
    monkeypatch.setattr(ExtraFits, "code_lengths", lambda self, fit, what: planted[what])
    found = {row.layer: row.passed for row in rows_of(controls, "shuffled") if row.passed != "shown"}
    assert found == {"h3": "yes", "h4": "no"}


def test_a_planted_violation_of_the_data_processing_inequality_is_listed(
    controls: Controls, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (4, 24))
    means = {(0, "h3"): 50.0, (0, "h4"): 50.0, (2, "h3"): 50.0, (2, "h4"): 49.0}

    def planted(self: Results, run: str, epoch: int, layer: str, decoder_seed: int = 0) -> np.ndarray:
        return means[epoch, layer] + noise[list(means).index((epoch, layer))]

    monkeypatch.setattr(Results, "code_lengths", planted)
    found = rows_of(controls, "data_processing")
    assert [(row.epoch, row.passed) for row in found] == [(0, "yes"), (2, "violation")]
    means[0, "h4"] = float("inf")
    broken, whole = rows_of(controls, "data_processing")
    assert (broken.passed, whole.passed) == ("shown", "violation")
    assert "not_finite" in broken.warnings.split(";")
    text = summary(found, {})
    assert "violated by usable information in 1 of 2 pairs" in text
    assert "h3 > h4, epoch 2" in text
    assert "h3 > h4, epoch 0" not in text


def lengths_under(source: Activations, images: np.ndarray, groups: Groups) -> tuple[np.ndarray, np.ndarray]:
    """Code lengths of evaluation images under a decoder fitted to a condition: of its own null, and given it."""
    feed = CellFeed(images, groups, source, ((0, IMAGE),), 32, 64)
    architecture = Architecture(blocks=1, filters=8, output="categorical", dropout=0.0, condition_filters=4)
    cell = Cell("epoch_0000/image", IMAGE, (1, 4, 4))
    torch.manual_seed(0)
    decoder = PixelCNNPP(PixelCNNPPConfig(ImageSpace(1, 4, 4, 2), architecture, (cell,)))
    for name, (mean, deviation) in feed.channel_statistics().items():
        decoder.standardise(name, mean, deviation)
    settings = FittingConfig(
        steps=150, batch_size=32, learning_rate=0.01, null_share=0.2, validate_every=50, validation_images=64
    )
    fit(decoder, feed, settings, seed=0)
    decoder.eval()
    return tuple(code_lengths_bits(decoder, feed.part("evaluation", cell)) for cell in (None, (0, IMAGE)))  # type: ignore[return-value]


def test_dependent_pairs_break_the_rule_that_shuffled_ones_keep() -> None:
    groups = Groups(1600, 64, 200, 16)
    images = np.random.default_rng(0).integers(0, 2, (groups.n_images, 1, 4, 4)).astype(np.uint8)
    dependent = ImageItself(images, 2, groups, (0,))
    found = usable_information(*lengths_under(dependent, images, groups))
    assert not is_near_zero(found)
    assert found.estimate > 4  # of 16
    assert is_near_zero(usable_information(*lengths_under(ShuffledActivations(dependent), images, groups)))


def planted(n_each: int = 300) -> tuple[torch.Tensor, np.ndarray, ProbeSplit]:
    """Activations that are the labels' one-hot codes: whoever sees true labels in fitting finds all of them."""
    labels = np.random.default_rng(0).integers(0, 4, 3 * n_each)
    return torch.eye(4)[torch.from_numpy(labels)], labels, ProbeSplit(n_each, n_each, n_each)


def information(activations: torch.Tensor, labels: np.ndarray, split: ProbeSplit) -> bool:
    bits = probe_permuted(activations, labels, split, ProbeConfig(epochs=15), seed=0)
    return may_be_below(paired_bootstrap_interval(2.0 - bits), 0.0)


def test_permuted_labels_tell_nothing_and_a_leak_of_the_true_ones_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert information(*planted())
    monkeypatch.setattr(permuted_labels, "permuted", lambda labels, split, seed: labels)
    assert not information(*planted())


def test_labels_are_permuted_within_their_parts_and_the_evaluation_keeps_its_own() -> None:
    split = ProbeSplit(50, 20, 30)
    labels = np.random.default_rng(1).integers(0, 5, split.total)
    found = permuted(labels, split, seed=0)
    assert np.array_equal(found[split.evaluation], labels[split.evaluation])
    for part in (slice(0, 50), split.validation):
        assert sorted(found[part]) == sorted(labels[part])
        assert not np.array_equal(found[part], labels[part])
    assert np.array_equal(found, permuted(labels, split, seed=0))


def test_controls_go_with_readers_of_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deep_text: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("deep.yaml").write_text(deep_text)
    options = ["--tasks", "[classification]", "--layers", "[h4]", "--training.checkpoints", "[0,2]"]
    chosen = ["--controls.steps", "12", "--controls.bottleneck_units", "[2]"]
    assert main(["controls", "deep.yaml", *options, *chosen]) == 0
    found = read_table(Path("checkpoints/deep/controls.csv"), ControlRow)
    assert {row.control for row in found} == set(CONTROLS) - {"data_processing"}  # of one layer there are no neighbours
    measured = {row.epoch: row.i_xh_bits for row in load_results("deep").information}
    told = {row.epoch: row.bits for row in found if row.quantity in ("I(X;H), untrained", "I(X;H), trained")}
    assert told == pytest.approx(measured)
