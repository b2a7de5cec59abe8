"""From code lengths and probes to the rows of `information.csv`."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ib_analysis.data import ImageData
from ib_analysis.experiment import Experiment, Fit, cell_name
from ib_analysis.information.change import (
    high_with_change,
    information_change_bits,
    information_still_moving,
    weighty,
)
from ib_analysis.information.estimates import bits_per_dim, lower_bound, usable_information
from ib_analysis.information.intervals import Bootstrap, Interval
from ib_analysis.information.shannon import holds_all, upper_bound_bits
from ib_analysis.information.table import InformationRow
from ib_analysis.information.warnings import (
    INFORMATION_STILL_MOVING,
    common_null_warnings,
    conditions_clipped,
    information_above_upper_bound,
    information_below_label_information,
    join_warnings,
    not_finite,
    own_null_much_worse_than_common,
)
from ib_analysis.records.arrays import load_arrays
from ib_analysis.records.code_lengths import (
    NULL,
    code_length_artifact,
    code_length_bits,
    halfway_code_length_bits,
)
from ib_analysis.records.codes import Code, codes_of
from ib_analysis.records.common_null import CommonNull
from ib_analysis.records.decoders import decoder_artifact, readings_of
from ib_analysis.records.encoders import encoder_identities, layer_shapes
from ib_analysis.records.images import measured_images
from ib_analysis.records.joint import joint_reader, name_in_decoder
from ib_analysis.records.numbers import KeptNumbers, numbers_of
from ib_analysis.records.probes import distinct_share, probe_artifact
from ib_analysis.tables.label_columns import label_columns
from ib_analysis.tables.probe_bits import probe_bits
from ib_analysis.tables.spike_in_columns import spike_in_columns, spike_in_warnings

__all__ = ["information_rows"]


def information_rows(experiment: Experiment, null: CommonNull, bootstrap: Bootstrap) -> list[InformationRow]:
    """A row for every cell of every decoder, in the order of the fits.

    Arguments:
        null: the common L0.
        bootstrap: of the intervals.

    Raises:
        UserError: something that the rows are made of is not finished.
    """
    rows = []
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    codes = {run: codes_of(experiment, run) for run in experiment.runs}
    numbers = {run: numbers_of(experiment, run) for run in experiment.runs}
    for fit in experiment.fits:
        if fit.run is None:
            continue
        if fit.run.task not in shapes:
            shapes[fit.run.task] = layer_shapes(experiment, fit.run)
        for cell in fit.cells:
            shape, code = shapes[fit.run.task][cell[1]], codes[fit.run].get(cell)
            kept = numbers[fit.run][cell]
            rows.append(_information_row(experiment, fit, cell, shape, code, kept, null, bootstrap))
    return rows


def _information_row(
    experiment: Experiment,
    fit: Fit,
    cell: tuple[int, str],
    shape: tuple[int, ...],
    code: Code | None,
    kept: KeptNumbers,
    null: CommonNull,
    bootstrap: Bootstrap,
) -> InformationRow:
    assert fit.run is not None
    data, run, (epoch, layer) = measured_images(experiment), fit.run, cell
    lengths = code_length_bits(experiment, fit, cell_name(*cell))
    own_null = code_length_bits(experiment, fit, NULL) if experiment.fitting.null_share > 0 else None
    usable = usable_information(null.bits, lengths, bootstrap)
    bound = lower_bound(data.h_x_bits, lengths, bootstrap) if data.h_x_bits is not None else None
    probes = load_arrays(probe_artifact(experiment, run, cell))
    label = probe_bits(probes, "label", data.h_y_bits, bootstrap) if data.has_labels else None
    manifest = decoder_artifact(experiment, fit).record
    estimates = [usable, *([bound] if bound is not None else [])]
    halfway = halfway_code_length_bits(experiment, fit, cell_name(*cell))
    change = None if halfway is None else information_change_bits(lengths, halfway)
    moving = change is not None and information_still_moving(usable, change)
    fitted = _of_fits(experiment, fit, cell, null, change is not None)
    trade_off = run.trade_off
    row = InformationRow(
        experiment=experiment.config.name,
        task=run.task,
        number_format=run.number_format,
        encoder_seed=run.encoder_seed,
        decoder_seed=fit.decoder_seed,
        epoch=epoch,
        layer=layer,
        channels=shape[0],
        height=shape[1] if len(shape) == 3 else 1,
        width=shape[2] if len(shape) == 3 else 1,
        n_images=len(lengths),
        i_xh_bits=usable.estimate,
        i_xh_bits_low=usable.low,
        i_xh_bits_high=usable.high,
        i_xh_bits_per_dim=bits_per_dim(usable.estimate, data.image_shape),
        code_length_bits=float(lengths.mean()),
        null_code_length_bits=float(null.bits.mean()),
        own_null_code_length_bits=None if own_null is None else float(own_null.mean()),
        h_x_bits=data.h_x_bits,
        lower_bound_bits=None if bound is None else bound.estimate,
        lower_bound_bits_low=None if bound is None else bound.low,
        lower_bound_bits_high=None if bound is None else bound.high,
        decoder=fit.key,
        decoder_steps=int(manifest["steps_done"]),
        condition="activations",
        seconds=_seconds(experiment, fit, cell, float(manifest["seconds"])),
        warnings=_warnings(
            [
                *fitted,
                *_clipping(experiment, fit, cell),
                *(["activations_lose_precision"] if kept.loses else []),
                *([INFORMATION_STILL_MOVING] if moving else []),
            ],
            estimates,
            label,
            own_null,
            null,
            _bounds(data, shape, kept.bits if code is None else code.bits),
            bootstrap,
        ),
        encoder_sha256=encoder_identities(experiment, run)[epoch],
        decoder_sha256=decoder_artifact(experiment, fit).identity,
        **spike_in_columns(experiment, fit, cell, bootstrap),
        code_bits=None if code is None else code.bits,
        code_is_bottleneck=None if code is None else code.is_bottleneck,
        **label_columns(experiment, run, cell, code, bootstrap),
        distinct_activations=distinct_share(probes),
        stored_bits=kept.bits if code is None else None,
        information_change_bits=change,
        information_high_with_change=None if change is None else high_with_change(usable, change),
        notes=join_warnings(set(_of_fits(experiment, fit, cell, null, False)) - set(fitted)),
        preference=":".join(f"{r:g}" for r in trade_off.numbers) if trade_off and trade_off.preference else "",
        reconstruction_limit=trade_off.limit if trade_off else None,
    )
    held = holds_all(row)
    return replace(row, upper_bound_bits=upper_bound_bits(row), injective=None if held is None else int(held))


def _of_fits(
    experiment: Experiment, fit: Fit, cell: tuple[int, str], null: CommonNull, change_is_measured: bool
) -> list[str]:
    """Warnings of the decoder's fit and of that of the common L0, without those that are notes."""
    own = decoder_artifact(experiment, fit).record["cell_warnings"][name_in_decoder(fit, cell)]
    return [
        *weighty(own, change_is_measured),
        *spike_in_warnings(experiment, fit, cell, change_is_measured),
        *common_null_warnings(weighty(null.warnings, change_is_measured)),
    ]


def _warnings(
    fitted: list[str],
    estimates: list[Interval],
    label: Interval | None,
    own_null: np.ndarray | None,
    null: CommonNull,
    upper_bounds_bits: dict[str, float],
    bootstrap: Bootstrap,
) -> str:
    found = [*fitted]
    if not_finite([*estimates, *([] if label is None else [label])]):
        found.append("not_finite")
    if own_null is not None and own_null_much_worse_than_common(null.bits, own_null, bootstrap):
        found.append("own_null_much_worse_than_common")
    if information_above_upper_bound(estimates, upper_bounds_bits):
        found.append("information_above_upper_bound")
    if label is not None and information_below_label_information(estimates[0], label):
        found.append("information_below_label_information")
    return join_warnings(found)


def _clipping(experiment: Experiment, fit: Fit, cell: tuple[int, str]) -> list[str]:
    record = code_length_artifact(experiment, fit, cell_name(*cell)).record
    # Code lengths of an earlier version do not tell: they were measured without a limit.
    counts = (record.get("clipped_values", 0), record.get("condition_values", 0))
    return ["conditions_clipped"] if conditions_clipped(*counts) else []


def _bounds(data: ImageData, shape: tuple[int, ...], bits: int) -> dict[str, float]:
    """Known upper bounds on I(X;H): what the codes or numbers of activations can hold, and H(X) where it is known."""
    bounds = {f"units x {bits} bits": float(bits * math.prod(shape))}
    return bounds if data.h_x_bits is None else {**bounds, "H(X)": data.h_x_bits}


def _seconds(experiment: Experiment, fit: Fit, cell: tuple[int, str], fitting: float) -> float:
    """The cell's share of its decoder's fit, its measurement and its probes."""
    assert fit.run is not None
    names = [reading.name for reading in readings_of(experiment, fit) if reading.cell == cell]
    measured = sum(float(code_length_artifact(experiment, fit, name).record["seconds"]) for name in names)
    probed = probe_artifact(experiment, fit.run, cell).record["seconds"]
    read = joint_reader(experiment, fit).cells if fit.joint else fit.cells
    return fitting / len(read) + measured + float(probed)
