"""What a finished experiment left on disk, read once and handed to the figures."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (registers the filters of compressed data sets)
import numpy as np

from ib_analysis.artifacts import UserError
from ib_analysis.hdf5 import read_hdf5
from ib_analysis.information.table import FactorRow, InformationRow, read_table
from ib_analysis.plots.filed import FiledFacts, read_filed

__all__ = ["DataFacts", "MeanMaps", "Run", "SavedExperiment", "SavedSamples", "TrainingPoint", "printable"]


@dataclass(frozen=True, order=True)
class Run:
    """One trained encoder; as text, the name of its folder.

    >>> Run.parse("classification_float32_seed0")
    Run(task='classification', number_format='float32', encoder_seed=0)
    >>> str(Run("autoencoding", "int8", 3))
    'autoencoding_int8_seed3'
    """

    task: str
    number_format: str
    encoder_seed: int

    @classmethod
    def parse(cls, key: str) -> Run:
        """Read a run's name.

        Raises:
            ValueError: this is no name of a run.
        """
        found = re.fullmatch(r"([^_]+)_(.+)_seed(\d+)", key)
        if found is None:
            raise ValueError(f"{key!r} is not the name of a run (task_format_seedN)")
        return cls(found[1], found[2], int(found[3]))

    def __str__(self) -> str:
        return f"{self.task}_{self.number_format}_seed{self.encoder_seed}"


@dataclass(frozen=True)
class DataFacts:
    """What is known about the images (``data.json``); `name` tells what X is."""

    name: str
    class_names: tuple[str, ...]
    h_x_bits: float | None
    h_y_bits: float

    @property
    def has_labels(self) -> bool:
        """Whether images have labels; what is about them is not drawn otherwise."""
        return bool(self.class_names)


@dataclass(frozen=True)
class TrainingPoint:
    """One line of ``training.csv``: an epoch on a split. A quality that the task does not have is None."""

    epoch: int
    split: str
    loss: float
    accuracy: float | None
    psnr_db: float | None


@dataclass(frozen=True)
class MeanMaps:
    """Mean bits of each channel of each pixel (``maps`` in ``code_lengths.h5``), each of shape (C, H, W).

    Arguments:
        null: of the common L0.
        given: (decoder, epoch, layer) -> of L, for every row of ``information.csv``.
    """

    null: np.ndarray
    given: dict[tuple[str, int, str], np.ndarray]


@dataclass(frozen=True)
class SavedSamples:
    """What was sampled (``samples.h5``). All images are integers 0..intensities-1 in uint8.

    Arguments:
        originals: shape (n_images, C, H, W).
        labels: shape (n_images,).
        null: samples under the null condition, shape (draws, C, H, W); None where there are none.
        drawn: (run, epoch, layer) -> samples, shape (n_images, draws, C, H, W).
        reconstructions: (run, epoch) -> the autoencoder's output, shape (n_images, C, H, W).
        maps: (run, epoch, layer) -> where L0 - L is, in bits, shape (n_images, C, H, W), floats; empty where there
            is no L0 to take it from.
        common_null: whether the L0 of all maps is the common one, and not each decoder's own.
    """

    intensities: int
    originals: np.ndarray
    labels: np.ndarray
    null: np.ndarray | None
    drawn: dict[tuple[Run, int, str], np.ndarray]
    reconstructions: dict[tuple[Run, int], np.ndarray]
    maps: dict[tuple[Run, int, str], np.ndarray]
    common_null: bool


class SavedExperiment:
    """The artifacts of one experiment, each read when it is first asked for.

    Arguments:
        folder: the experiment's folder, for example ``checkpoints/default``.

    Raises:
        UserError: on asking for an artifact that is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.resolve().name

    @cached_property
    def data(self) -> DataFacts:
        """What is known about the images."""
        path = self._existing("data.json")
        try:
            facts = json.loads(path.read_text())
            names = tuple(printable(name) for name in facts["class_names"])
            name = printable(facts["name"])
            if self.filed.is_filed:
                name = self.filed.data_name(name, facts["image_shape"])
            return DataFacts(name, names, facts["h_x_bits"], float(facts["h_y_bits"]))
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(path) from error

    @cached_property
    def filed(self) -> FiledFacts:
        """What a user's activations file says for figures."""
        return read_filed(self.folder, printable)

    @cached_property
    def information(self) -> tuple[InformationRow, ...]:
        """The rows of ``information.csv``, in the file's order; at least one. Layers go by their titles."""
        return tuple(self.filed.titled(self._information))

    @cached_property
    def _information(self) -> tuple[InformationRow, ...]:
        """The same with the layers' names."""
        rows = tuple(read_table(self._existing("information.csv"), InformationRow))
        if not rows:
            raise UserError(f"{self.folder / 'information.csv'} has no rows; run `ib estimate-mi {self.name}` again.")
        return rows

    @cached_property
    def factors(self) -> tuple[FactorRow, ...]:
        """The rows of ``factors.csv``, in the file's order."""
        return tuple(read_table(self._existing("factors.csv"), FactorRow))

    @cached_property
    def training(self) -> dict[Run, tuple[TrainingPoint, ...]]:
        """Every run's ``training.csv``."""
        found = sorted((self.folder / "encoders").glob("*_seed*/training.csv"))
        if not found:
            self._existing("encoders/*_seed*/training.csv")
        return {Run.parse(path.parent.name): tuple(_training_points(path)) for path in found}

    def checkpoints(self, run: Run) -> tuple[int, ...]:
        """The epochs at which a run's encoder was kept."""
        files = (self.folder / "encoders" / str(run)).glob("epoch_*.pt")
        return tuple(sorted(int(path.stem.removeprefix("epoch_")) for path in files))

    @cached_property
    def samples(self) -> SavedSamples:
        """Everything in ``samples.h5``."""
        path = self._existing("samples.h5")
        try:
            with read_hdf5(path) as file:
                return _read_samples(file, self.filed.title)
        except (OSError, KeyError, ValueError) as error:
            raise _damaged(path) from error

    @cached_property
    def mean_maps(self) -> MeanMaps | None:
        """Where the bits of L0 and of every cell are; None if the file keeps no maps (L0 of an older experiment)."""
        path = self._existing("code_lengths.h5")
        try:
            with read_hdf5(path) as file:
                maps = file.get("maps", {})
                if "null" not in maps:
                    return None
                given = {
                    (row.decoder, row.epoch, self.filed.title(row.layer)): maps[
                        f"{row.decoder}/epoch_{row.epoch:04d}/{row.layer}"
                    ][...]
                    for row in self._information
                }
                return MeanMaps(maps["null"][...], given)
        except (OSError, KeyError) as error:
            raise _damaged(path) from error

    def _existing(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            command = "samples" if name == "samples.h5" else "figures"
            raise UserError(
                f"{path} is missing, so there is nothing to draw from; run `ib {command} {self.name}`, which makes "
                "what is missing first."
            )
        return path


def printable(text: str) -> str:
    """A name on one line, in characters that can be drawn and written: names may be those of folders, which hold
    anything but slashes.

    >>> printable("one\\ntwo"), printable("bell\\a"), printable("caf\\udce9")
    ('one two', 'bell\ufffd', 'caf\ufffd')
    """
    line = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in line)


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} cannot be read (truncated or altered); delete it and run the same command again.")


def _training_points(path: Path) -> Iterator[TrainingPoint]:
    def number(line: dict[str, str], key: str) -> float | None:
        return float(line[key]) if line.get(key) else None

    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            try:
                yield TrainingPoint(
                    int(line["epoch"]), line["split"], float(line["loss"]), number(line, "accuracy"),
                    number(line, "psnr_db"),
                )  # fmt: skip
            except (KeyError, TypeError, ValueError) as error:
                raise _damaged(path) from error


def _read_samples(file: h5py.File, title: Callable[[str], str]) -> SavedSamples:
    reconstructions = {}
    for key, group in file.get("reconstructions", {}).items():
        for epoch, images in group.items():
            reconstructions[Run.parse(key), _epoch(epoch)] = images[...]
    return SavedSamples(
        intensities=int(file.attrs["intensities"]),
        originals=file["originals"][...],
        labels=file["labels"][...],
        null=file["samples/null"][...] if "null" in file["samples"] else None,
        drawn=_by_cell(file["samples"], title),
        reconstructions=reconstructions,
        maps=_by_cell(file.get("maps", {}), title),
        common_null=bool(file.attrs.get("maps_of_common_null", True)),
    )


def _by_cell(group: h5py.Group, title: Callable[[str], str]) -> dict[tuple[Run, int, str], np.ndarray]:
    """Everything below a group that is named <run>/<epoch>/<layer>; layers by their titles."""
    return {
        (Run.parse(key), _epoch(epoch), title(layer)): values[...]
        for key, of_run in group.items()
        if key != "null"
        for epoch, layers in of_run.items()
        for layer, values in layers.items()
    }


def _epoch(name: str) -> int:
    return int(name.removeprefix("epoch_"))
