"""yardsticks.csv, and what is printed of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ib_analysis.information.intervals import Interval
from ib_analysis.information.plain_text import align
from ib_analysis.information.seed_spread import spread_over_seeds
from ib_analysis.studies.yardsticks.published import CHANNELS, RESOLUTION, TEST_IMAGES, TRAINING_IMAGES, Published
from ib_analysis.studies.yardsticks.setting import Setting, obstacles

__all__ = ["OURS", "PUBLISHED_ELSEWHERE", "YardstickRow", "summary", "yardstick_rows"]

OURS, PUBLISHED_ELSEWHERE = "measured here", "published"


@dataclass(frozen=True)
class YardstickRow:
    """One accuracy: measured here, or published by others."""

    experiment: str
    """Name of the experiment."""
    origin: str
    """measured here, or published."""
    name: str
    """Network and method."""
    bits: str
    """Of weights and activations: a number format, or in words."""
    n_seeds: int | None
    """Seeds that a measured accuracy is the mean of."""
    accuracy: float
    """Share of test images that are classified right."""
    accuracy_low: float | None
    """Lower end of its interval: over images; over several seeds a t-interval and that in quadrature."""
    accuracy_high: float | None
    """Upper end of its interval."""
    images: str
    """Source, size and colour of the images."""
    n_training_images: int
    """Images that the network was trained on."""
    n_test_images: int
    """Images that it was judged on."""
    epochs: int | None
    """Passes over the training images; empty where it is not known here."""
    setting: str
    """full: CIFAR-10 as published, all images; reduced: anything else."""
    not_comparable: str
    """What keeps a measured accuracy from a comparison with the published ones, joined by semicolons; empty where
    images and split are the same (networks and training still differ)."""
    source: str
    """Of a published accuracy."""
    read: str
    """Where a published accuracy was read."""


def yardstick_rows(
    experiment: str,
    networks: Mapping[str, str],
    setting: Setting,
    accuracies: Mapping[str, Mapping[int, Interval]],
    published: Sequence[Published],
    confidence: float,
) -> list[YardstickRow]:
    """A row per number format, then one per published accuracy.

    Arguments:
        experiment: its name.
        networks: number format -> what its classifiers are, in words.
        accuracies: number format -> seed -> accuracy with its interval over images.
        published: to be set beside them.
        confidence: level of the intervals.
    """
    why = obstacles(setting, published)
    rows = []
    for number_format, by_seed in accuracies.items():
        mean = spread_over_seeds({(seed, 0): found for seed, found in by_seed.items()}, confidence).mean
        rows.append(
            YardstickRow(
                experiment, OURS, networks[number_format], number_format, len(by_seed),
                mean.estimate, mean.low, mean.high,
                f"{setting.source}, {setting.size}", setting.n_training, setting.n_test, setting.epochs,
                "reduced" if why else "full", ";".join(why), "", "",
            )
        )  # fmt: skip
    images = f"cifar10, {RESOLUTION}x{RESOLUTION} {'colour' if CHANNELS == 3 else 'grey'}"
    rows += [
        YardstickRow(
            experiment, PUBLISHED_ELSEWHERE, one.name, one.bits, None, one.accuracy, None, None, images,
            TRAINING_IMAGES, TEST_IMAGES, one.epochs, "full", "", one.source, one.read,
        )
        for one in published
    ]  # fmt: skip
    return rows


def summary(rows: Sequence[YardstickRow]) -> str:
    """The table for the terminal; first of all whether the two kinds of accuracies may be compared."""
    ours = [row for row in rows if row.origin == OURS]
    why = ours[0].not_comparable.split(";") if ours[0].not_comparable else []
    head = (
        f"NOT COMPARABLE: accuracies measured here are of a reduced setting ({', '.join(why)})."
        if why
        else "Accuracies measured here are of the same images and split as the published ones; networks and training "
        "still differ."
    )
    lines = [["", "network", "bits", "accuracy, %", "images", "trained on", "epochs", "setting", "source"]]
    for row in rows:
        ends = (
            "" if row.accuracy_low is None or row.accuracy_high is None
            else f" [{100 * row.accuracy_low:.2f}, {100 * row.accuracy_high:.2f}]"
        )  # fmt: skip
        where = f"{row.source} ({row.read})" if row.origin == PUBLISHED_ELSEWHERE else _seeds(row)
        lines.append(
            [
                row.origin, row.name, row.bits, f"{100 * row.accuracy:.2f}{ends}", row.images,
                f"{row.n_training_images:,}", "?" if row.epochs is None else str(row.epochs), row.setting, where,
            ]
        )  # fmt: skip
    return "\n".join([head, *align(lines)])


def _seeds(row: YardstickRow) -> str:
    return "one seed" if row.n_seeds == 1 else f"mean of {row.n_seeds} seeds"
