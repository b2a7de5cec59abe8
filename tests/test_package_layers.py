"""Who may import whom: no circles between the packages, and the bottom floors know nothing of those above."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# package -> what of this project it may import, beside itself
ALLOWED: dict[str, set[str]] = {
    "decoders": set(),
    "artifacts": set(),
    "hdf5": {"artifacts"},
    "drawn": {"artifacts"},
    "experiment_files": {"artifacts"},
    "yaml_files": {"artifacts"},
    "parsing": {"artifacts", "experiment_files", "yaml_files"},
    "activations_file": {"artifacts", "hdf5"},
    "data": {"artifacts", "hdf5", "activations_file"},
    "information": {"artifacts", "decoders"},  # of decoders: what a learning curve says, for its table
    "binary": {"artifacts", "hdf5"},
    "encoders": {"artifacts", "data", "binary"},
    "quantization": {"artifacts", "hdf5", "encoders", "activations", "binary"},
    "training": {"artifacts", "data", "encoders", "binary", "pareto"},
    "activations": {
        "artifacts",
        "activations_file",
        "data",
        "encoders",
        "decoders",
    },  # of decoders: its switch of a GPU's arithmetic
    "brackets": {"artifacts", "activations", "data", "decoders", "encoders", "information"},
    "spike_ins": {"artifacts"},
    "pareto": set(),
    "search": {"artifacts", "pareto"},  # of pareto: how good a set of points is
    "bases": {"artifacts", "data", "decoders", "spike_ins"},
    "experiment_config": {
        "activations_file",
        "artifacts",
        "binary",
        "data",
        "encoders",
        "quantization",
        "training",
        "activations",
        "information",
        "brackets",
        "spike_ins",
        "decoders",
    },
    "results": {"artifacts", "hdf5", "information"},
    "plots": {"artifacts", "hdf5", "information", "results"},
}
ALLOWED["recording"] = {"artifacts", "activations", "activations_file", "data", "decoders", "encoders"}
ALLOWED["experiment_checks"] = ALLOWED["experiment_config"] | {"experiment_config"}
ALLOWED["experiment"] = ALLOWED["experiment_checks"] | {"experiment_checks"}
ALLOWED["engines"] = {"artifacts", "experiment"}
ALLOWED["fits"] = ALLOWED["experiment"] | {"experiment", "engines"}
ALLOWED["records"] = ALLOWED["fits"] | {"hdf5", "fits", "bases"}
ALLOWED["tables"] = ALLOWED["records"] | {"records"}
ALLOWED["stages"] = ALLOWED["tables"] | {"tables", "results", "plots", "drawn"}
ALLOWED["studies"] = ALLOWED["stages"] | {"stages", "search", "pareto"}
ALLOWED["recording_commands"] = ALLOWED["experiment"] | {"experiment", "parsing", "recording"}
ALLOWED["cli"] = ALLOWED["studies"] | {"studies", "parsing", "yaml_files", "experiment_files", "recording_commands"}
ALLOWED["scripting"] = ALLOWED["cli"] | {"cli"}


def imported(path: Path) -> set[str]:
    """Parts of this project that a file imports, `TYPE_CHECKING` blocks included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
            if node.module == "ib_analysis":
                names = [f"ib_analysis.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "decoders":
                found.add("decoders")
            elif parts[0] == "ib_analysis" and len(parts) > 1:
                found.add(parts[1])
    return found


def files(part: str) -> list[Path]:
    base = ROOT / "decoders" if part == "decoders" else ROOT / "ib_analysis" / part
    return sorted(base.rglob("*.py")) if base.is_dir() else [base.with_suffix(".py")]


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_a_package_imports_only_what_stands_below_it(part: str) -> None:
    for path in files(part):
        forbidden = imported(path) - ALLOWED[part] - {part}
        assert not forbidden, f"{path.relative_to(ROOT)} imports {sorted(forbidden)}"


def test_every_part_has_its_rule() -> None:
    found = (ROOT / "ib_analysis").iterdir()
    parts = {path.stem for path in found if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts - {"__init__"} == set(ALLOWED) - {"decoders"}


def modules() -> dict[str, Path]:
    """All modules of this project by name; a package goes by the name of its folder."""
    paths = [path for top in ("decoders", "ib_analysis") for path in (ROOT / top).rglob("*.py")]
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


def executed_by(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """Modules that run because this one is imported: those it imports at its top level, with the packages around them.

    The packages around the module itself are left out: they have begun before it.
    """
    around = {name.rpartition(".")[0] for name in prefixes(name)}
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        found |= {part for one in names for part in prefixes(one) if part in known}
    return found - around - {name}


def prefixes(name: str) -> list[str]:
    """
    >>> prefixes("a.b.c")
    ['a', 'a.b', 'a.b.c']
    """
    parts = name.split(".")
    return [".".join(parts[: n + 1]) for n in range(len(parts))]


def test_no_module_is_imported_by_what_it_imports() -> None:
    known = modules()
    graph = {name: executed_by(name, path, known) for name, path in known.items()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"modules import one another in a circle: {' imports '.join(reversed(error.args[1]))}")
