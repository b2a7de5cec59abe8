"""Published accuracies beside our own: what keeps them apart is said first, and nothing reduced passes for full."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ib_analysis.cli import main
from ib_analysis.information.intervals import Interval
from ib_analysis.information.table import read_table
from ib_analysis.studies.yardsticks.published import PUBLISHED
from ib_analysis.studies.yardsticks.setting import Setting, obstacles
from ib_analysis.studies.yardsticks.table import YardstickRow, summary, yardstick_rows
from ib_analysis.training import final_accuracy

BINARY = [
    "--encoder.architecture", "binary", "--encoder.width", "2", "--layers", "[]", "--tasks", "[classification]",
    "--number_formats", "[float32, binary]",
]  # fmt: skip
FULL = Setting("cifar10", 32, 32, 3, 256, 50_000, 10_000, 300)


def test_own_accuracies_stand_beside_published_ones(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["yardsticks", "tiny.yaml", *BINARY]) == 0
    out = capsys.readouterr().out
    path = Path("checkpoints/tiny/studies/yardsticks/yardsticks.csv")
    rows = read_table(path, YardstickRow)
    ours, others = rows[:2], rows[2:]
    for row in ours:
        history = Path(f"checkpoints/tiny/encoders/classification_{row.bits}_seed0/training.csv")
        assert row.accuracy == pytest.approx(final_accuracy(history), abs=1e-6)
        assert (row.n_training_images, row.n_test_images, row.epochs) == (64, 24, 2)
        assert (row.setting, row.not_comparable) == ("reduced", "other images (factors)")
        assert ("reconstruction of BCNN" in row.name) == (row.bits == "binary")
    assert [round(100 * row.accuracy, 1) for row in others] == [86.5, 87.2, 89.1]
    assert all(row.setting == "full" for row in others)
    assert summary(rows) in out
    assert "\nNOT COMPARABLE: accuracies measured here are of a reduced setting (other images (factors))." in out
    made = path.stat().st_mtime_ns
    assert main(["yardsticks", "tiny.yaml", *BINARY]) == 0
    assert path.stat().st_mtime_ns == made


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"height": 16, "width": 16}, "16x16 instead of 32x32 pixels"),
        ({"channels": 1}, "grey instead of colour"),
        ({"intensities": 8}, "8 instead of 256 intensities"),
        ({"n_training": 10_000}, "10,000 of 50,000 training images"),
        ({"n_test": 4_000}, "4,000 of 10,000 test images"),
        ({"epochs": 30}, "30 epochs where 250 and more were published"),
        ({"source": "digits", "channels": 1}, "other images (digits)"),
    ],
)
def test_every_reduction_is_named(change: dict, why: str) -> None:
    assert obstacles(FULL, PUBLISHED["binary"]) == []
    setting = replace(FULL, **change)
    assert obstacles(setting, PUBLISHED["binary"]) == [why]
    accuracies = {"binary": {0: Interval(0.99, 0.98, 1.0), 1: Interval(0.97, 0.96, 0.98)}}
    rows = yardstick_rows("toy", {"binary": "a network"}, setting, accuracies, PUBLISHED["binary"], 0.95)
    assert rows[0].setting == "reduced"
    assert rows[0].accuracy == pytest.approx(0.98)
    told = summary(rows)
    assert told.startswith("NOT COMPARABLE")
    assert why in told.splitlines()[0]
    assert "mean of 2 seeds" in told


def test_the_full_setting_is_called_so() -> None:
    rows = yardstick_rows("toy", {"w": "a network"}, FULL, {"w": {0: Interval(0.9, 0.8, 1.0)}}, PUBLISHED["rir"], 0.95)
    assert (rows[0].setting, rows[0].not_comparable) == ("full", "")
    told = summary(rows)
    assert told.startswith("Accuracies measured here are of the same images and split")
    assert "94.99" in told
    assert "not read at its source" in told


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "No published accuracies are kept for encoder.architecture resnet; there are some for binary and rir"),
        (["--encoder.architecture", "rir", "--tasks", "[autoencoding]"], "tasks must have classification among them"),
        ([*BINARY, "--yardsticks.confidence", "1"], "yardsticks.confidence is 1"),
        ([*BINARY, "--yardsticks.resamples", "1"], "yardsticks.resamples is 1"),
    ],
)
def test_mistakes_are_one_sentence(
    tiny: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(["yardsticks", "tiny.yaml", *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not Path("checkpoints").exists()
