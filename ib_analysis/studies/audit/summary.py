"""An audit as plain text for the terminal: costs, code lengths, gaps, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence

from ib_analysis.information.intervals import Interval
from ib_analysis.information.plain_text import align
from ib_analysis.studies.audit.hysteresis import HysteresisRow
from ib_analysis.studies.audit.rows import ALL, NO_REMEDY, AuditRow

__all__ = ["audit_summary", "best_remedy", "hysteresis_summary", "verdict"]


def verdict(gap: Interval) -> str:
    """What a gap L dedicated - L shared says about the aim that the shared decoder's code be no longer.

    >>> verdict(Interval(0.4, 0.1, 0.7)), verdict(Interval(0.1, -0.2, 0.4))
    ('reached', 'reached, but not beyond the interval')
    >>> verdict(Interval(-0.1, -0.4, 0.2)), verdict(Interval(-0.4, -0.7, -0.1))
    ('missed, but not beyond the interval', 'missed')
    """
    word = "reached" if gap.estimate >= 0 else "missed"
    beyond = not gap.low <= 0 <= gap.high or gap.low == gap.high  # an interval without width hides nothing
    return word if beyond else f"{word}, but not beyond the interval"


def best_remedy(rows: Sequence[AuditRow]) -> str:
    """The shared fit with the shortest mean code length over the sampled cells; `none` is the experiment's own."""
    return min(_together(rows), key=lambda row: row.shared_code_length_bits).remedy


def audit_summary(rows: Sequence[AuditRow]) -> str:
    """The table for a reader, in bits, costs per cell.

    First every sampled cell, then all of them together with the verdict, and, where there are any, the remedies.
    """
    own = [row for row in rows if row.remedy == NO_REMEDY]
    cells = [row for row in own if row.layer != ALL]
    lines = [["task", "layer", "epoch", "cost", "L dedicated", "L shared", "gap", "I, common L0", "I, own null"]]
    layers = list(dict.fromkeys(row.layer for row in cells))  # from input to output, as the table has them
    for row in sorted(cells, key=lambda row: (row.task, layers.index(row.layer), row.epoch or 0, row.multiple)):
        lines.append([row.task, row.layer, str(row.epoch), f"{row.multiple}x", *_lengths(row), *_information(row)])
    text = [
        "Dedicated decoders against the shared one, in bits. Gap: L dedicated - L shared, above 0 where the shared "
        "decoder has the shorter code. I: dedicated / shared.",
        *align(lines),
        "",
        "All sampled cells together; cost per cell: FLOPs of training, and time with validations.",
    ]
    lines = [["cells", "cost", "FLOPs", "seconds", "mean L", "gap", "I, common L0", "I, own null"]]
    together = _together(own)
    first = together[0]
    lines.append(
        [f"{first.n_cells} shared", "1x", f"{first.shared_flops:.2e}", f"{first.shared_seconds:.1f}",
         f"{first.shared_code_length_bits:.2f}", "", f"{first.shared_i_xh_bits:.2f}",
         _number(first.shared_own_null_i_xh_bits)]
    )  # fmt: skip
    for row in together:
        lines.append(
            [f"{row.n_cells} dedicated", f"{row.multiple}x", f"{row.flops:.2e}", f"{row.seconds:.1f}",
             f"{row.code_length_bits:.2f}", _interval(row.gap), f"{row.i_xh_bits:.2f}",
             _number(row.own_null_i_xh_bits)]
        )  # fmt: skip
    text += align(lines)
    last = max(together, key=lambda row: row.multiple)
    text.append(
        f"Aim (the shared fit's mean code length is no longer than that of dedicated fits at {last.multiple} times its "
        f"cost per cell): {verdict(last.gap)}; dedicated - shared = {_interval(last.gap)} bits."
    )
    warned = sum(bool(row.warnings) for row in cells)
    theirs = len({(row.task, row.layer, row.epoch, row.encoder_seed, row.decoder_seed)
                  for row in cells if row.shared_warnings})  # fmt: skip
    text.append(
        f"Warnings: {warned} of {len(cells)} dedicated fits, {theirs} of {last.n_cells} cells of the shared fit."
    )
    if any(row.remedy != NO_REMEDY for row in rows):
        text += ["", *_remedies(rows, last.multiple)]
    return "\n".join(text)


def hysteresis_summary(rows: Sequence[HysteresisRow]) -> str:
    """Sweeps through the epochs, forwards against backwards, and in how many epochs the way can be seen."""
    lines = [["task", "layer", "epoch", "steps forward", "backward", "L forward", "L backward", "forward - backward"]]
    seen = 0
    for row in rows:
        found = Interval(row.difference_bits, row.difference_bits_low, row.difference_bits_high)
        seen += row.epoch is not None and not found.low <= 0 <= found.high
        lines.append(
            [row.task, row.layer, "all" if row.epoch is None else str(row.epoch), f"{row.forward_steps:.0f}",
             f"{row.backward_steps:.0f}", f"{row.forward_code_length_bits:.2f}",
             f"{row.backward_code_length_bits:.2f}", _interval(found)]
        )  # fmt: skip
    return "\n".join(
        [
            "Warm starts from epoch to epoch, in bits; the intervals of a layer's epochs hold for all of them at once.",
            *align(lines),
            f"Hysteresis beyond the interval in {seen} of {sum(row.epoch is not None for row in rows)} epochs; only "
            "in the means have both sweeps been fitted for as long.",
        ]
    )


def _remedies(rows: Sequence[AuditRow], multiple: int) -> list[str]:
    lines = [["shared fit", "FLOPs", "seconds", "mean L", f"gap to {multiple}x", "aim"]]
    found = sorted(
        (row for row in _together(rows) if row.multiple == multiple), key=lambda row: row.shared_code_length_bits
    )
    for row in found:
        lines.append(
            [row.remedy, f"{row.shared_flops:.2e}", f"{row.shared_seconds:.1f}", f"{row.shared_code_length_bits:.2f}",
             _interval(row.gap), verdict(row.gap)]
        )  # fmt: skip
    best = best_remedy(rows)
    said = "the experiment's own fit" if best == NO_REMEDY else best
    return ["Remedies, the shortest code first; cost per cell.", *align(lines), f"Shortest mean code: {said}."]


def _together(rows: Sequence[AuditRow]) -> list[AuditRow]:
    return [row for row in rows if row.layer == ALL]


def _lengths(row: AuditRow) -> list[str]:
    return [f"{row.code_length_bits:.2f}", f"{row.shared_code_length_bits:.2f}", _interval(row.gap)]


def _information(row: AuditRow) -> list[str]:
    return [
        f"{row.i_xh_bits:.2f} / {row.shared_i_xh_bits:.2f}",
        f"{_number(row.own_null_i_xh_bits)} / {_number(row.shared_own_null_i_xh_bits)}",
    ]


def _interval(found: Interval) -> str:
    return f"{found.estimate:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
