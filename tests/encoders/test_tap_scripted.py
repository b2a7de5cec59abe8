"""Taps of scripted and traced networks are those of the module that they were made from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ib_analysis.artifacts import UserError
from ib_analysis.encoders import NamedTaps


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        y += x  # in place: the norm's output is gone
        return self.relu(y)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Block(), nn.Dropout(0.5), Block())
        self.rows, self.last = nn.LSTM(8, 5, batch_first=True), nn.Linear(8, 2)
        self.never = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        found = self.blocks(x)
        _, (state, _) = self.rows(found[:, 0])
        return self.last(found.mean((1, 2))), state[0]


PATHS = {
    "conv": "blocks.0.conv", "norm": "blocks.0.norm", "first": "blocks.0", "blocks": "blocks", "steps": "rows[0]",
    "last": "last", "logits": "[0]", "state": "[1]",
}  # fmt: skip
AXES = {"steps": "BNC"}


def preprocess(images: Tensor) -> Tensor:
    return images.float() / 255


@pytest.fixture(scope="module")
def network() -> Net:
    torch.manual_seed(0)
    net = Net()
    net.blocks[0].norm.running_mean.normal_()
    return net.eval()


@pytest.mark.filterwarnings("ignore")  # of torch, that scripting is an old way
@pytest.mark.parametrize("how", ["scripted", "traced", "loaded"])
def test_the_graph_gives_what_hooks_see(how: str, network: Net, tmp_path: Path) -> None:
    images = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    if how == "traced":
        made = torch.jit.trace(network, preprocess(images[:2]))
    else:
        made = torch.jit.script(network.train()).eval()
        network.eval()
    if how == "loaded":
        torch.jit.save(made, str(tmp_path / "net.pt"))
        made = torch.jit.load(str(tmp_path / "net.pt"))
    paths = dict(PATHS)
    if how == "traced":  # what a pass does not use is not in the graph
        with pytest.raises(UserError, match="rows gives several values"):
            NamedTaps(made, {"steps": paths.pop("steps")}, preprocess)
    axes = {name: letters for name, letters in AXES.items() if name in paths}
    wanted = NamedTaps(network, paths, preprocess, axes).eval().taps(images)
    found = NamedTaps(made, paths, preprocess, axes).eval().taps(images)
    assert list(found) == list(paths)
    for name in paths:
        torch.testing.assert_close(found[name], wanted[name], msg=name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("block", "no module 'block' to tap; the nearest names are blocks"),
        ("never", "in whose graph never gives nothing that could be read"),
        ("blocks#2", "numbers the calls of blocks, which are not told apart"),
        ("rows", "tap a part of it"),
    ],
)
def test_what_cannot_be_read_is_told(path: str, told: str, network: Net) -> None:
    with pytest.raises(UserError, match=told):
        NamedTaps(torch.jit.script(network), {"h": path}, preprocess).taps(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
