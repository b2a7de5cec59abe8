"""The tables of `ib pareto-front`: networks, points, what their layers keep, and the two questions.

Losses are in the units of the task `joint` (see `ib_analysis.training.objectives.Joint`): 1 for who knows no image. A
front is all trade-offs of one kind and number format; its points are counted from the classification end.
"""

from __future__ import annotations

from dataclasses import dataclass

from ib_analysis.information.columns import RunColumns

__all__ = [
    "ParetoLayerRow",
    "ParetoMiddleRow",
    "ParetoMonotoneRow",
    "ParetoNetworkRow",
    "ParetoPointRow",
]


@dataclass(frozen=True)
class ParetoNetworkRow(RunColumns):
    """One network, a row of pareto_networks.csv; what it does not do is empty. Intervals are over images."""

    kind: str
    """exact, linear or limit: how the trade-off is pursued; empty of networks of a single task."""
    wanted: str
    """r_classification:r_autoencoding, or the limit of the reconstruction loss."""
    position: int | None
    """Place on its front, from 0, which cares most for classification."""
    epoch: int
    """Training epochs that the network had seen."""
    n_images: int
    """Evaluation images."""
    train_classification_loss: float | None
    """Of the epoch's training batches."""
    train_reconstruction_loss: float | None
    """Likewise."""
    train_non_uniformity: float | None
    """Kullback-Leibler divergence of r times loss from uniform, nats, of the training losses; 0 on the ray of the
    preference."""
    train_angle_degrees: float | None
    """Angle between the training losses and that ray."""
    classification_loss: float | None
    """Of evaluation images."""
    reconstruction_loss: float | None
    """Likewise."""
    non_uniformity: float | None
    """As above, of the losses of evaluation images."""
    angle_degrees: float | None
    """Likewise."""
    accuracy: float | None
    """Share of evaluation images that are classified rightly."""
    accuracy_low: float | None
    """Lower end of its interval."""
    accuracy_high: float | None
    """Upper end of its interval."""
    psnr_db: float | None
    """Peak signal-to-noise ratio of evaluation images."""
    psnr_db_low: float | None
    """Lower end of its interval."""
    psnr_db_high: float | None
    """Upper end of its interval."""


@dataclass(frozen=True)
class ParetoPointRow:
    """One point of a front, or a task on its own: means over encoder seeds, a row of pareto_points.csv. Intervals are
    for new seeds and images (`ib_analysis.information.seed_spread`); with one seed over images alone."""

    experiment: str
    """Name of the experiment."""
    task: str
    """As in information.csv."""
    number_format: str
    """Number format of the networks."""
    kind: str
    """As in `ParetoNetworkRow`."""
    wanted: str
    """Likewise."""
    position: int | None
    """Likewise."""
    n_seeds: int
    """Encoder seeds."""
    confidence: float
    """Level of the intervals."""
    train_classification_loss: float | None
    """Of the epoch's training batches, mean over seeds; preferences and limits speak of these."""
    train_reconstruction_loss: float | None
    """Likewise."""
    n_within_limit: int | None
    """Networks whose train_reconstruction_loss is at most the limit; empty where there is none."""
    classification_loss: float | None
    """Of evaluation images."""
    reconstruction_loss: float | None
    """Likewise."""
    train_non_uniformity: float | None
    """Mean over seeds, nats."""
    train_angle_degrees: float | None
    """Mean over seeds."""
    angle_degrees: float | None
    """Mean over seeds, of the losses of evaluation images."""
    accuracy: float | None
    """Share of evaluation images."""
    accuracy_low: float | None
    """Lower end of its interval."""
    accuracy_high: float | None
    """Upper end of its interval."""
    psnr_db: float | None
    """Peak signal-to-noise ratio."""
    psnr_db_low: float | None
    """Lower end of its interval."""
    psnr_db_high: float | None
    """Upper end of its interval."""


@dataclass(frozen=True)
class ParetoLayerRow:
    """What a layer keeps at one point: means over seeds, a row of pareto_layers.csv; bits."""

    experiment: str
    """Name of the experiment."""
    task: str
    """As in information.csv."""
    number_format: str
    """Number format of the networks."""
    kind: str
    """As in `ParetoNetworkRow`."""
    wanted: str
    """Likewise."""
    position: int | None
    """Likewise."""
    layer: str
    """The tap."""
    n_seeds: int
    """Encoder seeds."""
    confidence: float
    """Level of the intervals."""
    i_xh_bits: float
    """Usable information about the image."""
    i_xh_bits_low: float
    """Lower end of its interval."""
    i_xh_bits_high: float
    """Upper end of its interval."""
    i_hy_bits: float
    """Information about the label that a probe finds."""
    i_hy_bits_low: float
    """Lower end of its interval."""
    i_hy_bits_high: float
    """Upper end of its interval."""
    warnings: str
    """Names of the warnings of any of the cells, joined by semicolons."""


@dataclass(frozen=True)
class ParetoMonotoneRow:
    """Whether I(X;H) of a layer moves one way along a front, a row of pareto_monotone.csv (see
    `ib_analysis.studies.pareto_front.monotone`)."""

    experiment: str
    """Name of the experiment."""
    number_format: str
    """Number format of the networks."""
    kind: str
    """As in `ParetoNetworkRow`."""
    layer: str
    """The tap."""
    n_points: int
    """Points of the front."""
    n_seeds: int
    """Encoder seeds."""
    rho: float
    """Spearman's rank correlation of I(X;H) with the position, mean over seeds: 1 if it rises at every step towards
    reconstruction in every seed."""
    rho_lowest: float
    """Of single seeds."""
    rho_highest: float
    """Of single seeds."""
    p_value: float
    """Two-sided, exact: how often points in random order, seed by seed, have a mean at least so far from 0."""
    p_value_adjusted: float
    """The same after Holm's correction for the layers of the front."""
    steps_along: int
    """Steps from point to point, of all seeds, that go the way of rho."""
    n_steps: int
    """All steps."""
    verdict: str
    """rises, falls, or undecided, by the adjusted value at the experiment's level of confidence."""
    warnings: str
    """Names of the warnings of any of the cells, joined by semicolons."""


@dataclass(frozen=True)
class ParetoMiddleRow:
    """Whether the middle of a front classifies better than another network, a row of pareto_middle.csv. Differences are
    shares of evaluation images, paired by seed and image."""

    experiment: str
    """Name of the experiment."""
    number_format: str
    """Number format of the networks."""
    kind: str
    """As in `ParetoNetworkRow`."""
    middle: str
    """What the middle point was asked for: the median position, or of two the one nearer to the classification end."""
    other: str
    """What it is compared with: the classification end of the front, by what it was asked for, or `classification`
    alone."""
    n_seeds: int
    """Encoder seeds of both."""
    n_images: int
    """Evaluation images."""
    confidence: float
    """Level of the interval."""
    difference: float
    """Accuracy of the middle minus that of the other, mean over seeds."""
    difference_low: float
    """Lower end of its interval: a t-interval over seeds and that over images in quadrature; with one seed over images
    alone."""
    difference_high: float
    """Upper end of its interval."""
    lowest: float
    """Least difference of a seed."""
    highest: float
    """Greatest difference of a seed."""
    verdict: str
    """better, worse, or undecided where the interval holds 0; `one_seed` where the spread of seeds is not known."""
