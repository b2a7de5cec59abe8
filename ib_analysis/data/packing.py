"""Decode a tree or tar of images once and keep the pixels in one HDF5 file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import h5py
import numpy as np

from ib_analysis.artifacts import Artifact, UserError, atomic_path, sha256_of_plain
from ib_analysis.data.archive import Archive, Listing
from ib_analysis.data.collection import BLOCK, Collection
from ib_analysis.data.interface import Progress, Space
from ib_analysis.data.layout import Layout, read_layout
from ib_analysis.data.splits import pixel_digests
from ib_analysis.data.transforms import resize
from ib_analysis.hdf5 import read_hdf5

__all__ = ["decode", "open_pack", "pack"]

MAX_SIDE = 256
CHUNK = 256
GREY_MODES = ("1", "L", "LA")
COLOUR_MODES = ("RGB", "RGBA", "P", "CMYK", "YCbCr")


def pack(archive: Archive, folder: Path, resolution: int | None, progress: Progress | None = None) -> Path:
    """Pack an archive, unless this was done already and nothing has changed since.

    Arguments:
        archive: the images.
        folder: where the packed file goes.
        resolution: the side to which images are resized while packing, or None if all have one size.
        progress: called with (images done, images in all, {}); without it a bar is shown on a terminal.

    Returns:
        the path of the packed file; it is written anew when a file's name, size or time, or the resolution
        changed.

    Raises:
        UserError: an image cannot be read or has another size than the first, or the tree makes no sense.
    """
    stamp = archive.stamp()
    name = archive.path.name.split(".")[0] or "images"
    place = sha256_of_plain([archive.path.resolve(), resolution])[:12]
    path = folder / f"{name}-{place}.h5"
    recipe = {"format": 1, "listing": stamp, "resolution": resolution}
    artifact = Artifact(path, kind="packed_images", config=recipe)
    if artifact.status() != "complete":
        listing = archive.listing()
        layout = read_layout(listing, str(archive.path))
        with atomic_path(path) as temporary:
            _write(temporary, archive, listing, layout, resolution, progress)
        artifact.finish()
    return path


def decode(name: str, content: IO[bytes]) -> tuple[np.ndarray, bool]:
    """Read a PNG or JPEG.

    Returns:
        pixels, shape (3, H, W), uint8, and whether the file is grey; transparency is dropped.

    Raises:
        UserError: the file is broken, is something else, or has more than 8 bits per channel.
    """
    from PIL import Image

    try:
        with Image.open(content, formats=("PNG", "JPEG")) as image:
            if image.mode not in GREY_MODES + COLOUR_MODES:
                raise UserError(
                    f"The image {name} has pixels of mode {image.mode!r} instead of 8 bits per channel; "
                    "convert it to 8-bit PNG."
                )
            pixels = np.array(image.convert("RGB")).transpose(2, 0, 1)
            return np.ascontiguousarray(pixels), image.mode in GREY_MODES
    except UserError:
        raise
    except Exception as error:  # PIL raises many kinds for broken files: OSError, SyntaxError, ValueError, ...
        raise UserError(
            f"The image {name} cannot be read as PNG or JPEG ({error}); replace it or remove it."
        ) from error


def _write(
    path: Path,
    archive: Archive,
    listing: Listing,
    layout: Layout,
    resolution: int | None,
    progress: Progress | None,
) -> None:
    import hdf5plugin

    n = len(listing.files)
    position = {name: i for i, name in enumerate(listing.files)}
    all_grey = True
    rows: list[int] = []
    digests: list[np.ndarray] = []
    block: list[np.ndarray] = []
    with h5py.File(path, "w", locking=False) as file, _reporting(n, f"packing {archive.path.name}", progress) as report:
        images: h5py.Dataset | None = None
        for name, content in archive.read(listing.files):
            pixels, grey = decode(f"{archive.path}: {name}", content)
            digests.append(pixel_digests(pixels[None]))
            if resolution is not None:
                pixels = resize(pixels[None], resolution)[0]
            if images is None:
                _check_side(pixels, name, archive)
                # Rows are in the order of reading; `source_index` gives each its place among sorted names.
                images = file.create_dataset(
                    "images",
                    shape=(n, *pixels.shape),
                    dtype=np.uint8,
                    chunks=(min(n, CHUNK), *pixels.shape),
                    compression=hdf5plugin.Blosc2(cname="zstd", clevel=3),
                )
            if pixels.shape != images.shape[1:]:
                raise _mis_sized(pixels, images.shape[1:], name, archive)
            all_grey &= grey
            rows.append(position[name])
            block.append(pixels)
            if len(block) == CHUNK or len(rows) == n:
                images[len(rows) - len(block) : len(rows)] = np.stack(block)
                block.clear()
                report(len(rows))
        if len(rows) != n:
            raise UserError(f"{archive.path} changed while it was read; run the same command again.")
        file["source_index"] = np.array(rows, dtype=np.int64)
        file["labels"] = layout.labels[rows]
        file["digests"] = np.concatenate(digests)
        if layout.parts is not None:
            file["parts"] = layout.parts[rows]
        file["names"] = np.array([listing.files[row].encode() for row in rows])
        file.attrs["class_names"] = json.dumps(layout.class_names)
        file.attrs["grey"] = all_grey


def _check_side(pixels: np.ndarray, name: str, archive: Archive) -> None:
    height, width = pixels.shape[1:]
    if max(height, width) > MAX_SIDE or min(height, width) < 4:
        raise UserError(
            f"{archive.path}: the image {name} has {width}x{height} pixels; set data.resolution (for "
            f"instance 32) to resize all images, since sides of 4 to {MAX_SIDE} pixels are supported."
        )


def _mis_sized(pixels: np.ndarray, expected: tuple[int, ...], name: str, archive: Archive) -> UserError:
    return UserError(
        f"{archive.path}: the image {name} has {pixels.shape[2]}x{pixels.shape[1]} pixels where the others "
        f"have {expected[2]}x{expected[1]}; set data.resolution to resize all images, or replace or remove "
        "this one."
    )


@contextmanager
def _reporting(total: int, description: str, progress: Progress | None) -> Iterator[Callable[[int], None]]:
    """Report to the caller, or to a bar that shows itself only on a terminal."""
    if progress is not None:
        yield lambda done: progress(done, total, {})
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=description, unit="image", disable=None) as bar:

        def advance(done: int) -> None:
            bar.update(done - bar.n)

        yield advance


def open_pack(path: Path, name: str, augment: bool) -> Collection:
    """The images of a packed file, which are read block by block when they are needed."""
    import hdf5plugin  # noqa: F401  (registers the compression filter)

    with read_hdf5(path) as file:
        class_names = tuple(json.loads(str(file.attrs["class_names"])))
        channels = 1 if file.attrs["grey"] else 3
        height, width = file["images"].shape[2:]
        columns = {key: file[key][:] for key in ("labels", "digests", "source_index")}
        parts = file["parts"][:] if "parts" in file else None

    def blocks() -> Iterator[np.ndarray]:
        with read_hdf5(path) as file:
            images = file["images"]
            for start in range(0, len(images), BLOCK):
                yield images[start : start + BLOCK][:, :channels]

    return Collection(
        name=name,
        class_names=class_names,
        native=Space((channels, height, width), 256, len(class_names)),
        **columns,
        parts=parts,
        blocks=blocks,
        augment=augment,
    )
