"""What lies in an activations file, found without reading any image or activation, and checked.

Version 1 of the layout:

=====================  ============================================================================================
``/``                  attribute ``version`` = 1 (taken to be 1 if missing); others are kept as provenance
``/images``            (N, C, H, W), uint8, one or three channels: what decoders see. Attributes: ``axes`` (NCHW unless
                       it says NHWC or NHW), ``intensities`` (256: pixels are integers below it), ``original_shape``
                       ((C, H, W) of what the network saw, if these are area averages of it)
``/labels``            (N,), whole numbers; may be missing. Attribute ``class_names``: names of the labels 0, 1, ...
``/split``             (N,), what each image is for: ``decoder``, ``evaluation`` or ``encoder`` (the network was trained
                       on it, so that it is not measured), or 1, 2 and 0; may be missing
``/epoch_0010/h3``     (N, ...), floating-point numbers or integers: the tap h3 after epoch 10, in the order of
                       ``/images``. Attributes: ``axes`` (see `FileAxes`; needed unless there are one, two (NC) or four
                       (NCHW) of them), ``grid`` ((h, w) of the patches among tokens), ``order`` (a number: from the
                       input on), ``title`` (the tap's name in figures), ``dtype`` (``bfloat16`` where uint16 holds its
                       bits); others are kept as provenance
=====================  ============================================================================================

Every epoch has the same taps, of the same shapes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the filters of compressed datasets)
import numpy as np

from ib_analysis.activations_file.axes import DEFAULT_AXES, FileAxes
from ib_analysis.artifacts import UserError
from ib_analysis.hdf5 import read_hdf5

__all__ = ["VERSION", "FileContents", "FileTap", "as_text", "contents_of", "reading"]

VERSION = 1
_EPOCH = re.compile(r"epoch_(\d+)")
_READ_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError)


@dataclass(frozen=True)
class FileTap:
    """One tap, the same at every epoch.

    Arguments:
        shape: of one image's activations, (C, h, w) or (C,).
        axes: of its datasets.
        title: what it is called in figures; empty: by its name.
    """

    shape: tuple[int, ...]
    axes: FileAxes
    title: str = ""


@dataclass(frozen=True, eq=False)
class FileContents:
    """What an activations file holds.

    Arguments:
        path: of the file.
        state: its size and time, by which a change is noticed.
        n_images: N.
        image_axes: NCHW, NHWC or NHW.
        image_shape: (C, H, W).
        original_shape: (C, H, W) of the images that the network saw, where those of the file are averages of them.
        intensities: pixels are integers below it.
        has_labels, has_split: whether there are these datasets.
        epochs: ascending.
        taps: name -> tap, from the input on.
        provenance: what else the attributes say: place -> attribute -> text or number.
    """

    path: Path
    state: tuple[int, int]
    n_images: int
    image_axes: str
    image_shape: tuple[int, int, int]
    original_shape: tuple[int, int, int] | None
    intensities: int
    has_labels: bool
    has_split: bool
    epochs: tuple[int, ...]
    taps: Mapping[str, FileTap]
    provenance: Mapping[str, Mapping[str, Any]]


def contents_of(path: Path) -> FileContents:
    """What lies in a file.

    Raises:
        UserError: the file is missing or damaged, or does not have the layout; the sentence names the dataset.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"activations_file: {path} does not exist; name an HDF5 file.") from error
    if path.is_dir():
        raise UserError(f"activations_file: {path} is a folder; name an HDF5 file.")
    return _contents(path, (status.st_size, status.st_mtime_ns))


@contextmanager
def reading(path: Path) -> Iterator[h5py.File]:
    """The open file; what HDF5 says of a damaged one becomes a sentence.

    Raises:
        UserError: it is no HDF5 file, truncated or damaged.
    """
    try:
        with read_hdf5(path) as file:
            yield file
    except FileNotFoundError as error:
        raise UserError(f"activations_file: {path} does not exist; name an HDF5 file.") from error
    except _READ_ERRORS as error:
        what = " ".join(str(error).split())
        raise UserError(
            f"{path} cannot be read (no HDF5 file, truncated or damaged: {what}); write it again."
        ) from error


def as_text(value: Any) -> str:
    """Text of an attribute or dataset, which HDF5 libraries write as bytes, strings or arrays of one.

    >>> as_text(np.bytes_(b"NCHW")), as_text(np.array(["NC"], dtype=object))
    ('NCHW', 'NC')
    """
    value = np.asarray(value).reshape(-1)[0] if np.ndim(value) or isinstance(value, np.ndarray) else value
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


@lru_cache(maxsize=4)
def _contents(path: Path, state: tuple[int, int]) -> FileContents:
    with reading(path) as file:
        version = _whole(file.attrs.get("version", VERSION), f"{path}: the attribute version")
        if version != VERSION:
            raise UserError(f"{path} has version {version} of the layout, and this program reads {VERSION}; update it.")
        axes, image_shape, n_images, intensities = _images(path, file)
        for name in ("labels", "split"):
            if name in file and getattr(file[name], "shape", None) not in _columns(n_images):
                raise UserError(f"{path}: /{name} must be a dataset with a value for each of the {n_images} images.")
        epochs, taps = _taps(path, file, n_images)
        return FileContents(
            path,
            state,
            n_images,
            axes,
            image_shape,
            _sizes(file["images"], "original_shape", 3, f"{path}: /images"),
            intensities,
            "labels" in file,
            "split" in file,
            epochs,
            taps,
            _provenance(file),
        )


def _columns(n_images: int) -> tuple[tuple[int, ...], ...]:
    """Shapes that a list of values may have: MATLAB has no arrays of one axis."""
    return (n_images,), (n_images, 1), (1, n_images)


def _images(path: Path, file: h5py.File) -> tuple[str, tuple[int, int, int], int, int]:
    found = file.get("images")
    if not isinstance(found, h5py.Dataset):
        raise UserError(f"{path} has no dataset /images; write the images, (N, C, H, W) in uint8, that decoders see.")
    axes = as_text(found.attrs.get("axes", "NCHW"))
    if axes not in ("NCHW", "NHWC", "NHW") or found.ndim != len(axes) or found.dtype != np.uint8:
        raise UserError(
            f"{path}: /images has shape {found.shape}, type {found.dtype} and axes {axes}; it must be uint8 with axes "
            "NCHW, or NHWC or NHW as its attribute axes says."
        )
    sizes = dict(zip(axes, found.shape, strict=True))
    channels, height, width = sizes.get("C", 1), sizes["H"], sizes["W"]
    if channels not in (1, 3) or not found.size:
        raise UserError(
            f"{path}: /images has shape {found.shape} with axes {axes}, {channels} channels; give at least one image, "
            "with 1 or 3 channels."
        )
    intensities = _whole(found.attrs.get("intensities", 256), f"{path}: the attribute intensities of /images")
    if not 2 <= intensities <= 256:
        raise UserError(f"{path}: the attribute intensities of /images is {intensities}; it must be 2 to 256.")
    return axes, (channels, height, width), sizes["N"], intensities


def _taps(path: Path, file: h5py.File, n_images: int) -> tuple[tuple[int, ...], dict[str, FileTap]]:
    groups = {int(found[1]): name for name in file if (found := _EPOCH.fullmatch(name))}
    if not groups:
        raise UserError(
            f"{path} has no activations; write them as /epoch_0010/h3, a group per epoch, a dataset per tap."
        )
    by_epoch: dict[int, dict[str, FileTap]] = {}
    orders: dict[str, float] = {}
    for epoch, group in sorted(groups.items()):
        if group != f"epoch_{epoch:04d}" or not isinstance(file[group], h5py.Group):
            raise UserError(f"{path}: /{group} must be a group called epoch_{epoch:04d}, with a dataset for each tap.")
        by_epoch[epoch] = {}
        for name, dataset in file[group].items():
            by_epoch[epoch][name] = _tap(path, f"/{group}/{name}", dataset, n_images)
            if "order" in dataset.attrs:
                orders.setdefault(name, _number(dataset.attrs["order"], f"{path}: the order of /{group}/{name}"))
    first, *others = by_epoch
    taps = by_epoch[first]
    if not taps:
        raise UserError(f"{path}: /{groups[first]} has no taps; write a dataset for each.")
    for epoch in others:
        for name in sorted({*taps, *by_epoch[epoch]}):
            if name not in taps or name not in by_epoch[epoch]:
                there, missing = (first, epoch) if name in taps else (epoch, first)
                raise UserError(
                    f"{path}: the tap {name} is there at epoch {there} and missing at epoch {missing}; every epoch "
                    "must have the same taps."
                )
            if taps[name].shape != by_epoch[epoch][name].shape:
                raise UserError(
                    f"{path}: the tap {name} has activations of shape {taps[name].shape} per image at epoch {first} "
                    f"and {by_epoch[epoch][name].shape} at epoch {epoch}; they must be the same."
                )
    ordered = sorted(taps, key=lambda name: (orders.get(name, math.inf), _natural(name)))
    return tuple(by_epoch), {name: taps[name] for name in ordered}


def _tap(path: Path, place: str, dataset: Any, n_images: int) -> FileTap:
    if not isinstance(dataset, h5py.Dataset):
        raise UserError(f"{path}: {place} is a group and no dataset; write a tap's activations right there.")
    kind = as_text(dataset.attrs.get("dtype", ""))
    if kind not in ("", "bfloat16") or (kind and dataset.dtype != np.uint16):
        raise UserError(
            f"{path}: {place} has the type {dataset.dtype} and says that its dtype is {kind}; leave that out, or write "
            "the bits of bfloat16 as uint16."
        )
    if dataset.dtype.kind not in "fiub":
        raise UserError(
            f"{path}: {place} has the type {dataset.dtype}; activations must be floating-point numbers or integers (of "
            "complex ones, the real and the imaginary part as channels)."
        )
    if not dataset.shape or dataset.shape[0] != n_images:
        raise UserError(f"{path}: {place} has shape {dataset.shape}, and there are {n_images} images; they come first.")
    letters = as_text(dataset.attrs["axes"]) if "axes" in dataset.attrs else DEFAULT_AXES.get(dataset.ndim)
    if letters is None or len(letters) != dataset.ndim:
        raise UserError(
            f"{path}: {place} has shape {dataset.shape}; say in its attribute axes, a letter for each, how they are "
            "meant: NTC (images, tokens, channels), NCT, NCHW, ..."
        )
    try:
        axes = FileAxes(letters, _sizes(dataset, "grid", 2, f"{path}: {place}"))
        shape = axes.row_shape(dataset.shape)
    except ValueError as error:
        raise UserError(f"{path}: {place}: {error}.") from error
    if not dataset.size:
        raise UserError(f"{path}: {place} has shape {dataset.shape}, which holds no number; leave it out.")
    return FileTap(shape, axes, as_text(dataset.attrs.get("title", "")).strip())


def _sizes(dataset: h5py.Dataset, name: str, count: int, place: str) -> Any:
    """An attribute of so many sizes, or None where there is none."""
    if name not in dataset.attrs:
        return None
    found = np.asarray(dataset.attrs[name]).reshape(-1)
    if len(found) != count or found.dtype.kind not in "iuf" or (found != np.round(found)).any() or (found < 1).any():
        raise UserError(
            f"{place}: the attribute {name} is {found.tolist()}; it must be {count} whole numbers from 1 on."
        )
    return tuple(int(size) for size in found)


def _provenance(file: h5py.File) -> dict[str, dict[str, Any]]:
    known = {"version", "axes", "intensities", "class_names", "order", "dtype", "grid", "title", "original_shape"}
    found = {"/": _attributes(file, known)}
    file.visititems(lambda name, item: found.update({f"/{name}": _attributes(item, known)}))
    return {place: attributes for place, attributes in found.items() if attributes}


def _attributes(item: Any, known: set[str]) -> dict[str, Any]:
    """Attributes of a few words; long arrays are no provenance."""
    values = {name: item.attrs[name] for name in item.attrs if name not in known}
    return {
        name: np.asarray(value).item() if np.asarray(value).dtype.kind in "fiub" else as_text(value)
        for name, value in values.items()
        if np.size(value) == 1
    }


def _whole(value: Any, what: str) -> int:
    number = _number(value, what)
    if number != round(number):
        raise UserError(f"{what} is {number}; it must be a whole number.")
    return int(number)


def _number(value: Any, what: str) -> float:
    try:
        return float(np.asarray(value).reshape(-1)[0])
    except (ValueError, TypeError, IndexError) as error:
        raise UserError(f"{what} is {value!r}; it must be a number.") from error


def _natural(name: str) -> list[tuple[int, str]]:
    """h2 before h10."""
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", name)]
