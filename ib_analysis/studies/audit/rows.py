"""The table of an audit, audit.csv: shared decoders against decoders of single cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ib_analysis.information.intervals import Bootstrap, Interval, paired_bootstrap_intervals
from ib_analysis.information.warnings import join_warnings, not_finite, own_null_much_worse_than_common

__all__ = ["ALL", "NO_REMEDY", "AuditRow", "Cost", "Measured", "Place", "audit_row", "pool"]

ALL = "all"
"""Stands for task and layer in the rows of all sampled cells together."""
NO_REMEDY = "none"
"""The experiment's own shared decoder."""


@dataclass(frozen=True)
class Cost:
    """What fitting a decoder cost, per cell. FLOPs are those of the training steps (forward and backward), seconds are
    those of the whole fit with its validations."""

    steps: float
    images: float
    flops: float
    seconds: float


@dataclass(frozen=True)
class Measured:
    """One decoder's code lengths of one cell.

    Arguments:
        bits: shape (N,), L of every evaluation image in bits.
        own_null_bits: shape (N,), the same under the decoder's own null condition; None if that was never fitted.
        cost: of the fit, per cell.
        warnings: names of warnings about the fit of this cell.
    """

    bits: np.ndarray
    own_null_bits: np.ndarray | None
    cost: Cost
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """Which cells a row is about; None (and "all") where it is about several."""

    task: str = ALL
    number_format: str = ALL
    encoder_seed: int | None = None
    decoder_seed: int | None = None
    epoch: int | None = None
    layer: str = ALL
    n_cells: int = 1


@dataclass(frozen=True)
class AuditRow:
    """A dedicated decoder against the shared one in one cell, or their means over all sampled cells. Code lengths and
    information are means over evaluation images in bits; costs are per cell."""

    experiment: str
    """Name of the experiment."""
    remedy: str
    """Which shared fit is compared: `none` is the experiment's own, others are attempts at a better one."""
    task: str
    """What the encoder was trained for; `all` in the row of all sampled cells together."""
    number_format: str
    """Number format of the encoder's weights and activations; `all` for all."""
    encoder_seed: int | None
    """Seed of the encoder; empty for all."""
    decoder_seed: int | None
    """Seed of the decoder; empty for all."""
    epoch: int | None
    """Training epochs that the encoder had seen; empty for all."""
    layer: str
    """The tap; `all` in the row of all sampled cells together."""
    n_cells: int
    """Cells that the row is the mean of."""
    n_images: int
    """Evaluation images that means and intervals are over."""
    multiple: int
    """Training images of the dedicated fit, in units of what the experiment's shared fit spends per cell."""
    steps: float
    """Optimiser steps of the dedicated fit."""
    images: float
    """Training images that the dedicated fit saw, repetitions counted."""
    flops: float
    """FLOPs of its training steps."""
    seconds: float
    """Time of the dedicated fit."""
    shared_steps: float
    """Optimiser steps of the shared fit, divided by its cells."""
    shared_images: float
    """Training images of the shared fit per cell."""
    shared_flops: float
    """FLOPs of its training steps per cell."""
    shared_seconds: float
    """Time of the shared fit per cell."""
    code_length_bits: float
    """L under the dedicated decoder."""
    shared_code_length_bits: float
    """L under the shared decoder."""
    gap_bits: float
    """L dedicated - L shared: above 0 where the shared decoder has the shorter code."""
    gap_bits_low: float
    """Lower end of its interval, paired by image."""
    gap_bits_high: float
    """Upper end of its interval."""
    null_code_length_bits: float
    """L0: code length under the data set's common unconditional model."""
    own_null_code_length_bits: float | None
    """Code length under the dedicated decoder's own null condition."""
    shared_own_null_code_length_bits: float | None
    """Code length under the shared decoder's own null condition."""
    i_xh_bits: float
    """Usable information by the dedicated decoder, against the common L0."""
    i_xh_bits_low: float
    """Lower end of its interval."""
    i_xh_bits_high: float
    """Upper end of its interval."""
    shared_i_xh_bits: float
    """Usable information by the shared decoder, against the common L0."""
    shared_i_xh_bits_low: float
    """Lower end of its interval."""
    shared_i_xh_bits_high: float
    """Upper end of its interval."""
    own_null_i_xh_bits: float | None
    """The dedicated decoder's against its own null condition."""
    own_null_i_xh_bits_low: float | None
    """Lower end of its interval."""
    own_null_i_xh_bits_high: float | None
    """Upper end of its interval."""
    shared_own_null_i_xh_bits: float | None
    """The shared decoder's against its own null condition."""
    shared_own_null_i_xh_bits_low: float | None
    """Lower end of its interval."""
    shared_own_null_i_xh_bits_high: float | None
    """Upper end of its interval."""
    warnings: str
    """Warnings about the dedicated decoder, joined by semicolons."""
    shared_warnings: str
    """Warnings about the shared decoder, joined by semicolons."""

    @property
    def gap(self) -> Interval:
        return Interval(self.gap_bits, self.gap_bits_low, self.gap_bits_high)


def pool(measured: Sequence[Measured]) -> Measured:
    """The mean over cells: image by image for code lengths, so that all cells are resampled with the same images.

    Raises:
        ValueError: nothing to pool, or different images.
    """
    if len({part.bits.shape for part in measured}) != 1:
        raise ValueError("code lengths of the same images are pooled, of at least one cell.")
    nulls = [part.own_null_bits for part in measured if part.own_null_bits is not None]
    costs = [part.cost for part in measured]
    return Measured(
        bits=np.mean([part.bits for part in measured], axis=0),
        own_null_bits=np.mean(nulls, axis=0) if len(nulls) == len(measured) else None,
        cost=Cost(
            steps=float(np.mean([cost.steps for cost in costs])),
            images=float(np.mean([cost.images for cost in costs])),
            flops=float(np.mean([cost.flops for cost in costs])),
            seconds=float(np.mean([cost.seconds for cost in costs])),
        ),
        warnings=tuple(sorted({name for part in measured for name in part.warnings})),
    )


def audit_row(
    experiment: str,
    remedy: str,
    place: Place,
    multiple: int,
    common_null_bits: np.ndarray,
    shared: Measured,
    dedicated: Measured,
    bootstrap: Bootstrap,
) -> AuditRow:
    """Compare two decoders on the same images; all intervals of a row come from the same resamples.

    Arguments:
        place: which cells the two are about (for several: see `pool`).
        multiple: see `AuditRow.multiple`.
        common_null_bits: shape (N,), L0 of every evaluation image.
        shared: of the shared decoder.
        dedicated: of the decoder of single cells.

    Raises:
        ValueError: the code lengths are not of the same images.
    """
    quantities = {
        "gap": dedicated.bits - shared.bits,
        "dedicated": common_null_bits - dedicated.bits,
        "shared": common_null_bits - shared.bits,
    }
    if dedicated.own_null_bits is not None:
        quantities["dedicated, own null"] = dedicated.own_null_bits - dedicated.bits
    if shared.own_null_bits is not None:
        quantities["shared, own null"] = shared.own_null_bits - shared.bits
    found = dict(
        zip(quantities, paired_bootstrap_intervals(np.stack(list(quantities.values())), bootstrap), strict=True)
    )
    gap, own, theirs = found["gap"], found["dedicated"], found["shared"]
    own_null, their_null = found.get("dedicated, own null"), found.get("shared, own null")
    return AuditRow(
        experiment=experiment,
        remedy=remedy,
        task=place.task,
        number_format=place.number_format,
        encoder_seed=place.encoder_seed,
        decoder_seed=place.decoder_seed,
        epoch=place.epoch,
        layer=place.layer,
        n_cells=place.n_cells,
        n_images=len(shared.bits),
        multiple=multiple,
        steps=dedicated.cost.steps,
        images=dedicated.cost.images,
        flops=dedicated.cost.flops,
        seconds=dedicated.cost.seconds,
        shared_steps=shared.cost.steps,
        shared_images=shared.cost.images,
        shared_flops=shared.cost.flops,
        shared_seconds=shared.cost.seconds,
        code_length_bits=float(dedicated.bits.mean()),
        shared_code_length_bits=float(shared.bits.mean()),
        gap_bits=gap.estimate,
        gap_bits_low=gap.low,
        gap_bits_high=gap.high,
        null_code_length_bits=float(common_null_bits.mean()),
        own_null_code_length_bits=_mean(dedicated.own_null_bits),
        shared_own_null_code_length_bits=_mean(shared.own_null_bits),
        i_xh_bits=own.estimate,
        i_xh_bits_low=own.low,
        i_xh_bits_high=own.high,
        shared_i_xh_bits=theirs.estimate,
        shared_i_xh_bits_low=theirs.low,
        shared_i_xh_bits_high=theirs.high,
        own_null_i_xh_bits=None if own_null is None else own_null.estimate,
        own_null_i_xh_bits_low=None if own_null is None else own_null.low,
        own_null_i_xh_bits_high=None if own_null is None else own_null.high,
        shared_own_null_i_xh_bits=None if their_null is None else their_null.estimate,
        shared_own_null_i_xh_bits_low=None if their_null is None else their_null.low,
        shared_own_null_i_xh_bits_high=None if their_null is None else their_null.high,
        warnings=_warnings(dedicated, own, common_null_bits, bootstrap),
        shared_warnings=_warnings(shared, theirs, common_null_bits, bootstrap),
    )


def _mean(bits: np.ndarray | None) -> float | None:
    return None if bits is None else float(bits.mean())


def _warnings(measured: Measured, information: Interval, null: np.ndarray, bootstrap: Bootstrap) -> str:
    found = list(measured.warnings)
    if not_finite([information]):
        found.append("not_finite")
    if measured.own_null_bits is not None and own_null_much_worse_than_common(null, measured.own_null_bits, bootstrap):
        found.append("own_null_much_worse_than_common")
    return join_warnings(found)
