"""`ib record` and `ib taps`: a model of a registry into an activations file, and what can be tapped where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ib_analysis.activations_file import contents_of
from ib_analysis.artifacts import UserError
from ib_analysis.data import image_space
from ib_analysis.encoders import build_encoder, tap_shapes
from ib_analysis.experiment import ExperimentConfig
from ib_analysis.parsing import Sections, parse, parse_with_name

__all__ = ["RECORD", "TAPS", "record_command", "taps_command"]

RECORD = "Record what a model of torchvision or timm makes of images, at the epochs of saved weights, into a file."
TAPS = "List what can be tapped: of an experiment's encoder, of torchvision/NAME or timm/NAME, or in a file."


def record_command(words: Sequence[str]) -> None:
    """``ib record FILE --network torchvision/NAME --taps "{...}" ...``, see `RecordConfig`.

    Raises:
        UserError: a user's mistake.
    """
    from ib_analysis.recording.command import record_model
    from ib_analysis.recording.config import RecordConfig

    file, config = parse_with_name(RecordConfig, "record", RECORD, words, "file", "The HDF5 file that is written.")
    print(record_model(Path(file), config))


def taps_command(words: Sequence[str], sections: Sections) -> None:
    """``ib taps NAME``, of a model with the fields of `TapsConfig`, of an experiment with those of its config.

    Arguments:
        sections: of studies, which an experiment's file may have; they are checked and not heeded.

    Raises:
        UserError: a user's mistake.
    """
    name = words[0] if words else ""
    if name.endswith((".h5", ".hdf5")):
        print(_of_file(Path(name)))
    elif name.partition("/")[0] in ("torchvision", "timm"):
        print(_of_model(words))
    else:
        print(_of_experiment(parse(ExperimentConfig, "taps", TAPS, words, sections)[0]))


def _of_file(path: Path) -> str:
    contents = contents_of(path)
    lines = [
        f"{name}  {'x'.join(map(str, tap.shape))}{f'  {tap.title}' if tap.title else ''}"
        for name, tap in contents.taps.items()
    ]
    return "\n".join([*lines, f"at epochs {', '.join(map(str, contents.epochs))}, of {contents.n_images} images"])


def _of_model(words: Sequence[str]) -> str:
    from ib_analysis.recording.config import TapsConfig
    from ib_analysis.recording.listing import list_nodes, list_taps, told
    from ib_analysis.recording.registry import build_model

    name, config = parse_with_name(TapsConfig, "taps", TAPS, words, "network", "torchvision/NAME or timm/NAME.")
    model = build_model(name, config.options)
    side = model.resolution or 224
    shape = config.image_shape or (config.options.get("in_chans", 3), side, side)
    images = torch.zeros(2, *shape)
    lines = list_taps(model.network, images)
    if config.nodes:
        lines += list_nodes(model.network, images)
    return told(lines)


def _of_experiment(config: ExperimentConfig) -> str:
    if config.activations_file is not None:
        return _of_file(Path(config.activations_file).expanduser())
    space = image_space(config.data, recheck=False)
    found = []
    for task in config.tasks:
        if task == "recorded":
            raise UserError("tasks is recorded, but there is no file of activations; set activations_file to its path.")
        network = build_encoder(config.encoder, task, *space, seed=0)
        found.append(f"{task}, of images {'x'.join(map(str, space.image_shape))}")
        shapes = tap_shapes(network, space.image_shape)
        found += [f"  {name}  {'x'.join(map(str, shape))}" for name, shape in shapes.items()]
    return "\n".join(found)
