"""What number formats change of the information in layers, seed by seed, as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from ib_analysis.information.cell_text import MARK
from ib_analysis.information.intervals import Interval
from ib_analysis.information.plain_text import align
from ib_analysis.information.seed_spread import spread_over_seeds
from ib_analysis.information.table import InformationRow

__all__ = ["format_differences"]


def format_differences(rows: Sequence[InformationRow], confidence: float) -> list[str]:
    """I(X;H) of each number format less that of the first one, at the last epoch: a column per format.

    Differences are those of networks of one seed, which start from the same weights; their mean has an interval for new
    seeds (`spread_over_seeds`), on the same images. Nothing where there is one format, or one seed; networks of two
    tasks at once are left out.

    Arguments:
        rows: all cells of an experiment.
        confidence: level of the intervals.
    """
    last = max(row.epoch for row in rows)
    cells = {
        (row.task, row.layer, row.number_format, (row.encoder_seed, row.decoder_seed)): row
        for row in rows
        if row.epoch == last and not row.preference and row.reconstruction_limit is None
    }
    first, *others = dict.fromkeys(number_format for _, _, number_format, _ in cells) or [""]
    lines = []
    for task, layer in dict.fromkeys((task, layer) for task, layer, _, _ in cells):
        line = [task, layer]
        for other in others:
            seeds = [run for *cell, run in cells if cell == [task, layer, other] and (task, layer, first, run) in cells]
            pairs = {run: (cells[task, layer, other, run], cells[task, layer, first, run]) for run in seeds}
            line.append(_told(pairs, confidence))
        lines.append(line)
    if not others or not any(told for line in lines for told in line[2:]):
        return []
    head = ["task", "layer", *(f"{other} - {first}" for other in others)]
    title = (
        f"Number formats: differences of I(X;H) in bits at epoch {last}, seed by seed, mean [interval for new seeds, t]"
    )
    return ["", title, *align([head, *lines])]


def _told(pairs: dict[tuple[int, int], tuple[InformationRow, InformationRow]], confidence: float) -> str:
    if len(pairs) < 2:
        return ""
    differences = {run: other.i_xh_bits - first.i_xh_bits for run, (other, first) in pairs.items()}
    mean = spread_over_seeds({run: Interval(bits, bits, bits) for run, bits in differences.items()}, confidence).mean
    mark = MARK if any(row.warnings for pair in pairs.values() for row in pair) else ""
    single = ", ".join(f"{bits:.2f}" for bits in differences.values())
    return f"{mean.estimate:.2f}{mark} [{mean.low:.2f}, {mean.high:.2f}] ({single})"
