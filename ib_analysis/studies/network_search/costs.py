"""What a network costs by counting alone: the exact metrics of a search, and energy by a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ib_analysis.data import image_space
from ib_analysis.encoders import LayerWork, build_encoder, layer_works
from ib_analysis.experiment import ExperimentConfig
from ib_analysis.quantization import LayerFormat, format_cost, number_format, plan

__all__ = ["exact_costs", "layer_formats", "modelled_energy_mj"]

_FLOAT_PICOJOULES = {32: (3.7, 0.9), 16: (1.1, 0.4)}
"""Bits -> energy of a multiplication and of an addition."""
_INT8_PICOJOULES = (0.2, 0.03)


def exact_costs(config: ExperimentConfig) -> dict[str, float]:
    """`macs`, `quadratic_cost`, `linear_cost`, `memory_bits` and `parameters` of a config's classifier."""
    space = image_space(config.data, recheck=False)
    network = build_encoder(config.encoder, "classification", *space, seed=0)
    works = layer_works(network, space.image_shape)
    cost = format_cost(works, layer_formats(config, works))
    return {
        "macs": float(cost.macs),
        "quadratic_cost": float(cost.quadratic),
        "linear_cost": float(cost.linear),
        "memory_bits": float(cost.memory_bits),
        "parameters": float(sum(tensor.numel() for tensor in network.parameters())),
    }


def layer_formats(config: ExperimentConfig, works: Sequence[LayerWork]) -> dict[str, LayerFormat]:
    """Layer -> its format, in a config of one number format."""
    (name,) = config.number_formats
    return plan(number_format(name), [work.name for work in works], config.quantization.overrides)


def modelled_energy_mj(works: Sequence[LayerWork], formats: Mapping[str, LayerFormat]) -> float:
    """Energy of one image's multiply-accumulates, millijoules: a model, and no measurement.

    Operations in 45 nm (Horowitz 2014, ISSCC, figure 1.1.9): float32 3.7 + 0.9 pJ, float16 1.1 + 0.4, int8 0.2 + 0.03.
    Between integer widths a multiplier grows with the product of the two, an adder with the wider one. Memory, which
    may cost more than all of it, is left out. Mixed formats count as the wider float.

    >>> work = LayerWork("conv", macs=1_000_000, weights=10)
    >>> round(modelled_energy_mj([work], {"conv": LayerFormat(32, 32)}), 6)
    0.0046
    >>> round(modelled_energy_mj([work], {"conv": LayerFormat(4, 4)}), 6)
    6.5e-05
    """
    picojoules = 0.0
    for work in works:
        chosen = formats[work.name]
        wider = max(chosen.weight_bits, chosen.activation_bits)
        if wider in _FLOAT_PICOJOULES:
            each = sum(_FLOAT_PICOJOULES[wider])
        else:
            multiply, add = _INT8_PICOJOULES
            each = multiply * chosen.weight_bits * chosen.activation_bits / 64 + add * wider / 8
        picojoules += work.macs * each
    return picojoules * 1e-9
