"""Networks that know nothing of this project, from their module or weights to figures and the page, on two epochs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torchvision.models import VisionTransformer, resnet18
from torchvision.transforms.v2 import functional

from ib_analysis import record, study
from ib_analysis.activations_file import contents_of
from ib_analysis.cli import main

N_IMAGES = 80


def digits() -> tuple[Tensor, Tensor]:
    found = load_digits()
    few = found.target < 2
    images = torch.from_numpy(found.images[few][:N_IMAGES].astype(np.uint8))[:, None]
    return images, torch.from_numpy(found.target[few][:N_IMAGES])


@pytest.fixture
def settings(tiny: Path) -> dict:
    """Of `tiny`, but for what is about its own network."""
    found = yaml.safe_load(tiny.read_text())
    kept = {key: value for key, value in found.items() if key not in ("layers", "encoder", "training", "brackets")}
    kept["fitting"] |= {"steps": 8, "validate_every": 2, "save_every": 8}
    kept["sampling"] = {"images": 1, "draws": 1}
    Path("settings.yaml").write_text(yaml.safe_dump(kept))
    return kept


def seeded(make: Callable[[], nn.Module]) -> dict[int, nn.Module]:
    """The network at two epochs."""
    found = {}
    for epoch in (0, 3):
        torch.manual_seed(epoch)
        found[epoch] = make()
    return found


def check_drawn(name: str, layers: list[str]) -> None:
    drawn = {path.name for path in Path("figures", name).iterdir()}
    assert {"information_plane.png", "information_by_epoch.svg", "phases.png", "samples.html"} <= drawn
    assert {f"conditional_samples_by_epoch_recorded_{layer}.png" for layer in layers} <= drawn


def check_recorded_from_python() -> None:
    """The same weights and images, from Python: every number is what the command line has written."""

    def preprocess(images: Tensor) -> Tensor:
        return functional.resize(images.float().expand(-1, 3, -1, -1) / 16, [32, 32], antialias=True)

    with h5py.File("mine.h5") as file:
        record(
            "python.h5", file["images"][()], file["labels"][()], split=file["split"].asstr()[()], intensities=17,
            networks={epoch: f"epoch_{epoch:02d}.pt" for epoch in (0, 3)}, network=resnet18(num_classes=10),
            taps={"h1": "layer1.0.relu#1", "h4": "flatten"}, preprocess=preprocess,
        )  # fmt: skip
        with h5py.File("python.h5") as other:
            cells = [f"epoch_{epoch:04d}/{tap}" for epoch in (0, 3) for tap in ("h1", "h4")]
            for place in ("images", "labels", "split", *cells):
                np.testing.assert_array_equal(file[place][()], other[place][()])


def test_a_resnet_of_a_registry_without_code(settings: dict, capsys: pytest.CaptureFixture) -> None:
    for epoch, net in seeded(lambda: resnet18(num_classes=10)).items():
        torch.save(net.state_dict(), f"epoch_{epoch:02d}.pt")
    words = ["--network", "torchvision/resnet18", "--weights", "epoch_*.pt", "--resolution", "32"]
    words += ["--taps", "{h1: layer1.0.relu#1, h4: flatten}", "--titles", "{h1: first block}"]
    words += ["--data.source", "digits", "--data.per_class", "4"]
    assert main(["record", "mine.h5", *words]) == 0
    said = capsys.readouterr().out
    assert "taps h1 64x8x8, h4 512" in said
    assert "--trained_on tells which" in said
    net = resnet18(num_classes=10).eval()
    net.load_state_dict(torch.load("epoch_03.pt", weights_only=True))
    net.fc = nn.Identity()
    with h5py.File("mine.h5") as file, torch.no_grad():
        given = torch.from_numpy(file["images"][()]).float().expand(-1, 3, -1, -1) / 16
        pooled = net(functional.resize(given, [32, 32], antialias=True))
        np.testing.assert_allclose(file["epoch_0003/h4"][()], pooled.numpy(), rtol=1e-4, atol=1e-5)
    check_recorded_from_python()
    contents = contents_of(Path("mine.h5"))
    assert contents.epochs == (0, 3)
    assert contents.has_split
    assert main(["describe", "mine", "--activations_file", "mine.h5", "--config", "settings.yaml"]) == 0
    assert "taps h1 64x8x8, h4 512; epochs 0, 3" in capsys.readouterr().out
    assert main(["figures", "mine", "--activations_file", "mine.h5", "--config", "settings.yaml"]) == 0
    check_drawn("mine", ["h1", "h4"])
    assert "first block" in Path("figures/mine/samples.html").read_text()
    assert "(8x8 pixels)" in Path("figures/mine/samples.html").read_text()


@pytest.mark.slow
def test_a_vision_transformer(settings: dict) -> None:
    images, labels = digits()
    nets = seeded(
        lambda: VisionTransformer(
            image_size=16, patch_size=4, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=2
        )
    )
    large = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    taps = {"patches": "encoder.layers.encoder_layer_0@patches", "class": "encoder.ln@class"}
    record(
        "mine.h5", large, labels, networks=nets, taps=taps, decoder_resolution=8,
        preprocess=lambda batch: batch.float().expand(-1, 3, -1, -1) / 16,
    )  # fmt: skip
    assert {name: tap.shape for name, tap in contents_of(Path("mine.h5")).taps.items()} == {
        "patches": (8, 4, 4),
        "class": (8,),
    }
    mine = study("mine", activations_file="mine.h5", **settings)
    assert any(path.name == "samples.html" for path in mine.figures())
    check_drawn("mine", ["patches", "class"])
    assert "area averages of the 16x16 that the network saw" in (mine.figures_folder / "samples.html").read_text()
    assert {row.layer for row in mine.results.information} == {"patches", "class"}


class Rows(nn.Module):
    """An LSTM over the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.last = nn.LSTM(8, 6, batch_first=True), nn.Linear(6, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.rows(images[:, 0])[0][:, -1])


@pytest.mark.slow
def test_an_lstm_over_rows(settings: dict) -> None:
    images, labels = digits()
    record(
        "mine.h5", images, labels, networks=seeded(Rows), taps={"steps": "rows[0]", "logits": "last"},
        axes={"steps": "BNC"},
    )  # fmt: skip
    assert contents_of(Path("mine.h5")).taps["steps"].shape == (6, 8, 1)
    study("mine", activations_file="mine.h5", **settings).figures()
    check_drawn("mine", ["steps", "logits"])


class Outputs(nn.Module):
    """A perceptron whose parts and whole give dicts."""

    class Body(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(64, 6)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            hidden = self.linear(x).relu()
            return {"hidden": hidden, "norm": hidden.norm(dim=1, keepdim=True)}

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = self.Body(), nn.Linear(6, 2)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": self.head(self.body(images.flatten(1))["hidden"])}


@pytest.mark.slow
def test_a_perceptron_of_dicts(settings: dict) -> None:
    images, labels = digits()
    record("mine.h5", images, labels, networks=seeded(Outputs), taps={"hidden": "body.hidden", "logits": ".logits"})
    assert main(["figures", "mine", "--activations_file", "mine.h5", "--config", "settings.yaml"]) == 0
    check_drawn("mine", ["hidden", "logits"])
