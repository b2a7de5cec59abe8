"""From code lengths and cross-entropies to the rows of controls.csv: one function per control."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ib_analysis.experiment import cell_name
from ib_analysis.information.estimates import lower_bound, plug_in_entropy_bits, usable_information
from ib_analysis.information.intervals import Interval
from ib_analysis.information.warnings import information_above_upper_bound
from ib_analysis.records.arrays import load_arrays
from ib_analysis.records.code_lengths import NULL
from ib_analysis.records.images import images_of
from ib_analysis.records.probes import best_kind, probe_artifact
from ib_analysis.studies.conditions import conditions_of
from ib_analysis.studies.controls.data_processing import losses_along_layers
from ib_analysis.studies.controls.plan import Controls
from ib_analysis.studies.controls.row import (
    COMMON_NULL,
    LOWER_BOUND,
    OWN_NULL,
    ControlRow,
    allowed_from_zero,
    is_near_zero,
    may_be_below,
    verdict,
)
from ib_analysis.studies.controls.writer import Writer, of_the_fit
from ib_analysis.studies.sign_codes import SignCodes, units_of

__all__ = ["rows_of"]

SHOWN_COMMON = "shown: holds the difference of two decoders' nulls too"
SHOWN_OWN = "shown: holds what the base by itself leaves in an image's earlier pixels"


def rows_of(controls: Controls, name: str) -> list[ControlRow]:
    """The rows of one control, whose decoders and probes are there.

    Raises:
        UserError: something is not finished.
    """
    return _ROWS[name](Writer(controls, name))


# ---------------------------------------------------------------------------------------------- nothing to be found


def _nothing(writer: Writer) -> list[ControlRow]:
    """Shuffled pairs and constant activations: I of every layer, against the decoder's own null and the common L0.

    A gated decoder is judged by its own null, of the same weights and budget. A reader's own null is the base, of which
    nothing more can be asked: it is judged by the common L0, which all numbers of the experiment are measured against.
    """
    assert writer.fit is not None
    rows, by_common = [], writer.fit.is_reader
    nulls = {OWN_NULL: writer.bits(NULL), COMMON_NULL: writer.common_null}
    for cell in writer.fit.cells:
        lengths, warnings = writer.bits(cell_name(*cell)), writer.fit_warnings(cell_name(*cell))
        for quantity, null in nulls.items():
            found = usable_information(null, lengths, writer.bootstrap)
            about_null = writer.null_warnings if quantity == COMMON_NULL else []
            given: dict[str, Any] = {"warnings": [*warnings, *about_null]}
            if by_common == (quantity == COMMON_NULL):
                allowed = allowed_from_zero(found)
                given |= {"allowed_low": -allowed, "allowed_high": allowed}
                rule, passed = "at most max(half the interval, 0.5 bit) from 0", verdict(is_near_zero(found))
            else:
                rule, passed = (SHOWN_OWN if by_common else SHOWN_COMMON), "shown"
            rows.append(writer.row(cell[1], quantity, found, rule, passed, **given))
    return rows


def _permuted_labels(writer: Writer) -> list[ControlRow]:
    rows = []
    for layer in writer.controls.layers:
        bits = load_arrays(writer.controls.permuted_artifact(layer))["bits"]
        found = writer.mean(images_of(writer.controls.experiment).h_y_bits - bits)
        rule = "interval not above 0"
        passed = verdict(may_be_below(found, 0.0))
        rows.append(writer.row(layer, "I(H;Y), permuted labels", found, rule, passed, allowed_high=0.0))
    return rows


# ---------------------------------------------------------------------------------------------- ceilings


def _image(writer: Writer) -> list[ControlRow]:
    assert writer.fit is not None
    (cell,) = writer.fit.cells
    lengths, null_bits = writer.bits(cell_name(*cell)), float(writer.common_null.mean())
    warnings = writer.fit_warnings(cell_name(*cell))
    length, usable = writer.mean(lengths), usable_information(writer.common_null, lengths, writer.bootstrap)
    rows = [
        writer.row(
            cell[1], "L, code length", length, "shown: 0 is the floor", "shown", allowed_low=0.0, warnings=warnings
        ),
        writer.row(
            cell[1], COMMON_NULL, usable, f"shown: {usable.estimate / null_bits:.1%} of L0, the ceiling", "shown",
            allowed_high=null_bits, warnings=[*warnings, *writer.null_warnings],
        ),
    ]  # fmt: skip
    if writer.h_x_bits is not None:
        bound = lower_bound(writer.h_x_bits, lengths, writer.bootstrap)
        rule = f"shown: {bound.estimate / writer.h_x_bits:.1%} of H(X), the ceiling"
        rows.append(
            writer.row(cell[1], LOWER_BOUND, bound, rule, "shown", allowed_high=writer.h_x_bits, warnings=warnings)
        )
    return rows


def _bottleneck(writer: Writer) -> list[ControlRow]:
    assert writer.fit is not None
    controls, rows = writer.controls, []
    codes = conditions_of(controls.experiment, controls.run, writer.fit.condition)
    assert isinstance(codes, SignCodes)
    training = codes.codes(controls.epoch)[: codes.groups.n_train]
    for cell in writer.fit.cells:
        lengths, layer, units = writer.bits(cell_name(*cell)), cell[1], units_of(cell[1])
        bounds = {"units x 1 bit": float(units)}
        warnings = writer.fit_warnings(cell_name(*cell))
        if writer.h_x_bits is not None:
            bound = lower_bound(writer.h_x_bits, lengths, writer.bootstrap)
            rows.append(
                writer.row(
                    layer,
                    LOWER_BOUND,
                    bound,
                    f"interval not above {units} bits",
                    verdict(may_be_below(bound, units)),
                    allowed_high=float(units),
                    warnings=[*warnings, *_above([bound], bounds)],
                )
            )
        usable = usable_information(writer.common_null, lengths, writer.bootstrap)
        rule = f"shown: above {units} bits it carries the warning information_above_upper_bound"
        rows.append(
            writer.row(
                layer,
                COMMON_NULL,
                usable,
                rule,
                "shown",
                allowed_high=float(units),
                warnings=[*warnings, *writer.null_warnings, *_above([usable], bounds)],
            )
        )
        _, code = np.unique(training[:, :units], axis=0, return_inverse=True)
        entropy = plug_in_entropy_bits(code.ravel())
        rows.append(
            writer.row(
                layer,
                "H(H), plug-in of the training images",
                Interval(entropy, entropy, entropy),
                "shown: no interval; too small where codes are many",
                "shown",
                allowed_high=float(units),
                decoder="",
                decoder_steps=None,
                n_images=len(training),
            )
        )
    return rows


def _above(estimates: list[Interval], bounds: dict[str, float]) -> list[str]:
    return ["information_above_upper_bound"] if information_above_upper_bound(estimates, bounds) else []


# ---------------------------------------------------------------------------------------------- comparisons


def _untrained(writer: Writer) -> list[ControlRow]:
    """Both ends of training, and their paired differences, of every layer: from the experiment's own code lengths."""
    controls, run, rows = writer.controls, writer.controls.run, []
    seed = controls.experiment.config.decoder_seeds[0]
    h_y_bits = images_of(controls.experiment).h_y_bits
    for layer in controls.experiment.layers:
        lengths, labels, warned = {}, {}, {}
        for epoch in (0, controls.epoch):
            lengths[epoch] = writer.results.code_lengths(run.key, epoch, layer, seed)
            probes = load_arrays(probe_artifact(controls.experiment, run, (epoch, layer)))
            labels[epoch] = probes[f"label/{best_kind(probes, 'label')}"]
            warned[epoch] = writer.warnings(run, epoch, layer, seed)
        for quantity, l0, found in (("I(X;H)", writer.common_null, lengths), ("I(H;Y)", h_y_bits, labels)):
            estimated = quantity == "I(X;H)"
            common = {"decoder_seed": seed if estimated else None}
            for epoch, state in ((0, "untrained"), (controls.epoch, "trained")):
                rows.append(
                    writer.row(
                        layer,
                        f"{quantity}, {state}",
                        writer.mean(l0 - found[epoch]),
                        "shown",
                        "shown",
                        epoch=epoch,
                        warnings=warned[epoch] if estimated else [],
                        **common,
                    )
                )
            gained = writer.mean(found[0] - found[controls.epoch])
            both = of_the_fit([*warned[0], *warned[controls.epoch]]) if estimated else []
            rows.append(
                writer.row(
                    layer,
                    f"{quantity}, trained - untrained",
                    gained,
                    "shown: paired by image",
                    "shown",
                    warnings=both,
                    **common,
                )
            )
    return rows


def _data_processing(writer: Writer) -> list[ControlRow]:
    """Every pair of neighbouring layers of every run, decoder and epoch; no fits of its own."""
    experiment = writer.controls.experiment
    layers = experiment.in_order
    chains = [
        (run, seed, epoch)
        for run in experiment.runs
        for seed in experiment.config.decoder_seeds
        for epoch in experiment.epochs
    ]
    lengths = [
        [writer.results.code_lengths(run.key, epoch, layer, seed) for layer in layers] for run, seed, epoch in chains
    ]
    found, rows = losses_along_layers(np.array(lengths), writer.bootstrap), []
    for (run, seed, epoch), losses in zip(chains, found, strict=True):
        for earlier, later, loss in zip(layers, layers[1:], losses, strict=False):
            pair = [name for layer in (earlier, later) for name in writer.warnings(run, epoch, layer, seed)]
            rows.append(
                writer.row(
                    f"{earlier} > {later}",
                    "mean(L later - L earlier)",
                    loss,
                    "interval not below 0, upper ends of all pairs at once",
                    _of_a_pair(loss),
                    task=run.task,
                    encoder_seed=run.encoder_seed,
                    decoder_seed=seed,
                    epoch=epoch,
                    allowed_low=0.0,
                    warnings=of_the_fit(pair),
                )
            )
    return rows


def _of_a_pair(loss: Interval) -> str:
    if math.isnan(loss.estimate):
        return "shown"  # there is nothing to judge, which the row's warning says
    return "violation" if loss.high < 0 else "yes"


_ROWS: dict[str, Callable[[Writer], list[ControlRow]]] = {
    "shuffled": _nothing,
    "constant": _nothing,
    "image": _image,
    "untrained": _untrained,
    "permuted_labels": _permuted_labels,
    "data_processing": _data_processing,
    "bottleneck": _bottleneck,
}
