"""Which numbers a layer's activations need: found on a sample of training images, before anything is kept.

Float16 keeps 11 significant bits between 6e-5 and 65504. Most layers of most networks lose nothing of note in it, and
stay in it as they are. Values of 1e-8, a mean of 100 with a standard deviation of 0.01, the small probabilities of a
softmax, or codes beyond 2048 would be lost; then a map per channel, or float32, keeps them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from ib_analysis.activations.groups import Groups
from ib_analysis.activations.numbers import FLOAT16_MAX, LARGEST_WHOLE, Numbers, differences
from ib_analysis.artifacts import UserError

__all__ = ["Losses", "Storage", "choose_numbers", "sample_groups"]

Storage = Literal["auto", "float16", "float32"]
"""`auto`: float16 as it is where that loses nothing of note, else mapped channel by channel, else float32."""

SAMPLE_IMAGES = 256
NOISE = 1 / 32
"""Largest rounding error, in standard deviations of the channel: float16's step is then a ninth of one."""
ZEROED = 1e-3
"""Largest share of values other than zero that are kept as zero is."""
SCALED_TO = 2.0**8
"""Largest sampled value of a channel that is only scaled: images beyond the sample may have one 256 times larger."""
RANGE_USED = 0.5
"""Share of float16's range that the sample may take up, for images beyond it."""
WHOLE_EXACT = 2048
"""Whole numbers up to here are exact in float16; the sample may take up as much of that range."""
SMALL_INTEGERS = (torch.bool, torch.uint8, torch.int8)
"""Types of which float16 has every value."""


@dataclass(frozen=True)
class Losses:
    """What a sample loses in some numbers, in units of what is allowed: more than 1 is a loss.

    Arguments:
        noise: root mean square of the rounding error of a channel over its own standard deviation, 1/32 allowed; the
            worst channel counts. Channels that are constant up to the rounding of the network's own arithmetic do not.
        zeroed: share of all values other than zero that are kept as zero is, 1/1000 allowed.
        collided: whether all values are whole numbers, and some of them are not kept exactly.
        crowded: whether values use more than half of the range of float16 (whole numbers: of that up to 2048; integers
            of 16 bits and more: whether these are float16 at all), or, in float32, a channel's standard deviation lies
            outside 1e-6 to 1e12, where sums in float32 are no longer safe.
    """

    noise: float
    zeroed: float
    collided: bool
    crowded: bool

    @property
    def worst(self) -> float:
        return max(self.noise, self.zeroed, math.inf if self.collided or self.crowded else 0.0)


def sample_groups(groups: Groups) -> list[int]:
    """Groups of the training part, evenly spread over it, that make up about 256 images.

    >>> sample_groups(Groups(n_train=10000, n_validation=100, n_evaluation=100, group_size=100))
    [0, 33, 66]
    """
    training = groups.part("train")
    count = min(len(training), -(-SAMPLE_IMAGES // groups.group_size))
    return [training[k * len(training) // count] for k in range(count)]


def choose_numbers(
    sample: Callable[[], Iterator[dict[str, Tensor]]], layers: Iterable[str], storage: Storage
) -> dict[str, Numbers]:
    """The first numbers, from plain float16 to mapped float32, that lose no more than `Losses` allows.

    A function of the sampled activations only, so that a dump and a recomputation choose alike.

    Arguments:
        sample: gives the activations of one sampled group after the other, layer -> (n, C, ...); it is asked once, and
            a second time if any layer loses in the first of its numbers.
        layers: those to choose for.
        storage: `float16` leaves only that, as it is; `float32` only that, as it is or mapped.

    Raises:
        UserError: no such storage.
    """
    if storage not in get_args(Storage):
        raise UserError(f"activations.storage is {storage!r}; choose from {', '.join(get_args(Storage))}.")
    plain = Numbers("float32" if storage == "float32" else "float16")
    measured = {layer: _Channels() for layer in layers}
    losses = {layer: _Measure(plain) for layer in measured}
    for taps in sample():
        for layer, channels in measured.items():
            channels.add(taps[layer])
            losses[layer].add(taps[layer])
    chosen = {}
    tried: dict[str, list[_Measure]] = {}
    for layer, channels in measured.items():
        first = losses[layer].losses(channels)
        chosen[layer] = replace(plain, loses=first.worst > 1)
        if first.worst > 1 and storage != "float16":
            tried[layer] = [_Measure(numbers) for numbers in _candidates(channels, storage)]
    if not tried:
        return chosen
    for taps in sample():
        for layer, measures in tried.items():
            for measure in measures:
                measure.add(taps[layer])
    for layer, measures in tried.items():
        found = [(measure.losses(measured[layer]).worst, measure.numbers) for measure in measures]
        best = next((pair for pair in found if pair[0] <= 1), min(found, key=lambda pair: pair[0]))
        chosen[layer] = replace(best[1], loses=best[0] > 1)
    return chosen


class _Channels:
    """Moments and extremes of each channel's finite values, summed group by group in float64 about the first group's
    means. Infinities become the ends of whatever range is chosen for the others."""

    def __init__(self) -> None:
        self._count: Tensor | int = 0
        self._begun = False
        self.whole, self.wide = True, False
        self._epsilon = 0.0

    def add(self, activations: Tensor) -> None:
        raw = _by_channel(activations)
        values = raw.double()
        finite = values.isfinite()
        all_finite = bool(finite.all())
        if not all_finite:
            values = values.where(finite, 0.0)
        if not self._begun:
            self._begun = True
            self._centre = values.mean(1) if all_finite else values.sum(1) / finite.sum(1).clamp_min(1)
            self._first, self._second, self.largest = (torch.zeros_like(self._centre) for _ in range(3))
            if activations.is_floating_point():
                self._epsilon = torch.finfo(activations.dtype).eps
            else:
                self.wide = activations.dtype not in SMALL_INTEGERS
        self._count = self._count + finite.sum(1)
        deviations = differences(raw, self._centre[:, None])
        if not all_finite:
            deviations = deviations.where(finite, 0.0)
        self._first += deviations.sum(1)
        self._second += deviations.square().sum(1)
        self.largest = torch.maximum(self.largest, values.abs().amax(1))
        self.whole = self.whole and bool((values == values.round()).all())

    @property
    def mean(self) -> Tensor:
        return self._centre + self._first / self._counted

    @property
    def deviation(self) -> Tensor:
        return (self._second / self._counted - (self._first / self._counted).square()).clamp_min(0).sqrt()

    @property
    def live(self) -> Tensor:
        """Channels that vary by more than the rounding of the network's arithmetic."""
        return self.deviation > 8 * self._epsilon * self.largest

    @property
    def _counted(self) -> Tensor:
        return torch.as_tensor(self._count).clamp_min(1)


class _Measure:
    """What some numbers lose, summed group by group."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers
        self._errors: Tensor | float = 0.0
        self._count = self._zeroed = self._nonzero = self._beyond = 0
        self._inexact = False
        self._largest = 0.0

    def add(self, activations: Tensor) -> None:
        kept, beyond = self.numbers.encode(activations)
        zero, _ = self.numbers.encode(torch.zeros_like(activations[:1]))
        errors, infinite = self.numbers.errors(kept, activations), activations.isinf()
        if bool(infinite.any()):  # they are cut off in any numbers
            errors, beyond = errors.masked_fill(infinite, 0.0), beyond - int(infinite.sum())
            kept = torch.where(infinite, zero, kept)
        nonzero = (activations != 0) & ~infinite
        self._nonzero += int(nonzero.sum())
        self._zeroed += int((nonzero & (kept == zero)).sum())
        errors = _by_channel(errors)
        self._errors = self._errors + errors.square().sum(1)
        self._count += errors.shape[1]
        self._beyond += beyond
        self._inexact = self._inexact or bool((errors != 0).any())
        self._largest = max(self._largest, float(kept.abs().max()))

    def losses(self, channels: _Channels) -> Losses:
        live = channels.live
        noise = torch.as_tensor(self._errors / self._count).sqrt()[live] / channels.deviation[live]
        if self.numbers.dtype == "float16":
            exact = WHOLE_EXACT if channels.whole else FLOAT16_MAX
            crowded = self._largest > RANGE_USED * exact or channels.wide
        else:
            scale = torch.tensor(self.numbers.scale or (1.0,), dtype=torch.float64, device=live.device)
            kept = (channels.deviation / scale)[live]
            crowded = bool(((kept < 2.0**-20) | (kept > 2.0**40)).any())
        return Losses(
            noise=float(noise.max()) / NOISE if len(noise) else 0.0,
            zeroed=self._zeroed / max(1, self._nonzero) / ZEROED,
            collided=channels.whole and self._inexact,
            crowded=crowded or self._beyond > 0,
        )


def _candidates(channels: _Channels, storage: Storage) -> list[Numbers]:
    """Numbers to try where plain ones lose, from the first choice to the last."""
    largest = torch.where(channels.largest > 0, channels.largest, 1.0)
    scaled = _power_of_two(largest / SCALED_TO)
    spread = torch.where(channels.live, _power_of_two(channels.deviation), scaled)
    offset = torch.where(channels.live, (channels.mean / spread).round() * spread, 0.0)
    maps = [(torch.zeros_like(scaled), scaled), (offset, spread)]
    mapped = {
        dtype: [Numbers(dtype, tuple(shift.tolist()), tuple(scale.tolist())) for shift, scale in maps]
        for dtype in ("float16", "float32")
    }
    real = mapped["float32"][::-1]
    if channels.whole:
        # Never scaled: that would be exact for the sampled images only.
        middle = channels.mean.round().clamp(-LARGEST_WHOLE, LARGEST_WHOLE)
        real = [Numbers("float32", tuple(middle.tolist()), (1.0,) * len(middle))]
    small = mapped["float16"] if storage == "auto" and not channels.whole else []
    return [*small, Numbers("float32"), *real]


def _power_of_two(values: Tensor) -> Tensor:
    """The next power of two, elementwise; exponents stay where float32's normal numbers are."""
    exponents = values.clamp(min=2.0**-500, max=2.0**500).log2().ceil()
    return torch.pow(torch.tensor(2.0, dtype=torch.float64, device=values.device), exponents)


def _by_channel(values: Tensor) -> Tensor:
    """(n, C, ...) to (C, everything else)."""
    return values.movedim(1, 0).flatten(1)
