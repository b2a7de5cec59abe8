"""The tables of a search, one dataclass field per column."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BitsRow", "CostBitsRow", "Costs", "FrontRow", "MethodRow", "PairRow", "RoundRow", "SearchedRow"]


@dataclass(frozen=True)
class Costs:
    """What a network costs for one image."""

    macs: float
    """Multiply-accumulates."""
    quadratic_cost: float
    """Sum of MACs x bits of weights x bits of activations."""
    linear_cost: float
    """Sum of MACs x the wider of the two, rounded up to 4, 8, 16 or 32 bits."""
    memory_bits: float
    """Sum of weights x their bits."""
    parameters: float
    """Number of parameters."""
    latency_ms: float | None
    """Median time of one image, measured; empty where the search does not ask for it."""
    energy_mj: float | None
    """Energy of one image; empty where the search does not ask for it."""
    energy_source: str
    """RAPL or NVML where a counter measured it, else `modelled`."""


@dataclass(frozen=True)
class SearchedRow(Costs):
    """One network that one method trained, a row of ``searched.csv``."""

    method: str
    """Name of the method."""
    place: int
    """How many it had trained with this one."""
    network: str
    """Its choices."""
    error: float
    """Share of held-out images that are classified wrongly, the mean over seeds."""
    violation: float
    """Of the limits; 0 where they are kept."""
    hypervolume: float
    """Share of the box below the references that the method's networks dominate so far."""
    not_dominated: int
    """1 where no network of any method is better in one objective and as good in all others."""
    latency_iqr_ms: float | None = None
    """Interquartile range of the time, over rounds."""
    latency_flagged: int | None = None
    """1 where it was above 10 % of the median twice: the time is not to be relied upon."""
    latency_reference_ms: float | None = None
    """Time of the reference network in the same rounds: what it moves by between rows is the machine's doing."""


@dataclass(frozen=True)
class MethodRow:
    """One method, a row of ``methods.csv``."""

    method: str
    """Its name."""
    evaluations: int
    """Different networks that it trained."""
    repeats: int
    """Proposals that it had made before."""
    hypervolume: float
    """Share of the box below the references that they dominate, on held-out images."""
    on_front: int
    """Networks of the front of all methods together that it found."""
    rank_correlation: float | None
    """Of the surrogate's errors on networks that it had not seen, the mean over rounds (``rounds.csv``), where there is
    one."""
    seconds: float
    """Of the search, trainings included, in the run that ended it; with `at_once` above 1, of its trainings alone."""


@dataclass(frozen=True)
class RoundRow:
    """One metric that a surrogate predicted in one round of a method, a row of ``rounds.csv``."""

    method: str
    """Name of the method."""
    round: int
    """From 1 on."""
    candidates: int
    """Networks among which the round chose."""
    metric: str
    """What was predicted."""
    n_networks: int
    """Networks of the round that were trained: those that the correlation is over."""
    rank_correlation: float | None
    """Spearman's, of prediction and truth; empty in the first round, for fewer than 3 networks, and where all
    predictions or truths were equal."""


@dataclass(frozen=True)
class FrontRow(Costs):
    """One network of the final front, trained again on all encoder images: a row of ``network_front.csv``."""

    name: str
    """Of its experiment."""
    network: str
    """Its choices."""
    found_by: str
    """Methods that had trained it, joined by semicolons."""
    held_out_error: float
    """In the search."""
    n_seeds: int
    """Networks that were trained in the end."""
    n_images: int
    """Test images."""
    test_accuracy: float
    """Share of test images that are classified right, the mean over seeds."""
    test_accuracy_low: float
    """Lower end of its interval for new seeds and images (of one seed: for images)."""
    test_accuracy_high: float
    """Upper end."""
    kernels: str
    """What it runs on where its time is measured, joined by semicolons; 4-bit codes run on 8-bit kernels."""
    latency_iqr_ms: float | None
    """Interquartile range of the time, over rounds."""
    latency_flagged: int | None
    """1 where it was above 10 % of the median twice: the time is not to be relied upon."""


@dataclass(frozen=True)
class BitsRow:
    """One layer of one network of the final front, a row of ``front_bits.csv``; means over encoder seeds with intervals
    for new ones, after the last epoch."""

    name: str
    """Of its experiment."""
    network: str
    """Its choices."""
    layer: str
    """The tap."""
    n_seeds: int
    """Encoders that were measured."""
    cost: float
    """The first cost among the objectives."""
    test_accuracy: float
    """As in ``network_front.csv``."""
    i_xh_bits: float
    """Usable information of the layer about the image."""
    i_xh_bits_low: float
    """Lower end of its interval."""
    i_xh_bits_high: float
    """Upper end."""
    i_hy_bits: float | None
    """Lower bound on the information about the label."""
    i_hy_bits_low: float | None
    """Lower end of its interval."""
    i_hy_bits_high: float | None
    """Upper end."""
    warnings: str
    """Names of warnings of any of the cells, joined by semicolons."""


@dataclass(frozen=True)
class CostBitsRow:
    """How a cost goes with the bits of a layer over the measured networks of the front, a row of
    ``front_cost_bits.csv``."""

    cost: str
    """The cost."""
    layer: str
    """The tap."""
    quantity: str
    """`i_xh_bits` or `i_hy_bits`."""
    n_networks: int
    """Networks that have the layer."""
    n_seeds: int
    """Encoder seeds that all of them have."""
    rank_correlation: float
    """Spearman's, of the cost with the networks' means over seeds."""
    lowest_seed: float
    """The least that a single seed says."""
    highest_seed: float
    """The most."""
    p_value: float
    """Two-sided, by exchanging networks."""


@dataclass(frozen=True)
class PairRow:
    """Two measured networks of the front and a layer of both, a row of ``front_pairs.csv``; differences are the dearer
    minus the cheaper."""

    cheaper: str
    """Of its experiment."""
    dearer: str
    """Of its experiment."""
    cost_ratio: float
    """The dearer's first cost over the cheaper's."""
    accuracy: float
    """Difference of test accuracies, paired by seed and image."""
    accuracy_low: float
    """Lower end of its interval for new seeds and images."""
    accuracy_high: float
    """Upper end."""
    equally_accurate: int
    """1 where that interval holds 0: these seeds and images cannot tell the two apart."""
    layer: str
    """The tap."""
    n_seeds: int
    """Encoder seeds."""
    i_xh_bits: float
    """Difference of the usable information about the image, paired by seed."""
    i_xh_bits_low: float
    """Lower end of its interval for new seeds."""
    i_xh_bits_high: float
    """Upper end."""
    i_hy_bits: float | None
    """Difference of the lower bounds on the information about the label."""
    i_hy_bits_low: float | None
    """Lower end of its interval."""
    i_hy_bits_high: float | None
    """Upper end."""
    warnings: str
    """Names of warnings of any of the cells, joined by semicolons."""
