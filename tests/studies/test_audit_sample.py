"""Which cells an audit takes, and how long its decoders are fitted."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.fitting.fit import FittingConfig
from decoders.fitting.schedule import cooldown_start
from ib_analysis.experiment import Fit, Run
from ib_analysis.studies.audit.plan import scaled_fitting
from ib_analysis.studies.audit.sample import sample_cells

TASKS = ("classification", "autoencoding")


def fits(n_tasks: int, n_seeds: int, n_layers: int, epochs: list[int]) -> list[Fit]:
    cells = tuple((epoch, f"h{layer}") for epoch in epochs for layer in range(n_layers))
    runs = [Run(task, "float32", seed) for task in TASKS[:n_tasks] for seed in range(n_seeds)]  # type: ignore[arg-type]
    return [Fit(f"{run.key}_decoder0", run, 0, cells) for run in runs]


@given(
    n_tasks=st.integers(1, 2),
    n_seeds=st.integers(1, 3),
    n_layers=st.integers(1, 4),
    epochs=st.sets(st.integers(0, 200), min_size=1, max_size=8).map(sorted),
    seed=st.integers(0, 100),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_samples_are_stratified_spread_and_repeatable(
    n_tasks: int, n_seeds: int, n_layers: int, epochs: list[int], seed: int, data: st.DataObject
) -> None:
    there = fits(n_tasks, n_seeds, n_layers, epochs)
    strata, each = n_tasks * n_layers, n_seeds * len(epochs)
    count = data.draw(st.integers(1, strata * each))
    found = sample_cells(there, count, seed)
    assert found == sample_cells(there, count, seed)
    assert len(set(found)) == len(found) == count
    assert all((cell.epoch, cell.layer) in cell.fit.cells for cell in found)
    sizes = Counter(cell.stratum for cell in found)
    assert max(sizes.values()) - min([*sizes.values(), *([0] if len(sizes) < strata else [])]) <= 1
    tasks = Counter(cell.stratum[0] for cell in found)
    if count >= n_tasks:
        assert max(tasks.values()) - min(tasks.values()) <= 1
        assert len(tasks) == n_tasks
    for stratum, size in sizes.items():
        seen = sorted(cell.epoch for cell in found if cell.stratum == stratum)
        if size > 1:
            assert (seen[0], seen[-1]) == (epochs[0], epochs[-1])
        # As evenly as can be: no epoch is taken twice before another has been passed over for want of room.
        assert max(Counter(seen).values()) <= -(-size // len(epochs)) + (1 if n_seeds > 1 else 0)
    lone = [cell.epoch for cell in found if sizes[cell.stratum] == 1]
    if len(lone) > 1:
        assert (min(lone), max(lone)) == (epochs[0], epochs[-1])


def test_the_default_sample_takes_every_task_and_layer_once_and_all_epochs() -> None:
    there = fits(2, 1, 4, [0, 1, 2, 4, 8, 12])
    found = sample_cells(there, 8, 0)
    assert len({cell.stratum for cell in found}) == 8
    assert {cell.epoch for cell in found} == {0, 1, 2, 4, 8, 12}
    assert found != sample_cells(there, 8, 1)


def test_more_cells_than_there_are_cannot_be_sampled() -> None:
    with pytest.raises(ValueError, match="5 of 4 cells"):
        sample_cells(fits(1, 1, 2, [0, 1]), 5, 0)


@given(
    steps=st.integers(1, 5000),
    cooldown=st.sampled_from([0.0, 0.2, 0.35, 0.6]),
    warmup=st.integers(0, 2000),
    every=st.integers(1, 2000),
)
@settings(max_examples=200, deadline=None)
def test_short_fits_can_be_judged(steps: int, cooldown: float, warmup: int, every: int) -> None:
    fitting = FittingConfig(
        steps=9000, warmup_steps=warmup, cooldown_share=cooldown, validate_every=every, patience=4, learning_rate=0.1
    )
    found = scaled_fitting(fitting, steps, 0.05)
    assert (found.steps, found.learning_rate, found.patience, found.cooldown_share) == (steps, 0.05, 0, cooldown)
    assert found.warmup_steps <= min(warmup, steps / 10)
    assert found.validate_every <= every
    if steps >= 10:
        assert steps // found.validate_every >= 10
    if steps >= 100:  # below, rounding may leave fewer
        assert cooldown_start(found) // found.validate_every >= 5
