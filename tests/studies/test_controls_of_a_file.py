"""Controls where there is no network but what it gave: those that need none, with sentences for the others."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from ib_analysis import study
from ib_analysis.artifacts import UserError
from ib_analysis.experiment import Experiment
from ib_analysis.information.table import read_table
from ib_analysis.studies.controls.config import ControlsConfig
from ib_analysis.studies.controls.plan import Controls
from ib_analysis.studies.controls.row import ControlRow


def mine(tiny: Path, labels: bool = True, features: int = 4, epochs: tuple[int, ...] = (0, 3)) -> dict:
    """Settings of an experiment on a file of noise and of two functions of it."""
    images = np.random.default_rng(0).integers(0, 4, (60, 1, 6, 6), dtype=np.uint8)
    with h5py.File("mine.h5", "w") as file:
        file["images"] = images
        file["images"].attrs["intensities"] = 4
        if labels:
            file["labels"] = np.arange(60) % 2
        for epoch in epochs:
            file[f"epoch_{epoch:04d}/half"] = images[:, :, ::2, ::2].astype(np.float32)
            file[f"epoch_{epoch:04d}/sums"] = np.resize(images.sum((1, 2)).astype(np.float32), (60, features))
    settings = yaml.safe_load(tiny.read_text())
    kept = {key: value for key, value in settings.items() if key not in ("layers", "encoder", "training", "brackets")}
    return {**kept, "activations_file": "mine.h5"}


def controls(settings: dict, **chosen: object) -> Controls:
    return Controls(
        Experiment(study("mine", **settings).config), ControlsConfig(**{"bottleneck_units": (2,), **chosen})
    )


def test_controls_that_need_no_network_are_made(tiny: Path) -> None:
    found = controls(mine(tiny))
    assert found.names == ("shuffled", "constant", "image", "untrained", "permuted_labels", "bottleneck")
    assert found.left_out() == {"data_processing": "a file does not tell which tap is a function of which"}
    found = controls(mine(tiny, labels=False, features=9000, epochs=(3,)))
    assert found.names == ("shuffled", "constant", "image")
    assert found.left_out()["permuted_labels"] == "the file has no labels"
    assert found.left_out()["bottleneck"] == "it projects the features of sums, and 9000 are too many"
    with pytest.raises(UserError, match="'permuted_labels' cannot be made of 'mine': the file has no labels"):
        controls(mine(tiny, labels=False), only="permuted_labels")


@pytest.mark.slow
def test_they_are_run_and_drawn(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    study("mine", **mine(tiny)).also("controls", bottleneck_units=[2])
    rows = read_table(Path("checkpoints/mine/controls.csv"), ControlRow)
    assert {row.control for row in rows} == {
        "shuffled", "constant", "image", "untrained", "permuted_labels", "bottleneck",
    }  # fmt: skip
    assert {row.task for row in rows} == {"recorded"}
    assert Path("figures/mine/controls.png").exists()
    assert "Left out: data_processing: a file does not tell" in capsys.readouterr().out
    study("bare", **mine(tiny, labels=False)).also("controls", bottleneck_units=[2])
    rows = read_table(Path("checkpoints/bare/controls.csv"), ControlRow)
    assert {row.control for row in rows} == {"shuffled", "constant", "image", "bottleneck"}
