"""Budget curves through the real command line, at a size of seconds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from decoders.config import Architecture
from decoders.fitting.fit import FittingConfig, cooldown_start
from ib_analysis.artifacts import UserError
from ib_analysis.cli import main
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.information.table import read_table, write_table
from ib_analysis.plots.style import drawing_style
from ib_analysis.studies.budget import BudgetConfig, figure
from ib_analysis.studies.budget.plan import budgets, study_of
from ib_analysis.studies.budget.rows import BudgetRow
from ib_analysis.studies.schedules import scaled

OPTIONS = ["--tasks", "[classification]", "--layers", "[h3, h4]"]
STUDY = ["--budget.step_factors", "[0.5, 1]", "--budget.filter_factors", "[1, 2]", "--budget.blocks", "[1]"]
TABLE = Path("checkpoints/tiny/studies/budget/budget.csv")


def test_every_budget_is_fitted_once_measured_and_drawn(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["estimate-mi", "tiny.yaml", *OPTIONS]) == 0
    own = {path: path.read_bytes() for path in Path("checkpoints/tiny").glob("decoders/*/*")}
    capsys.readouterr()
    assert main(["budget", "tiny.yaml", *OPTIONS, *STUDY]) == 0
    out = capsys.readouterr().out
    assert "figures/tiny/budget.png" in out
    assert "FLOPs" in out
    rows = read_table(TABLE, BudgetRow)
    # half and all steps at the experiment's size, and twice the filters at all steps; two layers each
    found = [(row.steps, row.filters, row.layer, row.against_steps, row.against_size) for row in rows]
    assert found == [
        (6, 4, "h3", "yes", "no"), (6, 4, "h4", "yes", "no"), (12, 4, "h3", "yes", "yes"),
        (12, 4, "h4", "yes", "yes"), (12, 8, "h3", "no", "yes"), (12, 8, "h4", "no", "yes"),
    ]  # fmt: skip
    for row in rows:
        lengths = TABLE.parent / "code_lengths" / row.decoder
        with np.load(lengths / "null.npz") as null:
            bits = null["bits"]
        cells = []
        for epoch in (0, 2):
            with np.load(lengths / f"epoch_{epoch:04d}_{row.layer}.npz") as cell:
                cells.append(cell["bits"].mean())
        assert row.code_length_bits == pytest.approx(np.mean(cells), rel=1e-6)
        assert row.null_code_length_bits == pytest.approx(bits.mean(), rel=1e-6)
        assert row.i_xh_bits == pytest.approx(bits.mean() - np.mean(cells), rel=1e-5, abs=1e-6)
        assert row.i_xh_bits_low <= row.i_xh_bits <= row.i_xh_bits_high
        assert row.training_flops == pytest.approx(3 * row.flops_per_image * 16 * row.steps)
        assert (row.n_epochs, row.n_images) == (2, 24)
    small, large = rows[2], rows[4]
    assert small.parameters < large.parameters
    assert small.flops_per_image < large.flops_per_image
    # a second call does nothing, and the experiment itself is not touched
    made = {path: path.stat().st_mtime_ns for path in TABLE.parent.rglob("*") if path.suffix in (".pt", ".npz", ".csv")}
    assert main(["budget", "tiny.yaml", *OPTIONS, *STUDY]) == 0
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert {path: path.read_bytes() for path in own} == own
    # a further budget is added to those that are there
    assert main(["budget", "tiny.yaml", *OPTIONS, *STUDY, "--budget.step_factors", "[0.25, 0.5, 1]"]) == 0
    assert {row.steps for row in read_table(TABLE, BudgetRow)} == {3, 6, 12}
    decoders = [path for path in made if path.suffix == ".pt"]
    assert {path: path.stat().st_mtime_ns for path in decoders} == {path: made[path] for path in decoders}


@pytest.mark.parametrize("factor", [0.125, 0.25, 0.5, 1.0, 2.0])
def test_a_scaled_schedule_keeps_its_shape(factor: float) -> None:
    whole = FittingConfig(steps=8000, warmup_steps=80, cooldown_share=0.35, validate_every=400)
    part = scaled(whole, factor)
    assert part.steps == factor * 8000
    assert part.warmup_steps == factor * 80
    assert cooldown_start(part) == factor * cooldown_start(whole)
    assert part.steps / part.validate_every == 20
    unchanged = {"learning_rate", "cooldown_share", "batch_size", "averaging", "null_share", "patience", "save_every"}
    assert all(getattr(part, name) == getattr(whole, name) for name in unchanged)


def experiment(**changes) -> Experiment:
    fitting = FittingConfig(steps=800, validate_every=40)
    decoder = Architecture(blocks=1, filters=16, output="categorical")
    known = {"reader": "gated", "sharing": "shared", "decoder": decoder, "fitting": fitting}
    return Experiment(ExperimentConfig(**{**known, **changes}))


def test_the_default_plan_has_the_steps_and_sizes_and_costly_ones_first() -> None:
    plan = budgets(experiment(), BudgetConfig())
    steps = sorted(budget.fit.fitting.steps for budget in plan if budget.against_steps)
    sizes = {(b.fit.architecture.filters, b.fit.architecture.blocks) for b in plan if b.against_size}
    assert steps == [100, 200, 400, 800, 1600]
    assert sizes == {(filters, blocks) for filters in (8, 16, 32) for blocks in (1, 2)}
    assert len(plan) == 10  # the experiment's own budget is on both curves
    assert len({budget.fit.key for budget in plan}) == 10
    first = study_of(experiment(), plan).fits[0]
    assert (first.architecture.filters, first.architecture.blocks) == (32, 2)
    assert {budget.fit.run for budget in plan} == {experiment().runs[0]}


def test_mistakes_are_explained(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(UserError, match="choose from classification_float32_seed0"):
        budgets(experiment(tasks=("classification",)), BudgetConfig(task="autoencoding"))
    without = dataclasses.replace(experiment().config.fitting, null_share=0.0)
    with pytest.raises(UserError, match="null_share is 0"):
        budgets(experiment(fitting=without, sharing="dedicated"), BudgetConfig())
    for wrong in ({"step_factors": (0.0,)}, {"blocks": (1, 1)}, {"step_factors": (), "filter_factors": ()},
                  {"blocks": ()}, {"decoder_seed": -1}):  # fmt: skip
        with pytest.raises(UserError, match=r"budget\."):
            BudgetConfig(**wrong)
    assert main(["budget", "tiny.yaml", "--tasks", "[classification]", "--budget.task", "autoencoding"]) == 2
    (sentence,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ib: ")]
    assert "classification_float32_seed0" in sentence
    assert not Path("checkpoints").exists()  # a mistake is told before anything is trained


def test_the_figure_has_a_point_for_every_number_and_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `ib budget` first"):
        next(figure.draw(tmp_path / "budget.csv"))
    write_table(tmp_path / "budget.csv", BudgetRow, [])
    with pytest.raises(UserError, match="no rows"):
        next(figure.draw(tmp_path / "budget.csv"))
    rows = [row(steps, 8, layer, "yes", "no") for steps in (100, 200, 400) for layer in ("h1", "h4")]
    sizes = [(filters, blocks, layer) for filters in (4, 16) for blocks in (1, 2) for layer in ("h1", "h4")]
    rows += [row(200, filters, layer, "no", "yes", blocks) for filters, blocks, layer in sizes]
    write_table(tmp_path / "budget.csv", BudgetRow, rows)
    with drawing_style():
        ((name, drawn),) = figure.draw(tmp_path / "budget.csv")
    assert name == "budget"
    assert len(points(drawn, "code_length_bits")) + len(points(drawn, "i_xh_bits")) + len(points(drawn, "warned")) == 28
    assert len(points(drawn, "warned")) == 4  # the shortest fits, both layers, both quantities
    assert len(points(drawn, "null_code_length_bits")) == 7
    assert len(points(drawn, "truth")) == 2


def points(drawn: Figure, gid: str) -> list[Line2D]:
    return [line for line in drawn.findobj(Line2D) if line.get_gid() == gid]


def row(steps: int, filters: int, layer: str, against_steps: str, against_size: str, blocks: int = 1) -> BudgetRow:
    length, null = 20 + 300 / steps - filters / 10 + (layer == "h4"), 30 + 100 / steps
    ends = {"code_length_bits": length, "null_code_length_bits": null, "i_xh_bits": null - length}
    bars = {f"{name}_{end}": value + sign for name, value in ends.items() for end, sign in (("low", -1), ("high", 1))}
    return BudgetRow(
        experiment="toy", task="classification", number_format="float32", encoder_seed=0, decoder_seed=0,
        decoder=f"{steps}_{filters}_{blocks}", against_steps=against_steps, against_size=against_size, steps=steps,
        steps_done=steps, filters=filters, blocks=blocks, parameters=1000 * filters * blocks, flops_per_image=10,
        training_flops=1e6, seconds=1.0, layer=layer, n_epochs=2, n_images=50, h_x_bits=27.0, bits_to_gain_high=0.3,
        warnings="validation_code_length_still_falling" if steps == 100 else "", **ends, **bars,
    )  # fmt: skip
