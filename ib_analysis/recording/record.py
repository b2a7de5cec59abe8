"""From torch networks to an activations file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from decoders.precision import full_precision
from ib_analysis.activations import check_repeats, dataset_name
from ib_analysis.activations_file import VERSION, check_pixels, contents_of
from ib_analysis.artifacts import UserError, atomic_path, versions
from ib_analysis.data import area_average, size_within
from ib_analysis.encoders import NamedTaps
from ib_analysis.recording.arguments import (
    Values,
    check_numbers,
    check_taps,
    chosen_device,
    columns_of,
    epochs_of,
    preprocessing,
)
from ib_analysis.recording.held_out import Overlap, TrainedOn, held_out, pixels_of
from ib_analysis.recording.networks import Networks, network_at, taking

__all__ = ["DECODER_RESOLUTION", "record"]

DECODER_RESOLUTION = 32
"""Pixels of the longer side of what decoders see, unless another number is asked for."""
_BLOCK = 512
logger = logging.getLogger(__name__)


def record(
    path: str | PathLike[str],
    images: np.ndarray | Tensor,
    labels: Values | None = None,
    *,
    networks: Networks,
    taps: Mapping[str, str],
    preprocess: Callable[[Tensor], Tensor] | None = None,
    network: nn.Module | None = None,
    axes: Mapping[str, str] | None = None,
    split: Values | None = None,
    trained_on: TrainedOn | None = None,
    overlap: Overlap = "drop",
    decoder_resolution: int = DECODER_RESOLUTION,
    titles: Mapping[str, str] | None = None,
    class_names: Sequence[str] | None = None,
    intensities: int = 256,
    batch_size: int = 64,
    device: str | torch.device | None = None,
    mixed_precision: bool = False,
) -> Path:
    """Write what networks make of images, at every tap and epoch, to a file for the setting ``activations_file``.

    Networks run in evaluation mode and without gradients, a batch at a time, and are left as they were found: mode,
    device, weights, buffers, hooks.

    Arguments:
        path: of the file, which appears when it is whole; see `ib_analysis.activations_file.layout`.
        images: shape (N, C, H, W), uint8, one or three channels, of any size; a `numpy.memmap` is read in parts.
        labels: shape (N,), whole numbers; None: what needs labels is left out later.
        networks: epoch -> the module as it was then, a function without arguments that gives it, or a file of its
            state dict (of torch or safetensors), which is loaded into `network`.
        taps: name of a tap -> path of a module or node, from input to output; see `NamedTaps` for what a path may be.
        preprocess: integer images (B, C, H, W) on the device -> input of the network; by default scaled to 0..1.
        network: the module that files of weights belong to.
        axes: of taps, where they cannot be recognised; see `NamedTaps`.
        split: shape (N,): what each image is for, as in the layout; None: drawn when the file is measured.
        trained_on: images that the networks were trained on, shape (M, C, H, W), uint8, or their hashes as
            `ib_analysis.data.image_digests` gives them, shape (M, 32), or in hexadecimal. Those of `images` that are
            among them, pixel by pixel, would not be held out.
        overlap: leave those out (``drop``), and say how many, or ``refuse`` to go on.
        decoder_resolution: pixels of the longer side of what decoders will see, at most: larger images are averaged
            over areas for them, and figures say so; the network sees them as they are.
        titles: of taps, for figures; others go by their names.
        class_names: of the labels 0, 1, ...
        intensities: pixels are integers below it.
        batch_size: images that go through a network at once.
        device: to run on; by default the GPU, if there is one.
        mixed_precision: run in bfloat16 where torch's autocast does.

    Returns:
        The path.

    Raises:
        UserError: images, labels, split or networks do not fit; a network does not take the images, or gives other
            activations each time; a tap does not exist (the nearest names are told).

    >>> import tempfile
    >>> images = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8)
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = record(f"{folder}/mine.h5", images, networks={0: net}, taps={"early": "1", "late": "3"})
    ...     {name: tap.shape for name, tap in contents_of(file).taps.items()}
    {'early': (4, 6, 6), 'late': (10,)}
    """
    target, pixels = Path(path), pixels_of("images", images)
    epochs = epochs_of(networks)
    check_taps(taps, titles or {})
    check_numbers(decoder_resolution, batch_size, intensities)
    kept = held_out(pixels, trained_on, overlap)
    columns = columns_of(labels, split, class_names, kept, len(pixels))
    device = chosen_device(device)
    prepare = preprocessing(preprocess, intensities)
    if target.exists():
        logger.warning("%s is there already; it is replaced once the new one is whole.", target)
    with atomic_path(target) as temporary, _named(temporary, target):
        with h5py.File(temporary, "w", libver=("v108", "v108"), locking=False) as file:
            file.attrs.update({"version": VERSION, "written_by": "ib_analysis.record", "torch": versions()["torch"]})
            _write_images(file, pixels, kept, decoder_resolution, intensities)
            for name, values in columns.items():
                file.create_dataset(name, data=values)
            if labels is not None and class_names is not None:
                file["labels"].attrs["class_names"] = list(class_names)
            with tqdm(total=len(epochs) * len(kept), unit="image", desc="record", leave=False, disable=None) as bar:
                for epoch in epochs:
                    with network_at(networks, epoch, network, device) as at:
                        tapped = NamedTaps(at, taps, prepare, axes)
                        for start, stop in _batches(len(kept), batch_size):
                            batch = torch.from_numpy(pixels[kept[start:stop]]).to(device)
                            found = _taps(tapped, batch, mixed_precision)
                            if start == 0:
                                check_repeats(found, _taps(tapped, batch, mixed_precision), tapped.layers)
                            _write(file, epoch, tapped, found, start, len(kept))
                            bar.update(stop - start)
                    for name, title in (titles or {}).items():
                        file[dataset_name(epoch, name)].attrs["title"] = title
        contents_of(temporary)  # says what is wrong before the file has its name
    return target


@contextmanager
def _named(temporary: Path, target: Path) -> Iterator[None]:
    """Sentences about the file name it as the user does."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(str(temporary), str(target))) from error


def _batches(n_images: int, batch_size: int) -> Iterator[tuple[int, int]]:
    """Where batches begin and end. No image is left alone: what squeezes its batch away (squeeze()) would see none.

    >>> list(_batches(9, 4)), list(_batches(2, 1))
    ([(0, 4), (4, 9)], [(0, 1), (1, 2)])
    """
    starts = list(range(0, n_images, batch_size))
    if batch_size > 1 and len(starts) > 1 and n_images - starts[-1] == 1:
        del starts[-1]
    return zip(starts, [*starts[1:], n_images], strict=True)


def _taps(tapped: NamedTaps, batch: Tensor, mixed_precision: bool) -> dict[str, Tensor]:
    kind = batch.device.type
    with (
        taking(batch.shape[1:]),
        torch.no_grad(),
        torch.autocast(kind, torch.bfloat16, enabled=mixed_precision),
        full_precision(),
    ):
        return tapped.taps(batch)


def _write(
    file: h5py.File, epoch: int, tapped: NamedTaps, taps: Mapping[str, Tensor], start: int, n_images: int
) -> None:
    """A batch's activations into their datasets, which the first batch makes."""
    for order, (layer, path) in enumerate(tapped.paths.items()):
        values = taps[layer].cpu()
        # HDF5 has no bfloat16, and numpy no floats of 8 bits; float32 has all their values.
        is_known = not values.is_floating_point() or values.dtype in (torch.float16, torch.float32, torch.float64)
        found = (values if is_known else values.float()).numpy()
        name = dataset_name(epoch, layer)
        if name not in file:
            # Contiguous: images are read in another order later.
            file.create_dataset(name, (n_images, *found.shape[1:]), found.dtype)
            file[name].attrs.update({"order": order, "path": path})
        file[name][start : start + len(found)] = found


def _write_images(file: h5py.File, pixels: np.ndarray, kept: np.ndarray, resolution: int, intensities: int) -> None:
    """What decoders see, a block at a time."""
    channels, height, width = pixels.shape[1:]
    size = size_within(height, width, resolution)
    dataset = file.create_dataset("images", (len(kept), channels, *size), np.uint8)
    for start in range(0, len(kept), _BLOCK):
        block = pixels[kept[start : start + _BLOCK]]
        check_pixels(block, intensities, "images")
        dataset[start : start + len(block)] = area_average(block, *size)
    dataset.attrs["intensities"] = intensities
    if size != (height, width):
        dataset.attrs["original_shape"] = (channels, height, width)
