"""The whole pipeline through the real command line, at a size of seconds."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from ib_analysis.cli import main

CHECKPOINTS = Path("checkpoints/tiny")


def rows(name: str = "tiny", table: str = "information.csv", drop: tuple[str, ...] = ("seconds",)) -> list[dict]:
    with (Path("checkpoints") / name / table).open() as file:
        found = list(csv.DictReader(file))
    return [{key: value for key, value in row.items() if key not in drop} for row in found]


def test_figures_runs_everything_and_a_second_run_does_nothing(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["figures", "tiny.yaml"]) == 0
    out = capsys.readouterr().out
    assert "I(X;H)" in out
    assert "figures/tiny/information_plane.png" in out
    # 2 tasks x 2 epochs x 3 layers
    assert len(rows()) == 12
    assert {row["condition"] for row in rows()} == {"activations"}
    assert not Path("checkpoints/bases").exists(), "gated decoders need no base"
    made = {path: path.stat().st_mtime_ns for path in Path("checkpoints").rglob("*") if path.is_file()}
    made |= {path: path.stat().st_mtime_ns for path in Path("figures").rglob("*") if path.is_file()}
    assert main(["figures", "tiny.yaml"]) == 0
    again = {path: path.stat().st_mtime_ns for path in made}
    changed = {path.name for path in made if made[path] != again[path]}
    assert changed <= {".lock", "config.yaml"}


def test_tables_say_what_the_code_lengths_say(tiny: Path) -> None:
    assert main(["estimate-mi", "tiny.yaml"]) == 0
    with h5py.File(CHECKPOINTS / "code_lengths.h5") as file:
        null = file["null"][:]
        for row in rows():
            cell = file[f"{row['decoder']}/epoch_{int(row['epoch']):04d}/{row['layer']}"][:]
            assert float(row["i_xh_bits"]) == pytest.approx((null - cell).mean(), rel=1e-8)
            assert float(row["i_xh_bits_low"]) <= float(row["i_xh_bits"]) <= float(row["i_xh_bits_high"])
            h_x = np.log2(2880) + 64
            assert float(row["h_x_bits"]) == pytest.approx(h_x)
            assert float(row["lower_bound_bits"]) == pytest.approx(h_x - cell.mean(), rel=1e-8)
        # the common null is the one that is best on the validation slice, and it is one of the decoders' own
        own = [file[f"{row['decoder']}/own_null"][:] for row in rows()]
        assert any(np.array_equal(null, lengths) for lengths in own)
    facts = json.loads((CHECKPOINTS / "data.json").read_text())
    assert facts["factor_bits"]["noise"] == 64
    factors = rows(table="factors.csv")
    assert {row["factor"] for row in factors} == set(facts["factor_bits"])


def test_several_seeds_run_and_aggregate(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    seeds = ["--encoder_seeds", "[0,1,2]", "--decoder_seeds", "[0,1]", "--layers", "[h3]"]
    assert main(["figures", "tiny.yaml", "--tasks", "[autoencoding]", *seeds]) == 0
    assert "Over 3 encoder and 2 decoder seeds" in capsys.readouterr().out
    assert len(rows()) == 3 * 2 * 2  # encoders, decoders, epochs
    over_seeds = [row for row in rows(table="phases.csv", drop=()) if not row["encoder_seed"]]
    assert [(row["n_encoder_seeds"], row["n_decoder_seeds"]) for row in over_seeds] == [("3", "2")]
    last = [float(row["i_xh_bits"]) for row in rows() if row["epoch"] == "2"]
    first = [float(row["i_xh_bits"]) for row in rows() if row["epoch"] == "0"]
    change = float(over_seeds[0]["fitting_gain_bits"]) - float(over_seeds[0]["compression_loss_bits"])
    assert change == pytest.approx(np.mean(last) - np.mean(first), abs=1e-5)
    before = Path("checkpoints/tiny/samples.h5").read_bytes()
    assert main(["samples", "tiny.yaml", "--tasks", "[autoencoding]", *seeds]) == 0
    assert Path("checkpoints/tiny/samples.h5").read_bytes() == before
    assert main(["compare", "tiny", "tiny"]) == 0
    assert capsys.readouterr().out.count("+0.00") == 2 * len(rows())


def test_recompute_gives_the_code_lengths_of_a_dump_to_the_last_digit(tiny: Path) -> None:
    assert main(["estimate-mi", "tiny.yaml"]) == 0
    assert main(["estimate-mi", "tiny.yaml", "--activations.mode", "recompute", "--name", "again"]) == 0
    assert not Path("checkpoints/again/activations").exists()
    drop = ("seconds", "experiment")
    assert rows(drop=drop) == rows("again", drop=drop)


def test_two_workers_give_the_numbers_of_one(tiny: Path) -> None:
    assert main(["estimate-mi", "tiny.yaml"]) == 0
    assert main(["estimate-mi", "tiny.yaml", "--workers", "2", "--name", "again"]) == 0
    drop = ("seconds", "experiment")
    assert rows(drop=drop) == rows("again", drop=drop)


def test_dedicated_decoders_and_one_unconditional(tiny: Path) -> None:
    options = ["--sharing", "dedicated", "--layers", "[h3]", "--tasks", "[classification]"]
    assert main(["estimate-mi", "tiny.yaml", *options]) == 0
    found = rows()
    assert len(found) == 2
    assert len({row["decoder"] for row in found}) == 2
    assert (CHECKPOINTS / "decoders/unconditional_decoder0/decoder.pt").exists()


def test_an_unconditional_fit_may_serve_as_l0_of_shared_decoders(tiny: Path) -> None:
    options = ["--layers", "[h3]", "--tasks", "[classification]", "--fitting.null_share", "0"]
    assert main(["estimate-mi", "tiny.yaml", *options]) == 2  # there would be no L0
    assert main(["estimate-mi", "tiny.yaml", *options, "--unconditional_fit", "true"]) == 0
    with h5py.File(CHECKPOINTS / "code_lengths.h5") as file:
        assert file.attrs["null_source"] == "unconditional_decoder0"
        assert np.array_equal(file["null"][:], file["unconditional_decoder0/own_null"][:])
    assert len(rows()) == 2
    assert {row["decoder"] for row in rows()} == {"classification_float32_seed0_decoder0"}


@pytest.mark.slow
def test_a_fitted_decoder_serves_another_experiment_as_start_and_as_null(tiny: Path) -> None:
    assert main(["estimate-mi", "tiny.yaml"]) == 0
    options = ["--name", "further", "--start_from", "tiny", "--estimation.null_from", "tiny"]
    assert main(["estimate-mi", "tiny.yaml", *options]) == 0
    first = np.mean([float(row["code_length_bits"]) for row in rows()])
    further = np.mean([float(row["code_length_bits"]) for row in rows("further")])
    assert further < first  # twelve steps more
    with h5py.File("checkpoints/further/code_lengths.h5") as file:
        best = min(float(file.attrs["null_validation_bits"]), np.inf)
    with h5py.File("checkpoints/tiny/code_lengths.h5") as file:
        assert best <= float(file.attrs["null_validation_bits"])


def test_damaged_artifacts_are_made_again_and_nothing_else(tiny: Path) -> None:
    assert main(["estimate-mi", "tiny.yaml"]) == 0
    before = rows()
    decoder = next(CHECKPOINTS.glob("decoders/classification*/decoder.pt"))
    other = next(CHECKPOINTS.glob("decoders/autoencoding*/decoder.pt"))
    content, untouched = decoder.read_bytes(), other.stat().st_mtime_ns
    decoder.write_bytes(content[: len(content) // 2])
    assert main(["estimate-mi", "tiny.yaml"]) == 0
    assert decoder.read_bytes() == content
    assert other.stat().st_mtime_ns == untouched
    assert rows() == before


def test_compare(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["estimate-mi", "tiny.yaml"]) == 0
    assert main(["estimate-mi", "tiny.yaml", "--name", "longer", "--fitting.steps", "15"]) == 0
    capsys.readouterr()
    assert main(["compare", "tiny", "longer"]) == 0
    out = capsys.readouterr().out
    assert "fitting.steps" in out
    assert "h3" in out


def test_describe_counts_before_anything_runs(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["describe", "tiny.yaml"]) == 0
    out = capsys.readouterr().out
    assert "12 cells" in out
    assert "2 decoder fits" in out
    assert not Path("checkpoints/tiny").exists()
