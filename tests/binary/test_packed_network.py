"""Whole binary networks on packed bits: the trained network's outputs, bit for bit, from a file of one bit a weight."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ib_analysis.artifacts import UserError
from ib_analysis.binary import BinaryNetworkConfig, Phase
from ib_analysis.binary.packed_network import PackedProduct, load_packed, packed_network, save_packed, weight_bytes
from ib_analysis.encoders import EncoderConfig, build_encoder

SHAPE, INTENSITIES, CLASSES = (1, 9, 8), 16, 5


def network(task: str = "classification", seed: int = 0, phase: Phase = Phase.BINARY, **options):
    config = EncoderConfig(architecture="binary", depth=8, width=6, **options)
    found = build_encoder(config, task, SHAPE, INTENSITIES, CLASSES, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in found.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.running_mean.normal_(generator=generator)
                module.running_var.uniform_(0.5, 2.0, generator=generator)
    return found.set_phase(phase).eval()


def images(count: int = 7) -> torch.Tensor:
    return torch.randint(INTENSITIES, (count, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("task", ["classification", "autoencoding"])
@pytest.mark.parametrize("shortcut", ["A", "B"])
@pytest.mark.parametrize("units", [0, 5])
def test_outputs_and_taps_are_the_networks_own(task: str, shortcut: str, units: int) -> None:
    plain = network(task, shortcut=shortcut, binary=BinaryNetworkConfig(code_units=units))
    packed = packed_network(plain)
    assert sum(isinstance(part, PackedProduct) for part in packed.modules()) >= 8
    with torch.inference_mode():
        assert torch.equal(packed(images()), plain(images()))
        for name, signs in plain.taps(images()).items():
            assert torch.equal(packed.taps(images())[name], signs)
    assert not any(isinstance(part, PackedProduct) for part in plain.modules()), "the network itself is left as it was"


def test_a_network_is_the_same_from_its_file(tmp_path: Path) -> None:
    plain, path = network(), tmp_path / "network.h5"
    save_packed(plain, path, {"task": "classification"})
    loaded = load_packed(path, network(seed=1, phase=Phase.REAL))
    with torch.inference_mode():
        assert torch.equal(loaded(images()), plain(images()))
        assert not torch.equal(network(seed=1)(images()), plain(images()))
    weights = [p for part in packed_network(plain).modules() if isinstance(part, PackedProduct) for p in [part.packed]]
    floats = sum(part.weight.numel() * 4 for part in weights)
    assert floats / 32 <= weight_bytes(path) <= floats / 32 + 8 * len(weights)


def test_what_cannot_be_packed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="real: set the phase BINARY"):
        packed_network(network(phase=Phase.SIGNS))
    with pytest.raises(ValueError, match="no product of signs"):
        packed_network(torch.nn.Conv2d(1, 1, 1))
    path = tmp_path / "network.h5"
    save_packed(network(), path, {})
    with pytest.raises(UserError, match="of another network"):
        load_packed(path, network("autoencoding"))
    with pytest.raises(UserError, match="cannot be read"):
        load_packed(tmp_path / "missing.h5", network())
