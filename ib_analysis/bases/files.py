"""A base as a file: safetensors, its weights in float16.

Weights are rounded once, when the base is written, and all code lengths are those of the rounded weights: what the file
holds is the model. Rounding moves them by parts in ten thousand, and halves what a package has to carry.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from decoders import PixelCNNPP
from decoders.config import PixelCNNPPConfig
from ib_analysis.artifacts import UserError, write_atomically

__all__ = ["UNSEEN", "read_base", "rounded", "write_base"]

UNSEEN = "unseen"
"""Name of the tensor, (n,), int64, that tells which images the base has not learned from (`digests_of`)."""


@torch.no_grad()
def rounded(base: PixelCNNPP) -> None:
    """Round the weights to float16, in place."""
    for parameter in base.parameters():
        parameter.copy_(parameter.half())


def write_base(path: Path, base: PixelCNNPP, unseen: np.ndarray) -> None:
    """Write a base's weights, rounded already, atomically.

    Arguments:
        unseen: shape (n,), int64: `digests_of` the images that it must not have seen; may be empty.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    tensors = {name: tensor.detach().half().contiguous().cpu() for name, tensor in base.state_dict().items()}
    content = save({**tensors, UNSEEN: torch.from_numpy(np.sort(unseen))}, metadata={"format": "pt"})
    with write_atomically(path) as file:
        file.write(content)


def read_base(path: Path, network: PixelCNNPPConfig) -> tuple[PixelCNNPP, np.ndarray]:
    """A base in evaluation mode, without gradients, and the digests of the images that it has not seen.

    Raises:
        UserError: the file is missing, damaged, or of another network.
    """
    base = PixelCNNPP(network)
    try:
        found = load(path.read_bytes())
        unseen = found.pop(UNSEEN)
        if unseen.dtype != torch.int64 or unseen.ndim != 1:
            raise ValueError(f"{UNSEEN} is no list of digests")
        base.load_state_dict({name: tensor.float() for name, tensor in found.items()})
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as a base of this network ({type(error).__name__}); delete its folder and run the "
            "same command again to make it anew."
        ) from error
    return base.requires_grad_(False).eval(), unseen.numpy()
