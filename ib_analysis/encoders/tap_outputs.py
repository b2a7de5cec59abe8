"""What the named places of a network give: outputs of its modules, call by call, and of nodes between modules."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ib_analysis.artifacts import UserError
from ib_analysis.encoders.interface import modes_kept
from ib_analysis.encoders.tap_places import Place, Tokens, items_of, part_of, tensors_in
from ib_analysis.encoders.tap_scripted import ScriptedOutputs

__all__ = ["TapOutputs", "modules_of"]


class TapOutputs:
    """Reads the outputs of a network's places from one forward pass.

    Modules are watched by forward hooks. Only a place that is no module (an addition, a flattening) needs the network
    traced, by torchvision's feature extraction, and a pass of its own, which ends at the last such place. Of a network
    that is a ScriptModule as a whole, the graph tells (see `ScriptedOutputs`).

    Arguments:
        network: kept, not copied.
        paths: name of the tap -> its path (see `Place`).

    Raises:
        UserError: a path is not in the network, or leads into a ScriptModule that is a part of it.
    """

    def __init__(self, network: nn.Module, paths: Mapping[str, str]) -> None:
        self._network, self._paths = network, dict(paths)
        modules = modules_of(network)
        places = {layer: Place.of(path, modules) for layer, path in paths.items()}
        self._watched = {
            layer: place for layer, place in places.items() if place.base in modules and place != Place("")
        }
        self._traced = {layer: place for layer, place in places.items() if layer not in self._watched}
        is_script = isinstance(network, torch.jit.ScriptModule)
        nodes = self._nodes() if self._traced and not is_script else []
        for layer, place in list(self._traced.items()):
            if not is_script:
                self._refuse_scripts(place.base, modules)
            inside = place.inside(modules) if place.base not in nodes else None
            if inside is not None:  # a part of what a module gives, as far as is known before it gives anything
                self._watched[layer] = inside
                del self._traced[layer]
            elif place.base not in nodes:
                raise UserError(
                    f"The network has no module {place.base!r} to tap; the nearest names are "
                    f"{_nearest(place.base, [*modules, *nodes])} (`ib taps`, or "
                    "torchvision.models.feature_extraction.get_graph_node_names, lists all)."
                )
            elif place.call is not None:
                raise UserError(
                    f"The tap {layer} numbers the calls of {place.base}, which is no module; name the node itself."
                )
        self._names = list(modules)
        self._modules = {layer: modules[place.base] for layer, place in self._watched.items()}
        for layer, place in self._watched.items():
            if not is_script:
                self._refuse_scripts(place.base, modules)
            elif place.call is not None:
                raise UserError(
                    f"The tap {layer} numbers the calls of {place.base}, which are not told apart in a ScriptModule; "
                    "leave the number out for the last one."
                )
        bases = {place.base for place in self._watched.values()}
        self._scripted = ScriptedOutputs(network, bases) if isinstance(network, torch.jit.ScriptModule) else None
        self._extractor = self._extract() if self._traced else None

    @property
    def tokens(self) -> dict[str, Tokens]:
        """Tap -> which of its tokens its path asks for."""
        places = {**self._watched, **self._traced}
        return {layer: places[layer].tokens for layer in self._paths}

    def read(self, forward: Callable[[], Any], inputs: Callable[[], Tensor]) -> dict[str, Tensor]:
        """The taps of one forward pass, as the network has them, in the order of the paths.

        Arguments:
            forward: one pass of the whole network.
            inputs: the same pass's input, for the traced part of the network.

        Raises:
            UserError: a module is never called, or not so often; an output is no tensor of real numbers.
        """
        if self._scripted is not None:
            read = self._scripted.read(inputs())
            return {layer: self._part(layer, read[at.base], at.parts) for layer, at in self._watched.items()}
        found = self._watch(forward) if self._watched else {}
        if self._extractor is not None:
            if self._extractor.training != self._network.training:
                with modes_kept(self._network):  # it shares the network's modules
                    self._extractor.train(self._network.training)  # it has a graph for each mode
            given = self._extractor(inputs())
            for layer, place in self._traced.items():
                found[layer] = self._part(layer, given[place.base], place.parts)
        return {layer: found[layer] for layer in self._paths}

    def _watch(self, forward: Callable[[], Any]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        calls = dict.fromkeys(self._watched, 0)
        handles = []
        for layer, place in self._watched.items():

            def keep(_module: nn.Module, _inputs: Any, output: Any, layer: str = layer, place: Place = place) -> None:
                calls[layer] += 1
                if place.call in (None, calls[layer]):
                    # A copy: what follows may work in place (ResNet adds its shortcut onto the output of bn2).
                    found[layer] = self._part(layer, output, place.parts).clone()

            handles.append(self._modules[layer].register_forward_hook(keep))
        try:
            forward()
        finally:
            for handle in handles:
                handle.remove()
        for layer, place in self._watched.items():
            if calls[layer] == 0:
                raise UserError(f"The network never calls its module {place.base}; tap another one.")
            if layer not in found:
                raise UserError(
                    f"The tap {layer} asks for call {place.call} of {place.base}, which the network calls "
                    f"{calls[layer]} times."
                )
        return found

    def _part(self, layer: str, output: Any, parts: tuple[str, ...]) -> Tensor:
        """The part of an output that a tap names; it must be a tensor of real numbers, whole numbers or truth values.

        Raises:
            UserError: it is none.
        """
        path = self._paths[layer]
        for part in parts:
            try:
                output = part_of(output, part)
            except (KeyError, IndexError, ValueError, TypeError) as error:
                none = (
                    f"The tap {layer} ({path}) asks for the part [{part}] of {_described(output)}, which has none such"
                )
                if path in self._names or f"[{part}]" in path:
                    raise UserError(f"{none}.") from error
                raise UserError(
                    f"{none}, and there is no module of this name; the nearest names are {_nearest(path, self._names)}."
                ) from error
        if isinstance(output, Tensor) and not output.is_complex() and output.layout == torch.strided:
            return output
        inside = [name for name, _ in tensors_in(output) if name][:3]
        if inside:
            advice = f"tap a part of it: {' or '.join(repr(path + part) for part in inside)}"
        elif isinstance(output, Tensor) and output.is_complex():
            advice = "give the real and the imaginary part as channels (torch.view_as_real) in a module, and tap that"
        else:
            advice = "tap a module that gives a tensor"
        raise UserError(f"The tap {layer} ({path}) gives {_described(output)}; {advice}.")

    def _nodes(self) -> list[str]:
        """Names of the nodes of the traced network; none where it cannot be traced."""
        # Imported here, for it takes as long as torch itself, and only one's own networks need it.
        from torchvision.models.feature_extraction import get_graph_node_names

        try:
            with modes_kept(self._network):
                return get_graph_node_names(self._network, suppress_diff_warning=True)[1]
        except Exception:  # torch.fx fails in many ways on code that it cannot follow
            return []

    def _extract(self) -> Any:
        from torchvision.models.feature_extraction import create_feature_extractor

        nodes = {place.base: place.base for place in self._traced.values()}
        with modes_kept(self._network):
            extractor = create_feature_extractor(self._network, return_nodes=nodes, suppress_diff_warning=True)
        for graph in (extractor.train_graph, extractor.eval_graph):
            output = next(node for node in reversed(graph.nodes) if node.op == "output")
            copies = {}
            for name, node in output.args[0].items():
                with graph.inserting_after(node):
                    copies[name] = graph.call_function(_copied, (node,))
            output.args = (copies,)
        extractor.recompile()
        return extractor

    @staticmethod
    def _refuse_scripts(path: str, modules: Mapping[str, nn.Module]) -> None:
        steps = path.split(".")
        for length in range(1, len(steps) + 1):
            outer = ".".join(steps[:length])
            if isinstance(modules.get(outer), torch.jit.ScriptModule):
                where = f"is {outer}" if length == len(steps) else f"lies inside {outer}"
                raise UserError(
                    f"The tap {path} {where}, a ScriptModule, which cannot be watched; use the module that it was made "
                    "from, or tap a module around it."
                )


def modules_of(network: nn.Module) -> dict[str, nn.Module]:
    """Modules by path; a compiled one by the path of the module that it was made from, as which it runs."""
    found = network.named_modules(remove_duplicate=False)
    return {name.replace("._orig_mod", "").replace("_orig_mod.", ""): module for name, module in found}


def _nearest(name: str, names: Iterable[str]) -> str:
    known = list(dict.fromkeys(known for known in names if known))
    return ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.0))


def _copied(output: Any) -> Any:
    """A copy of an output's tensors, as what follows in the network may work in place."""
    if isinstance(output, Tensor):
        return output.clone()
    if isinstance(output, Mapping):
        return {key: _copied(value) for key, value in output.items()}
    if isinstance(output, tuple | list):
        return tuple(_copied(value) for value in output)
    return output


def _described(output: Any) -> str:
    if isinstance(output, Tensor):
        kind = "complex numbers" if output.is_complex() else f"a {str(output.layout).removeprefix('torch.')} tensor"
        return f"{kind} of shape {tuple(output.shape)}"
    inside = items_of(output)
    if not inside:
        return f"no tensor but {type(output).__name__}"
    shown = ", ".join(
        f"[{key}] {tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__}" for key, value in inside
    )
    return f"no tensor but a {type(output).__name__} of {shown}"
