"""Number formats through the command line: what is trained, refused, and costed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ib_analysis.activations import verify
from ib_analysis.cli import main, parse_experiment
from ib_analysis.experiment import Experiment
from ib_analysis.stages.dump import open_activations

QUANTIZED = ["--number_formats", "[float32, w4a4_ends8]", "--tasks", "[classification]"]
LONG_ENOUGH = ["--training.epochs", "30", "--training.checkpoints", "[0, 20, 30]"]  # 60 steps; inputs from the 51st on


def test_codes_are_dumped_bit_packed_and_read_as_they_are_recomputed(tiny: Path) -> None:
    options = ["--tasks", "[classification]", "--number_formats", "[w2a2]", *LONG_ENOUGH]
    assert main(["train", str(tiny), *options]) == 0
    config = parse_experiment("train", [str(tiny), *options])
    experiment = Experiment(config)
    (run,) = experiment.runs
    stored = open_activations(experiment, run)
    recomputed = open_activations(
        Experiment(replace(config, activations=replace(config.activations, mode="recompute"))), run
    )
    with h5py.File(experiment.activations_path(run), locking=False) as file:
        assert file["epoch_0020/h1"].dtype == np.float16  # inputs were not quantized yet
        packed = file["epoch_0030/h1"]
        assert (packed.dtype, packed.attrs["bits"]) == (np.uint8, 2)
        assert packed.shape[1] == stored.shape("h1")[0] * stored.shape("h1")[1] * stored.shape("h1")[2] * 2 // 8
    for epoch in experiment.epochs:
        for layer in config.layers:
            for group in range(len(stored.groups)):
                assert torch.equal(stored.read(epoch, layer, group), recomputed.read(epoch, layer, group))
    assert not verify(experiment.activations_path(run))


def state(folder: Path, number_format: str, epoch: int) -> dict[str, torch.Tensor]:
    path = folder / f"checkpoints/tiny/encoders/classification_{number_format}_seed0/epoch_{epoch:04d}.pt"
    return torch.load(path, weights_only=True)["state_dict"]


def test_formats_start_from_the_same_weights_and_set_their_bounds_once(tiny: Path) -> None:
    override = ["--quantization.overrides", "{trunk.stem.0: w4a8}"]  # is no business of the float32 network
    assert main(["train", str(tiny), *QUANTIZED, *LONG_ENOUGH, *override]) == 0
    assert not any("inputs.bounds" in name for name in state(tiny.parent, "float32", 30))
    real, start = state(tiny.parent, "float32", 0), state(tiny.parent, "w4a4_ends8", 0)
    # Statistics of batch normalisation are those of the quantized weights already.
    assert all(torch.equal(value, start[name]) for name, value in real.items() if "running" not in name)
    early, late = state(tiny.parent, "w4a4_ends8", 20), state(tiny.parent, "w4a4_ends8", 30)
    bounds = [name for name in late if name.endswith("inputs.bounds.bound")]
    assert len(bounds) == 8  # the stem, two convolutions in each of three blocks, the dense layer
    for name in bounds:
        steps = name.removesuffix("bound") + "steps"
        assert not early[name].any()
        assert int(early[steps]) == 40
        assert late[name].any()
        assert int(late[steps]) == 51
    assert not torch.equal(state(tiny.parent, "float32", 30)["head.weight"], late["head.weight"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--number_formats", "[w1a4]"], "'w1a4' has 1-bit weights"),
        (["--number_formats", "[w4a4, w4a4]"], "give at least one value, each once"),
        (["--quantization.overrides", "{head: int8}"], "There is no number format 'int8'"),
        ([*QUANTIZED], "quantized from training step 51 on, and the training has only 4 steps"),
        ([*QUANTIZED, *LONG_ENOUGH, "--quantization.overrides", "{heat: w8a8}"], "names the layer 'heat'"),
    ],
)
def test_a_users_mistake_gets_one_sentence(
    tiny: Path, capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    assert main(["train", str(tiny), *options]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error


def test_describe_says_what_formats_cost(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", str(tiny), "--number_formats", "[bfloat16, w8a8]", *LONG_ENOUGH]) == 0
    told = capsys.readouterr().out
    assert "w8a8: quadratic cost" in told
    assert "(25.00% of bfloat16)" in told


def test_export_writes_integers_that_are_the_trained_network(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--tasks", "[classification]", "--number_formats", "[w4a4_ends8]", *LONG_ENOUGH]
    assert main(["export", str(tiny), *options, "--quantization.granularity", "tensor"]) == 0
    assert "equals the trained network bit for bit on 24 images" in capsys.readouterr().out
    path = tiny.parent / "checkpoints/tiny/integers/classification_w4a4_ends8_seed0.h5"
    written = path.stat().st_mtime_ns
    assert main(["export", str(tiny), *options, "--quantization.granularity", "tensor"]) == 0
    assert path.stat().st_mtime_ns == written
    assert main(["export", str(tiny), "--name", "other", *options]) == 2
    assert "scale per channel" in capsys.readouterr().err
    assert main(["export", str(tiny), "--name", "third"]) == 2
    assert "none of them is quantized" in capsys.readouterr().err
