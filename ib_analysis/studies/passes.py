"""How many images an experiment sends through its networks, counted before anything runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ib_analysis.activations import Groups
from ib_analysis.data.splits import validation_size
from ib_analysis.experiment import Experiment
from ib_analysis.stages.feed import CellFeed

__all__ = ["Passes", "count_passes"]


@dataclass(frozen=True)
class Passes:
    """How many images go through the networks, all runs and fits together. A training pass is forward and backward."""

    trained: int
    """Training passes of encoders."""
    tested: int
    """Forward passes of encoders that report on their training."""
    encoded: int
    """Forward passes of encoders that make activations: all images once per epoch for a dump; where they are
    recomputed, once for each time that they are asked for (fits, validations, code lengths and probes)."""
    fitted: int
    """Training passes of decoders."""
    validated: int
    """Forward passes of decoders that validate their fits, with and without conditions."""
    measured: int
    """Forward passes of decoders for code lengths."""


def count_passes(experiment: Experiment, sizes: dict[str, int]) -> Passes:
    """Count what the stages will send through the networks; fits are taken to use all their steps.

    Arguments:
        experiment: its config is all that is looked at.
        sizes: images of the splits ``encoder``, ``decoder`` and ``evaluation``.
    """
    config, n_runs = experiment.config, len(experiment.runs)
    fitting, recompute = config.fitting, config.activations.mode == "recompute"
    n_validation = validation_size(sizes["decoder"], config.data.validation_share)
    groups = Groups(sizes["decoder"] - n_validation, n_validation, sizes["evaluation"], config.activations.group_size)
    validations = math.ceil(fitting.steps / fitting.validate_every)
    encoded = validated = measured = 0
    for fit in experiment.fits:
        source = _CountedActivations(groups)
        feed = CellFeed(
            np.zeros((groups.n_images, 1, 1, 1), dtype=np.uint8),
            groups,
            source,
            fit.cells,
            fitting.batch_size,
            fitting.validation_images,
        )
        images = sum(len(minibatch) for minibatch in feed.validation())
        validated += validations * images * (2 if fit.cells else 1)
        measured += n_validation + sizes["evaluation"] * (1 + len(fit.cells))
        if recompute and fit.cells:
            standardised = groups.n_train * len({epoch for epoch, _ in fit.cells})
            steps = fitting.steps * fitting.batch_size
            encoded += standardised + steps + validations * source.evaluated + sizes["evaluation"] * len(fit.cells)
    encoded += groups.n_images * n_runs * (len(experiment.cells) if recompute else len(experiment.epochs))
    return Passes(
        trained=sizes["encoder"] * config.training.epochs * n_runs,
        tested=(sizes["encoder"] + sizes["evaluation"] * (1 + config.training.epochs)) * n_runs,
        encoded=encoded,
        fitted=fitting.steps * fitting.batch_size * len(experiment.fits),
        validated=validated,
        measured=measured,
    )


class _CountedActivations:
    """Stands in for recomputed activations, and counts the images that would go through the encoder.

    Arguments:
        groups: see `ib_analysis.activations.Activations`.
    """

    epochs: tuple[int, ...] = ()
    layers: tuple[str, ...] = ()

    def __init__(self, groups: Groups) -> None:
        self.groups = groups
        self.evaluated = 0
        self._latest: tuple[int, int] | None = None

    def shape(self, layer: str) -> tuple[int, ...]:
        return (1,)

    def read(self, epoch: int, layer: str, group: int) -> Tensor:
        start, stop = self.groups.bounds[group]
        if self._latest != (epoch, group):  # the layers of a group come from one forward pass
            self.evaluated += stop - start
            self._latest = (epoch, group)
        return torch.zeros(stop - start, 1, dtype=torch.float16)
