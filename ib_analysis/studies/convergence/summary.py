"""A test of convergence as plain text for the terminal: cells, phases, and how often the rule held."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ib_analysis.information.change import WIDENING
from ib_analysis.information.plain_text import align
from ib_analysis.studies.convergence.judge import prediction, share_of
from ib_analysis.studies.convergence.rows import ConvergencePhaseRow, ConvergenceRow

__all__ = ["AIM", "summary"]

AIM = 0.9
"""Share of cells whose widened interval should contain what a far longer fit finds."""


def summary(rows: Sequence[ConvergenceRow], phases: Sequence[ConvergencePhaseRow]) -> str:
    """Every cell and phase, and below them how often the widened intervals contain what the longer fits find."""
    text = [
        f"Fits of {rows[0].longer_steps:,} steps against those of {rows[0].steps:,}, in bits. I: the experiment's "
        f"[interval; upper end with {WIDENING:g} times the change]. Added: by the longer fit on the same images, "
        "paired. ! a warning.",
        *_cells(rows),
        "",
        *(_phases(phases) if phases else []),
        *_verdict(rows),
    ]
    return "\n".join(text)


def _cells(rows: Sequence[ConvergenceRow]) -> list[str]:
    lines = [["task", "layer", "epoch", "I(X;H)", "change", "longer fit", "added", "contained"]]
    for row in rows:
        lines.append(
            [
                row.task,
                row.layer,
                str(row.epoch),
                f"{row.i_xh_bits:.2f}{'!' if row.warnings else ''} [{row.i_xh_bits_low:.2f}, "
                f"{row.i_xh_bits_high:.2f}; {row.information_high_with_change:.2f}]",
                f"{row.information_change_bits:+.2f}",
                f"{row.longer_i_xh_bits:.2f}{'!' if row.longer_warnings else ''}",
                f"{row.added_bits:+.2f} [{row.added_bits_low:+.2f}, {row.added_bits_high:+.2f}]",
                _contained(row.contained, row.outside_bits),
            ]
        )
    return align(lines)


def _phases(phases: Sequence[ConvergencePhaseRow]) -> list[str]:
    lines = [["task", "layer", "gain", "longer fit", "contained", "loss", "longer fit", "contained", "verdict"]]
    for row in phases:
        same = row.verdict if row.same_verdict == "yes" else f"{row.verdict}; longer fit: {row.longer_verdict}"
        lines.append(
            [
                row.task,
                row.layer,
                f"{row.gain_bits:.2f} [{row.gain_bits_low:.2f}, {row.gain_bits_high:.2f}]",
                f"{row.longer_gain_bits:.2f}",
                _contained(row.gain_contained, row.gain_outside_bits),
                f"{row.loss_bits:.2f} [{row.loss_bits_low:.2f}, {row.loss_bits_high:.2f}]",
                f"{row.longer_loss_bits:.2f}",
                _contained(row.loss_contained, row.loss_outside_bits),
                same + ("!" if row.warnings else ""),
            ]
        )
    ends = [word == "yes" for row in phases for word in (row.gain_contained, row.loss_contained)]
    return [
        f"Phases, their intervals widened by {WIDENING:g} times the change to both sides",
        *align(lines),
        f"Gains and losses contained: {share_of(ends)}; the same verdict: "
        f"{share_of([row.same_verdict == 'yes' for row in phases])}.",
        "",
    ]


def _verdict(rows: Sequence[ConvergenceRow]) -> list[str]:
    quiet = [row for row in rows if not row.warnings]
    lines = []
    for name, chosen in (("without a warning", quiet), ("in all", rows)):
        contained = share_of([row.contained == "yes" for row in chosen])
        alone = share_of([row.within_change == "yes" for row in chosen])
        reached = "" if not contained.of else ", reached" if contained.kept >= AIM * contained.of else ", missed"
        lines.append(
            f"Cells {name}, contained: {contained} (aim {AIM:.0%}{reached}); added no more than the change alone: "
            f"{alone}."
        )
    lines += [*_farthest(rows), *_predicted(rows), *_certified(rows)]
    doubtful = sum(bool(row.longer_warnings) for row in rows)
    if doubtful:
        names = sorted({name for row in rows for name in row.longer_warnings.split(";") if name})
        lines.append(
            f"The longer fit itself is a poor measure in {doubtful} of {len(rows)} cells ({', '.join(names)}): it may "
            "have found too little."
        )
    return lines


def _farthest(rows: Sequence[ConvergenceRow]) -> list[str]:
    beyond = [row for row in rows if row.contained == "no"]
    if not beyond:
        return ["No cell lies outside its widened interval."]
    worst = max(beyond, key=lambda row: abs(row.outside_bits) if np.isfinite(row.outside_bits) else np.inf)
    where = "above" if worst.outside_bits > 0 else "below"
    return [
        f"Farthest outside: {abs(worst.outside_bits):.2f} bits {where} the widened interval ({worst.task}, "
        f"{worst.layer}, epoch {worst.epoch}; {abs(worst.outside_bits) / max(abs(worst.i_xh_bits), 1e-9):.1%} of its "
        "I)."
    ]


def _predicted(rows: Sequence[ConvergenceRow]) -> list[str]:
    found = prediction([row.information_change_bits for row in rows], [row.added_bits for row in rows])
    rank = "not defined" if found.rank_correlation is None else f"{found.rank_correlation:.2f}"
    text = f"Does the change tell what is added? Rank correlation over {len(rows)} cells: {rank}"
    if found.ratio_quantiles is not None:
        low, middle, high = found.ratio_quantiles
        text += (
            f"; added / change in the {found.n_risen} cells that rose: median {middle:.2f}, 10 and 90 % quantiles "
            f"{low:.2f} and {high:.2f}"
        )
    return [f"{text}."]


def _certified(rows: Sequence[ConvergenceRow]) -> list[str]:
    told = [row for row in rows if row.certificate_holds]
    if not told:
        return ["No curve has a steady phase long enough for a certificate."]
    holds = share_of([row.certificate_holds == "yes" for row in told])
    ratio = prediction([row.bits_to_gain_here or 0.0 for row in told], [row.added_bits for row in told])
    text = f"Certificates: at most their upper end was added in {holds} cells"
    if ratio.ratio_quantiles is not None:
        text += f"; added / predicted: median {ratio.ratio_quantiles[1]:.2f}"
    return [f"{text}."]


def _contained(word: str, beyond: float) -> str:
    return word if word == "yes" else f"no, {beyond:+.2f}"
