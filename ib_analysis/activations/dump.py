"""Write one run's activations to disk; go on where an interrupted dump ended; mend what is damaged."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ib_analysis.activations.numbers import Numbers
from ib_analysis.activations.source import UnkeptActivations
from ib_analysis.activations.store import (
    COMPRESSION,
    READ_ERRORS,
    READING,
    chunk_images,
    dataset_name,
    is_intact,
    open_to_read,
    restore_length,
    start_hash,
)
from ib_analysis.artifacts import Artifact, UserError, atomic_path, plain, sha256_of_plain, versions

__all__ = ["activations_artifact", "dump_activations"]

logger = logging.getLogger(__name__)
Progress = Callable[[int, int, dict[str, float]], None]


def activations_artifact(
    path: Path,
    *,
    config: Mapping[str, Any],
    seed: int,
    data_sha256: str,
    encoders: Mapping[int, str],
) -> Artifact:
    """The dump as an artifact; its inputs are the images and one encoder checkpoint per epoch."""
    inputs = {"data": data_sha256} | {f"epoch_{epoch:04d}": identity for epoch, identity in encoders.items()}
    return Artifact(path, "activations", config, inputs, seed)


def dump_activations(
    path: Path,
    source: UnkeptActivations,
    *,
    config: Mapping[str, Any],
    seed: int,
    data_sha256: str,
    encoders: Mapping[int, str],
    progress: Progress | None = None,
) -> str:
    """Write ``/epoch_0010/h3`` (N, C, h, w) or (N, C), float16, for all epochs and layers of a source.

    Where plain float16 would lose, the dataset has the attributes ``numbers`` (float16 or float32) and, if its channels
    are mapped, ``offset`` and ``scale``, (C,): activations are kept * scale + offset (see `Numbers`). A tap that is
    made of codes is kept bit-packed instead, one row of bytes per image, with ``bits`` and ``signed`` as attributes
    (see `Layout`).

    Chunks are compressed by Blosc2, which h5py alone does not know: ``import hdf5plugin`` before reading the file with
    it (the file's attribute ``reading`` says so, too).

    One group of images is in memory at a time. What is there already, intact and made from the same
    checkpoint, is kept; a damaged, unfinished or outdated dataset is named in the log and made again. The
    last thing written for a dataset is its hash: without it, it does not count.

    Arguments:
        path: the HDF5 file.
        source: where the activations come from; images are in its order (see `Groups`).
        config: plain data: everything chosen by the user that the content depends on; kept in the file.
        seed: the encoder's seed; kept in the file.
        data_sha256: hash of the images.
        encoders: epoch -> SHA-256 of the checkpoint; kept in the file, beside the datasets made from it.
        progress: called with (groups done, groups in all, {"epoch": ...}).

    Returns:
        The artifact's identity: a hash of all datasets' hashes.

    Raises:
        UserError: the disk is full, another config made the file, or activations are not numbers.
    """
    artifact = activations_artifact(path, config=config, seed=seed, data_sha256=data_sha256, encoders=encoders)
    artifact.check()
    if artifact.status() == "complete":
        return artifact.identity
    if artifact.is_outdated:
        path.unlink(missing_ok=True)  # else what is intact and of the same encoder would be kept
    sound = not (artifact.manifest() or {}).get("complete")
    artifact.begin()
    path.parent.mkdir(parents=True, exist_ok=True)
    shapes = {layer: (source.groups.n_images, *source.shape(layer)) for layer in source.layers}
    expected = {dataset_name(epoch, layer) for epoch in source.epochs for layer in source.layers}
    facts = {
        "reading": READING,
        "seed": seed,
        "config": json.dumps(plain(config), sort_keys=True),
        "versions": json.dumps(versions(), sort_keys=True),
        "data_sha256": data_sha256,
        "n_train": source.groups.n_train,
        "n_validation": source.groups.n_validation,
        "n_evaluation": source.groups.n_evaluation,
        "group_size": source.groups.group_size,
    }
    intact = _mend(path, expected, shapes, encoders, data_sha256, sound)
    with _explained(path), _open_to_write(path) as file:
        file.attrs.update(facts)
        file.attrs["epochs"] = np.array(source.epochs)
        file.attrs["layers"] = list(source.layers)
        missing = {
            epoch: [layer for layer in source.layers if dataset_name(epoch, layer) not in intact]
            for epoch in source.epochs
        }
        total = len(source.groups) * sum(bool(layers) for layers in missing.values())
        done = 0
        for epoch, layers in missing.items():
            if not layers:
                continue
            for _ in _write_epoch(file, source, epoch, layers, shapes, encoders[epoch]):
                done += 1
                if progress is not None:
                    progress(done, total, {"epoch": epoch})
        hashes = {name: str(file[name].attrs["sha256"]) for name in sorted(expected)}
        n_clamped = {name: int(file[name].attrs["n_clamped"]) for name in sorted(expected)}
        numbers = {name: Numbers.of(file[name].attrs) for name in sorted(expected) if "bits" not in file[name].attrs}
    beyond = {name: count for name, count in n_clamped.items() if count}
    if beyond:
        told = ", ".join(f"{count:,} in {name}" for name, count in beyond.items())
        logger.warning("%s: values beyond the range of their numbers, in all: %s.", path, told)
    return artifact.finish(
        identity=sha256_of_plain(hashes),
        hashes=hashes,
        values_beyond_float16=beyond,
        bits_of_numbers={name: found.bits for name, found in numbers.items()},
        losing_precision=[name for name, found in numbers.items() if found.loses],
    )


def _write_epoch(
    file: h5py.File,
    source: UnkeptActivations,
    epoch: int,
    layers: list[str],
    shapes: Mapping[str, tuple[int, ...]],
    encoder_sha256: str,
) -> Iterator[None]:
    """Write the missing layers of one epoch together: one forward pass per group gives them all."""
    folder = file.require_group(f"epoch_{epoch:04d}")
    folder.attrs["encoder_sha256"] = encoder_sha256
    folder.attrs["epoch"] = epoch
    datasets, digests, n_clamped = {}, {}, dict.fromkeys(layers, 0)
    layouts = {layer: source.layout(epoch, layer) for layer in layers}
    for layer, layout in layouts.items():
        dtype = np.dtype(layout.dtype)
        shape = (shapes[layer][0], *layout.row_shape)
        chunk = min(shape[0], chunk_images(source.groups.group_size, dtype.itemsize * int(np.prod(shape[1:]))))
        datasets[layer] = folder.create_dataset(layer, shape, dtype, chunks=(chunk, *shape[1:]), **COMPRESSION)
        digests[layer] = start_hash(shape, dtype.name, layout.numbers)
    for group, (start, stop) in enumerate(source.groups.bounds):
        for layer in layers:
            values = layouts[layer].pack(source.read(epoch, layer, group))
            n_clamped[layer] += source.n_clamped(epoch, layer, group)
            datasets[layer][start:stop] = values
            digests[layer].update(values.data)
        yield
    file.flush()  # the values are on their way to the disk before the hash that vouches for them
    for layer in layers:
        datasets[layer].attrs["n_clamped"] = n_clamped[layer]
        datasets[layer].attrs["shape"] = shapes[layer]
        datasets[layer].attrs.update(layouts[layer].attributes)
        datasets[layer].attrs["sha256"] = digests[layer].hexdigest()
    file.flush()


def _mend(
    path: Path,
    expected: set[str],
    shapes: Mapping[str, tuple[int, ...]],
    encoders: Mapping[int, str],
    data_sha256: str,
    sound: bool,
) -> set[str]:
    """Leave in the file only what is intact and made from the same inputs; return those names.

    Arguments:
        sound: the file was never finished, so that it may be sound; else something in it is known to have
            changed.
    """
    if not path.exists():
        return set()
    try:
        if restore_length(path):
            sound = False
            logger.warning("%s is truncated; what lies beyond the cut is made again.", path)
        with open_to_read(path) as file:
            if file.attrs.get("data_sha256") != data_sha256:
                raise ValueError("it was only begun, or made from other images")
            present = [name for name in sorted(expected) if name in file]
            intact = {name for name in present if is_intact(file, name)}
            for name in present:
                if "sha256" in _attributes(file, name) and name not in intact:
                    logger.warning("%s: /%s is damaged and is made again.", path, name)
            intact = {name for name in intact if _same_inputs(file, name, shapes, encoders)}
            if not sound or len(intact) < len(present):
                _rescue(file, intact, path)
    except READ_ERRORS as error:
        logger.warning("%s is of no use (%s); all of it is made again.", path, " ".join(str(error).split()))
        path.unlink()
        return set()
    return intact


def _rescue(file: h5py.File, names: set[str], path: Path) -> None:
    """Copy datasets into a new file that takes the old one's place.

    Deleting the others would not give their space back, and to write into a damaged file damages it further.
    """
    with atomic_path(path) as temporary:
        temporary.unlink()
        with _open_to_write(temporary) as rescued:
            rescued.attrs["data_sha256"] = file.attrs["data_sha256"]
            for name in sorted(names):
                folder, layer = name.split("/")
                target = rescued.require_group(folder)
                target.attrs.update(dict(file[folder].attrs))
                file.copy(file[name], target, layer)


def _attributes(file: h5py.File, name: str) -> dict[str, Any]:
    try:
        return dict(file[name].attrs)
    except READ_ERRORS:
        # Not even its header can be read: damaged, as an unfinished dataset has a header.
        return {"sha256": None}


def _same_inputs(
    file: h5py.File, name: str, shapes: Mapping[str, tuple[int, ...]], encoders: Mapping[int, str]
) -> bool:
    folder, layer = name.split("/")
    identity = encoders[int(folder.removeprefix("epoch_"))]
    return file[folder].attrs.get("encoder_sha256") == identity and tuple(file[name].attrs["shape"]) == shapes[layer]


def _open_to_write(path: Path) -> h5py.File:
    # Without a lock: the experiment's is held, and HDF5 fails where the file system has none.
    # The 1.8 format: its headers carry checksums, and a killed writer leaves no mark that keeps others out.
    return h5py.File(path, "a", libver=("v108", "v108"), locking=False)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what HDF5 says of a failed write into one sentence; errors of other origin pass."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        # HDF5 fails again as the file is closed; each message carries the system's reason.
        reason = re.search(r"error message = '([^']*)'", f"{error} {error.__context__}")
        if reason is None and not isinstance(error, OSError):
            raise
        why = reason.group(1) if reason else str(error)
        what = "The disk is full" if "No space left" in why or "quota" in why else why
        raise UserError(
            f"{what}: {path} could not be written; free some space (or set activations.mode to recompute) "
            "and run the same command again, everything finished so far is kept."
        ) from error
