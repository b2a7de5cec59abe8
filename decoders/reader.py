"""A reader: what a layer's activations add to a base, q(x | h), from the base's features of the pixels before.

The base, an unconditional PixelCNN++, stays as it is. A trunk reads the activations, without any order of pixels; a
few causal blocks join what was read, the base's features and the pixels before; their last layer, zero at the start,
changes the base's output parameters. A new reader's code length is thus the base's exactly, and every bit of difference
was read from h, or from earlier pixels of which the base makes less (see `Reader`).
Of the ideas: Salimans et al. 2017 (arXiv 1701.05517) for the base, Shi et al. 2016 (arXiv 1609.05158) for the trunk's
growth, residual adapters (Rebuffi et al. 2017, arXiv 1705.08045) for leaving the base alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decoders.activations import elu, gated_sum
from decoders.config import Architecture, Cell, ImageSpace, PixelCNNPPConfig, ReaderArchitecture
from decoders.distribution import ImageDistribution
from decoders.dropout import Dropout
from decoders.outputs import OutputDistribution
from decoders.pixelcnnpp import PixelCNNPP, length_of
from decoders.precision import full_precision
from decoders.readings import CellReadings, Conditions
from decoders.sampling.network import CausalNetwork
from decoders.trunk import Trunk

__all__ = ["MaskedConvolution", "Reader", "ReaderConfig"]


@dataclass(frozen=True)
class ReaderConfig:
    """Everything but the base that determines a reader's parameters.

    Arguments:
        image: the images.
        architecture: of the base.
        reader: size of what is added.
        cells: sources of activations.
        marked_pixels: as the base's.
        unconditional: as of `Reader`.
    """

    image: ImageSpace
    architecture: Architecture
    reader: ReaderArchitecture
    cells: tuple[Cell, ...]
    marked_pixels: tuple[int, ...] = ()
    unconditional: bool = False


class MaskedConvolution(nn.Conv2d):
    """A convolution that sees rows above, and of its own row what lies to the left.

    Arguments:
        inputs, outputs: channels.
        reach: rows above, and columns to each side.
        strict: whether the pixel itself is hidden as well.
    """

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, reach: int, strict: bool) -> None:
        super().__init__(inputs, outputs, (reach + 1, 2 * reach + 1), padding=reach)
        self.reach = reach
        mask = torch.ones(reach + 1, 2 * reach + 1)
        mask[reach, reach if strict else reach + 1 :] = 0
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        # Padding inside the convolution and dropping the last rows is faster than padding before it.
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.reach)[:, :, : -self.reach]


class CausalBlock(nn.Module):
    """z + a sigmoid(b), with (a, b) a causal convolution of z and a linear map of what was read."""

    def __init__(self, filters: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        # The base has looked far already: at equal time, 2x3 found more than 3x5.
        self.before = MaskedConvolution(filters, 2 * filters, 1, strict=False)
        self.read = nn.Conv2d(filters, 2 * filters, 1)

    def forward(self, z: Tensor, read: Tensor) -> Tensor:
        return gated_sum(z, self.before(self.dropout(elu(z))) + self.read(read))


class ReaderDistribution(ImageDistribution):
    """A distribution over images given activations, and what is read of them without any pixel."""

    def auxiliary_log_prob(self, x: Tensor) -> Tensor | None:
        """What the fit adds to the log-probability, (B,), in nats: that of what is read alone, times its share."""
        reader = cast(Reader, self.network)
        output, share = reader.output, reader.config.reader.own_share
        if self.terms is None or not output.n_own or not share:
            return None
        own = self.terms[0][1]
        return share * output.own_log_prob(own.expand(len(x), -1, -1, -1), x.long()).sum((1, 2))


class Reader(nn.Module):
    """A network that gives a distribution over images under a condition; without one, it is the base, unless it is an
    unconditional reader.

    An unconditional reader has a map of its own in the place of what others read. It finds in the pixels before what
    the base has missed, as they do beside what activations tell: against its code length theirs say what was read.

    See also: :class:`decoders.pixelcnnpp.PixelCNNPP`, whose interface it has.

    Arguments:
        base: is not changed and not part of this module's parameters, nor of what its `state_dict` holds.
        reader: size of what is added.
        cells: sources of activations.
        unconditional: whether it reads nothing and yet is fitted; it has no cells then.

    Attributes:
        stored: looks up the base's features of images, (B, C, H, W) to (B, F, H, W), where they were computed before;
            None computes them.

    Raises:
        ValueError: the base is conditional itself, two cells have one name, or cells of a layer differ in shape; an
            unconditional reader has cells.

    Example:
        >>> from decoders import Architecture, Cell, ImageSpace, PixelCNNPP, PixelCNNPPConfig, ReaderArchitecture
        >>> image = ImageSpace(channels=1, height=8, width=8, intensities=16)
        >>> base = PixelCNNPP(PixelCNNPPConfig(image, Architecture(blocks=1, filters=4, output="categorical")))
        >>> cell = Cell("epoch_0010/h3", "h3", (5, 4, 4))
        >>> reader = Reader(base, ReaderArchitecture(width=8), (cell,))
        >>> x, h = torch.randint(16, (2, 1, 8, 8)), torch.randn(2, 5, 4, 4)
        >>> torch.allclose(reader(h).log_prob(x), reader().log_prob(x))
        True
        >>> reader(h).sample().shape
        torch.Size([2, 1, 8, 8])
    """

    def __init__(
        self, base: PixelCNNPP, reader: ReaderArchitecture, cells: tuple[Cell, ...], unconditional: bool = False
    ) -> None:
        super().__init__()
        known = base.config
        if known.cells:
            raise ValueError("the base of a reader has cells of its own; use an unconditional one")
        if unconditional and cells:
            raise ValueError(f"an unconditional reader reads nothing, but {len(cells)} cells are given")
        # Cells are those of any decoder, with the same demands.
        PixelCNNPPConfig(known.image, known.architecture, cells, known.marked_pixels)
        self.config = ReaderConfig(known.image, known.architecture, reader, cells, known.marked_pixels, unconditional)
        # Not a submodule: neither fitted nor saved with the reader.
        self._base = (base.requires_grad_(False).eval(),)
        self.stored: Callable[[Tensor], Tensor | None] | None = None
        size = (known.image.height, known.image.width)
        self.conditioning = CellReadings(cells, lambda shape, n_cells: Trunk(shape, n_cells, size, reader))
        output, width = base.output, reader.width
        self.nothing = nn.Parameter(torch.zeros(1, width, *size)) if unconditional else None
        self.dropout = Dropout(reader.dropout)
        self.summary = nn.Conv2d(width, width + output.n_own, 1)
        self.from_base = nn.Conv2d(known.architecture.filters, width, 1)
        # Set from the first minibatch, like the gains of the base once were, and fitted from there on.
        self.feature_shift = nn.Parameter(torch.zeros(known.architecture.filters))
        self.feature_gain = nn.Parameter(torch.ones(known.architecture.filters))
        self.from_read = nn.Conv2d(width, width, 1)
        inputs = known.image.channels * base.input_table.shape[1] + 1
        self.from_pixels = MaskedConvolution(inputs + output.n_hints, width, 2, strict=True)
        self.blocks = nn.ModuleList(CausalBlock(width, reader.dropout) for _ in range(reader.causal_blocks))
        self.change = nn.Conv2d(width, 2 * output.n_parameters + output.n_pulls, 1)
        nn.init.zeros_(self.change.weight)
        assert self.change.bias is not None
        nn.init.zeros_(self.change.bias)

    @property
    def base(self) -> PixelCNNPP:
        """The unconditional model below."""
        return self._base[0]

    @property
    def output(self) -> OutputDistribution:
        """The base's output distribution."""
        return self.base.output

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        self.base._apply(fn, recurse)  # where the reader goes, its base goes
        return super()._apply(fn, recurse)

    def forward(
        self, condition: Conditions = None, null_mask: Tensor | None = None, batch_size: int | None = None
    ) -> ImageDistribution:
        """The distribution of images under a condition; arguments and errors are those of `PixelCNNPP`."""
        sizes = {batch_size} if batch_size is not None else set()
        if null_mask is not None:
            sizes.add(len(null_mask))
        if condition is not None:
            if not self.config.cells:
                raise ValueError("the reader has no cells, so it cannot take a condition")
            sizes.add(length_of(condition))
        if len(sizes) > 1:
            raise ValueError(f"condition, null_mask and batch_size disagree on the number of images: {sorted(sizes)}")
        size = next(iter(sizes), None)
        if condition is None:
            terms = None if self.nothing is None else [self._terms(elu(self.nothing))]
            return ReaderDistribution(cast(CausalNetwork, self), terms, size, fixed=False)
        found = self._terms(self.dropout(elu(self.conditioning.read(condition))))
        if null_mask is not None:
            found = (*found, null_mask.view(-1, 1, 1, 1))
        return ReaderDistribution(cast(CausalNetwork, self), [found], size, fixed=True)

    def _terms(self, features: Tensor) -> tuple[Tensor, ...]:
        """What the causal part is told of the features that were read, (B, F, H, W): (B, F, H, W), (B, n_own, H, W)."""
        read, own = self.summary(features).split((self.config.reader.width, self.output.n_own), 1)
        return elu(read), own

    @torch.no_grad()
    def initialise(self, x: Tensor, condition: Conditions = None, null_mask: Tensor | None = None) -> None:
        """Standardise the base's features as those of a minibatch, (B, C, H, W), are; the conditions do not matter."""
        deviation, mean = torch.std_mean(self.base_features(x), (0, 2, 3), correction=0)
        self.feature_shift.copy_(mean)
        self.feature_gain.copy_(1 / torch.where(deviation > 1e-3, deviation, 1.0))

    def standardise(self, cell: str, mean: Tensor, std: Tensor) -> None:
        """As `PixelCNNPP.standardise`."""
        self.conditioning.standardise(cell, mean, std)

    def base_features(self, x: Tensor) -> Tensor:
        """The base's features of every pixel of images, (B, C, H, W) to (B, F, H, W).

        They are rounded to float16, as they are kept, so that it does not matter whether they were.
        """
        found = None if self.stored is None else self.stored(x)
        if found is None:
            with torch.no_grad(), torch.autocast(x.device.type, enabled=False), full_precision():
                base = self.base
                found = base.last_features(base.input_features(x), base().terms).half()
        return found.to(self.feature_shift.device, self.feature_shift.dtype)

    def input_features(self, x: Tensor) -> Tensor:
        """The images themselves, (B, C, H, W): the base's features of them are looked up where they are needed."""
        return x

    def output_parameters(self, x: Tensor, terms: list[tuple[Tensor, ...]] | None) -> Tensor:
        """(B, C, H, W) images and what was read of the condition to (B, P, H, W)."""
        features = self.base_features(x)
        parameters = self.base.readout(features)
        if terms is None:
            return parameters
        read, own, *mask = terms[0]
        changes = self.changes(features, self.base.input_features(x), read, own)
        changed = self.changed(parameters, own, changes)
        return torch.where(mask[0], parameters, changed) if mask else changed

    def changes(self, features: Tensor, pixels: Tensor, read: Tensor, own: Tensor) -> Tensor:
        """The causal part: base features, input features, and what was read, to what changes the parameters."""
        shift, gain = (vector.view(1, -1, 1, 1) for vector in (self.feature_shift, self.feature_gain))
        own = own.expand(len(pixels), -1, -1, -1)  # of nothing there is one for all images
        hints = self.output.hints(own).detach().to(pixels.dtype)
        z = self.from_base((features - shift) * gain) + self.from_read(read)
        z = z + self.from_pixels(torch.cat([pixels, hints], 1))
        for block in self.blocks:
            z = block(z, read)
        changes: Tensor = self.change(elu(z))
        return changes

    def changed(self, parameters: Tensor, own: Tensor, changes: Tensor) -> Tensor:
        """The base's parameters p (B, P, ...) to p + p g + d, pulled towards what is read alone."""
        n = self.output.n_parameters
        gain, shift, pulls = changes.split((n, n, self.output.n_pulls), 1)
        return self.output.pulled(parameters + parameters * gain + shift, own, pulls)
