"""YAML files of fields, and mappings on command lines, as they are read: a key may stand only once in each."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import yaml

from ib_analysis.artifacts import UserError

__all__ = ["check_repeated_keys", "dashed", "one_line", "read_yaml"]

_MERGE = "tag:yaml.org,2002:merge"


def one_line(text: str) -> str:
    """The text without line breaks."""
    return " ".join(text.split())


def dashed(key: Any, sections: Collection[str]) -> Any:
    """A key of a file, or word of the command line, as studies are called; what names none of them as it is."""
    spelled = str(key).replace("_", "-")
    return spelled if spelled in sections else key


def read_yaml(path: Path, sections: Collection[str]) -> dict:
    """The fields of a file; none of an empty one.

    Arguments:
        sections: names of studies, which may be spelled in two ways.

    Raises:
        UserError: it is no YAML, holds no fields, or one of them twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        _refuse_repeated_keys(yaml.compose(text, yaml.SafeLoader), str(path), sections)
        found = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a YAML file: {one_line(str(error))}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UserError(f"{path} must hold fields (name: value), not a {type(found).__name__}.")
    return found


def check_repeated_keys(words: Sequence[str]) -> None:
    """Refuse repeated keys in mappings on the command line (--encoder '{width: 4}')."""
    for word in words:
        value = word.partition("=")[2] if word.startswith("--") else word
        if value.lstrip().startswith(("{", "[")):
            with contextlib.suppress(yaml.YAMLError):  # the parser tells what is wrong with it
                _refuse_repeated_keys(yaml.compose(value, yaml.SafeLoader), f"the command line, {value}", {})


def _refuse_repeated_keys(document: yaml.Node | None, place: str, sections: Collection[str]) -> None:
    """YAML asks for unique keys in a mapping (YAML 1.2.2, section 3.2.1.1); PyYAML keeps the last one silently.

    The nodes are looked at, and not what is made of them, since only they know their lines, and since a key may stand
    beside a merged one (<<), which it overrides as it should.

    Raises:
        UserError: a key stands twice in one mapping, or a study's section under both of its spellings.
    """
    waiting: list[tuple[yaml.Node, str]] = [(document, "")] if document is not None else []
    seen: set[int] = set()  # an alias is the node of its anchor, and may lie within itself
    while waiting:
        node, where = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(item, where) for item in node.value]
        if not isinstance(node, yaml.MappingNode):
            continue
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # the loader takes no such key
            name = key.value if where else str(dashed(key.value, sections))
            path, line = f"{where}.{name}" if where else name, key.start_mark.line + 1
            if (key.tag, name) in lines and key.tag != _MERGE:
                first = lines[key.tag, name]
                both = f"in lines {first} and {line}" if line != first else f"twice in line {line}"
                raise UserError(f"{place}: {path} is set {both}, and only one of them can hold; remove the other.")
            lines[key.tag, name] = line
            waiting.append((value, path))
