"""Maps through the real command line: sums, sources, figures, and what happens to files of before."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from ib_analysis.artifacts import sha256_of_file
from ib_analysis.cli import main
from ib_analysis.information.table import InformationRow, read_table
from ib_analysis.results import load_results

CHECKPOINTS = Path("checkpoints/tiny")
SMALL = ("--layers", "[h3]", "--tasks", "[classification]")


def rows(name: str = "tiny") -> list[InformationRow]:
    return read_table(Path("checkpoints") / name / "information.csv", InformationRow)


def without_seconds(name: str = "tiny") -> list[dict]:
    return [{k: v for k, v in vars(row).items() if k not in ("seconds", "experiment")} for row in rows(name)]


def common_null_source() -> str:
    with h5py.File(CHECKPOINTS / "code_lengths.h5") as file:
        return str(file.attrs["null_source"])


def as_before_maps(artifact: Path, drop: str) -> None:
    """Turn a small file into what an earlier version had written: no maps, and no word of them in its manifest."""
    with np.load(artifact) as found:
        kept = {name: found[name] for name in found.files if not name.startswith(drop)}
    np.savez(artifact, **kept)
    manifest = artifact.with_name(artifact.name + ".json")
    record = json.loads(manifest.read_text())
    record["recipe"]["inputs"].pop("content", None)
    record["sha256"] = record["identity"] = sha256_of_file(artifact)
    manifest.write_text(json.dumps(record))


def test_maps_sum_to_the_code_lengths_of_every_cell_and_are_drawn(tiny: Path) -> None:
    assert main(["figures", "tiny.yaml", "--layers", "[h1, h4]"]) == 0
    results = load_results("tiny")
    null = results.null_mean_code_length_map()
    assert null.shape == tuple(results.data["image_shape"])
    assert null.dtype == np.float64
    assert null.sum() == pytest.approx(results.null_code_lengths().mean(), rel=1e-6)
    with h5py.File(CHECKPOINTS / "samples.h5") as file:
        chosen = file["evaluation_index"][:]
        source = common_null_source()
        for row in rows():
            run = f"{row.task}_float32_seed0"
            mean_map = results.mean_code_length_map(run, row.epoch, row.layer)
            lengths = results.code_lengths(run, row.epoch, row.layer)
            assert mean_map.sum() == pytest.approx(lengths.mean(), rel=1e-6)
            assert (null - mean_map).sum() == pytest.approx(row.i_xh_bits, abs=1e-4)
            # the same of the single images that are shown
            maps = file[f"maps/{run}/epoch_{row.epoch:04d}/{row.layer}"]
            saved = (results.null_code_lengths() - lengths)[chosen]
            np.testing.assert_allclose(maps[:].sum((1, 2, 3)), saved, atol=1e-3)
            assert maps.attrs["null"] == source
        assert file.attrs["maps_of_common_null"]
    for task in ("classification", "autoencoding"):
        assert Path(f"figures/tiny/information_maps_{task}.png").stat().st_size > 10_000
    assert '"map_bits"' in Path("figures/tiny/samples.html").read_text()


def test_in_colour_with_dedicated_decoders_and_a_mixture(tiny: Path) -> None:
    rng = np.random.default_rng(0)
    for split, label in product(("train", "valid", "test"), ("cat", "dog")):
        for number in range(12):
            path = Path("data", "set", split, label, f"{number}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    options = [
        *SMALL, "--sharing", "dedicated", "--data.source", "image_folder", "--data.folder", "set", "--data.bits", "3",
        "--decoder.output", "logistic_mixture", "--decoder_seeds", "[0, 1]", "--fitting.steps", "6",
        "--fitting.batch_size", "8", "--fitting.validation_images", "8",
    ]  # fmt: skip
    assert main(["figures", "tiny.yaml", *options]) == 0
    results = load_results("tiny")
    for row in rows():
        maps = results.mean_code_length_map("classification_float32_seed0", row.epoch, row.layer, row.decoder_seed)
        lengths = results.code_lengths("classification_float32_seed0", row.epoch, row.layer, row.decoder_seed)
        assert maps.shape == (3, 8, 8)
        assert maps.sum() == pytest.approx(lengths.mean(), rel=1e-5)
    assert Path("figures/tiny/information_maps_classification.png").exists()
    # the common null may be of the second decoder seed, which is not sampled from: its map is there all the same
    with h5py.File(CHECKPOINTS / "samples.h5") as file:
        maps = file["maps/classification_float32_seed0/epoch_0002/h3"]
        saved = results.null_code_lengths() - results.code_lengths("classification_float32_seed0", 2, "h3")
        np.testing.assert_allclose(maps[:].sum((1, 2, 3)), saved[file["evaluation_index"][:]], atol=2e-3)


def test_files_without_maps_are_measured_and_sampled_again_with_the_same_numbers(tiny: Path) -> None:
    assert main(["samples", "tiny.yaml", *SMALL]) == 0
    before, tables = without_seconds(), (CHECKPOINTS / "phases.csv").read_bytes()
    with h5py.File(CHECKPOINTS / "samples.h5") as file:
        drawn = file["samples/classification_float32_seed0/epoch_0002/h3"][:]
    decoder = CHECKPOINTS / "decoders/classification_float32_seed0_decoder0/decoder.pt"
    validation = CHECKPOINTS / "code_lengths/classification_float32_seed0_decoder0/null_validation.npz"
    for path in CHECKPOINTS.glob("code_lengths/*/*.npz"):
        if path != validation:
            as_before_maps(path, "mean_map_bits")
    as_before_maps(CHECKPOINTS / "samples/classification_float32_seed0_decoder0.npz", "map/")
    untouched = {path: path.stat().st_mtime_ns for path in (decoder, validation)}
    assert main(["samples", "tiny.yaml", *SMALL]) == 0
    assert {path: path.stat().st_mtime_ns for path in untouched} == untouched
    assert without_seconds() == before
    assert (CHECKPOINTS / "phases.csv").read_bytes() == tables
    assert load_results("tiny").null_mean_code_length_map().shape == (1, 8, 8)
    with h5py.File(CHECKPOINTS / "samples.h5") as file:
        np.testing.assert_array_equal(file["samples/classification_float32_seed0/epoch_0002/h3"][:], drawn)
        assert file["maps/classification_float32_seed0/epoch_0002/h3"].shape == (2, 1, 8, 8)


@pytest.mark.slow
def test_l0_of_another_experiment_brings_its_map_where_there_is_one(tiny: Path) -> None:
    assert (
        main(
            [
                "estimate-mi",
                "tiny.yaml",
                *SMALL,
                "--fitting.steps",
                "60",
                "--fitting.null_share",
                "0.8",
                "--name",
                "better",
            ]
        )
        == 0
    )
    options = ["figures", "tiny.yaml", *SMALL, "--estimation.null_from", "better"]
    assert main(options) == 0
    results = load_results("tiny")
    wanted = load_results("better").null_mean_code_length_map()
    np.testing.assert_array_equal(results.null_mean_code_length_map(), wanted)
    assert rows()[0].null_code_length_bits == pytest.approx(wanted.sum(), rel=1e-6)
    figure = Path("figures/tiny/information_maps_classification.png")
    assert figure.exists()
    # single images: the other experiment's decoder is not at hand, so that their L0 is this decoder's own
    own = results.own_null_code_lengths("classification_float32_seed0_decoder0")
    with h5py.File(CHECKPOINTS / "samples.h5") as file:
        maps = file["maps/classification_float32_seed0/epoch_0002/h3"]
        saved = own - results.code_lengths("classification_float32_seed0", 2, "h3")
        np.testing.assert_allclose(maps[:].sum((1, 2, 3)), saved[file["evaluation_index"][:]], atol=1e-3)
        assert maps.attrs["null"] == "classification_float32_seed0_decoder0"
        assert not file.attrs["maps_of_common_null"]
    figure.unlink()
    with h5py.File("checkpoints/better/code_lengths.h5", "a") as file:
        del file["maps"]  # as an earlier version had written it
    assert main(options) == 0
    assert not figure.exists()
    with h5py.File(CHECKPOINTS / "code_lengths.h5") as file:
        assert set(file["maps"]) == {"classification_float32_seed0_decoder0"}
