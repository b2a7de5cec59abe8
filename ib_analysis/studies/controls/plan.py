"""Which decoders and probes controls need, and where everything lies."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from decoders.fitting.fit import FittingConfig
from ib_analysis.artifacts import Artifact, UserError, plain, sha256_of_file, sha256_of_plain
from ib_analysis.experiment import Experiment, Run, cell_name
from ib_analysis.records.cells import cell_recipe
from ib_analysis.records.encoders import layer_shapes
from ib_analysis.records.images import images_of
from ib_analysis.records.probes import probe_artifact
from ib_analysis.studies.altered import IMAGE
from ib_analysis.studies.controls.config import ControlsConfig
from ib_analysis.studies.controls.row import CONTROLS
from ib_analysis.studies.extra_fits import ExtraFit, ExtraFits
from ib_analysis.studies.sign_codes import check_units, sign_layer

__all__ = ["Controls"]

MOST_FEATURES = 8192
"""Features of a layer whose orthogonal projection (n, n) is still made; layers of a user's file may have any number."""

NULL_SHARE = 0.2
"""Share of training images under the null condition where the experiment has none: its own null judges a control."""


class Controls:
    """The controls of one experiment.

    Arguments:
        experiment: whose images, encoders, activations and settings are used.
        settings: what the user chose.

    Raises:
        UserError: a setting that does not fit the experiment.
    """

    def __init__(self, experiment: Experiment, settings: ControlsConfig) -> None:
        self.experiment, self.settings = experiment, settings
        self.run = self._run()
        self.layers = settings.layers or experiment.layers
        self.deepest = experiment.deepest
        self.epoch = experiment.epochs[-1] if settings.epoch is None else settings.epoch
        self._check()
        self.names = self._names()
        fits = [self._fit(name) for name in self.names if name in ("shuffled", "constant", "image", "bottleneck")]
        self.fits = {fit.key.partition("/")[0]: fit for fit in fits}
        self.extra = ExtraFits(experiment, "controls", fits)

    @property
    def folder(self) -> Path:
        """Where decoders, probes and the tables of single controls lie."""
        return self.extra.folder

    @property
    def h_x_bits(self) -> float | None:
        """Exact entropy of an image, where it is known."""
        return images_of(self.experiment).h_x_bits

    def left_out(self) -> dict[str, str]:
        """Controls that this experiment cannot give, and why."""
        found = {}
        contents = self.experiment.contents
        if 0 not in self.experiment.epochs or self.epoch == 0:
            where = "" if contents else " (training.checkpoints)"
            found["untrained"] = f"it compares a trained network with epoch 0{where}"
        if len(self.experiment.layers) < 2:
            found["data_processing"] = "it compares layers, and there is one only"
        if contents is not None:
            found["data_processing"] = "a file does not tell which tap is a function of which"
            if not contents.has_labels:
                found |= dict.fromkeys(("untrained", "permuted_labels"), "the file has no labels")
            if self._n_features > MOST_FEATURES:
                found["bottleneck"] = f"it projects the features of {self.deepest}, and {self._n_features} are too many"
        return found

    @property
    def _n_features(self) -> int:
        """Of the deepest layer."""
        return layer_shapes(self.experiment, self.run)[self.deepest][0]

    # ------------------------------------------------------------------ artifacts

    def permuted_artifact(self, layer: str) -> Artifact:
        """Cross-entropies of probes of one layer that were fitted on permuted labels."""
        experiment = self.experiment
        own = {**experiment.section("probe"), **experiment.storage}
        config, inputs = cell_recipe(experiment, self.run, (self.epoch, layer), **own)
        path = self.folder / "permuted_labels" / self.run.key / f"epoch_{self.epoch:04d}_{layer}.npz"
        return Artifact(path, "permuted_labels", config, inputs, self.run.encoder_seed, algorithm="probes")

    def table_artifact(self, name: str) -> Artifact:
        """The table of one control. Settings are inputs: with others it is made again, which costs nothing."""
        experiment = self.experiment
        inputs = {
            "code_lengths": sha256_of_file(experiment.folder / "code_lengths.h5"),
            "settings": sha256_of_plain({**plain(self.settings), "only": None}),
            "estimation": sha256_of_plain(experiment.section("estimation")),
        }
        if name in self.fits:
            fit = self.fits[name]
            inputs |= {what: artifact.identity for what, artifact in self.extra.code_length_artifacts(fit).items()}
        if name in ("shuffled", "constant") and self.experiment.has_base:
            inputs["judged"] = "by the common L0"  # tables of before, judged by the base, are made again
        if name == "permuted_labels":
            inputs |= {layer: self.permuted_artifact(layer).identity for layer in self.layers}
        if name == "untrained":
            for epoch in (0, self.epoch):
                for layer in experiment.layers:
                    artifact = probe_artifact(experiment, self.run, (epoch, layer))
                    inputs[cell_name(epoch, layer)] = artifact.identity
        path = self.folder / "tables" / f"{name}.csv"
        return Artifact(path, "control", {**experiment.section("name"), "control": name}, inputs, algorithm="tables")

    # ------------------------------------------------------------------ pieces

    def _fit(self, name: str) -> ExtraFit:
        cells = {
            "image": (IMAGE,),
            "bottleneck": tuple(sign_layer(self.deepest, units) for units in self.settings.bottleneck_units),
        }.get(name, self.layers)
        seed = self.experiment.config.decoder_seeds[0]
        return ExtraFit(
            key="_".join([f"{name}/{self.run.key}_decoder{seed}", *self._changes(name)]),
            run=self.run,
            cells=tuple((self.epoch, layer) for layer in cells),
            architecture=self.experiment.decoder_size,
            fitting=self._fitting(cells),
            decoder_seed=seed,
            condition={"bottleneck": "signs"}.get(name, name),
        )

    def _changes(self, name: str) -> list[str]:
        """What distinguishes a decoder from that of the default settings: both can lie side by side."""
        matters = {"steps", "null_share", "epoch", "bottleneck_units" if name == "bottleneck" else "layers"}
        if name == "image":
            matters = {"steps", "null_share", "epoch"}
        found = []
        for field, value in self.settings.changed().items():
            if field in matters:
                found.append(field + ("-".join(map(str, value)) if isinstance(value, tuple) else str(value)))
        return found

    def _fitting(self, layers: Sequence[str]) -> FittingConfig:
        fitting = self.experiment.fitting_of(layers)
        # A shared decoder reads all cells, a reader those of one layer: no control may have a smaller budget than that.
        usual = fitting.steps if self.experiment.has_base else max(1, fitting.steps // 3)
        steps = self.settings.steps or usual
        # As many validations as in the experiment: fewer would not do to judge the fit.
        every = max(1, round(fitting.validate_every * steps / fitting.steps))
        # A reader's null condition is the base, which needs no share.
        least = 0.0 if self.experiment.has_base else NULL_SHARE
        share = self.settings.null_share or fitting.null_share or least
        return dataclasses.replace(fitting, steps=steps, validate_every=every, null_share=share, halfway=False)

    def _run(self) -> Run:
        config, settings = self.experiment.config, self.settings
        task = self.experiment.runs[0].task if settings.task is None else settings.task
        seed = config.encoder_seeds[0] if settings.encoder_seed is None else settings.encoder_seed
        for run in self.experiment.runs:
            if (run.task, run.encoder_seed) == (task, seed):
                return run
        known = ", ".join(f"{run.task} with seed {run.encoder_seed}" for run in self.experiment.runs)
        raise UserError(
            f"controls.task and controls.encoder_seed name {task} with seed {seed}, which {config.name!r} does not "
            f"have; it has {known}."
        )

    def _check(self) -> None:
        experiment, settings = self.experiment, self.settings
        unknown = [layer for layer in self.layers if layer not in experiment.layers]
        if unknown or len(set(self.layers)) != len(self.layers):
            raise UserError(
                f"controls.layers is {list(self.layers)}; choose from {', '.join(experiment.layers)}, each once."
            )
        if self.epoch not in experiment.epochs:
            known = ", ".join(map(str, experiment.epochs))
            raise UserError(f"controls.epoch is {self.epoch}, which is no checkpoint; choose from {known}.")
        if "bottleneck" not in self.left_out():
            check_units(settings.bottleneck_units, self._n_features)

    def _names(self) -> tuple[str, ...]:
        left_out = self.left_out()
        for name in self.settings.chosen:
            if name in left_out:
                raise UserError(
                    f"The control {name!r} cannot be made of {self.experiment.config.name!r}: {left_out[name]}."
                )
        chosen = self.settings.chosen or CONTROLS
        return tuple(name for name in CONTROLS if name in chosen and name not in left_out)
