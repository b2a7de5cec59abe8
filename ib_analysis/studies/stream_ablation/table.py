"""stream_ablation.csv, and the lines that are printed of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ib_analysis.information.columns import RunColumns
from ib_analysis.information.intervals import Bootstrap, Interval, paired_bootstrap_intervals
from ib_analysis.information.plain_text import align
from ib_analysis.information.seed_spread import spread_over_seeds

__all__ = ["StreamAblationRow", "ablation_rows", "summary"]


@dataclass(frozen=True)
class StreamAblationRow(RunColumns):
    """One stream of one block set to zero. Accuracies are shares of the evaluation images, 0 to 1."""

    epoch: int
    """Training epochs that the encoder had seen."""
    block: str
    """Path of the block whose output's stream is zero."""
    stream: str
    """residual or transient."""
    n_images: int
    """Evaluation images."""
    accuracy_intact: float
    """Of the network as it is."""
    accuracy_intact_low: float
    """Lower end of its interval over images."""
    accuracy_intact_high: float
    """Upper end of its interval."""
    accuracy: float
    """With the stream at zero."""
    accuracy_low: float
    """Lower end of its interval over images."""
    accuracy_high: float
    """Upper end of its interval."""
    drop: float
    """What is lost: accuracy_intact minus accuracy, paired image by image."""
    drop_low: float
    """Lower end of its interval over images."""
    drop_high: float
    """Upper end of its interval."""
    confidence: float
    """Level of the intervals."""


def ablation_rows(
    of_run: RunColumns,
    epoch: int,
    intact: np.ndarray,
    ablated: dict[tuple[str, str], np.ndarray],
    bootstrap: Bootstrap,
) -> list[StreamAblationRow]:
    """The rows of one network.

    Arguments:
        of_run: which network.
        epoch: of its training.
        intact: shape (N,), 0 or 1: whether it is right about each image.
        ablated: (block, stream) -> the same with that stream at zero.
        bootstrap: of the intervals, over images.
    """
    right = np.stack([intact, *ablated.values()]).astype(np.float64)
    whole, *rest = paired_bootstrap_intervals(np.concatenate([right, right[0] - right[1:]]), bootstrap)
    accuracies, drops = rest[: len(ablated)], rest[len(ablated) :]
    return [
        StreamAblationRow(
            of_run.experiment,
            of_run.task,
            of_run.number_format,
            of_run.encoder_seed,
            epoch,
            block,
            stream,
            len(intact),
            *(whole.estimate, whole.low, whole.high),
            *(found.estimate, found.low, found.high),
            *(drop.estimate, drop.low, drop.high),
            bootstrap.confidence,
        )
        for (block, stream), found, drop in zip(ablated, accuracies, drops, strict=True)
    ]


def summary(rows: Sequence[StreamAblationRow]) -> str:
    """A line per number format, epoch, block and stream; means over seeds where there are several."""
    groups: dict[tuple[str, int, str, str], list[StreamAblationRow]] = {}
    for row in rows:
        groups.setdefault((row.number_format, row.epoch, row.block, row.stream), []).append(row)
    lines = [["format", "epoch", "block", "without", "accuracy, %", "drop, % points"]]
    for (name, epoch, block, stream), group in groups.items():
        lines.append([name, str(epoch), block, stream, _told(group, "accuracy"), _told(group, "drop")])
    intact: dict[tuple[str, int], list[StreamAblationRow]] = {}
    for row in rows:
        if (row.block, row.stream) == (rows[0].block, rows[0].stream):
            intact.setdefault((row.number_format, row.epoch), []).append(row)
    whole = [
        f"Intact, {name}, epoch {epoch}: {_told(group, 'accuracy_intact')} %" for (name, epoch), group in intact.items()
    ]
    seeds = len({row.encoder_seed for row in rows})
    about = f"means of {seeds} encoder seeds" if seeds > 1 else "one network, over images"
    level = f"{rows[0].confidence:.0%} interval, {about}"
    title = f"Accuracy with one stream of one block at zero, evaluation images [{level}]"
    return "\n".join([title, *align(lines), *whole])


def _told(group: Sequence[StreamAblationRow], name: str) -> str:
    runs = {
        (row.encoder_seed, 0): Interval(*(getattr(row, name + end) for end in ("", "_low", "_high"))) for row in group
    }
    found = spread_over_seeds(runs, group[0].confidence).mean
    return f"{100 * found.estimate:.2f} [{100 * found.low:.2f}, {100 * found.high:.2f}]"
