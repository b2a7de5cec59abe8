"""What can be tapped in a network: its modules as a pass calls them, and the nodes between them, with shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ib_analysis.encoders.interface import evaluating, modes_kept
from ib_analysis.encoders.tap_outputs import modules_of
from ib_analysis.encoders.tap_places import tensors_in
from ib_analysis.recording.networks import taking

__all__ = ["TapLine", "list_nodes", "list_taps", "told"]


@dataclass(frozen=True)
class TapLine:
    """One thing that can be tapped.

    Arguments:
        path: its address (see `NamedTaps`).
        kind: class of the module; empty for a node.
        shape: of the tensor for one image.
        calls: how often the module is called in a pass; the path is that of the last call.
    """

    path: str
    kind: str
    shape: tuple[int, ...]
    calls: int = 1


def list_taps(network: nn.Module, images: Tensor) -> list[TapLine]:
    """The modules of a network, in the order in which a pass ends their first call, a line per tensor that they give.

    Arguments:
        network: left as it was found.
        images: a batch as the network takes it, of two images at least.

    Raises:
        UserError: the network does not take such images.

    >>> lines = list_taps(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()), torch.zeros(2, 1, 8, 8))
    >>> [(line.path, line.kind, line.shape) for line in lines]
    [('0', 'Conv2d', (4, 6, 6)), ('1', 'ReLU', (4, 6, 6))]
    """
    outputs: dict[str, Any] = {}
    calls: dict[str, int] = {}
    modules = {path: module for path, module in modules_of(network).items() if path}
    handles = []
    for path, module in modules.items():
        if isinstance(module, torch.jit.ScriptModule):
            continue

        def keep(_module: nn.Module, _inputs: Any, output: Any, path: str = path) -> None:
            calls[path] = calls.get(path, 0) + 1
            outputs[path] = [(part, tuple(tensor.shape[1:])) for part, tensor in tensors_in(output)]

        handles.append(module.register_forward_hook(keep))
    try:
        with evaluating(network), torch.no_grad(), taking(images.shape[1:]):
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    return [
        TapLine(path + part, type(modules[path]).__name__, shape, calls[path])
        for path, parts in outputs.items()
        for part, shape in parts
    ]


def list_nodes(network: nn.Module, images: Tensor) -> list[TapLine]:
    """The nodes between modules that give tensors; none where the network cannot be traced.

    Arguments are those of `list_taps`.
    """
    from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

    modules = modules_of(network)
    with evaluating(network), torch.no_grad():
        try:
            with modes_kept(network):
                names = get_graph_node_names(network, suppress_diff_warning=True)[1]
            between = {name: name for name in names[1:] if name not in modules}
            found = create_feature_extractor(network, between, suppress_diff_warning=True).eval()(images)
        except Exception:  # torch.fx fails in many ways on code that it cannot follow
            return []
    return [TapLine(name, "", tuple(value.shape[1:])) for name, value in found.items() if isinstance(value, Tensor)]


def told(lines: Sequence[TapLine]) -> str:
    """Lines in columns: address, shape for one image, class, calls.

    >>> print(told([TapLine("relu", "ReLU", (4, 6, 6), 2)]))
    relu  4x6x6  ReLU, called 2 times: relu#1 ... relu#2
    """
    texts = [(line.path, "x".join(map(str, line.shape)) or "a number", _kind(line)) for line in lines]
    widths = [max((len(text[column]) for text in texts), default=0) for column in (0, 1)]
    return "\n".join(f"{path:{widths[0]}}  {shape:{widths[1]}}  {kind}".rstrip() for path, shape, kind in texts)


def _kind(line: TapLine) -> str:
    if line.calls == 1:
        return line.kind
    base = line.path.partition("[")[0]
    return f"{line.kind}, called {line.calls} times: {base}#1 ... {base}#{line.calls}"
