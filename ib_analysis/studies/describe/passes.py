"""How many images an experiment sends through its networks, counted before anything runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from decoders.fitting.schedule import steps_in_all
from ib_analysis.activations import Groups
from ib_analysis.data import image_space
from ib_analysis.data.splits import validation_size
from ib_analysis.experiment import BASE, Experiment
from ib_analysis.fits.feed import CellFeed
from ib_analysis.fits.spike_ins import spike_ins_for
from ib_analysis.records.encoders import layer_shapes
from ib_analysis.records.joint import decoder_key

__all__ = ["BACKWARD", "Passes", "count_passes"]

BACKWARD = 2
"""A backward pass costs about two forward passes: gradients of inputs and of weights."""


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
    encoded = validated = measured = fitted = 0
    _, height, width = image_space(config.data, recheck=False).image_shape
    shapes = layer_shapes(experiment, experiment.runs[0]) if config.spike_in else {}
    spike_ins = spike_ins_for(config, (height, width), shapes, sizes["decoder"], sizes["evaluation"])
    no_images = np.zeros((groups.n_images, 1, 1, 1), dtype=np.uint8)
    fits = [fit for fit in experiment.fits if fit.key != BASE]  # the base is counted by itself
    whole: set[str] = set()
    for fit in fits:
        computed = steps_in_all(experiment.fitting_for(fit))  # of one that also ends halfway, its other cool-down too
        if decoder_key(experiment, fit) not in whole:  # of a decoder that is fitted for several runs, once
            whole.add(decoder_key(experiment, fit))
            fitted += computed * fitting.batch_size
        validations = math.ceil(computed / fitting.validate_every)
        feed = CellFeed(
            no_images, groups, None, fit.cells, fitting.batch_size, fitting.validation_images, spike_ins,
            mixed=experiment.has_base,
        )  # fmt: skip
        images, evaluated = _validation_passes(feed)
        validated += validations * images * (2 if fit.cells else 1)
        ends = 2 if fitting.halfway else 1
        alone = ends - 1 if experiment.reads_nothing(fit) else 0  # without activations, under the other end too
        given = sizes["evaluation"] * (len(feed.readings) * ends + alone)
        measured += n_validation + sizes["evaluation"] + given
        if recompute and fit.cells:
            standardised = groups.n_train * len({epoch for epoch, _ in fit.cells})
            # Mixed minibatches hold the activations in memory: every cell's are made once.
            steps = groups.n_train * len(fit.cells) if experiment.has_base else computed * fitting.batch_size
            encoded += standardised + steps + validations * evaluated + given
    encoded += groups.n_images * n_runs * (len(experiment.cells) if recompute else len(experiment.epochs))
    return Passes(
        trained=sizes["encoder"] * config.training.epochs * n_runs,
        tested=(sizes["encoder"] + sizes["evaluation"] * (1 + config.training.epochs)) * n_runs,
        encoded=encoded,
        fitted=fitted,
        validated=validated,
        measured=measured,
    )


def _validation_passes(feed: CellFeed) -> tuple[int, int]:
    """Images of one validation that go through the decoder, and, where activations are recomputed, the encoder."""
    decoded = encoded = 0
    latest: tuple[int, int] | None = None
    for group, reading in feed.validation_pairs():
        start, stop = feed.groups.bounds[group]
        decoded += stop - start
        if reading is not None and latest != (reading.cell[0], group):
            encoded += stop - start  # the layers of a group come from one forward pass
            latest = (reading.cell[0], group)
    return decoded, encoded
