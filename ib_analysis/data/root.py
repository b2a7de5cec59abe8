"""Where data sets lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from ib_analysis.artifacts import UserError
from ib_analysis.data.config import DataConfig

__all__ = ["ROOT_VARIABLE", "data_root", "find_folder"]

ROOT_VARIABLE = "IB_DATA_ROOT"


def data_root(config: DataConfig) -> Path:
    """The folder that holds data sets: `DataConfig.root`, else the variable IB_DATA_ROOT, else `data`.

    Only the last is made when it is missing: a root that was named but is not there is more likely a slip.

    Raises:
        UserError: the named root is no folder, or the default cannot be made.
    """
    chosen = config.root or os.environ.get(ROOT_VARIABLE)
    if chosen:
        root = Path(chosen).expanduser()
        if not root.is_dir():
            origin = "data.root" if config.root else f"the environment variable {ROOT_VARIABLE}"
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
            "PNG or JPEG files, or a tar of one."
        )
    path = Path(config.folder).expanduser()
    if not path.is_absolute():
        path = data_root(config) / path
    if not path.exists():
        raise UserError(
            f"data.folder: {path.absolute()} does not exist; name a folder or tar relative to the data "
            "root, or with its full path."
        )
    return path
