"""The `ib` command: one sub-command per thing a user wants done."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings

from ib_analysis.artifacts import UserError, plain
from ib_analysis.experiment import Experiment, ExperimentConfig

__all__ = ["main", "parse_config", "parse_experiment"]

Config = TypeVar("Config")

EXPERIMENTS = Path("experiments")


def _train(experiment: Experiment) -> None:
    from ib_analysis.stages.pipeline import run_until

    run_until(experiment, "dump")


def _estimate(experiment: Experiment) -> None:
    from ib_analysis.stages.pipeline import run_until

    run_until(experiment, "measure")


def _figures(experiment: Experiment) -> None:
    from ib_analysis.stages.pipeline import run_until

    run_until(experiment, "draw")


def _samples(experiment: Experiment) -> None:
    from ib_analysis.stages.pipeline import run_until

    run_until(experiment, "sample")


def _describe(experiment: Experiment) -> None:
    from ib_analysis.studies.describe import describe

    print(describe(experiment))


def _export(experiment: Experiment) -> None:
    from ib_analysis.stages.export import export

    print("\n".join(export(experiment)))


# name -> (what it does, in one sentence; the function)
COMMANDS: dict[str, tuple[str, Callable[[Experiment], None]]] = {
    "train": ("Train the encoders and dump their activations.", _train),
    "estimate-mi": ("Fit decoders and probes (after `train`) and estimate information in bits.", _estimate),
    "figures": ("Run everything that is missing, then draw all figures and print the table.", _figures),
    "samples": (
        "Sample images from what each layer still knows, and write a page to look at them.",
        _samples,
    ),
    "export": ("Write quantized encoders as files of integers, and check them bit for bit.", _export),
    "describe": (
        "Say what an experiment will cost (fits, FLOPs, disk, time) before anything runs.",
        _describe,
    ),
}
# name -> what it does, in one sentence; the module of `ib_analysis.studies` with its CONFIG (a dataclass, whose fields
# are set by --name.field value) and its function run(experiment, settings)
STUDIES: dict[str, tuple[str, str]] = {
    "controls": ("Check the instrument where it is known what it must find.", "controls"),
    "budget": ("Fit decoders of smaller and larger budgets, and draw how every number moves with them.", "budget"),
    "audit": ("Compare the shared decoder with decoders of single cells at 1, 5 and 10 times its cost.", "audit"),
    "cost-quality": (
        "Train classifiers in several number formats and sizes, and set accuracy against cost.",
        "cost_quality",
    ),
}
CALIBRATE = "Estimate information whose truth is known exactly, and draw the estimates against the truth."
COMPARE = "Put two finished experiments side by side."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `ib` and return its exit code: 0, 2 for a user's mistake, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except (UserError, ArgumentError) as error:
        print(f"ib: {_one_line(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ib: stopped; run the same command again to go on from here.", file=sys.stderr)
        return 130


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0 if words else 2
    command, *rest = words
    if command == "compare":
        return _compare(rest)
    if command == "calibrate":
        return _calibrate(rest)
    if command in STUDIES:
        return _study(command, rest)
    if command not in COMMANDS:
        known = ", ".join([*COMMANDS, *STUDIES, "calibrate", "compare"])
        raise UserError(f"there is no command {command!r}; choose from {known}.")
    config = parse_experiment(command, rest)
    _print_config(config.name, config)
    COMMANDS[command][1](Experiment(config))
    return 0


def _overview() -> str:
    lines = ["usage: ib COMMAND EXPERIMENT [--field value ...]", ""]
    lines += [f"  {name:12s} {about}" for name, (about, _) in (*COMMANDS.items(), *STUDIES.items())]
    lines += [f"  {'calibrate':12s} {CALIBRATE}", f"  {'compare':12s} {COMPARE} (ib compare A B)", ""]
    known = ", ".join(sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))) or "none in this folder"
    lines.append(f"EXPERIMENT is a file in experiments/ (here: {known}) or the path of a YAML file.")
    lines.append("Every field of the config can be set: ib COMMAND --help lists them with their meaning.")
    return "\n".join(lines)


def parse_experiment(command: str, words: Sequence[str]) -> ExperimentConfig:
    """The config of an experiment's YAML file with the overrides given on the command line; see `parse_config`."""
    return parse_config(ExperimentConfig, command, COMMANDS[command][0], words)


def parse_config(kind: type[Config], command: str, about: str, words: Sequence[str]) -> Config:
    """A config dataclass from a YAML file (the first word names it) and overrides (--field value).

    Raises:
        UserError: no such file, or one that is no YAML, or has an unknown key.
        ArgumentError: an override with an unknown key, or a value of the wrong type or range.
    """
    return _parse(kind, None, command, about, words)[0]


def _parse(
    kind: type[Config], settings: type | None, command: str, about: str, words: Sequence[str]
) -> tuple[Config, Any]:
    """The config of `parse_config`, and that of a study, whose fields are --command.field.

    Raises:
        UserError: no such file, or one that is no YAML, or has an unknown key.
        ArgumentError: an override with an unknown key, or a value of the wrong type or range.
    """
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(prog=f"ib {command}", description=about, exit_on_error=False)
    parser.add_argument("experiment", type=str, help="A file in experiments/, or the path of a YAML file.")
    parser.add_argument("--config", action="config", help="A further YAML file of fields, applied on top.")
    parser.add_class_arguments(kind, None)
    if settings is not None:
        parser.add_class_arguments(settings, command)
    if "-h" in words or "--help" in words:
        parser.print_help()
        raise SystemExit(0)
    if not words or words[0].startswith("-"):
        raise UserError(f"ib {command} needs the name of an experiment first, for example: ib {command} default.")
    path = _experiment_file(words[0])
    fields = _read_yaml(path)
    fields.setdefault("name", path.stem)
    try:
        base = parser.parse_object({"experiment": words[0], **fields})
    except ArgumentError as error:
        raise UserError(f"{path}: {_one_line(str(error))}") from error
    chosen = parser.parse_args(list(words), namespace=base)
    try:
        values = parser.instantiate(chosen)
    except ValueError as error:
        raise UserError(str(error)) from error
    config = kind(**{field.name: values[field.name] for field in dataclasses.fields(kind)})  # type: ignore[arg-type]
    return config, values[command.replace("-", "_")] if settings is not None else None


def _study(command: str, words: list[str]) -> int:
    about, name = STUDIES[command]
    study = importlib.import_module(f"ib_analysis.studies.{name}")
    config, settings = _parse(ExperimentConfig, study.CONFIG, command, about, words)
    _print_config(config.name, config)
    _print_config(f"{config.name}, {command}", settings)
    study.run(Experiment(config), settings)
    return 0


def _calibrate(words: list[str]) -> int:
    from ib_analysis.studies.calibration.command import calibrate
    from ib_analysis.studies.calibration.config import CalibrationConfig

    named = bool(words) and not words[0].startswith("-")
    config = parse_config(CalibrationConfig, "calibrate", CALIBRATE, words if named else ["calibration", *words])
    _print_config(config.name, config)
    calibrate(config)
    return 0


def _print_config(name: str, config: object) -> None:
    print(f"# effective config of '{name}'")
    print(yaml.safe_dump(plain(config), sort_keys=False, default_flow_style=None, width=110).rstrip())
    sys.stdout.flush()


def _experiment_file(name: str) -> Path:
    for path in (Path(name), EXPERIMENTS / f"{name}.yaml"):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))) or "none"
    raise UserError(f"there is no experiment {name!r}: experiments/{name}.yaml does not exist (here: {known}).")


def _read_yaml(path: Path) -> dict:
    try:
        found = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a YAML file: {_one_line(str(error))}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UserError(f"{path} must hold fields (name: value), not a {type(found).__name__}.")
    return found


def _compare(words: list[str]) -> int:
    if "-h" in words or "--help" in words:
        print(f"usage: ib compare A B [--checkpoints FOLDER]\n\n{COMPARE}")
        return 0
    parser = ArgumentParser(prog="ib compare", description=COMPARE, exit_on_error=False)
    parser.add_argument("a", type=str, help="A finished experiment.")
    parser.add_argument("b", type=str, help="Another one.")
    parser.add_argument("--checkpoints", type=str, default="checkpoints", help="Folder of the experiments.")
    chosen = parser.parse_args(words)
    from ib_analysis.information.summary import compare
    from ib_analysis.results import load_results

    print(compare(load_results(chosen.a, chosen.checkpoints), load_results(chosen.b, chosen.checkpoints)))
    return 0


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.exit(main())
