"""The tidy tables of results, information.csv and factors.csv: one dataclass per row, one field per column."""

from __future__ import annotations

import csv
import io
import types
import typing
from collections.abc import Iterable
from dataclasses import MISSING, astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ib_analysis.artifacts import UserError, write_text
from ib_analysis.information.columns import CellColumns, RunColumns

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
    "FactorRow",
    "InformationRow",
    "quantized_from",
    "read_filled_table",
    "read_table",
    "table_text",
    "write_table",
]

SIGNIFICANT_DIGITS = 9
"""Digits of every printed number: more than any interval resolves, fewer than the order of a sum can change."""


@dataclass(frozen=True)
class InformationRow(CellColumns):
    """What was measured in one cell, a row of information.csv. All information and code lengths are means in bits."""

    channels: int
    """Channels of the activations."""
    height: int
    """Height of the activations; 1 for a vector."""
    width: int
    """Width of the activations; 1 for a vector."""
    n_images: int
    """Evaluation images that the means and intervals are over."""
    i_xh_bits: float
    """Usable information of the layer about the image: mean(L0 - L)."""
    i_xh_bits_low: float
    """Lower end of its interval."""
    i_xh_bits_high: float
    """Upper end of its interval."""
    i_xh_bits_per_dim: float
    """The same per pixel and channel of the image."""
    code_length_bits: float
    """L: code length of the image, given the activations."""
    null_code_length_bits: float
    """L0: code length under the data set's common unconditional model."""
    own_null_code_length_bits: float | None
    """Code length under the null condition of the same decoder, where it has one."""
    h_x_bits: float | None
    """Exact entropy of an image, where it is known."""
    lower_bound_bits: float | None
    """H(X) - L, a lower bound on I(X;H), where H(X) is known."""
    lower_bound_bits_low: float | None
    """Lower end of its interval."""
    lower_bound_bits_high: float | None
    """Upper end of its interval."""
    i_hy_linear_bits: float | None
    """Information about the class label that a linear probe finds; empty without labels, as all that begin alike."""
    i_hy_mlp_bits: float | None
    """Information about the class label that a small network finds."""
    i_hy_bits: float | None
    """The one of the two that was better on the validation images."""
    i_hy_bits_low: float | None
    """Lower end of its interval."""
    i_hy_bits_high: float | None
    """Upper end of its interval."""
    probe_accuracy: float | None
    """Share of evaluation images that the better probe classifies rightly; empty without labels."""
    decoder: str
    """Key of the decoder."""
    decoder_steps: int
    """Optimiser steps of the decoder's fit."""
    condition: str
    """How the decoder got the activations."""
    seconds: float
    """Time that the cell took: the one column in which a repetition may differ."""
    warnings: str
    """Names of warnings, joined by semicolons (see `ib_analysis.information.warnings.EXPLANATIONS`)."""
    encoder_sha256: str
    """Hash of the encoder's checkpoint."""
    decoder_sha256: str
    """Hash of the decoder."""
    spike_in_bits: float | None = None
    """Coins in every measured image, each of exactly one bit; empty without spike-ins, as all that begin alike."""
    spike_in_recovered: float | None = None
    """Share of these bits that the decoder finds in a map of the coins: mean(L - L given the coins too) / bits."""
    spike_in_recovered_low: float | None = None
    """Lower end of its interval."""
    spike_in_recovered_high: float | None = None
    """Upper end of its interval."""
    spike_in_mixed_recovered: float | None = None
    """Share that the decoder finds where the coins are mixed into the activations; empty where they do not fit in."""
    spike_in_mixed_recovered_low: float | None = None
    """Lower end of its interval."""
    spike_in_mixed_recovered_high: float | None = None
    """Upper end of its interval."""
    code_bits: int | None = None
    """Bits of each unit's code where the tap is made of codes; empty where it is real: in floating-point formats,
    before the bounds of activations are set, and where no quantized layer reads it."""
    code_is_bottleneck: int | None = None
    """1 where the codes are all that goes on to later layers, 0 where real numbers or other codes pass beside them;
    empty where there is no code."""
    i_hy_bound_bits: float | None = None
    """Lower bound on I(H;Y) by data processing: i_hy_bits of this layer or of a later one of the same run and epoch
    that is a function of it, whichever was best on the validation images: it may thus lie a little below i_hy_bits."""
    i_hy_bound_bits_low: float | None = None
    """Lower end of its interval."""
    i_hy_bound_bits_high: float | None = None
    """Upper end of its interval."""
    i_hy_bound_layer: str = ""
    """The layer that it came from."""
    probe_warnings: str = ""
    """Names of warnings about the probes of the label, joined by semicolons: they touch i_hy_* alone."""
    upper_bound_bits: float | None = None
    """Upper bound on I(X;H) without a fit to the layer: the lowest of units x bits (as stored, or of a code) and
    H(X), or mean(L0) where H(X) is not known."""
    distinct_activations: float | None = None
    """Distinct activations among decoder and evaluation images, as a share of the distinct images; where a layer was
    pooled before it was probed, of the pooled ones."""
    injective: int | None = None
    """1 where I(X;H) = H(X), as far as can be told: room for H(X) (or mean(L0)) and distinct activations; 0 where not;
    empty for codes and where it has not been looked at."""
    stored_bits: int | None = None
    """Bits in which each unit is kept and measured, 16 or 32; empty for codes, and in older tables, where it was 16."""
    information_change_bits: float | None = None
    """i_xh_bits minus what it was when the decoder's fit ended at half of its steps, on the same images; empty where
    the fit ended once, as the next one."""
    information_high_with_change: float | None = None
    """i_xh_bits_high plus 1.25 times information_change_bits where that is above 0: longer fits find more."""
    notes: str = ""
    """Names of notes, joined by semicolons (see `ib_analysis.information.warnings.NOTE_EXPLANATIONS`): what a longer
    fit would do to code lengths, where information_change_bits tells whether the information is touched."""
    preference: str = ""
    """What a network that classifies and reconstructs was asked for: r_classification:r_autoencoding, as in the config
    (the task says by which weighting); empty of other networks, and of those with a limit."""
    reconstruction_limit: float | None = None
    """Where a limit of the reconstruction loss was set, that limit."""


@dataclass(frozen=True)
class FactorRow(RunColumns):
    """What probes find of one generative factor in one cell, a row of factors.csv."""

    epoch: int
    """Training epochs that the encoder had seen."""
    layer: str
    """The tap."""
    factor: str
    """Name of the factor; `noise` is the nuisance of all pixels."""
    true_bits: float
    """Exact entropy of the factor."""
    linear_bits: float
    """Information about it that a linear probe finds."""
    mlp_bits: float
    """Information about it that a small network finds."""
    bits: float
    """The one of the two that was better on the validation images."""
    low: float
    """Lower end of its interval."""
    high: float
    """Upper end of its interval."""


Row = TypeVar("Row", bound="DataclassInstance")


def quantized_from(rows: Iterable[InformationRow]) -> int:
    """The first epoch at which a tap is made of codes, 0 where none ever is.

    Before it a quantized network computes with real activations and is another network: courses of training begin here.

    Arguments:
        rows: of all layers of one task and number format.
    """
    return min((row.epoch for row in rows if row.code_bits is not None), default=0)


def table_text(kind: type[Row], rows: Iterable[Row]) -> str:
    """Rows as CSV: a header line, None as an empty cell, floats with `SIGNIFICANT_DIGITS`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(kind))
    writer.writerows([_print(value) for value in astuple(row)] for row in rows)
    return text.getvalue()


def write_table(path: Path, kind: type[Row], rows: Iterable[Row]) -> None:
    """Write a table atomically.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    write_text(path, table_text(kind, rows))


def read_table(path: Path, kind: type[Row]) -> list[Row]:
    """Read what `write_table` wrote; floats come back as they were printed.

    A table of an earlier version may lack columns that have a default: they are taken to be empty.

    Raises:
        UserError: the file is missing, has other columns, or holds a cell that is not of its column's type.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run `ib estimate-mi` for this experiment first.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read ({error}); delete it and run `ib estimate-mi` again.") from error
    names = lines[0] if lines else []
    if names != [field.name for field in fields(kind) if field.name in names or field.default is MISSING]:
        raise UserError(f"{path} does not have the columns of this version; delete it and run `ib estimate-mi` again.")
    hints = typing.get_type_hints(kind)
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            cells = zip(names, line, strict=True)
            rows.append(kind(**{name: _parse(cell, hints[name]) for name, cell in cells}))
        except ValueError as error:
            raise UserError(
                f"Row {number} of {path} cannot be read ({error}); delete the file and run `ib estimate-mi` again."
            ) from error
    return rows


def read_filled_table(path: Path, kind: type[Row], command: str) -> list[Row]:
    """The same for a table that a command of its own makes, and that must have rows.

    Arguments:
        command: that makes it, as users type it.

    Raises:
        UserError: as for `read_table`, or the table has no rows.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist; run `{command}` first.")
    rows = read_table(path, kind)
    if not rows:
        raise UserError(f"{path} has no rows; delete it and run `{command}` again.")
    return rows


def _print(value: str | int | float | None) -> str:
    if value is None:
        return ""
    return f"{value:.{SIGNIFICANT_DIGITS}g}" if isinstance(value, float) else str(value)


def _parse(cell: str, hint: Any) -> Any:
    if isinstance(hint, types.UnionType):  # float | None, int | None: an empty cell is None
        return typing.get_args(hint)[0](cell) if cell else None
    return hint(cell)
