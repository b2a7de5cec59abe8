"""Decode a tree or tar of images once and keep the pixels in one HDF5 file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import h5py
import numpy as np

from ib_analysis.artifacts import Artifact, UserError, atomic_path, plain, sha256_of_plain
from ib_analysis.data.archive import Archive, Listing, open_archive
from ib_analysis.data.collection import BLOCK, Collection
from ib_analysis.data.decoding import KINDS, UnusableError, decode
from ib_analysis.data.groups import read_group_file, whole_groups
from ib_analysis.data.interface import Progress, Space
from ib_analysis.data.layout import Layout, read_layout
from ib_analysis.data.refusals import Refusals
from ib_analysis.data.splits import pixel_digests
from ib_analysis.data.transforms import resize
from ib_analysis.data.verified import is_verified, remember
from ib_analysis.data.wording import enumerated, printable
from ib_analysis.hdf5 import read_hdf5

__all__ = ["Form", "open_pack", "pack", "packed_space"]

CHUNK = 256


@dataclass(frozen=True)
class Form:
    """How images are read, which their packed pixels depend on.

    Arguments:
        resolution: the side to which images are resized while packing, or None if all have one size.
        background: what is seen through transparent pixels (see `decode`).
        group_folders: whether the folders that hold the images are groups within classes.
    """

    resolution: int | None = None
    background: str = "white"
    group_folders: bool = False


def pack(path: Path, folder: Path, form: Form, progress: Progress | None = None, recheck: bool = True) -> Path:
    """Pack a tree or tar, unless this was done already and nothing has changed since.

    Arguments:
        path: the tree or tar.
        folder: where the packed file goes.
        progress: called with (images done, images in all, {}); without it a bar is shown on a terminal.
        recheck: False: what was verified in this run already (see `verified`) is not verified again.

    Returns:
        the path of the packed file; it is written anew when a file's name, size or time, or the form changed.

    Raises:
        UserError: images cannot be read or have other sizes than most, or the tree makes no sense.
    """
    place = sha256_of_plain([path.resolve(), form.resolution])[:12]
    packed = folder / f"{_short(path.name.split('.')[0] or 'images')}-{place}.h5"
    recipe = {"format": 2, **plain(form)}
    if not recheck and is_verified(packed, recipe):
        return packed
    archive = open_archive(path, cache=folder)
    stamp = archive.quick_stamp()
    listing = archive.listing() if stamp is None else None
    recipe_of_these = {**recipe, "listing": stamp if listing is None else listing.stamp}
    artifact = Artifact(packed, kind="packed_images", config=recipe_of_these)
    if artifact.status() != "complete":
        listing = listing or archive.listing()
        if listing.left_out:
            count = f"{len(listing.left_out)} file{'s' if len(listing.left_out) > 1 else ''}"
            said = f"{printable(str(path))}: left out {count}, of a kind other than {KINDS}"
            print(f"ib: {said}: {enumerated(listing.left_out)}", file=sys.stderr)
        layout = read_layout(listing, str(path), form.group_folders)
        with atomic_path(packed) as temporary:
            _write(temporary, archive, listing, layout, form, progress)
        artifact.finish(left_out=len(listing.left_out))
    remember(packed, recipe)
    return packed


def _short(name: str) -> str:
    """As much of a name as leaves room for what stands beside it in a file's name of 255 bytes."""
    return printable(name).encode()[:150].decode(errors="ignore")


def _write(
    path: Path,
    archive: Archive,
    listing: Listing,
    layout: Layout,
    form: Form,
    progress: Progress | None,
) -> None:
    import hdf5plugin

    n = len(listing.files)
    position = {name: i for i, name in enumerate(listing.files)}
    all_grey = True
    rows: list[int] = []
    digests: list[np.ndarray] = []
    block: list[np.ndarray] = []
    refusals = Refusals(archive.path)
    description = f"packing {printable(archive.path.name)}"
    with h5py.File(path, "w", locking=False) as file, _reporting(n, description, progress) as report:
        images: h5py.Dataset | None = None
        for name, content in archive.read(listing.files):
            rows.append(position[name])
            try:
                pixels, grey = _decoded(content, form.background)
            except UnusableError as error:
                refusals.add(name, str(error))
                continue
            digests.append(pixel_digests(pixels[None]))
            if form.resolution is not None:
                pixels = resize(pixels[None], form.resolution)[0]
            refusals.add_size(name, *pixels.shape[1:])
            if refusals:
                continue  # nothing will be kept; the rest is read to tell of all that is wrong
            if images is None:
                # Rows are in the order of reading; `source_index` gives each its place among sorted names.
                images = file.create_dataset(
                    "images",
                    shape=(n, *pixels.shape),
                    dtype=np.uint8,
                    chunks=(min(n, CHUNK), *pixels.shape),
                    compression=hdf5plugin.Blosc2(cname="zstd", clevel=3),
                )
            all_grey &= grey
            block.append(pixels)
            if len(block) == CHUNK or len(rows) == n:
                images[len(rows) - len(block) : len(rows)] = np.stack(block)
                block.clear()
                report(len(rows))
        if len(rows) != n:
            raise UserError(f"{archive.path} changed while it was read; run the same command again.")
        refusals.tell()
        file["source_index"] = np.array(rows, dtype=np.int64)
        file["labels"] = layout.labels[rows]
        file["digests"] = np.concatenate(digests)
        if layout.parts is not None:
            file["parts"] = layout.parts[rows]
        file["names"] = np.array([listing.files[row].encode("utf-8", "surrogateescape") for row in rows])
        if layout.groups is not None:
            file["groups"] = np.array([layout.groups[row].encode() for row in rows])
        file.attrs["around"] = layout.around
        file.attrs["class_names"] = json.dumps(layout.class_names)
        file.attrs["grey"] = all_grey


def _decoded(content: IO[bytes] | UnusableError, background: str) -> tuple[np.ndarray, bool]:
    if isinstance(content, UnusableError):
        raise content
    return decode(content, background)


@contextmanager
def _reporting(total: int, description: str, progress: Progress | None) -> Iterator[Callable[[int], None]]:
    """Report to the caller, or to a bar that shows itself only on a terminal."""
    if progress is not None:
        yield lambda done: progress(done, total, {})
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=description, unit="image", disable=None) as bar:

        def advance(done: int) -> None:
            bar.update(done - bar.n)

        yield advance


def packed_space(path: Path) -> Space:
    """The space of the images of a packed file, as they are before any transform; no list as long as it is read."""
    with read_hdf5(path) as file:
        channels = 1 if file.attrs["grey"] else 3
        height, width = file["images"].shape[2:]
        return Space((channels, height, width), 256, len(json.loads(str(file.attrs["class_names"]))))


def open_pack(path: Path, name: str, augment: bool, group_file: Path | None = None) -> Collection:
    """The images of a packed file, which are read block by block when they are needed.

    Arguments:
        group_file: see `read_group_file`; None: the groups are those that the packed file holds, if any.

    Raises:
        UserError: the group file does not tell the group of every image, or a group lies in several official parts.
    """
    import hdf5plugin  # noqa: F401  (registers the compression filter)

    native = packed_space(path)
    with read_hdf5(path) as file:
        class_names = tuple(json.loads(str(file.attrs["class_names"])))
        columns = {key: file[key][:] for key in ("labels", "digests", "source_index")}
        parts = file["parts"][:] if "parts" in file else None
        groups: Sequence[str] | None = None
        if group_file is not None:
            names = [raw.decode("utf-8", "surrogateescape") for raw in file["names"][:]]
            groups = read_group_file(group_file, names, int(file.attrs["around"]))
        elif "groups" in file:
            groups = [raw.decode() for raw in file["groups"][:]]

    def blocks() -> Iterator[np.ndarray]:
        with read_hdf5(path) as file:
            images = file["images"]
            for start in range(0, len(images), BLOCK):
                yield images[start : start + BLOCK][:, : native.image_shape[0]]

    return Collection(
        name=name,
        class_names=class_names,
        native=native,
        **columns,
        parts=parts,
        blocks=blocks,
        augment=augment,
        groups=None if groups is None else whole_groups(groups, parts, name),
    )
