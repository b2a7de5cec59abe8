"""What the modules inside a scripted or traced network give: read from its graph, as no hooks run in it.

TorchScript inlines the graphs of all modules into one and notes at each of its nodes which module it came from. What a
module gives is the last value of its nodes that a node of another module, or the caller, uses; a copy of the graph is
made to return these values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ib_analysis.artifacts import UserError

__all__ = ["ScriptedOutputs"]

_STEP = re.compile(r"([^.()]+)\([^()]*\)")
_NO_MODULES = ("SELF", "UNKNOWN_INSTANCE")
"""What TorchScript calls functions that a module runs."""


class ScriptedOutputs:
    """Reads what modules of a ScriptModule give from one forward pass.

    Arguments:
        network: scripted or traced; kept as it is. Its `forward` takes the images alone.
        bases: paths of modules; the empty one is the network itself.

    Raises:
        UserError: a module runs no operation of its own at the top of the graph (it is never called, gives back what
            it got, or runs only inside a loop or branch).
    """

    def __init__(self, network: torch.jit.ScriptModule, bases: set[str]) -> None:
        self._network = network
        self._bases = sorted(bases)
        graph = network._c._get_method("forward").graph.copy()
        torch._C._jit_pass_inline(graph)
        chosen = [_copied(graph, value) for value in [_output_of(graph, base) for base in self._bases]]
        together = graph.create("prim::TupleConstruct", chosen, 1)
        together.output().setType(torch._C.TupleType([value.type() for value in chosen]))
        graph.appendNode(together)
        for place in reversed(range(len(list(graph.outputs())))):
            graph.eraseOutput(place)
        graph.registerOutput(together.output())
        self._run = torch._C._create_function_from_graph("tapped", graph)

    def read(self, inputs: Tensor) -> Mapping[str, Any]:
        """Path of a module -> what it gives: a tensor, or a tuple of tensors."""
        return dict(zip(self._bases, self._run(self._network, inputs), strict=True))


def _module_of(node: Any) -> str:
    """Path of the module that a node came from; empty for the network itself."""
    names = []
    for name in _STEP.findall(node.getModuleHierarchy()):
        if name in _NO_MODULES:
            break
        names.append(name)
    return ".".join(names)


def _output_of(graph: Any, base: str) -> Any:
    if not base:  # the network itself
        return next(graph.outputs())
    inside = {node for node in graph.nodes() if f"{_module_of(node)}.".startswith(f"{base}.")}
    returned = {value.debugName() for value in graph.outputs()}
    for node in [node for node in graph.nodes() if node in inside][::-1]:
        for value in node.outputs():
            leaves = any(not f"{_module_of(use.user)}.".startswith(f"{base}.") for use in value.uses())
            if node.kind() in ("prim::GetAttr", "prim::Constant") or not (leaves or value.debugName() in returned):
                continue
            if node.outputsSize() > 1:
                raise UserError(
                    f"The network is a ScriptModule in whose graph {base} gives several values, of which a traced "
                    "network keeps those alone that it uses; tap a module after it, or pass the module that it was "
                    "made from."
                )
            return value
    raise UserError(
        f"The network is a ScriptModule in whose graph {base} gives nothing that could be read (it is never called, or "
        "only in a branch or loop); tap the module around it, or pass the module that it was made from."
    )


def _copied(graph: Any, value: Any) -> Any:
    """A copy of a tensor, as what follows in the network may work in place; a tuple as it is."""
    if not isinstance(value.type(), torch._C.TensorType):
        return value
    none = graph.create("prim::Constant")
    none.output().setType(torch._C.NoneType.get())
    none.insertAfter(value.node())
    copy = graph.create("aten::clone", [value, none.output()], 1)
    copy.insertAfter(none)
    return copy.output()
