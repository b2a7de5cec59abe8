"""A step's work on a GPU recorded once (a CUDA graph) and replayed: one launch instead of thousands.

A small network's kernels are shorter than the time that it takes to launch them one by one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["RecordedStep"]

_EAGER_STEPS = 3
"""Steps before the recording: libraries choose and set up their kernels then."""


class RecordedStep:
    """Computes a function of a minibatch's images, from the fourth call on by replaying what one call launched.

    Arguments:
        compute: images (B, C, H, W) on the GPU -> a tensor. It must launch the same work for all images of one shape,
            must not wait for the GPU, and must read and leave everything else (weights, gradients) in memory that stays
            where it is.

    Attributes:
        given_up: why nothing is recorded any more; None as long as that may be, or is.
    """

    def __init__(self, compute: Callable[[Tensor], Tensor]) -> None:
        self._compute = compute
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._images: Tensor | None = None
        self._result: Tensor | None = None
        self.given_up: str | None = None

    @property
    def is_recorded(self) -> bool:
        """Whether calls replay."""
        return self._graph is not None

    def __call__(self, images: Tensor) -> Tensor:
        """`compute(images)`, launched; images of another shape than the first are computed without a recording."""
        self._calls += 1
        if self._images is None:
            self._images = torch.empty_like(images, device="cuda")
        if images.shape != self._images.shape or images.dtype != self._images.dtype:
            return self._compute(images)
        # Copied in any case: the recording reads from here.
        self._images.copy_(images, non_blocking=True)
        if self._graph is None and self.given_up is None and self._calls > _EAGER_STEPS:
            self._record(self._images)
        if self._graph is None or self._result is None:
            return self._compute(self._images)
        self._graph.replay()
        return self._result.clone()

    def _record(self, images: Tensor) -> None:
        graph = torch.cuda.CUDAGraph()
        try:
            # As torch asks for it: once more on another stream than the default one, then the recording.
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=torch.backends.cudnn.allow_tf32):
                with torch.cuda.stream(stream):
                    for _ in range(2):
                        self._compute(images)
                torch.cuda.current_stream().wait_stream(stream)
                with torch.cuda.graph(graph):
                    self._result = self._compute(images)
            self._graph = graph
        except RuntimeError as error:  # out of memory is one
            self.given_up, self._result = str(error), None
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
