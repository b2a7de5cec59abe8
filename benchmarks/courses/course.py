"""What a gated decoder and a reader had found when: the courses that `readers.py` measures, and its tables of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

KINDS = ("gated", "deep")


@dataclass(frozen=True)
class Course:
    """What a decoder had found when; one value per validation. Code lengths are means in bits per image."""

    seconds: tuple[float, ...]
    """CPU seconds of training."""
    bits: tuple[float, ...]
    """Given the activations."""
    null_bits: float
    """Under the null condition: L0, if the decoder is a reader."""
    steps: int
    ms_per_image: float
    """CPU time of a training step (its median) per image."""

    @property
    def best(self) -> int:
        """The validation whose weights a fit keeps."""
        return int(np.argmin(self.bits))

    def first_at(self, bits: float) -> float | None:
        """Seconds at the first validation with a code of at most so many bits; None if there is none.

        >>> Course((1.0, 2.0, 3.0), (9.0, 7.0, 8.0), 10.0, 3, 1.0).first_at(7.5)
        2.0
        """
        return next((second for second, found in zip(self.seconds, self.bits, strict=True) if found <= bits), None)

    def bits_at(self, seconds: float) -> float | None:
        """Code length at the last validation until then; None before the first.

        >>> Course((1.0, 2.0, 3.0), (9.0, 7.0, 8.0), 10.0, 3, 1.0).bits_at(2.9)
        7.0
        """
        before = [found for second, found in zip(self.seconds, self.bits, strict=True) if second <= seconds]
        return before[-1] if before else None


@dataclass(frozen=True)
class Pair:
    """Both kinds of decoders on one layer.

    Arguments:
        base_seconds, feature_seconds: of the base's fit and its features of the images, this layer's share.
    """

    layer: str
    gated: Course
    deep: Course
    base_seconds: float
    feature_seconds: float

    def information(self, bits: float) -> float:
        """I(X;H) in bits, from a code length."""
        return self.deep.null_bits - bits

    @property
    def target(self) -> tuple[float, float]:
        """The gated decoder's best code length in bits, and the seconds at which it had it."""
        return self.gated.bits[self.gated.best], self.gated.seconds[self.gated.best]

    def ratio(self, more_seconds: float = 0.0) -> float | None:
        """Seconds until the reader is as good as the gated decoder, over the latter's; None if it never is."""
        bits, seconds = self.target
        reached = self.deep.first_at(bits)
        return None if reached is None else (reached + more_seconds) / seconds


def table(pairs: Sequence[Pair], budget: float) -> Iterator[str]:
    """I(X;H) at several times, a line per layer and kind."""
    times = [budget / 2**k for k in (5, 4, 3, 2, 1)]
    yield "I(X;H) in bits, mean over the cells, after so many CPU seconds of training (-: before the first validation)"
    yield (
        f"{'layer':8s}{'decoder':8s}{'steps':>8s}{'ms/image':>10s}"
        + "".join(f"{seconds:10.4g}" for seconds in times)
        + f"{'end':>10s}{'best':>10s}"
    )
    for pair in pairs:
        for kind, course in zip(KINDS, (pair.gated, pair.deep), strict=True):
            found = [*(course.bits_at(seconds) for seconds in times), course.bits[-1], course.bits[course.best]]
            yield f"{pair.layer:8s}{kind:8s}{course.steps:8,d}{course.ms_per_image:10.2f}" + "".join(
                f"{'-':>10s}" if bits is None else f"{pair.information(bits):10.2f}" for bits in found
            )


def headline(pairs: Sequence[Pair]) -> Iterator[str]:
    """When readers were as good as the gated decoders, a line per layer."""
    yield "CPU seconds until the reader's code is as short as the gated decoder's best, over the latter's CPU seconds"
    yield (
        f"{'layer':8s}{'gated':>10s}{'seconds':>10s}{'reader':>10s}{'ratio':>10s}{'with features':>16s}"
        f"{'and base':>12s}"
    )
    for pair in pairs:
        bits, seconds = pair.target
        reached = pair.deep.first_at(bits)
        both = pair.feature_seconds + pair.base_seconds
        shown = [pair.ratio(), pair.ratio(pair.feature_seconds), pair.ratio(both)]
        first, second, third = ("never" if ratio is None else f"{ratio:.3f}" for ratio in shown)
        when = "never" if reached is None else f"{reached:.1f}"
        yield (
            f"{pair.layer:8s}{pair.information(bits):10.2f}{seconds:10.1f}{when:>10s}{first:>10s}{second:>16s}"
            f"{third:>12s}"
        )
