"""One's own network: any `nn.Module`, tapped by the paths of its modules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ib_analysis.artifacts import UserError
from ib_analysis.encoders.interface import TappedNetwork, check_tap_names, evaluating
from ib_analysis.encoders.tap_axes import KINDS, Given, TapAxes, recognise_axes
from ib_analysis.encoders.tap_outputs import TapOutputs

__all__ = ["NamedTaps"]


class NamedTaps(TappedNetwork):
    """Taps of any network, found by forward hooks and by torchvision's feature extraction.

    A tap is named by the path of a module (``layer1``, ``layer4.1.conv2``) or of any other node that
    `torchvision.models.feature_extraction.get_graph_node_names` lists (``flatten``, ``layer1.0.add``). Nodes need a
    network that can be traced (its forward pass does not branch on its input), and a second pass beside the modules'.

    - A module that is called several times gives its last call: that of ``layer1.0.relu`` in torchvision's ResNets is
      the block's output. ``layer1.0.relu#1`` is its first call, ``#2`` its second.
    - A part of an output that is a tuple, dict or dataclass is named by index or key: ``attention[0]``,
      ``head.features`` (or ``head[features]``); of what the network itself gives: ``.logits``.
    - Maps and tokens may have their axes in any order: (B, C, H, W), (B, H, W, C), (B, N, C), ... Where the network's
      shapes and modules do not show the order (see `ib_analysis.encoders.tap_axes`), it is asked for. Tokens of patches
      become a map again, with the tokens before them (a class token) as channels that are the same at every position;
      tokens without a grid become one column, (B, C, N, 1). ``norm@patches`` is the map of the patches alone,
      ``norm@class`` the tokens before them as a vector.

    Arguments:
        network: the module; kept, not copied.
        taps: name of the tap -> path of the node, from input to output.
        preprocess: turns integer images (B, C, H, W) into the network's input, for instance resizes 32 to 224
            pixels and normalises as for ImageNet: the decoder goes on seeing the small image.
        axes: tap, by name or path -> the axes of what it gives: the letters of BC, BCHW or BCN (images, channels,
            height, width, tokens) in their order, such as ``{"features.1": "BHWC"}``; of tokens also the grid of their
            patches, ``"BNC 14x14"`` (16x1: a column). Others are recognised.

    Raises:
        UserError: a path is not in the network, a name cannot be used, or axes are none.

    >>> import torch, torchvision
    >>> network = torchvision.models.resnet18(weights=None)
    >>> def preprocess(images):
    ...     return nn.functional.interpolate(images / 255, size=(64, 64)).expand(-1, 3, -1, -1)
    >>> tapped = NamedTaps(network, {"early": "layer1", "pooled": "flatten"}, preprocess).eval()
    >>> taps = tapped.taps(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    >>> {layer: tuple(activations.shape) for layer, activations in taps.items()}
    {'early': (2, 64, 16, 16), 'pooled': (2, 512)}
    """

    def __init__(
        self,
        network: nn.Module,
        taps: Mapping[str, str],
        preprocess: Callable[[Tensor], Tensor],
        axes: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        if not taps:
            raise UserError("NamedTaps needs at least one tap, for instance {'h1': 'layer1'}.")
        check_tap_names(taps)
        if len(set(taps.values())) < len(taps):
            raise UserError("Two taps have the same path; give each tap a path of its own.")
        self.network = network
        self.preprocess = preprocess
        self.layers = tuple(taps)
        self.paths = dict(taps)
        self._given = _by_tap(axes or {}, self.paths)
        # What images of a shape give: tokens belong to a grid that follows the image's size.
        self._axes: dict[tuple[int, ...], dict[str, TapAxes]] = {}
        self._outputs: TapOutputs | None = None
        self._find_outputs()

    def forward(self, images: Tensor) -> Tensor:
        return self.network(self.preprocess(images))

    def taps(self, images: Tensor) -> dict[str, Tensor]:
        shape = tuple(images.shape[1:])
        if shape not in self._axes:
            self._axes[shape] = self._recognise(images)
        found = self._find_outputs().read(lambda: self.forward(images), lambda: self.preprocess(images))
        return {layer: self._axes[shape][layer](tap) for layer, tap in found.items()}

    def _recognise(self, images: Tensor) -> dict[str, TapAxes]:
        def inputs(n_images: int) -> Tensor:
            return self.preprocess(images[:1].expand(n_images, *images.shape[1:]))

        def read(given: Tensor) -> dict[str, Tensor]:
            return self._find_outputs().read(lambda: self.network(given), lambda: given)

        # What a network draws at random here is not taken from what comes after.
        devices = [images.device] if images.is_cuda else []
        with evaluating(self), torch.no_grad(), torch.random.fork_rng(devices):
            tokens = self._find_outputs().tokens
            return recognise_axes(self.network, read, inputs, self._given, tokens)

    def _find_outputs(self) -> TapOutputs:
        """Made again after the network was moved."""
        if self._outputs is None:
            self._outputs = TapOutputs(self.network, self.paths)
        return self._outputs

    def _apply(self, *arguments: Any, **keywords: Any) -> NamedTaps:
        # Moving a module replaces its buffers: what was traced before would hold the old ones.
        self._outputs = None
        return super()._apply(*arguments, **keywords)


def _by_tap(axes: Mapping[str, str], paths: Mapping[str, str]) -> dict[str, Given]:
    """The axes by the taps' names, letters in capitals, and the grid of tokens where it is said."""
    by_path = {path: layer for layer, path in paths.items()}
    found = {}
    for name, said in axes.items():
        layer = name if name in paths else by_path.get(name)
        if layer is None:
            raise UserError(f"axes names {name!r}, which is no tap; the taps are {', '.join(paths)}.")
        parts = re.fullmatch(r"\s*([A-Za-z]+)(?:\s+([1-9][0-9]*)x([1-9][0-9]*))?\s*", said)
        letters = parts[1].upper() if parts else ""
        if not any(sorted(letters) == sorted(kind) for kind in KINDS) or (parts and parts[2] and "N" not in letters):
            raise UserError(
                f"axes says {said!r} for the tap {layer}; use the letters of BC, BCHW or BCN, each once, in the "
                "order of the tap's axes; of tokens also their grid, such as 'BNC 14x14'."
            )
        found[layer] = (letters, (int(parts[2]), int(parts[3])) if parts and parts[2] else None)
    return found
