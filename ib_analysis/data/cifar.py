"""CIFAR-10 and CIFAR-100, downloaded and checked by torchvision.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009). The official test images
are the evaluation split; the training images are halved. The published batches are pickles: torchvision
compares their MD5 before it opens them, and nothing whose checksum differs is ever opened.
"""

from __future__ import annotations

import errno
import http.client
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from ib_analysis.artifacts import UserError
from ib_analysis.data.collection import Collection, collection_of_arrays, divide, nominal_sizes
from ib_analysis.data.config import DataConfig
from ib_analysis.data.interface import ImageData, Progress, Source, Space
from ib_analysis.data.root import data_root
from ib_analysis.data.transforms import transformed_space

__all__ = ["CIFAR10", "CIFAR100"]

NOT_WRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)


def _read(kind: Any, root: Path) -> tuple[Any, Any]:
    """The training and test sets, downloaded where they are missing.

    Raises:
        UserError: no network, a wrong checksum, a full disk.
    """
    from torchvision.datasets.utils import check_integrity

    archive = root / kind.filename
    by_hand = f"download {kind.url} and put it at {archive.absolute()}, then run the same command again"
    try:
        return kind(root, train=True, download=True), kind(root, train=False)
    except (OSError, RuntimeError, EOFError, http.client.HTTPException, tarfile.TarError) as error:
        if isinstance(error, OSError) and error.errno in NOT_WRITABLE:
            raise UserError(
                f"{kind.__name__} cannot be written under {root.absolute()} ({error.strerror}); free some "
                "space or set data.root to another folder."
            ) from error
        if archive.exists() and not check_integrity(archive, kind.tgz_md5):
            raise UserError(
                f"{archive.absolute()} has a wrong checksum (its MD5 should be {kind.tgz_md5}) and was not "
                f"opened; delete it, {by_hand}."
            ) from error
        raise UserError(f"{kind.__name__} could not be downloaded ({error}); {by_hand}.") from error


def _collect(name: str, config: DataConfig) -> Collection:
    from torchvision import datasets

    training, test = _read(getattr(datasets, name.upper()), data_root(config))
    images = np.concatenate([training.data, test.data]).transpose(0, 3, 1, 2)
    return collection_of_arrays(
        name=name,
        images=images,
        labels=np.array([*training.targets, *test.targets]),
        class_names=tuple(training.classes),
        parts=np.repeat([0, 2], [len(training.targets), len(test.targets)]),
        augment=True,
    )


def _source(name: str, n_classes: int) -> Source:
    native = Space((3, 32, 32), 256, n_classes)
    published = {"encoder": 25_000, "decoder": 25_000, "evaluation": 10_000}

    def load(config: DataConfig, progress: Progress | None = None, recheck: bool = True) -> ImageData:
        return divide(_collect(name, config), config)

    return Source(
        load=load,
        space=lambda config, recheck: transformed_space(native, config),
        sizes=lambda config, recheck: nominal_sizes(published, n_classes, config),
    )


CIFAR10 = _source("cifar10", 10)
CIFAR100 = _source("cifar100", 100)
