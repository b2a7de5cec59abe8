"""What the samplers need to know of a decoder and of a distribution: attributes by name, no class of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor, nn

from decoders.config import PixelCNNPPConfig
from decoders.layers import WeightNormConvolution
from decoders.outputs import OutputDistribution

__all__ = ["CausalNetwork", "Conditioned"]


class CausalNetwork(Protocol):
    """Two causal streams at one to three resolutions (`decoders.pixelcnnpp.PixelCNNPP`), as the samplers see them."""

    config: PixelCNNPPConfig
    training: bool
    sizes: tuple[tuple[int, int], ...]
    """(H, W) of each resolution."""
    input_table: Tensor
    """Features of every intensity, (intensities, N)."""
    input_upper: WeightNormConvolution
    input_row_above: WeightNormConvolution
    input_left: WeightNormConvolution
    up_upper: Any
    """Per resolution, the blocks of the upper stream on the way up; the others alike."""
    up_left: Any
    down_upper: Any
    down_left: Any
    coarser_upper: Any
    """Between a resolution and the next: one convolution per stream; the others alike."""
    coarser_left: Any
    finer_upper: Any
    finer_left: Any
    output: OutputDistribution
    readout: WeightNormConvolution

    def parameters(self) -> Iterator[nn.Parameter]: ...
    def modules(self) -> Iterator[nn.Module]: ...
    def eval(self) -> Any: ...
    def train(self, mode: bool = True) -> Any: ...

    def input_features(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) to the network's input (B, N, H, W)."""
        ...

    def output_parameters(self, features: Tensor, terms: list[tuple[Tensor, ...]] | None) -> Tensor:
        """(B, N, H, W) input features and the blocks' condition terms to (B, P, H, W)."""
        ...


class Conditioned(Protocol):
    """A distribution over images (`decoders.distribution.ImageDistribution`), as the samplers see it."""

    @property
    def network(self) -> CausalNetwork: ...
    @property
    def terms(self) -> list[tuple[Tensor, ...]] | None: ...
    @property
    def batch_size(self) -> int | None: ...
