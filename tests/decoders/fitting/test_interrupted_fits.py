"""Fits of a toy that were killed, or met numbers that are not finite, go on as if nothing had been."""

import dataclasses

import pytest
import torch
from fitting_toys import CELLS, SHORT, IndependentPixels, Memory, Poisoned, ToyData, parameters_of

from decoders.fitting.fit import fit
from decoders.fitting.warnings import NAN_RECOVERED


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def equal(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class Killed(Exception):
    pass


def run(memory: Memory, kill_after: int | None = None, poisoned: int | None = None):
    torch.manual_seed(0)
    decoder = IndependentPixels(CELLS, dropout=0.3)
    data = ToyData(CELLS, batch_size=9)
    if poisoned is not None:
        data = Poisoned(data, seed=4, step=poisoned)

    def progress(step: int, steps: int, shown: dict) -> None:
        if step == kill_after:
            raise Killed

    result = fit(decoder, data, SHORT, seed=4, checkpoint=memory, progress=progress)
    return parameters_of(decoder), result


@pytest.mark.parametrize("moments", [[1], [6], [7], [8], [10], [29, 30], [3, 14, 46], [47]])
def test_a_fit_that_was_killed_ends_bit_for_bit_alike(moments):
    expected, whole = run(Memory())
    memory = Memory()
    for moment in moments:
        with pytest.raises(Killed):
            run(memory, kill_after=moment)
    parameters, result = run(memory)
    assert equal(parameters, expected)
    assert dataclasses.replace(result, seconds=0) == dataclasses.replace(whole, seconds=0)
    assert result.curve == whole.curve


def test_a_finished_fit_is_only_read():
    memory = Memory()
    expected, whole = run(memory)
    saves = list(memory.saves)
    parameters, result = run(memory)
    assert equal(parameters, expected)
    assert dataclasses.replace(result, seconds=0) == dataclasses.replace(whole, seconds=0)
    assert memory.saves == saves == [7, 14, 21, 28, 35, 42, 47]


def test_killed_between_a_recovery_and_the_next_checkpoint():
    expected, whole = run(Memory(), poisoned=20)
    assert NAN_RECOVERED in whole.warnings
    memory = Memory()
    with pytest.raises(Killed):
        run(memory, kill_after=18)
    parameters, result = run(memory, poisoned=20)
    assert equal(parameters, expected)
    assert result.curve == whole.curve


@pytest.mark.parametrize(
    ("change", "word"), [({"learning_rate": 0.2}, "settings"), ({}, "seed"), ({"cells": ()}, "parameters")]
)
def test_checkpoint_of_another_fit_is_refused(change, word):
    memory = Memory()
    fit(IndependentPixels(CELLS), ToyData(CELLS), SHORT, seed=0, checkpoint=memory)
    cells = change.pop("cells", CELLS)
    decoder = IndependentPixels(cells)
    config = dataclasses.replace(SHORT, **change)
    with pytest.raises(ValueError, match=f"another fit \\({word}"):
        fit(decoder, ToyData(cells), config, seed=int(word == "seed"), checkpoint=memory)
    assert all(p.untyped_storage().nbytes() == p.numel() * 4 for p in decoder.parameters())


# ------------------------------------------------------------------------------------------------ non-finite numbers


def test_a_single_nan_costs_half_the_learning_rate():
    data = ToyData(CELLS, batch_size=9)
    plain_decoder, decoder = IndependentPixels(CELLS), IndependentPixels(CELLS)
    decoder.load_state_dict(plain_decoder.state_dict())
    plain = fit(plain_decoder, data, SHORT, seed=4)
    result = fit(decoder, Poisoned(data, seed=4, step=20), SHORT, seed=4)
    assert NAN_RECOVERED in result.warnings
    assert NAN_RECOVERED not in plain.warnings
    assert result.curve[0] == plain.curve[0], "before the NaN nothing differs"
    rates = [point.learning_rate for point in result.curve]
    assert rates == pytest.approx([r.learning_rate / (1 if r.step == 10 else 2) for r in plain.curve])
    assert [point.step for point in result.curve] == [10, 20, 30, 40, 47]
    assert all(torch.isfinite(p).all() for p in decoder.parameters())


def test_nan_that_stays_is_an_error():
    data = Poisoned(ToyData(CELLS, batch_size=9), seed=4, step=20, times=100)
    with pytest.raises(FloatingPointError, match=r"not finite at step 20, after 5 recoveries.*lower learning_rate"):
        fit(IndependentPixels(CELLS), data, SHORT, seed=4)
    assert data.times == 100 - 6


def test_a_checkpoint_from_before_a_setting_goes_on_where_the_setting_has_its_default():
    expected, whole = run(Memory())
    memory = Memory()
    with pytest.raises(Killed):
        run(memory, kill_after=18)
    state = memory.load()
    del state["of"]["settings"]["averaging_power"]
    memory.save(state)
    parameters, result = run(memory)
    assert equal(parameters, expected)
    assert result.curve == whole.curve
    del state["of"]["settings"]["steps"]  # the default is another than this fit's
    memory.save(state)
    with pytest.raises(ValueError, match=r"another fit \(settings"):
        run(memory)
