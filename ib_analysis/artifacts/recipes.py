"""Comparing what an artifact is asked to be with what a record says that it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ib_analysis.artifacts.hashes import plain
from ib_analysis.artifacts.settings import REQUIRED, children

__all__ = ["changes", "defaults_of"]


def changes(config: Mapping[str, Any], recorded: Any, defaults: Any) -> list[str]:
    """What differs, in words like ``encoder.width was 16, now 32``; nothing where the two mean the same.

    Arguments:
        config: of a recipe; may hold dataclasses and `Setting`.
        recorded: the config of a manifest, plain data. Settings that are new since then are completed with what their
            absence means.
        defaults: what `defaults_of` gave when the manifest was written; settings that are no more, and had their
            default then, do not count.
    """
    ours = plain(config)
    return _differences(_without_retired(_completed(recorded, config), defaults, ours), ours)


def defaults_of(value: Any) -> dict[str, Any]:
    """What absence means of every setting in a recipe's config, nested as the config is; plain data."""
    found: dict[str, Any] = {}
    for name, (child, absent) in (children(value) or {}).items():
        whole = None if absent is REQUIRED else plain(absent)
        if children(child) is not None and (absent is REQUIRED or isinstance(whole, dict)):
            nested = defaults_of(child)
            if nested:
                found[name] = nested
        elif absent is not REQUIRED:
            found[name] = whole
    return found


def _completed(recorded: Any, ours: Any) -> Any:
    parts = children(ours)
    if parts is None or not isinstance(recorded, dict):
        return recorded
    found = dict(recorded)
    for name, (value, absent) in parts.items():
        if name in found:
            found[name] = _completed(found[name], value)
        elif absent is not REQUIRED:
            found[name] = plain(absent)
    return found


def _without_retired(recorded: Any, defaults: Any, ours: Any) -> Any:
    if not (isinstance(recorded, dict) and isinstance(defaults, dict) and isinstance(ours, dict)):
        return recorded
    found = {}
    for name, value in recorded.items():
        if name in ours:
            found[name] = _without_retired(value, defaults.get(name), ours[name])
        elif name not in defaults or value != defaults[name]:
            found[name] = value
    return found


def _differences(old: Any, new: Any, where: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted({*old, *new}):
            place = f"{where}.{key}" if where else key
            if key not in old:
                found.append(f"{place} was unset, now {new[key]}")
            elif key not in new:
                found.append(f"{place} was {old[key]}, now unset")
            else:
                found += _differences(old[key], new[key], place)
        return found
    return [] if old == new else [f"{where or 'config'} was {old}, now {new}"]
