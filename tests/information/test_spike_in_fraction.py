"""The recovered fraction against its definition, and its lines in the closing table."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from result_rows import row

from ib_analysis.information.intervals import Bootstrap, paired_bootstrap_interval
from ib_analysis.information.spike_ins import recovered_fraction, tolerance
from ib_analysis.information.summary import summary
from ib_analysis.information.table import InformationRow, read_table, table_text


@given(st.integers(2, 40), st.integers(1, 300), st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_fraction_and_interval_are_those_of_the_paired_differences(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    given_coins = rng.normal(100, 20, size=n)
    plain = given_coins + rng.normal(m, 1, size=n)
    found = recovered_fraction(plain, given_coins, m, Bootstrap(n_resamples=40, seed=seed))
    wanted = paired_bootstrap_interval((plain - given_coins) / m, n_resamples=40, seed=seed)
    assert (found.estimate, found.low, found.high) == pytest.approx((wanted.estimate, wanted.low, wanted.high))


def test_a_decoder_that_codes_ideally_recovers_everything() -> None:
    """Entropies themselves as code lengths: H(X'|h) = rest + m, H(X'|h, coins) = rest."""
    rest = np.random.default_rng(0).uniform(10, 90, size=50)
    found = recovered_fraction(rest + 16, rest, 16)
    assert (found.estimate, found.low, found.high) == pytest.approx((1, 1, 1))
    with pytest.raises(ValueError, match="same images"):
        recovered_fraction(rest, rest[:-1], 16)


def spiked(epoch: int, map_: float, mixed: float | None, **fields: object) -> InformationRow:
    columns = {"spike_in_bits": 16.0, "spike_in_recovered": map_, "spike_in_recovered_low": map_ - 0.01,
               "spike_in_recovered_high": map_ + 0.01}  # fmt: skip
    if mixed is not None:
        columns |= {"spike_in_mixed_recovered": mixed, "spike_in_mixed_recovered_low": mixed - 0.1,
                    "spike_in_mixed_recovered_high": mixed + 0.1}  # fmt: skip
    return row(epoch=epoch, **columns, **fields)


def test_the_closing_table_shows_them_and_counts_what_keeps_the_tolerance() -> None:
    edge = 1 - tolerance(16.0)
    rows = [spiked(0, edge + 1e-6, 0.5), spiked(5, 1.5, 1.0), spiked(9, 0.99, 0.75),
            spiked(0, edge - 1e-3, None, layer="h4", warnings="nan_recovered")]  # fmt: skip
    text = summary(SimpleNamespace(experiment="toy", information=rows, config={}))
    assert "Within max(2 %, 0.5 bit) of the truth: map 2 of 4 cells, mixed 1 of 3 cells." in text
    (h1,) = [line for line in text.splitlines() if "0.50 [0.40, 0.60]" in line]
    assert h1.split()[1] == "h1"
    assert "0.99 [0.98, 1.00]" in h1
    assert h1.endswith("0.75 [0.65, 0.85]")
    (h4,) = [line for line in text.splitlines() if "0.97! [0.96, 0.98]" in line]
    assert h4.split()[-2:] == ["-", "-"]
    without = summary(SimpleNamespace(experiment="toy", information=[row()], config={}))
    assert "pike-in" not in without


def test_a_table_of_before_spike_ins_is_read_with_empty_columns(tmp_path) -> None:
    lines = [line.split(",") for line in table_text(InformationRow, [row(), spiked(1, 1.0, 0.5)]).splitlines()]
    path = tmp_path / "information.csv"
    kept = lines[0].index("spike_in_bits")  # all later columns came later, too
    path.write_text("".join(",".join(line[:kept]) + "\n" for line in lines))
    assert read_table(path, InformationRow) == [row(), row(epoch=1)]
