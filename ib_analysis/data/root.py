"""Where data sets lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from ib_analysis.artifacts import UserError
from ib_analysis.data.config import DataConfig
from ib_analysis.data.decoding import KINDS

__all__ = ["ROOT_VARIABLE", "data_root", "find_folder", "find_group_file"]

ROOT_VARIABLE = "IB_DATA_ROOT"


def data_root(config: DataConfig) -> Path:
    """The folder that holds data sets: `DataConfig.root`, else the variable IB_DATA_ROOT, else `data`.

    Only the last is made when it is missing: a root that was named but is not there is more likely a slip.

    Raises:
        UserError: the named root is no folder, or the default cannot be made.
    """
    chosen = config.root or os.environ.get(ROOT_VARIABLE)
    if chosen:
        origin = "data.root" if config.root else f"the environment variable {ROOT_VARIABLE}"
        root = _path(chosen, origin)
        if not root.is_dir():
            raise UserError(
                f"The data root {chosen} (from {origin}) is not a folder; make it, or set {origin} to the "
                "folder that holds your data sets."
            )
        return root
    root = Path("data")
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The data root {root.absolute()} cannot be made ({error.strerror}); set data.root or "
            f"{ROOT_VARIABLE} to a folder that you may write to."
        ) from error
    return root


def find_folder(config: DataConfig) -> Path:
    """The tree or tar that `DataConfig.folder` names: relative to the root, or absolute.

    Raises:
        UserError: it is not set, or there is nothing of that name.
    """
    if not config.folder:
        raise UserError(
            f"The source {config.source!r} needs data.folder: a folder split/class/image or class/image of "
            f"{KINDS} files, or a tar of one."
        )
    return _existing(config, config.folder, "data.folder", "a folder or tar")


def find_group_file(config: DataConfig) -> Path | None:
    """The file that `DataConfig.group_file` names: relative to the root, or absolute.

    Raises:
        UserError: there is nothing of that name.
    """
    return _existing(config, config.group_file, "data.group_file", "a CSV file") if config.group_file else None


def _existing(config: DataConfig, chosen: str, origin: str, what: str) -> Path:
    path = _path(chosen, origin)
    if not path.is_absolute():
        path = _path(str(data_root(config) / path), origin)
    if not path.exists():
        raise UserError(
            f"{origin}: {path.absolute()} does not exist; name {what} relative to the data root, or with its full path."
        )
    return path


def _path(chosen: str, origin: str) -> Path:
    """A path as the user wrote it, of which the system can tell whether it is there.

    Raises:
        UserError: it begins with ~ and the name of nobody, or no file could be called so.
    """
    try:
        path = Path(chosen).expanduser()
    except RuntimeError as error:
        raise UserError(
            f"{origin}: there is no home folder for {Path(chosen).parts[0]}, with which {chosen} begins; write the "
            "path out, or ./~... for a folder of that name."
        ) from error
    try:
        path.stat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:  # too long, a loop of links, no right to look, a zero character
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{origin}: {chosen!r} cannot be looked up ({reason}); name another path.") from error
    return path
