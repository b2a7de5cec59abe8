"""The table of two sweeps of fine-tunes through the epochs, hysteresis.csv: does the way to a decoder matter?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ib_analysis.information.intervals import Bootstrap, paired_bootstrap_intervals
from ib_analysis.information.warnings import join_warnings
from ib_analysis.studies.audit.rows import Measured, Place, pool

__all__ = ["HysteresisRow", "hysteresis_rows"]


@dataclass(frozen=True)
class HysteresisRow:
    """One epoch of a layer, fine-tuned from the epoch before it and from the epoch after it."""

    experiment: str
    """Name of the experiment."""
    task: str
    """What the encoder was trained for."""
    number_format: str
    """Number format of the encoder's weights and activations."""
    encoder_seed: int | None
    """Seed of the encoder."""
    decoder_seed: int | None
    """Seed of the decoder."""
    layer: str
    """The tap."""
    epoch: int | None
    """Training epochs that the encoder had seen; empty in the row of the mean over all epochs."""
    n_images: int
    """Evaluation images that means and intervals are over."""
    forward_steps: float
    """Steps of fine-tuning up to here in the sweep from the first epoch on."""
    backward_steps: float
    """The same in the sweep from the last epoch on."""
    forward_code_length_bits: float
    """L in the sweep from the first epoch on."""
    backward_code_length_bits: float
    """L in the sweep from the last epoch on."""
    difference_bits: float
    """L forward - L backward."""
    difference_bits_low: float
    """Lower end of its interval; those of a layer's epochs hold for all of them at once."""
    difference_bits_high: float
    """Upper end of its interval."""
    warnings: str
    """Warnings about either fit, joined by semicolons."""


def hysteresis_rows(
    experiment: str,
    place: Place,
    sweeps: Sequence[tuple[int, Measured, Measured]],
    bootstrap: Bootstrap,
) -> list[HysteresisRow]:
    """Rows of one layer's sweeps: one per epoch, and one of the mean over all epochs.

    Of E epochs each has an interval at level 1 - (1 - confidence) / E (Bonferroni). At the first epochs the backward
    sweep has been fitted for longer, at the last ones the forward sweep; on average over the epochs both as long.

    Arguments:
        place: the layer and its run, without an epoch.
        sweeps: (epoch, forward, backward) of every epoch; the costs' steps are those of all fine-tunes up to there.
        bootstrap: its confidence is the one that the epochs' intervals together are to have.
    """
    forward, backward = pool([there for _, there, _ in sweeps]), pool([back for _, _, back in sweeps])
    each = replace(bootstrap, confidence=1 - (1 - bootstrap.confidence) / len(sweeps))
    differences = np.stack([there.bits - back.bits for _, there, back in sweeps])
    found = [
        *paired_bootstrap_intervals(differences, each),
        *paired_bootstrap_intervals((forward.bits - backward.bits)[None], bootstrap),
    ]
    return [
        HysteresisRow(
            experiment=experiment,
            task=place.task,
            number_format=place.number_format,
            encoder_seed=place.encoder_seed,
            decoder_seed=place.decoder_seed,
            layer=place.layer,
            epoch=epoch,
            n_images=len(there.bits),
            forward_steps=there.cost.steps,
            backward_steps=back.cost.steps,
            forward_code_length_bits=float(there.bits.mean()),
            backward_code_length_bits=float(back.bits.mean()),
            difference_bits=interval.estimate,
            difference_bits_low=interval.low,
            difference_bits_high=interval.high,
            warnings=join_warnings([*there.warnings, *back.warnings]),
        )
        for (epoch, there, back), interval in zip([*sweeps, (None, forward, backward)], found, strict=True)
    ]
