"""Binary networks through the command line: trained, measured as codes, counted, described, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

from ib_analysis.binary import Phase
from ib_analysis.binary.packed_network import weight_bytes
from ib_analysis.cli import main, parse_experiment
from ib_analysis.encoders import BinaryNetwork
from ib_analysis.encoders.binary_network import BinaryClassifier
from ib_analysis.experiment import Experiment
from ib_analysis.experiment_config import unused_by_architecture
from ib_analysis.information.brackets_table import BracketRow
from ib_analysis.information.claims_table import ClaimRow
from ib_analysis.information.counted_table import CountedRow
from ib_analysis.information.late_compression import FEWEST_SEEDS
from ib_analysis.information.phases_table import PhaseRow
from ib_analysis.information.table import InformationRow, read_table
from ib_analysis.records.counts import CountedCell
from ib_analysis.records.encoders import encoder_at
from ib_analysis.records.images import images_of
from ib_analysis.stages import count as count_stage
from ib_analysis.stages.prepare import prepare

BINARY = [
    "--encoder.architecture", "binary", "--encoder.width", "2", "--encoder.binary.code_units", "4",
    "--number_formats", "[float32, binary]", "--tasks", "[classification]", "--layers", "[h3, h4]",
    "--training.checkpoints", "[0, 1, 2]",
]  # fmt: skip


def rows_of(kind: type, name: str, experiment: str = "tiny") -> list:
    return read_table(Path("checkpoints") / experiment / name, kind)


def test_binary_runs_are_measured_as_codes_and_small_layers_counted(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["tiny.yaml", *BINARY, "--data.factors.noise_levels", "1", "--brackets.epochs", "all"]
    assert main(["estimate-mi", *words]) == 0
    out = capsys.readouterr().out
    experiment = Experiment(parse_experiment("train", words))
    binary, twin = (next(run for run in experiment.runs if run.number_format == name) for name in ("binary", "float32"))
    networks = [encoder_at(experiment, binary, epoch) for epoch in experiment.epochs]
    assert [network.phase for network in networks if isinstance(network, BinaryNetwork)] == [
        Phase.SIGNS, Phase.SIGNS, Phase.BINARY,
    ]  # fmt: skip
    assert encoder_at(experiment, twin, 2).phase == Phase.REAL

    # What is dumped is the signs, one bit each.
    data = images_of(experiment)
    with h5py.File(experiment.activations_path(binary)) as file, torch.no_grad():
        dataset = file["epoch_0002/h4"]
        assert (dataset.attrs["bits"], dataset.attrs["signed"], dataset.shape[1]) == (1, False, 1)
        bits = np.unpackbits(dataset[-len(data.evaluation) :], axis=1)[:, :4]
        signs = networks[2].taps(torch.from_numpy(data.evaluation.images))["h4"]
        assert np.array_equal(2.0 * bits - 1, signs.numpy())

    # Its file holds one bit a weight, and runs on packed words as the trained network does.
    assert main(["export", *words]) == 0
    assert "equals the trained network bit for bit" in capsys.readouterr().out
    file_of_bits = Path("checkpoints/tiny/integers") / f"{binary.key}.h5"
    assert weight_bytes(file_of_bits) < sum(p.numel() for p in networks[2].parameters())

    rows = rows_of(InformationRow, "information.csv")
    assert {(row.number_format, row.code_bits, row.code_is_bottleneck) for row in rows} == {
        ("float32", None, None), ("binary", 1, 1),
    }  # fmt: skip

    # Brackets of all binary layers; the count over the images at hand agrees with the truth over all images.
    brackets = {(row.epoch, row.layer): row for row in rows_of(BracketRow, "brackets.csv")}
    assert set(brackets) == {(epoch, layer) for epoch in (0, 1, 2) for layer in ("h3", "h4")}
    counted = rows_of(CountedRow, "counted.csv")
    assert [(row.number_format, row.epoch, row.layer) for row in counted] == [("binary", e, "h4") for e in (0, 1, 2)]
    for row in counted:
        truth = brackets[row.epoch, "h4"].counted_bits
        assert truth is not None
        assert row.plug_in_bits_low <= truth <= row.plug_in_bits_high
        assert row.n_images == sum(map(len, data.splits.values()))
        assert row.plug_in_bits <= 4
        assert row.lower_bits is not None
        assert row.lower_bits_low is not None
        assert row.lower_bits_low <= row.plug_in_bits_high, "a lower bound on what was counted"
        assert row.i_xh_bits == next(
            one.i_xh_bits for one in rows if (one.number_format, one.epoch, one.layer) == ("binary", row.epoch, "h4")
        )
    assert "counted over the images at hand" in out

    # Claims about binary networks: numbers that the table of phases and the code lengths also give.
    claims = rows_of(ClaimRow, "claims.csv")
    overlaps = {(row.number_format, row.layer): row for row in claims if row.quantity == "overlap"}
    assert set(overlaps) == {(name, layer) for name in ("binary", "float32") for layer in ("h3", "h4")}
    lengths = {(row.number_format, row.epoch, row.layer): row.code_length_bits for row in rows}
    for (name, layer), row in overlaps.items():
        spans = [tuple(map(int, span.split("-"))) for span in row.image_falls.split(";") if span]
        assert all(lengths[name, later, layer] > lengths[name, earlier, layer] for earlier, later in spans)
    phases = [row for row in rows_of(PhaseRow, "phases.csv") if row.number_format == "binary"]
    (share,) = (r for r in claims if (r.quantity, r.number_format) == ("compressing_share", "binary"))
    assert share.value == np.mean([row.verdict == "compresses" for row in phases])
    answers = [row.finding for row in claims if row.quantity == "answer"]
    assert len(answers) == 2
    assert all(f"{answer}." in out for answer in answers)
    assert "weights of binary networks are real up to epoch 1" in answers[0]
    assert "not testable, 1 encoder seed (4 are needed)" in answers[1]

    # Nothing is made twice.
    counts = Path("checkpoints/tiny/counts/classification_binary_seed0/epoch_0002_h4.npz")
    before = counts.stat().st_mtime_ns
    assert main(["estimate-mi", *words]) == 0
    assert counts.stat().st_mtime_ns == before


def test_the_twin_is_trained_first_and_teaches(tiny: Path) -> None:
    words = ["tiny.yaml", *BINARY, "--number_formats", "[binary, float32]"]
    taught = [*words, "--binary_training.teacher", "twin"]
    assert main(["train", *words, "--name", "alone"]) == 0
    assert main(["train", *taught, "--name", "taught"]) == 0

    def weights(name: str, run: str, epoch: int) -> str:
        path = Path("checkpoints") / name / "encoders" / run / f"epoch_{epoch:04d}.pt.json"
        return str(json.loads(path.read_text())["identity"])

    twin, binary = "classification_float32_seed0", "classification_binary_seed0"
    assert weights("alone", twin, 2) == weights("taught", twin, 2), "a twin learns from labels alone"
    assert weights("alone", binary, 0) == weights("taught", binary, 0)
    assert weights("alone", binary, 1) != weights("taught", binary, 1)


def test_both_tasks_run_up_to_the_dump(tiny: Path) -> None:
    both = [*BINARY, "--tasks", "[classification, autoencoding]", "--encoder.bottleneck", "h4"]
    assert main(["train", "tiny.yaml", *both, "--binary_training.steps", "1"]) == 0
    assert (tiny.parent / "checkpoints/tiny/activations/autoencoding_binary_seed0.h5").exists()


@pytest.mark.parametrize("most", [60_000, 900])
def test_images_that_are_left_out_elsewhere_are_counted(tiny: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    few = ["--data.source", "digits", "--data.per_class", "6", "--data.evaluation_per_class", "3"]
    experiment = Experiment(parse_experiment("train", ["tiny.yaml", *BINARY, *few]))
    monkeypatch.setattr(count_stage, "MOST_IMAGES", most)
    found = count_stage.images_to_count(experiment)
    numbers = np.concatenate([split.source_index for split in found.splits.values()])
    assert len(set(numbers.tolist())) == len(numbers)
    assert 0.9 * min(most, 1797) < len(numbers) <= min(most, 1797)
    for name, split in images_of(experiment).splits.items():
        assert set(split.source_index.tolist()) <= set(found.splits[name].source_index.tolist())

    class Halves:
        def to(self, device: torch.device) -> Halves:
            return self

        def taps(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"h4": (images[:, :, 3:4, 3:5] > 8).float()}

    monkeypatch.setattr(count_stage, "measured_encoder", lambda *_: Halves())
    counted: list[int] = []
    monkeypatch.setattr(count_stage, "counted_cells", lambda _: [cell])
    monkeypatch.setattr(count_stage, "save_arrays", lambda *arrays, **_: counted.append(int(arrays[1]["counts"].sum())))
    artifact = SimpleNamespace(status=lambda: "missing", begin=lambda: None)
    cell = CountedCell(experiment.runs[1], (2, "h4"), 2, 1, artifact)  # type: ignore[arg-type]
    count_stage._count(experiment.config, experiment.runs[1], lambda *_: None)
    assert counted == [len(numbers)]


def test_describe_tells_what_the_checker_finds(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "tiny.yaml", *BINARY]) == 0
    out = capsys.readouterr().out
    assert "binary, classification: products of signs: all 9, " in out
    assert "both operands in {-1, +1}" in out
    assert "binary, classification: real-valued operations besides: " in out
    assert "brackets: at most 2 density models" in out


def test_a_real_valued_product_is_refused_before_anything_is_trained(
    tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = BinaryClassifier.__init__

    def with_a_real_shortcut(self: BinaryClassifier, *arguments: object) -> None:
        original(self, *arguments)  # type: ignore[arg-type]
        self.trunk.stages[1][0].shortcut = nn.Conv2d(2, 4, 1, stride=2)

    monkeypatch.setattr(BinaryClassifier, "__init__", with_a_real_shortcut)
    for command in ("describe", "train"):
        words = [command, "tiny.yaml", *BINARY, "--number_formats", "[binary]"]
        assert main(words) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith("ib: ")
        assert "The network is not binary: its layer trunk.stages.1.0.shortcut multiplies real numbers" in said
    assert not list(Path("checkpoints").rglob("*.pt"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--number_formats", "[binary]"], "which the architecture resnet does not have"),
        ([*BINARY, "--number_formats", "[float32, w4a4]"], "w4a4, which the architecture binary does not have"),
        ([*BINARY, "--number_formats", "[binary]", "--binary_training.teacher", "twin"], "no float32"),
        ([*BINARY, "--layers", "[h5]"], "choose from h1, h2, h3, h4"),
        ([*BINARY, "--encoder.binary.code_units", "0"], "layers names 'h4'"),
        ([*BINARY, "--binary_training.first_share", "2"], "first_share is 2"),
        ([*BINARY, "--encoder.binary.padding", "0"], "padding"),
        ([*BINARY, "--encoder.widths", "[3, 5, 7]"], "encoder.widths is not of the architecture binary"),
    ],
)
def test_mistakes_are_one_sentence(
    tiny: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(["describe", "tiny.yaml", *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--encoder.architecture", "binary", "--layers", "[h3]"],
            "only the real-valued twin of the binary network is trained",
        ),
        (["--encoder.binary.code_units", "4"], "encoder.binary is of the architecture binary alone and is not used"),
    ],
)
def test_what_would_change_nothing_is_told(
    tiny: Path, caplog: pytest.LogCaptureFixture, words: list[str], sentence: str
) -> None:
    config = parse_experiment("train", ["tiny.yaml", *words])
    (found,) = unused_by_architecture(config)
    assert sentence in found
    prepare(Experiment(config))
    assert found in caplog.text


def test_a_shipped_experiment_has_the_seeds_that_late_compression_needs() -> None:
    text = (Path(__file__).parents[2] / "experiments" / "binary-factors.yaml").read_text()
    assert len(yaml.safe_load(text)["encoder_seeds"]) >= FEWEST_SEEDS


@pytest.mark.slow
@pytest.mark.parametrize("name", ["binary", "binary-full"])
def test_the_shipped_experiments_run_at_a_tiny_size(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for split, count in (("train", 64), ("test", 8)):
        for number, label in enumerate(("airplane", "bird")):
            folder = tmp_path / "data" / "images" / split / label
            folder.mkdir(parents=True)
            for index in range(count):
                image = rng.integers(60 * number, 60 * number + 60, size=(32, 32, 3)).astype(np.uint8)
                Image.fromarray(image).save(folder / f"{index}.png")
    shutil.copy(Path(__file__).parents[2] / "experiments" / f"{name}.yaml", tmp_path)
    words = [
        f"{name}.yaml", "--data.source", "image_folder", "--data.folder", "images", "--data.per_class", "null",
        "--data.evaluation_per_class", "null", "--data.resolution", "8", "--encoder.depth", "8", "--encoder.width", "2",
        "--training.epochs", "2", "--training.checkpoints", "[0, 1]", "--training.batch_size", "16",
        "--activations.group_size", "8", "--reader_network.width", "4", "--fitting.steps", "4",
        "--fitting.batch_size", "16", "--fitting.warmup_steps", "1", "--fitting.validate_every", "2",
        "--fitting.validation_images", "8", "--base_network.blocks", "1", "--base_network.filters", "4",
        "--base_fitting.steps", "2", "--base_fitting.batch_size", "8", "--base_fitting.warmup_steps", "1",
        "--base_fitting.validate_every", "1", "--base_fitting.validation_images", "8", "--probe.epochs", "1",
        "--estimation.resamples", "20", "--sampling.images", "1", "--sampling.draws", "1", "--workers", "1",
        "--brackets.density.filters", "4", "--brackets.density.condition_filters", "4", "--brackets.fitting.steps", "2",
        "--brackets.fitting.batch_size", "16", "--brackets.fitting.validate_every", "1",
        "--brackets.fitting.validation_images", "16", "--brackets.fitting.warmup_steps", "1",
    ]  # fmt: skip
    assert main(["figures", *words]) == 0
    out = capsys.readouterr().out
    assert "I(X;H) in bits" in out
    rows = read_table(Path("checkpoints") / name / "information.csv", InformationRow)
    experiment = Experiment(parse_experiment("train", words))
    assert {(row.number_format, row.epoch, row.layer) for row in rows} == {
        (run.number_format, *cell) for run in experiment.runs for cell in experiment.cells
    }
    drawn = {path.stem for path in Path("figures", name).rglob("*.png")}
    assert {"information_plane", "brackets", "number_formats", "training_curves"} <= drawn
    assert (Path("checkpoints") / name / "counted.csv").exists() == (name == "binary")
