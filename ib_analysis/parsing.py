"""From a YAML file and a command line to a config, and to the settings of studies that the file has sections for."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentError, ArgumentParser, Namespace, set_parsing_settings

from ib_analysis.artifacts import UserError, plain
from ib_analysis.experiment_files import experiment_file
from ib_analysis.yaml_files import check_repeated_keys, dashed, one_line, read_yaml

__all__ = ["Sections", "from_fields", "keys_of", "parse", "parse_with_name"]

Config = TypeVar("Config")
Sections = Mapping[str, Callable[[], type]]

# jsonargparse's words where a list was to be (our configs hold tuples) and something else is
_NO_LIST = re.compile(
    r"Parser key \"(?P<field>[^\"]+)\": (?:Does not validate .*typing\.Literal\[(?P<others>[^\]]*)\].*)?"
    r"Expected a <class 'tuple'>\.? (?:Got value:|.*Given value:) (?P<value>.*)"
)

# and where one of several names was to be
_NO_NAME = re.compile(
    r"Parser key \"(?P<field>[^\"]+)\": Expected a typing\.Literal\[(?P<names>[^\]]*)\]\. Got value: (?P<value>.*)"
)


def parse(
    kind: type[Config],
    command: str,
    about: str,
    words: Sequence[str],
    sections: Sections | None = None,
    runs: Collection[str] = (),
    own: str | None = None,
) -> tuple[Config, dict[str, Any]]:
    """A config from a YAML file (the first word names it) and overrides (--field value), and the settings of studies.

    Arguments:
        kind: dataclass of the config.
        command, about: for help and for sentences.
        words: of the command line, after the command.
        sections: study -> its dataclass, for the sections that a file may hold beside the config's fields.
        runs: the studies among them that the command runs: their fields can be set by --study.field.
        own: the study that runs even if no file has a section for it.

    Returns:
        The config, and study -> settings for every section that is there and for `own`.

    Raises:
        UserError: no such file, or one that is no YAML; an unknown key, or a value of the wrong type or range, in a
            file or on the command line.
    """
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(prog=f"ib {command}", description=about, exit_on_error=False)
    parser.add_argument(
        "experiment",
        type=str,
        help="A file in experiments/, an experiment that ships with the package, or the path of a YAML file.",
    )
    parser.add_argument("--config", action="config", help="A further YAML file of fields, applied on top.")
    parser.add_class_arguments(kind, None)
    sections = sections or {}
    if "-h" in words or "--help" in words:
        if own is not None:
            parser.add_class_arguments(sections[own](), own)
        parser.print_help()
        raise SystemExit(0)
    if not words or words[0].startswith("-"):
        raise UserError(f"ib {command} needs the name of an experiment first, for example: ib {command} default.")
    check_repeated_keys(words[1:])
    path, fields = _named(words, sections)
    further = {file: _read(file, sections) for file in _further(words)}
    there = {*fields, *(key for found in further.values() for key in found)}
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    _check_keys(path, fields, [*names, *sections])
    for file, given in {path: fields, **further}.items():
        _check_groups(file, given, kind)
    kinds = {name: section() for name, section in sections.items() if name in there or name == own}
    _check_overrides(command, words, sections, [name for name in kinds if name in runs])
    for name, found in kinds.items():
        parser.add_class_arguments(found, name)
    try:
        base = parser.parse_object({"experiment": words[0], **fields})
        for name, found in kinds.items():  # whatever the command line may put in the place of a wrong value
            _settings(found, base[_key(name)])
    except (ArgumentError, UserError) as error:
        raise UserError(f"{path}: {_spelled(str(error), kinds, kind)}") from error
    try:
        chosen = parser.parse_args(list(words), namespace=base)
    except ArgumentError as error:
        raise UserError(_spelled(str(error), kinds, kind)) from error
    settings = {name: _settings(found, chosen.pop(_key(name))) for name, found in kinds.items()}
    try:
        values = parser.instantiate(chosen)
    except ValueError as error:
        raise UserError(_placed(str(error), kind, chosen)) from error
    return kind(**{name: values[name] for name in names}), settings


def keys_of(name: str) -> set[str]:
    """The fields and sections that an experiment's file has.

    Raises:
        UserError: no such file, or one that is no YAML.
    """
    return set(map(str, read_yaml(experiment_file(name), {})))


def from_fields(kind: type[Config], fields: Mapping[str, Any], place: str, start: str | Path | None = None) -> Config:
    """A config from fields as keywords: plain values, mappings or dataclasses, checked as those of a YAML file are.

    Arguments:
        kind: dataclass of the config.
        fields: of its own; what they leave out has its default, or is that of `start`.
        place: where they stand, for sentences.
        start: an experiment (see `experiment_file`) whose fields hold where `fields` do not say otherwise; its
            sections for studies are not looked at.

    Raises:
        UserError: an unknown field, or a value of the wrong type or range; no such experiment.
    """
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    _check_keys(place, fields, names)
    given = plain(fields)
    _check_groups(place, given, kind)
    if start is not None:
        read = read_yaml(experiment_file(str(start)), {})
        given = _merged({name: value for name, value in read.items() if name in names}, given)
    parser = ArgumentParser(prog=place, exit_on_error=False)
    parser.add_class_arguments(kind, None)
    try:
        chosen = parser.parse_object(given)
    except ArgumentError as error:
        raise UserError(f"{place}: {_spelled(str(error), {}, kind)}") from error
    try:
        values = parser.instantiate(chosen)
    except ValueError as error:
        raise UserError(_placed(str(error), kind, chosen)) from error
    return kind(**{name: values[name] for name in names})


def parse_with_name(
    kind: type[Config], command: str, about: str, words: Sequence[str], first: str, meaning: str
) -> tuple[str, Config]:
    """A config from a command line alone, whose first word names what it is about; --config FILE.yaml adds fields.

    Arguments:
        kind, command, about, words: as for `parse`.
        first, meaning: what the first word is called, and what it is.

    Raises:
        UserError: the first word is missing, an unknown field, or a value of the wrong type or range.
    """
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(prog=f"ib {command}", description=about, exit_on_error=False)
    parser.add_argument(first, type=str, help=meaning)
    parser.add_argument("--config", action="config", help="A YAML file of fields.")
    parser.add_class_arguments(kind, None)
    if "-h" in words or "--help" in words:
        parser.print_help()
        raise SystemExit(0)
    if not words or words[0].startswith("-"):
        raise UserError(f"ib {command} needs first what it is about: {meaning} ib {command} --help tells more.")
    check_repeated_keys(words[1:])
    try:
        chosen = parser.parse_args(list(words))
    except ArgumentError as error:
        raise UserError(_spelled(str(error), {}, kind)) from error
    try:
        values = parser.instantiate(chosen)
        names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
        return words[0], kind(**{name: values[name] for name in names})
    except ValueError as error:
        raise UserError(_placed(str(error), kind, chosen)) from error


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested fields, those of `over` in the place of those of `base`."""
    found = dict(base)
    for name, value in over.items():
        both = isinstance(value, Mapping) and isinstance(found.get(name), Mapping)
        found[name] = _merged(found[name], value) if both else value
    return found


# ---------------------------------------------------------------------------------------------- sections


def _key(name: str) -> str:
    """What the parser calls a study."""
    return name.replace("-", "_")


def _spelled(message: str, names: Mapping[str, Any], kind: type) -> str:
    """The parser's words on one line, with studies called as in files, the names that a field may have, and a hint for
    a list without brackets."""
    for name in names:
        message = message.replace(f"{_key(name)}.", f"{name}.")
    message = one_line(message)
    if (found := _NO_NAME.match(message)) is not None:
        return f"{found['field']} is {found['value']!r}; choose from {', '.join(found['names'].split(chr(39))[1::2])}."
    found = _NO_LIST.match(message)
    if found is None or not (bare := found["value"].strip("[](), ")):
        return message
    field = found["field"]
    if inner := _inner_length(kind, field):
        example = ", ".join(f"[{', '.join(str(first + place) for place in range(inner))}]" for first in (1, 1 + inner))
        return f"{field} is a list of lists of {inner}, such as [{example}], and not {found['value']}."
    others = ", ".join(found["others"].split("'")[1::2]) if found["others"] else ""
    what = f"a list, or one of {others}" if others else "a list"
    return f'{field} is {what}, and not {found["value"]}; write [{bare}] (--{field} "[{bare}]").'


def _inner_length(kind: type, field: str) -> int:
    """How many entries the lists have of which a field is a list; 0 of any other field."""
    hint: Any = kind
    for name in field.split("."):
        hint = get_type_hints(hint).get(name) if dataclasses.is_dataclass(hint) else None
    inner = get_args(hint)[0] if get_origin(hint) is tuple and get_args(hint) else None
    return len(get_args(inner)) if get_origin(inner) is tuple else 0


def _placed(message: str, kind: type, chosen: Namespace) -> str:
    """What is wrong with a value, with the field that holds it: several fields may be of one kind."""
    hints = get_type_hints(kind)
    for name, part in vars(chosen).items():
        if dataclasses.is_dataclass(hints.get(name)) and isinstance(part, Namespace):
            try:
                _made(hints[name], part, name)
            except ValueError as error:
                return str(error)
    return message


def _made(kind: Any, found: Namespace, place: str) -> Any:
    """A dataclass, and those within it, from what the parser found.

    Raises:
        ValueError: a value is outside its range; the sentence names the place.
    """
    hints, values = get_type_hints(kind), dict(vars(found))
    for name, value in values.items():
        if dataclasses.is_dataclass(hints[name]) and isinstance(value, Namespace):
            values[name] = _made(hints[name], value, f"{place}.{name}")
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(str(error) if place in str(error) else f"{place}: {error}") from error


def _settings(kind: type, found: Namespace | None) -> Any:
    """A study's settings, from what the parser found for it; None where a section has no fields.

    Raises:
        UserError: a value that cannot be used.
    """
    try:
        return kind(**(found.as_dict() if found is not None else {}))
    except ValueError as error:
        raise UserError(str(error)) from error


def _check_keys(path: Path | str, keys: Collection[Any], known: Sequence[str]) -> None:
    """Refuse what is neither a field nor a section: the parser overlooks it where it is empty."""
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else "."
            raise UserError(f"{path}: there is no field or section {key!r}{meant}")


def _check_groups(place: Path | str, given: Mapping[str, Any], kind: type, within: str = "") -> None:
    """Refuse what holds no fields where fields belong: the parser overlooks some of it, and stumbles over the rest."""
    hints = get_type_hints(kind)
    for name, value in given.items():
        if value is None or not dataclasses.is_dataclass(hints.get(name)):
            continue
        if not isinstance(value, Mapping):
            raise UserError(f"{place}: {within}{name} must hold fields (name: value), not {value!r}.")
        _check_groups(place, value, hints[name], f"{within}{name}.")


def _check_overrides(command: str, words: Sequence[str], sections: Sections, runs: Collection[str]) -> None:
    """Say what is wrong with a setting of a study that the command will not run, rather than ignore it."""
    for word in words:
        name = dashed(word.removeprefix("--").partition(".")[0], sections)
        if word.startswith("--") and name in sections and name not in runs:
            raise UserError(
                f"{word} is a setting of a study that `ib {command}` does not run here; use `ib {name}`, or a section "
                f"{name} in the experiment's file and `ib figures`."
            )


# ---------------------------------------------------------------------------------------------- files


def _named(words: Sequence[str], sections: Sections) -> tuple[Path, dict[str, Any]]:
    """The file that the first word names, with its fields; a user's activations need none, only a name.

    Raises:
        UserError: there is no such file.
    """
    try:
        path = experiment_file(words[0])
    except UserError:
        name = words[0]
        has_file = any(word.partition("=")[0] == "--activations_file" for word in words[1:])
        if has_file and Path(name).name == name and Path(name).suffix not in (".yaml", ".yml"):
            return Path(name), {"name": name}
        raise
    return path, {"name": path.stem, **_read(path, sections)}


def _further(words: Sequence[str]) -> Iterator[Path]:
    """The files of --config, as far as they are there; the parser tells of the others."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        option, equals, value = word.partition("=")
        if option == "--config" and Path(value if equals else following).is_file():
            yield Path(value if equals else following)


def _read(path: Path, sections: Sections) -> dict[str, Any]:
    """The fields of a file, with its sections for studies under the names of these."""
    found = {dashed(key, sections): value for key, value in read_yaml(path, sections).items()}
    for name in sections:
        if name in found and found[name] is None:  # all as by default
            found[name] = {}
        if not isinstance(found.get(name, {}), dict):
            raise UserError(f"{path}: the section {name} must hold fields (name: value), not {found[name]!r}.")
    return found
