"""What a user chooses about a search among networks that are trained: the section ``search``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch

from ib_analysis.artifacts import UserError
from ib_analysis.encoders import CONVOLUTIONS, NORMALISATIONS, DenseNetworkConfig
from ib_analysis.quantization import number_format

__all__ = ["BLOCKS", "ENERGY", "ERROR", "EXACT", "LATENCY", "METHODS", "METRICS", "NetworkSearchConfig"]

BLOCKS = ("basic", "rir", "binary")
METHODS = ("dpp_net", "dpp_net_costs_learned", "monas", "monas_refined", "tpe", "nsga2", "random", "local_search")
ERROR, LATENCY, ENERGY = "error", "latency_ms", "energy_mj"
EXACT = ("macs", "quadratic_cost", "linear_cost", "memory_bits", "parameters")
"""Costs that follow from the architecture alone."""
METRICS = (ERROR, *EXACT, LATENCY, ENERGY)

_NAME = "search"


@dataclass(frozen=True)
class NetworkSearchConfig:
    """A space of networks, what is wanted of them, how each is judged, and the methods that search.

    Raises:
        UserError: a setting that cannot work.
    """

    space: Literal["resnet", "dense"] = "resnet"
    """`resnet`: kind of block, depth, width, and the number format of each stage; `dense`: DPP-Net's cells, layer by
    layer a normalisation and a convolution (`encoder.architecture: dense`)."""
    objectives: tuple[str, ...] = (ERROR, "quadratic_cost", LATENCY)
    """What is to be small: `error` (share of held-out images that are classified wrongly), `macs`, `quadratic_cost`,
    `linear_cost`, `memory_bits`, `parameters`, `latency_ms` (measured here) and `energy_mj` (by a counter of this
    machine, else modelled, as the tables say)."""
    limits: dict[str, float] = field(default_factory=dict)
    """Metric -> what it must not exceed. If no network keeps all limits, the nearest ones are taken, and it is said."""
    references: dict[str, float] = field(default_factory=dict)
    """Objective -> the value with loss 1; what is worse adds nothing to a hypervolume. By default the error of
    guessing, and of costs those of the largest networks of the space."""
    methods: tuple[str, ...] = ("dpp_net", "tpe")
    """Methods, each with a budget of its own: dpp_net, which is told all costs, measured time too, of networks that it
    has not trained; dpp_net_costs_learned, which is not; monas, monas_refined (whose reward has one cost), tpe, nsga2,
    random, local_search, which are not either. A network that several propose is trained once and counts for each."""
    budget: int = 20
    """Different networks that each method may train."""
    seed: int = 0
    """Seed of the methods."""
    epochs: int = 0
    """Epochs of each network in the search; 0: `training.epochs`, for which the final front is trained in any case."""
    network_seeds: tuple[int, ...] = (0,)
    """Each network is trained once per seed in the search, and its error is their mean."""
    validation_share: float = 0.2
    """Share of the encoder images that are held out in the search, class by class: it never sees a test image."""
    kept: int = 4
    """Networks that dpp_net trains in each round, and monas between two updates of its controller."""
    at_once: int = 1
    """Above 1, and at most the budget: networks that methods propose together are trained side by side, on all workers,
    or on all machines of `engine: ray`: so many of each of tpe, nsga2, random and local_search, before they hear of
    their worth, and `kept` of dpp_net and monas. What is found depends on it, but not on how many train; what has not
    been timed yet is then timed by the main process, while nothing trains. With 1, methods run side by side, each
    training one network after another."""
    monas_cost: str = ""
    """The cost in the reward of monas, one of the objectives; empty: the first of them that is no error."""
    final: int = 5
    """At most so many networks of the front of all methods together, far apart, are trained again, on all encoder
    images, and judged on the test images."""
    final_seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of these."""
    blocks: tuple[str, ...] = BLOCKS
    """Of `resnet`: basic (He et al.), rir (ResNet in ResNet), binary (fully binary, which has no number formats)."""
    depths: tuple[int, ...] = (8, 14)
    """Of `resnet`: weighted layers, 6n+2."""
    widths: tuple[int, ...] = (8, 16, 32)
    """Of `resnet`: filters of the first stage of basic and rir."""
    binary_widths: tuple[int, ...] = (16, 32, 64)
    """Of `resnet`: the same of binary."""
    number_formats: tuple[str, ...] = ("float32", "w8a8", "w4a4")
    """Of `resnet`: formats that a stage may have, the first being where dpp_net begins; AQT integers, and float32 or
    bfloat16. Stem and classifier have 8 bits where the stage beside them has integers."""
    layers: int = 3
    """Of `dense`: layers of a cell."""
    normalisations: tuple[str, ...] = NORMALISATIONS
    """Of `dense`: what may stand before a convolution."""
    convolutions: tuple[str, ...] = CONVOLUTIONS
    """Of `dense`: what the convolution may be. `encoder.width` and `encoder.dense` say what else there is."""
    growths: tuple[int, ...] = (4, 8)
    """Of `dense`: channels that a layer adds in the first stage."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where time and energy are measured. On `cuda` only real networks run: integers and bits have no kernels here."""
    latency_batch: int = 1
    """Images at once when time or energy is measured."""
    latency_threads: int = 1
    """Threads of these measurements."""
    latency_rounds: int = 25
    """Rounds of a measurement of time, in each of which all that are compared take their turn."""
    resamples: int = 2000
    """Bootstrap resamples of the test images."""
    confidence: float = 0.95
    """Level of the intervals."""

    def __post_init__(self) -> None:
        lists = {"objectives": METRICS, "methods": METHODS, "blocks": BLOCKS, "normalisations": NORMALISATIONS,
                 "convolutions": CONVOLUTIONS}  # fmt: skip
        for name in (*lists, "network_seeds", "final_seeds", "depths", "widths", "binary_widths", "number_formats",
                     "growths"):  # fmt: skip
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise UserError(f"{_NAME}.{name} is {list(values)}; give at least one value, each once.")
            for value in values:
                if name in lists and value not in lists[name]:
                    raise UserError(f"{_NAME}.{name} has {value!r}; choose from {', '.join(lists[name])}.")
        for name, either in (("space", ("resnet", "dense")), ("device", ("cpu", "cuda"))):
            if getattr(self, name) not in either:
                raise UserError(f"{_NAME}.{name} is {getattr(self, name)!r}; choose {' or '.join(either)}.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UserError(f"{_NAME}.device is cuda, and there is no GPU; choose cpu.")
        if ERROR not in self.objectives or len(self.objectives) < 2:
            raise UserError(f"{_NAME}.objectives needs error, and at least one cost beside it.")
        if self.monas_cost and self.monas_cost not in set(self.objectives) - {ERROR}:
            costs = ", ".join(name for name in self.objectives if name != ERROR)
            raise UserError(f"{_NAME}.monas_cost is {self.monas_cost!r}, which is no cost to search for: {costs}.")
        for name, known in (("limits", METRICS), ("references", self.objectives)):
            for metric, value in getattr(self, name).items():
                if metric not in known:
                    raise UserError(f"{_NAME}.{name} names {metric!r}; choose from {', '.join(known)}.")
                if not (value > 0 and math.isfinite(value)):
                    raise UserError(f"{_NAME}.{name} gives {metric} {value}; it must be greater than 0.")
        for name in ("budget", "kept", "at_once", "final", "layers", "latency_batch", "latency_threads"):
            if getattr(self, name) < 1:
                raise UserError(f"{_NAME}.{name} is {getattr(self, name)}; it must be at least 1.")
        if self.at_once > self.budget:
            raise UserError(
                f"{_NAME}.at_once is {self.at_once}, more than the {_NAME}.budget of {self.budget}: nothing would be "
                "proposed with an answer in view. Choose a smaller one."
            )
        if self.latency_rounds < 5 or self.resamples < 2:
            raise UserError(f"{_NAME}.latency_rounds must be at least 5, and {_NAME}.resamples at least 2.")
        if min(self.seed, self.epochs, *self.network_seeds, *self.final_seeds) < 0:
            raise UserError(f"{_NAME}: seeds and epochs are whole numbers from 0 on.")
        for name in ("validation_share", "confidence"):
            if not 0 < getattr(self, name) < 1:
                raise UserError(f"{_NAME}.{name} is {getattr(self, name)}; choose a share between 0 and 1.")
        self._check_networks()

    def _check_networks(self) -> None:
        if any(depth < 8 or (depth - 2) % 6 for depth in self.depths):
            raise UserError(f"{_NAME}.depths is {list(self.depths)}; a CIFAR ResNet needs 6n+2: 8, 14, 20, 26, ...")
        if min(*self.widths, *self.binary_widths) < 1:
            raise UserError(f"{_NAME}: widths and binary_widths are at least 1.")
        if self.space == "resnet" and "rir" in self.blocks and any(width % 2 for width in self.widths):
            raise UserError(f"{_NAME}.widths is {list(self.widths)}; blocks rir have two equal streams: use even ones.")
        for name in self.number_formats:
            found = number_format(name)
            if found.is_binary or "_ends" in name:
                raise UserError(
                    f"{_NAME}.number_formats has {name}, which is no format of a stage; choose float32, bfloat16, or "
                    "integers such as w8a8 and w4a4."
                )
        if {"float32", "bfloat16"} <= set(self.number_formats):
            raise UserError(
                f"{_NAME}.number_formats has both float32 and bfloat16, which are trained alike; choose one of them."
            )
        if self.space == "dense":
            for growth in self.growths:
                DenseNetworkConfig(growth=growth, groups=1)
