"""Rows of streams.csv from arrays: paired differences, seeds, and the findings in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t

from ib_analysis.information.intervals import Bootstrap, paired_bootstrap_interval
from ib_analysis.information.streams_table import (
    StreamBits,
    StreamRow,
    last_rows,
    rows_over_seeds,
    stream_row,
    streams_text,
)

N = 400
BLOCK = ("h2", "h2_residual", "h2_transient")
SETTINGS = Bootstrap(n_resamples=500)


def row(more_bits: float, more_label_bits: float = 0.0, seed: int = 0, epoch: int = 5, **changes: object) -> StreamRow:
    """Streams whose images differ by far more than the streams do: the residual one tells `more_bits` more."""
    rng = np.random.default_rng(0)
    of_images, noise = 300 + 50 * rng.normal(size=N), rng.normal(size=N)
    labels = rng.exponential(size=N)
    residual = StreamBits(of_images, labels, 20.0 + more_bits, 1.0, "")
    transient = StreamBits(
        of_images + more_bits + noise - noise.mean(), labels + more_label_bits, 20.0, 1.0 - more_label_bits, ""
    )
    found = stream_row("toy", ("classification", "float32", seed, 0), epoch, BLOCK, (residual, transient), SETTINGS)
    return replace(found, **changes)  # type: ignore[arg-type]


def test_differences_are_paired_image_by_image() -> None:
    found = row(2.0, 0.25)
    assert found.i_xh_difference_bits == pytest.approx(2.0)
    assert found.i_hy_difference_bits == pytest.approx(0.25)
    width = found.i_xh_difference_bits_high - found.i_xh_difference_bits_low
    assert width == pytest.approx(2 * 1.96 / np.sqrt(N), rel=0.2), "the spread of images cancels"
    noise = np.random.default_rng(0)
    noise.normal(size=N)
    values = noise.normal(size=N)
    alone = paired_bootstrap_interval(2.0 + values - values.mean(), n_resamples=500)
    assert (found.i_xh_difference_bits_low, found.i_xh_difference_bits_high) == pytest.approx((alone.low, alone.high))


@pytest.mark.parametrize(
    ("more", "more_label", "words"),
    [
        (2.0, 0.25, ["the residual stream tells 2.0 bits [1.9, 2.1] more about the image than the transient one",
                     "the residual stream tells 0.250 bits [0.250, 0.250] more about the label"]),
        (-2.0, -0.25, ["the transient stream tells 2.0 bits [1.9, 2.1] more about the image than the residual one",
                       "the transient stream tells 0.250 bits [0.250, 0.250] more about the label"]),
        (0.0, 0.0, ["no difference found about the image (residual minus transient", "no difference found about the"]),
        (np.nan, 0.25, ["not judged about the image", "the residual stream tells 0.250 bits"]),
    ],
)  # fmt: skip
def test_the_finding_says_which_stream_tells_more(more: float, more_label: float, words: list[str]) -> None:
    found = row(more, more_label).finding
    assert found.startswith("h2, classification, epoch 5: ")
    assert all(word in found for word in words)


def test_what_moved_since_half_of_the_steps_is_told_and_warned_of() -> None:
    lengths, labels = np.arange(N) / N, np.zeros(N)

    def made(halfway: float) -> StreamRow:
        residual = StreamBits(lengths, labels, 2.0, 0.0, "nan_recovered", lengths)
        transient = StreamBits(lengths + 2.0, labels, 0.0, 0.0, "", lengths + halfway)
        run = ("classification", "w4a4", 1, 0)
        return stream_row("toy", run, 5, BLOCK, (residual, transient), SETTINGS)

    still, calm = made(1.0), made(1.9)
    assert still.i_xh_difference_change_bits == pytest.approx(1.0)
    assert calm.i_xh_difference_change_bits == pytest.approx(0.1)
    assert still.warnings == "nan_recovered;stream_difference_still_moving"
    assert calm.warnings == "nan_recovered"
    assert still.finding.endswith("[warning: nan recovered, stream difference still moving]")
    assert still.finding.startswith("h2, classification, w4a4, seeds 1/0, epoch 5: ")
    assert row(1.0).i_xh_difference_change_bits is None


def test_over_seeds_the_interval_is_for_new_seeds() -> None:
    rows = [row(bits, seed=seed) for seed, bits in enumerate((1.0, 2.0, 4.5))]
    (found,) = rows_over_seeds(rows, 0.95)
    assert found.encoder_seed is None
    assert found.i_xh_difference_bits == pytest.approx(2.5)
    assert found.i_xh_residual_bits == pytest.approx(22.5)
    over_seeds = t.ppf(0.975, 2) * np.std([1.0, 2.0, 4.5], ddof=1) / np.sqrt(3)
    over_images = np.mean([(r.i_xh_difference_bits_high - r.i_xh_difference_bits_low) / 2 for r in rows])
    assert found.i_xh_difference_bits_high - 2.5 == pytest.approx(np.hypot(over_seeds, over_images))
    assert found.finding.startswith("h2, classification, epoch 5: no difference found about the image")
    assert found.interval == "t over 3 encoder and 1 decoder seeds, images in quadrature"
    assert rows_over_seeds(rows[:1], 0.95) == []


def test_what_is_told_is_the_last_epoch_over_seeds_where_there_are_several() -> None:
    early, late = row(1.0, epoch=0), row(2.0)
    assert last_rows([early, late]) == [late]
    both = [early, late, row(3.0, seed=1)]
    (over_seeds,) = last_rows([*both, *rows_over_seeds(both, 0.95)])
    assert over_seeds.encoder_seed is None
    assert streams_text([early, late]).splitlines() == [
        "Residual against transient stream, with paired intervals (bootstrap over images)",
        f"  {late.finding}.",
    ]
