"""A finished experiment's results as records and arrays."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import yaml

from ib_analysis.artifacts import UserError
from ib_analysis.hdf5 import read_hdf5
from ib_analysis.information.table import FactorRow, InformationRow, read_table

__all__ = ["Results", "load_results"]


@dataclass(frozen=True)
class Results:
    """What an experiment has measured.

    Arguments:
        experiment: its name.
        folder: where its artifacts lie.
        config: the config that made it, as plain data.
        data: facts about the images (``data.json``): shape, entropies, numbers of images, hash.
        information: a record per cell.
        factors: a record per cell and factor; empty where the factors of the images are not known.
        training: a record per run, epoch and split: ``run``, ``epoch``, ``split``, and loss, accuracy or PSNR.
    """

    experiment: str
    folder: Path
    config: Mapping[str, Any]
    data: Mapping[str, Any]
    information: Sequence[InformationRow]
    factors: Sequence[FactorRow]
    training: Sequence[Mapping[str, str | float | int | None]]

    def arrays(self) -> dict[str, np.ndarray]:
        """Every column of information.csv, shape (n_cells,); a number that is not known is nan."""
        return _columns(InformationRow, self.information)

    def factor_arrays(self) -> dict[str, np.ndarray]:
        """Every column of factors.csv, shape (n_cells * n_factors,)."""
        return _columns(FactorRow, self.factors)

    def code_lengths(
        self, run: str, epoch: int, layer: str, decoder_seed: int = 0, spike_in: Literal["map", "mixed"] | None = None
    ) -> np.ndarray:
        """L of every evaluation image in bits, shape (N,).

        Arguments:
            run: key of the run, e.g. ``classification_float32_seed0``.
            spike_in: given the coins of spike-ins too, as a map or mixed into the activations.

        Raises:
            UserError: no such cell, or the file of code lengths is missing or damaged.
        """
        suffix = {None: "", "map": "_spike_in", "mixed": "_spike_in_mixed"}[spike_in]
        return self._read(*(found + suffix for found in _places(run, epoch, layer, decoder_seed)))

    def null_code_lengths(self) -> np.ndarray:
        """The common L0 of every evaluation image in bits, shape (N,).

        Raises:
            UserError: the file of code lengths is missing or damaged.
        """
        return self._read("null")

    def own_null_code_lengths(self, decoder: str) -> np.ndarray:
        """Code lengths under a decoder's own null condition in bits, shape (N,).

        Arguments:
            decoder: its key, as in the column ``decoder``.

        Raises:
            UserError: no such decoder, or the file of code lengths is missing or damaged.
        """
        return self._read(f"{decoder}/own_null")

    def mean_code_length_map(self, run: str, epoch: int, layer: str, decoder_seed: int = 0) -> np.ndarray:
        """Mean over the evaluation images of the bits of L in each channel of each pixel, shape (C, H, W).

        Its sum is the mean of `code_lengths`. A pixel's bits are those given all pixels before it in raster order.

        Arguments:
            run: key of the run, e.g. ``classification_float32_seed0``.

        Raises:
            UserError: no such cell, or the file of code lengths is missing or damaged.
        """
        return self._read(*(f"maps/{found}" for found in _places(run, epoch, layer, decoder_seed)))

    def null_mean_code_length_map(self) -> np.ndarray:
        """The same of the common L0, shape (C, H, W).

        Raises:
            UserError: the file of code lengths is missing or damaged, or L0 is that of another experiment which kept
                no map of it.
        """
        return self._read("maps/null")

    def _read(self, *names: str) -> np.ndarray:
        path = self.folder / "code_lengths.h5"
        if not path.exists():
            raise UserError(f"{path} is missing; run `ib estimate-mi {self.experiment}` first.")
        try:
            with read_hdf5(path) as file:
                for name in names:
                    found = file.get(name)
                    if isinstance(found, h5py.Dataset):
                        return found[()]
                known = ", ".join(sorted(set(file) - {"null", "maps", "halfway"}))
        except OSError as error:
            raise UserError(
                f"{path} cannot be read ({error}); delete it and run `ib estimate-mi {self.experiment}` again."
            ) from error
        raise UserError(f"{path} holds no {names[0]!r}; it knows the decoders {known}.")


def _places(run: str, epoch: int, layer: str, decoder_seed: int) -> tuple[str, ...]:
    """Where a cell may lie: that of the run's one decoder, of a layer's or of the cell's own."""
    decoder, cell = f"{run}_decoder{decoder_seed}", f"epoch_{epoch:04d}/{layer}"
    return f"{decoder}/{cell}", f"{decoder}/{layer}/{cell}", f"{decoder}/{cell.replace('/', '_')}/{cell}"


def load_results(experiment: str, root: str | Path = "checkpoints") -> Results:
    """Load what a finished experiment has measured.

    Arguments:
        experiment: its name.
        root: the folder of all experiments.

    Raises:
        UserError: there is no such experiment, it is not finished, or a file is damaged.
    """
    folder = Path(root) / experiment
    if not folder.is_dir():
        present = sorted(path.parent.name for path in Path(root).glob("*/information.csv"))
        known = f"finished ones: {', '.join(present)}" if present else "no experiment there is finished"
        raise UserError(f"There is no experiment {experiment!r} in {root} ({known}); run `ib figures {experiment}`.")
    if not (folder / "information.csv").exists():
        raise UserError(f"Experiment {experiment!r} is not finished; run `ib estimate-mi {experiment}` to go on.")
    factors = folder / "factors.csv"
    config = _read_plain(folder / "config.yaml", experiment)
    return Results(
        experiment=experiment,
        folder=folder,
        config=config,
        data=_read_plain(folder / "data.json", experiment),
        information=read_table(folder / "information.csv", InformationRow),
        factors=read_table(factors, FactorRow) if factors.exists() else [],
        training=[record for path in sorted(folder.glob("encoders/*/training.csv")) for record in _training(path)],
    )


def _columns(kind: type[Any], rows: Sequence[Any]) -> dict[str, np.ndarray]:
    columns = {}
    for field in fields(kind):
        values = [getattr(row, field.name) for row in rows]
        optional = "None" in str(field.type)
        columns[field.name] = np.array(values, dtype=np.float64) if optional else np.array(values)
    return columns


def _read_plain(path: Path, experiment: str) -> dict[str, Any]:
    """A YAML or JSON file that holds a mapping."""
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run `ib figures {experiment}` to make it again.") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read; delete it and run `ib figures {experiment}` again.") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} holds no fields; delete it and run `ib figures {experiment}` again.")
    return found


def _training(path: Path) -> list[dict[str, str | float | int | None]]:
    """One run's training.csv: numbers as numbers, empty cells as None."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        return [
            {
                "run": path.parent.name,
                "epoch": int(line.pop("epoch")),
                "split": line.pop("split"),
                **{name: float(cell) if cell else None for name, cell in line.items()},
            }
            for line in lines
        ]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(f"{path} cannot be read; delete it and run `ib train` again to make it anew.") from error
