"""`ib audit` through the real command line, at a size of seconds."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from decoders import PixelCNNPP, code_lengths_bits
from decoders.config import ReaderArchitecture
from ib_analysis.cli import main, parse_config
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.fits import unfinished
from ib_analysis.information.table import InformationRow, read_table
from ib_analysis.studies.audit import AuditConfig
from ib_analysis.studies.audit.hysteresis import HysteresisRow
from ib_analysis.studies.audit.plan import Plan
from ib_analysis.studies.audit.rows import AuditRow

STUDY = Path("checkpoints/tiny/studies/audit")
OPTIONS = ["--audit.cells", "3", "--audit.multiples", "[1,2]"]
ALL = ("no_cell_adapters", "larger_trunk", "half_learning_rate", "longer_cooldown", "fine_tune")
EVERYTHING = [*OPTIONS, "--audit.remedies", f"[{','.join(ALL)}]", "--audit.hysteresis", "h3"]
REMEDIES = {"larger_trunk", "half_learning_rate", "no_cell_adapters", "longer_cooldown", "fine_tune"}


def audit(*options: str) -> int:
    return main(["audit", "tiny.yaml", *options])


def rows() -> list[AuditRow]:
    return read_table(STUDY / "audit.csv", AuditRow)


def written() -> dict[Path, int]:
    """Files and when they were written, but for locks and the record of the last config."""
    found = [path for top in ("checkpoints", "figures") for path in Path(top).rglob("*") if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in found if path.name not in (".lock", "config.yaml")}


def plan(settings: AuditConfig) -> Plan:
    return Plan(Experiment(parse_config(ExperimentConfig, "figures", "", ["tiny.yaml"])), settings)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_text: str) -> Path:
    """A folder in which a tiny experiment has been audited, with remedies and sweeps."""
    folder = tmp_path_factory.mktemp("audit")
    (folder / "tiny.yaml").write_text(tiny_text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert audit(*EVERYTHING) == 0
    return folder


@pytest.fixture
def inside(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(finished)
    return finished


def test_every_cell_multiple_and_shared_fit_has_its_row(inside: Path) -> None:
    found = rows()
    assert {row.remedy for row in found} == {"none", *REMEDIES}
    for remedy in ("none", *REMEDIES):
        for multiple in (1, 2):
            of = [row for row in found if (row.remedy, row.multiple) == (remedy, multiple)]
            assert [row.n_cells for row in of] == [1, 1, 1, 3]
            assert of[-1].layer == of[-1].task == "all"
            for name in ("gap_bits", "code_length_bits", "shared_code_length_bits", "flops", "shared_i_xh_bits"):
                values = [getattr(row, name) for row in of]
                assert values[-1] == pytest.approx(np.mean(values[:-1]), rel=1e-6)


def test_rows_say_what_the_code_lengths_say(inside: Path) -> None:
    with h5py.File("checkpoints/tiny/code_lengths.h5") as file:
        for row in rows():
            if row.layer == "all":
                continue
            null, decoder = file["null"][:], f"{row.task}_float32_seed0_decoder0"
            where = f"{decoder}/epoch_{row.epoch:04d}_{row.layer}"
            lengths = STUDY / "code_lengths"
            cell = f"epoch_{row.epoch:04d}_{row.layer}.npz"
            dedicated = np.load(lengths / f"dedicated_x{row.multiple}" / where / cell)["bits"]
            own_null = np.load(lengths / f"dedicated_x{row.multiple}" / where / "null.npz")["bits"]
            if row.remedy == "none":
                shared = file[f"{decoder}/epoch_{row.epoch:04d}/{row.layer}"][:]
            elif row.remedy == "fine_tune":
                shared = np.load(lengths / "fine_tune_0.3" / where / cell)["bits"]
            else:
                shared = np.load(lengths / row.remedy / decoder / cell)["bits"]
            assert row.gap_bits == pytest.approx((dedicated - shared).mean(), rel=1e-6, abs=1e-7)
            assert row.i_xh_bits == pytest.approx((null - dedicated).mean(), rel=1e-6, abs=1e-7)
            assert row.own_null_i_xh_bits == pytest.approx((own_null - dedicated).mean(), rel=1e-6, abs=1e-7)
            assert row.gap_bits_low <= row.gap_bits <= row.gap_bits_high


def test_costs_are_what_was_done(inside: Path) -> None:
    # 12 steps of 16 images for 6 cells are 2 steps a cell.
    for row in rows():
        assert (row.steps, row.images) == (2 * row.multiple, 32 * row.multiple)
        twice = row.remedy == "fine_tune"
        assert (row.shared_steps, row.shared_images) == ((4, 64) if twice else (2, 32))
        assert min(row.seconds, row.shared_seconds) > 0
    by_remedy = {row.remedy: row for row in rows() if (row.layer, row.multiple) == ("all", 1)}
    own = by_remedy["none"]
    assert by_remedy["half_learning_rate"].shared_flops == own.shared_flops
    assert 1.5 < by_remedy["larger_trunk"].shared_flops / own.shared_flops < 2.25
    # A dedicated step costs what a shared one costs on average over the layers, up to their different read-outs.
    assert own.flops == pytest.approx(own.shared_flops, rel=0.1)
    assert next(row for row in rows() if row.multiple == 2).flops == pytest.approx(2 * rows()[0].flops)


def test_a_fine_tune_starts_from_the_shared_decoder_and_a_sweep_from_the_epoch_before(inside: Path) -> None:
    made = plan(AuditConfig(cells=3, multiples=(1, 2), remedies=ALL, hysteresis="h3"))
    cell = made.cells[0]
    tuned = made.fine_tuned(cell)
    decoder = PixelCNNPP(made.fits.network(tuned))
    feed = made.fits.feed(tuned)
    for name, statistics in feed.channel_statistics().items():
        decoder.standardise(name, *statistics)
    assert made.fits.start(tuned, decoder)
    started = code_lengths_bits(decoder, feed.part("evaluation", (cell.epoch, cell.layer)))
    with h5py.File("checkpoints/tiny/code_lengths.h5") as file:
        np.testing.assert_allclose(started, file[f"{cell.fit.key}/{cell.name}"][:], rtol=1e-5)
    assert np.abs(started - made.fits.code_lengths(tuned, cell.name)).max() > 1e-3  # and then it was fitted
    fit, direction = made.sweeps[1]
    assert direction == "backward"
    last, first = made.sweep(fit, direction).values()
    assert (last.cells[0][0], first.cells[0][0]) == (2, 0)
    recipe = made.fits.record(first)["recipe"]
    assert recipe["inputs"]["start"] == made.fits.decoder_artifact(last).identity
    assert recipe["config"]["start"] == last.key
    assert made.fits.record(last)["recipe"]["config"]["start"] == fit.key
    assert "start" not in made.fits.record(made.dedicated(cell, 1))["recipe"]["config"]


def test_sweeps_are_compared_epoch_by_epoch(inside: Path) -> None:
    found = read_table(STUDY / "hysteresis.csv", HysteresisRow)
    assert [(row.task, row.epoch) for row in found] == [
        (task, epoch) for task in ("classification", "autoencoding") for epoch in (0, 2, None)
    ]
    for row in found:
        if row.epoch is not None:
            where = f"{row.task}_float32_seed0_decoder0/epoch_{row.epoch:04d}_h3/epoch_{row.epoch:04d}_h3.npz"
            there, back = (
                np.load(STUDY / f"code_lengths/{direction}_0.3" / where)["bits"]
                for direction in ("forward", "backward")
            )
            assert row.difference_bits == pytest.approx((there - back).mean(), rel=1e-6, abs=1e-7)
            assert (row.forward_steps, row.backward_steps) == ((2, 4) if row.epoch == 0 else (4, 2))


def test_a_second_run_does_nothing_and_prints_the_same(inside: Path, capsys: pytest.CaptureFixture) -> None:
    before = written()
    assert audit(*EVERYTHING) == 0
    out = capsys.readouterr().out
    assert written() == before
    assert "figures/tiny/audit.png" in out
    assert "Aim (the shared fit's mean code length is no longer than that of dedicated fits at 2 times" in out
    assert "Shortest mean code: " in out
    assert "Hysteresis beyond the interval in " in out


@pytest.mark.slow
def test_interrupted_it_goes_on_and_ends_with_the_same_table(
    finished: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = {"seconds", "shared_seconds"}

    def numbers() -> list[dict]:
        return [
            {name: value for name, value in vars(row).items() if name not in drop}
            for row in rows()
            if row.remedy == "none"
        ]

    monkeypatch.chdir(finished)
    expected = numbers()
    monkeypatch.chdir(tiny.parent)
    save, saved = unfinished.UnfinishedFit.save, []

    def interrupted(self: unfinished.UnfinishedFit, state: dict) -> None:
        save(self, state)
        if "studies" in self.path.parts:
            saved.append(self.path)
            if len(saved) == 3:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(unfinished.UnfinishedFit, "save", interrupted)
        assert audit(*OPTIONS) == 130
    assert not (STUDY / "audit.csv").exists()
    own = Path("checkpoints/tiny/decoders/classification_float32_seed0_decoder0/decoder.pt")
    before = own.stat().st_mtime_ns
    assert audit(*OPTIONS) == 0
    assert own.stat().st_mtime_ns == before
    assert numbers() == expected
    assert not (STUDY / "hysteresis.csv").exists()
    # Another multiple needs no fit again that is there.
    made = written()
    assert audit("--audit.cells", "3", "--audit.multiples", "[2,3]") == 0
    assert {row.multiple for row in rows()} == {2, 3}
    decoders = [path for path in made if path.name == "decoder.pt"]
    assert all(path.stat().st_mtime_ns == made[path] for path in decoders)


def test_readers_of_a_layer_are_held_against_readers_of_single_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deep_text: str, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    text = deep_text + "layer_steps: {h4: 30}\nlayer_dropout: {h4: 0.25}\nlayer_own_blocks: {h4: 1}\n"
    ends_twice = text.replace("halfway: false", "halfway: true").replace("cooldown_share: 0.0", "cooldown_share: 0.5")
    Path("tiny.yaml").write_text(ends_twice)
    options = ["--audit.cells", "3", "--audit.multiples", "[2]", "--audit.remedies", "[larger_trunk]"]
    assert audit(*options, "--audit.hysteresis", "h3") == 0
    assert "Hysteresis beyond the interval in" in capsys.readouterr().out
    found = [row for row in rows() if row.layer != "all"]
    assert {row.remedy for row in found} == {"none", "larger_trunk"}
    information = {
        (row.task, row.epoch, row.layer): row.code_length_bits
        for row in read_table(Path("checkpoints/tiny/information.csv"), InformationRow)
    }
    for row in found:
        if row.remedy == "none":
            assert row.shared_code_length_bits == pytest.approx(information[row.task, row.epoch, row.layer])
            # Without those of the end halfway, which the shared decoder does not go on from; of its two epochs one.
            assert row.shared_steps == {"h4": 30}.get(row.layer, 12) / 2
            assert row.steps == round(row.multiple * row.shared_steps)
        assert row.own_null_i_xh_bits is None  # that is the base
    study = plan(AuditConfig(cells=3, multiples=(1,)))
    for cell in study.cells:
        size = study.dedicated(cell, 1).architecture
        assert isinstance(size, ReaderArchitecture)
        assert (size.dropout, size.own_blocks) == ((0.25, 1) if cell.layer == "h4" else (0.0, 0))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--sharing", "across_runs", "--reader", "deep"], "sharing is 'across_runs'"),
        (["--sharing", "dedicated"], "sharing is 'dedicated'"),
        (["--audit.cells", "13"], "but tiny has 12 cells"),
        (["--audit.cells", "0"], "audit.cells is 0"),
        (["--audit.multiples", "[0, 1]"], "audit.multiples is [0, 1]"),
        (["--audit.multiples", "[2, 2]"], "audit.multiples is [2, 2]"),
        (["--audit.multiples", "[]"], "audit.multiples is []"),
        (["--audit.seed", "-1"], "audit.seed is -1"),
        (["--audit.learning_rate", "0"], "audit.learning_rate is 0"),
        (["--audit.fine_tune_rate", "-1"], "audit.fine_tune_rate is -1"),
        (["--audit.hysteresis", "h2"], "choose from h1, h3, h4"),
        ([*OPTIONS, "--training.checkpoints", "[2]", "--audit.hysteresis", "h3"], "audit.hysteresis sweeps"),
        (["--audit.cels", "3"], "cels"),
    ],
)
def test_a_mistake_gets_one_sentence_before_anything_runs(
    tiny: Path, capsys: pytest.CaptureFixture, options: list[str], expected: str
) -> None:
    assert audit(*options) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.startswith("ib: ")
    assert said.count("\n") == 1
    assert not Path("checkpoints").exists()
