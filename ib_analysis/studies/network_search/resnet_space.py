"""The space `resnet`: kind of block, depth, width, and a number format for each of the three stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ib_analysis.data import image_space
from ib_analysis.encoders import build_encoder, layer_works
from ib_analysis.experiment import ExperimentConfig
from ib_analysis.quantization import BINARY, number_format, plan
from ib_analysis.search.space import Choice, Option, Space
from ib_analysis.studies.network_search.config import NetworkSearchConfig

__all__ = ["largest_resnets", "resnet_config", "resnet_growth", "resnet_space"]

STAGES = ("stage_1", "stage_2", "stage_3")
ENDS = "w8a8"
"""What stem and classifier have beside a stage of integers, as in the best formats of AQT (arXiv 2105.03536)."""


def resnet_space(settings: NetworkSearchConfig) -> Space:
    """Widths are chosen by kind; only real and integer networks have number formats.

    >>> space = resnet_space(NetworkSearchConfig(depths=(8,), widths=(8,), binary_widths=(16,)))
    >>> len(space), space.values((2, 0, -1, 0, -1, -1, -1))
    (55, {'block': 'binary', 'depth': 8, 'binary_width': 16})
    """
    real = tuple(block for block in settings.blocks if block != BINARY)
    choices = [Choice("block", settings.blocks), Choice("depth", settings.depths)]
    if real:
        choices.append(Choice("width", settings.widths, {"block": real}))
    if BINARY in settings.blocks:
        choices.append(Choice("binary_width", settings.binary_widths, {"block": (BINARY,)}))
    if real:
        choices += [Choice(stage, settings.number_formats, {"block": real}) for stage in STAGES]
    return Space(tuple(choices))


def resnet_growth(settings: NetworkSearchConfig) -> tuple[tuple[str, ...], ...]:
    """Rounds of DPP-Net: first the network, then stage by stage the number format."""
    names = [choice.name for choice in resnet_space(settings).choices]
    first = tuple(name for name in names if name not in STAGES)
    return (first, *((stage,) for stage in STAGES if stage in names))


def largest_resnets(settings: NetworkSearchConfig) -> list[dict[str, Option]]:
    """The deepest and widest network of each kind, in each number format."""
    found: list[dict[str, Option]] = []
    for block in settings.blocks:
        values: dict[str, Option] = {"block": block, "depth": max(settings.depths)}
        if block == BINARY:
            found.append({**values, "binary_width": max(settings.binary_widths)})
            continue
        for name in settings.number_formats:
            found.append({**values, "width": max(settings.widths), **dict.fromkeys(STAGES, name)})
    return found


def resnet_config(config: ExperimentConfig, values: Mapping[str, Option]) -> ExperimentConfig:
    """The experiment with the network of these choices: architecture, depth, width, and one number format with
    exceptions (`quantization.overrides`)."""
    depth = int(values["depth"])
    if values["block"] == BINARY:
        encoder = replace(
            config.encoder, architecture="binary", depth=depth, width=int(values["binary_width"]), widths=()
        )
        return replace(config, encoder=encoder, number_formats=(BINARY,))
    encoder = replace(
        config.encoder,
        architecture="rir" if values["block"] == "rir" else "resnet",
        depth=depth,
        width=int(values["width"]),
        widths=(),
    )
    config = replace(config, encoder=encoder)
    space = image_space(config.data, recheck=False)
    network = build_encoder(encoder, "classification", *space, seed=0)
    layers = [work.name for work in layer_works(network, space.image_shape)]
    name, overrides = one_format(layers, [str(values[stage]) for stage in STAGES])
    return replace(
        config, number_formats=(name,), quantization=replace(config.quantization, overrides=overrides)
    )  # fmt: skip


def one_format(layers: Sequence[str], stages: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The format of the first stage that has integers, and the layers that have another one.

    Arguments:
        layers: paths of the network's convolutions and dense layers, from the stem to the classifier.
        stages: a format per stage.

    >>> layers = ["trunk.stem.0", "trunk.stages.0.a", "trunk.stages.1.a", "trunk.stages.2.a", "head"]
    >>> one_format(layers, ["float32", "w4a4", "w4a4"])
    ('w4a4', {'trunk.stem.0': 'float32', 'trunk.stages.0.a': 'float32', 'head': 'w8a8'})
    >>> one_format(layers, ["bfloat16"] * 3)
    ('bfloat16', {})
    """
    integers = [name for name in stages if number_format(name).is_quantized]
    if not integers:
        return stages[0], {}

    def of_end(stage: str) -> str:
        return ENDS if number_format(stage).is_quantized else stage

    wanted = {layer: _stage_format(layer, stages) for layer in layers}
    wanted |= {layers[0]: of_end(stages[0]), layers[-1]: of_end(stages[-1])}
    common = plan(number_format(integers[0]), layers)
    return integers[0], {
        layer: name for layer, name in wanted.items() if number_format(name).inner != common[layer]
    }  # fmt: skip


def _stage_format(layer: str, stages: Sequence[str]) -> str:
    for index, name in enumerate(stages):
        if layer.startswith(f"trunk.stages.{index}."):
            return name
    return stages[0]  # the stem and the classifier, which have formats of their own
