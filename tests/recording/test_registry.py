"""Models that a command may name, their files of weights, and what can be tapped in them."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ib_analysis import list_taps
from ib_analysis.activations_file import contents_of
from ib_analysis.artifacts import UserError
from ib_analysis.cli import main
from ib_analysis.recording.command import epochs_of_files
from ib_analysis.recording.config import RecordConfig
from ib_analysis.recording.listing import list_nodes
from ib_analysis.recording.registry import build_model


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("resnet18", {}, "name a model of torchvision or timm"),
        ("mymodule/Network", {}, "name a model of torchvision or timm"),
        ("torchvision/resnet19", {}, "the nearest names are resnet1"),
        ("torchvision/squeezenet1_1", {"depth": 3}, "cannot be made with options {'depth': 3}"),
        ("torchvision/squeezenet1_1", {"num_classes": -3}, "cannot be made with options {'num_classes': -3}"),
        ("timm/hf-hub:someone/something", {}, "timm has no model 'hf-hub:someone/something'"),
    ],
)
def test_only_models_of_the_two_registries_are_made(name: str, options: dict, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        build_model(name, options)
    assert sentence in str(error.value)


def test_random_weights_are_those_of_the_seed_and_leave_the_global_state() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (build_model("timm/test_resnet", {"num_classes": 3}, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    states = [torch.cat([value.flatten() for value in model.network.parameters()]) for model in (first, again, other)]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
    assert not first.network.training


def test_pretrained_weights_are_the_registrys_or_it_is_said_that_they_cannot_be_had(monkeypatch) -> None:
    given = build_model("torchvision/squeezenet1_1", {}, seed=3).network.state_dict()
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *_, **__: given)
    found = build_model("torchvision/squeezenet1_1", {}, pretrained=True).network.state_dict()
    assert all(torch.equal(found[name], given[name]) for name in given)

    def fail(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(UserError, match="weights of torchvision/squeezenet1_1 cannot be had"):
        build_model("torchvision/squeezenet1_1", {}, pretrained=True)


def test_epochs_come_from_the_names_of_files(tmp_path: Path) -> None:
    for name in ("run2_epoch_0.pt", "run2_epoch_10.pt"):
        (tmp_path / name).touch()
    found = epochs_of_files(f"{tmp_path}/run2_epoch_*.pt")
    assert {epoch: path.name for epoch, path in found.items()} == {0: "run2_epoch_0.pt", 10: "run2_epoch_10.pt"}
    (tmp_path / "run2_epoch_010.pt").touch()
    with pytest.raises(UserError, match="both of epoch 10"):
        epochs_of_files(f"{tmp_path}/*.pt")
    (tmp_path / "last.bin").touch()
    (tmp_path / "best.bin").touch()
    with pytest.raises(UserError, match=r"best\.bin has no number in its name"):
        epochs_of_files(f"{tmp_path}/*.bin")
    assert list(epochs_of_files(f"{tmp_path}/last.bin")) == [0]
    with pytest.raises(UserError, match="there is no such file"):
        epochs_of_files(f"{tmp_path}/*.safetensors")


@pytest.mark.parametrize(
    ("name", "epoch"),
    [
        ("epoch=9-step=4000.ckpt", 9),
        ("epoch=3-val_loss=0.25.ckpt", 3),
        ("Epoch12_v2.pt", 12),
        ("run2_epoch_007.pt", 7),
        ("net_30.pt", 30),
    ],
)
def test_the_number_after_epoch_is_the_epoch(tmp_path: Path, name: str, epoch: int) -> None:
    (tmp_path / name).touch()
    assert list(epochs_of_files(f"{tmp_path}/*")) == [epoch]


class Twice(nn.Module):
    """A module that is called twice, a tuple, and an addition between modules."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.relu, self.never = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Linear(2, 2)
        self.rows = nn.LSTM(8, 5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        steps = self.rows(self.relu(x)[:, 0])[0]
        return self.relu(self.first(x)) + steps.sum()


def test_everything_that_a_pass_calls_is_listed_with_shapes() -> None:
    net = Twice().train()
    lines = {line.path: line for line in list_taps(net, torch.zeros(2, 1, 8, 8))}
    assert {path: line.shape for path, line in lines.items()} == {
        "relu": (4, 8, 8), "rows[0]": (8, 5), "rows[1][0]": (2, 5), "rows[1][1]": (2, 5), "first": (4, 8, 8),
    }  # fmt: skip
    assert (lines["relu"].calls, lines["relu"].kind) == (2, "ReLU")
    assert net.training
    assert not any(module._forward_hooks for module in net.modules())
    assert ("add", (4, 8, 8)) in {(line.path, line.shape) for line in list_nodes(net, torch.zeros(2, 1, 8, 8))}


def test_taps_of_a_model_an_experiment_and_a_file(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["taps", "timm/test_vit"]) == 0
    said = capsys.readouterr().out
    assert "blocks.0.attn.proj" in said
    assert main(["taps", "torchvision/vit_b_16", "--image_shape", "[3, 32, 32]"]) == 2
    assert "The network takes no images of 3x32x32" in capsys.readouterr().err
    assert main(["taps", "tiny.yaml"]) == 0
    assert "classification, of images 1x8x8" in capsys.readouterr().out
    assert main(["taps", "nowhere.h5"]) == 2
    assert "nowhere.h5 does not exist" in capsys.readouterr().err


def test_a_transformer_of_timm_is_recorded_at_the_size_that_it_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("seen.npy", np.zeros((1, 1, 8, 8), np.uint8))
    words = ["--network", "timm/test_vit", "--taps", "{map: blocks.1@patches, class: norm@class}"]
    words += [
        "--data.source",
        "digits",
        "--data.per_class",
        "2",
        "--splits",
        "[evaluation]",
        "--trained_on",
        "seen.npy",
    ]
    assert main(["record", "mine.h5", *words]) == 0
    found = contents_of(tmp_path / "mine.h5")
    assert found.n_images == 20
    assert not found.has_split
    channels, side, _ = found.taps["map"].shape
    assert side == build_model("timm/test_vit", {}).resolution // 16
    assert found.taps["class"].shape == (channels,)
    assert "next: ib figures mine --activations_file mine.h5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"network": ""}, "network is missing"),
        ({"taps": {}}, "ib taps timm/test_vit lists them"),
        ({"splits": ()}, "splits is []"),
        ({"mean": (0.5,)}, "mean and std must have as many numbers"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"threads": -2}, "threads is -2"),
    ],
)
def test_wrong_settings_of_a_record_get_one_sentence(changes: dict, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        RecordConfig(**{"network": "timm/test_vit", "taps": {"h": "norm"}, **changes})
    assert sentence in str(error.value)


def test_mistakes_on_the_command_line_get_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    network = ["--network", "timm/test_vit", "--data.source", "digits", "--data.per_class", "1"]
    cases: list[tuple[list[str], str]] = [
        ([], "needs first what it is about"),
        (["mine.txt", *network, "--taps", "{h: norm}"], "call it something.h5"),
        (["mine.h5", *network, "--taps", "{h: norms}"], "the nearest names are norm"),
        (["mine.h5", *network, "--taps", "{h: norm}", "--weights", "no_*.pt"], "there is no such file"),
        (["mine.h5", *network, "--taps", "{h: norm}", "--trained_on", "no.npy"], "no.npy cannot be read"),
        (["mine.h5", *network, "--taps", "{h: norm}", "--bath_size", "3"], "bath_size"),
    ]
    for words, sentence in cases:
        assert main(["record", *words]) == 2
        said = capsys.readouterr().err
        assert sentence in said
        assert said.count("\n") == 1
        assert not Path("mine.h5").exists()
