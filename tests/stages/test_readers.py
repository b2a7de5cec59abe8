"""Experiments with deep readers through the real command line: a base, its features, readers; L0 is the base."""

from __future__ import annotations

import csv
import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from decoders import Reader, ReaderArchitecture, code_lengths_bits
from decoders.fitting.batches import Minibatch
from decoders.fitting.gradients import draw_step
from ib_analysis import load_results
from ib_analysis.activations import groups_of
from ib_analysis.artifacts import UserError, begin_notices
from ib_analysis.cli import main, parse_experiment
from ib_analysis.experiment import BASE, Experiment
from ib_analysis.records.bases import load_base
from ib_analysis.records.decoders import decoder_artifact, feed_for, load_decoder
from ib_analysis.records.encoders import layer_shapes
from ib_analysis.records.features import feature_parts
from ib_analysis.records.images import images_of
from ib_analysis.stages.fit import fit_seed
from ib_analysis.stages.prepare import prepare
from ib_analysis.studies.audit.config import AuditConfig
from ib_analysis.studies.audit.plan import Plan, check

SMALL = ["--tasks", "[classification]", "--layers", "[h3,h4]"]
ONE = ["--tasks", "[classification]", "--layers", "[h4]"]


def rows(name: str, table: str = "information.csv") -> list[dict[str, str]]:
    with (Path("checkpoints") / name / table).open() as file:
        return [{k: v for k, v in row.items() if k not in ("seconds", "experiment")} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, deep_text: str) -> Path:
    """With a finished experiment ``deep``, whose base all others of this file share."""
    found = tmp_path_factory.mktemp("readers")
    (found / "deep.yaml").write_text(deep_text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(found)
        assert main(["estimate-mi", "deep.yaml", *SMALL]) == 0
    return found


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def experiment(*options: str) -> Experiment:
    return Experiment(parse_experiment("train", ["deep.yaml", *options]))


def test_layers_that_are_too_large_to_be_mixed_are_named_before_anything_runs(caplog: pytest.LogCaptureFixture) -> None:
    options = ["--name", "large", "--tasks", "[classification]"]
    made = experiment(*options)
    prepare(made)
    assert not caplog.records
    shapes = layer_shapes(made, made.runs[0])
    n_train = groups_of(images_of(made), made.config.activations.group_size).n_train
    gib = {layer: 2 * n_train * len(made.epochs) * math.prod(shapes[layer]) / 2**30 for layer in made.layers}
    held = sorted(gib.values())[1]
    large = {layer for layer in gib if gib[layer] > held}
    assert 0 < len(large) < len(gib)
    begin_notices()
    prepare(experiment(*options, "--held_gib", repr(held)))
    (record,) = caplog.records
    assert {layer for layer in gib if f"{layer} 0.0 GiB" in record.message} == large
    assert "Raise held_gib" in record.message
    with pytest.raises(UserError, match="held_gib is -1"):
        experiment("--held_gib", "-1")


def test_what_fits_in_memory_is_part_of_a_readers_recipe_and_old_ones_had_three_gib() -> None:
    fit = next(fit for fit in experiment(*SMALL).fits if fit.key != BASE)
    assert decoder_artifact(experiment(*SMALL), fit).status() == "complete"
    assert decoder_artifact(experiment(*SMALL, "--held_gib", "1"), fit).status() != "complete"


# ---------------------------------------------------------------------------------------------- what comes out


def test_l0_is_the_base_and_every_number_is_a_difference_from_it() -> None:
    with h5py.File("checkpoints/deep/code_lengths.h5") as file:
        null = file["null"][:]
        assert file.attrs["null_source"] == "base"
        found = rows("deep")
        assert len(found) == 2 * 2
        for row in found:
            lengths = file[f"{row['decoder']}/epoch_{int(row['epoch']):04d}/{row['layer']}"][:]
            assert float(row["i_xh_bits"]) == pytest.approx((null - lengths).mean(), rel=1e-8)
            assert np.array_equal(file[f"{row['decoder']}/own_null"][:], null)
            assert row["decoder"].endswith(f"decoder0/{row['layer']}")
    # The base itself, made anew from its file, on images that it is told of only now.
    made = experiment(*SMALL)
    reader = Reader(load_base(made, torch.device("cpu")), ReaderArchitecture(), ())
    images = torch.from_numpy(images_of(made).evaluation.images)
    assert code_lengths_bits(reader, [Minibatch(images)]) == pytest.approx(null, abs=0.01)
    assert code_lengths_bits(reader, [Minibatch(images)]).std() > 0


def test_results_know_the_code_lengths_of_readers_of_layers() -> None:
    results = load_results("deep")
    for row in results.information:
        found = results.code_lengths("classification_float32_seed0", row.epoch, row.layer)
        saved = results.null_code_lengths() - found
        assert saved.mean() == pytest.approx(row.i_xh_bits, rel=1e-8)


def test_recipes_name_the_reader_its_base_and_nothing_of_gated_decoders() -> None:
    (base,) = Path("checkpoints/bases").iterdir()
    identity = json.loads((base / "base.safetensors.json").read_text())["identity"]
    for path in sorted(Path("checkpoints/deep/decoders").rglob("decoder.pt.json")):
        recipe = json.loads(path.read_text())["recipe"]
        assert recipe["config"]["reader_network"]["width"] == 8
        assert recipe["config"]["sharing"] == "layer"
        assert "decoder" not in recipe["config"]
        assert recipe["inputs"]["base"] == identity
    assert not Path("checkpoints/deep/decoders/base").exists()


def test_features_are_looked_up_for_every_image_of_the_experiment() -> None:
    made = experiment(*SMALL)
    assert [part.artifact.is_whole for part in feature_parts(made)] == [True]
    reader = load_decoder(made, made.fits[-1], torch.device("cpu"))
    assert isinstance(reader, Reader)
    assert reader.stored is not None
    data = images_of(made)
    for split in (data.decoder, data.evaluation):
        assert reader.stored(torch.from_numpy(split.images)) is not None
    assert reader.stored(torch.from_numpy(data.encoder.images[:5])) is None


def test_a_second_run_does_nothing() -> None:
    made = {path: path.stat().st_mtime_ns for path in Path("checkpoints").rglob("*") if path.is_file()}
    assert main(["estimate-mi", "deep.yaml", *SMALL]) == 0
    assert {path.name for path in made if made[path] != path.stat().st_mtime_ns} <= {".lock", "config.yaml"}


def test_readers_of_a_layer_see_the_same_images_under_all_tasks_and_start_from_the_same_weights() -> None:
    """Common random numbers, so that differences of tasks do not carry the noise of two fits."""
    made = experiment("--layers", "[h3,h4]", "--encoder_seeds", "[0,1]", "--decoder_seeds", "[0,1]")
    seeds: dict[tuple[str, int], set[int]] = {}
    for fit in made.fits:
        if fit.run is not None:
            seeds.setdefault((fit.cells[0][1], fit.decoder_seed), set()).add(fit_seed(made, fit))
    assert all(len(found) == 1 for found in seeds.values())
    assert len(set.union(*seeds.values())) == len(seeds) == 4


def test_minibatches_of_a_reader_are_drawn_by_its_seed_alone() -> None:
    made = experiment(*SMALL)
    fits = [fit for fit in made.fits if fit.run is not None]
    feeds = [feed_for(made, fit) for fit in fits]
    drawn = [[draw_step(feed, 7, step, 0.0).minibatch for step in range(3)] for feed in feeds]
    for one, other in zip(*drawn, strict=True):
        assert torch.equal(one.images, other.images)
        cells = [[part.cell.split("/")[0] for part in minibatch.condition or ()] for minibatch in (one, other)]
        assert cells[0] == cells[1]


# ---------------------------------------------------------------------------------------------- other ways


def test_recomputed_activations_and_features_give_the_same_code_lengths() -> None:
    assert main(["estimate-mi", "deep.yaml", *SMALL, "--activations.mode", "recompute", "--name", "again"]) == 0
    assert not Path("checkpoints/again/activations").exists()
    assert feature_parts(experiment(*SMALL, "--activations.mode", "recompute")) == []
    for one, other in zip(rows("deep"), rows("again"), strict=True):
        assert float(one["code_length_bits"]) == pytest.approx(float(other["code_length_bits"]), abs=1e-3)
        assert float(one["i_xh_bits"]) == pytest.approx(float(other["i_xh_bits"]), abs=1e-3)


@pytest.mark.parametrize("sharing", ["dedicated", "shared"])
def test_readers_of_a_cell_or_of_a_whole_run(sharing: str) -> None:
    options = [*SMALL, "--sharing", sharing, "--name", sharing, "--fitting.null_share", "0.2"]
    assert main(["estimate-mi", "deep.yaml", *options]) == 0
    found = rows(sharing)
    assert len(found) == 4
    assert len({row["decoder"] for row in found}) == (4 if sharing == "dedicated" else 1)
    with h5py.File(f"checkpoints/{sharing}/code_lengths.h5") as file:
        assert file.attrs["null_source"] == "base"
    assert not list(Path(f"checkpoints/{sharing}/decoders").glob("unconditional*"))


def test_further_decoder_seeds_are_further_readers_of_the_same_base() -> None:
    assert main(["estimate-mi", "deep.yaml", *ONE, "--decoder_seeds", "[0,1]", "--name", "seeds"]) == 0
    lengths = {}
    for row in rows("seeds"):
        lengths.setdefault(row["epoch"], set()).add(row["code_length_bits"])
    assert all(len(found) == 2 for found in lengths.values())
    with h5py.File("checkpoints/seeds/code_lengths.h5") as file, h5py.File("checkpoints/deep/code_lengths.h5") as first:
        assert np.array_equal(file["null"][:], first["null"][:])
    assert len(list(Path("checkpoints/bases").iterdir())) == 1


def test_the_base_of_another_seed_is_another_file_and_still_l0() -> None:
    options = [*ONE, "--base_seed", "5", "--name", "base5"]
    assert main(["samples", "deep.yaml", *options]) == 0
    with h5py.File("checkpoints/base5/code_lengths.h5") as file:
        assert file.attrs["null_source"] == "base"
    with h5py.File("checkpoints/base5/samples.h5") as file:
        assert "null" in file["samples"]
        assert file.attrs["maps_of_common_null"]
    base = made_of(experiment(*options))
    assert base.is_dir()
    assert base.name != made_of(experiment(*SMALL)).name


def made_of(of: Experiment) -> Path:
    """The folder of an experiment's base."""
    return feature_parts(of)[0].artifact.path.parents[2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--spike_in", "4", "--sharing", "across_runs"], "spike_in does not go with sharing: across_runs"),
        (["--base_network.resolutions", "9"], "The base (base_network) does not fit the images"),
        (["--reader_network.width", "0"], "reader_network.width must be at least 1"),
    ],
)
def test_what_cannot_work_is_refused(options: list[str], words: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["estimate-mi", "deep.yaml", "--name", "refused", *options]) == 2
    assert words in capsys.readouterr().err
    assert not Path("checkpoints/refused").exists()


def test_gated_decoders_cost_no_base(tiny: Path) -> None:
    assert main(["estimate-mi", "tiny.yaml", *ONE]) == 0
    assert len(rows("tiny")) == 2
    assert not Path("checkpoints/bases").exists()


# ---------------------------------------------------------------------------------------------- studies


def test_controls_are_fitted_as_readers_on_the_same_base() -> None:
    """Shuffled activations tell nothing, the image itself everything: readers of their own, without a null share."""
    only = ["--controls.only", "[shuffled,image]", "--controls.steps", "12"]
    assert main(["controls", "deep.yaml", *SMALL, *only]) == 0
    with Path("checkpoints/deep/controls.csv").open() as file:
        found = list(csv.DictReader(file))
    assert {row["control"] for row in found} == {"shuffled", "image"}
    with h5py.File("checkpoints/deep/code_lengths.h5") as file:
        null = file["null"][:]
    (base,) = (path for path in Path("checkpoints/bases").iterdir() if path == made_of(experiment(*SMALL)))
    identity = json.loads((base / "base.safetensors.json").read_text())["identity"]
    folder = Path("checkpoints/deep/studies/controls")
    manifests = sorted(folder.rglob("decoder.pt.json"))
    assert len(manifests) == 2
    for path in manifests:
        recipe = json.loads(path.read_text())["recipe"]
        assert recipe["config"]["reader_network"]["width"] == 8
        assert recipe["config"]["fitting"]["null_share"] == 0
        assert "decoder" not in recipe["config"]
        assert recipe["inputs"]["base"] == identity
    for path in folder.rglob("null.npz"):
        with np.load(path) as arrays:
            assert np.array_equal(arrays["bits"], null), "L0 of a control is not the base's"


def test_an_audit_plans_readers_and_a_budget_refuses_them(capsys: pytest.CaptureFixture) -> None:
    options = [*SMALL, "--sharing", "shared", "--name", "audited"]
    made = experiment(*options)
    settings = AuditConfig(cells=2, multiples=(1,), remedies=("half_learning_rate", "fine_tune"))
    check(made, settings)
    with pytest.raises(UserError, match="cell adapters, which the readers"):
        check(made, AuditConfig(cells=2, remedies=("cell_adapters",)))
    plan = Plan(made, settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "shared_steps", lambda self, fit: 12)
        assert all(fit.is_reader for fit in plan.fits.fits)
        larger = Plan(made, AuditConfig(cells=2, multiples=(1,), remedies=("larger_trunk",)))
        (wider,) = (fit.architecture for fit in larger.fits.fits if fit.key.startswith("larger_trunk"))
    assert isinstance(wider, ReaderArchitecture)
    assert wider.width == 12
    assert main(["budget", "deep.yaml", *options]) == 2
    assert "a budget study is about filters and blocks of gated decoders" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------- at length


@pytest.mark.slow
def test_figures_samples_and_page() -> None:
    assert main(["figures", "deep.yaml", "--layers", "[h3,h4]", "--name", "drawn"]) == 0
    drawn = {path.name for path in Path("figures/drawn").iterdir()}
    assert {"samples.html", "information_plane.png", "certificates.png"} <= drawn
    with h5py.File("checkpoints/drawn/samples.h5") as file:
        for run in ("classification_float32_seed0", "autoencoding_float32_seed0"):
            for epoch in (0, 2):
                samples = file[f"samples/{run}/epoch_{epoch:04d}/h3"][()]
                assert samples.shape[:2] == (2, 2)
                assert file[f"maps/{run}/epoch_{epoch:04d}/h3"].attrs["null"] == "base"


MOMENTS = (
    "bases/*/resume.pt",
    "bases/*/base.safetensors.json",
    "bases/*/features/*/*.npy",
    "killed/decoders/*/*/resume.pt",
    "killed/code_lengths/*/*/epoch_0000_h4.npz",
)


@pytest.mark.slow
def test_a_killed_command_goes_on_and_ends_with_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Path("deep.yaml").read_text()
    monkeypatch.chdir(tmp_path)
    Path("deep.yaml").write_text(config)
    options = [*SMALL, "--fitting.steps", "40", "--base_fitting.steps", "40", "--base_fitting.save_every", "5"]
    command = [sys.executable, "-m", "ib_analysis.cli", "estimate-mi", "deep.yaml", *options, "--name"]
    with Path("log").open("w") as log:
        whole = [*command, "whole", "--checkpoints", "elsewhere"]
        assert subprocess.run(whole, stdout=log, stderr=log).returncode == 0
        killed = 0
        for pattern in MOMENTS:
            process = subprocess.Popen([*command, "killed"], stdout=log, stderr=log)
            while process.poll() is None:
                if any(Path("checkpoints").glob(pattern)):
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    killed += 1
                    break
                time.sleep(0.005)
        assert subprocess.run([*command, "killed"], stdout=log, stderr=log).returncode == 0, Path("log").read_text()
    assert killed >= 3
    Path("checkpoints/whole").symlink_to(Path("elsewhere/whole").absolute())
    assert rows("killed") == rows("whole")


def test_only_readers_of_the_layer_with_steps_of_its_own_have_another_recipe() -> None:
    plain, longer = experiment(*SMALL), experiment(*SMALL, "--layer_steps", "{h4: 32}")
    for before, after in zip(plain.fits, longer.fits, strict=True):
        if before.key == BASE:
            continue
        same = decoder_artifact(plain, before).recipe == decoder_artifact(longer, after).recipe
        assert same == (before.cells[0][1] != "h4")
