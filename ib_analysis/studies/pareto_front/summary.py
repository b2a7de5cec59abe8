"""The tables of the study for a reader."""

from __future__ import annotations

from collections.abc import Sequence

from ib_analysis.information.plain_text import align
from ib_analysis.studies.pareto_front.rows import ParetoMiddleRow, ParetoMonotoneRow, ParetoPointRow
from ib_analysis.studies.pareto_front.table import Tables

__all__ = ["KINDS", "limit_sentences", "middle_sentence", "monotone_sentence", "summary"]

KINDS = {"exact": "exact Pareto search", "linear": "weighted sum", "limit": "limit of the reconstruction loss"}
"""How trade-offs are pursued, in words."""

_VERDICTS = {
    "better": "the middle is the better classifier",
    "worse": "the middle is the worse classifier",
    "undecided": "the interval holds 0: which is the better one is not decided",
    "one_seed": "one seed: its spread is not known, the interval is over images alone, and nothing is decided",
}


def summary(tables: Tables) -> str:
    """A line per point, what each layer keeps there, and the answers."""
    first = tables.points[0]
    seeds = f"{first.n_seeds} seeds" if first.n_seeds > 1 else "one seed, over images"
    lines = [["task", "losses, training", "held out", "angle, training", "held out", "accuracy, %", "PSNR, dB"]]
    for row in tables.points:
        lines.append(
            [
                _named(row.task, row.number_format),
                _pair(row.train_classification_loss, row.train_reconstruction_loss, 4),
                _pair(row.classification_loss, row.reconstruction_loss, 3),
                _number(row.train_angle_degrees, 1), _number(row.angle_degrees, 1),
                _interval(row.accuracy, row.accuracy_low, row.accuracy_high, 100),
                _interval(row.psnr_db, row.psnr_db_low, row.psnr_db_high),
            ]
        )  # fmt: skip
    text = [
        f"Points of fronts on evaluation images [{first.confidence:.0%} interval, {seeds}]; losses of classification "
        "and reconstruction, 1: who knows no image; angle from the wanted ratio, degrees",
        *align(lines),
        *limit_sentences(tables.points),
        "",
    ]
    layers = [["task", "layer", "I(X;H), bits", "I(H;Y), bits"]]
    for cell in tables.layers:
        layers.append(
            [
                _named(cell.task, cell.number_format), cell.layer,
                _interval(cell.i_xh_bits, cell.i_xh_bits_low, cell.i_xh_bits_high),
                _interval(cell.i_hy_bits, cell.i_hy_bits_low, cell.i_hy_bits_high)
                + (f"  ! {cell.warnings}" if cell.warnings else ""),
            ]
        )  # fmt: skip
    text += ["What layers keep", *align(layers), ""]
    text += [monotone_sentence(row) for row in tables.monotone]
    return "\n".join([*text, *(middle_sentence(row) for row in tables.middle)])


def limit_sentences(points: Sequence[ParetoPointRow]) -> list[str]:
    """Of every limit, whether training kept it."""
    return [
        f"Limit {_named(row.wanted, row.number_format)}: kept in training by {row.n_within_limit} of {row.n_seeds} "
        f"networks; reconstruction loss {_number(row.train_reconstruction_loss, 4)} in training, "
        f"{_number(row.reconstruction_loss, 4)} held out{', means' if row.n_seeds > 1 else ''}."
        for row in points
        if row.n_within_limit is not None
    ]


def monotone_sentence(row: ParetoMonotoneRow) -> str:
    """Whether I(X;H) of a layer moves one way towards reconstruction."""
    words = {"rises": "rises", "falls": "falls", "undecided": "has no direction that is certain"}[row.verdict]
    seeds = f" ({row.rho_lowest:+.2f} to {row.rho_highest:+.2f} by seed)" if row.n_seeds > 1 else ""
    warned = "; some of its cells have warnings" if row.warnings else ""
    return (
        f"{_front(row)}I(X;H) of {row.layer} {words} towards reconstruction: Spearman's rho {row.rho:+.2f}{seeds} over "
        f"{row.n_points} points, p = {row.p_value:.2g}, {row.p_value_adjusted:.2g} for all layers; {row.steps_along} "
        f"of {row.n_steps} steps go that way{warned}."
    )


def middle_sentence(row: ParetoMiddleRow) -> str:
    """Whether the middle classifies better than another network."""
    found = _interval(row.difference, row.difference_low, row.difference_high, 100)
    other = "classification alone" if row.other == "classification" else f"the end ({row.other})"
    seeds = "one seed" if row.n_seeds == 1 else f"mean of {row.n_seeds} seeds"
    return (
        f"{_front(row)}accuracy of the middle ({row.middle}) minus that of {other}, {seeds}: {found} percentage "
        f"points; {_VERDICTS[row.verdict]}."
    )


def _front(row: ParetoMonotoneRow | ParetoMiddleRow) -> str:
    words = ", ".join([KINDS[row.kind], *_format(row.number_format)])
    return f"{words[0].upper()}{words[1:]}: "


def _named(task: str, number_format: str) -> str:
    return " ".join([task, *_format(number_format)])


def _format(number_format: str) -> Sequence[str]:
    return [number_format] if number_format != "float32" else []


def _pair(first: float | None, second: float | None, digits: int) -> str:
    return f"{_number(first, digits)} {_number(second, digits)}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _interval(estimate: float | None, low: float | None, high: float | None, scale: float = 1.0) -> str:
    if estimate is None or low is None or high is None:
        return "-"
    return f"{scale * estimate:.2f} [{scale * low:.2f}, {scale * high:.2f}]"
