"""Choices in recipes, and what a record means that does not name them.

A record names every choice that there was when it was made. A setting that is new since then is not in it; what was
done before there was a choice is what the setting's default does, so that a record without it stays valid for as long
as the default is chosen. Where both name a setting, their values count, whatever the default was and is. The default of
a setting that came later may thus not simply be changed: its field then says ``metadata={"absent": value}``, with what
records without it mean.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

__all__ = ["Setting", "children", "settings_of"]

REQUIRED = dataclasses.MISSING
"""In the place of what absence means: it means nothing, the choice was always there."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """A choice in a recipe, which a record may lack.

    Arguments:
        value: what is chosen; plain data or a config dataclass.
        absent: the value that a record without it means.
    """

    value: Any
    absent: Any


def settings_of(config: Any, *names: str) -> dict[str, Any]:
    """Fields of a config dataclass for a recipe: all of them, or the named ones.

    >>> @dataclasses.dataclass
    ... class Config:
    ...     size: int
    ...     noise: float = 0.5
    >>> settings_of(Config(3))
    {'size': 3, 'noise': Setting(value=0.5, absent=0.5)}
    """
    fields = {field.name: field for field in dataclasses.fields(config)}
    found = {}
    for name in names or fields:
        absent = _absent(fields[name])
        value = getattr(config, name)
        found[name] = value if absent is REQUIRED else Setting(value, absent)
    return found


def children(value: Any) -> dict[str, tuple[Any, Any]] | None:
    """The parts of a recipe's data: name -> (value, what its absence means or `REQUIRED`); None: it has none."""
    if isinstance(value, Setting):
        return children(value.value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = settings_of(value)
    if not isinstance(value, Mapping):
        return None
    return {
        str(name): (item.value, item.absent) if isinstance(item, Setting) else (item, REQUIRED)
        for name, item in value.items()
    }


def _absent(field: dataclasses.Field) -> Any:
    if "absent" in field.metadata:
        return field.metadata["absent"]
    return field.default if field.default_factory is REQUIRED else field.default_factory()
