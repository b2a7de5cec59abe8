"""Where the file of an experiment is: in ./experiments, or among those that ship with the package."""

from __future__ import annotations

from pathlib import Path

from ib_analysis.artifacts import UserError

__all__ = ["experiment_file", "experiments_here", "known_experiments"]

HERE = Path("experiments")
"""The user's own; one of the same name as a shipped one takes its place."""
PACKAGE = Path(__file__).parent


def shipped() -> Path:
    """The folder of the experiments that ship: inside an installed package, beside it in a checkout."""
    inside = PACKAGE / "experiments"
    return inside if inside.is_dir() else PACKAGE.parent / "experiments"


def experiment_file(name: str) -> Path:
    """The YAML file of an experiment.

    Arguments:
        name: the path of a file, or the name of an experiment; ``experiments/NAME.yaml`` of the current folder comes
            before the shipped one.

    Raises:
        UserError: there is none of this name.
    """
    for path in (Path(name), HERE / f"{name}.yaml", shipped() / f"{name}.yaml"):
        if path.is_file():
            return path
    raise UserError(
        f"there is no experiment {name!r}: experiments/{name}.yaml does not exist, and none ships with the "
        f"package (there are: {', '.join(known_experiments()) or 'none'})."
    )


def experiments_here() -> list[str]:
    """Names of the files in ./experiments, sorted."""
    return _names(HERE)


def known_experiments() -> list[str]:
    """Names of the files in ./experiments and of the experiments that ship, sorted."""
    return sorted({*_names(HERE), *_names(shipped())})


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))
