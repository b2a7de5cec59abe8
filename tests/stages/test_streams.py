"""ResNet in ResNet through the command line: both streams measured, compared, drawn and ablated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from matplotlib.lines import Line2D
from matplotlib.text import Text

from ib_analysis.cli import main, parse_experiment
from ib_analysis.data import image_space
from ib_analysis.experiment import Experiment
from ib_analysis.information.stream_verdict import ALL_BLOCKS, StreamVerdictRow
from ib_analysis.information.streams_table import StreamRow, streams_text
from ib_analysis.information.table import InformationRow, read_table
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.streams import draw as draw_streams
from ib_analysis.plots.style import drawing_style
from ib_analysis.quantization.taps import code_taps
from ib_analysis.records.arrays import load_arrays
from ib_analysis.records.encoders import encoder_at, initial_encoder, later_layers
from ib_analysis.records.images import images_of
from ib_analysis.records.probes import best_kind, probe_artifact
from ib_analysis.studies.stream_ablation.table import StreamAblationRow

LAYERS = ["h1_residual", "h1_transient", "h3", "h4_residual", "h4_transient"]
RIR = ["--encoder.architecture", "rir", "--layers", f"[{', '.join(LAYERS)}]"]


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_text: str) -> Iterator[None]:
    """An empty folder with `tiny.yaml`, current for all tests of this file."""
    path = tmp_path_factory.mktemp("streams")
    (path / "tiny.yaml").write_text(tiny_text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        yield


@pytest.fixture(scope="module")
def measured(folder: None) -> None:
    """The experiment `tiny`, measured."""
    assert main(["estimate-mi", "tiny.yaml", *RIR]) == 0


def streams() -> list[StreamRow]:
    return read_table(Path("checkpoints/tiny/streams.csv"), StreamRow)


def test_both_streams_are_measured_for_both_tasks(measured: None) -> None:
    rows = read_table(Path("checkpoints/tiny/information.csv"), InformationRow)
    assert {(row.task, row.epoch, row.layer) for row in rows} == {
        (task, epoch, layer) for task in ("classification", "autoencoding") for epoch in (0, 2) for layer in LAYERS
    }
    channels = {row.layer: (row.channels, row.height, row.width) for row in rows}
    assert channels["h1_residual"] == channels["h1_transient"] == (2, 8, 8)
    assert channels["h3"] == (16, 2, 2)
    assert channels["h4_transient"] == (8, 1, 1)


def test_streams_are_drawn_with_their_findings(measured: None) -> None:
    with drawing_style():
        ((name, figure),) = draw_streams(SavedExperiment(Path("checkpoints/tiny")))
    assert name == "streams"
    assert len(figure.axes) == 2 * 2 * 2  # tasks, quantities, blocks
    words = " ".join(" ".join(text.get_text() for text in figure.findobj(Text)).split())
    assert all(row.finding.split(" [")[0] in words for row in streams() if row.epoch == 2)
    information = read_table(Path("checkpoints/tiny/information.csv"), InformationRow)
    drawn = {
        round(float(line.get_ydata()[0]), 6) for line in figure.findobj(Line2D) if line.get_gid() in ("cell", "warned")
    }
    wanted = {round(value, 6) for row in information if row.layer != "h3" for value in (row.i_xh_bits, row.i_hy_bits)}
    assert drawn == wanted


@pytest.mark.slow
def test_figures_samples_and_reconstructions(capsys: pytest.CaptureFixture) -> None:
    assert main(["figures", "tiny.yaml", *RIR, "--name", "drawn"]) == 0
    told = capsys.readouterr().out
    drawn = {path.stem for path in Path("figures/drawn").glob("*.png")}
    assert {"streams", "information_plane", "information_by_epoch", "phases", "reconstructions"} <= drawn
    last = [row for row in read_table(Path("checkpoints/drawn/streams.csv"), StreamRow) if row.epoch == 2]
    assert all(f"  {row.finding}." in told for row in last)
    with h5py.File("checkpoints/drawn/samples.h5") as file:
        assert "h1_transient" in file["samples/autoencoding_float32_seed0/epoch_0002"]


def test_the_table_of_streams_is_made_of_paired_differences(measured: None) -> None:
    rows = streams()
    assert [(row.task, row.block, row.epoch) for row in rows] == [
        (task, block, epoch)
        for task in ("classification", "autoencoding")
        for block in ("h1", "h4")  # of h3 both streams together are measured, and of h2 none
        for epoch in (0, 2)
    ]
    experiment = Experiment(parse_experiment("train", ["tiny.yaml", *RIR]))
    runs = {run.task: run for run in experiment.runs}
    information = {
        (row.task, row.epoch, row.layer): row
        for row in read_table(Path("checkpoints/tiny/information.csv"), InformationRow)
    }
    with h5py.File("checkpoints/tiny/code_lengths.h5") as file:
        for row in rows:
            cells = [f"{runs[row.task].key}_decoder0/epoch_{row.epoch:04d}/{row.block}_{stream}"
                     for stream in ("residual", "transient")]  # fmt: skip
            of_residual, of_transient = (file[cell][:] for cell in cells)
            assert row.i_xh_difference_bits == pytest.approx((of_transient - of_residual).mean(), rel=1e-6, abs=1e-6)
            own = [information[row.task, row.epoch, layer] for layer in (row.residual_layer, row.transient_layer)]
            assert row.i_xh_residual_bits == own[0].i_xh_bits
            assert row.i_xh_difference_bits == pytest.approx(own[0].i_xh_bits - own[1].i_xh_bits, abs=1e-5)
            assert row.i_hy_difference_bits == pytest.approx(own[0].i_hy_bits - own[1].i_hy_bits, abs=1e-6)
            probes = [load_arrays(probe_artifact(experiment, runs[row.task], (row.epoch, layer)))
                      for layer in (row.residual_layer, row.transient_layer)]  # fmt: skip
            labels = [found[f"label/{best_kind(found, 'label')}"] for found in probes]
            spread = (labels[1] - labels[0]).std() / np.sqrt(len(labels[0]))
            half = (row.i_hy_difference_bits_high - row.i_hy_difference_bits_low) / 2
            assert half == pytest.approx(1.96 * spread, rel=0.5), "the interval is that of the paired differences"
    last = [row.finding for row in rows if row.epoch == 2]
    assert streams_text(rows).splitlines()[1:] == [f"  {finding}." for finding in last]


def test_one_sentence_says_whether_the_transient_stream_discards(measured: None, capsys: pytest.CaptureFixture) -> None:
    rows = read_table(Path("checkpoints/tiny/stream_verdict.csv"), StreamVerdictRow)
    assert [(row.task, row.block) for row in rows] == [
        (task, block) for task in ("classification", "autoencoding") for block in ("h1", "h4", ALL_BLOCKS)
    ]
    of_epoch = {(row.task, row.block, row.epoch): row for row in streams()}
    for row in rows:
        if row.block == ALL_BLOCKS:
            continue
        first, last = (of_epoch[row.task, row.block, epoch] for epoch in (0, 2))
        assert row.image_bits == pytest.approx(last.i_xh_difference_bits, abs=1e-6)
        assert row.label_bits == pytest.approx(last.i_hy_difference_bits, abs=1e-6)
        growth = last.i_xh_difference_bits - first.i_xh_difference_bits
        assert row.image_growth_bits == pytest.approx(growth, abs=1e-5)
    assert main(["estimate-mi", "tiny.yaml", *RIR]) == 0
    assert all(f"{row.finding}." in capsys.readouterr().out for row in rows[2:3])


def test_a_second_run_does_nothing_and_a_changed_table_is_made_again(measured: None) -> None:
    path = Path("checkpoints/tiny/streams.csv")
    before, stamp = path.read_text(), path.stat().st_mtime_ns
    assert main(["estimate-mi", "tiny.yaml", *RIR]) == 0
    assert path.stat().st_mtime_ns == stamp
    path.write_text(before.replace("h1", "h9"))
    assert main(["estimate-mi", "tiny.yaml", *RIR]) == 0
    assert path.read_text() == before


def test_labels_of_later_layers_bound_both_streams_together_alone() -> None:
    options = ["--encoder.architecture", "rir", "--layers", "[h1, h1_residual, h2, h2_transient, h4_residual]"]
    experiment = Experiment(parse_experiment("train", ["tiny.yaml", *options, "--name", "bounds"]))
    assert later_layers(experiment, experiment.runs[0]) == {
        "h1": ("h1_residual", "h2", "h2_transient", "h4_residual"),
        "h1_residual": (),
        "h2": ("h2_transient", "h4_residual"),
        "h2_transient": (),
        "h4_residual": (),
    }


# ---------------------------------------------------------------------------------------------- ablation


def test_an_ablated_stream_is_one_that_nobody_reads(measured: None, capsys: pytest.CaptureFixture) -> None:
    assert main(["stream-ablation", "tiny.yaml", *RIR]) == 0
    out = capsys.readouterr().out
    assert "Accuracy with one stream of one block at zero" in out
    rows = read_table(Path("checkpoints/tiny/studies/stream_ablation/stream_ablation.csv"), StreamAblationRow)
    paths = [f"trunk.stages.{stage}.0" for stage in range(3)]
    assert [(row.epoch, row.block, row.stream) for row in rows] == [
        (2, path, stream) for path in paths for stream in ("residual", "transient")
    ]
    experiment = Experiment(parse_experiment("train", ["tiny.yaml", *RIR]))
    data = images_of(experiment).evaluation
    for row in rows:
        network = encoder_at(experiment, experiment.runs[0], 2)
        if row.block == "trunk.stages.2.0":
            weight = network.get_submodule("head.0").weight  # the only reader of the last block
            half = weight.shape[1] // 2
            with torch.no_grad():
                (weight[:, :half] if row.stream == "residual" else weight[:, half:]).zero_()
        else:
            stage = int(row.block.split(".")[2]) + 1
            _deafen(network.trunk.stages[stage][0], row.stream)
        with torch.no_grad():
            right = (network(torch.from_numpy(data.images)).argmax(1).numpy() == data.labels).mean()
        assert row.accuracy == pytest.approx(right)
        assert row.drop == pytest.approx(row.accuracy_intact - row.accuracy)
        assert row.accuracy_low <= row.accuracy <= row.accuracy_high
        assert row.n_images == 24


def _deafen(block: torch.nn.Module, stream: str) -> None:
    """Take from a block all that reads a stream."""
    layer = block.layers[0]
    with torch.no_grad():
        for target in ("residual", "transient"):
            getattr(layer, f"{stream}_to_{target}").weight.zero_()
    nothing = torch.nn.Module()
    nothing.forward = lambda x: torch.zeros(len(x), 2 * x.shape[1], (x.shape[2] + 1) // 2, (x.shape[3] + 1) // 2)
    setattr(block.outer, stream, nothing)
    if stream == "residual":
        layer.shortcut = nothing


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--stream-ablation.streams", "[transit]"], "'transit', a stream that does not exist; choose from residual"),
        (["--stream-ablation.epochs", "[1]"], "names epoch 1, which has no checkpoint"),
        (["--tasks", "[autoencoding]"], "tasks must have classification among them"),
        (["--encoder.block", "plain", "--layers", "[h1]"], "which the encoder (rir with blocks plain) does not have"),
        (["--encoder.architecture", "resnet", "--layers", "[h1]"], "which the encoder (resnet) does not have"),
    ],
)
def test_what_cannot_be_ablated_is_refused(options: list[str], words: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["stream-ablation", "tiny.yaml", *RIR, "--name", "refused", *options]) == 2
    assert words in capsys.readouterr().err
    assert not Path("checkpoints/refused").exists()


# ---------------------------------------------------------------------------------------------- mistakes, formats


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--layers", "[h1_transit]"],
            "layers names 'h1_transit', which this encoder does not have; choose from",
        ),
        (
            ["--encoder.block", "resnet"],
            "'h1_residual', which this encoder does not have; choose from h1, h2, h3",
        ),
        (["--encoder.width", "5"], "encoder.width is 5, which cannot be split into a residual and a transient stream"),
        (
            ["--encoder.form", "one_convolution", "--number_formats", "[float32, w4a4]"],
            "holds an identity among its weights, which the number format w4a4 would round",
        ),
    ],
)
def test_mistakes_are_one_sentence(options: list[str], words: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "tiny.yaml", *RIR, "--name", "refused", *options]) == 2
    assert words in capsys.readouterr().err
    assert not Path("checkpoints/refused").exists()


def test_describe_tells_of_the_blocks(capsys: pytest.CaptureFixture) -> None:
    assert main(["describe", "tiny.yaml", *RIR, "--encoder.outer_shortcut", "false"]) == 0
    out = capsys.readouterr().out
    assert "rir, depth 8, blocks rir without outer shortcut, filters 4, 8, 16 in two streams, four convolutions" in out


def test_quantized_streams_are_the_codes_that_enter_the_next_block() -> None:
    """The residual stream also goes on as it is; without an outer shortcut the transient one goes on as codes alone."""
    options = [*RIR, "--number_formats", "[w4a4]", "--training.epochs", "40", "--name", "codes"]
    for block, transient_is_bottleneck in (("rir", False), ("resnet_init", True)):
        experiment = Experiment(parse_experiment("train", ["tiny.yaml", *options, "--encoder.block", block]))
        (run,) = (run for run in experiment.runs if run.task == "classification")
        space = image_space(experiment.config.data, recheck=False)
        network = initial_encoder(experiment, run, space, 64)
        found = code_taps(network, space.image_shape)
        assert set(found) == {"h1_residual", "h1_transient", "h2_residual", "h2_transient", "h3"}
        assert {tap: code.is_bottleneck for tap, code in found.items()} == {
            "h1_residual": False, "h2_residual": False, "h3": False,
            "h1_transient": transient_is_bottleneck, "h2_transient": transient_is_bottleneck,
        }  # fmt: skip
        assert all((code.bits, code.signed) == (4, False) for code in found.values())
