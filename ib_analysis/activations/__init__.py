"""Activations of every checkpoint, kept on disk or computed again: the same bits either way."""

from ib_analysis.activations.dump import activations_artifact, dump_activations
from ib_analysis.activations.filed import FiledActivations
from ib_analysis.activations.groups import Groups, Part, groups_of
from ib_analysis.activations.joined import JoinedActivations, joined_layer
from ib_analysis.activations.numbers import Numbers, to_float16
from ib_analysis.activations.source import (
    Activations,
    RecomputedActivations,
    UnkeptActivations,
    bytes_per_image,
    check_repeats,
)
from ib_analysis.activations.store import StoredActivations, dataset_name, verify
from ib_analysis.activations.survey import Storage

__all__ = [
    "Activations",
    "FiledActivations",
    "Groups",
    "JoinedActivations",
    "Numbers",
    "Part",
    "RecomputedActivations",
    "Storage",
    "StoredActivations",
    "UnkeptActivations",
    "activations_artifact",
    "bytes_per_image",
    "check_repeats",
    "dataset_name",
    "dump_activations",
    "groups_of",
    "joined_layer",
    "to_float16",
    "verify",
]
