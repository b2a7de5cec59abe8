"""The table of a calibration, calibration.csv: estimates beside known truths, one dataclass field per column."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CalibrationRow"]


@dataclass(frozen=True)
class CalibrationRow:
    """One channel of one source. Information and code lengths are means over evaluation images, in bits; intervals are
    those of `InformationRow`, over the choice of evaluation images."""

    experiment: str
    """Name of the calibration."""
    source: str
    """Kind of images and symbols."""
    symbol_bits: float
    """Entropy of an image's symbols: what a channel without noise would let through."""
    channel: str
    """`erasure` or `flip` (binary symmetric)."""
    parameter: float
    """Probability that a symbol is erased, or a coin turned over."""
    decoder_seed: int
    """Seed of the decoder."""
    channels: int
    """Channels of the condition."""
    height: int
    """Height of the condition; 1 for a vector."""
    width: int
    """Width of the condition; 1 for a vector."""
    n_images: int
    """Evaluation images that the means and intervals are over."""
    h_x_bits: float
    """H(X): exact entropy of an image."""
    h_x_given_h_bits: float
    """H(X|H) of these evaluation images: H(X) - true_bits."""
    true_bits: float
    """I(X;H) as realised in these evaluation images: the mean information density; for erasures, the entropy of the
    symbols that arrived."""
    expected_bits: float
    """I(X;H): its expectation, by the channel's formula."""
    estimated_bits: float
    """Usable information: mean(L0 - L)."""
    estimated_bits_low: float
    """Lower end of its interval."""
    estimated_bits_high: float
    """Upper end of its interval."""
    estimated_error_bits: float
    """estimated_bits - true_bits."""
    estimated_error_bits_low: float
    """Lower end of its interval."""
    estimated_error_bits_high: float
    """Upper end of its interval."""
    estimated_relative_error: float | None
    """The same as a share of true_bits; empty where nothing arrived."""
    estimated_within: str
    """`yes` if the error is at most max(2 %, 0.5 bit), else `no`."""
    lower_bound_bits: float
    """H(X) - mean(L), a lower bound on I(X;H)."""
    lower_bound_bits_low: float
    """Lower end of its interval."""
    lower_bound_bits_high: float
    """Upper end of its interval."""
    lower_bound_error_bits: float
    """lower_bound_bits - true_bits: below 0 but for the luck of the draw."""
    lower_bound_relative_error: float | None
    """The same as a share of true_bits; empty where nothing arrived."""
    lower_bound_within: str
    """`yes` if the error is at most max(2 %, 0.5 bit), else `no`."""
    code_length_bits: float
    """L: code length of the image, given the channel's output."""
    null_code_length_bits: float
    """L0: code length under the source's common unconditional model."""
    own_null_code_length_bits: float
    """Code length under the null condition of the same decoder; of a reader, that of its base."""
    code_length_error_bits: float
    """L - H(X|H): what the decoder wastes, given the channel's output."""
    code_length_error_bits_low: float
    """Lower end of its interval."""
    code_length_error_bits_high: float
    """Upper end of its interval."""
    null_code_length_error_bits: float
    """L0 - H(X): what the unconditional model wastes."""
    null_code_length_error_bits_low: float
    """Lower end of its interval."""
    null_code_length_error_bits_high: float
    """Upper end of its interval."""
    decoder: str
    """Key of the decoder."""
    decoder_steps: int
    """Optimiser steps of the decoder's fit."""
    seconds: float
    """The cell's share of the fit, and its measurement: the one column in which a repetition may differ."""
    warnings: str
    """Names of warnings, joined by semicolons (see `ib_analysis.information.warnings.EXPLANATIONS`)."""
    decoder_sha256: str
    """Hash of the decoder."""
    information_change_bits: float | None = None
    """estimated_bits minus what it was when the decoder's fit ended at half of its steps, on the same images; empty
    where the fit ended once, as those that follow."""
    estimated_high_with_change: float | None = None
    """estimated_bits_high plus 1.25 times information_change_bits where that is above 0."""
    contains_truth: str = ""
    """`yes` if true_bits lies in [estimated_bits_low, estimated_high_with_change], else `no`: both are of these
    evaluation images, so that their draw is no excuse."""
    truth_outside_bits: float | None = None
    """How far true_bits lies above (positive) or below (negative) that interval; 0 within."""
    notes: str = ""
    """Names of notes, joined by semicolons: what a longer fit would do to code lengths."""
