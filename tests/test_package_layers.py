"""Who may import whom: no circles between the packages, and the bottom floors know nothing of those above."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# package -> what of this project it may import, beside itself
ALLOWED: dict[str, set[str]] = {
    "decoders": set(),
    "artifacts": set(),
    "hdf5": {"artifacts"},
    "parsing": {"artifacts"},
    "data": {"artifacts", "hdf5"},
    "information": {"artifacts"},
    "encoders": {"artifacts", "data"},
    "quantization": {"artifacts", "hdf5", "encoders", "activations"},
    "training": {"artifacts", "data", "encoders"},
    "activations": {"artifacts", "data", "encoders", "decoders"},  # of decoders: its switch of a GPU's arithmetic
    "brackets": {"artifacts", "activations", "data", "decoders", "encoders", "information"},
    "spike_ins": {"artifacts"},
    "experiment": {
        "artifacts",
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
ALLOWED["engines"] = {"artifacts", "experiment"}
ALLOWED["fits"] = ALLOWED["experiment"] | {"experiment", "engines"}
ALLOWED["records"] = ALLOWED["fits"] | {"hdf5", "fits"}
ALLOWED["tables"] = ALLOWED["records"] | {"records"}
ALLOWED["stages"] = ALLOWED["tables"] | {"tables", "results", "plots"}
ALLOWED["studies"] = ALLOWED["stages"] | {"stages"}
ALLOWED["cli"] = ALLOWED["studies"] | {"studies", "parsing"}


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
