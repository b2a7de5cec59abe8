"""A trained binary network that multiplies on packed bits, and its file: one bit a weight."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor, nn

from ib_analysis.artifacts import UserError
from ib_analysis.binary.packed_layers import PackedConv2d, PackedLinear
from ib_analysis.binary.packing import unpack_bits
from ib_analysis.binary.phase import Phase, set_phase
from ib_analysis.binary.products import BinaryConv2d, BinaryLinear
from ib_analysis.hdf5 import read_hdf5, write_hdf5

__all__ = ["PackedProduct", "load_packed", "packed_network", "save_packed", "weight_bytes"]

_FORMAT = 1


class PackedProduct(nn.Module):
    """What stands for a `BinaryConv2d` or `BinaryLinear` of trained weights: the same results, bit for bit.

    The product is a whole number on either way, far below 2^24, so that float32 holds it exactly; the scale is
    multiplied in as it was.

    Arguments:
        product: whose geometry it has.
        signs: -1 and +1, of the weight's shape.
        scale: what one unit of the product is worth in each output, (outputs,).
        threads: None: as many as torch has.
    """

    scale: Tensor

    def __init__(
        self, product: BinaryConv2d | BinaryLinear, signs: Tensor, scale: Tensor, threads: int | None = 1
    ) -> None:
        super().__init__()
        self.packed: PackedConv2d | PackedLinear
        if isinstance(product, BinaryConv2d):
            stride = (product.stride[0], product.stride[1])
            self.packed = PackedConv2d(
                signs, stride, product.margin, padding_sign=product.padding_sign, threads=threads
            )  # fmt: skip
        else:
            self.packed = PackedLinear(signs, threads=threads)
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        """Arguments: x: signs, shape (B, C, H, W) or (B, inputs). Returns: as the product that it stands for."""
        found = self.packed(x)
        assert isinstance(found, Tensor)
        product = found.to(x.dtype)
        return product * self.scale.view(1, -1, *[1] * (product.ndim - 2))


def packed_network(network: nn.Module, threads: int | None = 1) -> nn.Module:
    """A copy of a binary network, on the CPU in evaluation mode, whose products run on packed bits.

    Arguments:
        network: with `BinaryConv2d` and `BinaryLinear` in the phase `BINARY`.
        threads: of the products; None: as many as torch has.

    Raises:
        ValueError: there is no such product, or weights are real now.
    """
    found = copy.deepcopy(network).cpu().eval()
    products = _products(found)
    if not products:
        raise ValueError("the network has no product of signs to pack")
    for name, product in products.items():
        scale = product.scale()
        if scale is None:
            raise ValueError(f"the weights of {name} are real: set the phase BINARY before packing")
        _replace(found, name, PackedProduct(product, product.operand().detach(), scale, threads))
    return found


def save_packed(network: nn.Module, path: Path, about: Mapping[str, Any]) -> None:
    """Write a binary network: its weights as bits with a scale per output, and all its other numbers as they are.

    Arguments:
        network: see `packed_network`.
        path: of the HDF5 file.
        about: plain data that is kept with it.

    Raises:
        ValueError: as `packed_network`.
        UserError: the disk is full.
    """
    packed = packed_network(network)
    layers = {name: part for name, part in packed.named_modules() if isinstance(part, PackedProduct)}
    inside = tuple(f"{name}." for name in layers)
    with write_hdf5(path) as file:
        file.attrs.update({"format": _FORMAT, "about": json.dumps(dict(about), sort_keys=True)})
        for name, layer in layers.items():
            group = file.create_group(f"layers/{name}")
            group.attrs["shape"] = layer.packed.shape
            group["bits"] = layer.packed.weight_bits.numpy()
            group["scale"] = layer.scale.numpy()
        for name, value in packed.state_dict().items():
            if not name.startswith(inside):
                file[f"others/{name}"] = value.numpy()


def load_packed(path: Path, network: nn.Module, threads: int | None = 1) -> nn.Module:
    """Put the packed products and all other numbers of a file into a network of the same architecture.

    Arguments:
        path: of a file that `save_packed` wrote.
        network: freshly built; changed in place.
        threads: see `packed_network`.

    Returns:
        The network, in evaluation mode, on the CPU.

    Raises:
        UserError: no such file, one of another kind or architecture.
    """
    try:
        file = read_hdf5(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read as packed signs: {error}.") from error
    set_phase(network, Phase.BINARY)
    products = _products(network)
    with file:
        if file.attrs.get("format") != _FORMAT or "layers" not in file:
            raise UserError(f"{path} holds no packed signs of this version; export the network again.")
        groups: dict[str, h5py.Group] = {}
        file["layers"].visititems(lambda name, item: groups.update({name: item}) if "shape" in item.attrs else None)
        shapes = {name: tuple(int(size) for size in group.attrs["shape"]) for name, group in groups.items()}
        if shapes != {name: tuple(product.weight.shape) for name, product in products.items()}:
            raise UserError(f"{path} is of another network: its products are {', '.join(shapes)}.")
        for name, group in groups.items():
            bits = unpack_bits(np.array(group["bits"]), int(np.prod(shapes[name]))).reshape(shapes[name])
            signs = torch.from_numpy(bits).float() * 2 - 1
            _replace(network, name, PackedProduct(products[name], signs, torch.from_numpy(group["scale"][:]), threads))
        others = {name: torch.from_numpy(np.array(file["others"][name])) for name in file["others"]}
    missing, unexpected = network.load_state_dict(others, strict=False)
    missing = [name for name in missing if not name.startswith(tuple(f"{layer}." for layer in shapes))]
    if missing or unexpected:
        raise UserError(f"{path} is of another network: {(missing + unexpected)[0]} is in one of them only.")
    return network.cpu().eval()


def weight_bytes(path: Path) -> int:
    """Bytes that the weights' bits take in a file that `save_packed` wrote."""
    sizes: list[int] = []
    with read_hdf5(path) as file:
        file["layers"].visititems(
            lambda _, item: sizes.append(item["bits"].nbytes) if "shape" in item.attrs else None
        )  # fmt: skip
    return sum(sizes)


def _products(network: nn.Module) -> dict[str, BinaryConv2d | BinaryLinear]:
    return {name: part for name, part in network.named_modules() if isinstance(part, (BinaryConv2d, BinaryLinear))}


def _replace(network: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, part)
