"""A quantized network as a file of integers, and back as a network that computes with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import nn

from ib_analysis.activations.codes import pack_codes, unpack_codes
from ib_analysis.artifacts import UserError
from ib_analysis.hdf5 import read_hdf5, write_hdf5
from ib_analysis.quantization.convert import quantized_layers
from ib_analysis.quantization.integer_layers import IntegerLayer, LayerIntegers, integers_of

__all__ = ["code_bytes", "load_integers", "save_integers"]

_FORMAT = 1
_TENSORS = ("input_scale", "output_scale", "bias")


def save_integers(network: nn.Module, path: Path, about: Mapping[str, Any]) -> None:
    """Write a network's quantized layers as bit-packed codes with their scales, and all its other numbers as float32.

    Arguments:
        network: with quantized layers; it should be in evaluation mode.
        path: of the HDF5 file.
        about: plain data that is kept with it, `number_format` among them.

    Raises:
        UserError: nothing is quantized, bounds of activations are not set yet, or scales lie where integer arithmetic
            cannot apply them; or the disk is full.
    """
    layers = quantized_layers(network)
    if not layers:
        raise UserError(
            f"A network in the format {about['number_format']} has no integers to export; choose a quantized one."
        )
    for name, layer in layers.items():
        if not layer.inputs.active:
            raise UserError(
                f"The bounds of the activations of {name} are not set yet, so that they are no integers: export a "
                "later checkpoint, or train longer."
            )
        if not layer.is_integer:
            raise UserError(
                f"The activations of {name} have a scale per channel, which integer arithmetic cannot apply within its "
                "sums: train with --quantization.granularity channel_folded (or tensor), then export."
            )
    with write_hdf5(path) as file:
        file.attrs.update({"format": _FORMAT, "about": json.dumps(dict(about), sort_keys=True)})
        for name, layer in layers.items():
            _write_layer(file.create_group(f"layers/{name}"), integers_of(layer))
        inside = tuple(f"{name}." for name in layers)
        for name, value in network.state_dict().items():
            if not name.startswith(inside):
                file[f"others/{name}"] = value.cpu().numpy()


def load_integers(path: Path, network: nn.Module, number_format: str) -> nn.Module:
    """Put integer layers and all other numbers of a file into a network of the same architecture.

    Arguments:
        path: of a file that `save_integers` wrote.
        network: freshly built, quantized or not; changed in place.
        number_format: that the file must have.

    Returns:
        The network, in evaluation mode, on the CPU.

    Raises:
        UserError: no such file, one of another kind, number format or architecture.
    """
    try:
        file = read_hdf5(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read as exported integers: {error}.") from error
    with file:
        if file.attrs.get("format") != _FORMAT:
            raise UserError(f"{path} holds no exported integers of this version; export the network again.")
        found = json.loads(file.attrs["about"])["number_format"]
        if found != number_format:
            raise UserError(f"{path} has the number format {found}, not {number_format}; load it as {found}.")
        layers: dict[str, LayerIntegers] = {}
        others: dict[str, torch.Tensor] = {}

        def read(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Group) and "codes" in item:
                layers[name] = _read_layer(item)

        file["layers"].visititems(read)
        for name in file["others"]:
            others[name] = torch.from_numpy(np.array(file["others"][name]))
    try:
        for name, integers in layers.items():
            parent, _, attribute = name.rpartition(".")
            network.get_submodule(name)
            setattr(network.get_submodule(parent), attribute, IntegerLayer(integers))
        network.load_state_dict(others)
    except (AttributeError, RuntimeError) as error:
        raise UserError(f"{path} is of another network: {str(error).splitlines()[0]}.") from error
    return network.cpu().eval()


def code_bytes(path: Path) -> int:
    """Bytes that the weights' codes take in an exported file."""
    total = 0

    def add(_: str, item: h5py.Group | h5py.Dataset) -> None:
        nonlocal total
        if isinstance(item, h5py.Dataset) and item.name.endswith("/codes"):
            total += item.id.get_storage_size()

    with read_hdf5(path) as file:
        file["layers"].visititems(add)
    return total


def _write_layer(group: h5py.Group, integers: LayerIntegers) -> None:
    group.attrs.update({**integers.settings, "shape": tuple(integers.weight.shape)})
    group["codes"] = pack_codes(integers.weight.numpy(), integers.weight_bits)
    for name in _TENSORS:
        value = getattr(integers, name)
        if value is not None:
            group[name] = value.numpy()


def _read_layer(group: h5py.Group) -> LayerIntegers:
    settings: dict[str, Any] = {
        name: value.tolist() if hasattr(value, "tolist") else value for name, value in group.attrs.items()
    }
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    tensors: dict[str, Any] = {name: torch.from_numpy(np.array(group[name])) for name in _TENSORS if name in group}
    weight = unpack_codes(np.array(group["codes"]), settings.pop("shape"), settings["weight_bits"], signed=True)
    return LayerIntegers(weight=torch.from_numpy(weight.copy()), **{"bias": None, **tensors}, **settings)
