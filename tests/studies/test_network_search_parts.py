"""The parts of a search among trained networks: costs, what is timed, counters, and the evaluator."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from result_rows import row

from ib_analysis.cli import parse_experiment
from ib_analysis.data import DataConfig, image_space
from ib_analysis.encoders import build_encoder, expect_steps, layer_works
from ib_analysis.experiment import Experiment, ExperimentConfig
from ib_analysis.information.table import InformationRow, write_table
from ib_analysis.quantization import QuantizationConfig, number_format
from ib_analysis.search.space import Space
from ib_analysis.studies.network_search import NetworkSearchConfig, timing
from ib_analysis.studies.network_search.config import CONVOLUTIONS
from ib_analysis.studies.network_search.costs import exact_costs
from ib_analysis.studies.network_search.counters import RaplCounter, energy_counter
from ib_analysis.studies.network_search.evaluator import TrainingEvaluator, problem_of
from ib_analysis.studies.network_search.execution import execution_of, runnable
from ib_analysis.studies.network_search.front import Member, experiment_path, member_config, write_experiments
from ib_analysis.studies.network_search.plan import NetworkSearch
from ib_analysis.studies.network_search.rows import FrontRow
from ib_analysis.studies.network_search.table import bits_of
from ib_analysis.studies.network_search.timing import Timing, joules_per_call, time_calls
from ib_analysis.training import TrainingConfig

SMALL = NetworkSearchConfig(
    depths=(8,), widths=(4, 8), binary_widths=(4,), number_formats=("float32", "w8a8", "w4a4"),
    objectives=("error", "macs"),
)  # fmt: skip


def make(settings: NetworkSearchConfig = SMALL, folder: Path = Path("checkpoints"), **config) -> NetworkSearch:
    chosen = {
        "name": "parts",
        "data": DataConfig(source="digits", per_class=10, evaluation_per_class=4),
        "training": TrainingConfig(epochs=2, batch_size=16, checkpoints=()),
        "quantization": QuantizationConfig(granularity="tensor"),
        "checkpoints": str(folder),
        **config,
    }
    return NetworkSearch(Experiment(ExperimentConfig(**chosen)), settings)


@pytest.mark.parametrize("block", ["basic", "rir"])
def test_costs_of_a_format_per_stage(block: str) -> None:
    """Layer by layer, from its path alone: 8 bits at the ends beside a stage of integers."""
    search = make()
    for formats in [("float32", "w4a4", "w8a8"), ("w4a4",) * 3, ("float32",) * 3, ("w8a8", "float32", "w4a4")]:
        stages = dict(zip(("stage_1", "stage_2", "stage_3"), formats, strict=True))
        config = search.network(search.space.architecture({"block": block, "depth": 8, "width": 4, **stages}))
        network = build_encoder(config.encoder, "classification", *image_space(config.data), seed=0)
        works, quadratic, memory = layer_works(network, (1, 8, 8)), 0, 0
        for work in works:
            if ".stages." in work.name:
                bits = {"float32": 32, "w8a8": 8, "w4a4": 4}[formats[int(work.name.split(".")[2])]]
            else:
                beside = formats[0] if work.name.startswith("trunk.stem") else formats[2]
                bits = 32 if beside == "float32" else 8
            quadratic += work.macs * bits * bits
            memory += work.weights * bits
        found = exact_costs(config)
        assert (found["quadratic_cost"], found["memory_bits"]) == (quadratic, memory)
        assert found["macs"] == sum(work.macs for work in works)


def test_the_dense_space_has_each_network_once_and_all_operations() -> None:
    search = make(replace(SMALL, space="dense", layers=2, growths=(4,)))
    found = [search.network(one).encoder.dense for one in search.space.architectures()]
    assert len(set(found)) == len(found) == len(search.space) == 18 + 18 * 18
    assert {name for one in found for name in one.convolutions} == set(CONVOLUTIONS)
    rounds = search.kind.growth(search.settings)
    assert [name for names in rounds for name in names] == [choice.name for choice in search.space.choices]


def test_large_dense_spaces_are_counted_and_have_names_that_files_can_have(tmp_path: Path) -> None:
    """By a formula, for they are too many to be made: 18 (1 + 18 (1 + ...)) cells of up to 12 layers."""
    search = make(replace(SMALL, space="dense", layers=12, growths=(4,)), folder=tmp_path)
    expected = 0
    for _ in range(12):
        expected = 18 * (1 + expected)
    assert len(search.space) == expected
    values = {"growth": 4}
    for k in range(1, 13):
        values |= {f"convolution_{k}": "1x1_learned_group", f"normalisation_{k}": "bn_relu"}
    longest = [search.space.architecture({**values, "normalisation_12": name}) for name in ("bn_relu", "bn")]
    names = {search.key(one) for one in longest}
    assert len(names) == 2
    for name in names:
        (tmp_path / f".{name}_seed1000_12345678.json.lock.123456.partial").touch()
    short = search.space.architecture({"growth": 4, "convolution_1": "1x1", "normalisation_1": "bn",
                                       "convolution_2": "none"})  # fmt: skip
    assert search.key(short) == "4_1x1_bn_none"


def every_kind(search: NetworkSearch):
    for values in search.kind.largest(search.settings):
        yield search.network(search.space.architecture(values))


@pytest.mark.parametrize("space", ["resnet", "dense"])
def test_what_is_timed_computes_what_was_trained(space: str) -> None:
    pytest.importorskip("numba")
    search = make(
        replace(SMALL, space=space, layers=2, growths=(4,)), encoder=replace(ExperimentConfig().encoder, width=4)
    )
    images = torch.randint(17, (6, 1, 8, 8), dtype=torch.uint8)
    for config in every_kind(search):
        from ib_analysis.binary import Phase
        from ib_analysis.encoders import BinaryNetwork
        from ib_analysis.quantization import quantized_layers
        from ib_analysis.records.encoders import initial_encoder

        experiment = Experiment(config)
        network = initial_encoder(experiment, experiment.runs[0], image_space(config.data), 10**6, start=0)
        if isinstance(network, BinaryNetwork):
            network.set_phase(Phase.BINARY)
        if quantized_layers(network) or space == "dense":
            expect_steps(network, 2)
            for _ in range(2):  # bounds are set, inputs of learned groups are lost
                network.train()(images)
        with torch.inference_mode():
            expected = network.eval()(images)
            found = runnable(config, 1, "cpu", network)(images)
        assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5), config.encoder
        assert runnable(config, 1, "cpu")(images).shape == (6, 10)


def test_networks_that_run_alike_are_measured_once() -> None:
    search = make()

    def run(*formats: str) -> dict:
        stages = dict(zip(("stage_1", "stage_2", "stage_3"), formats, strict=True))
        return execution_of(
            search.network(search.space.architecture({"block": "basic", "depth": 8, "width": 4, **stages}))
        )

    assert run("w4a4", "w8a8", "w4a4") == run("w8a8", "w8a8", "w8a8")
    assert run("w4a4", "float32", "w4a4") != run("w4a4", "w4a4", "w4a4") != run("float32", "float32", "float32")


def test_times_by_turns_with_a_flag() -> None:
    state = {"unsteady": 0}

    def unsteady() -> None:
        state["unsteady"] += 1
        time.sleep(0.04 if state["unsteady"] % 2 else 0.006)

    found = time_calls({"steady": lambda: time.sleep(0.01), "unsteady": unsteady}, rounds=8, threads=1)
    assert found["steady"].median_ms >= 10
    assert (found["unsteady"].repeated, found["unsteady"].flagged) == (True, True)
    assert found["unsteady"].iqr_ms > 0.1 * found["unsteady"].median_ms
    assert found["unsteady"].rounds == found["steady"].rounds == 8


def test_what_is_timed_again_is_timed_beside_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine slows down twofold after the first rounds: both times must be of the same."""
    made: list[set[str]] = []

    def rounds(calls: dict, rounds: int, threads: int, seed: int) -> dict[str, Timing]:
        made.append(set(calls))
        ms = 3.0 * len(made)
        return {name: Timing(ms, 1.0 if name == "network" else 0.0, rounds, False, name == "network") for name in calls}

    monkeypatch.setattr(timing, "_rounds", rounds)
    found = time_calls(dict.fromkeys(("network", "other", "reference"), print), 5, 1, reference="reference")
    assert made == [{"network", "other", "reference"}] * 2
    assert {name: one.median_ms for name, one in found.items()} == {"network": 6, "other": 3, "reference": 6}
    assert (found["network"].repeated, found["reference"].repeated, found["other"].repeated) == (True, True, False)


def test_energy_from_a_counter_that_begins_anew(tmp_path: Path) -> None:
    package = tmp_path / "intel-rapl:0"
    package.mkdir()
    assert energy_counter("cpu", tmp_path) is None  # nothing to read
    (package / "max_energy_range_uj").write_text("1000000")
    (package / "energy_uj").write_text("900000")
    counter = energy_counter("cpu", tmp_path)
    assert isinstance(counter, RaplCounter)
    assert counter.advanced((0.9,), (0.1,)) == pytest.approx(0.2)
    spent = {"calls": 0}

    def call() -> None:
        spent["calls"] += 1
        (package / "energy_uj").write_text(str((900000 + 20 * spent["calls"]) % 1000000))
        time.sleep(0.002)

    assert joules_per_call(call, counter, threads=1, seconds=0.05) == pytest.approx(20e-6)
    assert energy_counter("cpu", tmp_path / "nowhere") is None


def test_energy_of_two_sockets_is_that_of_both(tmp_path: Path) -> None:
    """Parts of a package and the whole machine, which Linux shows beside the packages, are not counted again."""
    names = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:1": "package-1", "intel-rapl:2": "psys"}
    for folder, name in names.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "name").write_text(name + "\n")
        (tmp_path / folder / "energy_uj").write_text("5000000")
        (tmp_path / folder / "max_energy_range_uj").write_text("9000000")
    counter = energy_counter("cpu", tmp_path)
    assert counter is not None
    before = counter.reading()
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("7000000")
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("1000000")  # it began anew
    assert counter.advanced(before, counter.reading()) == pytest.approx(2 + 5)
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    assert energy_counter("cpu", tmp_path) is None  # half of the sockets are not the machine


def test_a_counter_is_read_when_nothing_is_under_way() -> None:
    """As on a GPU, whose calls return before they are done: what is under way at a reading would not be counted."""
    state = {"begun": 0, "done": 0}

    class Counter:
        name = "test"

        def reading(self) -> tuple[float, ...]:
            assert state["begun"] == state["done"]
            return (float(state["done"]),)

        def advanced(self, before: tuple[float, ...], after: tuple[float, ...]) -> float:
            return after[0] - before[0]

    def call() -> None:
        state["begun"] += 1

    def wait() -> None:
        state["done"] = state["begun"]

    assert joules_per_call(call, Counter(), threads=1, seconds=0.01, wait=wait) == pytest.approx(1.0)


def test_a_killed_training_goes_on_and_ends_alike(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def kill(done: int, total: int, figures: dict[str, float]) -> None:
        if figures["epoch"] == 1 and "held_out" in figures:
            raise Killed

    whole, search = make(folder=tmp_path / "whole"), make(folder=tmp_path / "killed")
    architecture = search.space.architecture(
        {"block": "basic", "depth": 8, "width": 4, "stage_1": "float32", "stage_2": "float32", "stage_3": "float32"}
    )
    expected = TrainingEvaluator(whole).result(architecture, 0)
    with pytest.raises(Killed):
        TrainingEvaluator(search, kill).result(architecture, 0)
    assert not list((search.folder / "networks").glob("*.json"))
    evaluator = TrainingEvaluator(search)
    found = evaluator.result(architecture, 0)
    assert {**found, "seconds": 0} == {**expected, "seconds": 0}
    assert [path.suffix for path in (search.folder / "networks").iterdir() if path.name[0] != "."] == [".json"]

    # what is there is read, and not trained again
    (path,) = (search.folder / "networks").glob("*.json")
    path.write_text(json.dumps({**found, "error": 0.125}))
    assert evaluator.evaluate(architecture)["error"] == 0.125
    assert problem_of(search, evaluator).objectives[1].reference == max(
        exact_costs(config)["macs"] for config in every_kind(search)
    )


def test_a_network_that_diverges_is_worth_guessing(tmp_path: Path) -> None:
    training = TrainingConfig(epochs=2, batch_size=16, checkpoints=(), learning_rate=1e30)
    search = make(folder=tmp_path, training=training)
    first = next(iter(Space.architectures(search.space)))
    found = TrainingEvaluator(search).result(first, 0)
    assert (found["diverged"], found["error"]) == (True, pytest.approx(0.9))


def test_formats_of_all_stages_are_real_formats() -> None:
    search = make()
    for formats in product(SMALL.number_formats, repeat=3):
        stages = dict(zip(("stage_1", "stage_2", "stage_3"), formats, strict=True))
        config = search.network(search.space.architecture({"block": "basic", "depth": 8, "width": 4, **stages}))
        assert number_format(config.number_formats[0]).is_quantized == (set(formats) != {"float32"})


def test_experiments_of_the_front_are_read_as_they_were_written(tmp_path: Path) -> None:
    layers = {"h4": 5000, "h1_residual": 3000}  # of which a binary network has none
    search = make(folder=tmp_path, layer_steps=layers, sharing="layer", reader="deep", layers=("h1_residual", "h4"),
                  encoder=replace(ExperimentConfig().encoder, architecture="rir"))  # fmt: skip
    for number, values in enumerate(
        [
            {"block": "rir", "depth": 8, "width": 8, "stage_1": "w8a8", "stage_2": "float32", "stage_3": "w4a4"},
            {"block": "basic", "depth": 8, "width": 4, "stage_1": "float32", "stage_2": "float32", "stage_3": "w4a4"},
            {"block": "binary", "depth": 8, "binary_width": 4},
        ]
    ):
        member = Member(f"parts-front{number}", search.space.architecture(values), ("tpe",))
        write_experiments(search, [member])
        read = parse_experiment("figures", [str(experiment_path(search, member))])
        assert read == member_config(search, member)
        assert read.layers == (("h1_residual", "h4"), ("h4",), ("h3",))[number]
        assert read.encoder_seeds == (0, 1, 2)


def test_bits_are_means_over_seeds_with_t_intervals(tmp_path: Path) -> None:
    search = make(folder=tmp_path)
    front = FrontRow(
        **dict.fromkeys(("macs", "quadratic_cost", "linear_cost", "memory_bits", "parameters"), 7.0), latency_ms=None,
        energy_mj=None, energy_source="", name="parts-front1", network="", found_by="", held_out_error=0.5, n_seeds=3,
        n_images=9, test_accuracy=0.5, test_accuracy_low=0.4, test_accuracy_high=0.6, kernels="", latency_iqr_ms=None,
        latency_flagged=None,
    )  # fmt: skip
    cells = []
    for (seed, bits), epoch, layer in product(enumerate((4.0, 5.0, 6.0)), (0, 20), ("h1", "h4")):
        value = bits + 10 * (layer == "h1") + 100 * (epoch == 0)
        ends = {"i_xh_bits": value, "i_xh_bits_low": value, "i_xh_bits_high": value}
        cells.append(row(encoder_seed=seed, epoch=epoch, layer=layer, **ends))
    folder = tmp_path / "parts-front1"
    write_table(folder / "information.csv", InformationRow, cells)
    (folder / "config.yaml").write_text("name: parts-front1")
    (folder / "data.json").write_text("{}")
    member = Member("parts-front1", (0,), ("tpe",))
    found = {one.layer: one for one in bits_of(search, [member], [front])}
    assert set(found) == {"h1", "h4"}
    half = 4.302652730 / 3**0.5  # Student's t with two degrees of freedom, 97.5 %, and a standard deviation of 1
    assert found["h4"].i_xh_bits == pytest.approx(5.0)
    assert found["h1"].i_xh_bits_high == pytest.approx(15.0 + half)
    assert found["h1"].i_hy_bits == pytest.approx(1.2)
    assert (found["h1"].n_seeds, found["h1"].cost, found["h1"].test_accuracy) == (3, 7.0, 0.5)
    assert bits_of(search, [Member("parts-front2", (0,), ())], [front]) == []  # not measured yet
