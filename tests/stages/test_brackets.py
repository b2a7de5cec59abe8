"""Brackets through the command line, and against the information in layers so small that it can be counted."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from ib_analysis.brackets.counted import entropy_from_counts
from ib_analysis.cli import main
from ib_analysis.information.brackets_table import BracketRow
from ib_analysis.information.intervals import Interval
from ib_analysis.information.table import read_table

OPTIONS = [
    "--tasks", "[classification]", "--encoder.width", "1", "--encoder.shortcut", "B", "--training.epochs", "30",
    "--training.checkpoints", "[0, 20, 30]", "--data.factors.noise_levels", "1", "--number_formats", "[float32, w2a2]",
]  # fmt: skip


def brackets(name: str = "tiny") -> list[BracketRow]:
    return read_table(Path("checkpoints") / name / "brackets.csv", BracketRow)


def check(rows: list[BracketRow]) -> None:
    """What holds whatever the fits are worth: the true information lies between the ends, within intervals."""
    for row in rows:
        assert row.capacity_bits == row.units * row.code_bits
        ends = [row.capacity_bits, row.null_code_length_bits, row.entropy_code_bits, row.density_bits]
        ends += [end for end in (row.h_x_bits, row.earlier_layer_bits) if end is not None]
        assert row.upper_bits == min(ends)
        if row.counted_bits is not None:
            assert row.lower_bits_low is not None
            assert row.lower_bits_low <= row.counted_bits
            for high in (row.capacity_bits, row.null_code_length_bits_high, row.h_x_bits):
                assert high is not None
                assert high >= row.counted_bits
            assert row.entropy_code_bits_high >= row.counted_bits
            assert row.density_bits_high >= row.counted_bits
            assert row.upper_bits_high >= row.counted_bits


def test_brackets_are_made_where_layers_are_codes_and_only_there(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["figures", str(tiny), *OPTIONS, "--brackets.epochs", "all"]) == 0
    assert "Brackets on I(X;H)" in capsys.readouterr().out
    rows = brackets()
    # h3 is pooled before it is read, and at epoch 20 inputs are not quantized yet.
    assert [(row.number_format, row.epoch, row.layer) for row in rows] == [("w2a2", 30, "h1"), ("w2a2", 30, "h4")]
    check(rows)
    counted = {row.layer: row for row in rows}
    assert (counted["h4"].units, counted["h1"].units) == (4, 64)
    assert counted["h1"].counted_bits is None  # 128 bits
    assert counted["h4"].counted_bits == counted["h4"].counted_bits_low  # all 2,880 images
    # h4 is computed from the codes of h1 alone, and knows no more than they do.
    assert (counted["h1"].earlier_layer, counted["h1"].earlier_layer_bits) == ("", None)
    assert (counted["h4"].earlier_layer, counted["h4"].earlier_layer_bits) == ("h1", counted["h1"].upper_bits)
    assert counted["h4"].upper_bits <= counted["h1"].upper_bits
    assert Path("figures/tiny/brackets.png").exists()

    written = (Path("checkpoints/tiny/brackets.csv")).read_bytes()
    Path("checkpoints/tiny/brackets.csv").unlink()
    assert main(["estimate-mi", str(tiny), *OPTIONS, "--brackets.epochs", "all"]) == 0
    assert Path("checkpoints/tiny/brackets.csv").read_bytes() == written
    assert main(["estimate-mi", str(tiny), *OPTIONS, "--brackets.epochs", "[]"]) == 0
    assert not Path("checkpoints/tiny/brackets.csv").exists()


@pytest.mark.slow
def test_dump_and_recompute_give_the_same_brackets(tiny: Path) -> None:
    beside = [*OPTIONS, "--encoder.shortcut", "A"]  # real numbers pass beside the codes of h1
    for mode in ("dump", "recompute"):
        assert main(["estimate-mi", str(tiny), *beside, "--name", mode, "--activations.mode", mode]) == 0
    tables = [Path(f"checkpoints/{mode}/brackets.csv").read_text() for mode in ("dump", "recompute")]
    assert tables[0] == tables[1].replace("recompute", "dump")
    found = {row.layer: row for row in brackets("dump")}
    assert (found["h1"].code_is_bottleneck, found["h4"].code_is_bottleneck) == (0, 1)
    assert [row.earlier_layer_bits for row in found.values()] == [None, None]  # h4 may know more than these codes


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--brackets.epochs", "[7]"], "brackets.epochs names epoch 7, which has no checkpoint"),
        (["--brackets.epochs", "[-1]"], "whole numbers from 0 on"),
        (["--brackets.fitting.null_share", "0.1"], "a density of codes has none"),
        (["--brackets.fitting.batch_size", "12"], "must be a multiple of activations.group_size"),
        (["--brackets.density.output", "logistic_mixture"], "use categorical"),
    ],
)
def test_a_users_mistake_gets_one_sentence(
    tiny: Path, capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    assert main(["estimate-mi", str(tiny), *OPTIONS, *options]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error


def test_a_count_over_draws_covers_the_entropy_as_often_as_it_says() -> None:
    shares = np.array([0.5, 0.25, 0.125, 0.0625, 0.0625])
    truth = float(-(shares * np.log2(shares)).sum())
    rng = np.random.default_rng(0)
    found = [entropy_from_counts(rng.choice(5, p=shares, size=800), exact=False) for _ in range(400)]
    covered = np.mean([interval.low <= truth <= interval.high for interval in found])
    assert 0.95 - 3 * math.sqrt(0.95 * 0.05 / 400) <= covered
    assert abs(np.mean([interval.estimate for interval in found]) - truth) < 0.005
    assert entropy_from_counts(np.arange(8) // 2, exact=True) == Interval(2.0, 2.0, 2.0)


@pytest.mark.slow
def test_fits_of_some_minutes_leave_the_count_between_ends_that_say_something(tiny: Path) -> None:
    options = [
        *OPTIONS, "--number_formats", "[w3a3]", "--layers", "[h4]", "--training.checkpoints", "[0, 30]",
        "--data.factors.n_encoder", "1000", "--data.factors.n_decoder", "4000", "--data.factors.n_evaluation", "1000",
        "--fitting.steps", "5000", "--fitting.batch_size", "32", "--fitting.validate_every", "500",
        "--fitting.validation_images", "256", "--fitting.cooldown_share", "0.3", "--decoder.filters", "16",
        "--decoder.condition_filters", "16", "--decoder.dropout", "0", "--fitting.save_every", "500",
        "--brackets.density.filters", "8", "--brackets.density.condition_filters", "16",
        "--brackets.fitting.steps", "400", "--brackets.fitting.batch_size", "32",
        "--brackets.fitting.validate_every", "100", "--brackets.fitting.warmup_steps", "50",
    ]  # fmt: skip
    assert main(["estimate-mi", str(tiny), *options]) == 0
    (row,) = brackets()
    check([row])
    assert row.counted_bits is not None
    assert row.lower_bits is not None
    assert row.counted_bits > 4  # of 12 bits that the layer could hold
    assert row.lower_bits > 1.5
    assert row.upper_bits < 10.5  # below both the capacity and H(X)
