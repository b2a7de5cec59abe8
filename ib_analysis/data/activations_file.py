"""The images of an activations file (see `ib_analysis.activations_file`): of a network that is trained elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ib_analysis.activations_file import FileContents, contents_of, image_blocks, labels_of, parts_of
from ib_analysis.artifacts import UserError
from ib_analysis.data.collection import BLOCK, Collection, choose, divide
from ib_analysis.data.config import DataConfig
from ib_analysis.data.interface import ImageData, Progress, Source, Space
from ib_analysis.data.splits import pixel_digests
from ib_analysis.data.transforms import transformed_space

__all__ = ["SOURCE"]


def load(config: DataConfig, progress: Progress | None = None, recheck: bool = True) -> ImageData:
    """The splits of the file, else 80 % for decoders and 20 % for evaluation; `Split.source_index` are the rows."""
    with _named(_contents(config)) as contents:
        return divide(collect(contents), config)


def space(config: DataConfig, recheck: bool = True) -> Space:
    """As the file says, unless the config does."""
    contents = _contents(config)
    return transformed_space(_native(contents, _n_classes(contents)), config)


def sizes(config: DataConfig, recheck: bool = True) -> dict[str, int]:
    """The sizes of the three splits."""
    with _named(_contents(config)) as contents:
        return {name: len(positions) for name, positions in choose(collect(contents), config)[0].items()}


def collect(contents: FileContents) -> Collection:
    """All images of the file; those without labels have the label 0 and no names of classes.

    Raises:
        UserError: the file's images, labels or splits cannot be used.
    """
    found = labels_of(contents)
    labels, class_names = found if found is not None else (np.zeros(contents.n_images, np.int64), ())
    return Collection(
        name=contents.path.stem,
        class_names=class_names,
        native=_native(contents, len(class_names)),
        labels=labels,
        digests=np.concatenate([pixel_digests(block) for block in image_blocks(contents, BLOCK)]),
        source_index=np.arange(contents.n_images, dtype=np.int64),
        parts=parts_of(contents),
        blocks=lambda: image_blocks(contents, BLOCK),
        augment=False,
        trains_encoder=False,
    )


@contextmanager
def _named(contents: FileContents) -> Iterator[FileContents]:
    """Sentences about the images name their file."""
    try:
        yield contents
    except UserError as error:
        named = str(contents.path) in str(error)
        raise UserError(str(error) if named else f"{contents.path}: {error}") from error


def _contents(config: DataConfig) -> FileContents:
    if config.folder is None:
        raise UserError("data.source is activations_file, but no file is named; set activations_file to its path.")
    return contents_of(Path(config.folder))


def _native(contents: FileContents, n_classes: int) -> Space:
    return Space(contents.image_shape, contents.intensities, n_classes)


def _n_classes(contents: FileContents) -> int:
    found = labels_of(contents)
    return 0 if found is None else len(found[1])


SOURCE = Source(load=load, space=space, sizes=sizes)
