"""The experiments that come with the project: every file is a config that can work, and those too large for a test run
from end to end at a tiny size, with everything else as the file has it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ib_analysis.cli import main, parse_experiment
from ib_analysis.experiment import Experiment
from ib_analysis.information.table import InformationRow, read_table

FILES = sorted((Path(__file__).parent.parent / "experiments").glob("*.yaml"))
EXPERIMENTS = [path for path in FILES if not path.stem.startswith(("calibration", "architecture-search"))]
QUANTIZED = [
    "--training.epochs", "30", "--training.checkpoints", "[0, 30]", "--training.batch_size", "32",
    "--number_formats", "[float32, w2a2_ends8]", "--brackets.density.filters", "4", "--brackets.fitting.steps", "2",
    "--brackets.fitting.validate_every", "1", "--brackets.fitting.validation_images", "16",
]  # fmt: skip
STUDIES = [
    "--cost-quality.depths", "[8]", "--cost-quality.widths", "[2, 4]", "--cost-quality.seeds", "[0]",
    "--cost-quality.number_formats", "[bfloat16, w8a8]",
]  # fmt: skip
BLOCKS = ["--residual-blocks.seeds", "[0]"]
FULL = [
    "--data.resolution", "16", "--brackets.density.blocks", "1", "--brackets.density.condition_filters", "4",
    "--brackets.fitting.batch_size", "64", "--brackets.fitting.warmup_steps", "1",
]  # fmt: skip
READERS = [
    "--reader_network.width", "8", "--fitting.steps", "8", "--base_network.blocks", "1", "--base_network.filters", "4",
    "--base_fitting.steps", "20", "--base_fitting.batch_size", "32", "--base_fitting.warmup_steps", "1",
    "--base_fitting.validate_every", "5", "--base_fitting.validation_images", "64", "--fitting.validate_every", "4",
    "--data.resolution", "16",
]  # fmt: skip
RIR = [
    *READERS, "--layers", "[h1_residual, h1_transient, h4_residual, h4_transient]", "--encoder_seeds", "[0, 1]",
    "--layer_steps", "{h4_residual: 12, h4_transient: 12}",
]  # fmt: skip
LARGE: dict[str, list[str]] = {
    "cifar10": READERS,
    "cifar10-small": [*READERS, "--layer_steps", "{h4: 12}"],
    "cifar10-small-gated": [],
    "quantized": [*QUANTIZED, *READERS, "--layer_steps", "{h4: 12}", "--brackets.epochs", "last"],
    "quantized-full": [*QUANTIZED, *FULL],
    "rir": RIR,
}
"""name -> what else is made small."""
CLASSES = ("airplane", "bird", "cat", "ship")
TINY = [
    "--encoder.depth", "8", "--encoder.width", "4", "--training.epochs", "2", "--training.checkpoints", "[0, 2]",
    "--decoder.blocks", "1", "--decoder.filters", "4", "--decoder.condition_filters", "4", "--fitting.steps", "2",
    "--fitting.batch_size", "64", "--fitting.warmup_steps", "1", "--fitting.validate_every", "1",
    "--fitting.validation_images", "64", "--probe.epochs", "1", "--estimation.resamples", "20",
    "--sampling.images", "1", "--sampling.draws", "1", "--workers", "1", "--layers", "[h1, h4]",
    "--data.source", "image_folder", "--data.folder", "images", "--data.per_class", "null",
    "--data.evaluation_per_class", "null",
]  # fmt: skip


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_file_is_an_experiment_that_can_work(path: Path) -> None:
    experiment = Experiment(parse_experiment("train", [str(path)]))
    assert experiment.config.name == path.stem
    assert experiment.epochs[0] == 0
    assert experiment.epochs[-1] == experiment.config.training.epochs


# They take the ways of `cifar10`, with number formats or more networks; formats and `rir` have tests of their own.
SLOW = ("quantized", "quantized-full", "cifar10-small", "cifar10-small-gated", "rir")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in LARGE])
def test_the_large_experiments_run_at_a_tiny_size(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for split, count in (("train", 32), ("test", 6)):
        for number, label in enumerate(CLASSES):
            folder = tmp_path / "data" / "images" / split / label
            folder.mkdir(parents=True)
            for index in range(count):
                image = rng.integers(60 * number, 60 * number + 60, size=(32, 32, 3)).astype(np.uint8)
                Image.fromarray(image).save(folder / f"{index}.png")
    shutil.copy(next(path for path in EXPERIMENTS if path.stem == name), tmp_path)
    words = [f"{name}.yaml", *TINY, *LARGE[name]]
    quantized = name.startswith("quantized")
    assert main(["figures", *words, *(STUDIES if quantized else BLOCKS if name == "rir" else [])]) == 0
    assert "I(X;H) in bits" in capsys.readouterr().out
    experiment = Experiment(parse_experiment("train", words))
    rows = read_table(Path("checkpoints") / name / "information.csv", InformationRow)
    assert {(row.task, row.number_format, row.epoch, row.layer) for row in rows} == {
        (run.task, run.number_format, *cell) for run in experiment.runs for cell in experiment.cells
    }
    drawn = {path.stem for path in Path("figures", name).rglob("*.png")}
    assert {"information_plane", "information_by_epoch", "phases", "training_curves"} <= drawn
    assert ("certificates" in drawn) == (not experiment.config.fitting.halfway)
    if quantized:
        assert {"number_formats", "brackets", "cost_quality", "generalization_gap"} <= drawn
    assert ({"streams", "residual_blocks"} <= drawn) == (name == "rir")
    ablation = Path("checkpoints") / name / "studies" / "stream_ablation" / "stream_ablation.csv"
    assert ablation.exists() == (name == "rir")
