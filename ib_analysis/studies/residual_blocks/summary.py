"""The comparison of blocks in words."""

from __future__ import annotations

from collections.abc import Sequence

from ib_analysis.information.plain_text import align
from ib_analysis.studies.residual_blocks.plan import BLOCK_NAMES
from ib_analysis.studies.residual_blocks.table import BlockDifferenceRow, BlockRow

__all__ = ["name_of", "sentence", "summary"]

_VERDICTS = {
    "better": "{first} is better than {second}",
    "worse": "{second} is better than {first}",
    "undecided": "not decided between {first} and {second}",
    "one_seed": "{first} against {second}, one seed, whose spread is not known: nothing is decided",
}


def name_of(block: str) -> str:
    """What networks of a kind of block are called.

    >>> name_of("rir")
    'ResNet in ResNet'
    """
    return next(name for key, name in BLOCK_NAMES.items() if key == block)


def sentence(row: BlockDifferenceRow) -> str:
    """One comparison in words, in percentage points with its interval."""
    verdict = _VERDICTS[row.verdict].format(first=name_of(row.first), second=name_of(row.second))
    points, low, high = (100 * value for value in (row.difference, row.difference_low, row.difference_high))
    return f"{verdict} ({row.first} minus {row.second} {points:+.2f} [{low:+.2f}, {high:+.2f}])"


def summary(rows: Sequence[BlockRow], differences: Sequence[BlockDifferenceRow]) -> str:
    """A line per kind of block, single seeds among them, and a sentence per pair."""
    lines = [["network", "seed", "parameters", "widths", "accuracy, %", "on training images, %", "loss, bits"]]
    for row in rows:
        accuracy = (100 * value for value in (row.test_accuracy, row.test_accuracy_low, row.test_accuracy_high))
        lines.append(
            [
                name_of(row.block),
                f"mean of {row.n_seeds}" if row.seed is None else str(row.seed),
                f"{row.parameters:,}",
                row.widths.replace(";", " "),
                "{:.2f} [{:.2f}, {:.2f}]".format(*accuracy),
                f"{100 * row.train_accuracy:.2f}",
                f"{row.test_loss_bits:.3f}",
            ]
        )
    first = differences[0]
    return "\n".join(
        [
            f"Classifiers of equally many parameters after {rows[0].epochs} epochs, accuracy on {first.n_images:,} "
            "evaluation images",
            *align(lines),
            "",
            f"Pairs, in percentage points; {first.confidence:.0%} is the level of each interval for itself, that all "
            f"{len(differences)} hold at once is less sure.",
            *(f"  {sentence(row)}." for row in differences),
        ]
    )
