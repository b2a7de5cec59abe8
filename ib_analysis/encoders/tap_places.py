"""The address of a tap: a module or node, which of its calls, which part of what it gives, and which of its tokens."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from torch import Tensor

__all__ = ["Place", "Tokens", "items_of", "part_of", "tensors_in"]

Tokens = Literal["all", "class", "patches"]

_KEYS = r"(?:\[[^\[\]]+\]|\.[^.\[\]#@]+)"
_AFTER_CALL = re.compile(rf"(?P<base>.*)#(?P<call>[1-9][0-9]*)(?P<parts>{_KEYS}*)", re.DOTALL)
_AFTER_BRACKET = re.compile(rf"(?P<base>[^\[\]]*)(?P<parts>\[[^\[\]]+\]{_KEYS}*)", re.DOTALL)
_TOKENS = re.compile(r"(?P<rest>.*)@(?P<tokens>class|patches)", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """Where a tap sits: ``layer1.0.relu``, ``layer1.0.relu#1``, ``attention[0]``, ``head.features``, ``norm@class``.

    Arguments:
        base: path of a module, or name of a node of the traced network; empty: the network itself.
        call: which call of the module, counted from 1; None: the last one.
        parts: keys and indices into an output that is no tensor, from outside in.
        tokens: of tokens with a grid of patches among them: those of the patches, those before them, or all.
    """

    base: str
    call: int | None = None
    parts: tuple[str, ...] = ()
    tokens: Tokens = "all"

    @staticmethod
    def of(path: str, known: Collection[str]) -> Place:
        """The place that a path means; a module that has this very name goes first.

        >>> Place.of("attention#2[0].map", {})
        Place(base='attention', call=2, parts=('0', 'map'), tokens='all')
        >>> Place.of("encoder.norm@class", {})
        Place(base='encoder.norm', call=None, parts=(), tokens='class')
        >>> Place.of(".logits", {})
        Place(base='', call=None, parts=('logits',), tokens='all')
        """
        if path in known:
            return Place(path)
        tokens: Tokens = "all"
        if found := _TOKENS.fullmatch(path):
            path, tokens = found["rest"], cast(Tokens, found["tokens"])
        if path in known:
            return Place(path, tokens=tokens)
        if path.startswith("."):  # a part of what the network itself gives
            return Place("", None, _keys(path), tokens)
        found = _AFTER_CALL.fullmatch(path)
        if found:
            return Place(found["base"], int(found["call"]), _keys(found["parts"]), tokens)
        found = _AFTER_BRACKET.fullmatch(path)
        if found:
            return Place(found["base"], None, _keys(found["parts"]), tokens)
        return Place(path, tokens=tokens)

    def inside(self, known: Collection[str]) -> Place | None:
        """The same address as a part of the longest of the known modules that it begins with; None without any.

        >>> Place.of("head.features", {}).inside({"", "head"})
        Place(base='head', call=None, parts=('features',), tokens='all')
        """
        steps = self.base.split(".")
        for length in range(len(steps) - 1, 0, -1):
            outer = ".".join(steps[:length])
            if outer in known and self.call is None:
                return Place(outer, None, (*steps[length:], *self.parts), self.tokens)
        return None


def _keys(text: str) -> tuple[str, ...]:
    return tuple(bracketed or dotted for bracketed, dotted in re.findall(r"\[([^\[\]]+)\]|\.([^.\[\]#@]+)", text))


def items_of(output: Any) -> list[tuple[Any, Any]]:
    """(key, value) of a mapping, dataclass, tuple or list; nothing of anything else.

    >>> items_of({"a": 1}), items_of((5, 6))
    ([('a', 1)], [(0, 5), (1, 6)])
    """
    if isinstance(output, Mapping):  # those of `transformers` are dataclasses too
        return list(output.items())
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        return [(field.name, getattr(output, field.name)) for field in dataclasses.fields(output)]
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return list(zip(output._fields, output, strict=True))
    return list(enumerate(output)) if isinstance(output, tuple | list) else []


def tensors_in(output: Any) -> Iterator[tuple[str, Tensor]]:
    """How each tensor inside an output is named behind a module's path: ``[0]``, ``[a][1]``; ``""`` if it is one.

    >>> [name for name, _ in tensors_in({"a": (Tensor(), 3, Tensor())})]
    ['[a][0]', '[a][2]']
    """
    if isinstance(output, Tensor):
        yield "", output
    for key, value in items_of(output):
        for inner, tensor in tensors_in(value):
            yield f"[{key}]{inner}", tensor


def part_of(output: Any, key: str) -> Any:
    """One part of an output, by key, name of a field, or index.

    Raises:
        KeyError, IndexError, ValueError, TypeError: there is none such.
    """
    if isinstance(output, Tensor):
        return output[int(key)]
    by_name = {str(name): value for name, value in items_of(output)}
    if key in by_name:
        return by_name[key]
    if isinstance(output, Mapping):
        raise KeyError(key)
    return output[int(key)]  # also of a tuple with names, and from its end
