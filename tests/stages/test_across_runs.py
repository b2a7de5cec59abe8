"""Readers that read a layer in all runs of an experiment (`sharing: across_runs`), through the real command line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from decoders import Reader
from decoders.fitting.batches import Minibatch
from decoders.fitting.gradients import draw_step
from decoders.readings import Condition
from ib_analysis import load_results
from ib_analysis.artifacts import load_tensors
from ib_analysis.cli import main, parse_experiment
from ib_analysis.experiment import BASE, Experiment
from ib_analysis.fits import unfinished
from ib_analysis.records.decoders import (
    decoder_artifact,
    feed_for,
    feed_of_fit,
    load_decoder,
    load_halfway_weights,
    new_decoder_of_fit,
)
from ib_analysis.records.joint import joint_reader, name_in_decoder
from ib_analysis.stages.fit import fit_units

FITS = ["--fitting.halfway", "true", "--fitting.validate_every", "2", "--fitting.cooldown_share", "0.4"]
SMALL = [*FITS, "--layers", "[h4]", "--probe.epochs", "1"]
FORMATS = ["--tasks", "[classification]", "--number_formats", "[float32,w8a8]", "--encoder_seeds", "[0,1]"]
FORMATS += ["--training.epochs", "30", "--training.checkpoints", "[0,30]", "--encoder.shortcut", "B"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, deep_text: str) -> Path:
    """With a finished experiment ``together`` of four runs, brackets, samples and maps."""
    found = tmp_path_factory.mktemp("across_runs")
    (found / "together.yaml").write_text(deep_text.replace("sharing: layer", "sharing: across_runs"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(found)
        assert main(["samples", "together.yaml", *SMALL, *FORMATS]) == 0
    return found


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def experiment(*options: str) -> Experiment:
    return Experiment(parse_experiment("train", ["together.yaml", *SMALL, *options]))


def rows(name: str, table: str = "information.csv") -> list[dict[str, str]]:
    with (Path("checkpoints") / name / table).open() as file:
        return list(csv.DictReader(file))


def numbers(name: str, *columns: str) -> dict[tuple[str, ...], list[float]]:
    keys = ("task", "number_format", "encoder_seed", "epoch", "layer")
    return {tuple(row[key] for key in keys): [float(row[column]) for column in columns] for row in rows(name)}


# ---------------------------------------------------------------------------------------------- what is fitted


def test_one_reader_per_layer_knows_the_cells_of_all_runs() -> None:
    manifests = list(Path("checkpoints/together/decoders").rglob("decoder.pt.json"))
    assert [path.parts[3:5] for path in manifests] == [("across_runs_decoder0", "h4")]
    results = load_results("together")
    for row in results.information:
        run = f"{row.task}_{row.number_format}_seed{row.encoder_seed}"
        saved = results.null_code_lengths() - results.code_lengths(run, row.epoch, row.layer)
        assert saved.mean() == pytest.approx(row.i_xh_bits, rel=1e-8)
    recipe = json.loads(manifests[0].read_text())["recipe"]
    assert len(recipe["config"]["runs"]) == 4
    assert len(recipe["config"]["cells"]) == len(set(recipe["config"]["cells"])) == 4 * 2
    assert sum(name.startswith("encoder ") for name in recipe["inputs"]) == 4 * 2
    found = rows("together")
    assert len(found) == 4 * 2
    assert len({row["decoder"] for row in found}) == 4  # where code lengths lie: each run has its own
    assert len({row["decoder_sha256"] for row in found}) == 1
    assert all(row["information_change_bits"] for row in found)


def test_every_run_is_measured_with_its_own_activations() -> None:
    """Against the whole reader, told each image's run: what the tables say is what it says."""
    made = experiment(*FORMATS)
    reader = new_decoder_of_fit(made, made.fits[1])
    reader.load_state_dict(load_tensors(decoder_artifact(made, made.fits[1]).path))
    with h5py.File("checkpoints/together/code_lengths.h5") as file, torch.no_grad():
        for fit in made.fits:
            if fit.key == BASE:
                continue
            feed = feed_for(made, fit)
            for cell in fit.cells:
                images, h = feed.images("evaluation"), feed.activations("evaluation", cell)
                told = reader.eval()(Condition(h, name_in_decoder(fit, cell))).log_prob(images)
                bits = -told.double().numpy() / np.log(2)
                assert file[f"{fit.key}/epoch_{cell[0]:04d}/{cell[1]}"][:] == pytest.approx(bits, rel=1e-4)
    lengths = [tuple(found) for found in numbers("together", "code_length_bits").values()]
    assert len(set(lengths)) > 4, "all runs have the same code lengths"


def test_minibatches_give_every_image_the_activations_of_the_run_that_they_name() -> None:
    made = experiment(*FORMATS)
    parts = {fit.run.key: feed_for(made, fit) for fit in made.fits if fit.run is not None}
    feed = feed_of_fit(made, made.fits[1])
    seen = set()
    for step in range(40):
        minibatch, start = draw_step(feed, 7, step, 0.0).minibatch, 0
        for part in minibatch.condition or ():
            epoch, run, layer = part.cell.split("/")
            images = minibatch.images[start : start + len(part.activations)]
            start += len(images)
            seen.add(part.cell)
            known = parts[run].images("train").flatten(1)
            activations = parts[run].activations("train", (int(epoch[6:]), layer))
            for image, h in zip(images.flatten(1), part.activations, strict=True):
                (places,) = torch.where((known == image).all(1))
                assert any(torch.equal(activations[place], h) for place in places)
    assert len(seen) == 8


# ---------------------------------------------------------------------------------------------- one run


def test_of_a_single_run_it_is_the_reader_of_the_layer() -> None:
    """The same fits, bit for bit, whatever the cells are called."""
    alone = ["--tasks", "[classification]", "--layers", "[h3,h4]"]
    for sharing in ("layer", "across_runs"):
        assert main(["samples", "together.yaml", *SMALL, *alone, "--sharing", sharing, "--name", sharing]) == 0
    columns = ("code_length_bits", "information_change_bits", "i_xh_bits_low", "i_hy_bits")
    assert numbers("layer", *columns) == numbers("across_runs", *columns)
    one, other = (h5py.File(f"checkpoints/{name}/samples.h5") for name in ("layer", "across_runs"))
    with one, other:
        for name in ("samples", "maps"):
            run = f"{name}/classification_float32_seed0/epoch_0002/h3"
            assert np.array_equal(one[run][()], other[run][()])
    warnings = [[row["warnings"] for row in rows(name)] for name in ("layer", "across_runs")]
    assert warnings[0] == warnings[1]


# ---------------------------------------------------------------------------------------------- other ways


@pytest.mark.slow
def test_recomputed_activations_give_the_same_code_lengths() -> None:
    assert (
        main(["estimate-mi", "together.yaml", *SMALL, *FORMATS, "--activations.mode", "recompute", "--name", "re"]) == 0
    )
    assert not Path("checkpoints/re/activations").exists()
    one, other = (numbers(name, "code_length_bits", "information_change_bits") for name in ("together", "re"))
    assert one.keys() == other.keys()
    assert np.array(list(one.values())) == pytest.approx(np.array(list(other.values())), abs=1e-3)


def test_a_selection_of_the_runs_is_looked_at_without_another_fit(capsys: pytest.CaptureFixture) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path("checkpoints/together").rglob("*.npz")}
    before |= {path: path.stat().st_mtime_ns for path in Path("checkpoints/together/decoders").rglob("*.pt*")}
    whole = numbers("together", "i_xh_bits", "information_change_bits")
    fewer = [*FORMATS, "--encoder_seeds", "[1]", "--number_formats", "[w8a8]"]
    try:
        assert main(["estimate-mi", "together.yaml", *SMALL, *fewer]) == 0
        selected = numbers("together", "i_xh_bits", "information_change_bits")
        assert {path: time for path, time in before.items() if path.stat().st_mtime_ns != time} == {}
        assert len(selected) == 2
        assert selected.items() <= whole.items()
        # Further runs are another reader: nothing that is there is overwritten.
        assert main(["estimate-mi", "together.yaml", *SMALL, *FORMATS, "--encoder_seeds", "[0,1,2]"]) == 2
        assert "was made with another config" in capsys.readouterr().err
        assert {path: time for path, time in before.items() if path.stat().st_mtime_ns != time} == {}
    finally:
        assert main(["estimate-mi", "together.yaml", *SMALL, *FORMATS]) == 0
    assert numbers("together", "i_xh_bits", "information_change_bits") == whole


def test_an_interrupted_fit_goes_on_and_ends_with_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    made = experiment(*FORMATS)
    path = decoder_artifact(made, made.fits[1]).path
    kept = {name: (path.parent / name).read_bytes() for name in ("decoder.pt", "decoder.pt.json", "halfway.pt")}
    whole = load_tensors(path)
    halfway = load_halfway_weights(made, made.fits[2])
    save: Callable = unfinished.UnfinishedFit.save

    def stop(self: unfinished.UnfinishedFit, *arguments: object) -> None:
        save(self, *arguments)
        raise KeyboardInterrupt

    for name in kept:
        (path.parent / name).unlink()
    try:
        (unit,) = fit_units(made)
        with monkeypatch.context() as patch:
            patch.setattr(unfinished.UnfinishedFit, "save", stop)
            with pytest.raises(KeyboardInterrupt):
                unit.function(*unit.arguments, progress=lambda *_: None)
        assert path.with_name("resume.pt").exists()
        assert not path.exists()
        (unit,) = fit_units(made)
        unit.function(*unit.arguments, progress=lambda *_: None)
        assert fit_units(made) == []
        again = load_tensors(path)
        assert again.keys() == whole.keys()
        assert all(torch.equal(again[name], whole[name]) for name in whole)
        found = load_halfway_weights(made, made.fits[2])
        assert halfway is not None
        assert found is not None
        assert all(torch.equal(found[name], halfway[name]) for name in halfway)
    finally:
        for name, content in kept.items():
            (path.parent / name).write_bytes(content)


def test_samples_maps_and_brackets_are_those_of_each_run() -> None:
    runs = [run.key for run in experiment(*FORMATS).runs]
    with h5py.File("checkpoints/together/samples.h5") as file:
        assert set(file["samples"]) == {"null", *runs}
        drawn = [file[f"samples/{run}/epoch_0030/h4"][()] for run in runs]
        assert all(found.shape == (2, 2, 1, 8, 8) for found in drawn)
        maps = [file[f"maps/{run}/epoch_0030/h4"] for run in runs]
        assert {found.attrs["null"] for found in maps} == {"base"}
        assert len({found[()].tobytes() for found in maps}) == len(runs)
    assert {row["number_format"] for row in rows("together", "brackets.csv")} == {"w8a8"}
    assert rows("together", "certificates.csv") == []


def test_gated_decoders_and_longer_fits_of_the_study_are_refused(capsys: pytest.CaptureFixture) -> None:
    assert main(["estimate-mi", "together.yaml", *SMALL, "--reader", "gated", "--name", "refused"]) == 2
    assert "sharing: across_runs goes with reader: deep only" in capsys.readouterr().err
    assert main(["convergence", "together.yaml", *SMALL, *FORMATS]) == 2
    assert "read several runs each" in capsys.readouterr().err


def test_a_part_reads_its_runs_cells_and_no_others() -> None:
    made = experiment(*FORMATS)
    part = load_decoder(made, made.fits[2], torch.device("cpu"))
    assert isinstance(part, Reader)
    assert [cell.name for cell in part.config.cells] == ["epoch_0000/h4", "epoch_0030/h4"]
    assert made.fits[2].run is not None
    assert joint_reader(made, made.fits[2]).runs == made.runs
    feed = feed_for(made, made.fits[2])
    other = feed_for(made, made.fits[4])
    images = feed.images("evaluation")
    told = [
        part(Condition(of.activations("evaluation", (30, "h4")), "epoch_0030/h4")).log_prob(Minibatch(images).images)
        for of in (feed, other)
    ]
    assert not torch.allclose(*told)
