"""An experiment of an earlier version under a later one, through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ib_analysis.activations.store import hash_of_dataset
from ib_analysis.artifacts import ALGORITHMS
from ib_analysis.cli import main

CHECKPOINTS = Path("checkpoints/tiny")
TABLES = {"information.csv", "factors.csv", "code_lengths.h5", "phases.csv", "certificates.csv"}
COMMAND = ("samples", "tiny.yaml", "--layers", "[h3]", "--tasks", "[classification]")


@pytest.fixture
def finished(tiny: Path) -> Path:
    assert main(COMMAND) == 0
    return tiny


def times() -> dict[str, int]:
    """When each file that holds something was written last."""
    paths = [path for path in CHECKPOINTS.rglob("*") if path.suffix in (".pt", ".h5", ".npz", ".csv")]
    return {str(path.relative_to(CHECKPOINTS)): path.stat().st_mtime_ns for path in paths}


def edit(change: Callable[[dict], None]) -> int:
    manifests = sorted(CHECKPOINTS.rglob("*.json"))
    count = 0
    for path in manifests:
        record = json.loads(path.read_text())
        if "recipe" in record:
            before = json.dumps(record)
            change(record)
            path.write_text(json.dumps(record))
            count += json.dumps(record) != before
    return count


def forget_settings(record: dict) -> None:
    """A manifest from before these settings, which have their defaults in `tiny`, and of what came with them."""
    config = record["recipe"]["config"]
    config.get("training", {}).pop("weight_decay", None)
    config.get("fitting", {}).pop("averaging_power", None)
    config.get("data", {}).pop("greyscale", None)
    config.pop("start_from", None)
    record.pop("defaults", None)
    record.pop("threads", None)


def test_settings_that_are_new_at_their_defaults_leave_everything_as_it_is(
    finished: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = times()
    assert edit(forget_settings) > 4
    assert main(COMMAND) == 0
    assert times() == before
    assert main([*COMMAND, "--fitting.averaging_power", "2"]) == 2
    assert "fitting.averaging_power was 8.0, now 2.0" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("activations", ("activations/",)),
        ("probes", ("probes/",)),
        ("tables", tuple(TABLES)),
        ("samples", ("samples/", "samples.h5")),
    ],
)
def test_what_another_algorithm_made_is_made_again_and_nothing_else(
    finished: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, again: tuple[str, ...]
) -> None:
    before = times()
    monkeypatch.setitem(ALGORITHMS, name, ALGORITHMS[name] + 1)
    assert main(COMMAND) == 0
    after = times()
    assert after.keys() == before.keys()
    # What is made from it is left alone, as it came out the same.
    assert {path for path in after if after[path] != before[path]} == {path for path in after if path.startswith(again)}
    (told,) = [record.message for record in caplog.records]
    assert f"algorithm {ALGORITHMS[name] - 1} of '{name}', now {ALGORITHMS[name]}" in told
    caplog.clear()
    assert main(COMMAND) == 0
    assert times() == after
    assert not caplog.records


def test_going_on_with_another_number_of_threads_is_said(finished: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = times()
    manifests = [json.loads(path.read_text()) for path in CHECKPOINTS.rglob("*.json")]
    assert {record["threads"] for record in manifests if "recipe" in record} == {1}
    try:
        assert main([*COMMAND, "--threads", "2"]) == 0
    finally:
        torch.set_num_threads(1)
    assert times() == before
    (told,) = [record.message for record in caplog.records]
    assert "made with threads: 1 (now 2)" in told


def retire(record: dict) -> None:
    """A manifest from when fits had one more setting, which had its default."""
    for part in (record["recipe"]["config"], record["defaults"]):
        if "fitting" in part:
            part["fitting"]["momentum"] = 0.5


def test_a_setting_that_is_no_more_leaves_a_decoder_valid_where_it_had_its_default(
    finished: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = times()
    assert edit(retire) == 1
    (CHECKPOINTS / "code_lengths.h5").unlink()  # tables are made of the old records again
    assert main(COMMAND) == 0
    assert {path for path, time in times().items() if time != before[path]} == TABLES
    edit(lambda record: record["defaults"].pop("fitting", None))
    assert main(COMMAND) == 2
    assert "fitting.momentum was 0.5, now unset" in capfd.readouterr().err


def test_nothing_of_an_outdated_dump_is_kept(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its datasets are whole and of the same encoder, and an interrupted dump would go on with them."""
    path = CHECKPOINTS / "activations/classification_float32_seed0.h5"
    with h5py.File(path, "a", locking=False) as file:
        dataset = file["epoch_0002/h3"]
        right = dataset[:]
        dataset[:] = right + 1
        dataset.attrs["sha256"] = hash_of_dataset(dataset)
    monkeypatch.setitem(ALGORITHMS, "activations", ALGORITHMS["activations"] + 1)
    assert main(COMMAND) == 0
    with h5py.File(path, locking=False) as file:
        np.testing.assert_array_equal(file["epoch_0002/h3"][:], right)
