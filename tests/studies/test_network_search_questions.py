"""The two questions about a front, on cells whose answers are known, and what is said of times and rounds."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from result_rows import row
from scipy.stats import spearmanr

from ib_analysis.information.table import InformationRow
from ib_analysis.search.rounds import round_correlations
from ib_analysis.studies.network_search.answers import answers, in_sentences
from ib_analysis.studies.network_search.questions import cost_bits_rows, pair_rows, rank_correlation
from ib_analysis.studies.network_search.rows import FrontRow, SearchedRow
from ib_analysis.studies.network_search.summary import known_costs, times_of_the_search

COSTS = dict.fromkeys(("macs", "quadratic_cost", "linear_cost", "memory_bits", "parameters"), 1.0)


def member(name: str, **changes) -> FrontRow:
    fields = {
        **COSTS, "latency_ms": None, "energy_mj": None, "energy_source": "", "name": name, "network": name,
        "found_by": "", "held_out_error": 0.5, "n_seeds": 3, "n_images": 9, "test_accuracy": 0.5,
        "test_accuracy_low": 0.4, "test_accuracy_high": 0.6, "kernels": "", "latency_iqr_ms": None,
        "latency_flagged": None,
    }  # fmt: skip
    return FrontRow(**{**fields, **changes})


def cells(layer: str, *bits: float, **changes) -> list[InformationRow]:
    """One per seed, with intervals of no width."""
    return [
        row(encoder_seed=seed, layer=layer, i_xh_bits=b, i_xh_bits_low=b, i_xh_bits_high=b, **changes)
        for seed, b in enumerate(bits)
    ]


@pytest.mark.parametrize("n", [3, 4, 6])
def test_rank_correlation_against_all_orders(n: int) -> None:
    rng = np.random.default_rng(n)
    for ties in (False, True):
        first, second = rng.random(n), rng.random(n)
        if ties:
            first[0] = first[1]
        rho, p_value = rank_correlation(first.tolist(), second.tolist())
        every = np.array([spearmanr(first[list(order)], second).statistic for order in permutations(range(n))])
        assert rho == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)
        tail = min((every >= rho - 1e-9).mean(), (every <= rho + 1e-9).mean())
        assert p_value == pytest.approx(min(1.0, 2 * tail), abs=1e-9)
    assert rank_correlation([1.0] * n, list(range(n))) == (0.0, 1.0)


def test_whether_bits_go_with_cost() -> None:
    """h1 rises with the quadratic cost, in one seed not everywhere; time orders the networks the other way."""
    front = [member(f"s-front{k}", quadratic_cost=10.0**k, latency_ms=9.0 - k) for k in range(1, 5)]
    found = {f"s-front{k}": [*cells("h1", k, k, (1, 2, 4, 3)[k - 1]), *cells("h4", 7 - k)] for k in range(1, 5)}
    found["s-front2"] = [one for one in found["s-front2"] if one.layer == "h1"]  # it has no h4
    rows = list(cost_bits_rows(front, found, ["quadratic_cost", "latency_ms"]))
    image = {(one.cost, one.layer): one for one in rows if one.quantity == "i_xh_bits"}
    h1, h4 = image["quadratic_cost", "h1"], image["quadratic_cost", "h4"]
    assert (h1.rank_correlation, h1.lowest_seed, h1.highest_seed) == pytest.approx((1.0, 0.8, 1.0))
    assert (h1.n_networks, h1.n_seeds, h1.p_value) == (4, 3, pytest.approx(2 / 24))
    assert (h4.rank_correlation, h4.n_networks, h4.n_seeds) == (pytest.approx(-1.0), 3, 1)
    assert image["latency_ms", "h1"].rank_correlation == pytest.approx(-1.0)
    assert in_sentences(rows, [], "quadratic_cost") == [
        "Rank correlation of quadratic_cost with I(X;H): h1 1.00 (p 0.08), h4 -1.00 (p 0.33)."
    ]
    assert list(cost_bits_rows(front[:2], found, ["quadratic_cost"])) == []


def test_equal_accuracy_and_different_bits() -> None:
    front = [member("s-front1", macs=2.0), member("s-front2", macs=6.0), member("s-front3", macs=1.0)]
    found = {
        "s-front1": cells("h1", 4.0, 5.0, 6.0),
        "s-front2": cells("h1", 6.0, 7.5, 7.5, warnings="loose"),
        "s-front3": cells("h1", 4.0, 5.0, 6.0),
    }
    rng = np.random.default_rng(0)
    right = {seed: (rng.random(400) < 0.7).astype(float) for seed in range(3)}
    correct = {"s-front1": right, "s-front2": {seed: one[::-1] for seed, one in right.items()},
               "s-front3": {seed: np.zeros(400) for seed in right}}  # fmt: skip
    rows = list(pair_rows(front, found, correct, "macs", 0.95, 200))
    assert [(one.cheaper, one.dearer) for one in rows] == [
        ("s-front3", "s-front1"), ("s-front3", "s-front2"), ("s-front1", "s-front2"),
    ]  # fmt: skip
    assert [one.equally_accurate for one in rows] == [0, 0, 1]
    last = rows[-1]
    half = 4.302652730 * np.std([2.0, 2.5, 1.5], ddof=1) / 3**0.5  # paired by seed; Student's t, 97.5 %
    assert (last.cost_ratio, last.accuracy, last.n_seeds) == (3.0, pytest.approx(0.0, abs=1e-12), 3)
    assert last.i_xh_bits == pytest.approx(2.0)
    assert last.i_xh_bits_high - 2.0 == pytest.approx(half)
    assert last.warnings == "loose"
    said = "\n".join(answers([], rows, 0.95))
    assert "front2 - front1" in said
    assert "front3" not in said
    assert "1 of 1 intervals of I(X;H) leave 0 out; by chance alone about 0.1 would" in said
    assert "takes at least 3 measured networks" in said
    assert in_sentences([], rows, "macs") == [
        "Equally accurate as far as these seeds and images tell, front2 at 3 times the cost of front1: I(X;H) h1 "
        f"+2.00 [{2 - half:+.2f}, {2 + half:+.2f}] bits."
    ]
    assert "No two measured networks are equally accurate" in "\n".join(answers([], rows[:2], 0.95))


def test_images_widen_the_interval_of_a_difference() -> None:
    wide = row(layer="h1", i_xh_bits=5.0, i_xh_bits_low=2.0, i_xh_bits_high=8.0)
    narrow = row(layer="h1", i_xh_bits=3.0, i_xh_bits_low=-1.0, i_xh_bits_high=7.0)
    front, right = [member("a", macs=1.0), member("b", macs=2.0)], {0: np.ones(9)}
    (found,) = pair_rows(front, {"a": [narrow], "b": [wide]}, {"a": right, "b": right}, "macs", 0.95, 20)
    assert (found.i_xh_bits, found.i_xh_bits_low, found.i_xh_bits_high) == pytest.approx((2.0, -3.0, 7.0))


def test_what_dpp_net_is_told_is_said_where_it_is_compared() -> None:
    assert "dpp_net knows all costs" in known_costs(["dpp_net", "tpe"])[0]
    assert known_costs(["dpp_net_costs_learned", "tpe"]) == known_costs(["dpp_net"]) == []


def timed(network: str, reference: float | None, flagged: int | None) -> SearchedRow:
    return SearchedRow(
        **COSTS, latency_ms=1.0, energy_mj=None, energy_source="", method="tpe", place=1, network=network, error=0.5,
        violation=0.0, hypervolume=0.1, not_dominated=1, latency_iqr_ms=0.1, latency_flagged=flagged,
        latency_reference_ms=reference,
    )  # fmt: skip


def test_a_machine_that_drifts_is_said() -> None:
    rows = [timed("a", 2.0, 0), timed("a", 2.0, 0), timed("b", 2.1, 1)]
    assert times_of_the_search(rows) == [
        "In the search 1 of 2 times were unsteady twice; the reference network took 2 to 2.1 ms beside them."
    ]
    assert "moved by 50% between" in times_of_the_search([*rows, timed("c", 3.0, 0)])[0]
    assert times_of_the_search([timed("a", None, None)]) == []


def test_rounds_metric_by_metric() -> None:
    notes = [
        {"round": 1.0, "candidates": 6.0, "evaluated": 4.0, "rank_correlation error": float("nan")},
        {"round": 2.0, "candidates": 9.0, "evaluated": 2.0, "rank_correlation error": None, "rank_correlation ms": 0.5},
    ]
    found = [(one.round, one.candidates, one.metric, one.n, one.value) for one in round_correlations(notes)]
    assert found == [(1, 6, "error", 4, None), (2, 9, "error", 2, None), (2, 9, "ms", 2, 0.5)]
