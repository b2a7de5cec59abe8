"""Claims about binary networks: rows and sentences from series whose answer is known."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from ib_analysis.artifacts import UserError
from ib_analysis.information.claims_table import ClaimCurve, ClaimRow, claims_text, simultaneity_rows
from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.late_compression import (
    late_compression_rows,
    mean_rank_correlation,
    rank_correlation,
)
from ib_analysis.information.phases_table import CurveKey, PhaseRow, phase_rows
from ib_analysis.training import final_accuracy
from ib_analysis.training.history import write_history

N = 200
QUICK = Bootstrap(n_resamples=100)
EPOCHS = (0, 1, 4, 9)
AT_ONCE, APART = [9.0, 6.0, 3.0, 3.0], [5.0, 9.0, 9.0, 3.0]
LEARNED = [0.0, 1.0, 2.0, 2.0]


def curve(information: list[float], label: list[float], seed: int = 0, warnings: str = "") -> ClaimCurve:
    rng = np.random.default_rng(seed)
    lengths, labels = (
        -np.array(means)[:, None] + spread * rng.normal(size=(len(means), N))
        for means, spread in ((information, 0.5), (label, 0.1))
    )
    return ClaimCurve(EPOCHS[: len(information)], lengths, labels, warnings)


def claims(curves: dict[tuple[str, str], list[float]], seeds: int = 1, note: str = "") -> list[ClaimRow]:
    found = {
        CurveKey("classification", name, layer, seed, 0): curve(information, LEARNED, seed)
        for (name, layer), information in curves.items()
        for seed in range(seeds)
    }
    return simultaneity_rows("toy", found, QUICK, note)


def test_overlaps_differences_and_the_sentence() -> None:
    rows = claims(
        {("float32", "h1"): APART, ("float32", "h2"): AT_ONCE, ("binary", "h1"): AT_ONCE, ("binary", "h2"): APART},
        note="a note",
    )
    verdicts = {(row.number_format, row.layer, row.quantity): row.verdict for row in rows}
    assert verdicts == {
        ("float32", "h1", "overlap"): "one after the other",
        ("float32", "h2", "overlap"): "at once",
        ("binary", "h1", "overlap"): "at once",
        ("binary", "h2", "overlap"): "one after the other",
        ("binary minus float32", "h1", "overlap_difference"): "supported",
        ("binary minus float32", "h2", "overlap_difference"): "contradicted",
        ("binary minus float32", "all", "answer"): "mixed",
    }
    first = rows[0]
    assert (first.label_rises, first.image_falls) == ("0-1;1-4", "4-9")
    told = claims_text(rows)
    assert "? supported in h1, contradicted in h2 (h1: overlap of binary minus that of float32 " in told
    assert told.endswith("; a note.")
    assert "arXiv 2006.07522, of which the abstract was read" in told


def test_what_does_not_fall_cannot_be_tested() -> None:
    rows = claims({("float32", "h1"): [1.0, 2.0, 3.0, 4.0], ("binary", "h1"): AT_ONCE})
    assert rows[0].verdict == "no fall of I(X;H) found"
    assert (rows[0].value, rows[0].value_low) == (None, None)
    assert [row.verdict for row in rows[2:]] == ["not testable", "not testable"]


def test_seeds_have_a_t_interval_within_the_range() -> None:
    rows = claims({("float32", "h1"): APART, ("binary", "h1"): AT_ONCE}, seeds=3)
    for row in rows[:3]:
        assert (row.n_encoder_seeds, row.n_decoder_seeds, row.n_curves) == (3, 1, 3)
        assert row.interval.startswith("t over 3 encoder")
        assert row.value_low is not None
        assert row.value is not None
        assert row.value_high is not None
        assert -1 <= row.value_low <= row.value <= row.value_high <= 1


def test_infinite_code_lengths_are_not_judged() -> None:
    bad = curve(AT_ONCE, LEARNED)
    bad.code_lengths[0, 0] = np.inf
    key = CurveKey("classification", "binary", "h1", 0, 0)
    (row,) = simultaneity_rows("toy", {key: bad}, QUICK)
    assert row.verdict == "not judged"


# ---------------------------------------------------------------------------------------------- late compression


def phases(losses: dict[tuple[str, str, int], float]) -> list[PhaseRow]:
    """Rows of curves that lose so many bits after their peak."""
    noise = 0.2 * np.random.default_rng(0).normal(size=(3, 50))
    noise -= noise.mean(axis=1, keepdims=True)
    lengths = {
        CurveKey("classification", name, layer, seed, 0): dict(
            zip(EPOCHS, np.array([9.0, 5.0, 5.0 + loss])[:, None] + noise, strict=False)
        )
        for (name, layer, seed), loss in losses.items()
    }
    return phase_rows("toy", lengths, bootstrap=QUICK)


def test_shares_and_correlations_over_seeds() -> None:
    seeds = range(5)
    order = [0.3, 0.1, 0.5, 0.2, 0.4]
    losses = {
        ("binary", layer, seed): base + order[seed] for layer, base in (("h1", 1.0), ("h2", 9.0)) for seed in seeds
    }
    losses |= {("float32", layer, seed): 0.0 for layer in ("h1", "h2") for seed in seeds}
    accuracies = {("binary", seed): order[seed] for seed in seeds} | {("float32", seed): 0.9 for seed in seeds}
    rows = late_compression_rows(phases(losses), accuracies, 0.95)
    by_name = {(row.number_format, row.quantity): row for row in rows}
    assert by_name["binary", "compressing_share"].value == 1
    assert by_name["float32", "compressing_share"].value == 0
    linked = by_name["binary", "rank_correlation"]
    assert linked.value == pytest.approx(1)
    assert linked.p_value == pytest.approx(2 / 120), "of 120 orders this and its reverse are as far from 0"
    assert linked.verdict == "linked"
    assert by_name["float32", "rank_correlation"].verdict == "not testable", "nothing varies"
    assert "are the same in all 5 networks" in by_name["float32", "rank_correlation"].finding
    assert rows[-1].quantity == "answer"
    assert rows[-1].verdict == "linked"
    assert "10 of 10 curves compress in binary" in claims_text(rows)


def test_the_mean_correlation_is_that_of_scipy_and_its_p_value_is_exact() -> None:
    rng = np.random.default_rng(1)
    found = {("binary", layer, seed): float(rng.uniform(1, 5)) for layer in ("h1", "h2") for seed in range(4)}
    rows = [row for row in phases(found) if row.encoder_seed is not None]
    accuracies = {("binary", seed): float(rng.uniform()) for seed in range(4)}
    value, p_value, n_seeds = mean_rank_correlation(rows, accuracies)

    def mean(order: tuple[int, ...]) -> float:
        own = [accuracies["binary", seed] for seed in order]
        return float(np.mean([
            spearmanr([found["binary", layer, seed] for seed in range(4)], own).statistic for layer in ("h1", "h2")
        ]))  # fmt: skip

    assert value == pytest.approx(mean((0, 1, 2, 3)))
    all_orders = [abs(mean(order)) for order in permutations(range(4))]
    assert p_value == pytest.approx(np.mean([other >= abs(value or 0) - 1e-9 for other in all_orders]))
    assert n_seeds == 4


def test_three_seeds_are_too_few_and_ties_have_mean_ranks() -> None:
    rows = phases({("binary", "h1", seed): 1.0 + seed for seed in range(3)})
    assert mean_rank_correlation(rows, {("binary", seed): 0.1 * seed for seed in range(3)}) == (None, None, 3)
    a, b = [1.0, 2.0, 2.0, 3.0], [4.0, 1.0, 3.0, 3.0]
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert late_compression_rows([], {}, 0.95) == []
    unjudged = [replace(row, verdict="not judged") for row in rows]
    assert late_compression_rows(unjudged, {}, 0.95) == []


def test_the_last_accuracy_on_held_out_images(tmp_path: Path) -> None:
    path = tmp_path / "training.csv"
    rows = [
        {"epoch": epoch, "split": split, "loss": 1.0, "accuracy": accuracy}
        for epoch, split, accuracy in ((0, "evaluation", 0.1), (2, "train", 0.9), (2, "evaluation", 0.4))
    ]
    write_history(path, rows)
    assert final_accuracy(path) == 0.4
    with path.open() as file:
        assert len(list(csv.reader(file))) == 4
    path.write_text("epoch,split\n")
    with pytest.raises(UserError, match="cannot be read"):
        final_accuracy(path)
