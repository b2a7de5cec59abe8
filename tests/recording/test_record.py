"""What torch networks make of images, recorded: as a plain forward pass gives it, and the networks as before."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ib_analysis import record
from ib_analysis.activations_file import contents_of
from ib_analysis.artifacts import UserError

IMAGES = torch.randint(0, 256, (30, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(30) % 3
TAPS = {"early": "0", "late": "4"}


def network(seed: int) -> nn.Sequential:
    """Two taps, with layers that are different in training; in training mode, as it may come."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(256, 10)
    ).train()


def expected(net: nn.Sequential, preprocess=lambda images: images.float() / 255) -> dict[str, Tensor]:
    """The taps by hand."""
    net.eval()
    with torch.no_grad():
        early = net[0](preprocess(IMAGES))
        return {"early": early, "late": net[1:](early)}


def check(path: Path, epoch: int, wanted: dict[str, Tensor]) -> None:
    with h5py.File(path) as file:
        for layer, values in wanted.items():
            np.testing.assert_allclose(file[f"epoch_{epoch:04d}/{layer}"][()], values.numpy(), rtol=1e-5, atol=1e-6)


def test_modules_and_functions_are_recorded_and_left_as_found(tmp_path: Path) -> None:
    nets = {0: network(0), 10: network(1)}
    before = {epoch: {name: value.clone() for name, value in net.state_dict().items()} for epoch, net in nets.items()}
    path = record(
        tmp_path / "mine.h5", IMAGES, LABELS, networks={0: nets[0], 10: lambda: nets[10]}, taps=TAPS, batch_size=7
    )
    assert contents_of(path).epochs == (0, 10)
    assert list(contents_of(path).taps) == ["early", "late"]
    for epoch, net in nets.items():
        assert all(module.training for module in net.modules())
        assert not any(module._forward_hooks for module in net.modules())
        assert all(torch.equal(value, before[epoch][name]) for name, value in net.state_dict().items())
        check(path, epoch, expected(net))
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["images"][()], IMAGES.numpy())
        np.testing.assert_array_equal(file["labels"][()], LABELS.numpy())


def test_files_of_weights_are_loaded_and_the_module_gets_its_own_back(tmp_path: Path) -> None:
    nets = [network(seed) for seed in range(3)]
    torch.save({"model": {f"module.{name}": value for name, value in nets[0].state_dict().items()}}, tmp_path / "0.pt")
    save_file(nets[1].state_dict(), tmp_path / "1.safetensors")
    own = {name: value.clone() for name, value in nets[2].state_dict().items()}
    networks = {0: tmp_path / "0.pt", 1: str(tmp_path / "1.safetensors")}
    path = record(tmp_path / "mine.h5", IMAGES, networks=networks, network=nets[2], taps=TAPS)
    check(path, 0, expected(nets[0]))
    check(path, 1, expected(nets[1]))
    assert all(torch.equal(value, own[name]) for name, value in nets[2].state_dict().items())
    assert not contents_of(path).has_labels


def test_wrapped_networks_and_bfloat16(tmp_path: Path) -> None:
    net = network(0)
    wrapped = {0: nn.DataParallel(net), 1: torch.compile(net), 2: net.to(memory_format=torch.channels_last)}
    path = record(tmp_path / "mine.h5", IMAGES, networks=wrapped, taps=TAPS, device="cpu")
    for epoch in wrapped:
        check(path, epoch, expected(net))
    half = network(1).bfloat16()
    path = record(
        tmp_path / "half.h5", IMAGES, networks={0: half}, taps=TAPS, preprocess=lambda images: images.bfloat16() / 255
    )
    check(path, 0, {name: tap.float() for name, tap in expected(half, lambda x: x.bfloat16() / 255).items()})


def test_images_that_a_network_was_trained_on_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    seen = torch.cat([IMAGES[3:5], IMAGES[20:21]])
    net = network(0)
    path = record(tmp_path / "mine.h5", IMAGES, LABELS, networks={0: net}, taps=TAPS, trained_on=seen)
    assert "3 of 30 images are among those of trained_on and are left out." in caplog.text
    kept = [k for k in range(30) if k not in (3, 4, 20)]
    check(path, 0, {name: tap[kept] for name, tap in expected(net).items()})


class RowsAndDict(nn.Module):
    """An LSTM over rows, whose module gives a tuple, and a head that gives a dict."""

    class Head(nn.Module):
        def forward(self, last: Tensor) -> dict[str, Tensor]:
            return {"mean": last, "square": last.square()}

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.head = nn.LSTM(8, 6, batch_first=True), self.Head()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return self.head(self.rows(images[:, 0])[0][:, -1])


def test_parts_of_outputs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = RowsAndDict()
    taps = {"steps": "rows[0]", "square": "head[square]"}
    path = record(tmp_path / "mine.h5", IMAGES, networks={0: net}, taps=taps, axes={"steps": "BNC"})
    with torch.no_grad():
        steps = net.rows(IMAGES[:, 0].float() / 255)[0]
    check(path, 0, {"steps": steps.transpose(1, 2)[..., None], "square": steps[:, -1].square()})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"taps": {"h": "convolution"}}, "no module 'convolution' to tap; the nearest names are"),
        ({"networks": {}}, "networks is empty"),
        ({"networks": {"last": network(0)}}, "names the epoch 'last'"),
        ({"networks": {0: "nowhere.pt"}}, "pass the module that its weights belong to as network"),
        ({"networks": {0: "nowhere.pt"}, "network": network(0)}, "nowhere.pt does not exist"),
        ({"networks": {0: lambda: 3}}, "gives a int"),
        ({"images": IMAGES.float()}, "images has shape (30, 1, 8, 8) and type float32"),
        ({"labels": [1, 2]}, "labels has shape (2,), and there are 30 images"),
        ({"trained_on": IMAGES}, "All images are among those of trained_on"),
        ({"taps": ["0", "4"]}, "taps is ['0', '4']; give each a name and its address"),
        ({"networks": network(0)}, "networks is a Sequential; give the network of each epoch"),
        ({"networks": {0: None}}, "networks[0] is a NoneType; give a module"),
        ({"networks": {0: nn.Linear}}, "networks[0] gives no network: TypeError"),
        ({"networks": {0: "nowhere.pt"}, "network": nn.Linear}, "network is the class Linear; it must be a torch.nn"),
        (
            {"networks": {0: nn.Sequential(nn.Linear(3, 3))}, "taps": {"h": "0"}},
            "The network takes no images of 1x8x8: RuntimeError",
        ),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"batch_size": -3}, "batch_size is -3; it must be at least 1"),
        ({"device": "gpu"}, "device is 'gpu', which torch cannot use here"),
        ({"device": "cuda:99"}, "device is 'cuda:99', which torch cannot use here"),
        ({"preprocess": lambda images: None}, "preprocess gives a NoneType"),
        (
            {"preprocess": lambda images: 1 / 0},
            "preprocess fails on integer images of shape 2x1x8x8: ZeroDivisionError",
        ),
        ({"labels": [object()] * 30}, "labels has the type object"),
        ({"labels": ["cat", "dog"] * 15}, "labels must hold whole numbers"),
        ({"labels": np.full(30, np.nan)}, "labels must hold whole numbers"),
        ({"labels": np.zeros(30)}, "labels knows only one class"),
        ({"class_names": ["a", "b"]}, "class_names has 2 names"),
        ({"split": ["train"] * 30}, "split holds 'train'"),
        ({"split": ["d\u00e9codeur"] * 30}, "split holds 'd\u00e9codeur'"),
        ({"split": [1] * 30}, "split has no image for evaluation"),
        ({"intensities": 4}, "intensities is 4; pixels must be below it"),
        ({"intensities": 1000}, "intensities is 1000; it must be 2 to 256"),
    ],
)
def test_a_mistake_gets_one_sentence_and_leaves_no_file(tmp_path: Path, changes: dict, sentence: str) -> None:
    given = {"images": IMAGES, "labels": LABELS, "networks": {0: network(0)}, "taps": TAPS, **changes}
    with pytest.raises(UserError) as error:
        record(tmp_path / "mine.h5", given.pop("images"), given.pop("labels"), **given)
    assert sentence in str(error.value)
    assert not list(tmp_path.iterdir())


def test_labels_are_looked_at_before_a_network_runs(tmp_path: Path) -> None:
    def never() -> nn.Module:
        raise AssertionError("a network was made")

    with pytest.raises(UserError, match="labels knows only one class"):
        record(tmp_path / "mine.h5", IMAGES, torch.zeros(30), networks={0: never}, taps=TAPS)


class Wide(nn.Module):
    """A map of so many channels, with dropout that does not follow the mode if asked for, and counted calls."""

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.convolution, self.dropout, self.after = nn.Conv2d(1, width, 3), dropout, nn.Flatten()
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return self.after(nn.functional.dropout(self.convolution(images), self.dropout))


def test_sentences_name_the_file_and_not_a_temporary_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mine\.h5: the tap h has activations") as error:
        record(tmp_path / "mine.h5", IMAGES, networks={0: Wide(2), 5: Wide(3)}, taps={"h": "convolution"})
    assert str(error.value).startswith(f"{tmp_path / 'mine.h5'}:")


def test_a_random_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"other activations of h each time.*F\.dropout"):
        record(tmp_path / "mine.h5", IMAGES, networks={0: Wide(2, 0.5)}, taps={"h": "after"})


def test_buffers_are_left_as_found_and_a_file_is_replaced_with_a_word(tmp_path: Path, caplog) -> None:
    net = Wide(2)
    for _ in range(2):
        record(tmp_path / "mine.h5", IMAGES, networks={np.int64(3): net}, taps={"h": "after"})
        assert float(net.calls) == 0
    assert caplog.text.count("mine.h5 is there already") == 1
    assert contents_of(tmp_path / "mine.h5").epochs == (3,)


def test_no_image_is_alone_in_its_batch(tmp_path: Path) -> None:
    class Squeezed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool, self.linear = nn.AdaptiveAvgPool2d(1), nn.Linear(3, 2)

        def forward(self, images: Tensor) -> Tensor:
            return self.linear(self.pool(images.expand(-1, 3, -1, -1)).squeeze())

    net = Squeezed()
    path = record(tmp_path / "mine.h5", IMAGES[:9], networks={0: net}, taps={"h": "linear"}, batch_size=8)
    with h5py.File(path) as file, torch.no_grad():
        np.testing.assert_allclose(file["epoch_0000/h"][()], net(IMAGES[:9].float() / 255), rtol=1e-5, atol=1e-6)


def test_mixed_precision_is_bfloat16_and_only_on_demand(tmp_path: Path) -> None:
    net = network(0)
    given = {"networks": {0: net}, "taps": {"late": "4"}, "device": "cpu"}
    path = record(tmp_path / "mixed.h5", IMAGES, **given, mixed_precision=True)
    with torch.autocast("cpu", torch.bfloat16):
        wanted = expected(net)["late"]
    assert wanted.dtype == torch.bfloat16
    check(path, 0, {"late": wanted.float()})
    check(record(tmp_path / "full.h5", IMAGES, **given), 0, {"late": expected(net)["late"]})


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_frozen_and_exported_networks_are_refused_and_run_as_parts(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU()).eval()
    flat = [
        torch.jit.freeze(torch.jit.script(net)),
        torch.export.export(
            net, (torch.zeros(4, 1, 8, 8),), dynamic_shapes=({0: torch.export.Dim("images", min=2, max=64)},)
        ).module(),
    ]
    for made in flat:
        with pytest.raises(UserError, match="no modules are left in it to be tapped"):
            record(tmp_path / "mine.h5", IMAGES, networks={0: made}, taps={"h": "0"})
        whole = nn.Sequential(made, nn.Flatten())
        path = record(tmp_path / "mine.h5", IMAGES, networks={0: whole}, taps={"h": "1"})
        with torch.no_grad():
            check(path, 0, {"h": net(IMAGES.float() / 255).flatten(1)})


def test_floats_of_8_bits(tmp_path: Path) -> None:
    class Rounded(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.to(torch.float8_e4m3fn)

    path = record(tmp_path / "mine.h5", IMAGES, networks={0: nn.Sequential(Rounded())}, taps={"h": "0"})
    check(path, 0, {"h": (IMAGES.float() / 255).to(torch.float8_e4m3fn).float()})


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "0.pt")
    net = network(0)
    with pytest.raises(UserError, match=r"0\.pt are not those of the network: .*Missing key"):
        record(tmp_path / "mine.h5", IMAGES, networks={0: tmp_path / "0.pt"}, network=net, taps=TAPS)


def test_larger_images_are_averaged_for_decoders_and_kept_for_the_network(tmp_path: Path) -> None:
    large = torch.randint(0, 256, (6, 1, 64, 32), dtype=torch.uint8)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64 * 32, 3))
    path = record(tmp_path / "mine.h5", large, networks={0: net}, taps={"h": "1"}, titles={"h": "the $h$"})
    found = contents_of(path)
    assert (found.image_shape, found.original_shape) == ((1, 32, 16), (1, 64, 32))
    assert found.taps["h"].title == "the $h$"
    with h5py.File(path) as file:
        means = large.float().unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1))
        assert np.abs(file["images"][()] - means.numpy()).max() <= 0.5
        with torch.no_grad():
            np.testing.assert_allclose(file["epoch_0000/h"][()], net(large.float() / 255).numpy(), atol=1e-5)
    same = record(tmp_path / "same.h5", large, networks={0: net}, taps={"h": "1"}, decoder_resolution=64)
    assert contents_of(same).original_shape is None
    with pytest.raises(UserError, match="titles names 'g'"):
        record(tmp_path / "other.h5", large, networks={0: net}, taps={"h": "1"}, titles={"g": "x"})


@pytest.mark.slow  # importing torch's compiler takes seconds
def test_a_compiled_part_is_tapped_inside(tmp_path: Path) -> None:
    net = network(0)
    wanted = expected(net)
    whole = nn.Sequential(torch.compile(net[:4]), net[4])
    path = record(tmp_path / "mine.h5", IMAGES, networks={0: whole}, taps={"early": "0.0", "late": "1"})
    check(path, 0, wanted)
