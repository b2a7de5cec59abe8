"""The command line: what it says to a user's mistakes, and that it says it in one sentence."""

from __future__ import annotations

import errno
import os
from operator import attrgetter
from pathlib import Path

import pytest

from ib_analysis import recording_commands
from ib_analysis.cli import SECTIONS, main, parse_experiment
from ib_analysis.experiment import Experiment
from ib_analysis.experiment_config import unused_by_architecture
from ib_analysis.parsing import keys_of


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["frobnicate"], "no command 'frobnicate'"),
        (["train"], "needs the name of an experiment"),
        (["train", "nowhere"], "experiments/nowhere.yaml does not exist"),
        (["train", "tiny.yaml", "--encoder.widht", "3"], "widht"),
        (["train", "tiny.yaml", "--encoder.width", "wide"], "encoder.width"),
        (["train", "tiny.yaml", "--encoder.depth", "19"], "6n+2"),
        (["train", "tiny.yaml", "--layers", "[h7]"], "h7"),
        (["train", "tiny.yaml", "--fitting.batch_size", "12"], "multiple of activations.group_size"),
        (["train", "tiny.yaml", "--fitting.steps", "0"], "steps"),
        (["train", "tiny.yaml", "--fitting.steps", "1000", "--fitting.validate_every", "250"], "choose 166 or less"),
        (["calibrate", "calibration.yaml", "--full_fitting.validate_every", "9999"], "full_fitting.validate_every is"),
        (["train", "tiny.yaml", "--data.source", "nothing"], "data.source"),
        (["train", "tiny.yaml", "--data.bits", "9"], "bits"),
        (["train", "tiny.yaml", "--name", "a/b"], "name"),
        (["train", "tiny.yaml", "--estimation.confidence", "2"], "estimation.confidence"),
        (["train", "tiny.yaml", "--sampling.draws", "0"], "sampling.draws"),
        (["train", "tiny.yaml", "--decoder.blocks", "0"], "decoder: blocks must be at least 1"),
        (["train", "tiny.yaml", "--base_network.blocks", "0"], "base_network: blocks must be at least 1"),
        (["train", "tiny.yaml", "--brackets.density.blocks", "0"], "brackets.density: blocks must be at least 1"),
        (["train", "tiny.yaml", "--brackets.fitting.steps", "0"], "brackets.fitting: The fitting setting steps is 0"),
        (["describe", "tiny.yaml", "--base_network.resolutions", "9"], "The base (base_network) does not fit"),
        (["train", "tiny.yaml", "--encoder_seeds", "[-1]"], "encoder_seeds"),
        (["train", "tiny.yaml", "--fitting.null_share", "0"], "no unconditional model"),
        (["describe", "tiny.yaml", "--decoder.resolutions", "9"], "cannot be halved"),
        (["train", "tiny.yaml", "--checkpoints", "tiny.yaml/folder"], "cannot be written"),
        (["compare", "one", "other"], "one"),
        (["estimate-mi", "tiny.yaml", "--data.source", "cifar10", "--data.root", "no/such/folder"], "no/such/folder"),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_code_2(
    tiny: Path, capsys: pytest.CaptureFixture, words: list[str], expected: str
) -> None:
    Path("calibration.yaml").write_text("coins: [1]\n")
    assert main(words) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.startswith("ib: ")
    assert said.count("\n") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("field", "value", "hint"),
    [
        ("tasks", "classification", "[classification]"),
        ("tasks", "classification,autoencoding", "[classification,autoencoding]"),
        ("layers", "[h1", "[h1]"),
        ("encoder_seeds", "1", "[1]"),
        ("number_formats", "w8a8", "[w8a8]"),
        ("training.checkpoints", "2", "[2]"),
        ("brackets.epochs", "2", "[2]"),
        ("cost-quality.widths", "4", "[4]"),
    ],
)
def test_a_list_without_brackets_gets_a_hint_that_works(
    tiny: Path, capsys: pytest.CaptureFixture, field: str, value: str, hint: str
) -> None:
    command = "cost-quality" if field.startswith("cost-quality") else "describe"
    assert main([command, "tiny.yaml", f"--{field}", value]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"ib: {field} is a list")
    assert f'write {hint} (--{field} "{hint}")' in said
    if command == "describe":
        parse_experiment("figures", ["tiny.yaml", f"--{field}", hint])


def test_a_list_without_brackets_in_a_file_gets_the_hint_too(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    Path("bare.yaml").write_text("tasks: classification\n")
    assert main(["describe", "bare.yaml"]) == 2
    assert "ib: bare.yaml: tasks is a list, and not classification; write [classification]" in capsys.readouterr().err


def test_an_unknown_key_in_the_file_is_named(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    tiny.write_text(tiny.read_text() + "\nencodr: {width: 3}\n")
    assert main(["train", "tiny.yaml"]) == 2
    said = capsys.readouterr().err
    assert "tiny.yaml" in said
    assert "encodr" in said


def test_a_file_that_is_no_yaml(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    tiny.write_text("data: [unclosed")
    assert main(["train", "tiny.yaml"]) == 2
    assert "is not a YAML file" in capsys.readouterr().err


def test_a_changed_config_is_refused_and_nothing_is_lost(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "tiny.yaml"]) == 0
    before = {path: path.read_bytes() for path in Path("checkpoints").rglob("*.*") if path.is_file()}
    capsys.readouterr()
    assert main(["train", "tiny.yaml", "--encoder.width", "8"]) == 2
    said = capsys.readouterr().err
    assert "encoder.width was 4, now 8" in said
    assert "--name" in said
    after = {path: path.read_bytes() for path in before}
    assert after == before


def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(
    tiny: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace
    count = 0

    def full(source: str, target: str) -> None:
        nonlocal count
        count += 1
        if count > 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert main(["train", "tiny.yaml"]) == 2
    assert "The disk is full" in capsys.readouterr().err
    assert main(["train", "tiny.yaml"]) == 0


def test_help_explains_every_field(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["figures", "--help"])
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for field in ("--encoder.width", "--fitting.steps", "--sharing", "--data.factors.size", "--decoder.blocks"):
        assert field in text
    assert "Filters of the first stage" in text


def test_overview(capsys: pytest.CaptureFixture) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert "estimate-mi" in said
    assert "base         Fit the unconditional model of the images" in said


FILES = sorted((Path(__file__).parent.parent / "experiments").glob("*.yaml"))
EXPERIMENTS = [path for path in FILES if not path.stem.startswith(("calibration", "architecture-search"))]
named = attrgetter("stem")


@pytest.mark.parametrize("path", EXPERIMENTS, ids=named)
def test_every_experiment_that_is_shipped_is_valid(path: Path) -> None:
    experiment = Experiment(parse_experiment("figures", [str(path)]))
    assert experiment.config.name == path.stem
    assert experiment.cells
    assert not unused_by_architecture(experiment.config)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=() if path.stem == "rir" else pytest.mark.slow)
        for path in EXPERIMENTS
        if keys_of(str(path)) & set(SECTIONS)
    ],
    ids=named,
)
def test_taps_of_every_shipped_experiment_with_sections_for_studies(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recording_commands, "tap_shapes", lambda network, shape: {"h1": shape})  # passes take long
    assert main(["taps", str(path)]) == 0
    assert "of images" in capsys.readouterr().out
