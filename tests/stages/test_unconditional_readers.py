"""Experiments with an unconditional reader beside the others: L0 is it or the base, whichever validation prefers."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from decoders import Minibatch, Reader, code_lengths_bits
from ib_analysis.artifacts import UserError
from ib_analysis.cli import main, parse_experiment
from ib_analysis.experiment import BASE, Experiment
from ib_analysis.records.common_null import fit_doubts
from ib_analysis.records.decoders import decoder_artifact, load_decoder
from ib_analysis.records.images import images_of

OPTIONS = ["--tasks", "[classification]", "--layers", "[h3,h4]"]
FOLDER = Path("checkpoints/deep")
UNCONDITIONAL = "unconditional_decoder0"


def rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(f"checkpoints/{name}/information.csv").read_text().splitlines()))


@pytest.fixture(scope="module", autouse=True)
def finished(tmp_path_factory: pytest.TempPathFactory, deep_text: str) -> Iterator[None]:
    """In the folder of a finished experiment ``deep`` that does not say whether a reader of nothing is fitted."""
    last_layer = "layer_steps: {h4: 16}\nlayer_dropout: {h4: 0.25}\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("unconditional"))
        Path("deep.yaml").write_text(deep_text.replace("unconditional_fit: false\n", last_layer))
        assert main(["samples", "deep.yaml", *OPTIONS]) == 0
        yield


def experiment(*options: str) -> Experiment:
    return Experiment(parse_experiment("train", ["deep.yaml", *OPTIONS, *options]))


def validation_bits(key: str) -> float:
    with np.load(FOLDER / "code_lengths" / key / "null_validation.npz") as arrays:
        return float(arrays["bits"].mean())


def test_deep_readers_have_one_beside_them_and_gated_decoders_only_if_asked_for() -> None:
    assert [fit.key for fit in experiment().fits if fit.run is None] == [BASE, UNCONDITIONAL]
    assert [fit.key for fit in experiment("--unconditional_fit", "false").fits if fit.run is None] == [BASE]
    seeds = [fit.key for fit in experiment("--decoder_seeds", "[0,3]").fits if fit.run is None]
    assert seeds == [BASE, UNCONDITIONAL, "unconditional_decoder3"]
    gated = ["--reader", "gated", "--sharing", "shared", "--layer_steps", "{}", "--layer_dropout", "{}"]
    assert not [fit for fit in experiment(*gated).fits if fit.run is None]
    asked = experiment(*gated, "--unconditional_fit", "true").fits
    assert [fit.key for fit in asked if fit.run is None] == [UNCONDITIONAL]


def test_it_is_fitted_like_a_reader_of_the_last_layer_on_the_same_base_and_reads_nothing() -> None:
    record = json.loads((FOLDER / "decoders" / UNCONDITIONAL / "decoder.pt.json").read_text())
    assert record["recipe"]["config"]["fitting"]["steps"] == 16
    assert record["recipe"]["config"]["reader_network"]["dropout"] == 0.25
    assert record["recipe"]["config"]["cells"] == []
    assert set(record["recipe"]["inputs"]) == {"data", "base"}
    made = experiment()
    fit = next(fit for fit in made.fits if fit.key == UNCONDITIONAL)
    other = next(fit for fit in made.fits if fit.run is not None)
    assert decoder_artifact(made, fit).status() == "complete"
    reader = load_decoder(made, fit, torch.device("cpu"))
    assert isinstance(reader, Reader)
    assert reader.config.unconditional
    assert not reader.config.cells
    assert reader.stored is not None
    assert not load_decoder(made, other, torch.device("cpu")).config.unconditional


def test_l0_is_the_one_of_both_that_is_shorter_on_the_validation_slice_and_every_number_a_difference_from_it() -> None:
    lengths = {key: validation_bits(key) for key in (BASE, UNCONDITIONAL)}
    assert lengths[BASE] != lengths[UNCONDITIONAL]
    source = min(lengths, key=lambda key: lengths[key])
    with h5py.File(FOLDER / "code_lengths.h5") as file:
        assert file.attrs["null_source"] == source
        null = file["null"][:]
        assert np.array_equal(null, file[f"{source}/own_null"][:])
        assert not np.array_equal(file[f"{BASE}/own_null"][:], file[f"{UNCONDITIONAL}/own_null"][:])
        for row in rows("deep"):
            found = file[f"{row['decoder']}/epoch_{int(row['epoch']):04d}/{row['layer']}"][:]
            assert float(row["i_xh_bits"]) == pytest.approx((null - found).mean(), rel=1e-8)
            assert float(row["null_code_length_bits"]) == pytest.approx(null.mean(), rel=1e-8)
            # A reader's own null is still the base.
            assert np.array_equal(file[f"{row['decoder']}/own_null"][:], file[f"{BASE}/own_null"][:])
    made = experiment()
    fit = next(fit for fit in made.fits if fit.key == source)
    images = torch.from_numpy(images_of(made).evaluation.images)
    again = code_lengths_bits(load_decoder(made, fit, torch.device("cpu")), [Minibatch(images)])
    assert again == pytest.approx(null, abs=0.01)


def test_samples_and_maps_of_the_null_are_those_of_l0() -> None:
    with h5py.File(FOLDER / "code_lengths.h5") as lengths, h5py.File(FOLDER / "samples.h5") as file:
        source = lengths.attrs["null_source"]
        with np.load(FOLDER / "samples" / f"{source}.npz") as arrays:
            assert np.array_equal(file["samples/null"][:], arrays["null"])
        assert file.attrs["maps_of_common_null"]
        run = next(iter(file["maps"]))
        epoch, layer = "epoch_0002", "h4"
        shown = file["evaluation_index"][:]
        expected = lengths["null"][:][shown] - lengths[f"{run}_decoder0/h4/{epoch}/{layer}"][:][shown]
        saved = file[f"maps/{run}/{epoch}/{layer}"]
        assert saved.attrs["null"] == source
        assert saved[:].sum((1, 2, 3)) == pytest.approx(expected, abs=0.02)


def test_leaving_it_out_leaves_readers_as_they_are_and_the_base_as_l0() -> None:
    assert main(["estimate-mi", "deep.yaml", *OPTIONS, "--unconditional_fit", "false", "--name", "without"]) == 0
    assert not (Path("checkpoints/without/decoders") / UNCONDITIONAL).exists()
    with h5py.File("checkpoints/without/code_lengths.h5") as file:
        assert file.attrs["null_source"] == BASE
    for one, other in zip(rows("deep"), rows("without"), strict=True):
        assert one["code_length_bits"] == other["code_length_bits"]


def test_controls_that_must_find_nothing_are_judged_by_l0() -> None:
    only = ["--controls.only", "[shuffled,constant]", "--controls.steps", "12"]
    assert main(["controls", "deep.yaml", *OPTIONS, *only]) == 0
    with (FOLDER / "controls.csv").open() as file:
        found = list(csv.DictReader(file))
    with h5py.File(FOLDER / "code_lengths.h5") as file:
        nulls = {"I(X;H), common L0": file["null"][:], "I(X;H), own null": file[f"{BASE}/own_null"][:]}
    assert len(found) == 2 * 2 * 2
    for row in found:
        where = FOLDER / "studies/controls/code_lengths" / row["decoder"] / f"epoch_0002_{row['layer']}.npz"
        with np.load(where) as arrays:
            expected = (nulls[row["quantity"]] - arrays["bits"]).mean()
        assert float(row["bits"]) == pytest.approx(expected, rel=1e-6, abs=1e-6)
        judged = row["quantity"] == "I(X;H), common L0"
        assert (row["passed"] in ("yes", "no")) == judged
        if judged:
            allowed = max((float(row["high"]) - float(row["low"])) / 2, 0.5)
            assert row["passed"] == ("yes" if abs(expected) <= allowed else "no")
            assert float(row["allowed_high"]) == pytest.approx(allowed)


def test_it_is_the_same_for_any_selection_of_layers_and_any_sharing_and_starts_at_the_base() -> None:
    for options in (["--layers", "[h3]"], ["--sharing", "across_runs"], ["--held_gib", "1"], ["--start_from", "none"]):
        made = experiment(*options)
        fit = next(fit for fit in made.fits if fit.key == UNCONDITIONAL)
        assert decoder_artifact(made, fit).status() == "complete", options
    for options in (["--layer_steps", "{h4: 20}"], ["--layer_dropout", "{}"], ["--reader_network.width", "9"]):
        made = experiment(*options)
        fit = next(fit for fit in made.fits if fit.key == UNCONDITIONAL)
        with pytest.raises(UserError, match="another config"):
            decoder_artifact(made, fit).check()


def test_several_seeds_recomputed_across_runs_with_fits_that_end_twice(capsys: pytest.CaptureFixture) -> None:
    """L0 may be of a seed from which no cell is sampled: its samples and maps are shown, and its change is told."""
    options = [*OPTIONS, "--name", "seeds", "--decoder_seeds", "[4,3]", "--sharing", "across_runs"]
    options += ["--activations.mode", "recompute", "--fitting.halfway", "true", "--fitting.cooldown_share", "0.4"]
    options += ["--fitting.validate_every", "2"]
    assert main(["estimate-mi", "deep.yaml", *options]) == main(["samples", "deep.yaml", *options]) == 0
    told = capsys.readouterr().out
    folder = Path("checkpoints/seeds")
    validated = {}
    for key in (BASE, "unconditional_decoder3", "unconditional_decoder4"):
        with np.load(folder / "code_lengths" / key / "null_validation.npz") as arrays:
            validated[key] = float(arrays["bits"].mean())
    source = min(validated, key=lambda key: validated[key])
    with h5py.File(folder / "code_lengths.h5") as lengths, h5py.File(folder / "samples.h5") as file:
        assert lengths.attrs["null_source"] == source
        with np.load(folder / "samples" / f"{source}.npz") as arrays:
            assert np.array_equal(file["samples/null"][:], arrays["null"])
        (run,) = file["maps"]
        assert {file[f"maps/{run}/{name}"].attrs["null"] for name in ("epoch_0000/h3", "epoch_0002/h4")} == {source}
        assert source == "unconditional_decoder3", "of the first seed, which is sampled in any case"
        with np.load(folder / "code_lengths" / source / "null.npz") as arrays:
            change = float((arrays["bits"] - arrays["halfway_bits"]).mean())
        assert change != 0
        assert lengths.attrs["null_change_bits"] == pytest.approx(change)
        base, l0 = lengths["base/own_null"][:].mean(), lengths["null"][:].mean()
    sentence = (
        f"L0: {l0:,.2f} bits, of {source}; the base alone has {base:,.2f}; from half of its steps to all it changed"
    )
    assert f"{sentence} by {change:+.2f}." in told


def test_learning_by_heart_is_a_note_about_a_reader_without_activations_and_a_doubt_about_other_nulls() -> None:
    rising = ["validation_code_length_rising"]
    made = experiment()
    base, unconditional = (fit for fit in made.fits if fit.run is None)
    gated = experiment("--reader", "gated", "--sharing", "dedicated", "--layer_steps", "{}", "--layer_dropout", "{}")
    alone = next(fit for fit in gated.fits if fit.run is None)
    assert fit_doubts(made, base, rising) == ("validation_code_length_rising",)
    assert fit_doubts(gated, alone, rising) == ("validation_code_length_rising",)
    found = [*rising, "nan_recovered", "training_too_short_to_tell"]
    assert fit_doubts(made, unconditional, found) == ("nan_recovered",)  # there are no notes
    twice = experiment("--fitting.halfway", "true", "--fitting.cooldown_share", "0.4", "--fitting.validate_every", "2")
    assert fit_doubts(twice, unconditional, found) == ("validation_code_length_rose", "nan_recovered")
