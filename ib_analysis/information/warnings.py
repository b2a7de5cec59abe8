"""Named warnings: a number that carries one is no number to publish."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from ib_analysis.information.estimates import usable_information
from ib_analysis.information.intervals import Bootstrap, Interval

__all__ = [
    "COMMON_NULL_WARNINGS",
    "EXPLANATIONS",
    "INFORMATION_STILL_MOVING",
    "NOTE_EXPLANATIONS",
    "common_null_warnings",
    "conditions_clipped",
    "information_above_upper_bound",
    "information_below_label_information",
    "join_warnings",
    "not_finite",
    "own_null_much_worse_than_common",
    "split_warnings",
]

WORTH_MENTION = 1e-3
"""Share of clipped values above which a cell comes with a warning."""

INFORMATION_STILL_MOVING = "information_still_moving"
COMMON_NULL_WARNINGS = ("common_null_not_converged", "common_null_rising")
"""Of the L0 that all cells have in common, and that cancels in differences of cells."""

EXPLANATIONS: dict[str, str] = {
    "validation_code_length_still_falling": (
        "The decoder's validation code length was still falling when its training ended, or at the step whose weights "
        "were kept: more steps would shorten the code, so that the information is understated."
    ),
    "validation_code_length_rising": (
        "The decoder's validation code length rose again after its lowest point: it learned its training images by "
        "heart. The weights of the best validation (of all cells together) were kept, but more images, not more steps, "
        "would shorten the code, so that the information is understated."
    ),
    "validation_code_length_rose": (
        "The decoder's validation code length rose for a while, and was lowest only after its learning rate began to "
        "cool down: more images would shorten the code, so that the information may be understated."
    ),
    INFORMATION_STILL_MOVING: (
        "From half of the decoder's steps to all of them the information moved by more than half the width of its "
        "interval and more than 10 %: a longer fit would change it further (see information_change_bits)."
    ),
    "stream_difference_still_moving": (
        "From half of the decoders' steps to all of them the difference of the two streams moved by more than half the "
        "width of its interval and more than 10 %: longer fits would change it further (see "
        "i_xh_difference_change_bits)."
    ),
    "gain_still_moving": (
        "From half of the decoders' steps to all of them the fitting gain moved beyond its interval: longer fits would "
        "change it further (see gain_change_bits)."
    ),
    "loss_still_moving": (
        "From half of the decoders' steps to all of them the compression loss moved beyond its interval: longer fits "
        "would change it further (see loss_change_bits)."
    ),
    "verdict_depends_on_budget": (
        "At half of the decoders' steps the verdict on compression was another one: longer fits may change it again."
    ),
    "training_too_short_to_tell": (
        "There are too few validation points to tell whether the decoder had converged; train it longer or validate "
        "more often."
    ),
    "nan_recovered": (
        "A training step of the decoder gave values that are not finite; it was taken back and training went on with "
        "a smaller step."
    ),
    "common_null_not_converged": (
        "The data set's common unconditional model was still improving when its fit ended (or its fit is in doubt): "
        "its code lengths are too long, and the information is overstated; differences of cells are not touched."
    ),
    "common_null_rising": (
        "The validation code length of the data set's common unconditional model rose again after its lowest point: it "
        "has too few images, its code lengths are too long, and the information is overstated; differences of cells "
        "are not touched."
    ),
    "own_null_much_worse_than_common": (
        "The decoder codes images without a condition much worse than the data set's best unconditional model: it may "
        "have learned the images themselves less well, so that its information may be understated."
    ),
    "information_above_upper_bound": (
        "The estimate lies above a known upper bound on I(X;H), such as H(X) or the bits that the activations can "
        "hold: the null code length is too long, or evaluation images were seen in training."
    ),
    "information_below_label_information": (
        "I(X;H) is at least I(H;Y), of which a probe of the same activations finds more than the decoder finds of the "
        "whole image: the decoder reads badly (most often it has too few images), and the information is understated."
    ),
    "activations_lose_precision": (
        "Activations lose digits or values beyond the range of the numbers that they are kept in, and with them "
        "information that no decoder can find any more: let activations.storage be auto or float32."
    ),
    "spike_in_not_converged": (
        "With the coins of spike-ins beside or in the activations the decoder was still improving when its training "
        "ended (or its fit is in doubt): more steps would find more of the coins; I(X;H) is not touched."
    ),
    "network_probe_overfits_at_once": (
        "The network that reads the label from the layer was at its best by its second epoch and learned its images by "
        "heart afterwards: it has too few of them, so that I(H;Y) may be understated; see i_hy_bound_bits, the bound "
        "by later layers. I(X;H) is not touched."
    ),
    "accuracy_at_chance": (
        "The network's accuracy on evaluation images is not above the share of the most frequent class, beyond its "
        "interval: it has learned nothing that counts, and its place on a curve of accuracy means little."
    ),
    "conditions_clipped": (
        "More than one in a thousand of the layer's values lie beyond 10 standard deviations of the training images, "
        "where the decoder sees them clipped: what is in their size is not found, so that the information may be "
        "understated."
    ),
    "not_finite": "A code length or cross-entropy is infinite or not a number; the decoder or probe has diverged.",
}
"""What each warning means, in words for documentation and pages."""


NOTE_EXPLANATIONS: dict[str, str] = {
    "validation_code_length_still_falling": (
        "A longer fit of the decoder would shorten its code lengths; how much the information has changed since half "
        "of the steps is in information_change_bits."
    ),
    "validation_code_length_rose": (
        "The decoder's validation code length rose for a while, and was lowest only after its learning rate began to "
        "cool down: a longer fit might lengthen its code lengths, more images would shorten them."
    ),
    "spike_in_not_converged": (
        "A longer fit of the decoder would shorten its code lengths given the coins of spike-ins; I(X;H) is not "
        "touched."
    ),
    "common_null_not_converged": (
        "A longer fit of the data set's common unconditional model would shorten L0, and lower all information alike; "
        "differences of cells are not touched."
    ),
    "common_null_rising": (
        "The validation code length of the data set's common unconditional model rose for a while, or, of a reader "
        "without activations, after its lowest point, which was kept: more images would shorten L0; differences of "
        "cells are not touched."
    ),
    "asymptote_not_identified": (
        "The validation code length fell so steadily that a longer fit would shorten it by an unknown amount."
    ),
    "training_too_short_to_tell": "There are too few validations before the cool-down to extrapolate their course.",
    "validation_code_length_rising": (
        "Before the learning rate cooled down the validation code length rose again after its lowest point: a longer "
        "fit might lengthen it."
    ),
}
"""What each note means: what a longer fit would do to code lengths. Whether it touches the information is measured."""


def common_null_warnings(fitted: Iterable[str]) -> list[str]:
    """What the warnings of the fit that gave the common L0 mean for a row that is measured against it.

    >>> common_null_warnings(["validation_code_length_rising"]), common_null_warnings(["nan_recovered"])
    (['common_null_rising'], ['common_null_not_converged'])
    """
    rising = {"validation_code_length_rising", "validation_code_length_rose"}
    names = set(fitted)
    not_converged, rising_null = COMMON_NULL_WARNINGS
    return [*([not_converged] if names - rising else []), *([rising_null] if names & rising else [])]


def own_null_much_worse_than_common(
    common_null_code_lengths: np.ndarray, own_null_code_lengths: np.ndarray, bootstrap: Bootstrap | None = None
) -> bool:
    """Whether a decoder's own null condition costs clearly more than the data set's common L0.

    Clearly: by more than 1 bit and more than 1 % of the common L0, with the whole paired interval.

    Arguments:
        common_null_code_lengths, own_null_code_lengths: shape (N,), bits, of the same images.
    """
    excess = usable_information(own_null_code_lengths, common_null_code_lengths, bootstrap)
    return excess.low > max(1.0, 0.01 * float(np.mean(common_null_code_lengths)))


def information_above_upper_bound(information: Iterable[Interval], upper_bounds_bits: Mapping[str, float]) -> bool:
    """Whether an estimate lies with its whole interval above an upper bound on I(X;H).

    Arguments:
        information: usable information and, where H(X) is known, the lower bound.
        upper_bounds_bits: name -> bound, e.g. ``{"H(X)": 14.3, "units x bits": 64 * 16}``.

    >>> information_above_upper_bound([Interval(15.0, 14.6, 15.4)], {"H(X)": 14.3})
    True
    >>> information_above_upper_bound([Interval(14.4, 14.1, 14.7)], {"H(X)": 14.3})
    False
    """
    smallest = min(upper_bounds_bits.values(), default=math.inf)
    return any(estimate.low > smallest for estimate in information)


def information_below_label_information(information: Interval, label: Interval) -> bool:
    """Whether I(X;H) lies with its whole interval below that of I(H;Y), which it cannot: H is a function of X.

    Arguments:
        information: usable information.
        label: the probe's lower bound on I(H;Y).

    >>> information_below_label_information(Interval(1.0, 0.6, 1.4), Interval(3.2, 3.1, 3.3))
    True
    >>> information_below_label_information(Interval(3.0, 2.6, 3.4), Interval(3.2, 3.1, 3.3))
    False
    """
    return information.high < label.low


def not_finite(intervals: Iterable[Interval]) -> bool:
    """Whether any estimate or end of an interval is infinite or not a number."""
    return not all(math.isfinite(number) for found in intervals for number in (found.estimate, found.low, found.high))


def conditions_clipped(clipped_values: int, condition_values: int) -> bool:
    """Whether a decoder saw so many values of a layer clipped that it is worth mention: more than one in a thousand.

    At most one in a hundred of the training images' values can lie beyond 10 standard deviations (Chebyshev), of a
    normal distribution's one in 10^23: it takes units that are rarely active.

    Arguments:
        clipped_values, condition_values: over the evaluation images.

    >>> conditions_clipped(1, 1000), conditions_clipped(2, 1000), conditions_clipped(0, 0)
    (False, True, False)
    """
    return clipped_values > WORTH_MENTION * condition_values


def join_warnings(names: Iterable[str]) -> str:
    """Names as they stand in a table's cell: each once, in alphabetical order.

    >>> join_warnings(["nan_recovered", "information_above_upper_bound", "nan_recovered"])
    'information_above_upper_bound;nan_recovered'
    """
    return ";".join(sorted(set(names)))


def split_warnings(joined: str) -> tuple[str, ...]:
    """The inverse of `join_warnings`.

    >>> split_warnings("")
    ()
    """
    return tuple(name for name in joined.split(";") if name)
