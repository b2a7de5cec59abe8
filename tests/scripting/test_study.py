"""An experiment from Python: the same files as the command line's, resumable, and mistakes as sentences."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml

from decoders.config import Architecture
from ib_analysis import Results, study
from ib_analysis.artifacts import UserError
from ib_analysis.bases.feed import digests_of
from ib_analysis.cli import main
from ib_analysis.experiment import Experiment
from ib_analysis.records.activations import open_activations
from ib_analysis.records.bases import base_feed
from ib_analysis.records.images import images_of


def write_file(path: Path) -> None:
    """Noise, and two simple functions of it at one epoch."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 4, (80, 1, 6, 6), dtype=np.uint8)
    with h5py.File(path, "w") as file:
        file["images"] = images
        file["images"].attrs["intensities"] = 4
        file["labels"] = np.arange(80) % 2
        file["epoch_0003/half"] = images[:, :, ::2, ::2].astype(np.float32)
        file["epoch_0003/sums"] = images.sum((1, 2)).astype(np.float32)


def fields(tiny: Path) -> dict:
    found = yaml.safe_load(tiny.read_text())
    return {**{key: value for key, value in found.items() if key != "layers"}, "activations_file": "mine.h5"}


def test_a_study_is_the_command_lines_experiment(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    write_file(Path("mine.h5"))
    threads = torch.get_num_threads()
    mine = study("mine", **fields(tiny))
    with pytest.raises(UserError, match="There is no experiment 'mine'"):
        _ = mine.results
    found = mine.estimate()
    assert isinstance(found, Results)
    assert [(row.epoch, row.layer) for row in found.information] == [(3, "half"), (3, "sums")]
    assert torch.get_num_threads() == threads
    decoders = {path: path.stat().st_mtime_ns for path in Path("checkpoints/mine/decoders").rglob("decoder.pt")}
    assert decoders
    # What is finished is not done again, neither here nor by the command line.
    mine.train()
    assert main(["estimate-mi", "tiny.yaml", "--layers", "[]", "--name", "mine", "--activations_file", "mine.h5"]) == 0
    assert decoders == {path: path.stat().st_mtime_ns for path in decoders}
    assert "half" in capsys.readouterr().out


def test_a_file_that_is_written_anew_is_read_anew(tiny: Path) -> None:
    for seed, name in enumerate(("first", "second")):
        images = np.random.default_rng(seed).integers(0, 4, (40 + 20 * seed, 1, 6, 6), dtype=np.uint8)
        with h5py.File("mine.h5", "w") as file:
            file["images"] = images
            file["images"].attrs["intensities"] = 4
            file["epoch_0003/pixels"] = images.reshape(-1, 36).astype(np.float32)
        given = study(name, **fields(tiny))
        given.train()
        experiment = Experiment(given.config)
        data, stored = images_of(experiment), open_activations(experiment, experiment.runs[0])
        kept = torch.cat([stored.read(3, "pixels", group) for group in range(len(stored.groups))])
        shown = np.concatenate([data.decoder.images, data.evaluation.images])
        assert len(shown) == len(images)
        np.testing.assert_array_equal(kept.numpy(), shown.reshape(len(shown), -1))
        assert np.isin(digests_of(data.evaluation.images), base_feed(experiment).unseen).all()


def test_steps_of_layers_that_the_settings_name_and_the_file_lacks_are_left_out(tiny: Path) -> None:
    write_file(Path("mine.h5"))
    settings = {**fields(tiny), "sharing": "dedicated", "reader": "deep"}
    chosen = study(
        "mine",
        **settings,
        layer_steps={"h2": 24, "half": 18},
        layer_dropout={"h4": 0.5},
        layer_own_blocks={"h1": 1, "half": 2},
    )
    assert chosen.config.layer_steps == {"h2": 24, "half": 18}
    experiment = Experiment(chosen.config)
    assert experiment.config.layer_steps == {"half": 18}
    assert experiment.config.layer_dropout == {}
    assert experiment.config.layer_own_blocks == {"half": 2}
    # Of neither the file nor a network of these settings: a typing error.
    with pytest.raises(
        UserError, match="layer_steps names 'haalf', which is not among the layers; choose from half, sums"
    ):
        study("mine", **settings, layer_steps={"haalf": 18})


@pytest.mark.parametrize("experiment", ["default", "digits", "cifar10-16"])
def test_settings_of_shipped_experiments_suit_any_file(experiment: str, tiny: Path) -> None:
    write_file(Path("mine.h5"))
    chosen = Experiment(study("mine", experiment, activations_file="mine.h5").config)
    assert chosen.config.base_learns_from == "all"
    assert {fit.cells[0][1] for fit in chosen.fits if fit.cells} == {"half", "sums"}


def test_settings_come_from_keywords_dataclasses_and_files(tiny: Path) -> None:
    write_file(Path("mine.h5"))
    chosen = study("mine", tiny, layers=["half"], activations_file="mine.h5", fitting={"steps": 18}).config
    assert (chosen.name, chosen.layers) == ("mine", ("half",))
    assert (chosen.fitting.steps, chosen.fitting.batch_size) == (18, 16)  # the file's, but for the steps
    small = Architecture(blocks=1, filters=8, output="categorical")
    assert study("mine", decoder=small, data={"source": "digits"}).config.decoder == small
    assert study("other", "digits", fitting={"steps": 7000}).config.data.source == "digits"  # one that ships


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"fiting": {}}, "there is no field or section 'fiting'; did you mean 'fitting'?"),
        ({"fitting": {"stepz": 3}}, "stepz"),
        ({"decoder": {"filters": "many"}}, "decoder.filters"),
        ({"activations_file": "nowhere.h5"}, "nowhere.h5 does not exist"),
        ({"settings": "nowhere"}, "there is no experiment 'nowhere'"),
        ({"data": {"source": "digits"}, "workers": -1}, "workers at least 0"),
    ],
)
def test_a_mistake_is_a_sentence(tiny: Path, settings: dict, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        study("mine", **settings)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_what_needs_the_network_and_unknown_studies_are_refused(tiny: Path) -> None:
    write_file(Path("mine.h5"))
    mine = study("mine", **fields(tiny))
    with pytest.raises(UserError, match="cost-quality"):
        mine.also("cost-quality")
    with pytest.raises(UserError, match="there is no study 'adit'"):
        mine.also("adit")
    with pytest.raises(UserError, match="no field or section 'share'"):
        mine.also("audit", share=2)


def test_a_name_is_enough_for_an_activations_file(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    write_file(Path("mine.h5"))
    settings = {key: value for key, value in yaml.safe_load(tiny.read_text()).items() if key != "layers"}
    Path("further.yaml").write_text(yaml.safe_dump(settings))
    words = ["mine", "--activations_file", "mine.h5", "--config", "further.yaml"]
    assert main(["train", *words]) == 0
    assert Path("checkpoints/mine/activations").is_dir()
    assert main(["train", "mine"]) == 2
    assert "there is no experiment 'mine'" in capsys.readouterr().err


@pytest.mark.slow  # three processes import torch
def test_a_script_without_a_main_guard_may_use_several_processes(tiny: Path) -> None:
    """A spawned process would run the user's script again, and with it the study, without end."""
    write_file(Path("mine.h5"))
    Path("script.py").write_text(
        textwrap.dedent(
            """
            import pathlib, yaml
            from ib_analysis import study

            pathlib.Path("runs").open("a").write("x")
            settings = yaml.safe_load(open("tiny.yaml")) | {"layers": [], "workers": 2, "decoder_seeds": [0, 1]}
            print(len(study("mine", activations_file="mine.h5", **settings).estimate().information))
            """
        )
    )
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "4"
    assert Path("runs").read_text() == "x"
