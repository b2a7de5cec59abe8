"""Experiments on an activations file, through the command line: what is measured, left out, refused."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from sklearn.datasets import load_digits

from ib_analysis import record
from ib_analysis.cli import main, parse_experiment
from ib_analysis.data import digits, image_space
from ib_analysis.data.collection import Collection, collection_of_arrays
from ib_analysis.encoders import build_encoder
from ib_analysis.experiment import Experiment
from ib_analysis.information.table import InformationRow, read_table
from ib_analysis.records.activations import open_activations
from ib_analysis.records.images import images_of

SETTINGS = ["--data.source", "digits", "--tasks", "[classification]"]
SETTINGS += ["--layers", "[h3, h4]", "--training.checkpoints", "[0,1]", "--training.epochs", "1"]
# Random numbers of readers do not depend on what a run is called.
READER = ["--reader", "deep", "--reader_network.width", "8", "--sharing", "layer"]


def rows(name: str) -> list[InformationRow]:
    return read_table(Path("checkpoints") / name / "information.csv", InformationRow)


def write_file(path: Path, labels: bool = True, n_nan: int = 0, wrong: float = np.nan) -> None:
    """Digits, and two simple functions of them at two epochs."""
    found = load_digits()
    images = found.images[:120]
    with h5py.File(path, "w") as file:
        file["images"] = images.astype(np.uint8)
        file["images"].attrs.update({"axes": "NHW", "intensities": 17})
        if labels:
            file["labels"] = found.target[:120] % 2
        for epoch in (0, 2):
            file[f"epoch_{epoch:04d}/half"] = images[:, None, ::2, ::2] * 1e4 + epoch
            file[f"epoch_{epoch:04d}/sums"] = images.sum(1)
        file["epoch_0002/sums"][:n_nan, 0] = wrong


def few_digits() -> Collection:
    """The first 240 digits, as a data set: a base learns from all images that a data set has."""
    all_digits = load_digits()
    images = all_digits.images[:240].astype(np.uint8)[:, None]
    names = tuple(str(name) for name in all_digits.target_names)
    return collection_of_arrays("digits", images, all_digits.target[:240], names, intensities=17)


def test_a_built_in_network_brought_in_as_foreign_is_measured_as_it_is(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same images, splits and, recorded from its checkpoint, activations: every number of every cell is equal to
    the last digit. Both run the network image by image: sums may depend on the size of a batch."""
    monkeypatch.setattr(digits, "collect", few_digits)
    one_by_one = ["--activations.group_size", "1"]
    assert main(["estimate-mi", "tiny.yaml", *SETTINGS, *READER, *one_by_one]) == 0
    experiment = Experiment(parse_experiment("estimate-mi", ["tiny.yaml", *SETTINGS, *READER, *one_by_one]))
    data, (run,) = images_of(experiment), experiment.runs
    stored = open_activations(experiment, run)
    parts = [len(split) for split in data.splits.values()]
    shuffled = np.random.default_rng(0).permutation(sum(parts))
    record(
        "mine.h5",
        np.concatenate([split.images for split in data.splits.values()])[shuffled],
        np.concatenate([split.labels for split in data.splits.values()])[shuffled],
        networks={epoch: experiment.encoder_folder(run) / f"epoch_{epoch:04d}.pt" for epoch in (0, 1)},
        network=build_encoder(
            experiment.config.encoder, "classification", *image_space(experiment.config.data), seed=9
        ),
        taps={"h3": "trunk.h3", "h4": "trunk.h4"},
        preprocess=lambda images: images,
        split=np.repeat([0, 1, 2], parts)[shuffled],
        intensities=data.intensities,
        batch_size=1,
    )
    with h5py.File("mine.h5") as file:
        for layer in ("h3", "h4"):
            recorded = file[f"epoch_0001/{layer}"][()][np.argsort(shuffled)][parts[0] :]
            dumped = np.concatenate([stored.read(1, layer, group).numpy() for group in range(len(stored.groups))])
            np.testing.assert_array_equal(recorded.astype(dumped.dtype), dumped)
    own = ["--activations_file", "mine.h5", "--layers", "[]"]
    assert main(["estimate-mi", "tiny.yaml", "--name", "mine", *own, *READER, *one_by_one]) == 0
    differs = {"experiment", "task", "decoder", "seconds", "encoder_sha256", "decoder_sha256"}  # names and hashes
    differs |= {
        "i_hy_bound_bits",
        "i_hy_bound_bits_low",
        "i_hy_bound_bits_high",
        "i_hy_bound_layer",
    }  # see later_layers

    def numbers(name: str) -> list[dict]:
        return [{key: value for key, value in asdict(row).items() if key not in differs} for row in rows(name)]

    assert numbers("mine") == numbers("tiny")
    assert len(numbers("mine")) == 4

    def phases(name: str) -> list[dict]:
        with Path("checkpoints", name, "phases.csv").open() as file:
            table = list(csv.DictReader(file))
        named = [{key: value.replace("recorded", "classification") for key, value in row.items()} for row in table]
        return [{key: value for key, value in row.items() if key not in differs} for row in named]

    assert phases("mine") == phases("tiny")
    assert phases("mine")

    spiked = [*READER, *one_by_one, "--spike_in", "4"]
    assert main(["estimate-mi", "tiny.yaml", *SETTINGS, *spiked, "--name", "coins"]) == 0
    assert main(["estimate-mi", "tiny.yaml", *own, *spiked, "--name", "mine-coins"]) == 0
    assert numbers("mine-coins") == numbers("coins") != numbers("tiny")
    assert {row.spike_in_bits for row in rows("mine-coins")} == {4}


def test_figures_with_and_without_labels(tiny: Path, capsys: pytest.CaptureFixture, caplog) -> None:
    write_file(Path("mine.h5"))
    settings = yaml.safe_load(tiny.read_text()) | {"activations_file": "mine.h5", "layers": []}
    Path("mine.yaml").write_text(yaml.safe_dump(settings))  # the one line in its YAML
    assert main(["figures", "mine.yaml"]) == 0
    assert "With activations_file no network is trained; not used: encoder, training, brackets." in caplog.text
    drawn = {path.name for path in Path("figures/mine").iterdir()}
    assert {"information_plane.png", "information_by_epoch.png", "phases.png", "samples.html"} <= drawn
    assert "training_curves.png" not in drawn
    assert {(row.task, row.epoch, row.layer) for row in rows("mine")} == {
        ("recorded", epoch, layer) for epoch in (0, 2) for layer in ("half", "sums")
    }
    assert not Path("checkpoints/mine/encoders").exists()

    write_file(Path("unlabelled.h5"), labels=False)
    capsys.readouterr()
    words = ["--name", "unlabelled", "--activations_file", "unlabelled.h5", "--activations.mode", "recompute"]
    assert main(["figures", "mine.yaml", *words]) == 0
    assert "what else needs labels is left out: the images have none" in capsys.readouterr().out
    drawn = {path.name for path in Path("figures/unlabelled").iterdir()}
    assert {"information_by_epoch.png", "phases.png", "samples.html"} <= drawn
    assert "information_plane.png" not in drawn
    assert "I(H;Y)" not in Path("figures/unlabelled/information_by_epoch.svg").read_text()
    assert {row.i_hy_bits for row in rows("unlabelled")} == {None}
    assert not Path("checkpoints/unlabelled/activations").exists()  # read where they lie


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["figures", "tiny.yaml", "--layers", "[]"], "(NaN): 3 in epoch_0002/sums; leave these taps or epochs out"),
        (["figures", "tiny.yaml"], "layers names 'h1', which this file does not have; choose from half, sums"),
        (
            ["export", "tiny.yaml", "--layers", "[]"],
            "there is no network, only what it gave; there is nothing to be done",
        ),
        (
            ["two-step", "tiny.yaml", "--layers", "[]"],
            "there is no network, only what it gave; there is nothing to be done",
        ),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_runs(
    tiny: Path, capsys: pytest.CaptureFixture, words: list[str], sentence: str
) -> None:
    write_file(Path("mine.h5"), n_nan=3)
    assert main([*words, "--activations_file", "mine.h5"]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not Path("checkpoints/tiny/activations").exists()


def test_numbers_too_large_to_be_squared_are_named(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    write_file(Path("mine.h5"), n_nan=3, wrong=1.7e308)
    assert main(["train", "tiny.yaml", "--layers", "[]", "--activations_file", "mine.h5"]) == 2
    assert "beyond +-1e150, which cannot be squared: 3 in epoch_0002/sums" in capsys.readouterr().err


def test_one_evaluation_image_is_refused_before_anything_is_fitted(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    write_file(Path("mine.h5"), labels=False)
    with h5py.File("mine.h5", "a") as file:
        file["split"] = np.repeat([1, 2], [119, 1])
    assert main(["estimate-mi", "tiny.yaml", "--layers", "[]", "--activations_file", "mine.h5"]) == 2
    assert "has 1 evaluation image, and intervals need at least two" in capsys.readouterr().err


def test_settings_that_the_file_decides_are_said_to_be_unused(tiny: Path) -> None:
    write_file(Path("mine.h5"))
    words = ["tiny.yaml", "--layers", "[]", "--activations_file", "mine.h5", "--tasks", "[autoencoding]"]
    words += ["--number_formats", "[w4a4_ends8]", "--encoder_seeds", "[0,1]", "--data.source", "cifar10"]
    words += ["--base_learns_from", "encoder_images"]
    experiment = Experiment(parse_experiment("train", words))
    trained = ["encoder", "training", "brackets"]
    decided = ["tasks", "number_formats", "encoder_seeds", "base_learns_from", "data.source"]
    assert experiment.unused == [*trained, *decided]
    assert Experiment(experiment.config).unused == trained


def test_taps_that_are_left_out_may_hold_what_is_no_number(tiny: Path) -> None:
    write_file(Path("mine.h5"), n_nan=3)
    assert main(["train", "tiny.yaml", "--activations_file", "mine.h5", "--layers", "[half]"]) == 0


def test_a_file_is_missing_or_not_named(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["figures", "tiny.yaml", "--activations_file", "nowhere.h5"]) == 2
    assert "nowhere.h5 does not exist" in capsys.readouterr().err
    assert main(["figures", "tiny.yaml", "--tasks", "[recorded]"]) == 2
    assert "set activations_file to its path" in capsys.readouterr().err
