"""What a row of information.csv says of the label: probes of the layer, and the bound by later layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ib_analysis.experiment import Experiment, Run
from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.warnings import join_warnings
from ib_analysis.records.arrays import load_arrays
from ib_analysis.records.codes import Code
from ib_analysis.records.encoders import later_layers
from ib_analysis.records.images import images_of
from ib_analysis.records.probes import best_kind, probe_artifact
from ib_analysis.tables.probe_bits import probe_bits

__all__ = ["label_bound_columns", "label_columns", "layers_of_bound"]


def layers_of_bound(layer: str, later: Sequence[str], code: Code | None) -> tuple[str, ...]:
    """The layers whose information about the label a layer has as well: itself, and those that are functions of it.

    A tap that is measured as codes determines the layers behind it only where the codes are all that goes on.

    Arguments:
        later: the layers behind it that the network computes from this tap alone.
        code: of the tap, where it is made of codes.
    """
    return (layer, *(later if code is None or code.is_bottleneck else ()))


def label_columns(
    experiment: Experiment, run: Run, cell: tuple[int, str], code: Code | None, bootstrap: Bootstrap
) -> dict[str, Any]:
    """All columns of a cell about the label; those that every row has are None where images have no labels."""
    data = images_of(experiment)
    names = ("i_hy_linear_bits", "i_hy_mlp_bits", "i_hy_bits", "i_hy_bits_low", "i_hy_bits_high", "probe_accuracy")
    if not data.has_labels:
        return dict.fromkeys(names)
    probes = load_arrays(probe_artifact(experiment, run, cell))
    label = probe_bits(probes, "label", data.h_y_bits, bootstrap)
    found = (
        data.h_y_bits - float(probes["label/linear"].mean()),
        data.h_y_bits - float(probes["label/network"].mean()),
        label.estimate,
        label.low,
        label.high,
        float(probes[f"label/{best_kind(probes, 'label')}/accuracy"]),
    )
    return {**dict(zip(names, found, strict=True)), **label_bound_columns(experiment, run, cell, code, bootstrap)}


def label_bound_columns(
    experiment: Experiment, run: Run, cell: tuple[int, str], code: Code | None, bootstrap: Bootstrap
) -> dict[str, Any]:
    """The columns ``i_hy_bound_*`` and ``probe_warnings`` of a cell.

    I(H;Y) >= I(f(H);Y) (Cover & Thomas 2006, theorem 2.8.1), so that what a probe finds in a later layer of the same
    network is in this one too, however hard it is to read there. Which layer's probe counts is chosen on the validation
    images, so that the luck of the evaluation images does not enter: the bound may lie a little below ``i_hy_bits``.
    """
    epoch, layer = cell
    probes = {
        name: load_arrays(probe_artifact(experiment, run, (epoch, name)))
        for name in layers_of_bound(layer, later_layers(experiment, run)[layer], code)
    }
    best = min(probes, key=lambda name: float(probes[name][f"label/{best_kind(probes[name], 'label')}/validation"]))
    found = probe_bits(probes[best], "label", images_of(experiment).h_y_bits, bootstrap)
    # Records that were made before probes watched for it have nothing to say.
    at_once = bool(probes[layer].get("label/network/overfits_at_once", False))
    return {
        "i_hy_bound_bits": found.estimate,
        "i_hy_bound_bits_low": found.low,
        "i_hy_bound_bits_high": found.high,
        "i_hy_bound_layer": best,
        "probe_warnings": join_warnings(["network_probe_overfits_at_once"] if at_once else []),
    }
