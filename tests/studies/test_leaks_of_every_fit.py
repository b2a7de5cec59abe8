"""A leak planted in each kind of fit is found: decoders of studies, densities of codes, probes, altered activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from decoders import Minibatch
from decoders.config import Architecture
from decoders.fitting.fit import FittingConfig
from ib_analysis.activations import Groups
from ib_analysis.artifacts import UserError
from ib_analysis.brackets import PlaneFeed
from ib_analysis.cli import main, parse_experiment
from ib_analysis.experiment import Experiment
from ib_analysis.fits.feed import CellFeed
from ib_analysis.information import ProbeSplit
from ib_analysis.stages import density, probe
from ib_analysis.studies import altered
from ib_analysis.studies.altered import IMAGE
from ib_analysis.studies.calibration import CalibrationConfig
from ib_analysis.studies.calibration import fit as calibration_fit
from ib_analysis.studies.calibration.plan import Calibration
from ib_analysis.studies.calibration.sources import SplitSizes
from ib_analysis.studies.controls import ControlsConfig, permuted_labels
from ib_analysis.studies.extra_fits import ExtraFit, conditions_of
from ib_analysis.studies.extra_fits import _fit as fit_of_a_study

OPTIONS = [
    "tiny.yaml", "--tasks", "[classification]", "--encoder.width", "2", "--training.epochs", "30",
    "--layers", "[h1, h4]", "--training.checkpoints", "[30]", "--number_formats", "[float32, w2a2]",
]  # fmt: skip
CONDITIONS = {"activations": "h4", "shuffled": "h4", "constant": "h4", "image": IMAGE, "signs": "h4_signs2"}


def quiet(*progress: Any) -> None:
    pass


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_text: str) -> Path:
    folder = tmp_path_factory.mktemp("leaks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("tiny.yaml").write_text(tiny_text)
        assert main(["train", *OPTIONS]) == 0
    return folder


@pytest.fixture
def experiment(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """Its encoders and activations are there, and nothing that is fitted to them."""
    monkeypatch.chdir(trained)
    return Experiment(parse_experiment("train", OPTIONS))


def leaky_minibatch(self: CellFeed, rng: np.random.Generator) -> Minibatch:
    return next(self.part("evaluation", self.cells[0]))


def leaky_validation(self: CellFeed) -> Iterator[Minibatch]:
    yield next(self.part("evaluation", self.cells[0]))


LEAKS: list[tuple[str, Callable, str]] = [
    ("minibatch", leaky_minibatch, "a training minibatch"),
    ("validation", leaky_validation, "the validation images"),
]


def everything(self: Groups, part: str) -> range:
    """All groups, whatever is asked for."""
    return range(len(self))


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize(("method", "leak", "where"), LEAKS)
def test_in_a_decoder_of_a_study(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, condition: str, method: str, leak: Callable, where: str
) -> None:
    """Audit and budget fit to activations, controls to the others; all by the same function."""
    monkeypatch.setattr(CellFeed, method, leak)
    config, cells = experiment.config, ((30, CONDITIONS[condition]),)
    fit = ExtraFit(f"{condition}_{method}", experiment.runs[0], cells, config.decoder, config.fitting, 0, condition)
    with pytest.raises(UserError, match=f"fit of a decoder: .* images of {where}"):
        fit_of_a_study(config, "leaks", fit, quiet)


def test_in_the_statistics_that_activations_are_standardised_by(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Groups, "part", everything)
    config = experiment.config
    fit = ExtraFit("statistics", experiment.runs[0], ((30, "h4"),), config.decoder, config.fitting)
    with pytest.raises(UserError, match=r"fit of a decoder: .* those that activations are standardised by"):
        fit_of_a_study(config, "leaks", fit, quiet)


def all_images(self: Groups, part: str) -> range:
    return range(self.n_images)


def far_strangers(n: int, rng: np.random.Generator) -> np.ndarray:
    return np.arange(n) + 24


@pytest.mark.parametrize(
    ("condition", "where", "name", "leak", "message"),
    [
        ("signs", Groups, "images", all_images, "those that signs are made by"),
        ("constant", Groups, "part", everything, "the mean activation"),
        ("shuffled", altered, "derangement", far_strangers, "those whose activations are given to others"),
    ],
)
def test_in_activations_that_are_altered(
    experiment: Experiment,
    monkeypatch: pytest.MonkeyPatch,
    condition: str,
    where: Any,
    name: str,
    leak: Callable,
    message: str,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(where, name, leak)
        with pytest.raises(UserError, match=f"fit of a control: .* {message}"):
            conditions_of(experiment, experiment.runs[0], condition).read(30, CONDITIONS[condition], 0)
    conditions_of(experiment, experiment.runs[0], condition).read(30, CONDITIONS[condition], 0)


@pytest.mark.parametrize(("method", "leak", "where"), LEAKS)
def test_in_a_decoder_of_a_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, leak: Callable, where: str
) -> None:
    monkeypatch.chdir(tmp_path)
    config = CalibrationConfig(
        name="tiny", coins=(16,), factors=False, splits=SplitSizes(64, 16, 16), workers=1,
        decoder=Architecture(blocks=1, filters=4, output="categorical", condition_filters=4),
        fitting=FittingConfig(steps=4, batch_size=16, validate_every=2, validation_images=16),
    )  # fmt: skip
    monkeypatch.setattr(CellFeed, method, leak)
    with pytest.raises(UserError, match=f"fit of a decoder: .* images of {where}"):
        calibration_fit._fit(config, Calibration(config).fits[0], quiet)


def leaky_planes(self: PlaneFeed, rng: np.random.Generator) -> Minibatch:
    return self._assemble([(self.groups.part("evaluation")[0], 0)], "a training minibatch")


def leaky_plane_validation(self: PlaneFeed) -> Iterator[Minibatch]:
    yield self._assemble([(self.groups.part("evaluation")[0], 0)], "the validation images")


@pytest.mark.parametrize(
    ("where", "name", "leak", "message"),
    [
        (PlaneFeed, "minibatch", leaky_planes, "a training minibatch"),
        (PlaneFeed, "validation", leaky_plane_validation, "the validation images"),
        (Groups, "part", everything, "the train part"),  # statistics of the conditions, and the entropy code
    ],
)
def test_in_a_density_of_codes(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, leak: Callable, message: str
) -> None:
    monkeypatch.setattr(where, name, leak)
    with pytest.raises(UserError, match=f"fit of a density of codes: .* images of {message}"):
        density._density(experiment.config, experiment.runs[1], (30, "h4"), quiet)


def leaky_training(n_training: int, n_validation: int, n_evaluation: int) -> ProbeSplit:
    return ProbeSplit(n_training + n_validation + 8, 4, n_evaluation - 12)


def leaky_choice(n_training: int, n_validation: int, n_evaluation: int) -> ProbeSplit:
    return ProbeSplit(n_training, n_validation + 8, n_evaluation - 8)


@pytest.mark.parametrize("leak", [leaky_training, leaky_choice])
@pytest.mark.parametrize("kind", ["label", "noise", "permuted labels"])
def test_in_a_probe(experiment: Experiment, monkeypatch: pytest.MonkeyPatch, leak: Callable, kind: str) -> None:
    permuted = kind == "permuted labels"
    module, what = (permuted_labels, "control") if permuted else (probe, "probe")
    monkeypatch.setattr(module, "ProbeSplit", leak)
    if kind == "noise":
        monkeypatch.setattr(probe, "probe_targets", lambda *arguments, **named: {})
    settings = ControlsConfig(only=("permuted_labels",)) if permuted else experiment.runs[0]
    with pytest.raises(UserError, match=f"Evaluation images leak into the fit of a {what}"):
        module._probe(experiment.config, settings, quiet)


def test_without_a_leak_nothing_is_stopped(experiment: Experiment) -> None:
    torch.manual_seed(0)
    probe._probe(experiment.config, experiment.runs[0], quiet)
    permuted_labels._probe(experiment.config, ControlsConfig(only=("permuted_labels",)), quiet)
    density._density(experiment.config, experiment.runs[1], (30, "h4"), quiet)
