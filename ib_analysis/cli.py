"""The `ib` command: one sub-command per thing a user wants done."""

from __future__ import annotations

import dataclasses
import importlib
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, TypeVar

import torch
import yaml
from jsonargparse import ArgumentError, ArgumentParser

from ib_analysis.artifacts import UserError, begin_notices, plain
from ib_analysis.data import forget
from ib_analysis.engines.failures import failures_explained
from ib_analysis.engines.launch_variables import check_launch_variables
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.experiment_files import experiments_here, known_experiments
from ib_analysis.parsing import Sections, keys_of, parse
from ib_analysis.recording_commands import RECORD, TAPS, record_command, taps_command
from ib_analysis.yaml_files import one_line

__all__ = ["SECTIONS", "main", "parse_config", "parse_experiment", "run_command", "run_study"]

Config = TypeVar("Config")
Studies = Mapping[str, Any]
"""Settings of the studies that an experiment's file has sections for, by name."""


def _base(experiment: Experiment, _: Studies) -> None:
    from ib_analysis.stages.pipeline import run_until

    run_until(experiment, "base")


def _train(experiment: Experiment, _: Studies) -> None:
    from ib_analysis.stages.pipeline import run_until

    run_until(experiment, "dump")


def _estimate(experiment: Experiment, _: Studies) -> None:
    from ib_analysis.stages.pipeline import run_until

    run_until(experiment, "measure")


def _figures(experiment: Experiment, studies: Studies) -> None:
    from ib_analysis.engines.launch import Launch
    from ib_analysis.stages.pipeline import run_until

    _check(experiment, studies)  # before hours of work
    run_until(experiment, "draw")
    launch = Launch()
    if launch.count == 1:
        for name, settings in studies.items():
            print()
            run_study(name, experiment, settings)
    elif studies and launch.is_main:
        print(f"Studies run in one process; without a launcher, `ib figures` goes on with {', '.join(studies)}.")


def _samples(experiment: Experiment, _: Studies) -> None:
    from ib_analysis.stages.pipeline import run_until

    run_until(experiment, "sample")


def _describe(experiment: Experiment, studies: Studies) -> None:
    from ib_analysis.studies.describe.command import describe

    _check(experiment, studies)
    print(describe(experiment))
    if studies:
        sizes = [f"{name} ({_module(name).extent(experiment, settings)})" for name, settings in studies.items()]
        print(f"on top of all this, by `ib figures`: {', '.join(sizes)}")


def _export(experiment: Experiment, _: Studies) -> None:
    from ib_analysis.stages.export import export

    print("\n".join(export(experiment)))


# name -> (what it does, in one sentence; the function)
COMMANDS: dict[str, tuple[str, Callable[[Experiment, Studies], None]]] = {
    "base": ("Fit the unconditional model of the images, once for all experiments on them.", _base),
    "train": ("Train the encoders and dump their activations.", _train),
    "estimate-mi": ("Fit decoders and probes (after `train`) and estimate information in bits.", _estimate),
    "figures": (
        "Run everything that is missing, draw all figures and print the table; then the studies in the file.",
        _figures,
    ),
    "samples": (
        "Sample images from what each layer still knows, and write a page to look at them.",
        _samples,
    ),
    "export": (
        "Write quantized encoders as files of integers, binary ones as files of bits; check them bit for bit.",
        _export,
    ),
    "describe": (
        "Say what an experiment will cost (fits, FLOPs, disk, time) before anything runs.",
        _describe,
    ),
}
# name -> what it does, in one sentence; the module of `ib_analysis.studies` with its CONFIG (a flat dataclass, whose
# fields are set by --name.field value, or in a section of an experiment's file) and its functions of (experiment,
# settings): check, which refuses what cannot be run before anything is; extent, its size in words; run
STUDIES: dict[str, tuple[str, str]] = {
    "controls": ("Check the instrument where it is known what it must find.", "controls"),
    "budget": ("Fit decoders of smaller and larger budgets, and draw how every number moves with them.", "budget"),
    "convergence": (
        "Fit decoders far longer, and see whether intervals widened by the measured change contain what they find.",
        "convergence",
    ),
    "audit": ("Compare the shared decoder with decoders of single cells at 1, 5 and 10 times its cost.", "audit"),
    "cost-quality": (
        "Train classifiers in several number formats and sizes, and set accuracy against cost.",
        "cost_quality",
    ),
    "stream-ablation": (
        "Set one stream of one block of a ResNet in ResNet to zero, and say what accuracy is left.",
        "stream_ablation",
    ),
    "residual-blocks": (
        "Train plain CNN, ResNet, ResNet Init and ResNet in ResNet of equally many parameters, and compare them.",
        "residual_blocks",
    ),
    "two-step": ("Train binary networks in one step and in two, and compare their accuracies.", "two_step"),
    "yardsticks": (
        "Set published accuracies beside those of an experiment, and say what keeps them from being compared.",
        "yardsticks",
    ),
    "search": (
        "Search for architectures: of networks trained here (section search), or in a table, by several methods.",
        "network_search",
    ),
    "pareto-front": (
        "Say what networks between classification and reconstruction are worth, and what their layers keep.",
        "pareto_front",
    ),
}
NEED_NETWORK = {
    "export": "writes the network's weights",
    "cost-quality": "trains networks",
    "stream-ablation": "runs the network with a stream set to zero",
    "residual-blocks": "trains networks",
    "two-step": "trains networks",
    "yardsticks": "judges the network",
    "search": "trains networks",
    "pareto-front": "trains networks",
}
"""What a command does with a network that a file of activations (`activations_file`) does not give."""
OF_STUDIES = ("figures", "describe")
"""Commands that heed a file's sections for studies; the others only check them."""
CALIBRATE = "Estimate information whose truth is known exactly, and draw the estimates against the truth."
SEARCH = "Search a table of architectures by several methods, and set what they find against its exact front."
COMPARE = "Put two finished experiments side by side."
OWN_NETWORKS: dict[str, tuple[str, Callable[[list[str], Sections], None]]] = {
    "record": (RECORD, lambda words, _: record_command(words)),
    "taps": (TAPS, taps_command),
}
"""Commands about networks that are made elsewhere: name -> what it does; the function of the words after it and of the
sections that a file may have."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `ib` and return its exit code: 0, 2 for a user's mistake, 130 after Ctrl-C, 141 if nobody reads on."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    forget()
    begin_notices()
    _write_any_character()
    try:
        try:
            return _answer(words)
        finally:
            print(end="", flush=True)  # here, where a closed pipe is met, and not as the interpreter ends
    except BrokenPipeError:  # ib ... | head
        _let_go_of_closed_pipes()
        return 141  # as the shell says of whoever is ended by SIGPIPE


def _answer(words: list[str]) -> int:
    try:
        with failures_explained(f"ib {words[0]}" if words else "ib"):  # beside the stages, which say their names
            return _dispatch(words)
    except (UserError, ArgumentError) as error:
        print(f"ib: {one_line(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ib: stopped; run the same command again to go on from here.", file=sys.stderr)
        return 130


def _write_any_character() -> None:
    """What the terminal or the file at the other end cannot show is written as an escape (\\xb1)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _let_go_of_closed_pipes() -> None:
    """Nothing more goes to whoever has closed his end: the interpreter would try once more as it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0 if words else 2
    command, *rest = words
    check_launch_variables()
    if command == "compare":
        return _compare(rest)
    if command == "calibrate":
        return _calibrate(rest)
    if command == "search" and _names_table(rest):
        return _search(rest)
    if command in OWN_NETWORKS:
        OWN_NETWORKS[command][1](rest, SECTIONS)
        return 0
    if command in STUDIES:
        return _study(command, rest)
    if command not in COMMANDS:
        known = ", ".join([*COMMANDS, *STUDIES, *OWN_NETWORKS, "calibrate", "compare"])
        raise UserError(f"there is no command {command!r}; choose from {known}.")
    about, _ = COMMANDS[command]
    config, studies = parse(ExperimentConfig, command, about, rest, SECTIONS, STUDIES if command in OF_STUDIES else ())
    _print_config(config.name, config)
    torch.set_num_threads(config.threads)
    run_command(command, Experiment(config), studies)
    return 0


def run_command(command: str, experiment: Experiment, studies: Studies) -> None:
    """One of the commands with an experiment, from here and from Python.

    Raises:
        UserError: it cannot be done, or a user's mistake is met.
    """
    _refuse_without_network(experiment, command)
    COMMANDS[command][1](experiment, studies)


def _overview() -> str:
    lines = ["usage: ib COMMAND EXPERIMENT [--field value ...]", ""]
    lines += [f"  {name:12s} {about}" for name, (about, _) in (*COMMANDS.items(), *STUDIES.items())]
    lines += [f"  {'calibrate':12s} {CALIBRATE}"]
    lines += [f"  {name:12s} {about}" for name, (about, _) in OWN_NETWORKS.items()]
    lines += [f"  {'compare':12s} {COMPARE} (ib compare A B)", ""]
    here = experiments_here()
    ships = ", ".join(name for name in known_experiments() if name not in here)
    lines.append(f"EXPERIMENT is a file in experiments/ (here: {', '.join(here) or 'none in this folder'}),")
    lines += [
        *([f"an experiment that ships with the package ({ships}),"] if ships else []),
        "or the path of a YAML file.",
    ]
    lines.append("Every field of the config can be set: ib COMMAND --help lists them with their meaning.")
    lines.append(f"The file may have sections for studies ({', '.join(STUDIES)}): `ib figures` then runs these too.")
    return "\n".join(lines)


def parse_experiment(command: str, words: Sequence[str]) -> ExperimentConfig:
    """The config of an experiment's YAML file with the overrides given on the command line; see `parsing.parse`."""
    return parse(ExperimentConfig, command, COMMANDS[command][0], words, SECTIONS)[0]


def parse_config(kind: type[Config], command: str, about: str, words: Sequence[str]) -> Config:
    """The same for any config dataclass, from a file without sections for studies."""
    return parse(kind, command, about, words)[0]


def _module(study: str) -> ModuleType:
    return importlib.import_module(f"ib_analysis.studies.{STUDIES[study][1]}")


def _check(experiment: Experiment, studies: Studies) -> None:
    for name, settings in studies.items():
        _refuse_without_network(experiment, name, "leave the section out of the file")
        _module(name).check(experiment, settings)


def _refuse_without_network(experiment: Experiment, command: str, advice: str = "there is nothing to be done") -> None:
    """Say, before anything runs, what cannot be done where there is no network but a file of its activations.

    Arguments:
        advice: how the sentence ends.

    Raises:
        UserError: the command is of that kind.
    """
    if experiment.contents is not None and command in NEED_NETWORK:
        raise UserError(
            f"ib {command} {NEED_NETWORK[command]}, but with activations_file there is no network, only what it gave; "
            f"{advice}."
        )


def _section(study: str) -> Callable[[], type]:
    return lambda: _module(study).CONFIG


SECTIONS = {study: _section(study) for study in STUDIES}
"""Study -> its dataclass, imported only where it is needed."""


def _study(command: str, words: list[str]) -> int:
    config, studies = parse(ExperimentConfig, command, STUDIES[command][0], words, SECTIONS, (command,), own=command)
    _print_config(config.name, config)
    torch.set_num_threads(config.threads)
    run_study(command, Experiment(config), studies[command])
    return 0


def run_study(name: str, experiment: Experiment, settings: Any) -> None:
    """One of the studies with an experiment; its settings are those of its `CONFIG`.

    Raises:
        UserError: it cannot be done, or a user's mistake is met.
    """
    _refuse_without_network(experiment, name)
    _print_config(f"{experiment.config.name}, {name}", settings)
    _module(name).run(experiment, settings)


def _calibrate(words: list[str]) -> int:
    from ib_analysis.studies.calibration.command import calibrate
    from ib_analysis.studies.calibration.config import CalibrationConfig

    named = bool(words) and not words[0].startswith("-")
    config = parse_config(CalibrationConfig, "calibrate", CALIBRATE, words if named else ["calibration", *words])
    _print_config(config.name, config)
    torch.set_num_threads(config.threads)
    calibrate(config)
    return 0


def _names_table(words: list[str]) -> bool:
    """Whether a file for `ib search` is of a table of architectures: it then has no field of an experiment."""
    from ib_analysis.studies.architecture_search.config import ArchitectureSearchConfig

    if not words or words[0].startswith("-"):
        return False
    of_table = {field.name for field in dataclasses.fields(ArchitectureSearchConfig)}
    of_experiment = {field.name for field in dataclasses.fields(ExperimentConfig)} - of_table
    return not keys_of(words[0]) & (of_experiment | {"search"})


def _search(words: list[str]) -> int:
    from ib_analysis.studies.architecture_search.command import compare_methods
    from ib_analysis.studies.architecture_search.config import ArchitectureSearchConfig

    config = parse_config(ArchitectureSearchConfig, "search", SEARCH, words)
    _print_config(config.name, config)
    torch.set_num_threads(config.threads)
    compare_methods(config)
    return 0


def _print_config(name: str, config: object) -> None:
    print(f"# effective config of '{name}'")
    print(yaml.safe_dump(plain(config), sort_keys=False, default_flow_style=None, width=110).rstrip(), flush=True)


def _compare(words: list[str]) -> int:
    if "-h" in words or "--help" in words:
        print(f"usage: ib compare A B [--checkpoints FOLDER]\n\n{COMPARE}")
        return 0
    parser = ArgumentParser(prog="ib compare", description=COMPARE, exit_on_error=False)
    parser.add_argument("a", type=str, help="A finished experiment.")
    parser.add_argument("b", type=str, help="Another one.")
    parser.add_argument("--checkpoints", type=str, default="checkpoints", help="Folder of the experiments.")
    chosen = parser.parse_args(words)
    from ib_analysis.information.comparison import compare
    from ib_analysis.results import load_results

    print(compare(load_results(chosen.a, chosen.checkpoints), load_results(chosen.b, chosen.checkpoints)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
