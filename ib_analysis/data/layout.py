"""What a tree of images means: which folders are official splits, which are classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ib_analysis.artifacts import UserError
from ib_analysis.data.archive import Listing
from ib_analysis.data.decoding import KINDS
from ib_analysis.data.wording import enumerated, printable

__all__ = ["Layout", "read_layout"]

SPLIT_FOLDERS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
EXPECTED = "class/image, or split/class/image with splits train+test, train+valid or train+valid+test"
EXPECTED_GROUPS = "class/group/image, or split/class/group/image (data.group_folders is set)"


@dataclass(frozen=True)
class Layout:
    """The meaning of each file.

    Arguments:
        class_names: names of the class folders, sorted as they are spelled, printable (see `printable`).
        labels: shape (N,), int64, in the order of the files.
        parts: shape (N,), int64: 0 train, 1 valid (only where there is a test folder, too), 2 the official
            evaluation images; None where there are no split folders.
        groups: the name of each file's group folder; None where folders are no groups.
        around: how many folders are around the whole tree.
    """

    class_names: tuple[str, ...]
    labels: np.ndarray
    parts: np.ndarray | None
    groups: tuple[str, ...] | None = None
    around: int = 0


def read_layout(listing: Listing, where: str, group_folders: bool = False) -> Layout:
    """Read classes and official splits from the names of folders.

    Folders around the whole tree do not count. Two splits are used like CIFAR's (the second is only
    evaluated), three like CINIC-10's. Names that differ only in how Unicode spells their accents are one name.

    Arguments:
        listing: the files and folders.
        where: the archive's name, for messages.
        group_folders: whether the images of a class lie in folders that are groups.

    Raises:
        UserError: no images, images outside class folders, unknown split folders, an empty class.

    >>> read_layout(Listing(("set/cat/1.png", "set/dog/1.png"), ("set", "set/cat", "set/dog"), ""), "set.tar")
    Layout(class_names=('cat', 'dog'), labels=array([0, 1]), parts=None, groups=None, around=1)
    """
    expected, least = (EXPECTED_GROUPS, 3) if group_folders else (EXPECTED, 2)
    files = [tuple(printable(name).split("/")) for name in listing.files]
    folders = [tuple(printable(name).split("/")) for name in listing.folders]
    left_out = f" (other files, which are left out: {enumerated(listing.left_out)})" if listing.left_out else ""
    if not files:
        raise UserError(f"{where} holds no {KINDS} file{left_out}; expected {expected}.")
    whole_depth = len(files[0])
    files, folders = _inside(files, folders, where, least)

    depth = len(files[0])
    odd = next((name for name in files if len(name) != depth or not least <= len(name) <= least + 1), None)
    if odd is not None:
        raise UserError(
            f"{where}: the image {'/'.join(odd)} does not lie where the others do; expected {expected}: "
            "move or remove it."
        )
    tops = {name[0] for name in files}
    if depth == least and tops <= set(SPLIT_FOLDERS) and len(tops) > 1:
        raise UserError(
            f"{where}: the folders {', '.join(sorted(tops))} hold images but no class folders; expected {expected}."
        )
    parts = _parts(files, tops, where, expected) if depth > least else None
    # Classes keep the order of their spelling on disk, by which earlier runs have numbered them.
    spelled = sorted({name.split("/")[-least] for name in listing.files})
    class_names = tuple(dict.fromkeys(map(printable, spelled)))
    _refuse_empty_classes(files, folders, class_names, where, least, left_out)
    label = {name: i for i, name in enumerate(class_names)}
    labels = np.array([label[name[-least]] for name in files], dtype=np.int64)
    groups = tuple(name[-2] for name in files) if group_folders else None
    return Layout(class_names, labels, parts, groups, whole_depth - depth)


def _inside(
    files: list[tuple[str, ...]], folders: list[tuple[str, ...]], where: str, least: int
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Take away the folders that are around everything."""
    while min(map(len, files)) > least and len({name[0] for name in files}) == 1:
        around = files[0][0]
        empty = sorted({name[0] for name in folders} & set(SPLIT_FOLDERS) - {around})
        if around in SPLIT_FOLDERS and empty:
            raise UserError(
                f"{where}: the folder {empty[0]} holds no {KINDS} file; fill it, or remove it to have "
                f"the images of {around} split three ways."
            )
        files = [name[1:] for name in files]
        folders = [name[1:] for name in folders if name[0] == around and len(name) > 1]
    return files, folders


def _parts(files: Sequence[tuple[str, ...]], tops: set[str], where: str, expected: str) -> np.ndarray:
    meanings = [SPLIT_FOLDERS.get(top) for top in tops]
    known = ({"train", "test"}, {"train", "valid"}, {"train", "valid", "test"})
    if set(meanings) not in known or len(meanings) != len(set(meanings)):
        raise UserError(f"{where} has the folders {', '.join(sorted(tops))} above its classes; expected {expected}.")
    valid = 1 if "test" in meanings else 2
    part = {"train": 0, "valid": valid, "test": 2}
    return np.array([part[SPLIT_FOLDERS[name[0]]] for name in files], dtype=np.int64)


def _refuse_empty_classes(
    files: Sequence[tuple[str, ...]],
    folders: Sequence[tuple[str, ...]],
    class_names: Sequence[str],
    where: str,
    least: int,
    left_out: str,
) -> None:
    depth = len(files[0]) - least + 1  # of a class folder
    filled = {name[:depth] for name in files}
    expected = {(top, name) for top in {name[0] for name in files} for name in class_names} if depth == 2 else set()
    for folder in sorted({name for name in folders if len(name) == depth} | expected):
        if folder not in filled:
            raise UserError(
                f"{where}: the class folder {'/'.join(folder)} is empty or missing{left_out}; put {KINDS} images into "
                "it, or remove the class everywhere."
            )
