"""budget.csv: what an experiment's numbers would be with decoders of other budgets, a row per decoder and layer."""

from __future__ import annotations

from dataclasses import dataclass

from ib_analysis.information.columns import DecoderColumns

__all__ = ["BudgetRow"]


@dataclass(frozen=True)
class BudgetRow(DecoderColumns):
    """One layer under one decoder. Code lengths and information are means over evaluation images and over the measured
    epochs of the layer, in bits."""

    decoder: str
    """Key of the decoder in the study."""
    against_steps: str
    """`yes` if the decoder is a point of the curves against steps, which have the experiment's size."""
    against_size: str
    """`yes` if it is a point of the curves against size, which have the experiment's steps."""
    steps: int
    """Optimiser steps of its schedule."""
    steps_done: int
    """Steps that it took."""
    filters: int
    """Its filters."""
    blocks: int
    """Its blocks."""
    parameters: int
    """Its parameters."""
    flops_per_image: int
    """FLOPs of one code length."""
    training_flops: float
    """FLOPs of the fit's steps, backward passes counted as two forward ones."""
    seconds: float
    """Time of the fit: the one column in which a repetition may differ."""
    layer: str
    """The tap."""
    n_epochs: int
    """Epochs that the means are over."""
    n_images: int
    """Evaluation images that the means are over."""
    code_length_bits: float
    """L, given the activations."""
    code_length_bits_low: float
    """Lower end of its interval."""
    code_length_bits_high: float
    """Upper end of its interval."""
    null_code_length_bits: float
    """L0 under the decoder's own null condition; the same for all layers of a decoder."""
    null_code_length_bits_low: float
    """Lower end of its interval."""
    null_code_length_bits_high: float
    """Upper end of its interval."""
    i_xh_bits: float
    """L0 - L, both of this decoder."""
    i_xh_bits_low: float
    """Lower end of its interval."""
    i_xh_bits_high: float
    """Upper end of its interval."""
    h_x_bits: float | None
    """Exact entropy of an image, where it is known."""
    bits_to_gain_high: float
    """The largest upper end, over the epochs, of what a longer fit would gain (see `decoders.fitting.certificate`)."""
    warnings: str
    """Names of the warnings of any of the layer's cells, joined by semicolons."""
