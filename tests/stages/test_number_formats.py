"""Number formats through the command line: what is trained, refused, and costed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ib_analysis.activations import verify
from ib_analysis.artifacts import sha256_of_file
from ib_analysis.cli import main, parse_experiment
from ib_analysis.experiment import Experiment
from ib_analysis.information.table import InformationRow, read_table
from ib_analysis.records import codes
from ib_analysis.records.activations import open_activations
from ib_analysis.records.codes import codes_of
from ib_analysis.records.images import images_of
from ib_analysis.tables.information import _bounds

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
        for layer in experiment.layers:
            for group in range(len(stored.groups)):
                assert torch.equal(stored.read(epoch, layer, group), recomputed.read(epoch, layer, group))
    assert not verify(experiment.activations_path(run))


def coded(path: Path) -> dict[tuple[str, int, str], tuple[int | None, int | None]]:
    return {
        (row.number_format, row.epoch, row.layer): (row.code_bits, row.code_is_bottleneck)
        for row in read_table(path / "information.csv", InformationRow)
    }


def test_the_table_says_which_cells_are_codes(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = [*QUANTIZED, *LONG_ENOUGH, "--layers", "[h1, h3, h4]"]
    assert main(["estimate-mi", "tiny.yaml", *options]) == 0
    folder = Path("checkpoints/tiny")
    found = coded(folder)
    assert len(found) == 2 * 3 * 3
    codes_in_order = {("w4a4_ends8", 30, "h1"): (4, 0), ("w4a4_ends8", 30, "h4"): (8, 1)}  # the shortcut passes h1
    assert {cell: code for cell, code in found.items() if code != (None, None)} == codes_in_order
    with h5py.File(folder / "activations/classification_w4a4_ends8_seed0.h5", locking=False) as file:
        for (name, epoch, layer), (bits, _) in found.items():
            if name != "float32":
                assert file[f"epoch_{epoch:04d}/{layer}"].attrs.get("bits") == bits
    again = [*options, "--activations.mode", "recompute", "--name", "again"]
    assert main(["estimate-mi", "tiny.yaml", *again]) == 0
    assert coded(Path("checkpoints/again")) == found

    # Tables that were written before there were these columns are made again, and no encoder is loaded for it twice.
    table, manifest = folder / "information.csv", folder / "code_lengths.h5.json"
    written = table.read_bytes()
    table.write_text("".join(line.rsplit(",", 2)[0] + "\n" for line in table.read_text().splitlines()))
    record = json.loads(manifest.read_text())
    del record["recipe"]["inputs"]["columns"]
    record["tables"]["information.csv"] = sha256_of_file(table)
    manifest.write_text(json.dumps(record))
    monkeypatch.setattr(codes, "_find", lambda *_: pytest.fail("codes were looked for again"))
    assert main(["estimate-mi", "tiny.yaml", *options]) == 0
    assert table.read_bytes() == written


def test_codes_hold_no_more_than_their_bits(tiny: Path) -> None:
    data = images_of(Experiment(parse_experiment("train", ["tiny.yaml"])))
    real = _bounds(data, (4, 8, 8), bits=16)
    narrow = _bounds(data, (4, 8, 8), bits=2)
    assert real["units x 16 bits"] == 16 * 4 * 8 * 8
    assert narrow["units x 2 bits"] == 2 * 4 * 8 * 8
    assert real["H(X)"] == narrow["H(X)"] == data.h_x_bits


def test_floating_point_formats_have_no_codes(tiny: Path) -> None:
    experiment = Experiment(parse_experiment("train", ["tiny.yaml", "--number_formats", "[float32, bfloat16]"]))
    assert [codes_of(experiment, run) for run in experiment.runs] == [{}] * 4  # nothing need be trained for it


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
