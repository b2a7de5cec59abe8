"""The whole calibration at a size of seconds: table, figure, resumption."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from PIL import Image

from decoders.config import Architecture, ReaderArchitecture
from decoders.fitting.fit import FittingConfig
from ib_analysis.artifacts import UserError, load_tensors
from ib_analysis.cli import parse_config
from ib_analysis.data import FactorsConfig
from ib_analysis.fits import unfinished
from ib_analysis.plots.style import WARNED, drawing_style
from ib_analysis.studies.calibration import CalibrationConfig, calibrate, figure
from ib_analysis.studies.calibration.plan import Calibration
from ib_analysis.studies.calibration.rows import CalibrationRow
from ib_analysis.studies.calibration.sources import SplitSizes

TINY = CalibrationConfig(
    name="tiny",
    coins=(4,),
    erasure_rates=(0.0, 1.0),
    flip_probabilities=(0.11,),
    noise_bits=1,
    least_side=2,
    factor_images=FactorsConfig(noise_levels=1),
    splits=SplitSizes(200, 32, 64),
    decoder=Architecture(blocks=1, filters=4, output="categorical", dropout=0.0, condition_filters=4),
    fitting=FittingConfig(
        steps=30, batch_size=16, learning_rate=0.01, validate_every=10, validation_images=32, save_every=10
    ),
    resamples=100,
    workers=1,
)


def rows(drop: tuple[str, ...] = ("seconds",), name: str = "tiny") -> list[dict[str, str]]:
    with (Path("checkpoints") / name / "calibration.csv").open() as file:
        return [{key: value for key, value in row.items() if key not in drop} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tiny calibration has been run."""
    folder = tmp_path_factory.mktemp("calibration")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        calibrate(TINY)
    return folder


@pytest.fixture
def inside(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(finished)
    return finished


def test_every_channel_of_every_source_has_its_row(inside: Path) -> None:
    found = rows(drop=())
    assert list(found[0]) == [field.name for field in dataclasses.fields(CalibrationRow)]
    assert [(row["source"], row["channel"], float(row["parameter"])) for row in found] == [
        ("coins", "erasure", 0),
        ("coins", "erasure", 1),
        ("coins", "flip", 0.11),
        ("factors", "erasure", 0),
        ("factors", "erasure", 1),
    ]


def test_columns_say_what_the_code_lengths_and_the_truth_say(inside: Path) -> None:
    calibration = Calibration(TINY)
    for row in rows():
        folder = Path("checkpoints/tiny/code_lengths") / row["decoder"]
        cell = np.load(folder / f"epoch_{round(1000 * float(row['parameter'])):04d}_{row['channel']}.npz")
        null = np.load(folder / "null.npz")["bits"]
        number = {key: float(value) for key, value in row.items() if _is_number(value)}
        truth = cell["information_bits"].mean()
        source = next(fit.source for fit in calibration.fits if fit.key == row["decoder"])
        assert len(cell["bits"]) == number["n_images"] == 64
        assert number["h_x_bits"] == pytest.approx(source.h_x_bits)
        assert number["true_bits"] == pytest.approx(truth, rel=1e-8, abs=1e-12)
        assert number["estimated_bits"] == pytest.approx((null - cell["bits"]).mean(), rel=1e-7, abs=1e-8)
        assert number["lower_bound_bits"] == pytest.approx(source.h_x_bits - cell["bits"].mean(), rel=1e-7)
        wasted = cell["bits"].mean() - (source.h_x_bits - truth)
        assert number["code_length_error_bits"] == pytest.approx(wasted, rel=1e-6)
        assert number["null_code_length_error_bits"] == pytest.approx(null.mean() - source.h_x_bits, rel=1e-6)
        # the error of the difference is the difference of the errors
        difference = number["null_code_length_error_bits"] - number["code_length_error_bits"]
        assert number["estimated_error_bits"] == pytest.approx(difference, rel=1e-5, abs=1e-6)
        # three validations are too few to call L0 converged, and each estimate rests on it
        assert "common_null_not_converged" in row["warnings"].split(";")
        for name in ("estimated_bits", "lower_bound_bits", "estimated_error_bits", "code_length_error_bits"):
            assert number[f"{name}_low"] <= number[name] <= number[f"{name}_high"]
        for name in ("estimated", "lower_bound"):
            near = abs(number[f"{name}_error_bits"]) <= max(0.5, 0.02 * truth)
            assert row[f"{name}_within"] == ("yes" if near else "no")
            assert (row[f"{name}_relative_error"] == "") == (truth == 0)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_truths_of_channels_without_noise_and_without_output(inside: Path) -> None:
    by_cell = {(row["source"], row["channel"], float(row["parameter"])): row for row in rows()}
    assert float(by_cell["coins", "erasure", 0]["true_bits"]) == 4
    assert float(by_cell["coins", "erasure", 1]["true_bits"]) == 0
    assert float(by_cell["coins", "flip", 0.11]["expected_bits"]) == pytest.approx(4 * 0.5, abs=0.001)
    whole = by_cell["factors", "erasure", 0]
    assert float(whole["true_bits"]) == pytest.approx(float(whole["h_x_bits"]))  # without noise


def test_a_second_call_does_nothing(inside: Path, capsys: pytest.CaptureFixture) -> None:
    made = {path: path.stat().st_mtime_ns for path in Path("checkpoints").rglob("*") if path.is_file()}
    calibrate(TINY)
    changed = {path.name for path, time in made.items() if path.stat().st_mtime_ns != time}
    assert changed <= {".lock", "config.yaml"}
    out = capsys.readouterr().out
    assert "figures/tiny/calibration.png" in out
    assert "of 5 estimates" in out


def test_an_interrupted_fit_goes_on_and_ends_with_the_same_table(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    expected = rows()
    monkeypatch.chdir(tmp_path)
    save, saved = unfinished.UnfinishedFit.save, []

    def interrupted(self, state) -> None:
        save(self, state)
        saved.append(self.path)
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(unfinished.UnfinishedFit, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        calibrate(TINY)
    assert saved[1].exists()
    assert load_tensors(saved[1])["state"]["numbers"]["step"] > 0
    assert not Path("checkpoints/tiny/calibration.csv").exists()
    calibrate(TINY)
    assert rows() == expected
    assert not list(Path("checkpoints").rglob("resume.pt"))


def test_another_config_is_refused(inside: Path) -> None:
    with pytest.raises(UserError, match=r"another config.*steps was 30, now 20"):
        calibrate(dataclasses.replace(TINY, fitting=dataclasses.replace(TINY.fitting, steps=20)))


def test_the_better_null_of_two_seeds_serves_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # three coins: a colour image
    config = dataclasses.replace(TINY, name="seeds", coins=(3,), factors=False, flip_probabilities=())
    calibrate(dataclasses.replace(config, decoder_seeds=(0, 1)))
    found = rows(name="seeds")
    assert len({row["decoder"] for row in found}) == 2
    assert len({row["null_code_length_bits"] for row in found}) == 1
    folder = Path("checkpoints/seeds/code_lengths")
    validation = {key: np.load(folder / key / "null_validation.npz")["bits"].mean() for key in _keys(found)}
    best = np.load(folder / min(validation, key=validation.__getitem__) / "null.npz")["bits"].mean()
    assert float(found[0]["null_code_length_bits"]) == pytest.approx(best, rel=1e-8)


def _keys(found: list[dict[str, str]]) -> set[str]:
    return {row["decoder"] for row in found}


def test_full_adds_the_large_images_and_wants_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = dataclasses.replace(TINY, full=True, full_decoder=Architecture(filters=8), factors=False)
    fits = Calibration(config).fits
    assert [fit.source.image_shape for fit in fits] == [(3, 32, 32), (1, 32, 32), (1, 2, 2)]
    assert [Calibration(config).architecture(fit).filters for fit in fits] == [8, 8, 4]
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="GPU"):
        calibrate(config)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"coins": (5,)}, "square"),
        ({"erasure_rates": (0.0005,)}, "0.001"),
        ({"flip_probabilities": (1.5,)}, "between 0 and 1"),
        ({"erasure_rates": ()}, "at least one rate"),
        ({"coins": (4, 4)}, "once"),
        ({"coins": (), "factors": False}, "nothing to calibrate"),
        ({"group_size": 5}, "multiples of group_size"),
        ({"name": "a/b"}, "folder"),
        ({"coins": (1024,)}, "full_coins"),
        ({"noise_bits": 9}, "noise_bits"),
        ({"decoder_seeds": ()}, "seed"),
        ({"threads": 0}, "threads"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_a_sentence(change: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Calibration(dataclasses.replace(TINY, **change)).fits  # noqa: B018


# ---------------------------------------------------------------------------------------------- the figure


def test_the_figure_is_written_and_not_blank(inside: Path) -> None:
    with Image.open("figures/tiny/calibration.png") as image:
        assert image.width == 1400
        assert np.asarray(image.convert("L")).std() > 5
    assert Path("figures/tiny/calibration.svg").exists()


def test_the_figure_shows_every_row_twice_in_each_panel_with_warnings_in_grey(inside: Path) -> None:
    with drawing_style():
        ((name, drawn),) = figure.draw(Path("checkpoints/tiny/calibration.csv"))
    assert name == "calibration"
    found = rows()
    panels = [axes for part in drawn.subfigs for axes in part.axes]
    assert len(panels) == 3
    warned = sum(bool(row["warnings"]) for row in found)
    assert warned
    for axes in panels:
        assert len(axes.containers) == 2 * len(found)
        colours = [to_hex(box.lines[0].get_color()) for box in axes.containers]
        assert colours.count(WARNED) == 2 * warned
    estimates = sorted((box.lines[0].get_xdata()[0], box.lines[0].get_ydata()[0]) for box in panels[0].containers)
    expected = [(float(row["true_bits"]), float(row[name])) for row in found for name in ESTIMATES]
    assert estimates == pytest.approx(np.array(sorted(expected)))
    identity = next(line for line in panels[0].lines if line.get_gid() == "identity")
    assert np.array_equal(identity.get_xdata(), identity.get_ydata())


ESTIMATES = ("estimated_bits", "lower_bound_bits")


def test_a_missing_table_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ib calibrate"):
        list(figure.draw(tmp_path / "calibration.csv"))


# ---------------------------------------------------------------------------------------------- readers


DEEP = dataclasses.replace(
    TINY,
    name="deep",
    factors=False,
    reader="deep",
    reader_network=ReaderArchitecture(width=8),
    base_network=TINY.decoder,
    base_fitting=dataclasses.replace(TINY.fitting, steps=240, validate_every=80, save_every=80),
    fitting=dataclasses.replace(TINY.fitting, cooldown_share=0.5, halfway=True),
)


@pytest.fixture(scope="module")
def with_readers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tiny calibration has been run with readers."""
    folder = tmp_path_factory.mktemp("readers")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        calibrate(DEEP)
    return folder


def test_readers_are_measured_against_their_base_and_twice(
    with_readers: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(with_readers)
    found = rows(name="deep")
    assert [(row["channel"], row["parameter"]) for row in found] == [
        ("erasure", "0"),
        ("erasure", "1"),
        ("flip", "0.11"),
    ]
    contained = 0
    for row in found:
        folder = Path("checkpoints/deep/code_lengths")
        cell = np.load(
            folder / row["decoder"] / f"epoch_{round(1000 * float(row['parameter'])):04d}_{row['channel']}.npz"
        )
        null = np.load(folder / "coins_0004_base" / "null.npz")["bits"]
        assert row["decoder"] == f"coins_0004_{row['channel']}_decoder0"
        assert float(row["null_code_length_bits"]) == float(row["own_null_code_length_bits"])
        assert float(row["estimated_bits"]) == pytest.approx((null - cell["bits"]).mean(), rel=1e-6, abs=1e-8)
        change = (cell["halfway_bits"] - cell["bits"]).mean()
        assert float(row["information_change_bits"]) == pytest.approx(change, rel=1e-6, abs=1e-9)
        high = float(row["estimated_bits_high"]) + 1.25 * max(change, 0)
        assert float(row["estimated_high_with_change"]) == pytest.approx(high, rel=1e-6, abs=1e-8)
        inside = float(row["estimated_bits_low"]) <= float(row["true_bits"]) <= high
        assert row["contains_truth"] == ("yes" if inside else "no")
        assert (float(row["truth_outside_bits"]) == 0) == inside
        contained += inside
    assert 0 < contained < len(found)  # both happen: so short a fit leaves the truth of nothing for something
    calibrate(DEEP)
    assert f"contain the truth: {contained} of 3" in capsys.readouterr().out


def test_a_readers_recipe_names_its_base_whose_weights_are_rounded(
    with_readers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(with_readers)
    calibration = Calibration(DEEP)
    bases = {fit.source: calibration.decoder_artifact(fit) for fit in calibration.fits if fit.role == "base"}
    assert len(bases) == 1
    for fit in calibration.fits:
        artifact = calibration.decoder_artifact(fit)
        if fit.role == "reader":
            assert artifact.record["recipe"]["inputs"]["base"] == bases[fit.source].identity
            assert set(calibration.code_length_artifacts(fit)) == {
                f"epoch_{parameter:04d}/{kind}" for parameter, kind in calibration.cells_of(fit)
            }
        else:
            weights = load_tensors(artifact.path)
            assert all(torch.equal(tensor, tensor.half().float()) for tensor in weights.values())
    made = {path: path.stat().st_mtime_ns for path in Path("checkpoints").rglob("*") if path.is_file()}
    calibrate(DEEP)
    changed = {path.name for path, time in made.items() if path.stat().st_mtime_ns != time}
    assert changed <= {".lock", "config.yaml"}


@pytest.mark.parametrize("name", ["calibration", "calibration-readers"])
def test_the_files_that_ship_can_work(name: str) -> None:
    config = parse_config(CalibrationConfig, "calibrate", "", [name])
    assert config.name == name
    assert {fit.role for fit in Calibration(config).fits} == (
        {"gated"} if name == "calibration" else {"base", "reader"}
    )


def test_gated_decoders_keep_their_recipe_and_have_no_change(inside: Path) -> None:
    assert all(row["contains_truth"] == row["information_change_bits"] == row["notes"] == "" for row in rows())
    with pytest.raises(UserError, match="choose gated or deep"):
        dataclasses.replace(TINY, reader="flat")
    with pytest.raises(UserError, match="multiple of group_size"):
        dataclasses.replace(DEEP, base_fitting=dataclasses.replace(DEEP.base_fitting, batch_size=12))
    dataclasses.replace(DEEP, fitting=dataclasses.replace(DEEP.fitting, null_share=0.0))  # of no use to a reader
