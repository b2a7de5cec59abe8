"""Where Shannon's I(X;H) is H(X), and where a layer is too small for it: the truth line, and the sentence beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes

from ib_analysis.information.shannon import capacity_bits, has_room, holds_all
from ib_analysis.information.table import InformationRow
from ib_analysis.plots.curves import layers_of
from ib_analysis.plots.style import TRUTH
from ib_analysis.plots.truth_line import draw_truth_line

__all__ = ["draw_truth_about_images", "holding_layers", "shannon_note"]


def holding_layers(rows: Sequence[InformationRow]) -> list[str]:
    """The layers that are injective on the images in all rows that are no codes (`holds_all`)."""
    return [layer for layer, own in _floats(rows).items() if all(holds_all(row) for row in own)]


def shannon_note(rows: Sequence[InformationRow], h_x_bits: float | None, line: str = "") -> str:
    """What Shannon's I(X;H) is in the layers of float numbers, in a sentence or two; empty where all are codes.

    Arguments:
        line: where H(X) is drawn, for a bracket behind its value.
    """
    floats, holding = _floats(rows), holding_layers(rows)
    notes = []
    if holding:
        where = "every float layer" if len(holding) == len(floats) else ", ".join(holding)
        value = "H(X)" if h_x_bits is None else f"H(X) = {h_x_bits:.1f} bits"
        notes.append(
            f"Shannon's I(X;H) is {value} at every epoch{line} in {where}: distinct images have distinct activations."
        )
    small = {layer: own[0] for layer, own in floats.items() if not all(has_room(row) for row in own)}
    if small:
        told = ", ".join(f"{layer} at most {capacity_bits(row):,.0f} bits" for layer, row in small.items())
        of = " as float numbers" if any(row.code_bits for row in rows) else ""
        notes.append(f"Too small to hold every image{of} (units x bits): {told}.")
    left = [layer for layer in floats if layer not in holding and layer not in small]
    shared = [layer for layer in left if any(holds_all(row) is False for row in floats[layer])]
    if shared:
        notes.append(f"In {', '.join(shared)} images share activations: Shannon's I(X;H) is at most H(X) there.")
    unknown = [layer for layer in left if layer not in shared]
    if unknown:
        notes.append(f"Whether Shannon's I(X;H) is H(X) in {', '.join(unknown)} has not been looked at.")
    return " ".join(notes)


def draw_truth_about_images(
    axes: Axes, axis: Literal["x", "y"], rows: Sequence[InformationRow], h_x_bits: float, data_end: float
) -> None:
    """The line at H(X), where it is the truth about a layer, with the layers' names unless it is about all; and a
    dotted line at the upper end of each float layer that is too small.

    Arguments:
        rows: of one panel.
        data_end: the largest value drawn on the axis.
    """
    holding = holding_layers(rows)
    if holding:
        about = "" if len(holding) == len(layers_of(rows)) else f" in {', '.join(holding)}"
        draw_truth_line(axes, axis, h_x_bits, data_end, f"H(X) = {h_x_bits:.1f} bits{about}")
    for layer, own in _floats(rows).items():
        if has_room(own[0]):
            continue
        end = capacity_bits(own[0])
        text = f"{layer}: at most {end:,.0f} bits"
        if axis == "x":
            axes.set_xlim(right=max(axes.get_xlim()[1], 1.12 * end))
            axes.axvline(end, color=TRUTH, linestyle=":", linewidth=1.1, gid="upper_end")
            across = axes.get_xaxis_transform()
            axes.text(end, 0.03, text + " ", rotation=90, size=8, ha="right", va="bottom", transform=across)
        else:
            axes.set_ylim(top=max(axes.get_ylim()[1], 1.12 * end))
            axes.axhline(end, color=TRUTH, linestyle=":", linewidth=1.1, gid="upper_end")
            axes.text(0.015, end, text, size=8, ha="left", va="bottom", transform=axes.get_yaxis_transform())


def _floats(rows: Sequence[InformationRow]) -> dict[str, list[InformationRow]]:
    """Layer -> its rows that are no codes; layers without any are left out."""
    found: dict[str, list[InformationRow]] = {}
    for row in rows:
        if row.code_bits is None:
            found.setdefault(row.layer, []).append(row)
    return found
