"""Element-wise dropout whose masks belong to the minibatch, however that is cut up.

Gradient accumulation, data parallelism and a resumed run must all give the gradient of the uninterrupted
single-process step. With ``torch.nn.Dropout`` they cannot, since its masks come from one global generator and
depend on how many rows each call sees. Here the mask of a whole minibatch is a pure function of (stream seed,
layer).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["Dropout", "set_dropout_stream"]

_MASK_64 = (1 << 64) - 1


class Dropout(nn.Module):
    """Zero each element with probability ``p`` in training and scale the others by 1 / (1 - p).

    Without a stream (see :func:`set_dropout_stream`) this is ``torch.nn.Dropout``. With one, ``p`` is rounded
    to a multiple of 1/65536 (1/2 and other multiples of 1/256 stay exact and are fastest), and calling the
    layer twice gives the same mask twice, so activation checkpointing is safe too.

    References:
        Srivastava et al. 2014, Dropout, JMLR 15; Salimans et al. 2017, arXiv 1701.05517, section 2.5
        (element-wise).

    Args:
        p: probability that an element is zeroed, 0 <= p < 1.

    Raises:
        ValueError: ``p`` is outside [0, 1), or a minibatch is larger than the stream's ``total`` says.

    Example:
        >>> layer = Dropout(0.5)
        >>> set_dropout_stream(layer, seed=3)
        >>> whole = layer(torch.ones(4, 5))
        >>> set_dropout_stream(layer, seed=3, offset=2, total=4)
        >>> torch.equal(layer(torch.ones(2, 5)), whole[2:])
        True
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"The dropout probability is {p}: choose one from 0 up to, but not including, 1.")
        self.p = float(p)
        self._stream: tuple[int, int, int | None] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements of ``x``, shape (n, ...); rows are images. Returns the same shape and dtype."""
        if not self.training or self.p == 0:
            return x
        if self._stream is None:
            return nn.functional.dropout(x, self.p)
        seed, offset, total = self._stream
        rows = len(x) + offset if total is None else total
        if offset + len(x) > rows:
            raise ValueError(
                f"A dropout layer got rows {offset} to {offset + len(x)} of a minibatch of {rows} images: "
                "set the stream with the offset and total of the micro-batch that is passed."
            )
        # On a GPU the numbers depend on the size drawn, so the whole minibatch's mask is drawn every time.
        mask = _scaled_mask((rows, *x.shape[1:]), self.p, seed, x.device, x.dtype)
        return x * mask[offset : offset + len(x)]

    def extra_repr(self) -> str:
        return f"p={self.p}"


def set_dropout_stream(module: nn.Module, seed: int | None, offset: int = 0, total: int | None = None) -> None:
    """Set where every :class:`Dropout` inside ``module`` takes its masks from; ``seed=None`` clears it.

    Args:
        module: the network; its dropout layers are numbered in the order of ``module.modules()``.
        seed: seed of this minibatch's masks (any integer), e.g. made from the run's seed and the step.
        offset: index of the first row that will be passed within the minibatch.
        total: number of rows of the whole minibatch; None means that what is passed ends it.

    Example:
        >>> layers = nn.Sequential(Dropout(0.5), Dropout(0.5))
        >>> set_dropout_stream(layers, seed=0)
        >>> torch.equal(layers[0](torch.ones(64)), layers[1](torch.ones(64)))
        False
    """
    layers = (layer for layer in module.modules() if isinstance(layer, Dropout))
    for index, layer in enumerate(layers):
        layer._stream = None if seed is None else (_mix(_mix(seed) + index), offset, total)


def _scaled_mask(shape: tuple[int, ...], p: float, seed: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A mask of 0 and 1/(1-p). Bytes of random 64-bit words: on a CPU ten times faster than bernoulli_."""
    generator = torch.Generator(device).manual_seed(seed)
    piece, bits = (torch.int8, 8) if (256 * p).is_integer() else (torch.int16, 16)
    levels = 1 << bits
    count = math.prod(shape)
    words = torch.empty(math.ceil(count * bits / 64), dtype=torch.int64, device=device)
    words.random_(-(2**63), None, generator=generator)
    dropped = min(round(levels * p), levels - 1)
    keep = words.view(piece)[:count].view(shape) >= dropped - levels // 2
    return keep.to(dtype).mul_(levels / (levels - dropped))


def _mix(number: int) -> int:
    """SplitMix64 (Steele et al. 2014): neighbouring seeds and layers get unrelated generators."""
    number = (number + 0x9E3779B97F4A7C15) & _MASK_64
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK_64
    return number ^ (number >> 31)
