"""One experiment: the names and places of everything that it makes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch

from decoders.config import Architecture, ReaderArchitecture
from decoders.fitting.schedule import FittingConfig
from ib_analysis.activations import dataset_name
from ib_analysis.activations_file import FileContents
from ib_analysis.artifacts import UserError, settings_of
from ib_analysis.encoders import Task as TrainedTask
from ib_analysis.encoders import stream_pairs
from ib_analysis.experiment_checks import check
from ib_analysis.experiment_config import (
    ActivationsConfig,
    EstimationConfig,
    ExperimentConfig,
    SamplingConfig,
    Task,
    contents_for,
    taps_of,
    unused_with_activations_file,
    with_activations_file,
)
from ib_analysis.training import TradeOff, checkpoint_epochs

__all__ = [
    "BASE",
    "JOINT",
    "ActivationsConfig",
    "EstimationConfig",
    "Experiment",
    "ExperimentConfig",
    "Fit",
    "Run",
    "SamplingConfig",
    "Task",
    "cell_name",
]


JOINT = "joint-"
"""What the tasks of runs begin with that are trained for both; the name of the trade-off follows."""


@dataclass(frozen=True)
class Run:
    """One trained encoder.

    Arguments:
        task: as in the config; each trade-off of the task `joint` is a task of its own, so that all that compares tasks
            compares the points of a front.

    >>> Run("classification", "float32", 0).key
    'classification_float32_seed0'
    >>> Run("joint-4-1", "float32", 0).trade_off
    TradeOff(kind='exact', numbers=(4.0, 1.0))
    """

    task: str
    number_format: str
    encoder_seed: int

    @property
    def key(self) -> str:
        return f"{self.task}_{self.number_format}_seed{self.encoder_seed}"

    @property
    def trained_for(self) -> TrainedTask:
        """The task of a network that is trained here.

        Raises:
            UserError: it is trained elsewhere.
        """
        if self.task == "recorded":
            raise UserError(
                "With activations_file only what the file holds can be measured; what runs, changes or trains the "
                "network again cannot be done."
            )
        return "joint" if self.trade_off is not None else cast(TrainedTask, self.task)

    @property
    def trade_off(self) -> TradeOff | None:
        """What a network of the task `joint` is to give up for what; None of any other."""
        return TradeOff.parse(self.task.removeprefix(JOINT)) if self.task.startswith(JOINT) else None

    @property
    def reconstructs(self) -> bool:
        """Whether the network gives images back."""
        return self.task == "autoencoding" or self.trade_off is not None


@dataclass(frozen=True)
class Fit:
    """One decoder to be fitted: for cells of a run, or for no condition at all (``run`` is None).

    Arguments:
        cells: (epoch, layer) of every cell that the decoder is conditioned on.
        joint: whether it is only a part of the decoder that is fitted, which reads the same cells of other runs too
            (`ib_analysis.records.joint`). The part is measured and sampled from like any decoder.
    """

    key: str
    run: Run | None
    decoder_seed: int
    cells: tuple[tuple[int, str], ...]
    joint: bool = False


def cell_name(epoch: int, layer: str) -> str:
    """A cell's name inside its run.

    >>> cell_name(10, "h3")
    'epoch_0010/h3'
    """
    return dataset_name(epoch, layer)


BASE = "base"
"""Key of the base among an experiment's fits; it is made by a stage of its own (`ib_analysis.stages.base`)."""


class Experiment:
    """The config with everything that follows from it: runs, cells, fits, and where each artifact lies.

    Attributes:
        config: all settings; with an activations file, as that decides them.
        unused: fields that the user set and that mean nothing with an activations file.

    Raises:
        UserError: a setting that cannot work, or an experiment of that name made with another config.
    """

    def __init__(self, config: ExperimentConfig) -> None:
        self.unused = unused_with_activations_file(config)
        config = with_activations_file(config)
        check(config)
        self.config = config
        self.folder = Path(config.checkpoints) / config.name
        self.figures = Path(config.figures) / config.name

    @cached_property
    def contents(self) -> FileContents | None:
        """The user's file of activations, where no encoder is trained here."""
        return contents_for(self.config)

    @cached_property
    def epochs(self) -> tuple[int, ...]:
        """Epochs at which the encoders are looked at."""
        if self.contents is not None:
            return self.contents.epochs
        return tuple(checkpoint_epochs(self.config.training))

    @cached_property
    def cells(self) -> tuple[tuple[int, str], ...]:
        """(epoch, layer) of all cells of one run."""
        return tuple((epoch, layer) for epoch in self.epochs for layer in self.layers)

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """Taps that are measured: those of the config, else all that the network has, from input to output."""
        return self.config.layers or self._taps

    @cached_property
    def in_order(self) -> tuple[str, ...]:
        """The same on the way from input to output, however the config lists them."""
        return tuple(sorted(self.layers, key=self._taps.index))

    @property
    def deepest(self) -> str:
        """The last of them on that way."""
        return self.in_order[-1]

    @cached_property
    def _taps(self) -> tuple[str, ...]:
        """All taps of the network, from input to output; every task has the same."""
        return taps_of(self.config)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        config = self.config
        return tuple(
            Run(task, number_format, seed)
            for number_format in config.number_formats
            for task in self._tasks
            for seed in config.encoder_seeds
        )

    @property
    def _tasks(self) -> tuple[str, ...]:
        """What runs are trained for: the config's tasks, with the trade-offs in the place of `joint`."""
        joint = [f"{JOINT}{trade_off.name}" for trade_off in self.config.joint.trade_offs]
        return tuple(task for named in self.config.tasks for task in (joint if named == "joint" else [named]))

    @cached_property
    def fits(self) -> tuple[Fit, ...]:
        """Every decoder that is fitted; of one that reads several runs, a part for each of them."""
        found: list[Fit] = []
        if self.has_base:
            found.append(Fit(BASE, None, self.config.base_seed, ()))
        for seed in self.config.decoder_seeds:
            if self.fits_unconditional:
                found.append(Fit(f"unconditional_decoder{seed}", None, seed, ()))
            for run in self.runs:
                key = f"{run.key}_decoder{seed}"
                if self.config.sharing == "shared":
                    found.append(Fit(key, run, seed, self.cells))
                    continue
                if self.config.sharing in ("layer", "across_runs"):
                    joint = self.config.sharing == "across_runs"
                    for layer in self.layers:
                        cells = tuple((epoch, layer) for epoch in self.epochs)
                        found.append(Fit(f"{key}/{layer}", run, seed, cells, joint))
                    continue
                for cell in self.cells:
                    found.append(Fit(f"{key}/{cell_name(*cell).replace('/', '_')}", run, seed, (cell,)))
        return tuple(found)

    @property
    def has_base(self) -> bool:
        """Whether decoders stand on a base, which then is L0 unless an unconditional reader is shorter."""
        return self.config.reader == "deep"

    @property
    def fits_unconditional(self) -> bool:
        """Whether decoders without a condition are fitted (see `ExperimentConfig.unconditional_fit`)."""
        if self.config.sharing == "dedicated" and not self.has_base:
            return True
        chosen = self.config.unconditional_fit
        return self.has_base if chosen is None else chosen

    def reads_nothing(self, fit: Fit) -> bool:
        """Whether it is an unconditional reader: one that is fitted on the base, and has no cells."""
        return fit.run is None and fit.key != BASE and self.has_base

    @property
    def decoder_size(self) -> Architecture | ReaderArchitecture:
        """Size of a decoder: of a PixelCNN++, or of a reader on the base."""
        return self.config.reader_network if self.has_base else self.config.decoder

    def decoder_size_for(self, fit: Fit) -> Architecture | ReaderArchitecture:
        """`decoder_size`, with dropout and own blocks of its layer where all layers of a reader have the same."""
        size, config = self.decoder_size, self.config
        if isinstance(size, Architecture):
            return size
        dropout = {config.layer_dropout.get(layer, size.dropout) for layer in self._read_like(fit)}
        blocks = {config.layer_own_blocks.get(layer, size.own_blocks) for layer in self._read_like(fit)}
        if len(dropout) == 1:
            size = replace(size, dropout=dropout.pop())
        return replace(size, own_blocks=blocks.pop()) if len(blocks) == 1 else size

    @property
    def fitting(self) -> FittingConfig:
        """How decoders are fitted. No share of a reader's images sees the null condition: that is the base already."""
        fitting = self.config.fitting
        return replace(fitting, null_share=0.0) if self.has_base else fitting

    def fitting_of(self, layers: Iterable[str]) -> FittingConfig:
        """How a decoder of these layers is fitted: `fitting`, with steps of its own where all of them have the same."""
        fitting, own = self.fitting, self.config.layer_steps
        steps = {own.get(layer, fitting.steps) for layer in layers}
        return replace(fitting, steps=steps.pop()) if len(steps) == 1 else fitting

    def fitting_for(self, fit: Fit) -> FittingConfig:
        """How one of the experiment's decoders is fitted."""
        return self.fitting_of(self._read_like(fit))

    def _read_like(self, fit: Fit) -> set[str]:
        """The layers that a decoder reads; of an unconditional reader, the one that tells least: the network's last.

        Whether it is measured or not, so that a selection of the layers asks for no other reader; and none of two
        streams, so that networks with two have the reader that those with one have.
        """
        if not self.reads_nothing(fit):
            return {layer for _, layer in fit.cells}
        streams = {tap for pair in stream_pairs(self._taps).values() for tap in pair}
        return {[tap for tap in self._taps if tap not in streams][-1]}

    @property
    def workers(self) -> int:
        """Processes to use (see `ExperimentConfig.workers`)."""
        if self.config.workers:
            return self.config.workers
        return 1 if torch.cuda.is_available() else max(1, _cores() // self.config.threads)

    # ------------------------------------------------------------------ places

    def encoder_folder(self, run: Run) -> Path:
        return self.folder / "encoders" / run.key

    def activations_path(self, run: Run) -> Path:
        return self.folder / "activations" / f"{run.key}.h5"

    def decoder_folder(self, key: str) -> Path:
        return self.folder / "decoders" / key

    def section(self, *names: str) -> dict[str, Any]:
        """The named parts of the config, for the recipe of an artifact."""
        return settings_of(self.config, *names)

    @property
    def storage(self) -> dict[str, Any]:
        """`activations.storage` for the record of an artifact that depends on it."""
        return settings_of(self.config.activations, "storage")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
