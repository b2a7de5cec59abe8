"""Experiments from Python, in a script or a notebook: what the `ib` command does, as methods of an object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ib_analysis.artifacts import UserError, begin_notices
from ib_analysis.cli import SECTIONS, run_command, run_study
from ib_analysis.data import forget
from ib_analysis.engines.failures import failures_explained
from ib_analysis.engines.launch_variables import check_launch_variables
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.parsing import from_fields
from ib_analysis.records.bases import forget_base_images
from ib_analysis.records.images import forget_images
from ib_analysis.results import Results, load_results

__all__ = ["Study", "study"]


def study(name: str, settings: str | Path | None = None, **fields: Any) -> Study:
    """An experiment by its name and settings.

    Nothing runs yet. Whatever is finished on disk is not done again, and what was interrupted goes on where it was:
    the files are those of ``ib figures NAME``.

    Arguments:
        name: of its folders below `checkpoints` and `figures`.
        settings: an experiment whose settings are taken where `fields` do not say otherwise: a file in
            ``experiments/``, one that ships with the package (such as ``cifar10-16``) or the path of a YAML file; None:
            the defaults. Its sections for studies are left out.
        fields: any fields of `ExperimentConfig`, such as ``activations_file="mine.h5"``, ``fitting={"steps": 500}`` or
            ``fitting=FittingConfig(steps=500)``; a mapping sets those of its fields that it names.

    Raises:
        UserError: an unknown field, a value that cannot be used, or no such experiment.

    >>> study("mine", data={"source": "digits"}, fitting={"steps": 700}).config.fitting.steps
    700
    """
    config = from_fields(ExperimentConfig, {**fields, "name": name}, f"study({name!r})", settings)
    Experiment(config)  # says what cannot work
    return Study(config)


class Study:
    """The stages of an experiment as methods, each of which runs whatever it needs and is missing.

    All of them raise UserError, a sentence, for what the user can mend; Ctrl-C (in a notebook: Interrupt) stops a
    stage, and the next call goes on from there.

    Attributes:
        config: all settings.
    """

    def __init__(self, config: ExperimentConfig) -> None:
        self.config = config

    def __repr__(self) -> str:
        return f"Study({self.config.name!r}, folder={str(self.folder)!r})"

    @property
    def folder(self) -> Path:
        """Where all that is computed lies."""
        return Path(self.config.checkpoints) / self.config.name

    @property
    def figures_folder(self) -> Path:
        """Where figures and the page lie."""
        return Path(self.config.figures) / self.config.name

    @property
    def results(self) -> Results:
        """What has been measured.

        Raises:
            UserError: nothing yet; `estimate` is what measures.
        """
        return load_results(self.config.name, self.config.checkpoints)

    def describe(self) -> None:
        """Print what the experiment will cost, before anything runs."""
        self._run("describe")

    def base(self) -> None:
        """Fit the unconditional model of the images, once for all experiments on them."""
        self._run("base")

    def train(self) -> None:
        """Train the encoders and dump their activations; of an activations file: copy it in the order of reading."""
        self._run("train")

    def estimate(self) -> Results:
        """Fit decoders and probes, print the table, and return what was measured."""
        self._run("estimate-mi")
        return self.results

    def samples(self) -> Path:
        """Sample images from what each layer still knows; the path of a page to look at them."""
        self._run("samples")
        return self.figures_folder / "samples.html"

    def figures(self) -> list[Path]:
        """Run everything that is missing and draw; the paths of the figures (PNG, an SVG beside each) and the page."""
        self._run("figures")
        return [*sorted(self.figures_folder.glob("*.png")), *self.figures_folder.glob("samples.html")]

    def also(self, name: str, **settings: Any) -> None:
        """Run one of the studies about the instrument: what ``ib NAME`` does, such as ``audit`` or ``budget``.

        Arguments:
            settings: of that study; the others have their defaults.

        Raises:
            UserError: there is no such study, or it cannot be done here.
        """
        dashed = name.replace("_", "-")
        if dashed not in SECTIONS:
            raise UserError(f"there is no study {name!r}; choose from {', '.join(SECTIONS)}.")
        chosen: Any = from_fields(SECTIONS[dashed](), settings, dashed)
        with self._command(dashed) as experiment:
            run_study(dashed, experiment, chosen)

    def _run(self, command: str) -> None:
        with self._command(command) as experiment:
            run_command(command, experiment, _NO_STUDIES)

    @contextmanager
    def _command(self, command: str) -> Iterator[Experiment]:
        """What surrounds a command, as in `cli.main`; the process is left with the threads that it had."""
        forget()
        forget_images()
        forget_base_images()
        begin_notices()
        check_launch_variables()
        threads = torch.get_num_threads()
        torch.set_num_threads(self.config.threads)
        try:
            with failures_explained(f"{command} of {self.config.name}"):
                yield Experiment(self.config)  # anew: a file of activations may have changed
        finally:
            torch.set_num_threads(threads)


_NO_STUDIES: Mapping[str, Any] = {}
