"""`ib record`: from a model of a registry and saved weights to an activations file, without code."""

from __future__ import annotations

import re
from collections.abc import Callable
from glob import glob
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from ib_analysis.activations_file import contents_of
from ib_analysis.artifacts import UserError
from ib_analysis.data import ImageData, load_data
from ib_analysis.recording.config import RecordConfig
from ib_analysis.recording.held_out import TrainedOn
from ib_analysis.recording.networks import Networks
from ib_analysis.recording.record import record
from ib_analysis.recording.registry import Model, build_model

__all__ = ["epochs_of_files", "record_model"]

PRETRAINED = "pretrained"


def record_model(path: Path, config: RecordConfig) -> str:
    """Write the file, and say what it holds.

    Raises:
        UserError: the data set, a model, a file of weights or a tap cannot be used.
    """
    if path.suffix not in (".h5", ".hdf5"):
        raise UserError(f"the file is {path}; call it something.h5.")
    pretrained = config.weights == PRETRAINED
    files = {} if pretrained or config.weights is None else epochs_of_files(config.weights)
    trained_on = _trained_on(config.trained_on)
    if config.threads:
        torch.set_num_threads(config.threads)
    data = load_data(config.data)
    classes = {"num_classes": len(data.class_names)} if data.has_labels and not pretrained else {}
    model = build_model(config.network, {**classes, **config.options}, pretrained, config.seed)
    networks: Networks = files or {0: model.network}
    splits = {name: data.splits[name] for name in config.splits if len(data.splits[name])}
    if not splits:
        raise UserError(f"splits is {list(config.splits)}, which hold no images; name others.")
    # A split of the file must have images for decoders and for evaluation; else all of them are split anew.
    keeps = {"decoder", "evaluation"} <= set(splits)
    record(
        path,
        np.concatenate([split.images for split in splits.values()]),
        np.concatenate([split.labels for split in splits.values()]) if data.has_labels else None,
        networks=networks,
        network=model.network,
        taps=config.taps,
        preprocess=_preprocessing(model, config, data),
        axes=config.axes or None,
        split=np.repeat([*splits], [len(split) for split in splits.values()]) if keeps else None,
        trained_on=trained_on,
        overlap=config.overlap,
        decoder_resolution=config.decoder_resolution,
        titles=config.titles or None,
        class_names=data.class_names or None,
        intensities=data.intensities,
        batch_size=config.batch_size,
        mixed_precision=config.mixed_precision,
    )
    found = contents_of(path)
    shapes = ", ".join(f"{name} {'x'.join(map(str, tap.shape))}" for name, tap in found.taps.items())
    unchecked = ""
    if config.weights is not None and trained_on is None:
        unchecked = "whether the network was trained on some of these images is not checked: --trained_on tells which\n"
    return (
        f"{path}: {found.n_images} images, epochs {', '.join(map(str, found.epochs))}, taps {shapes}\n{unchecked}"
        f"next: ib figures {path.stem} --activations_file {path}"
    )


def epochs_of_files(pattern: str) -> dict[int, Path]:
    """Epoch -> file of weights, by the whole number after "epoch" in its name (``epoch=9-step=4000.ckpt``), else the
    last one; a single file without one is epoch 0.

    Raises:
        UserError: there is no such file, one has no number, or two have the same.
    """
    found: dict[int, Path] = {}
    paths = [Path(path) for path in sorted(glob(pattern, recursive=True)) if Path(path).is_file()]
    if not paths:
        raise UserError(f"weights is {pattern!r}, and there is no such file; give a pattern such as 'runs/epoch_*.pt'.")
    for path in paths:
        numbers = re.findall(r"epoch[^0-9a-z]*(\d+)", path.stem.lower()) or re.findall(r"\d+", path.stem)
        if not numbers and len(paths) > 1:
            raise UserError(f"{path} has no number in its name, which would be the epoch; leave it out of the pattern.")
        epoch = int(numbers[-1]) if numbers else 0
        if epoch in found:
            raise UserError(f"{found[epoch]} and {path} are both of epoch {epoch} by their names; rename one.")
        found[epoch] = path
    return found


def _preprocessing(model: Model, config: RecordConfig, data: ImageData) -> Callable[[Tensor], Tensor]:
    """From integer images (B, C, H, W) to the network's input (B, 3, side, side)."""
    side = config.resolution or model.resolution
    use_registry = config.weights == PRETRAINED and not config.mean
    mean, std = (model.mean, model.std) if use_registry else (config.mean, config.std)
    if len(mean) not in (0, 1, 3):
        raise UserError(f"mean has {len(mean)} numbers; give one for each channel of the network's input.")

    def preprocess(images: Tensor) -> Tensor:
        x = images.float() / (data.intensities - 1)
        x = x.expand(-1, config.options.get("in_chans", 3), -1, -1) if x.shape[1] == 1 else x
        if side is not None and tuple(x.shape[2:]) != (side, side):
            x = functional.resize(x, [side, side], antialias=True)
        return functional.normalize(x, list(mean), list(std)) if mean else x

    return preprocess


def _trained_on(name: str | None) -> TrainedOn | None:
    if name is None:
        return None
    path = Path(name)
    try:
        if path.suffix == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        return [line.strip() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise UserError(f"trained_on: {path} cannot be read ({error}); give a .npy or a text file.") from error
