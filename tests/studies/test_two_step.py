"""Two steps against one, through the command line, and its verdict from made-up evaluations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ib_analysis.artifacts import load_tensors
from ib_analysis.cli import main, parse_experiment
from ib_analysis.experiment import Experiment
from ib_analysis.information.table import read_table
from ib_analysis.studies.two_step import TwoStepConfig
from ib_analysis.studies.two_step.command import summary
from ib_analysis.studies.two_step.plan import Arm, TwoStep
from ib_analysis.studies.two_step.table import TwoStepDifferenceRow, TwoStepRow, _difference

BINARY = ["--encoder.architecture", "binary", "--encoder.width", "2", "--layers", "[]", "--number_formats", "[binary]"]
FOLDER = Path("checkpoints/tiny/studies/two_step")


def test_both_ways_are_trained_from_the_same_weights_and_compared(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["two-step", "tiny.yaml", *BINARY, "--two-step.seeds", "[0, 1]", "--two-step.resamples", "50"]
    assert main(words) == 0
    out = capsys.readouterr().out
    rows = read_table(FOLDER / "two_step.csv", TwoStepRow)
    assert [(row.steps, row.seed, row.epochs) for row in rows] == [(1, 0, 2), (2, 0, 2), (1, 1, 2), (2, 1, 2)]
    (difference,) = read_table(FOLDER / "two_step_difference.csv", TwoStepDifferenceRow)
    by_seed = [
        next(r.test_accuracy for r in rows if (r.steps, r.seed) == (2, seed))
        - next(r.test_accuracy for r in rows if (r.steps, r.seed) == (1, seed))
        for seed in (0, 1)
    ]
    assert difference.difference == pytest.approx(np.mean(by_seed), abs=1e-5)
    assert (difference.lowest, difference.highest) == pytest.approx((min(by_seed), max(by_seed)), abs=1e-5)
    assert summary(rows, difference) in out
    assert Path("figures/tiny/two_step.png").exists()
    states = [load_tensors(FOLDER / "encoders" / f"steps{n}_seed0" / "epoch_0002.pt") for n in (1, 2)]
    assert [state["optimizer"]["state"][0]["step"].item() for state in states] == [4, 2], "2 epochs of 2 batches"

    made = (FOLDER / "two_step.csv").stat().st_mtime_ns
    assert main(words) == 0
    assert (FOLDER / "two_step.csv").stat().st_mtime_ns == made


def made_up(differences: list[float], n_images: int = 4000) -> TwoStepDifferenceRow:
    """The difference for accuracies of 50 % in one step, and so much more in two."""
    settings = TwoStepConfig(seeds=tuple(range(len(differences))), resamples=200)

    class Study:
        experiment = Experiment(parse_experiment("train", ["tiny.yaml", *BINARY]))

    Study.settings = settings  # type: ignore[attr-defined]
    rng = np.random.default_rng(0)
    found = {}
    for seed, difference in enumerate(differences):
        right = np.zeros(n_images, dtype=np.uint8)
        right[: n_images // 2] = 1
        found[Arm(1, seed)] = {"test_correct": rng.permutation(right)}
        right[: round(n_images * (0.5 + difference))] = 1
        found[Arm(2, seed)] = {"test_correct": rng.permutation(right)}
    return _difference(Study, found)  # type: ignore[arg-type]


def test_verdicts(tiny: Path) -> None:
    assert made_up([0.20, 0.21, 0.22]).verdict == "better"
    assert made_up([0.20, 0.0, 0.1]).verdict == "undecided"
    single = made_up([0.3])
    assert single.verdict == "one_seed"
    assert single.difference == pytest.approx(0.3, abs=1e-3)
    assert single.difference_low < 0.3 < single.difference_high


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--number_formats", "[float32]"], "encoder.architecture is resnet"),
        ([*BINARY, "--training.epochs", "1"], "training.epochs is 1"),
        ([*BINARY, "--two-step.seeds", "[]"], "two-step.seeds is []"),
        ([*BINARY, "--two-step.confidence", "1"], "two-step.confidence is 1"),
        ([*BINARY, "--two-step.resamples", "1"], "two-step.resamples is 1"),
    ],
)
def test_mistakes_are_one_sentence(
    tiny: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(["two-step", "tiny.yaml", *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not Path("checkpoints").exists()


def test_the_arms_differ_in_their_steps_alone(tiny: Path) -> None:
    study = TwoStep(Experiment(parse_experiment("train", ["tiny.yaml", *BINARY])), TwoStepConfig(seeds=(3,)))
    one, two = (study.network(arm).config for arm in study.arms)
    assert (one.binary_training.steps, two.binary_training.steps) == (1, 2)
    assert one.encoder == two.encoder
    assert one.training == two.training
    assert one.encoder_seeds == two.encoder_seeds == (3,)
