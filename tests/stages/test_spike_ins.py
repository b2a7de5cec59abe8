"""Spike-ins through the real command line: only decoders see the coins, and the truth is found where it is known."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from decoders import (
    Architecture,
    Cell,
    FittingConfig,
    ImageSpace,
    Minibatch,
    PixelCNNPP,
    PixelCNNPPConfig,
    Reader,
    ReaderArchitecture,
    code_lengths_bits,
    fit,
)
from ib_analysis import load_results
from ib_analysis.activations import Groups
from ib_analysis.cli import main, parse_experiment
from ib_analysis.experiment import Experiment
from ib_analysis.fits import artifact as fit_artifact
from ib_analysis.fits.feed import CellFeed
from ib_analysis.fits.spike_ins import SpikeIns
from ib_analysis.information.spike_ins import recovered_fraction
from ib_analysis.records.bases import base_artifact, load_base
from ib_analysis.records.images import images_of, measured_images
from ib_analysis.spike_ins import coin_pixels, draw_coins, mixing_for, overwrite

SMALL = ["--tasks", "[classification]", "--layers", "[h3,h4]"]
BASES = Path("checkpoints/bases")
NAMES = ("spike_in_recovered", "spike_in_mixed_recovered")


def rows(name: str) -> list[dict[str, str]]:
    with (Path("checkpoints") / name / "information.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in ("seconds", "experiment")} for row in csv.DictReader(file)]


def test_only_decoders_see_the_coins_and_the_table_says_what_code_lengths_say(
    tiny: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["estimate-mi", "tiny.yaml", *SMALL]) == 0
    assert {row[name] for row in rows("tiny") for name in (*NAMES, "spike_in_bits")} == {""}
    spiked = ["tiny.yaml", *SMALL, "--name", "spiked", "--spike_in", "8"]
    assert main(["figures", *spiked]) == 0
    # Encoders, their activations and their probes are those of the experiment without coins, byte for byte.
    for kind in ("encoders/*/*.pt", "encoders/*/*.csv", "activations/*.h5", "probes/*/*.npz"):
        found = sorted(Path("checkpoints/tiny").glob(kind))
        assert found
        for path in found:
            assert path.read_bytes() == (Path("checkpoints/spiked") / path.relative_to("checkpoints/tiny")).read_bytes()
    results = load_results("spiked")
    with (
        h5py.File("checkpoints/tiny/code_lengths.h5") as plain,
        h5py.File("checkpoints/spiked/code_lengths.h5") as file,
    ):
        assert plain.attrs["data_sha256"] != file.attrs["data_sha256"]
        for row in rows("spiked"):
            cell = f"{row['decoder']}/epoch_{int(row['epoch']):04d}/{row['layer']}"
            run = row["decoder"].removesuffix("_decoder0")
            for name, suffix, kind in zip(NAMES, ("_spike_in", "_spike_in_mixed"), ("map", "mixed"), strict=True):
                lengths = file[cell + suffix][:]
                assert float(row[name]) == pytest.approx((file[cell][:] - lengths).mean() / 8, rel=1e-6)
                assert float(row[f"{name}_low"]) <= float(row[name]) <= float(row[f"{name}_high"])
                found = results.code_lengths(run, int(row["epoch"]), row["layer"], spike_in=kind)
                assert np.array_equal(found, lengths)
            assert row["spike_in_bits"] == "8"
            assert row["h_x_bits"] == row["lower_bound_bits"] == ""
            assert float(row["i_xh_bits"]) == pytest.approx((file["null"][:] - file[cell][:]).mean(), rel=1e-6)
    assert json.loads(Path("checkpoints/spiked/data.json").read_text())["h_x_bits"] is None
    said = capsys.readouterr().out
    assert "Spike-ins: recovered fraction of 8 known bits" in said
    assert "figures/spiked/spike_ins.png" in said
    # What was measured with coins never serves where there are none.
    for name, options in (("tiny2", ["--estimation.null_from", "spiked"]), ("spiked2", ["--spike_in", "8",
                          "--estimation.null_from", "tiny"])):  # fmt: skip
        assert main(["estimate-mi", "tiny.yaml", *SMALL, "--name", name, *options]) == 2
        assert "was measured on other images" in capsys.readouterr().err
    # A second run does nothing; another number of coins is another experiment.
    made = {path: path.stat().st_mtime_ns for path in Path("checkpoints/spiked").rglob("*.*") if path.is_file()}
    assert main(["figures", *spiked]) == 0
    assert {path.name for path in made if path.stat().st_mtime_ns != made[path]} <= {".lock", "config.yaml"}
    assert main(["figures", *spiked[:-1], "9"]) == 2
    assert "spike_in was 8, now 9" in capsys.readouterr().err


def test_dedicated_recomputed_and_interrupted_give_the_same(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["tiny.yaml", *SMALL, "--training.checkpoints", "[2]", "--sharing", "dedicated", "--spike_in", "5",
               "--spike_in_options.shown_as", "least_significant_bit", "--spike_in_options.mixing", "global",
               "--spike_in_options.seed", "3"]  # fmt: skip
    assert main(["estimate-mi", *options]) == 0
    first = rows("tiny")
    assert len({row["decoder"] for row in first}) == len(first) == 2
    assert all(row[name] for row in first for name in NAMES)
    assert load_results("tiny").code_lengths("classification_float32_seed0", 2, "h4", spike_in="mixed").shape == (24,)

    save = fit_artifact.save_tensors
    with monkeypatch.context() as patch:  # stopped before the first decoder is whole

        def stopped(*arguments: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(fit_artifact, "save_tensors", stopped)
        again = [*options, "--name", "again", "--activations.mode", "recompute"]
        assert main(["estimate-mi", *again]) == 130
        patch.setattr(fit_artifact, "save_tensors", save)
    assert list(Path("checkpoints/again/decoders").rglob("resume.pt"))
    assert main(["estimate-mi", *again]) == 0
    assert rows("again") == first
    # One small file lost: it is measured again, with the coins mixed in as in the fit.
    lost = next(Path("checkpoints/again/code_lengths").rglob("*_spike_in_mixed.npz"))
    lost.unlink()
    assert main(["estimate-mi", *again]) == 0
    assert rows("again") == first


def test_readers_stand_on_a_base_of_images_with_coins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deep_text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("deep.yaml").write_text(deep_text)
    options = ["deep.yaml", "--tasks", "[classification]", "--layers", "[h4]", "--training.checkpoints", "[2]"]
    assert main(["estimate-mi", *options]) == 0
    spiked = [*options, "--name", "spiked", "--spike_in", "8"]
    assert main(["figures", *spiked]) == 0
    bases = {
        json.loads(path.read_text())["recipe"]["config"].get("coins") is not None: path.parent
        for path in BASES.glob("*/*.json")
    }
    assert set(bases) == {False, True}
    experiment = Experiment(parse_experiment("train", spiked))
    base = load_base(experiment, torch.device("cpu"))
    assert base.config.marked_pixels == coin_pixels(8, 8, 8, 0)
    evaluation = torch.from_numpy(measured_images(experiment).evaluation.images)
    (row,) = rows("spiked")
    with h5py.File("checkpoints/spiked/code_lengths.h5") as file:
        assert np.allclose(code_lengths_bits(base, [Minibatch(evaluation)]), file["null"][:], atol=0.01)
        cell = f"{row['decoder']}/epoch_0002/h4"
        for name, suffix in zip(NAMES, ("_spike_in", "_spike_in_mixed"), strict=True):
            assert float(row[name]) == pytest.approx((file[cell][:] - file[cell + suffix][:]).mean() / 8, rel=1e-6)
    # Elsewhere drawn coins, or coins of another look, need another base; how they are mixed into a layer does not.
    same, others = base_artifact(experiment).path, {}
    for change in (["--spike_in", "7"], ["--spike_in_options.seed", "1"],
                   ["--spike_in_options.shown_as", "least_significant_bit"]):  # fmt: skip
        others[str(change)] = base_artifact(Experiment(parse_experiment("train", [*spiked, *change]))).path
    assert len({same, *others.values()}) == 4
    mixed = parse_experiment("train", [*spiked, "--spike_in_options.mixing", "global"])
    assert base_artifact(Experiment(mixed)).path == same


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--spike_in", "17"], "room for at most 16 coins"),
        (["--spike_in", "-1"], "spike_in is -1"),
        (["--spike_in", "4", "--spike_in_options.seed", "-1"], "spike_in_options.seed"),
        (["--spike_in", "4", "--spike_in_options.mixing", "sideways"], "mixing"),
    ],
)
def test_mistakes_are_one_sentence(
    tiny: Path, capsys: pytest.CaptureFixture, options: list[str], expected: str
) -> None:
    assert main(["estimate-mi", "tiny.yaml", *options]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1
    assert not Path("checkpoints").exists()


def test_the_measured_images_are_the_others_with_coins(tiny: Path) -> None:
    plain = Experiment(parse_experiment("train", ["tiny.yaml"]))
    spiked = Experiment(parse_experiment("train", ["tiny.yaml", "--spike_in", "8"]))
    before, after = images_of(plain), measured_images(spiked)
    assert measured_images(plain) is before
    assert np.array_equal(images_of(spiked).decoder.images, before.decoder.images)
    assert np.array_equal(after.encoder.images, before.encoder.images)
    pixels = coin_pixels(8, 8, 8, 0)
    for name in ("decoder", "evaluation"):
        old, new = before.splits[name], after.splits[name]
        coins = draw_coins(len(old), 8, name, 0)  # type: ignore[arg-type]
        assert np.array_equal(new.images, overwrite(old.images, coins, pixels, before.intensities))
        assert np.array_equal(new.labels, old.labels)
    assert after.h_x_bits is None
    assert before.h_x_bits is not None


class Random:
    """Activations that say nothing of the image."""

    epochs, layers = (0,), ("h",)

    def __init__(self, groups: Groups, shape: tuple[int, ...]) -> None:
        self.groups, self._shape = groups, shape

    def shape(self, layer: str) -> tuple[int, ...]:
        return self._shape

    def read(self, epoch: int, layer: str, group: int) -> torch.Tensor:
        start, stop = self.groups.bounds[group]
        generator = torch.Generator().manual_seed(group)
        return torch.randn(stop - start, *self._shape, generator=generator).half()


def test_known_bits_are_found_where_everything_is_known() -> None:
    """4x4 images that are black but for four coins: H(X'|h) is 4 bits, H(X'|h, coins) nothing, both ways."""
    groups, pixels, shape = Groups(4096, 256, 512, 16), coin_pixels(4, 4, 4, seed=0), (8, 2, 2)
    coins = np.concatenate([draw_coins(4352, 4, "decoder", 0), draw_coins(512, 4, "evaluation", 0)])
    images = overwrite(np.zeros((4864, 1, 4, 4), dtype=np.uint8), coins, pixels, 4)
    spike_ins = SpikeIns(coins, pixels, (4, 4), {"h": mixing_for(shape, (4, 4), pixels, "local", 0)})
    feed = CellFeed(images, groups, Random(groups, shape), [(0, "h")], 32, 256, spike_ins)
    cells = spike_ins.decoder_cells((Cell("epoch_0000/h", "h", shape),))
    architecture = Architecture(blocks=1, filters=8, output="categorical", dropout=0.0, condition_filters=8)
    torch.manual_seed(0)
    decoder = PixelCNNPP(PixelCNNPPConfig(ImageSpace(1, 4, 4, 4), architecture, cells, marked_pixels=pixels))
    feed.calibrate_spike_ins(feed.channel_statistics())
    # Four times the usual scale: at the usual one these activations are noise as strong as the coins, and H' does not
    # tell them all (activations of a network are stronger in some directions than in others).
    for name in spike_ins.scales:
        spike_ins.scales[name] *= 4
    config = FittingConfig(steps=400, batch_size=32, learning_rate=0.01, validate_every=50, cooldown_share=0.5)
    fit(decoder, feed, config, seed=0)
    bits = {one.variant: code_lengths_bits(decoder, feed.part("evaluation", *one)) for one in feed.readings}
    assert bits["plain"].mean() == pytest.approx(4, abs=0.15)
    assert recovered_fraction(bits["plain"], bits["spike_in"], 4).estimate == pytest.approx(1, abs=0.03)
    assert recovered_fraction(bits["plain"], bits["spike_in_mixed"], 4).estimate == pytest.approx(1, abs=0.1)


def test_readers_find_known_bits_where_everything_is_known() -> None:
    """The same images on a base that is right: the reader has only the coins to find, images and readings mixed."""
    groups, pixels, shape = Groups(4096, 256, 512, 16), coin_pixels(4, 4, 4, seed=0), (8, 2, 2)
    coins = np.concatenate([draw_coins(4352, 4, "decoder", 0), draw_coins(512, 4, "evaluation", 0)])
    images = overwrite(np.zeros((4864, 1, 4, 4), dtype=np.uint8), coins, pixels, 4)
    mixings = {"h": mixing_for(shape, (4, 4), pixels, "local", 0)}
    kept, spike_ins = (
        SpikeIns(coins, pixels, (4, 4), mixings, intensities=4, redraw=redraw) for redraw in (False, True)
    )
    activations = Random(groups, shape)
    feeds = [CellFeed(images, groups, activations, [(0, "h")], 32, 256, s, mixed=True) for s in (kept, spike_ins)]
    for feed in feeds:
        feed.calibrate_spike_ins(feed.channel_statistics())
    for name in spike_ins.scales:
        spike_ins.scales[name] *= 4  # as above
    for seed, feed in enumerate(feeds * 2):
        batch = feed.minibatch(np.random.default_rng(seed))
        shown = batch.images.flatten(1)[:, list(pixels)].numpy() == 3
        assert batch.condition is not None
        told = {part.cell: [other.activations for other in part.beside] for part in batch.condition}
        assert set(told) == {"epoch_0000/h", "epoch_0000/h_spike_in_mixed"}
        assert (batch.images.sum((1, 2, 3)).numpy() == 3 * shown.sum(1)).all()  # nothing else is shown
        start = 0
        for part in batch.condition:  # the coins that are told are those that are shown
            rows = slice(start, start + len(part.activations))
            for other in part.beside:
                found = other.activations.flatten(1)[:, list(pixels)].numpy() > 0
                assert np.array_equal(found, shown[rows])
            start = rows.stop
    torch.manual_seed(0)
    architecture = Architecture(blocks=1, filters=8, output="categorical", dropout=0.0)
    base = PixelCNNPP(PixelCNNPPConfig(ImageSpace(1, 4, 4, 4), architecture, (), marked_pixels=pixels))
    config = FittingConfig(steps=250, batch_size=32, learning_rate=0.01, validate_every=50, cooldown_share=0.5)
    unconditional = CellFeed(images, groups, None, (), 32, 256, spike_ins)
    fit(base, unconditional, config, seed=0)
    cells = spike_ins.decoder_cells((Cell("epoch_0000/h", "h", shape),))
    reader = Reader(base.requires_grad_(False).eval(), ReaderArchitecture(width=8, own_share=0.0), cells)
    feed = feeds[1]
    fit(reader, feed, FittingConfig(steps=250, batch_size=32, learning_rate=0.01, validate_every=50), seed=0)
    bits = {one.variant: code_lengths_bits(reader, feed.part("evaluation", *one)) for one in feed.readings}
    assert bits["plain"].mean() == pytest.approx(4, abs=0.15)
    assert recovered_fraction(bits["plain"], bits["spike_in"], 4).estimate == pytest.approx(1, abs=0.03)
    assert recovered_fraction(bits["plain"], bits["spike_in_mixed"], 4).estimate == pytest.approx(1, abs=0.1)
