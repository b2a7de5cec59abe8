"""Whether the transient stream is where information is discarded: verdicts from arrays whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, t

from ib_analysis.information.intervals import Bootstrap
from ib_analysis.information.stream_verdict import (
    ALL_BLOCKS,
    BlockStreams,
    StreamVerdictRow,
    stream_verdict_text,
    stream_verdicts,
)

N = 500
SETTINGS = Bootstrap(n_resamples=1000)
Seeds = dict[tuple[int, int], BlockStreams]


def block(
    last: float, first: float | None, label: float = 0.0, warnings: str = "", seed: int = 0, lost: float = 1.0
) -> BlockStreams:
    """Differences of these means, each with a spread of 1 over images that is its own.

    I(X;t) rises by 5 bits from epoch 0 to 4, and falls by what is lost until epoch 9.
    """
    noise = np.random.default_rng(seed).normal(size=(6, N))
    noise = (noise - noise.mean(axis=1, keepdims=True)) / noise.std(axis=1, keepdims=True)
    image_first = None if first is None else first + noise[1]
    transient = np.array([100.0, 95.0, 95.0 + lost])[:, None] + noise[3:]
    of_epochs = transient[-1:] if first is None else transient
    return BlockStreams(last + noise[0], image_first, label + 0.1 * noise[2], of_epochs, warnings)


def verdicts(**blocks: BlockStreams | Seeds) -> dict[str, StreamVerdictRow]:
    found = {name: one if isinstance(one, dict) else {(0, 0): one} for name, one in blocks.items()}
    one = next(iter(found[next(iter(blocks))].values()))
    epochs = (0, 4, 9)[-len(one.transient) :]
    rows = stream_verdicts("toy", ("classification", "float32"), epochs, found, SETTINGS)
    assert [row.block for row in rows] == [*blocks, ALL_BLOCKS]
    return {row.block: row for row in rows}


@pytest.mark.parametrize(
    ("last", "first", "verdict"),
    [
        (2.0, 0.5, "discarded in training"),
        (2.0, 3.0, "less from the start"),
        (2.0, 2.0, "less from the start"),
        (0.12, 0.06, "less at the end"),
        (2.0, None, "less at the end"),
        (-2.0, 0.0, "not discarded"),
        (0.0, -3.0, "undecided"),
        (np.nan, 0.0, "not judged"),
        (2.0, np.nan, "less at the end"),
    ],
)
def test_a_blocks_verdict(last: float, first: float | None, verdict: str) -> None:
    row = verdicts(h1=block(last, first))["h1"]
    assert row.verdict == verdict
    assert (row.image_growth_bits is None) == (first is None)
    if np.isfinite([last, first or 0.0]).all() and first is not None:
        assert (row.image_bits, row.image_growth_bits) == pytest.approx((last, last - first), abs=1e-9)


def test_what_rose_more_slowly_than_the_other_stream_has_discarded_nothing() -> None:
    """The transient stream rises from 40 to 60 bits, the residual one from 40 to 90."""
    rng = np.random.default_rng(0)
    transient, residual = (300 - np.array(bits)[:, None] + rng.normal(size=(2, N)) for bits in ([40, 60], [40, 90]))
    about_image = transient - residual
    run = BlockStreams(about_image[1], about_image[0], 0.1 * rng.normal(size=N), transient, "")
    of = ("classification", "float32")
    one, all_blocks = stream_verdicts("toy", of, (0, 9), {"h1": {(0, 0): run}}, SETTINGS)
    assert one.verdict == all_blocks.verdict == "gained less in training"
    assert "? no, in all blocks it tells less" in all_blocks.finding
    assert (one.transient_peak_epoch, one.transient_loss_bits_low) == (9, 0)
    assert one.image_growth_bits == pytest.approx(30, abs=0.5)


@pytest.mark.parametrize(("lost", "verdict"), [(1.0, "discarded in training"), (0.0, "gained less in training")])
@pytest.mark.parametrize("n_seeds", [1, 3])
def test_discarded_is_what_falls_from_its_own_peak(lost: float, verdict: str, n_seeds: int) -> None:
    row = verdicts(h1={(seed, 0): block(2.0, 0.5, seed=seed, lost=lost) for seed in range(n_seeds)})["h1"]
    assert row.verdict == verdict
    assert row.transient_loss_bits is not None
    assert row.transient_loss_bits == pytest.approx(lost, abs=1e-9)
    assert row.transient_peak_epoch == 4 or not lost
    assert f"the transient stream lost {row.transient_loss_bits:+.1f} [" in row.finding


def test_intervals_hold_for_all_blocks_at_once() -> None:
    row = verdicts(h1=block(2.0, 0.0), h2=block(2.0, 0.0), h3=block(2.0, 0.0), h4=block(2.0, 0.0))["h2"]
    assert row.image_bits_low is not None
    assert 2.0 - row.image_bits_low == pytest.approx(norm.ppf(1 - 0.025 / 4) / np.sqrt(N), rel=0.15)
    assert row.confidence == 0.95
    alone = verdicts(h1=block(2.0, 0.0))["h1"]
    assert alone.image_bits_low is not None
    assert 2.0 - alone.image_bits_low == pytest.approx(1.96 / np.sqrt(N), rel=0.15)


def test_seeds_have_a_t_interval() -> None:
    means = [1.0, 2.0, 3.0]
    runs = {(seed, 0): block(mean, 0.0, seed=seed) for seed, mean in enumerate(means)}
    row = verdicts(h1=runs)["h1"]
    half = np.hypot(t.ppf(0.975, 2) / np.sqrt(3), 1.96 / np.sqrt(N))
    assert row.image_bits == pytest.approx(2.0)
    assert row.image_bits_high == pytest.approx(2.0 + half, rel=0.02)
    assert row.verdict == "undecided", "three seeds that far apart decide nothing"
    assert (row.n_encoder_seeds, row.n_decoder_seeds) == (3, 1)


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ({"h1": (2.0, 0.5), "h2": (4.0, 1.0)}, "? yes, in all blocks it tells less about the image than the residual"),
        ({"h1": (2.0, 3.0), "h2": (4.0, 6.0)}, "? not by training: in all blocks it tells less"),
        ({"h1": (2.0, 3.0), "h2": (4.0, 1.0)}, "? in all blocks it tells less"),
        ({"h1": (2.0, 0.5), "h2": (-4.0, 1.0)}, "? it depends on the block"),
        ({"h1": (2.0, 0.5), "h2": (0.04, 1.0)}, "? in some blocks it tells less"),
        ({"h1": (-2.0, 0.5), "h2": (-4.0, 1.0)}, "? no, in all blocks it tells more"),
        ({"h1": (-2.0, 0.5), "h2": (0.04, 1.0)}, "? no, where it is decided it tells more"),
        ({"h1": (0.04, 0.5), "h2": (0.04, 1.0)}, "? not decided"),
    ],
)
def test_the_sentence_about_all_blocks(blocks: dict[str, tuple[float, float]], words: str) -> None:
    found = verdicts(**{name: block(*means) for name, means in blocks.items()})
    told = stream_verdict_text(list(found.values()))
    assert told == f"{found[ALL_BLOCKS].finding}."
    assert words in told
    assert all(f"{name} {found[name].verdict}, {means[0]:+.1f} [" in told for name, means in blocks.items())
    assert found[ALL_BLOCKS].image_bits is None


def test_what_is_lost_about_the_label_and_warnings_are_told() -> None:
    found = verdicts(h1=block(2.0, 0.5, label=0.2, warnings="not_converged"), h2=block(2.0, 0.5))
    told = stream_verdict_text(list(found.values()))
    assert told.endswith("it also tells less about the label in h1 [with warnings].")
    assert found[ALL_BLOCKS].warnings == "not_converged"
