"""Taps of quantized networks: the codes that enter the next layer.

A tap that quantized layers read is measured as the integers that they compute with, not as the real numbers that these
are made of. Before the bounds of activations are set there are no codes, and the tap is real. The taps of a binary
network are signs, and codes of one bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ib_analysis.binary import Code
from ib_analysis.encoders import BinaryNetwork
from ib_analysis.encoders.interface import TappedNetwork
from ib_analysis.quantization.layers import InputQuantizer, QuantizedLayer

__all__ = ["CodeTap", "CodedTaps", "code_taps"]


@dataclass(frozen=True)
class CodeTap:
    """How a tap is read by the layers after it.

    Arguments:
        reader: path of a quantized layer that reads it, or of the `Code` that makes its signs.
        bits: of its codes.
        signed: whether codes can be negative.
        is_bottleneck: whether the codes are all that goes on. Where a module that is not quantized reads the tap as
            well (the identity of a residual block, a shortcut without weights), real numbers pass beside the codes.
    """

    reader: str
    bits: int
    signed: bool
    is_bottleneck: bool


def code_taps(network: TappedNetwork, image_shape: Sequence[int]) -> dict[str, CodeTap]:
    """The taps that quantized layers read, found by passing random images once.

    A tap that is read by no quantized layer (one that is pooled first, for instance) is left out. Modules are watched,
    not functions: a network that uses a tap in a function beside its modules has to be judged by its author.

    Arguments:
        network: in any mode, which is left as it was.
        image_shape: (C, H, W).

    >>> from ib_analysis.encoders import EncoderConfig, ResNetClassifier
    >>> from ib_analysis.quantization import quantize
    >>> resnet = ResNetClassifier(EncoderConfig(depth=8, width=4, shortcut="B"), (1, 8, 8), 16, 10, seed=0)
    >>> {tap: (found.bits, found.is_bottleneck) for tap, found in code_taps(
    ...     quantize(resnet, "w2a2_ends8", (1, 8, 8), start=50), (1, 8, 8)).items()}
    {'h1': (2, True), 'h2': (2, True), 'h4': (8, True)}
    """
    if isinstance(network, BinaryNetwork):
        return {tap: CodeTap(path, bits=1, signed=False, is_bottleneck=True) for tap, path in network.readers.items()}
    names = {module: name for name, module in network.named_modules()}
    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    images = torch.randint(256, (2, *image_shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    read: list[tuple[nn.Module, Tensor]] = []
    leaves = [module for module in network.modules() if not any(True for _ in _inner(module))]
    modes = {module: module.training for module in network.modules()}
    handles = [leaf.register_forward_pre_hook(lambda m, inputs: read.append((m, inputs[0].clone()))) for leaf in leaves]
    try:
        with torch.no_grad():
            network.eval()(images.to(device))
            calls, taps = list(read), network.taps(images.to(device))
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    found = {}
    for tap, values in taps.items():
        readers = list(
            dict.fromkeys(module for module, x in calls if x.shape == values.shape and torch.equal(x, values))
        )
        quantized = [module for module in readers if isinstance(module, QuantizedLayer)]
        if quantized:
            first = quantized[0].inputs
            same = all(_same_codes(module.inputs, first) for module in quantized)
            found[tap] = CodeTap(names[quantized[0]], first.bits, first.signed, same and len(quantized) == len(readers))
    return found


class CodedTaps(TappedNetwork):
    """A quantized network whose taps give codes, as floating-point whole numbers, where there are any.

    Arguments:
        network: kept, not copied.
        image_shape: (C, H, W).

    Attributes:
        codes: the taps that are codes now.
    """

    def __init__(self, network: TappedNetwork, image_shape: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.layers = network.layers
        found = code_taps(network, image_shape)
        self.codes = {tap: code for tap, code in found.items() if self._inputs(code).active}
        self.code_bits = {tap: (code.bits, code.signed) for tap, code in self.codes.items()}

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)

    def taps(self, images: Tensor) -> dict[str, Tensor]:
        found = dict(self.network.taps(images))
        for tap, code in self.codes.items():
            found[tap] = self._inputs(code).codes(found[tap])
        return found

    def scales(self, tap: str) -> Tensor:
        """Codes per unit of each channel of a tap that is made of codes of quantized numbers, (C,)."""
        inputs = self._inputs(self.codes[tap])
        assert isinstance(inputs, InputQuantizer)
        return inputs.scale(2)[0].detach().cpu()

    def _inputs(self, code: CodeTap) -> InputQuantizer | Code:
        reader = self.network.get_submodule(code.reader)
        if isinstance(reader, Code):
            return reader
        assert isinstance(reader, QuantizedLayer)
        return reader.inputs


def _inner(module: nn.Module) -> list[nn.Module]:
    """Modules inside a module; a quantized layer counts as one."""
    return [] if isinstance(module, QuantizedLayer) else list(module.children())


def _same_codes(one: InputQuantizer, other: InputQuantizer) -> bool:
    """Whether two layers quantize the same input alike: bounds that watched the same numbers are equal."""
    return (one.bits, one.signed, one.bounds.per_tensor, one.bounds.start) == (
        other.bits, other.signed, other.bounds.per_tensor, other.bounds.start,
    )  # fmt: skip
