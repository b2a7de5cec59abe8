"""What every encoder offers: an output to train on, and named taps to measure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ib_analysis.artifacts import UserError

__all__ = [
    "HasDecayOrigins",
    "TappedNetwork",
    "check_tap_names",
    "decay_origins",
    "evaluating",
    "modes_kept",
    "tap_shapes",
]


@runtime_checkable
class HasDecayOrigins(Protocol):
    """A module with parameters that L2 is to pull towards other values than zero."""

    def decay_origins(self) -> Mapping[str, Tensor]:
        """Name of a parameter of this very module -> the values that it decays to, of its shape."""


def decay_origins(network: nn.Module) -> dict[str, Tensor]:
    """The parameters of a network that decay to other values than zero: path -> these values.

    Arguments:
        network: any of whose modules may say so (see `HasDecayOrigins`).
    """
    return {
        f"{path}.{name}" if path else name: origin
        for path, module in network.named_modules()
        if isinstance(module, HasDecayOrigins)
        for name, origin in module.decay_origins().items()
    }


class TappedNetwork(nn.Module, ABC):
    """A network of integer images whose hidden layers can be read by name.

    Normalisation is the network's own business: it takes the pixels as they are stored.

    Attributes:
        layers: names of the taps, from input to output.
        code_bits: taps whose activations are whole numbers of few bits -> (bits, whether they can be negative).
        determined_by: tap -> an earlier tap that it is computed from alone, in evaluation mode: what the one tells of
            an image or its label, the other tells too. A tap whose network does not say so is left out.
    """

    layers: tuple[str, ...]
    code_bits: Mapping[str, tuple[int, bool]] = MappingProxyType({})
    determined_by: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The output that is trained.

        Arguments:
            images: shape (B, C, H, W), integer pixels 0..intensities-1.

        Returns:
            Logits, shape (B, classes), or an image in [0, 1], shape (B, C, H, W); of several heads, each one's.
        """

    @abstractmethod
    def taps(self, images: Tensor) -> dict[str, Tensor]:
        """The activations of all taps from one forward pass.

        Arguments:
            images: shape (B, C, H, W), integer pixels 0..intensities-1.

        Returns:
            layer -> activations, shape (B, C, h, w) or (B, C).
        """

    def fit_preprocessing(self, images: Tensor) -> None:
        """Set what the network's normalisation must know of the training images; by default nothing.

        Arguments:
            images: shape (N, C, H, W), the integer images of the encoder split.
        """


@contextmanager
def modes_kept(network: nn.Module) -> Iterator[Iterable[nn.Module]]:
    """After the block, each module of the network is in the mode, training or evaluation, in which it was before.

    Yields the modules that have a mode.
    """
    modes = {module: module.training for module in network.modules() if hasattr(module, "training")}
    try:
        yield modes.keys()
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Inside the block, the network and all its modules are in evaluation mode; afterwards, as each was before.

    A network or part whose mode was fixed when it was made (frozen by TorchScript, exported) runs in that one.
    """
    with modes_kept(network) as modes:
        try:
            network.eval()
        except (NotImplementedError, AttributeError):
            for module in modes:
                module.training = False
        yield


def check_tap_names(names: Iterable[str]) -> None:
    """Names of taps are names of datasets and parts of file names.

    Raises:
        UserError: a name cannot be one.

    >>> check_tap_names(["h1", "features.1"])
    """
    for name in names:
        if not name.strip(".") or name != name.strip() or not name.isprintable() or any(sign in name for sign in "/\\"):
            raise UserError(
                f"A tap is named {name!r}, which can be no name of a dataset and a file; use letters, digits, '-', '_' "
                "and '.'."
            )


def tap_shapes(network: TappedNetwork, image_shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Shapes of one image's activations, (C, h, w) or (C,), found by passing two black images.

    Arguments:
        network: the encoder; its mode is left as it was.
        image_shape: (C, H, W).

    Raises:
        UserError: a tap is neither a vector nor a map per image.
    """
    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    with evaluating(network), torch.inference_mode():
        found = network.taps(torch.zeros(2, *image_shape, dtype=torch.uint8, device=device))
    for layer, activations in found.items():
        if not isinstance(activations, Tensor) or activations.is_complex():
            kind = "complex numbers" if isinstance(activations, Tensor) else type(activations).__name__
            raise UserError(f"The tap {layer} gives {kind}; it must give a tensor of real numbers.")
        if activations.ndim not in (2, 4) or len(activations) != 2:
            raise UserError(
                f"The tap {layer} gives activations of shape {tuple(activations.shape)} for 2 images; a tap must give "
                "a vector (B, C) or a map (B, C, h, w) per image: choose another module."
            )
    return {layer: tuple(found[layer].shape[1:]) for layer in network.layers}
