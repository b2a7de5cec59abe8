"""certificates.csv: the evidence that each decoder had converged, a row per cell and one per null condition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from decoders.fitting.certificate import CurveEnd

__all__ = ["CONVERGED_BITS", "CertificateRow", "certificates_line"]

CONVERGED_BITS = 0.5
"""A cell counts as converged if the upper end of what is still to gain lies below: half a bit is what the calibration
allows an estimate to be wrong by."""


@dataclass(frozen=True)
class _Condition:
    """Which decoder, under which of its conditions."""

    experiment: str
    """Name of the experiment."""
    task: str
    """What the encoder was trained for; empty for an unconditional decoder."""
    number_format: str
    """Number format of the encoder; empty for an unconditional decoder."""
    encoder_seed: int | None
    """Seed of the encoder; none for an unconditional decoder."""
    decoder_seed: int
    """Seed of the decoder."""
    decoder: str
    """Key of the decoder."""
    epoch: int | None
    """Epoch of the cell; none for the null condition."""
    layer: str
    """Layer of the cell; `null` for the null condition."""
    serves_as_l0: str
    """`yes` for the null condition that is the experiment's common L0, else `no`."""


@dataclass(frozen=True)
class CertificateRow(CurveEnd, _Condition):
    """What one learning curve says; code lengths are means in bits over the validation images.

    See `decoders.fitting.certificate` for definitions, and for what the intervals cover.
    """

    early_stopped: str
    """`yes` if the fit ended because validation had stopped improving, else `no`."""
    steps_done: int
    """Steps when the fit ended."""
    best_step: int
    """Step whose weights were kept."""
    warnings: str
    """Names of warnings, joined by semicolons."""


def certificates_line(rows: Sequence[CertificateRow]) -> str:
    """How far the decoders had converged, in one line for the terminal."""
    cells = [row for row in rows if row.epoch is not None]
    converged = sum(row.bits_to_gain_high < CONVERGED_BITS for row in cells)
    open_ended = sum(not math.isfinite(row.bits_to_gain_high) for row in cells)
    told = [row.bits_to_gain for row in cells if row.bits_to_gain is not None]
    text = (
        f"Certificates: {converged} of {len(cells)} cells have less than {CONVERGED_BITS:g} bit still to gain (upper "
        f"end of the interval); {open_ended} have no upper end"
    )
    if told:
        text += f"; the estimates go up to {max(told):.2f} bits"
    null = next((row for row in rows if row.serves_as_l0 == "yes"), None)
    if null is not None:
        text += f"; the common L0: {_gain(null)}"
    return text + " (certificates.csv). Extrapolated from the fits' own curves, not tested by longer ones."


def _gain(row: CertificateRow) -> str:
    if row.bits_to_gain is None:
        return "not known"
    return f"{row.bits_to_gain:.2f} [{row.bits_to_gain_low:.2f}, {row.bits_to_gain_high:.2f}]"
