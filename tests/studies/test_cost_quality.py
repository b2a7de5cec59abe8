"""Cost and quality through the real command line, at a size of seconds."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ib_analysis.artifacts import UserError
from ib_analysis.cli import main
from ib_analysis.data import Split
from ib_analysis.information.table import read_table
from ib_analysis.studies.cost_quality import CostQualityConfig
from ib_analysis.studies.cost_quality.rows import CostQualityPointRow, CostQualityRow, DominanceRow
from ib_analysis.studies.judge import judge

FOLDER = Path("checkpoints/tiny/studies/cost_quality")
OPTIONS = ["--training.epochs", "26", "--cost-quality.resamples", "100"]  # 52 steps; inputs are quantized from the 51st
GRID = ["--cost-quality.depths", "[8]", "--cost-quality.widths", "[2, 4]",
        "--cost-quality.number_formats", "[bfloat16, w4a4_ends8]"]  # fmt: skip


def times() -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in FOLDER.rglob("*") if path.suffix in (".pt", ".h5", ".csv")}


def test_the_grid_is_trained_judged_tabulated_and_drawn(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["cost-quality", "tiny.yaml", *OPTIONS, *GRID]) == 0
    out = capsys.readouterr().out
    assert "figures/tiny/cost_quality.png" in out
    assert "figures/tiny/generalization_gap.png" in out
    assert "By quadratic cost, no common cost: bfloat16 and w4a4_ends8." in out
    rows = read_table(FOLDER / "cost_quality.csv", CostQualityRow)
    found = [(row.number_format, row.depth, row.width, row.seed) for row in rows]
    assert found == [
        (name, 8, width, seed) for name in ("bfloat16", "w4a4_ends8") for width in (2, 4) for seed in (0, 1)
    ]
    for row in rows:
        key = f"depth8_width{row.width}_{row.number_format}_seed{row.seed}"
        with h5py.File(FOLDER / "evaluations" / f"{key}.h5") as file:
            correct = {part: file[f"{part}_correct"][()] for part in ("train", "test")}
            losses = {part: file[f"{part}_loss_bits"][()] for part in ("train", "test")}
        assert (len(correct["train"]), len(correct["test"])) == (64, 24) == (row.n_training_images, row.n_images)
        assert row.test_accuracy == pytest.approx(correct["test"].mean(), rel=1e-6)
        assert row.generalization_gap == pytest.approx(correct["train"].mean() - correct["test"].mean(), abs=1e-6)
        assert row.test_loss_bits == pytest.approx(losses["test"].mean(), rel=1e-5)
        assert row.test_accuracy_low <= row.test_accuracy <= row.test_accuracy_high
        assert row.generalization_gap_low <= row.generalization_gap <= row.generalization_gap_high
        # training.csv has the same accuracies of the last epoch
        last = (FOLDER / "encoders" / key / "training.csv").read_text().splitlines()[-1].split(",")
        assert float(last[3]) == pytest.approx(row.test_accuracy, rel=1e-6)
    wide = {row.number_format: row for row in rows if row.width == 4}
    real, integer = wide["bfloat16"], wide["w4a4_ends8"]
    assert (real.macs, real.parameters) == (integer.macs, integer.parameters)
    assert real.quadratic_cost == 256 * real.macs
    assert real.linear_cost == 16 * real.macs
    assert 16 < integer.quadratic_cost / integer.macs < 64
    points = read_table(FOLDER / "cost_quality_points.csv", CostQualityPointRow)
    for point in points:
        own = [row for row in rows if (row.number_format, row.width) == (point.number_format, point.width)]
        assert point.test_accuracy == pytest.approx(np.mean([row.test_accuracy for row in own]), rel=1e-6)
        assert point.test_accuracy_high - point.test_accuracy_low > max(
            abs(row.test_accuracy - point.test_accuracy) for row in own
        )
    verdicts = read_table(FOLDER / "dominance.csv", DominanceRow)
    assert len(verdicts) == 6
    assert {row.verdict for row in verdicts if row.cost_model == "quadratic_cost"} == {"no overlap"}

    # a second call does nothing; a lost file is made again, it alone, and comes out as it was
    made = times()
    assert main(["cost-quality", "tiny.yaml", *OPTIONS, *GRID]) == 0
    assert times() == made
    lost = FOLDER / "encoders" / "depth8_width2_bfloat16_seed1" / "epoch_0026.pt"
    before, tables = torch.load(lost)["state_dict"], (FOLDER / "dominance.csv").read_bytes()
    lost.unlink()
    assert main(["cost-quality", "tiny.yaml", *OPTIONS, *GRID]) == 0
    after = torch.load(lost)["state_dict"]
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert (FOLDER / "dominance.csv").read_bytes() == tables
    changed = {path for path, time in times().items() if made[path] != time}
    assert changed <= {path for path in made if "depth8_width2_bfloat16_seed1" in str(path) or path.suffix == ".csv"}
    evaluation = FOLDER / "evaluations" / "depth8_width4_bfloat16_seed0.h5"
    made = times()
    evaluation.unlink()
    assert main(["cost-quality", "tiny.yaml", *OPTIONS, *GRID]) == 0
    assert {path for path, time in times().items() if path.suffix != ".csv" and made[path] != time} == {evaluation}
    # other settings of the tables make only the tables again
    made = times()
    assert main(["cost-quality", "tiny.yaml", *OPTIONS, *GRID, "--cost-quality.seeds", "[1]"]) == 0
    assert "One seed" in capsys.readouterr().out
    assert {path.suffix for path, time in times().items() if made.get(path) != time} == {".csv"}
    assert {row.verdict for row in read_table(FOLDER / "dominance.csv", DominanceRow)} == {"no overlap", "undecided"}
    record = json.loads((FOLDER / "cost_quality.csv.json").read_text())
    assert set(record["recipe"]["inputs"]) > {"depth8_width2_bfloat16_seed1", "confidence"}
    # another training is another experiment
    assert main(["cost-quality", "tiny.yaml", *OPTIONS, *GRID, "--training.learning_rate", "0.05"]) == 2
    assert "training.learning_rate was 0.1, now 0.05" in capsys.readouterr().err


class Thirds(torch.nn.Module):
    """Gives class 1 to every image, with probability 1/2, and 1/4 to the others; refuses training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor([0.25, 0.5, 0.25]).log())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert not self.training
        return self.logits.expand(len(images), 3)


def test_every_image_is_judged() -> None:
    labels = np.arange(1001) % 3
    split = Split(np.zeros((1001, 1, 2, 2), dtype=np.uint8), labels, np.arange(1001))
    correct, bits = judge(Thirds(), split)  # type: ignore[arg-type]
    assert np.array_equal(correct, labels == 1)
    assert bits == pytest.approx(np.where(labels == 1, 1.0, 2.0), rel=1e-6)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"number_formats": ("float32", "bfloat16")}, "the same networks"),
        ({"number_formats": ("int4",)}, "no number format 'int4'"),
        ({"depths": (9,)}, "needs 6n\\+2"),
        ({"depths": ()}, "at least one value"),
        ({"widths": (0,)}, "at least 1 filter"),
        ({"seeds": (0, 0)}, "each once"),
        ({"seeds": (-1,)}, "from 0 on"),
        ({"confidence": 1.0}, "between 0 and 1"),
        ({"resamples": 1}, "at least 2"),
    ],
)
def test_a_setting_that_cannot_work_is_one_sentence(wrong: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        CostQualityConfig(**wrong)


def test_mistakes_are_told_before_anything_is_trained(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["cost-quality", "tiny.yaml", *GRID]) == 2  # 4 steps
    error = capsys.readouterr().err
    assert "quantized from training step 51 on" in error
    assert "Traceback" not in error
    assert main(["cost-quality", "tiny.yaml", *OPTIONS, "--cost-quality.depths", "[10]"]) == 2
    assert "cost-quality.depths is [10]" in capsys.readouterr().err
    assert not Path("checkpoints").exists()
