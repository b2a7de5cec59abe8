"""Where the variance of a number comes from: the choice of images, encoder seeds or decoder seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["VarianceSplit", "variance_split"]


@dataclass(frozen=True)
class VarianceSplit:
    """Parts of the variance of one run's mean over N images, in squared units of the values; they add up.

    Arguments:
        images: from the choice of the N images.
        encoder_seeds: from the encoder's seed; None with a single one. With a single decoder seed per encoder it
            holds the decoders' part too, which cannot be told from it.
        decoder_seeds: from the decoder's seed, given the encoder; None with a single one.
    """

    images: float
    encoder_seeds: float | None
    decoder_seeds: float | None


def variance_split(values: np.ndarray) -> VarianceSplit:
    """Method of moments for value = mean + encoder + decoder within encoder + image + rest, all effects random.

    Searle, Casella & McCulloch (1992), Variance Components, chapter 4, for balanced data: mean squares are set equal
    to their expectations. With c the means over images, MS(rest) the mean square that is left
    when the means of runs and of images are taken out, E encoders, D decoders each, N images:

        decoder = MS(c within encoders) - MS(rest) / N
        encoder = variance of the encoders' means - MS(c within encoders) / D
        images  = mean over runs of the variance over images / N

    Every part is unbiased; to be so, a seed's part may come out below zero, which says that it is not seen.

    Arguments:
        values: shape (E, D, N): a value per encoder seed, decoder seed and image, the images being the same.

    Raises:
        ValueError: another shape, or fewer than two images.

    >>> variance_split(np.array([[[0.0, 2.0]], [[4.0, 6.0]]]))  # two encoders, whose means are 1 and 5
    VarianceSplit(images=1.0, encoder_seeds=8.0, decoder_seeds=None)
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 3 or values.shape[2] < 2 or 0 in values.shape:
        raise ValueError(
            "A variance is split from values of shape (encoder seeds, decoder seeds, images) with at least two "
            f"images, not {values.shape}."
        )
    n_encoders, n_decoders, n_images = values.shape
    runs = n_encoders * n_decoders
    images = float(values.var(axis=2, ddof=1).mean()) / n_images
    if runs == 1:
        return VarianceSplit(images, None, None)
    of_runs = values.mean(axis=2)
    rest = values - of_runs[..., None] - values.mean(axis=(0, 1)) + values.mean()
    rest_of_mean = float((rest**2).sum()) / ((runs - 1) * (n_images - 1)) / n_images
    within = float(of_runs.var(axis=1, ddof=1).mean()) if n_decoders > 1 else rest_of_mean
    between = float(of_runs.mean(axis=1).var(ddof=1)) if n_encoders > 1 else 0.0
    return VarianceSplit(
        images=images,
        encoder_seeds=between - within / n_decoders if n_encoders > 1 else None,
        decoder_seeds=within - rest_of_mean if n_decoders > 1 else None,
    )
