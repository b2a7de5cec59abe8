"""A search among trained networks through the real command line, at a size of seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from ib_analysis.artifacts import UserError
from ib_analysis.cli import main, parse_experiment
from ib_analysis.data import image_digests
from ib_analysis.experiment import Experiment
from ib_analysis.information.table import read_table
from ib_analysis.records.encoders import encoder_at
from ib_analysis.records.images import images_of
from ib_analysis.studies.network_search import NetworkSearchConfig
from ib_analysis.studies.network_search.plan import held_out
from ib_analysis.studies.network_search.rows import (
    BitsRow,
    FrontRow,
    MethodRow,
    PairRow,
    RoundRow,
    SearchedRow,
)

CONFIG = """
layers: [h3, h4]
data:
  source: digits
  per_class: 20
  evaluation_per_class: 8
encoder: {width: 4}
training: {epochs: 3, batch_size: 8, checkpoints: []}
quantization: {granularity: tensor}
activations: {group_size: 8}
reader: deep
sharing: layer
layer_steps: {h4: 8}
fitting: {steps: 6, batch_size: 16, learning_rate: 0.003, validate_every: 3, validation_images: 16, save_every: 3}
base_network: {blocks: 1, filters: 4, output: categorical}
base_fitting: {steps: 6, batch_size: 16, warmup_steps: 2, validate_every: 3, validation_images: 16, save_every: 3}
probe: {epochs: 1, hidden_units: 4}
estimation: {resamples: 20}
workers: 1
search:
  budget: 2
  kept: 1
  depths: [8]
  widths: [2]
  binary_widths: [2]
  number_formats: [float32, w4a4]
  objectives: [error, quadratic_cost, latency_ms, energy_mj]
  latency_rounds: 5
  final: 2
  final_seeds: [0, 1]
  resamples: 50
"""
FOLDER = Path("checkpoints/mine/studies/search")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a search has been run, by two methods of two networks each."""
    for needed in ("optuna", "pymoo", "numba"):
        pytest.importorskip(needed)
    folder = tmp_path_factory.mktemp("network_search")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("mine.yaml").write_text(CONFIG)
        assert main(["search", "mine.yaml"]) == 0
    return folder


@pytest.fixture
def inside(done: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(done)
    return done


def times(*folders: str) -> dict[Path, int]:
    """When what is kept was written; not of records that are always written."""
    found = (path for folder in folders for path in Path(folder).rglob("*.*"))
    return {path: path.stat().st_mtime_ns for path in found if path.suffix in (".json", ".npz", ".pt", ".jsonl")}


def test_tables_say_what_the_files_say(inside: Path) -> None:
    searched = read_table(FOLDER / "searched.csv", SearchedRow)
    files = [json.loads(path.read_text()) for path in (FOLDER / "networks").glob("*.json")]
    of_network = {found["network"]: found for found in files}
    assert len(of_network) == len(files)
    for method in ("dpp_net", "tpe"):
        own = [row for row in searched if row.method == method]
        assert [row.place for row in own] == [1, 2]
        assert len({row.network for row in own}) == 2
        assert [row.hypervolume for row in own] == sorted(row.hypervolume for row in own)
    for row in searched:
        found = of_network[row.network]
        assert row.error == pytest.approx(found["error"])
        assert found["epochs"] == 3
        assert found["held_out_images"] + found["training_images"] <= 200
        assert row.energy_source in ("modelled", "RAPL")
    measured = [json.loads(path.read_text()) for path in (FOLDER / "measured").glob("*.json")]
    for row in searched:
        (file,) = [one for one in measured if one["latency_ms"] == pytest.approx(row.latency_ms, rel=1e-8)]
        assert row.latency_iqr_ms == pytest.approx(file["latency_iqr_ms"], rel=1e-8)
        assert row.latency_flagged == int(file["latency_flagged"])
        assert row.latency_reference_ms == pytest.approx(file["reference_ms"], rel=1e-8)
    rounds = read_table(FOLDER / "rounds.csv", RoundRow)
    assert {(row.method, row.metric, row.n_networks, row.rank_correlation) for row in rounds} == {
        ("dpp_net", "error", 1, None)  # one network is no ranking
    }
    names = ("error", "quadratic_cost", "latency_ms", "energy_mj")
    points = {row.network: np.array([getattr(row, name) for name in names]) for row in searched}
    beaten = {a for a in points for b in points.values() if (b <= points[a]).all() and (b < points[a]).any()}
    assert {row.network for row in searched if not row.not_dominated} == beaten
    front = read_table(FOLDER / "network_front.csv", FrontRow)
    assert {row.network for row in front} <= set(points) - beaten
    assert len(front) == min(2, len(set(points) - beaten))
    for row in read_table(FOLDER / "methods.csv", MethodRow):
        own = [one for one in searched if one.method == row.method]
        assert row.hypervolume == pytest.approx(own[-1].hypervolume)
        assert row.on_front == sum(one.not_dominated for one in own)


def test_the_front_is_judged_on_test_images_by_encoders_of_ordinary_experiments(inside: Path) -> None:
    for row in read_table(FOLDER / "network_front.csv", FrontRow):
        config = parse_experiment("figures", [str(FOLDER / "experiments" / f"{row.name}.yaml")])
        experiment = Experiment(config)
        assert (config.name, config.encoder_seeds, config.tasks) == (row.name, (0, 1), ("classification",))
        test = images_of(experiment).evaluation
        right = []
        for run in experiment.runs:
            network = encoder_at(experiment, run, 3).double()  # an oracle of its own, in float64
            with torch.no_grad():
                right.append(network(torch.as_tensor(test.images)).argmax(1).numpy() == test.labels)
        assert row.n_images == len(test) == 80
        assert row.test_accuracy == pytest.approx(np.mean(right), abs=0.011)
        assert row.test_accuracy_low <= row.test_accuracy <= row.test_accuracy_high
        expected = {"binary": "packed bits", "basic": "float32", "rir": "float32"}[row.network.split()[1].strip(",")]
        assert row.kernels == ("float32;int8" if "float32" in row.network and "w4a4" in row.network else
                               "int8" if "w4a4" in row.network else expected)  # fmt: skip


def test_nothing_is_done_twice_and_a_fixed_front_stays(inside: Path, capsys: pytest.CaptureFixture) -> None:
    before = times("checkpoints")
    assert main(["search", "mine.yaml"]) == 0
    assert times("checkpoints") == before
    said = capsys.readouterr().out
    assert "dpp_net knows all costs, measured time too, of networks before it trains them" in said
    assert "the reference network took" in said
    assert "ib figures checkpoints/mine/studies/search/experiments/mine-front1.yaml" in said
    assert main(["search", "mine.yaml", "--search.budget", "4"]) == 2
    assert "search.budget was 2, now 4" in capsys.readouterr().err
    assert times("checkpoints") == before


@pytest.mark.slow
def test_bits_beside_accuracy_and_cost(inside: Path, capsys: pytest.CaptureFixture) -> None:
    path = FOLDER / "experiments" / "mine-front1.yaml"
    encoders = times("checkpoints/mine-front1/encoders")
    assert main(["estimate-mi", str(path)]) == 0
    after = times("checkpoints/mine-front1/encoders")
    assert all(after[one] == time for one, time in encoders.items())  # not trained again
    assert main(["search", "mine.yaml"]) == 0
    rows = read_table(FOLDER / "front_bits.csv", BitsRow)
    assert {row.name for row in rows} == {"mine-front1"}
    assert {row.n_seeds for row in rows} == {2}
    assert all(row.i_xh_bits_low <= row.i_xh_bits <= row.i_xh_bits_high for row in rows)
    assert read_table(FOLDER / "front_pairs.csv", PairRow) == []  # one network is no pair
    first = read_table(FOLDER / "network_front.csv", FrontRow)[0]
    assert {(row.cost, row.test_accuracy) for row in rows} == {(first.quadratic_cost, first.test_accuracy)}
    assert "I(X;H), bits" in capsys.readouterr().out
    for name in ("network_search", "network_search_bits"):
        with Image.open(Path("figures/mine") / f"{name}.png") as image:
            assert image.width == 1400


def test_no_test_image_in_the_search(inside: Path) -> None:
    data = images_of(Experiment(parse_experiment("train", ["mine.yaml"])))
    found = held_out(data, 0.25)
    part = {name: {d.tobytes() for d in image_digests(split.images)} for name, split in
            {"train": found.encoder, "judge": found.evaluation, "test": data.evaluation}.items()}  # fmt: skip
    assert not part["judge"] & (part["train"] | part["test"])
    assert not part["train"] & part["test"]
    assert set(found.evaluation.source_index) | set(found.encoder.source_index) <= set(data.encoder.source_index)
    assert np.bincount(found.evaluation.labels).tolist() == [5] * 10


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--search.space", "resnets"], "search.space is 'resnets'; choose from resnet, dense."),
        (["--search.objectives", "[error, colour]"], "has 'colour'; choose from error, macs"),
        (["--search.epochs", "1", "--name", "b"], "quantized from training step 51 on"),
        (["--quantization.granularity", "channel", "--name", "b"], "granularity is channel, whose scales no integer"),
        (["--search.space", "dense", "--encoder.width", "6", "--name", "b"], "width is 6, which 4 groups"),
    ],
)
def test_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, options: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(CONFIG)
    assert main(["search", "mine.yaml", *options]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not list(Path().rglob("*.pt"))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"objectives": ("macs", "latency_ms")}, "objectives needs error, and at least one cost"),
        ({"objectives": ("error",)}, "at least one cost"),
        ({"space": "resnets"}, "choose resnet or dense"),
        ({"limits": {"colour": 3.0}}, "limits names 'colour'; choose from error"),
        ({"references": {"macs": 3.0}}, "references names 'macs'; choose from error, quadratic_cost"),
        ({"limits": {"macs": 0.0}}, "must be greater than 0"),
        ({"number_formats": ("w8a8_ends8",)}, "no format of a stage"),
        ({"number_formats": ("float32", "bfloat16")}, "trained alike"),
        ({"number_formats": ("w9a9",)}, "each must have 2 to 8 bits"),
        ({"widths": (3,)}, "rir have two equal streams"),
        ({"depths": (9,)}, "needs 6n"),
        ({"methods": ("annealing",)}, "methods has 'annealing'"),
        ({"final_seeds": (-1,)}, "from 0 on"),
        ({"budget": 0}, "budget is 0"),
        ({"at_once": 0}, "at_once is 0"),
        ({"at_once": 5, "budget": 4}, "at_once is 5, more than the search.budget of 4"),
    ],
)
def test_a_setting_that_cannot_work_is_one_sentence(wrong: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        NetworkSearchConfig(**wrong)


def test_no_gpu() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="there is no GPU"):
        NetworkSearchConfig(device="cuda")


def test_the_shipped_file_is_a_search() -> None:
    path = Path(__file__).parents[2] / "experiments" / "search.yaml"
    found = yaml.safe_load(path.read_text())["search"]
    assert found["budget"] * len(found["methods"]) == 40
