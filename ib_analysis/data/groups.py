"""Images that belong together (frames of a video, pictures of a patient) and must not be told apart by a split.

Near-duplicates have different pixels, so that no hash finds them: the user says what belongs together. Every group
then lies whole in one split, and whole on one side of the validation slice.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ib_analysis.artifacts import UserError
from ib_analysis.data.wording import enumerated, printable

__all__ = ["divide_groups", "read_group_file", "validation_groups_last", "whole_groups"]

COLUMNS = ("file", "group")


def read_group_file(path: Path, names: Sequence[str], around: int) -> list[str]:
    """The group of each image, from a CSV file with the columns ``file`` and ``group``.

    Arguments:
        path: of the CSV, in UTF-8; further columns, and files that are not among the images, do not matter.
        names: paths of the images inside their folder or tar.
        around: folders around the whole tree, which the CSV may leave out.

    Raises:
        UserError: it cannot be read, has other columns, gives an image two groups, or one none.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file)
            if not set(COLUMNS) <= set(lines.fieldnames or ()):
                raise UserError(f"data.group_file: {path} must be a CSV whose first line is file,group.")
            known: dict[str, str] = {}
            for line in lines:
                name = printable((line["file"] or "").removeprefix("./"))
                if not line["group"]:
                    raise UserError(f"data.group_file: {path} gives {name!r} no group; name one in every line.")
                group = printable(line["group"])
                if known.setdefault(name, group) != group:
                    raise UserError(f"data.group_file: {path} gives {name!r} two groups; keep one line for each file.")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"data.group_file: {path} cannot be read as a CSV in UTF-8 ({error}).") from error
    found = []
    for name in map(printable, names):
        inner = "/".join(name.split("/")[around:])
        found.append(known.get(name) or known.get(inner))
    without = [name for name, group in zip(names, found, strict=True) if group is None]
    if without:
        raise UserError(
            f"data.group_file: {path} has no line for {len(without)} of {len(names)} images ({enumerated(without)}); "
            "add them, with paths as in the folder of images, each with a group of its own where it is like no other."
        )
    return [group for group in found if group is not None]


def whole_groups(groups: Sequence[str], parts: np.ndarray | None, where: str) -> np.ndarray:
    """Numbers of the groups, shape (N,), int64.

    Arguments:
        groups: the group of each image.
        parts: shape (N,): official parts (see `three_splits`), or None.
        where: for messages.

    Raises:
        UserError: the images of a group are in several official parts.
    """
    names, numbers = np.unique(np.array(groups), return_inverse=True)
    if parts is not None:
        lowest, highest = np.full(len(names), parts.max()), np.full(len(names), parts.min())
        np.minimum.at(lowest, numbers, parts)
        np.maximum.at(highest, numbers, parts)
        torn = names[lowest < highest].tolist()
        if torn:
            raise UserError(
                f"{where!r}: {len(torn)} groups have images in several of the split folders ({enumerated(torn)}); move "
                "each into one of them, or put all images into class folders alone, which are then split by groups."
            )
    return numbers.astype(np.int64)


def divide_groups(
    order: np.ndarray, labels: np.ndarray, groups: np.ndarray, shares: Sequence[float]
) -> list[np.ndarray]:
    """Divide images into parts of whole groups, so that each class comes near its shares.

    The largest groups first, those of one size by their first image, each goes where Pearson's chi-squared distance
    comes out smallest: (share there is - share asked for)^2 / share asked for, summed over classes and parts. So the
    parts fill up side by side, and large and small groups come into all of them. The size of a group is the sum of
    its shares of the classes, so that a rare class counts as much as a frequent one. (The idea of scikit-learn's
    StratifiedGroupKFold, for parts of different size.)

    Arguments:
        order: shape (M,): positions of the images to be divided, in order.
        labels, groups: shapes (N,): of all images.
        shares: the share of each part; sums to 1.

    Returns:
        one array of positions per part, each in the given order. A part may be empty where groups are few.

    >>> labels, groups = np.array([0, 0, 0, 0, 1, 1]), np.array([7, 7, 8, 8, 7, 8])
    >>> [part.tolist() for part in divide_groups(np.arange(6), labels, groups, [0.5, 0.5])]
    [[0, 1, 4], [2, 3, 5]]
    """
    classes, label_of = np.unique(labels[order], return_inverse=True)
    _, first, group_of = np.unique(groups[order], return_index=True, return_inverse=True)
    weights = np.zeros((len(first), len(classes)))
    np.add.at(weights, (group_of, label_of), 1.0)
    weights /= weights.sum(axis=0)
    # Share of each part (rows) of each class (columns) that is asked for and not there yet.
    missing = np.repeat(np.array(shares)[:, None], len(classes), axis=1)
    part_of_group = np.zeros(len(first), dtype=np.int64)
    # Rounded, so that groups of one size are not ordered by the last digits of their sums.
    for group in np.lexsort((first, -weights.sum(axis=1).round(9))):
        weight = weights[group]
        # ((missing - weight)^2 - missing^2) / share, for each part
        change = (weight**2 - 2 * missing * weight).sum(axis=1) / shares
        part = int(change.round(12).argmin())
        missing[part] -= weight
        part_of_group[group] = part
    return [order[part_of_group[group_of] == part] for part in range(len(shares))]


def validation_groups_last(labels: np.ndarray, groups: np.ndarray, share: float) -> tuple[np.ndarray, int]:
    """Put a validation slice of whole groups at the end (compare `validation_last`).

    Arguments:
        labels, groups: shapes (N,), in the order of the split.
        share: share of the images that go to validation, met as well as whole groups allow; at least one group.

    Returns:
        the new order, shape (N,), and the number of validation images.

    Raises:
        UserError: there is only one group.
    """
    fitting, validation = divide_groups(np.arange(len(labels)), labels, groups, [1 - share, share])
    if not len(validation) or not len(fitting):
        names, sizes = np.unique(groups, return_counts=True)
        if len(names) < 2:
            raise UserError(
                "All images of the decoder split are of one group, so that no others are left to validate on; add "
                "images of further groups."
            )
        smallest = groups == names[sizes.argmin()]
        few, many = np.flatnonzero(smallest), np.flatnonzero(~smallest)
        fitting, validation = (many, few) if not len(validation) else (few, many)
    return np.concatenate([fitting, validation]), len(validation)
