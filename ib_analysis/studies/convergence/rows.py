"""convergence.csv and convergence_phases.csv: numbers of fits that end twice beside those of far longer fits."""

from __future__ import annotations

from dataclasses import dataclass

from ib_analysis.information.columns import CellColumns, DecoderColumns

__all__ = ["ConvergencePhaseRow", "ConvergenceRow"]


@dataclass(frozen=True)
class ConvergenceRow(CellColumns):
    """One cell. All information is in bits, a mean over the same evaluation images, with the experiment's L0."""

    decoder: str
    """Key of the experiment's decoder."""
    n_images: int
    """Evaluation images that the means are over."""
    steps: int
    """Optimiser steps that its fit took."""
    longer_steps: int
    """Optimiser steps that the longer fit took."""
    i_xh_bits: float
    """I(X;H), as information.csv has it."""
    i_xh_bits_low: float
    """Lower end of its interval."""
    i_xh_bits_high: float
    """Upper end of its interval."""
    information_change_bits: float
    """By how much it rose from half of the steps to all of them."""
    information_high_with_change: float
    """Upper end of its interval, widened by 1.25 times that change where it is above 0."""
    longer_i_xh_bits: float
    """I(X;H) by the longer fit."""
    added_bits: float
    """What that adds: mean(L - L of the longer fit), image by image."""
    added_bits_low: float
    """Lower end of its paired interval."""
    added_bits_high: float
    """Upper end of its paired interval."""
    contained: str
    """`yes` if longer_i_xh_bits lies in [i_xh_bits_low, information_high_with_change], else `no`."""
    outside_bits: float
    """How far it lies above (positive) or below (negative) that interval; 0 within."""
    within_change: str
    """`yes` if, beyond its paired interval, the longer fit did not add more than the change alone: what the rule says
    without the help of the interval over images, which both fits have in common."""
    bits_to_gain: float | None
    """What the certificate of the experiment's fit says that an endless one would add; empty where it has none."""
    bits_to_gain_high: float | None
    """Upper end of its interval."""
    bits_to_gain_here: float | None
    """What its law says that a fit as long as the longer one would add."""
    certificate_holds: str
    """`yes` if, beyond its paired interval, the longer fit did not add more than bits_to_gain_high; empty where there
    is no certificate."""
    warnings: str
    """Names of the cell's warnings in information.csv, joined by semicolons."""
    longer_warnings: str
    """Names of the longer fit's warnings that make it a poor measure: overfitting, steps that were not finite."""


@dataclass(frozen=True)
class ConvergencePhaseRow(DecoderColumns):
    """Fitting gain and compression loss of one layer, in bits."""

    layer: str
    """The tap."""
    peak_epoch: int
    """Where the mean code length was shortest."""
    longer_peak_epoch: int
    """The same under the longer fit."""
    gain_bits: float
    """Fitting gain, as phases.csv has it."""
    gain_bits_low: float
    """Lower end of its interval, widened by 1.25 times the size of its change."""
    gain_bits_high: float
    """Upper end, widened alike."""
    gain_change_bits: float
    """By how much it changed from half of the steps to all of them."""
    longer_gain_bits: float
    """Fitting gain by the longer fit, on the same images and with a peak of its own."""
    gain_contained: str
    """`yes` if that lies in the widened interval, else `no`."""
    gain_outside_bits: float
    """How far it lies above (positive) or below (negative); 0 within."""
    loss_bits: float
    """Compression loss, and so on alike."""
    loss_bits_low: float
    """Lower end of its interval, widened by 1.25 times the size of its change."""
    loss_bits_high: float
    """Upper end, widened alike."""
    loss_change_bits: float
    """By how much it changed from half of the steps to all of them."""
    longer_loss_bits: float
    """Compression loss by the longer fit."""
    loss_contained: str
    """`yes` if that lies in the widened interval, else `no`."""
    loss_outside_bits: float
    """How far it lies above (positive) or below (negative); 0 within."""
    verdict: str
    """compresses, no compression found, or not judged."""
    longer_verdict: str
    """The same by the longer fit."""
    same_verdict: str
    """`yes` if they are one, else `no`."""
    warnings: str
    """Names of the phase's warnings in phases.csv, joined by semicolons."""
