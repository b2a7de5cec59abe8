"""One stream of one block of a network set to zero, at test time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ib_analysis.artifacts import UserError
from ib_analysis.encoders import STREAMS
from ib_analysis.encoders.generalized_layer import streams_of
from ib_analysis.encoders.rir import RiRBlock

__all__ = ["two_stream_blocks", "without_stream"]


def two_stream_blocks(network: nn.Module) -> dict[str, RiRBlock]:
    """The blocks of a network that have two streams, by their paths, from input to output.

    Raises:
        UserError: it has none.
    """
    found = {path: module for path, module in network.named_modules() if isinstance(module, RiRBlock)}
    if not found:
        raise UserError(
            "The network has no residual and transient stream to set to zero; choose --encoder.architecture rir with "
            "--encoder.block rir or resnet_init."
        )
    return found


@contextmanager
def without_stream(block: RiRBlock, stream: str) -> Iterator[None]:
    """Inside the `with`, one stream of what a block gives is zero; all that comes after sees it so.

    Arguments:
        block: of a network, which is otherwise left as it is.
        stream: residual or transient.

    Raises:
        UserError: there is no such stream.

    >>> block = RiRBlock(4, 4, 1, "A", "four_convolutions", outer_shortcut=True)
    >>> with without_stream(block, "transient"):
    ...     ablated = block(torch.rand(2, 4, 6, 6))
    >>> bool(ablated[:, :2].any()), bool(ablated[:, 2:].any())
    (True, False)
    """
    if stream not in STREAMS:
        raise UserError(f"There is no stream {stream!r}; choose from {', '.join(STREAMS)}.")

    def silence(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        kept = [
            torch.zeros_like(part) if name == stream else part
            for name, part in zip(STREAMS, streams_of(output), strict=True)
        ]
        return torch.cat(kept, dim=1)

    handle = block.register_forward_hook(silence)
    try:
        yield
    finally:
        handle.remove()
