"""What a decoder is told before it exists: the space of images, the network's size, the cells it is conditioned on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Architecture", "Cell", "ImageSpace", "PixelCNNPPConfig", "ReaderArchitecture", "resolution_sizes"]


@dataclass(frozen=True)
class ImageSpace:
    """The finite set of images that a decoder is a distribution over.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> ImageSpace(channels=1, height=8, width=8, intensities=17)
        ImageSpace(channels=1, height=8, width=8, intensities=17)
    """

    channels: int
    """Colour channels: 1 (grey) or 3 (colour)."""
    height: int
    """Rows, in pixels."""
    width: int
    """Columns, in pixels."""
    intensities: int = 256
    """Values that a channel of a pixel can take: the integers 0..intensities-1. 2 to 256; 8-bit images have 256."""

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise ValueError(f"images have 1 or 3 channels, not {self.channels}")
        if self.height < 1 or self.width < 1:
            raise ValueError(f"images need at least one pixel, not {self.height}x{self.width}")
        if not 2 <= self.intensities <= 256:
            raise ValueError(f"intensities must be 2 to 256, not {self.intensities}")


@dataclass(frozen=True)
class Cell:
    """One source of activations: a layer at one epoch of one run.

    Raises:
        ValueError: the shape is neither (channels, height, width) nor (channels,).
    """

    name: str
    """Unique name, e.g. `epoch_0010/h3`."""
    layer: str
    """Layer, e.g. `h3`. Cells of one layer share a projection and must have the same shape."""
    shape: tuple[int, ...]
    """Shape of one image's activations: (channels, height, width) or (channels,)."""

    def __post_init__(self) -> None:
        if len(self.shape) not in (1, 3) or min(self.shape) < 1:
            raise ValueError(f"cell {self.name!r}: activations must be (C, h, w) or (C,), not {self.shape}")


@dataclass(frozen=True)
class Architecture:
    """Size and kind of the network. The defaults are those of PixelCNN++ (Salimans et al. 2017, arXiv 1701.05517).

    Raises:
        ValueError: a number is out of range.
    """

    blocks: int = 5
    """Gated residual blocks per resolution and stream in the upward pass (section 2.3 of the paper)."""
    filters: int = 160
    """Feature maps of both streams, everywhere (the paper's released code)."""
    output: Literal["logistic_mixture", "categorical"] = "logistic_mixture"
    """Distribution of a pixel: `logistic_mixture` for natural images, `categorical` for few intensities."""
    components: int = 10
    """Logistics in the mixture (the paper's released code); not used by `categorical`."""
    resolutions: int | None = None
    """Number of resolutions, each half as high and wide as the one before; None adapts it to the image's size."""
    dropout: float = 0.5
    """Probability that an element is zeroed, between the two convolutions of a block (section 2.5)."""
    fourier_features: bool = False
    """Adds sines and cosines of the intensity, down to its parity, to the input; helps where low bits matter."""
    log_scale_min: float = -7.0
    """Lower clamp of the logistics' log-scale, image values scaled to [-1, 1] (the paper's released code)."""
    condition_filters: int = 32
    """Feature maps of the condition; each pixel sees this many learned linear read-outs of its activations."""
    cell_adapters: bool = True
    """Gives every cell its own correction of its layer's projection, beside its embedding."""
    init_scale: float = 0.1
    """Standard deviation of each block's last pre-activation after initialisation (the paper's released code)."""

    def __post_init__(self) -> None:
        for name in ("blocks", "filters", "components", "condition_filters"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.output not in ("logistic_mixture", "categorical"):
            raise ValueError(f"output must be logistic_mixture or categorical, not {self.output!r}")
        if self.resolutions is not None and self.resolutions < 1:
            raise ValueError(f"resolutions must be at least 1 or null, not {self.resolutions}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, not {self.dropout}")
        if self.init_scale <= 0:
            raise ValueError(f"init_scale must be positive, not {self.init_scale}")


@dataclass(frozen=True)
class ReaderArchitecture:
    """Size of what adds a layer's knowledge to a base (`decoders.reader`).

    Raises:
        ValueError: a number is out of range.
    """

    width: int = 32
    """Feature maps at the image's resolution, of what reads the activations and of what joins them with the pixels."""
    largest_width: int = 64
    """Most feature maps at coarser resolutions, each of which has twice as many as the next finer one."""
    blocks: int = 2
    """Residual pairs of 3x3 convolutions that read the activations at the image's resolution."""
    coarse_blocks: int = 1
    """The same at each coarser resolution."""
    own_blocks: int = 0
    """Residual pairs at the activations' own resolution that every cell has for itself, before what cells share: more
    than a linear map of each into a language common to all, where a layer tells much."""
    causal_blocks: int = 2
    """Gated blocks that join what the base knows, the pixels before, and what was read."""
    dropout: float = 0.0
    """Probability with which a value is zeroed in a fit, of what was read and before each causal block: for a few
    hundred images, which a reader otherwise learns by heart."""
    own_share: float = 0.3
    """Weight in the fit of the distribution that is read from the activations alone, without any pixel: it teaches the
    reading part directly, from the first step on."""

    def __post_init__(self) -> None:
        for name, least in (("width", 1), ("largest_width", 1), ("blocks", 0), ("coarse_blocks", 0), ("own_blocks", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"reader_network.{name} must be at least {least}, not {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"reader_network.dropout must be from 0 up to, but not including, 1, not {self.dropout}")
        if self.causal_blocks < 0 or self.own_share < 0:
            raise ValueError("reader_network.causal_blocks and own_share must be at least 0")


@dataclass(frozen=True)
class PixelCNNPPConfig:
    """Everything that determines a decoder's parameters.

    Raises:
        ValueError: two cells have one name, cells of a layer differ in shape, a marked pixel lies outside the image,
            or the image cannot be halved as often as `architecture.resolutions` asks.
    """

    image: ImageSpace
    """The images."""
    architecture: Architecture = Architecture()
    """The network."""
    cells: tuple[Cell, ...] = ()
    """Sources of activations; none makes an unconditional network without any parameters for conditions."""
    marked_pixels: tuple[int, ...] = ()
    """Pixels (row * width + column) that are unlike the others in all images. The network is told where they are, under
    every condition and the null one too."""

    def __post_init__(self) -> None:
        shapes: dict[str, tuple[int, ...]] = {}
        for cell in self.cells:
            if shapes.setdefault(cell.layer, cell.shape) != cell.shape:
                raise ValueError(f"layer {cell.layer!r} has cells of shapes {shapes[cell.layer]} and {cell.shape}")
        if len({cell.name for cell in self.cells}) < len(self.cells):
            raise ValueError("two cells of a decoder have the same name")
        pixels = self.image.height * self.image.width
        if any(not 0 <= pixel < pixels for pixel in self.marked_pixels):
            raise ValueError(f"marked_pixels must be 0 to {pixels - 1}, not {self.marked_pixels}")
        resolution_sizes(self.image.height, self.image.width, self.architecture.resolutions)


def resolution_sizes(height: int, width: int, resolutions: int | None = None) -> tuple[tuple[int, int], ...]:
    """Heights and widths of the resolutions, finest first.

    Without a number, halve while both sides are even and the smaller half has at least 4 pixels (8 from the fourth
    resolution on); odd sizes end the halving.

    Raises:
        ValueError: a side cannot be halved so often.

    Example:
        >>> resolution_sizes(32, 32)
        ((32, 32), (16, 16), (8, 8))
        >>> resolution_sizes(12, 12)
        ((12, 12), (6, 6))
        >>> resolution_sizes(9, 9)
        ((9, 9),)
    """
    sizes = [(height, width)]
    while resolutions is None or len(sizes) < resolutions:
        height, width = sizes[-1]
        even = height % 2 == 0 and width % 2 == 0
        if resolutions is None:
            if not even or min(height, width) // 2 < (4 if len(sizes) < 3 else 8):
                break
        elif not even:
            size = f"{sizes[0][0]}x{sizes[0][1]}"
            raise ValueError(f"{size} pixels cannot be halved into {resolutions} resolutions; ask for {len(sizes)}")
        sizes.append((height // 2, width // 2))
    return tuple(sizes)
