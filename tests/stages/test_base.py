"""`ib base` through the real command line: one file for all experiments on the same images."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from decoders import Minibatch, code_lengths_bits
from ib_analysis import experiment_checks
from ib_analysis.artifacts import Artifact, sha256_of_array
from ib_analysis.bases import recipe
from ib_analysis.cli import main, parse_experiment
from ib_analysis.engines.locks import exclusive
from ib_analysis.experiment import Experiment
from ib_analysis.fits.unfinished import UnfinishedFit
from ib_analysis.records.bases import base_artifact, base_feed, base_recipe, load_base
from ib_analysis.records.images import images_of
from ib_analysis.stages import base as stage

BASES = Path("checkpoints/bases")


def experiment(*words: str) -> Experiment:
    return Experiment(parse_experiment("base", ["tiny.yaml", *words]))


def the_base(bases: Path = BASES) -> Path:
    (found,) = bases.glob("*/base.safetensors")
    return found


def record() -> dict[str, Any]:
    return json.loads(the_base().with_name("base.safetensors.json").read_text())


def test_a_base_is_fitted_once_and_says_what_it_is(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["base", "tiny.yaml"]) == 0
    said, told = capsys.readouterr().out, record()
    assert f"base: {the_base()}, {told['evaluation_bits']:,.2f} bits an image (mean of 24 evaluation images)" in said
    folder = the_base().parent
    assert folder.name == base_recipe(experiment()).key
    left = {path.name for path in folder.iterdir()}
    assert left == {".lock", "base.safetensors", "base.safetensors.json", "card.md", "curve.csv"}
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    assert main(["base", "tiny.yaml"]) == 0
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before
    assert f"base: {the_base()}" in capsys.readouterr().out


def test_code_lengths_are_those_of_the_file(tiny: Path) -> None:
    assert main(["base", "tiny.yaml"]) == 0
    base, told = load_base(experiment(), torch.device("cpu")), record()
    images = torch.from_numpy(images_of(experiment()).evaluation.images)
    assert told["evaluation_bits"] == code_lengths_bits(base, [Minibatch(images)]).mean()
    assert told["validation_bits"] == code_lengths_bits(base, base_feed(experiment()).validation()).mean()
    assert (told["evaluation_images"], told["validation_images"]) == (24, 20)
    # the numbers of this untrained base are near those of a uniform distribution over 16 intensities
    assert 200 < told["evaluation_bits"] < 300


def test_the_card_tells_all_that_makes_the_base(tiny: Path) -> None:
    assert main(["base", "tiny.yaml", "--base_seed", "3"]) == 0
    told, path = record(), the_base()
    card = path.with_name("card.md").read_text()
    bits = told["evaluation_bits"]
    for expected in (
        "`ib base tiny --base scratch`",
        "12 steps of 16 images, muon, seed 3",
        f"{told['seconds']:,.0f} s on {told['device']}",
        f"{bits:,.2f} bits an image ({bits / 64:.4f} bits a dimension), mean of the first 24 evaluation images",
        hashlib.sha256(path.read_bytes()).hexdigest(),
        base_feed(experiment()).sha256,
        sha256_of_array(np.empty(0, dtype=np.int64)),
    ):
        assert expected in card
    # and what it says of the settings is a file that makes this base
    Path("again.yaml").write_text(card.partition("```yaml\n")[2].partition("```")[0])
    again = Experiment(parse_experiment("base", ["again.yaml"]))
    assert base_recipe(again).key == path.parent.name
    assert not {"root", "folder", "per_class"} & set(yaml.safe_load(Path("again.yaml").read_text())["data"])


SMALL_DIGITS = ("--data.source", "digits", "--layers", "[h3]")


def test_experiments_on_the_same_images_share_one_file(
    tiny: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["base", "tiny.yaml", *SMALL_DIGITS]) == 0
    path, content = the_base(), the_base().read_bytes()
    monkeypatch.setattr(stage, "_fit", None)  # nothing is fitted from here on
    for others in (
        ["--name", "other"],
        ["--name", "task", "--tasks", "[classification]", "--encoder.width", "8", "--decoder.filters", "5"],
        ["--name", "part", "--data.per_class", "9", "--data.evaluation_per_class", "2"],
    ):
        capsys.readouterr()
        assert main(["base", "tiny.yaml", *SMALL_DIGITS, *others]) == 0
        assert str(path) in capsys.readouterr().out
        assert load_base(experiment(*SMALL_DIGITS, *others), torch.device("cpu")) is not None
    assert the_base() == path
    assert path.read_bytes() == content


def test_other_settings_are_another_base(tiny: Path) -> None:
    assert main(["base", "tiny.yaml"]) == 0
    assert main(["base", "tiny.yaml", "--base_fitting.steps", "6"]) == 0  # an experiment may change its base
    assert len(list(BASES.glob("*/base.safetensors"))) == 2


def test_no_other_command_fits_a_base(tiny: Path) -> None:
    assert main(["train", "tiny.yaml"]) == 0
    assert not BASES.exists()


# ------------------------------------------------------------------------------------------- interruptions


class Stopped:
    """Ctrl-C in a call of a function: the n-th, counted from one."""

    def __init__(self, function: Callable, n: int, when: Callable[..., bool] = lambda *_: True) -> None:
        self.function, self.left, self.when = function, n, when

    def __get__(self, owner: Any, _: type) -> Callable:
        return lambda *arguments, **options: self(owner, *arguments, **options)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.left -= self.when(*arguments)
        if not self.left:
            raise KeyboardInterrupt
        return self.function(*arguments, **options)


def of_the_card(path: Path, *_: str) -> bool:
    return path.name == "card.md"


MOMENTS: dict[str, Callable[[], tuple[Any, str, Any]]] = {
    "in the fit": lambda: (UnfinishedFit, "save", Stopped(UnfinishedFit.save, 2)),
    "before the file": lambda: (stage, "write_base", Stopped(stage.write_base, 1)),
    "while it is measured": lambda: (stage, "code_lengths_bits", Stopped(stage.code_lengths_bits, 2)),
    "before the manifest": lambda: (Artifact, "finish", Stopped(Artifact.finish, 1)),
    "before the card": lambda: (stage, "write_text", Stopped(stage.write_text, 1, of_the_card)),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_interrupted_and_gone_on_it_has_the_same_bytes(
    tiny: Path, moment: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    command = ["base", "tiny.yaml", "--base_network.dropout", "0.2"]
    assert main([*command, "--checkpoints", "whole"]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(*MOMENTS[moment]())
        assert main(command) == 130
    assert "run the same command again" in capsys.readouterr().err
    part = next(BASES.iterdir()) / ".base.killed.part.safetensors"  # as a kill in the middle of writing leaves it
    part.write_bytes(b"half")
    assert main(command) == 0
    whole = the_base(Path("whole/bases"))
    for name in ("base.safetensors", "curve.csv"):
        assert the_base().with_name(name).read_bytes() == whole.with_name(name).read_bytes()

    def settled(path: Path) -> list[str]:  # all but what time it took
        return [line for line in path.with_name("card.md").read_text().splitlines() if not line.startswith("| time")]

    assert settled(the_base()) == settled(whole)
    assert {path.name for path in the_base().parent.iterdir()} == {path.name for path in whole.parent.iterdir()}


def test_a_fit_goes_on_where_it_was(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(UnfinishedFit, "save", Stopped(UnfinishedFit.save, 3))
        assert main(["base", "tiny.yaml"]) == 130
    steps = []
    fitted = stage._fit

    def watched(found: Experiment, artifact: Artifact, feed: Any, progress: Callable) -> None:
        fitted(found, artifact, feed, lambda done, *news: steps.append(done) or progress(done, *news))

    monkeypatch.setattr(stage, "_fit", watched)
    assert main(["base", "tiny.yaml"]) == 0
    assert min(steps) > 3


@pytest.mark.slow
def test_killed_and_gone_on_it_has_the_same_bytes(tiny: Path) -> None:
    command = [sys.executable, "-m", "ib_analysis.cli", "base", "tiny.yaml", "--base_fitting.steps", "300"]
    with Path("log").open("w") as log:
        assert subprocess.run([*command, "--checkpoints", "whole"], stdout=log, stderr=log, check=False).returncode == 0
        for pattern in ("*/resume.pt", "*/base.safetensors"):
            process = subprocess.Popen(command, stdout=log, stderr=log)
            while process.poll() is None and not list(BASES.glob(pattern)):
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert subprocess.run(command, stdout=log, stderr=log, check=False).returncode == 0, Path("log").read_text()
    assert the_base().read_bytes() == the_base(Path("whole/bases")).read_bytes()
    assert not list(BASES.rglob(".*.part*"))
    assert (the_base().parent / "card.md").exists()


# ------------------------------------------------------------------------------------------- mistakes and mishaps


def sentence(capsys: pytest.CaptureFixture) -> str:
    said = capsys.readouterr().err.splitlines()
    (found,) = [line for line in said if line.startswith("ib: ")]
    assert "Traceback" not in "".join(said)
    return found


@pytest.mark.parametrize("after", [0, 2, 6])
def test_a_full_disk_is_a_sentence_and_the_next_run_goes_on(
    tiny: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    replace, left = os.replace, after

    def full(source: str, target: Path) -> None:
        nonlocal left
        if "bases" in str(target):
            left -= 1
            if left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert main(["base", "tiny.yaml"]) == 2
    assert "The disk is full" in sentence(capsys)
    assert not list(BASES.rglob(".*.part*"))
    assert main(["base", "tiny.yaml"]) == 0


def test_another_process_at_work_on_the_base_is_a_sentence(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    folder = base_artifact(experiment()).path.parent
    with exclusive(folder / ".lock", "the base"):
        assert main(["base", "tiny.yaml", "--name", "other"]) == 2
    assert f"Another process is working on the base {folder}; wait for it" in sentence(capsys)
    assert not (folder / "base.safetensors").exists()
    assert main(["base", "tiny.yaml", "--name", "other"]) == 0


def test_a_damaged_base_is_made_again(tiny: Path) -> None:
    assert main(["base", "tiny.yaml"]) == 0
    content = the_base().read_bytes()
    the_base().write_bytes(content[:-4])
    assert main(["base", "tiny.yaml"]) == 0
    assert the_base().read_bytes() == content


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--base_network.resolutions", "9"], "The base (base_network) does not fit the images: 8x8 pixels cannot be"),
        (["--base_network.blocks", "0"], "base_network: blocks must be at least 1, not 0"),
        (["--base_network.dropout", "1"], "base_network: dropout must be"),
        (["--base_fitting.steps", "0"], "base_fitting: The fitting setting steps is 0"),
        (["--base_fitting.betas", "[2,0.9]"], "base_fitting: The fitting setting betas is"),
        (["--base_fitting.batch_size", "24"], "data.factors.n_evaluation are both 24"),
        (["--base_seed", "-1"], "base_seed is -1"),
        (["--base", "mine"], "mine"),
        (["--name", "bases"], "name is 'bases'"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_fitted(
    tiny: Path, capsys: pytest.CaptureFixture, options: list[str], expected: str
) -> None:
    assert main(["base", "tiny.yaml", *options]) == 2
    assert expected in sentence(capsys)
    assert not BASES.exists()


def test_bfloat16_where_nothing_has_it_is_refused_before_anything_is_fitted(
    tiny: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(experiment_checks, "cpu_multiplies_bfloat16", lambda: False)
    assert main(["base", "tiny.yaml", "--base_fitting.precision", "bfloat16"]) == 2
    assert "base_fitting.precision is bfloat16, for which this machine has neither a GPU nor a CPU" in sentence(capsys)


# ------------------------------------------------------------------------------------------- the one that ships


def test_a_shipped_base_is_used_and_scratch_fits_one(
    tiny: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "SHIPPED", Path("package"))
    assert main(["base", "tiny.yaml"]) == 0
    content = the_base().read_bytes()
    Path("package").mkdir()
    the_base().parent.rename("package/tiny")
    Path("package/tiny/card.md").unlink()  # nothing is written where the package lies
    capsys.readouterr()
    assert main(["base", "tiny.yaml"]) == 0
    assert "base: package/tiny/base.safetensors, " in capsys.readouterr().out
    assert not list(BASES.glob("*"))
    assert not Path("package/tiny/card.md").exists()
    assert main(["base", "tiny.yaml", "--base", "scratch"]) == 0
    assert the_base().read_bytes() == content
