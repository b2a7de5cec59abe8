"""Fronts through the command line at a size of seconds, and their two questions on made-up numbers."""

from __future__ import annotations

import csv
import itertools
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from ib_analysis.cli import main, parse_experiment
from ib_analysis.experiment import Experiment, Run
from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.table import InformationRow, read_table
from ib_analysis.pareto import angle_degrees, non_uniformity
from ib_analysis.records.encoders import encoder_recipe
from ib_analysis.studies.pareto_front.evaluate import OnImages
from ib_analysis.studies.pareto_front.monotone import holm, monotone
from ib_analysis.studies.pareto_front.plan import fronts_of, points_of
from ib_analysis.studies.pareto_front.questions import middle_rows, monotone_rows
from ib_analysis.studies.pareto_front.table import read_tables

FOLDER = Path("checkpoints/tiny/studies/pareto_front")
JOINT = ["--tasks", "[joint]", "--joint.preferences", "[[1, 4], [4, 1], [1, 1]]"]


# ------------------------------------------------------------------------------------------------ the pipeline


def test_points_are_measured_by_the_ordinary_pipeline(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["pareto-front", "tiny.yaml", *JOINT, "--layers", "[h3]", "--training.checkpoints", "[]"]
    assert main(words) == 0
    out = capsys.readouterr().out
    rows = read_table(Path("checkpoints/tiny/information.csv"), InformationRow)
    tasks = {"joint-1-4": "1:4", "joint-4-1": "4:1", "joint-1-1": "1:1"}
    assert {row.task: row.preference for row in rows} == tasks
    tables = read_tables(FOLDER)
    assert [(row.wanted, row.position) for row in tables.networks] == [("4:1", 0), ("1:1", 1), ("1:4", 2)]
    _check_against_the_pipeline(tables, rows)
    assert [row.layer for row in tables.monotone] == ["h3"]
    assert [(row.other, row.verdict) for row in tables.middle] == [("4:1", "one_seed")]
    assert "Spearman's rho" in out
    assert "Exact Pareto search: accuracy of the middle (1:1) minus that of the end (4:1), one seed" in out
    assert {"pareto_front", "pareto_front_information"} <= {path.stem for path in Path("figures/tiny").glob("*.svg")}

    made = {path: path.stat().st_mtime_ns for path in FOLDER.glob("*.csv")}
    assert main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in FOLDER.glob("*.csv")} == made


@pytest.mark.slow
def test_everything_is_drawn_beside_other_tasks(tiny: Path) -> None:
    """A classifier, sums and a limit: tables, samples, reconstructions, figures; and what it would cost."""
    words = ["tiny.yaml", "--tasks", "[classification, joint]", *JOINT[2:], "--joint.reconstruction_limits", "[0.9]",
             "--joint.weightings", "[linear]", "--layers", "[h3]", "--sampling.images", "1"]  # fmt: skip
    assert main(["describe", *words]) == 0
    assert main(["figures", *words]) == 0
    rows = read_table(Path("checkpoints/tiny/information.csv"), InformationRow)
    tasks = ["classification", "joint-linear-1-4", "joint-linear-4-1", "joint-linear-1-1", "joint-limit-0.9"]
    last = [row for row in rows if row.epoch == 2]
    assert [row.task for row in last] == tasks
    assert [row.preference for row in last] == ["", "1:4", "4:1", "1:1", ""]
    assert [row.reconstruction_limit for row in last] == [None] * 4 + [0.9]
    with h5py.File("checkpoints/tiny/samples.h5") as file:
        joint = {f"{task}_float32_seed0" for task in tasks[1:]}
        assert set(file["reconstructions"]) == joint
        assert joint < set(file["samples"])
    drawn = {path.stem for path in Path("figures/tiny").glob("*.png")}
    assert {"information_plane", "training_curves", "reconstructions_joint-linear-4-1"} <= drawn
    assert main(["pareto-front", *words]) == 0
    tables = read_tables(FOLDER)
    _check_against_the_pipeline(tables, rows)
    assert [(row.kind, row.other) for row in tables.middle] == [("linear", "4:1"), ("linear", "classification")]
    assert [row.position for row in tables.points] == [None, 0, 1, 2, 0]


def _check_against_the_pipeline(tables, rows) -> None:
    """What the study says of a network is what training.csv and information.csv say."""
    for network in tables.networks:
        with Path(f"checkpoints/tiny/encoders/{network.task}_float32_seed0/training.csv").open() as file:
            *_, trained, held_out = csv.DictReader(file)
        assert network.accuracy == pytest.approx(float(held_out["accuracy"]))
        assert network.accuracy_low <= network.accuracy <= network.accuracy_high
        if not network.kind:
            assert network.psnr_db is network.train_angle_degrees is None
            continue
        assert network.psnr_db == pytest.approx(float(held_out["psnr_db"]), abs=1e-4)
        assert network.psnr_db_low <= network.psnr_db <= network.psnr_db_high
        assert network.classification_loss == pytest.approx(float(held_out["classification_loss"]), rel=1e-4)
        assert network.reconstruction_loss == pytest.approx(float(held_out["reconstruction_loss"]), rel=1e-4)
        losses = [float(trained["classification_loss"]), float(trained["reconstruction_loss"])]
        if network.kind == "exact":
            r = [float(number) for number in network.wanted.split(":")]
            assert network.train_non_uniformity == pytest.approx(non_uniformity(losses, r), abs=1e-7)
            assert network.train_angle_degrees == pytest.approx(angle_degrees(losses, r), rel=1e-6)
    for cell in tables.layers:
        (row,) = [row for row in rows if (row.task, row.epoch, row.layer) == (cell.task, 2, cell.layer)]
        assert (cell.i_xh_bits, cell.i_hy_bits) == pytest.approx((row.i_xh_bits, row.i_hy_bits), rel=1e-6)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--tasks", "[classification]"], "a front of 3 points at least"),
        ([*JOINT[:2], "--joint.preferences", "[[1, 1], [2, 1]]"], "a front of 3 points at least"),
        ([*JOINT, "--pareto-front.epoch", "1"], "has no checkpoint; choose from 0, 2"),
        ([*JOINT[:2], "--joint.preferences", "[]"], "there is no trade-off"),
        ([*JOINT[:2], "--joint.preferences", "abc"], "a list of lists of 2, such as [[1, 2], [3, 4]], and not abc"),
        ([*JOINT[:2], "--joint.preferences", "[[1, 1], [2, 2]]"], "give each once"),
        ([*JOINT, "--encoder.architecture", "rir"], "no encoder 'rir' for the task 'joint'"),
    ],
)
def test_mistakes_are_one_sentence(
    tiny: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(["pareto-front", "tiny.yaml", *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not Path("checkpoints").exists()


def test_a_further_preference_leaves_the_others_as_they_are(tiny: Path) -> None:
    """The record of a run does not hold the list that it stands in."""
    few, many = (
        Experiment(parse_experiment("train", ["tiny.yaml", "--tasks", "[joint]", "--joint.preferences", listed]))
        for listed in ("[[1, 1]]", "[[9, 1], [1, 1]]")
    )
    (run,) = few.runs
    assert run in many.runs
    assert encoder_recipe(few, run) == encoder_recipe(many, run)


# ------------------------------------------------------------------------------------------------ the questions


@given(st.integers(1, 2), st.integers(3, 4), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_p_values_are_those_of_all_orders(n_seeds, n_points, seed) -> None:
    """Against an enumeration of every order of every seed, with scipy's rho."""
    values = np.random.default_rng(seed).normal(size=(n_seeds, n_points))
    found = monotone(values)
    places = range(n_points)
    rhos = [spearmanr(places, row).statistic for row in values]
    assert found.by_seed == pytest.approx(rhos)
    single = [spearmanr(places, order).statistic for order in itertools.permutations(places)]
    means = [np.mean(chosen) for chosen in itertools.product(single, repeat=n_seeds)]
    expected = np.mean([abs(mean) >= abs(np.mean(rhos)) - 1e-9 for mean in means])
    assert found.p_value == pytest.approx(expected)


def test_chance_is_as_rare_as_the_p_value_says() -> None:
    rng = np.random.default_rng(0)
    p_values = np.array([monotone(rng.normal(size=(3, 5))).p_value for _ in range(1500)])
    for level in (0.05, 0.2):
        assert (p_values <= level).mean() == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 1500) + 0.01)


def test_many_points_are_judged_by_random_orders() -> None:
    rng = np.random.default_rng(1)
    values = np.arange(10) + rng.normal(scale=3, size=(1, 10))
    exact = spearmanr(np.arange(10), values[0]).pvalue  # of Student's t, an approximation
    assert monotone(values).p_value == pytest.approx(exact, abs=0.02)
    with pytest.raises(ValueError, match="2 points"):
        monotone(np.zeros((1, 2)))


def test_holm_never_orders_tests_anew() -> None:
    assert holm([0.5, 0.9, 0.6]) == [1.0, 1.0, 1.0]
    assert holm([0.001, 0.3]) == pytest.approx([0.002, 0.3])


@pytest.fixture
def front(tiny: Path):
    """Points of three preferences and three seeds, with the classifier beside them."""
    words = ["tiny.yaml", "--tasks", "[classification, joint]", *JOINT[2:], "--encoder_seeds", "[0, 1, 2]"]
    return points_of(Experiment(parse_experiment("train", words)))


def _cell(run: Run, bits: float, layer: str = "h3", warnings: str = "") -> InformationRow:
    filled = dict.fromkeys(InformationRow.__dataclass_fields__, 0)
    row = InformationRow(**filled)  # type: ignore[arg-type]
    return replace(
        row, task=run.task, number_format=run.number_format, encoder_seed=run.encoder_seed, layer=layer,
        i_xh_bits=bits, warnings=warnings,
    )  # fmt: skip


def test_a_course_that_rises_in_every_seed_rises(front) -> None:
    points = fronts_of(front)[0]
    assert [point.wanted for point in points] == ["4:1", "1:1", "1:4"]
    rng = np.random.default_rng(0)
    cells = []
    for point in points:
        for run in point.runs:
            cells.append(_cell(run, point.position + 0.1 * rng.random()))
            cells.append(_cell(run, rng.random(), "h4", "conditions_clipped"))
    rising, noise = monotone_rows("toy", front, cells, 0.9)
    assert (rising.layer, rising.verdict, rising.rho, rising.warnings) == ("h3", "rises", 1.0, "")
    assert rising.p_value == pytest.approx(2 / 6**3)
    assert rising.p_value_adjusted == pytest.approx(4 / 6**3)
    assert (rising.steps_along, rising.n_steps, rising.n_seeds) == (6, 6, 3)
    assert noise.warnings == "conditions_clipped"
    falling, _ = monotone_rows("toy", front, [replace(cell, i_xh_bits=-cell.i_xh_bits) for cell in cells], 0.9)
    assert falling.verdict == "falls"
    strict, _ = monotone_rows("toy", front, cells, 0.99)
    assert strict.verdict == "undecided"  # 3 points and 3 seeds cannot tell so much


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [((0.10, 0.11, 0.12), "better"), ((-0.1, -0.11, -0.12), "worse"), ((0.2, -0.2, 0), "undecided")],
)
def test_the_middle_is_compared_seed_by_seed(front, gains, verdict) -> None:
    rng = np.random.default_rng(0)
    right = np.zeros(4000)
    right[:2000] = 1
    judged = {}
    for point in front:
        for run in point.runs:
            accuracy = 0.5 + (gains[run.encoder_seed] if point.wanted == "1:1" else 0)
            correct = np.zeros(4000)
            correct[: round(4000 * accuracy)] = 1
            judged[run] = OnImages(rng.permutation(correct), None, None, 1.0)
    of_end, of_classifier = middle_rows("toy", front, judged, Bootstrap(n_resamples=200))
    assert (of_end.middle, of_end.other, of_classifier.other) == ("1:1", "4:1", "classification")
    assert of_end.verdict == of_classifier.verdict == verdict
    assert of_end.difference == pytest.approx(np.mean(gains), abs=1e-3)
    assert (of_end.lowest, of_end.highest) == pytest.approx((min(gains), max(gains)), abs=1e-3)
