"""Activations of an activations file, in the order of an experiment's images and in the numbers that are kept."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from ib_analysis.activations.groups import groups_of
from ib_analysis.activations.layout import Layout
from ib_analysis.activations.numbers import Numbers
from ib_analysis.activations.store import READ_ERRORS, dataset_name, open_to_read
from ib_analysis.activations.survey import Storage, choose_numbers, sample_groups
from ib_analysis.activations_file import FileContents, read_rows
from ib_analysis.artifacts import UserError
from ib_analysis.data.interface import ImageData

__all__ = ["FiledActivations"]


class FiledActivations:
    """Activations read where they lie, in the user's file (see `ib_analysis.activations.source.Activations`).

    The file has its own order of images; `Split.source_index` tells where each lies.

    Arguments:
        contents: of the file.
        data: the images of the same file; its decoder and evaluation splits are used.
        layers: taps that can be asked for.
        group_size: see `Groups`.
        storage: which numbers may be handed on; see `choose_numbers`.
    """

    def __init__(
        self, contents: FileContents, data: ImageData, layers: Sequence[str], group_size: int, storage: Storage = "auto"
    ) -> None:
        self.epochs, self.layers = contents.epochs, tuple(layers)
        self.groups = groups_of(data, group_size)
        self._contents, self._storage = contents, storage
        self._rows = np.concatenate([data.decoder.source_index, data.evaluation.source_index])
        self._numbers: dict[tuple[int, str], Numbers] = {}
        self._warned: set[tuple[int, str]] = set()
        self._latest: tuple[tuple[int, str, int], tuple[Tensor, int]] | None = None
        self._file: h5py.File | None = None
        self._process = -1

    def shape(self, layer: str) -> tuple[int, ...]:
        return self._contents.taps[layer].shape

    def layout(self, epoch: int, layer: str) -> Layout:
        """How they are kept."""
        return Layout(self.shape(layer), numbers=self._numbers_of(epoch, layer))

    def read(self, epoch: int, layer: str, group: int) -> Tensor:
        return self._encoded(epoch, layer, group)[0]

    def n_clamped(self, epoch: int, layer: str, group: int) -> int:
        """How many values of this group lay beyond the range of the numbers that they are kept in."""
        return self._encoded(epoch, layer, group)[1]

    def _encoded(self, epoch: int, layer: str, group: int) -> tuple[Tensor, int]:
        key = (epoch, layer, group)
        if self._latest is None or self._latest[0] != key:
            numbers = self._numbers_of(epoch, layer)
            found = numbers.encode(self._values(epoch, layer, group))
            self._latest = (key, found)
            if (found[1] or numbers.loses) and (epoch, layer) not in self._warned:
                self._warned.add((epoch, layer))
                numbers.warn(layer, epoch, found[1])
        return self._latest[1]

    def _numbers_of(self, epoch: int, layer: str) -> Numbers:
        """The numbers of a cell, chosen before its first group is read."""
        if (epoch, layer) not in self._numbers:

            def sample() -> Iterator[dict[str, Tensor]]:
                return ({layer: self._values(epoch, layer, group)} for group in sample_groups(self.groups))

            self._numbers[epoch, layer] = choose_numbers(sample, [layer], self._storage)[layer]
        return self._numbers[epoch, layer]

    def _values(self, epoch: int, layer: str, group: int) -> Tensor:
        """A group's activations as the file has them, (n, C, h, w) or (n, C)."""
        start, stop = self.groups.bounds[group]
        name = dataset_name(epoch, layer)
        try:
            dataset = self._open()[name]
            return torch.from_numpy(read_rows(dataset, self._contents.taps[layer].axes, self._rows[start:stop]))
        except READ_ERRORS as error:
            what = " ".join(str(error).split())
            raise UserError(
                f"{self._contents.path}: /{name} cannot be read ({what}); the file is damaged or was changed: write it "
                "again."
            ) from error

    def _open(self) -> h5py.File:
        # A handle inherited through fork shares its file position with the parent's.
        if self._file is None or self._process != os.getpid():
            self._file, self._process = open_to_read(self._contents.path), os.getpid()
        return self._file

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}
