"""`ib convergence` through the real command line: the same fits again, longer ones, resumption, a failing control."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from decoders.fitting.schedule import FittingConfig, learning_rate
from ib_analysis.artifacts import UserError
from ib_analysis.cli import main, parse_experiment
from ib_analysis.experiment import Experiment
from ib_analysis.fits import unfinished
from ib_analysis.information.phases_table import PhaseRow
from ib_analysis.information.table import InformationRow, read_table
from ib_analysis.records.code_lengths import code_length_bits
from ib_analysis.studies.convergence import ConvergenceConfig
from ib_analysis.studies.convergence.plan import longer_fits, study_of
from ib_analysis.studies.convergence.rows import ConvergencePhaseRow, ConvergenceRow
from ib_analysis.studies.schedules import stretched

OPTIONS = [
    "--tasks", "[classification]", "--layers", "[h3, h4]", "--fitting.halfway", "true", "--fitting.cooldown_share",
    "0.5",
]  # fmt: skip
STUDY = Path("checkpoints/deep/studies/convergence")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, deep_text: str) -> Path:
    """With a finished experiment ``deep``, whose fits end twice."""
    found = tmp_path_factory.mktemp("convergence")
    (found / "deep.yaml").write_text(deep_text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(found)
        assert main(["estimate-mi", "deep.yaml", *OPTIONS]) == 0
    return found


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def experiment(*options: str) -> Experiment:
    return Experiment(parse_experiment("train", ["deep.yaml", *OPTIONS, *options]))


def made(pattern: str) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sorted(STUDY.rglob(pattern))}


def cells() -> list[ConvergenceRow]:
    return read_table(STUDY / "convergence.csv", ConvergenceRow)


def test_the_same_fits_again_find_the_same_to_the_last_bit() -> None:
    """With a factor of 1 a study's fit is the experiment's own: base, seed, minibatches, schedule."""
    assert main(["convergence", "deep.yaml", *OPTIONS, "--convergence.factor", "1"]) == 0
    own = experiment()
    plan = longer_fits(own, ConvergenceConfig(factor=1.0))
    study = study_of(own, plan)
    for item in plan:
        for epoch, layer in item.cells:
            name = f"epoch_{epoch:04d}/{layer}"
            lengths = study.code_lengths(item.longer, name)
            assert np.array_equal(lengths, code_length_bits(own, item.own, name))
            assert lengths.std() > 0
    assert {(row.added_bits, row.contained, row.within_change) for row in cells()} == {(0.0, "yes", "yes")}
    phases = read_table(STUDY / "convergence_phases.csv", ConvergencePhaseRow)
    assert {(row.same_verdict, row.gain_contained, row.loss_contained) for row in phases} == {("yes", "yes", "yes")}
    assert {row.longer_gain_bits - row.gain_bits for row in phases} == {0.0}


def test_longer_fits_are_compared_cell_by_cell_on_the_same_images(capsys: pytest.CaptureFixture) -> None:
    assert main(["convergence", "deep.yaml", *OPTIONS]) == 0
    out = capsys.readouterr().out
    assert Path("figures/deep/convergence.png").exists()
    assert "figures/deep/convergence.png" in out
    assert "Rank correlation over 4 cells" in out
    measured = {
        (row.epoch, row.layer): row
        for row in read_table(Path("checkpoints/deep/information.csv"), InformationRow)
    }  # fmt: skip
    found = cells()
    assert sorted((row.epoch, row.layer) for row in found) == sorted(measured)
    for row in found:
        own = measured[row.epoch, row.layer]
        assert (row.steps, row.longer_steps) == (12, 48)
        assert (row.decoder, row.warnings, row.n_images) == (own.decoder, own.warnings, 24)
        short, long = (
            np.load(path / f"epoch_{row.epoch:04d}_{row.layer}.npz")["bits"]
            for path in (
                Path("checkpoints/deep/code_lengths") / row.decoder,
                STUDY / "code_lengths" / f"{row.decoder}_x4",
            )
        )
        assert row.added_bits == pytest.approx((short - long).mean(), rel=1e-6)
        assert row.added_bits_low <= row.added_bits <= row.added_bits_high
        assert row.longer_i_xh_bits == pytest.approx(own.i_xh_bits + (short - long).mean(), rel=1e-6)
        inside = own.i_xh_bits_low <= row.longer_i_xh_bits <= (own.information_high_with_change or 0)
        assert row.contained == ("yes" if inside else "no")
        assert (row.outside_bits == 0) == inside
    phases = read_table(STUDY / "convergence_phases.csv", ConvergencePhaseRow)
    known = {row.layer: row for row in read_table(Path("checkpoints/deep/phases.csv"), PhaseRow)}
    assert {row.layer for row in phases} == {"h3", "h4"}
    for phase in phases:
        change = known[phase.layer].loss_change_bits
        assert change is not None
        assert phase.loss_bits_high == pytest.approx(known[phase.layer].compression_loss_bits_high + 1.25 * abs(change))
        assert phase.loss_bits_low == pytest.approx(known[phase.layer].compression_loss_bits_low - 1.25 * abs(change))

    # A second call does nothing; other layers are a question of the table alone.
    before = made("*")
    assert main(["convergence", "deep.yaml", *OPTIONS]) == 0
    assert {path.name for path, time in made("*").items() if before.get(path) != time} <= {".lock"}
    assert main(["convergence", "deep.yaml", *OPTIONS, "--convergence.layers", "[h4]"]) == 0
    assert {row.layer for row in cells()} == {"h4"}
    assert {path: time for path, time in made("*.pt").items() if before.get(path) != time} == {}


def test_a_fit_that_had_not_begun_to_learn_is_found_out(capsys: pytest.CaptureFixture) -> None:
    """The control: after 4 steps a gated decoder has moved by little and found next to nothing; 25 times as long it
    finds what the change did not tell of."""
    short = ["--name", "short", "--reader", "gated", "--sharing", "shared", "--fitting.steps", "4"]
    short += ["--training.checkpoints", "[2]", "--probe.epochs", "1"]
    study = ["--convergence.factor", "25", "--convergence.layers", "[h4]"]
    assert main(["convergence", "deep.yaml", *OPTIONS, *short, *study]) == 0
    found = read_table(Path("checkpoints/short/studies/convergence/convergence.csv"), ConvergenceRow)
    assert {row.contained for row in found} == {"no"}
    assert {row.within_change for row in found} == {"no"}
    assert all(row.outside_bits > 1 for row in found)
    out = capsys.readouterr().out
    assert "contained: 0 of 1 (0%;" in out
    assert "missed" in out
    assert "above the widened interval" in out


def test_an_interrupted_study_goes_on_and_ends_with_the_same_code_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    options = [*OPTIONS, "--convergence.layers", "[h3]", "--convergence.factor", "3"]
    save: Callable = unfinished.UnfinishedFit.save
    saved: list[Path] = []

    def interrupted(self, state) -> None:
        save(self, state)
        saved.append(self.path)
        if len(saved) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(unfinished.UnfinishedFit, "save", interrupted)
        assert main(["convergence", "deep.yaml", *options]) == 130
    assert saved[-1].exists()
    assert not list(STUDY.glob("code_lengths/*/h3_x3/*"))
    assert main(["convergence", "deep.yaml", *options]) == 0
    (decoder,) = STUDY.glob("decoders/*/h3_x3/decoder.pt")
    resumed = decoder.read_bytes()
    for path in decoder.parent.iterdir():
        path.unlink()
    assert main(["convergence", "deep.yaml", *options]) == 0
    assert decoder.read_bytes() == resumed


def test_what_cannot_be_compared_is_refused_before_anything_runs(capsys: pytest.CaptureFixture) -> None:
    for words, sentence in (
        (["--fitting.halfway", "false"], "fits end once, so that no change is measured"),
        (["--convergence.tasks", "[autoencoding]"], "asks for autoencoding, which nothing does not have"),
        (["--convergence.layers", "[h1]"], "convergence.layers asks for h1"),
        (["--convergence.decoder_seed", "7"], "choose from 0"),
        (["--convergence.number_format", "w4a4"], "choose from float32"),
        (["--convergence.factor", "0.5"], "choose a number from 1 on"),
        (["--start_from", "deep"], "start from those of deep"),
    ):
        assert main(["convergence", "deep.yaml", *OPTIONS, "--name", "nothing", *words]) == 2
        said = capsys.readouterr().err
        assert sentence in said
        assert said.count("\n") == 1
    assert not Path("checkpoints/nothing").exists()
    with pytest.raises(UserError, match="give each once"):
        ConvergenceConfig(layers=("h1", "h1"))


def test_a_shared_decoder_is_fitted_to_all_its_cells_and_compared_in_those_that_are_asked_for() -> None:
    shared = experiment("--sharing", "shared", "--encoder_seeds", "[3, 4]", "--decoder_seeds", "[5, 6]")
    (item,) = longer_fits(shared, ConvergenceConfig(layers=("h4",), decoder_seed=6, encoder_seed=4))
    assert item.longer.cells == item.own.cells == shared.cells
    assert {layer for _, layer in item.cells} == {"h4"}
    assert (item.run.encoder_seed, item.longer.decoder_seed) == (4, 6)
    both = experiment("--tasks", "[autoencoding, classification]")
    assert {item.run.task for item in longer_fits(both, ConvergenceConfig())} == {"autoencoding"}
    chosen = ConvergenceConfig(tasks=("classification", "autoencoding"))
    assert len({item.longer.key for item in longer_fits(both, chosen)}) == 4


def test_a_stretched_schedule_has_the_same_rate_at_each_share_of_its_steps() -> None:
    short = FittingConfig(steps=200, warmup_steps=0, cooldown_share=0.3, lr_decay_per_step=0.99, halfway=True)
    long = stretched(short, 4)
    assert (long.steps, long.halfway) == (800, False)
    for step in range(200):
        assert learning_rate(long, 4 * step) == pytest.approx(learning_rate(short, step), rel=1e-9)
    assert dataclasses.replace(short, halfway=False) == stretched(short, 1)
