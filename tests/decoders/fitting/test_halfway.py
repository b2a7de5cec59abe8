"""A fit that also ends halfway ends as the one of half of the steps and as the one without: bit for bit on a CPU."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from fitting_toys import CELLS, SHORT, IndependentPixels, Memory, Poisoned, ToyData, parameters_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from decoders.fitting.certificate import check_judgeable
from decoders.fitting.fit import Minibatch, fit
from decoders.fitting.schedule import (
    FittingConfig,
    cooldown_start,
    halfway_config,
    learning_rate,
    steps_in_all,
)
from decoders.fitting.warnings import (
    NAN_RECOVERED,
    TRAINING_TOO_SHORT_TO_TELL,
    VALIDATION_CODE_LENGTH_RISING,
    VALIDATION_CODE_LENGTH_ROSE,
    curve_warnings,
)

TWICE = dataclasses.replace(SHORT, steps=48, cooldown_share=0.3, halfway=True)
"""The halfway fit of 24 steps cools down from step 17 on; the one of 48 steps from step 34 on."""
ONCE = dataclasses.replace(TWICE, halfway=False)
HALF = halfway_config(TWICE)


class Killed(Exception):
    pass


class BadAt(Poisoned):
    """Data whose minibatch of one step is bad at some of its meetings: 0 is the first."""

    def __init__(self, data: ToyData, seed: int, step: int, meetings: tuple[int, ...]) -> None:
        super().__init__(data, seed, step, times=0)
        self.meetings, self.met = meetings, 0

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        draw = np.random.default_rng()
        draw.bit_generator.state = rng.bit_generator.state
        if draw.random() == self.first_draw:
            self.times = int(self.met in self.meetings)
            self.met += 1
        return super().minibatch(rng)


def run(config, memory=None, kill_after=None, poisoned=None, bad=(), told=None, **toy):
    """Parameters and record of a fit that is killed after so many computed steps."""
    torch.manual_seed(0)
    decoder = IndependentPixels(CELLS, dropout=0.3)
    data = ToyData(CELLS, batch_size=9, **toy)
    if poisoned is not None:
        data = BadAt(data, 4, poisoned, bad)

    def progress(step: int, steps: int, shown: dict) -> None:
        if told is not None:
            told.append((step, steps))
        if step == kill_after:
            raise Killed

    result = fit(decoder, data, config, seed=4, checkpoint=memory, progress=progress)
    return parameters_of(decoder), result


def equal(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def assert_ends_as(found, halfway, whole):
    """Whether a fit has the two ends of two other fits."""
    parameters, result = found
    assert equal(parameters, whole[0])
    assert result.curve == whole[1].curve
    assert (result.best_step, result.steps_done) == (whole[1].best_step, whole[1].steps_done)
    assert equal(result.halfway.weights, halfway[0])
    assert result.halfway.curve == halfway[1].curve
    assert (result.halfway.best_step, result.halfway.steps_done) == (halfway[1].best_step, halfway[1].steps_done)


@pytest.mark.parametrize(
    "changes", [{}, {"warmup_steps": 20}, {"optimiser": "muon"}, {"gradient_clip": 0.1, "cooldown_share": 0.9}]
)
def test_both_ends_are_those_of_the_fits_that_end_once(changes):
    half, once, twice = (dataclasses.replace(config, **changes) for config in (HALF, ONCE, TWICE))
    found, halfway = run(twice), run(half)
    assert not equal(found[0], halfway[0])
    assert_ends_as(found, halfway, run(once))
    assert run(once)[1].halfway is None


# Saves are at steps 7 and 14, at 21 of the halfway cool-down (computed steps 18 to 24), and then at 21, 28, ... of the
# whole fit, whose step s is the computed step s + 7.
@pytest.mark.parametrize(
    "moments", [[1], [8], [16], [17], [18], [20], [21, 22], [23], [24], [25], [30], [5, 19, 24, 40], [54], [55]]
)
def test_a_fit_that_was_killed_anywhere_has_the_same_ends(moments):
    memory = Memory()
    for moment in moments:
        with pytest.raises(Killed):
            run(TWICE, memory, kill_after=moment)
    found, whole = run(TWICE, memory), run(TWICE)
    assert_ends_as(found, run(HALF), run(ONCE))
    assert dataclasses.replace(found[1], seconds=0) == dataclasses.replace(whole[1], seconds=0)


# The last good states are those of the saves at steps 7 and 14: from within the halfway cool-down, too, and from the
# first steps after it, fits go back to before it. Step 22 is met at the computed steps 23 and 30.
@pytest.mark.parametrize(
    ("poisoned", "kill"),
    [(10, None), (10, 8), (15, 12), (17, None), (17, 16), (19, None), (19, 18), (22, 19), (22, None), (40, None)],
)
def test_recoveries_from_what_is_not_finite_are_those_of_the_fits_that_end_once(poisoned, kill):
    """The minibatch of a step is bad at the first meeting of each of the two fits, and good when tried again."""
    halfway, whole = (run(once, poisoned=poisoned, bad=(0,)) for once in (HALF, ONCE))
    assert NAN_RECOVERED in whole[1].warnings
    memory = Memory()
    if kill is not None:
        with pytest.raises(Killed):
            run(TWICE, memory, kill_after=kill)
    found = run(TWICE, memory, poisoned=poisoned, bad=(0, 2))
    assert_ends_as(found, halfway, whole)
    assert found[1].halfway.recoveries == (poisoned < 24)


@pytest.mark.parametrize(("poisoned", "kill"), [(17, 24), (17, 25), (17, 27), (22, 24), (22, 25), (22, 29)])
def test_who_is_killed_after_the_halfway_end_can_still_go_back_to_before_it(poisoned, kill):
    memory = Memory()
    with pytest.raises(Killed):
        run(TWICE, memory, kill_after=kill)
    found = run(TWICE, memory, poisoned=poisoned, bad=(0,))
    reference = run(ONCE, poisoned=poisoned, bad=(0,))
    # Killed at once after the end, before it was kept, the last steps to it are done again, and are bad now.
    half = run(HALF, poisoned=poisoned, bad=(0,)) if found[1].halfway.recoveries else run(HALF)
    assert (found[1].halfway.recoveries > 0) == (kill == 24 and poisoned == 22)
    assert_ends_as(found, half, reference if not found[1].halfway.recoveries else run(ONCE))


def test_a_finished_fit_is_only_read():
    memory = Memory()
    first = run(TWICE, memory)
    saves = list(memory.saves)
    assert_ends_as(run(TWICE, memory), (first[1].halfway.weights, run(HALF)[1]), first)
    assert memory.saves == saves == [7, 14, 21, 14, 21, 28, 35, 42, 48]


def test_progress_counts_every_computed_step_once():
    told: list[tuple[int, int]] = []
    run(TWICE, told=told)
    assert sorted(set(told)) == [(step, 55) for step in range(1, 56)]
    assert [step for step, _ in told] == sorted(step for step, _ in told)
    assert steps_in_all(TWICE) == 55


@pytest.mark.parametrize("patience", [1, 2])
def test_patience_ends_each_of_the_two_by_itself(patience):
    changes = {"patience": patience, "validate_every": 2, "learning_rate": 0.5}
    half, once, twice = (dataclasses.replace(config, **changes) for config in (HALF, ONCE, TWICE))
    whole, halfway = run(once, n_training=9), run(half, n_training=9)
    found = run(twice, n_training=9)
    assert whole[1].early_stopped
    if whole[1].steps_done <= cooldown_start(half):  # there is no halfway end before which it could have stopped
        assert found[1].halfway is None
        assert equal(found[0], whole[0])
        return
    assert_ends_as(found, halfway, whole)


def test_a_fit_that_stops_before_the_halfway_cool_down_has_no_halfway_end():
    config = dataclasses.replace(TWICE, patience=1, validate_every=1, learning_rate=2.0)
    parameters, result = run(config, n_training=9)
    assert result.early_stopped
    assert result.steps_done < cooldown_start(HALF)
    assert result.halfway is None
    assert equal(parameters, run(dataclasses.replace(config, halfway=False), n_training=9)[0])


def test_a_checkpoint_of_a_fit_that_ends_once_is_another_fit():
    memory = Memory()
    with pytest.raises(Killed):
        run(ONCE, memory, kill_after=20)
    with pytest.raises(ValueError, match=r"another fit \(settings"):
        run(TWICE, memory)


# -------------------------------------------------------------------------------------------------------- schedules


@settings(deadline=None)
@given(st.integers(2, 500), st.floats(0.01, 0.99), st.integers(0, 300))
@example(2, 0.5, 0)
def test_the_two_schedules_are_one_until_the_halfway_cool_down(half_steps, share, warmup):
    once = FittingConfig(steps=2 * half_steps, cooldown_share=share, warmup_steps=warmup)
    half = dataclasses.replace(once, steps=half_steps)
    if not 0 < cooldown_start(half) < half_steps:
        with pytest.raises(ValueError, match="cooldown_share"):
            dataclasses.replace(once, halfway=True)
        return
    twice = dataclasses.replace(once, halfway=True)
    assert halfway_config(twice) == half
    start = cooldown_start(half)
    assert [learning_rate(half, step) for step in range(start)] == [learning_rate(once, step) for step in range(start)]
    assert steps_in_all(twice) == once.steps + half_steps - start


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"cooldown_share": 0.0}, "cooldown_share is 0.0: it has to be above 0 and below 1"),
        ({"cooldown_share": 1.0}, "cooldown_share is 1.0: it has to be above 0 and below 1"),
        ({"steps": 99}, "steps is 99: it has to be an even number"),
        ({"steps": 2}, "steps is 2: it has to be an even number of at least 4"),
        ({"steps": 4, "cooldown_share": 0.9}, "such that half of the 4 steps has some before its cool-down"),
    ],
)
def test_a_schedule_without_a_halfway_end_is_refused_in_a_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        FittingConfig(**{"steps": 100, "cooldown_share": 0.3, **changes}, halfway=True)


def test_a_handful_of_validations_is_enough_where_the_change_is_measured():
    config = FittingConfig(steps=5000, cooldown_share=0.9, validate_every=1000, halfway=True)
    check_judgeable(config)
    with pytest.raises(ValueError, match=r"only 4 validations in 5000 steps .* choose 1000 or less"):
        check_judgeable(dataclasses.replace(config, validate_every=1250))
    with pytest.raises(ValueError, match="only 0 validations"):
        check_judgeable(dataclasses.replace(config, halfway=False))
    steps, bits = [1000, 2000, 3000, 4000, 5000], [90.0, 60.0, 50.0, 45.0, 43.0]
    assert curve_warnings(steps, bits, cooldown_start(config)) == (TRAINING_TOO_SHORT_TO_TELL,)
    assert curve_warnings(steps, bits, cooldown_start(config), ended_twice=True) == ()
    assert curve_warnings(steps[1:], bits[1:], 500, ended_twice=True) == (TRAINING_TOO_SHORT_TO_TELL,)


def test_a_rise_is_called_by_where_the_curve_was_lowest():
    steps = list(range(1, 11))
    early = [90.0, 60.0, 50.0, 52.0, 54.0, 56.0, 58.0, 57.0, 56.0, 55.0]
    late = [*early[:7], 52.0, 49.0, 48.0]
    assert curve_warnings(steps, early, 7, ended_twice=True) == (VALIDATION_CODE_LENGTH_RISING,)
    assert curve_warnings(steps, late, 7, ended_twice=True) == (VALIDATION_CODE_LENGTH_ROSE,)
    assert curve_warnings(steps, late, 7) == (VALIDATION_CODE_LENGTH_RISING,)
