"""Which axis of a tap is which: read off how its shape follows the input's, or off the modules that made it.

Networks keep maps as (B, C, H, W) or, as Swin transformers do, as (B, H, W, C), and tokens as (B, N, C) or (N, B, C).
The numbers do not say which; shapes do. An axis that grows with the number of images is the batch, one that grows with
the height of the input is the height, and one that grows with neither is the channels. Where the network takes images
of one size only, the modules tell: convolutions and pooling put channels second, dense layers and LayerNorm last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor, nn

from ib_analysis.artifacts import UserError
from ib_analysis.encoders.tap_places import Tokens

__all__ = ["KINDS", "Given", "TapAxes", "recognise_axes"]

KINDS = ("BC", "BCN", "BCHW")
"""Axes that a tap can have, in any order: images, channels, tokens, height, width."""

Shapes = dict[str, tuple[int, ...]]
Given = tuple[str, tuple[int, int] | None]
"""Letters of a tap's axes, and the grid that its last tokens belong to."""
MOST_PREFIX_TOKENS = 16
"""Class and register tokens before those of the patches, at most."""


@dataclass(frozen=True)
class TapAxes:
    """How a tap's tensor becomes (B, C, h, w) or (B, C).

    Arguments:
        letters: its axes in order: B images, C channels, H and W height and width, N tokens.
        grid: of tokens: the (h, w) patches that the last h w tokens belong to; those before them, such as a class
            token, become channels that are the same everywhere. None: all tokens in one column.
        tokens: of tokens with a grid, ``patches`` alone, or those before them as a vector (``class``).

    >>> TapAxes("BHWC")(torch.zeros(2, 4, 5, 3)).shape
    torch.Size([2, 3, 4, 5])
    >>> TapAxes("BNC", grid=(2, 3))(torch.zeros(2, 7, 8)).shape
    torch.Size([2, 16, 2, 3])
    >>> TapAxes("BNC", grid=(2, 3), tokens="class")(torch.zeros(2, 7, 8)).shape
    torch.Size([2, 8])
    """

    letters: str
    grid: tuple[int, int] | None = None
    tokens: Tokens = "all"

    def __call__(self, tap: Tensor) -> Tensor:
        """The tap as (B, C, h, w) or (B, C), in its own dtype."""
        if self.letters == "B":
            return tap.unsqueeze(1)
        kind = next(kind for kind in KINDS if sorted(kind) == sorted(self.letters))
        tap = tap.permute([self.letters.index(letter) for letter in kind])
        if kind != "BCN":
            return tap
        if self.grid is None:
            return tap.unsqueeze(3)
        n_before = tap.shape[2] - math.prod(self.grid)
        patches = tap[:, :, n_before:].unflatten(2, self.grid)
        before = tap[:, :, :n_before].transpose(1, 2).flatten(1)
        if self.tokens != "all":
            return before if self.tokens == "class" else patches
        return torch.cat([patches, before[:, :, None, None].expand(-1, -1, *self.grid)], 1) if n_before else patches


@dataclass
class _Seen:
    """Outputs of modules that tell their layout, in one pass: (shape, place of the channels), in order."""

    outputs: list[tuple[tuple[int, ...], int]] = field(default_factory=list)
    attention: bool = False
    """Whether there are modules of attention: tokens that are as many as a square's may then be patches."""


def recognise_axes(
    network: nn.Module,
    read: Callable[[Tensor], Mapping[str, Tensor]],
    inputs: Callable[[int], Tensor],
    given: Mapping[str, Given],
    tokens: Mapping[str, Tokens] = MappingProxyType({}),
) -> dict[str, TapAxes]:
    """The axes of every tap, from up to four passes over a few images.

    Arguments:
        network: its modules are watched; in evaluation mode.
        read: input of the network -> its taps as they are.
        inputs: number of images -> that many of them as the network takes them, (B, C, H, W).
        given: taps whose axes are known already -> their letters, and the grid of patches or None; only checked.
        tokens: tap -> which of its tokens are asked for.

    Raises:
        UserError: a tap does not follow the number of images, or its axes are ambiguous, or are not those given; a
            grid does not fit, or is not there.
    """
    two = inputs(2)
    with _watching(network) as seen:
        if two.ndim == 4:
            seen.outputs.append((tuple(two.shape), 1))
        shapes = _shapes_of(read(two))
    three = _shapes_of(read(inputs(3)))
    batch = {layer: _batch_axis(layer, shape, three[layer]) for layer, shape in shapes.items()}
    found = {}
    larger: list[Shapes] | None = None
    for layer, shape in shapes.items():
        rest = [axis for axis in range(len(shape)) if axis != batch[layer]]
        if layer in given:
            letters = given[layer][0]
            if len(letters) != len(shape) or letters.index("B") != batch[layer]:
                raise UserError(
                    f"axes says {letters!r} for the tap {layer}, but it gives {_told(shape)} for 2 images; name each "
                    "of its axes."
                )
        elif len(rest) < 2:
            letters = "".join("B" if axis == batch[layer] else "C" for axis in range(len(shape)))
        else:
            if larger is None:
                larger = _larger(read, two)
            letters = _letters(layer, shape, batch[layer], [sizes[layer] for sizes in larger], seen)
        grid = None
        if "N" in letters:
            grid = given.get(layer, (letters, None))[1] or _grid(shape[letters.index("N")], seen)
        found[layer] = TapAxes(letters, grid, tokens.get(layer, "all"))
        _check_tokens(layer, shape, found[layer])
    return found


def _check_tokens(layer: str, shape: tuple[int, ...], axes: TapAxes) -> None:
    """Refuse a grid that is larger than the tokens, and patches or tokens before them where there are none."""
    before = shape[axes.letters.index("N")] - math.prod(axes.grid) if axes.grid else None
    if before is not None and before < 0:
        assert axes.grid is not None
        raise UserError(
            f"axes says that the tap {layer} has a grid of {axes.grid[0]}x{axes.grid[1]} patches, but it gives "
            f"{_told(shape)} for 2 images."
        )
    if axes.tokens != "all" and (before is None or (axes.tokens == "class" and not before)):
        what = "no tokens with a grid of patches" if before is None else "no token before its patches"
        raise UserError(
            f"The tap {layer} ends in @{axes.tokens}, but it gives {_told(shape)} for 2 images, {what}; leave that "
            f"out, or say the grid, for instance axes={{{layer!r}: 'BNC 14x14'}}."
        )


def _batch_axis(layer: str, two: tuple[int, ...], three: tuple[int, ...]) -> int:
    """The axis that is 2 for two images and 3 for three."""
    candidates = [axis for axis, sizes in enumerate(zip(two, three, strict=False)) if sizes == (2, 3)]
    if len(two) == len(three) and len(candidates) == 1:
        return candidates[0]
    told = f"The tap {layer} gives {_told(two)} for 2 images and {_told(three)} for 3"
    if len(candidates) > 1:
        raise UserError(f"{told}, so that images are compared with each other; tap a module before that.")
    if two == three:
        raise UserError(f"{told}: it does not depend on the images; tap another module.")
    raise UserError(f"{told}, so that no axis counts the images (windows or tokens may be among them); tap the module "
                    "around it.")  # fmt: skip


def _letters(layer: str, shape: tuple[int, ...], batch: int, larger: Sequence[tuple[int, ...]], seen: _Seen) -> str:
    rest = [axis for axis in range(len(shape)) if axis != batch]
    letters = _from_sizes(shape, rest, larger) or _from_modules(shape, batch, rest, seen)
    if letters is None:
        orders = ("CHW", "HWC") if len(rest) == 3 else ("NC", "CN")
        kinds = " or ".join(repr(f"{order[:batch]}B{order[batch:]}") for order in orders)
        advice = f"say it, for instance axes={{{layer!r}: {kinds}}}, or tap another module"
        if len(rest) > 3:
            advice = "a tap must give a vector, tokens or a map per image: choose another module"
        raise UserError(f"The tap {layer} gives {_told(shape)} for 2 images, whose axes are ambiguous; {advice}.")
    named = dict(zip(rest, letters, strict=True)) | {batch: "B"}
    return "".join(named[axis] for axis in range(len(shape)))


def _from_sizes(shape: tuple[int, ...], rest: list[int], larger: Sequence[tuple[int, ...]]) -> str | None:
    """Letters of the axes `rest`, from shapes under twice the height and twice the width; None if these do not tell."""
    if len(rest) > 3:
        return None
    wide = [axis for axis in rest if shape[axis] > 1]
    if len(rest) == 3 and len(wide) == 1 and all(other == shape for other in larger):
        # Pooled to one position, whatever the input: all that is left are channels.
        return "".join("C" if axis == wide[0] else spatial for axis, spatial in _with_spatial(rest, wide[0]))
    if len(larger) < 2 or any(len(other) != len(shape) for other in larger):
        return None
    follows = {axis: tuple(other[axis] != shape[axis] for other in larger) for axis in rest}
    if len(rest) == 2:
        tokens = [axis for axis in rest if any(follows[axis])]
        return "".join("N" if axis == tokens[0] else "C" for axis in rest) if len(tokens) == 1 else None
    known = {axis: "H" if follows[axis] == (True, False) else "W" for axis in rest if sum(follows[axis]) == 1}
    if sorted(known.values()) != ["H", "W"] or any(follows[axis] == (True, True) for axis in rest):
        return None
    return "".join(known.get(axis, "C") for axis in rest)


def _from_modules(shape: tuple[int, ...], batch: int, rest: list[int], seen: _Seen) -> str | None:
    """Letters of the axes `rest`, from the modules that gave outputs of this very shape; None if these do not tell.

    Nothing is told where the channels are as many as the positions of another axis: the same shape could then lie the
    other way round.
    """
    places = {channels for other, channels in seen.outputs if other == shape}
    if len(places) != 1 or len(rest) > 3:
        return None
    (channels,) = places
    if channels == batch or any(shape[axis] == shape[channels] for axis in rest if axis != channels):
        return None
    if len(rest) == 2:
        return "".join("C" if axis == channels else "N" for axis in rest)
    return "".join("C" if axis == channels else spatial for axis, spatial in _with_spatial(rest, channels))


def _with_spatial(rest: list[int], channels: int) -> list[tuple[int, str]]:
    """The axes, those beside the channels named H and W in their order."""
    spatial = iter("HW")
    return [(axis, "C" if axis == channels else next(spatial)) for axis in rest]


def _grid(n_tokens: int, seen: _Seen) -> tuple[int, int] | None:
    """The finest grid among the maps of a pass that the tokens, but for a few before them, can belong to; without any,
    a square, where there is attention."""
    grids = set()
    for shape, channels in seen.outputs:
        if len(shape) == 4:
            height, width = (shape[axis] for axis in range(1, 4) if axis != channels)
            if 0 <= n_tokens - height * width <= MOST_PREFIX_TOKENS and height * width > 1:
                grids.add((height, width))
    for n_before in (0, 1) if seen.attention and not grids else ():
        side = math.isqrt(n_tokens - n_before)
        if side > 1 and side * side == n_tokens - n_before:
            grids.add((side, side))
    return max(grids, key=math.prod, default=None)


def _larger(read: Callable[[Tensor], Mapping[str, Tensor]], inputs: Tensor) -> list[Shapes]:
    """Shapes of the taps for inputs of twice the height, and of twice the width; nothing if the network takes none."""
    if inputs.ndim != 4 or not inputs.is_floating_point():
        return []
    try:
        return [_shapes_of(read(inputs.repeat_interleave(2, dim))) for dim in (2, 3)]
    except Exception:  # a network of inputs of one size refuses others in any way
        return []


@contextmanager
def _watching(network: nn.Module) -> Iterator[_Seen]:
    """Inside the block, outputs of modules whose type tells the place of the channels are noted."""
    seen = _Seen(attention=any("attention" in type(module).__name__.lower() for module in network.modules()))

    def note(module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor):
            channels = _channels_of(module, output)
            if channels is not None:
                seen.outputs.append((tuple(output.shape), channels))

    handles = [
        module.register_forward_hook(note)
        for module in network.modules()
        if not isinstance(module, torch.jit.ScriptModule)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _channels_of(module: nn.Module, output: Tensor) -> int | None:
    """The axis of a module's output that holds its channels, as far as its type tells."""
    name = type(module).__name__.lower()
    first = isinstance(module, nn.GroupNorm | nn.Upsample | nn.PixelShuffle) or (
        # Of torch and of others: Conv2d, BatchNorm2d, MaxPool2d, AdaptiveAvgPool2d, LayerNorm2d.
        name.endswith(("1d", "2d", "3d")) and output.ndim >= 3
    )
    if first:
        return 1
    return output.ndim - 1 if isinstance(module, nn.Linear | nn.LayerNorm) else None


def _shapes_of(taps: Mapping[str, Tensor]) -> Shapes:
    return {layer: tuple(tap.shape) for layer, tap in taps.items()}


def _told(shape: tuple[int, ...]) -> str:
    return f"shape {tuple(shape)}"
