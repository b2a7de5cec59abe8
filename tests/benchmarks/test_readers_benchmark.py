"""The benchmark of readers against gated decoders: its clock, its choice of steps, what it tells, what it refuses."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st

from decoders import Architecture, FittingConfig, ImageSpace, Minibatch, PixelCNNPP, PixelCNNPPConfig, fit
from ib_analysis.cli import main as ib

PATH = Path(__file__).parents[2] / "benchmarks" / "readers.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readers_benchmark", PATH)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PATH.parent))  # as for a script
        spec.loader.exec_module(found)
    return found


bench = _load()
picture = sys.modules["courses.figure"].picture


@pytest.fixture
def deep(tiny: Path, deep_text: str) -> Path:
    """The tiny experiment with readers, untrained, in the current folder."""
    tiny.write_text(deep_text + "tasks: [classification]\n")
    return tiny


def course(seconds: list[float], bits: list[float], null_bits: float = 100.0) -> Any:
    return bench.Course(tuple(seconds), tuple(bits), null_bits, steps=len(bits), ms_per_image=1.5)


def pair(gated: Any, deep: Any) -> Any:
    return bench.Pair("h1", gated, deep, base_seconds=30.0, feature_seconds=5.0)


# ---------------------------------------------------------------------------------------------- the clock


class Work:
    """Minibatches that take a second of a made-up clock each; validations take 50."""

    def __init__(self) -> None:
        self.now = 0.0

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        self.now += 1.0
        return Minibatch(torch.from_numpy(rng.integers(4, size=(2, 1, 4, 4), dtype=np.uint8)))

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Minibatch:
        if index > 0:
            raise IndexError
        self.now += 50.0
        return Minibatch(torch.zeros(2, 1, 4, 4, dtype=torch.uint8))

    def __iter__(self) -> Iterator[Minibatch]:
        return (self[index] for index in range(1))


def test_the_clock_of_a_real_fit_stands_still_in_validations() -> None:
    work = Work()
    decoder = PixelCNNPP(PixelCNNPPConfig(ImageSpace(1, 4, 4, 4), Architecture(1, 2, "categorical")))
    timed = bench.Timed(work, work, clock=lambda: work.now)
    config = FittingConfig(steps=8, batch_size=2, validate_every=3)
    record = fit(decoder, timed, config, seed=0, progress=timed.progress, accelerator=Accelerator(cpu=True))
    assert [point.step for point in record.curve] == [3, 6, 8]
    assert work.now == sum(timed.steps) + 3 * 50.0
    # The initialisation draws a minibatch of its own, and each step but the last reads the next step's.
    assert timed.steps == [3.0, *[1.0] * 6, 0.0]
    assert timed.validations == [5.0, 8.0, 9.0]


@given(st.floats(1e-3, 1.0), st.floats(0.0, 3.0), st.floats(5.0, 1e3))
def test_steps_fill_the_budget(step: float, once: float, budget: float) -> None:
    steps = bench.steps_for(budget, [step + once, *[step] * 29])
    assert steps * step + once <= budget * (1 + 1e-9)
    assert (steps + 1) * step + once > budget * (1 - 1e-9)


def test_a_budget_of_less_than_a_step_still_has_one() -> None:
    assert bench.steps_for(0.1, [1.0, 1.0]) == 1


@pytest.mark.parametrize("steps", [1, 30, 47, 12345])
def test_a_schedule_is_stretched_to_its_steps_and_has_its_validations(steps: int) -> None:
    fitting = FittingConfig(
        steps=1000, warmup_steps=50, cooldown_share=0.3, validate_every=100, patience=2, halfway=True
    )
    found = bench.schedule(fitting, steps, 48)
    assert found.steps == steps
    assert found.warmup_steps == round(steps * 0.05)
    assert found.cooldown_share == 0.3
    assert not found.halfway
    assert not found.patience
    assert min(steps, 48) <= -(-steps // found.validate_every) <= 96


# ---------------------------------------------------------------------------------------------- what is told


def test_the_ratio_is_to_when_the_gated_decoder_was_best_and_adds_what_the_base_took() -> None:
    found = pair(course([10, 20, 40, 80], [120, 95, 90, 93]), course([5, 10, 20, 40], [99, 90.5, 89, 80]))
    assert found.target == (90, 40)
    assert found.ratio() == 20 / 40
    assert found.ratio(35.0) == 55 / 40
    text = "\n".join(bench.headline([found]))
    assert text.splitlines()[-1].split() == ["h1", "10.00", "40.0", "20.0", "0.500", "0.625", "1.375"]


def test_a_reader_that_is_never_as_good_is_said_to_be_so() -> None:
    found = pair(course([10], [50]), course([5, 10], [99, 90]))
    assert found.ratio() is None
    assert list(bench.headline([found]))[-1].split()[3:] == ["never"] * 4


def test_information_is_from_the_base_for_both_decoders() -> None:
    found = pair(course([1, 2, 4, 8], [130, 95, 90, 93], null_bits=140), course([2, 3, 8], [99, 90, 80]))
    gated, deep = (line.split() for line in list(bench.table([found], 8.0))[-2:])
    #             layer, kind, steps, ms/image; at 0.25, 0.5, 1, 2 and 4 s; end, best
    assert gated == ["h1", "gated", "4", "1.50", "-", "-", "-30.00", "5.00", "10.00", "7.00", "10.00"]
    assert deep == ["h1", "deep", "3", "1.50", "-", "-", "-", "1.00", "10.00", "20.00", "20.00"]


@pytest.mark.parametrize("count", [1, 3])
def test_a_figure_has_a_panel_per_layer_with_both_curves(count: int, tmp_path: Path) -> None:
    found = pair(course([1, 2, 4, 8], [900, 95, 90, 93]), course([2, 3, 8], [99, 90, 80]))
    figure = picture([found] * count, "toy")
    panels = [axes for axes in figure.axes if axes.get_title("left") or axes.get_title()]
    assert len(panels) == count
    for axes in panels:
        assert axes.get_xscale() == "log"
        curves = {line.get_gid(): line.get_ydata().tolist() for line in axes.lines if line.get_gid()}
        assert curves == {"gated": [-800, 5, 10, 7], "deep": [1, 10, 20]}
        assert -20 < axes.get_ylim()[0] < 0  # the start of the gated decoder leaves room for the rest
    bench.draw(tmp_path / "figure.svg", [found], "toy")
    assert (tmp_path / "figure.svg").read_bytes().startswith(b"<?xml")


# ---------------------------------------------------------------------------------------------- what is refused


def test_without_an_experiment_nothing_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main([]) == []
    assert "none is named" in capsys.readouterr().out


@pytest.mark.parametrize("options", [["--figure", "page.txt"], ["--seconds", "0"], ["--validations", "0"]])
def test_options_that_cannot_be_are_refused(options: list[str]) -> None:
    with pytest.raises(SystemExit) as error:
        bench.main(["tiny.yaml", *options])
    assert error.value.code == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "run ib train"),
        (["--reader", "gated"], "reader: deep"),
        (["--task", "dreaming"], "choose from classification"),
        (["--layers", "h3", "h9"], "no layer 'h9'; choose from h1, h3, h4"),
        (["--activations.mode", "recompute"], "--activations.mode dump"),
        (["--fitting.steps", "none"], "fitting.steps"),
    ],
)
def test_what_has_to_be_there_is_named(deep: Path, options: list[str], sentence: str) -> None:
    with pytest.raises(SystemExit, match=sentence):
        bench.main(["tiny.yaml", "--seconds", "1", *options])
    assert not Path("checkpoints").exists()


# ---------------------------------------------------------------------------------------------- all of it


@pytest.mark.slow
def test_both_kinds_are_fitted_and_nothing_of_the_experiment_changes(
    deep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ib(["train", "tiny.yaml"]) == 0
    with pytest.raises(SystemExit, match="run ib base tiny"):
        bench.main(["tiny.yaml"])
    assert ib(["base", "tiny.yaml"]) == 0
    before = {path: path.read_bytes() for path in Path("checkpoints").rglob("*") if path.is_file()}
    capsys.readouterr()
    options = ["--seconds", "0.5", "--validations", "4", "--validation-images", "16", "--figure", "found/page.png"]
    options += ["--layer_own_blocks", "{h4: 1}", "--layer_dropout", "{h4: 0.25}"]  # of the reader alone
    (found,) = bench.main(["tiny.yaml", "--layers", "h4", *options])
    after = {path: path.read_bytes() for path in Path("checkpoints").rglob("*") if path.is_file()}
    assert before == after
    assert Path("found/page.png").read_bytes().startswith(b"\x89PNG")
    text = capsys.readouterr().out
    assert "steps that fill the budget: gated" in text
    for found_course in (found.gated, found.deep):
        assert len(found_course.seconds) == len(found_course.bits) >= 1
        assert all(before < after for before, after in itertools.pairwise(found_course.seconds))
    # Both were judged by the same images: a reader that has learned nothing would be at L0.
    assert found.deep.bits[-1] < found.deep.null_bits + 1
