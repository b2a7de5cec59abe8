"""One's own network: any `nn.Module`, tapped by the paths of its modules."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ib_analysis.artifacts import UserError
from ib_analysis.encoders.interface import TappedNetwork

__all__ = ["NamedTaps"]


class NamedTaps(TappedNetwork):
    """Taps of any network, found by torchvision's feature extraction.

    A tap is named by the path of a module (``layer1``, ``layer4.1.conv2``) or of any other node that
    `torchvision.models.feature_extraction.get_graph_node_names` lists. A network that cannot be traced (its
    forward pass branches on its input) is tapped by forward hooks; then only module paths work.

    Arguments:
        network: the module; kept, not copied.
        taps: name of the tap -> path of the node, from input to output.
        preprocess: turns integer images (B, C, H, W) into the network's input, for instance resizes 32 to 224
            pixels and normalises as for ImageNet: the decoder goes on seeing the small image.

    Raises:
        UserError: a path is not in the network.

    >>> import torch, torchvision
    >>> network = torchvision.models.resnet18(weights=None)
    >>> def preprocess(images):
    ...     return nn.functional.interpolate(images / 255, size=(64, 64)).expand(-1, 3, -1, -1)
    >>> tapped = NamedTaps(network, {"early": "layer1", "pooled": "flatten"}, preprocess).eval()
    >>> taps = tapped.taps(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    >>> {layer: tuple(activations.shape) for layer, activations in taps.items()}
    {'early': (2, 64, 16, 16), 'pooled': (2, 512)}
    """

    def __init__(self, network: nn.Module, taps: Mapping[str, str], preprocess: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        if not taps:
            raise UserError("NamedTaps needs at least one tap, for instance {'h1': 'layer1'}.")
        self.network = network
        self.preprocess = preprocess
        self.layers = tuple(taps)
        self.paths = dict(taps)
        # In a tuple, so that it is no submodule: its weights are the network's own, not to be saved twice.
        self._extractor: tuple[nn.Module | None] | None = None
        self._find_extractor()

    def forward(self, images: Tensor) -> Tensor:
        return self.network(self.preprocess(images))

    def taps(self, images: Tensor) -> dict[str, Tensor]:
        extractor = self._find_extractor()
        found = self._hooked(images) if extractor is None else self._extracted(extractor, images)
        return {layer: found[layer] for layer in self.layers}

    def _extracted(self, extractor: nn.Module, images: Tensor) -> dict[str, Tensor]:
        if extractor.training != self.network.training:
            extractor.train(self.network.training)  # it has a graph for each mode
        return extractor(self.preprocess(images))

    def _hooked(self, images: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        handles = []
        for layer, path in self.paths.items():

            def keep(_module: nn.Module, _inputs: Any, output: Tensor, layer: str = layer) -> None:
                found[layer] = output.clone()  # what follows may work in place

            handles.append(self.network.get_submodule(path).register_forward_hook(keep))
        try:
            self.forward(images)
        finally:
            for handle in handles:
                handle.remove()
        missing = [self.paths[layer] for layer in self.layers if layer not in found]
        if missing:
            raise UserError(f"The network never calls its module {missing[0]}; tap another one.")
        return found

    def _find_extractor(self) -> nn.Module | None:
        """The traced extractor, or None where hooks are needed; made again after the network was moved."""
        if self._extractor is None:
            self._extractor = (self._make_extractor(),)
        return self._extractor[0]

    def _make_extractor(self) -> nn.Module | None:
        # Imported here, for it takes as long as torch itself, and only one's own networks need it.
        from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

        try:
            known = get_graph_node_names(self.network, suppress_diff_warning=True)[1]
            traceable = True
        except Exception:  # torch.fx fails in many ways on code that it cannot follow
            known, traceable = [], False
        modules = [name for name, _ in self.network.named_modules() if name]
        for path in self.paths.values():
            inside = any(name == path or name.startswith(path + ".") for name in known)
            if inside or (not traceable and path in modules):
                continue
            close = difflib.get_close_matches(path, [*modules, *known], n=3, cutoff=0.0)
            raise UserError(
                f"The network has no module {path!r} to tap; the nearest names are {', '.join(close)} "
                "(torchvision.models.feature_extraction.get_graph_node_names lists all)."
            )
        if not traceable:
            return None
        nodes = {path: layer for layer, path in self.paths.items()}
        if len(nodes) < len(self.paths):
            raise UserError("Two taps have the same path; give each tap a path of its own.")
        extractor = create_feature_extractor(self.network, return_nodes=nodes, suppress_diff_warning=True)
        _protect_from_work_in_place(extractor)
        return extractor

    def _apply(self, *arguments: Any, **keywords: Any) -> NamedTaps:
        # Moving a module replaces its buffers: an extractor traced before would hold the old ones.
        self._extractor = None
        return super()._apply(*arguments, **keywords)


def _protect_from_work_in_place(extractor: Any) -> None:
    """Copy each tap where it arises: torchvision's ResNet adds its shortcut onto the output of ``bn2``."""
    for graph in (extractor.train_graph, extractor.eval_graph):
        output = next(node for node in reversed(graph.nodes) if node.op == "output")
        copies = {}
        for layer, node in output.args[0].items():
            with graph.inserting_after(node):
                copies[layer] = graph.call_function(torch.clone, (node,))
        output.args = (copies,)
    extractor.train(extractor.training)  # compiles the graph of this mode
