"""The tables of `ib cost-quality`: single networks, their means over seeds, and which curve dominates which."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COST_MODELS", "CostQualityPointRow", "CostQualityRow", "DominanceRow"]

COST_MODELS: dict[str, str] = {
    "quadratic_cost": "quadratic cost",
    "linear_cost": "linear cost",
    "memory_bits": "weight memory",
}
"""Column of a table -> what the cost is called."""


@dataclass(frozen=True)
class CostQualityRow:
    """One trained network, a row of cost_quality.csv. Accuracies are shares of images from 0 to 1, those of the last
    epoch, in evaluation mode and without augmentation; intervals are over images."""

    experiment: str
    """Name of the experiment."""
    number_format: str
    """Number format of weights and activations."""
    depth: int
    """Weighted layers."""
    width: int
    """Filters of the first stage."""
    seed: int
    """Seed of weights, order of images and augmentation."""
    parameters: int
    """Number of parameters, those of batch normalisation included."""
    macs: int
    """Multiply-accumulates of one image."""
    quadratic_cost: int
    """Sum of MACs x bits of weights x bits of activations."""
    linear_cost: int
    """Sum of MACs x the wider of the two, rounded up to 4, 8, 16 or 32 bits."""
    memory_bits: int
    """Bits of all weights of convolutions and dense layers."""
    n_training_images: int
    """Images that the network was trained on."""
    n_images: int
    """Evaluation images."""
    test_accuracy: float
    """Share of evaluation images that are classified rightly."""
    test_accuracy_low: float
    """Lower end of its interval."""
    test_accuracy_high: float
    """Upper end of its interval."""
    train_accuracy: float
    """Share of training images that are classified rightly."""
    test_loss_bits: float
    """Mean cross-entropy of evaluation images."""
    train_loss_bits: float
    """Mean cross-entropy of training images."""
    generalization_gap: float
    """train_accuracy - test_accuracy."""
    generalization_gap_low: float
    """Lower end of its interval."""
    generalization_gap_high: float
    """Upper end of its interval."""
    seconds: float
    """Time of training and evaluation in the call that ended them: the one column in which a repetition may differ."""
    warnings: str
    """Names of warnings, joined by semicolons (see `ib_analysis.information.warnings.EXPLANATIONS`)."""


@dataclass(frozen=True)
class CostQualityPointRow:
    """One grid point in one number format, a row of cost_quality_points.csv: means over seeds with intervals for new
    seeds and images (see `ib_analysis.studies.cost_quality.pooled_seeds`)."""

    experiment: str
    """Name of the experiment."""
    number_format: str
    """Number format of weights and activations."""
    depth: int
    """Weighted layers."""
    width: int
    """Filters of the first stage."""
    n_seeds: int
    """Seeds that the means are over; with one, intervals are over images alone."""
    confidence: float
    """Level of the intervals."""
    parameters: int
    """Number of parameters."""
    macs: int
    """Multiply-accumulates of one image."""
    quadratic_cost: int
    """As in `CostQualityRow`."""
    linear_cost: int
    """As in `CostQualityRow`."""
    memory_bits: int
    """As in `CostQualityRow`."""
    test_accuracy: float
    """Mean over seeds."""
    test_accuracy_low: float
    """Lower end of its interval."""
    test_accuracy_high: float
    """Upper end of its interval."""
    train_accuracy: float
    """Mean over seeds."""
    generalization_gap: float
    """Mean over seeds."""
    generalization_gap_low: float
    """Lower end of its interval."""
    generalization_gap_high: float
    """Upper end of its interval."""
    efficient: str
    """Cost models under which no other network of the format beats it in cost and accuracy, joined by semicolons."""
    warnings: str
    """Names of the warnings of any of its seeds, joined by semicolons."""


@dataclass(frozen=True)
class DominanceRow:
    """Whether one format's curve lies above another's, a row of dominance.csv (see
    `ib_analysis.studies.cost_quality.dominance`)."""

    experiment: str
    """Name of the experiment."""
    format_a: str
    """Format that may dominate."""
    format_b: str
    """Format that it is compared with."""
    cost_model: str
    """quadratic_cost, linear_cost or memory_bits."""
    verdict: str
    """`yes`: A is above B at every common cost; `no`: B is above A at some; `undecided`; or `no overlap`."""
    smallest_difference: float | None
    """Accuracy of A - accuracy of B, as a share, where it is smallest; empty without common costs."""
    smallest_difference_low: float | None
    """Lower end of its interval, which holds for all knots at once."""
    smallest_difference_high: float | None
    """Upper end of its interval."""
    cost: float | None
    """Cost where the difference is smallest."""
    overlap_low: float | None
    """Smallest common cost."""
    overlap_high: float | None
    """Largest common cost."""
    n_knots: int
    """Costs at which the curves were compared."""
    n_seeds: int
    """Seeds of every network."""
    n_images: int
    """Evaluation images."""
    confidence: float
    """Level of the interval and of the verdict."""
