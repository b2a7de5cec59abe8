"""Fits of readers: they find what activations tell, find nothing where there is nothing, and leave the base alone."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from fit_reader_in_processes import run
from fitting_toys import Memory, parameters_of
from reader_toys import BITS, NOTHING, TELLING, IndependentImages, toy_reader

from decoders import FittingConfig, Reader, code_lengths_bits, fit
from decoders.fitting.flat_parameters import FlatParameters
from decoders.fitting.gradients import StepGradient, draw_step

HERE = Path(__file__).parents[1]
FITTING = FittingConfig(
    steps=60,
    learning_rate=0.02,
    optimiser="muon",
    betas=(0.9, 0.99),
    lr_decay_per_step=1.0,
    cooldown_share=0.5,
    null_share=0.0,
    validate_every=30,
    save_every=30,
)
SHORT = replace(FITTING, steps=12, validate_every=6, save_every=4, null_share=0.2)


@pytest.fixture
def in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_a_reader_finds_all_bits_that_are_told_and_none_where_nothing_is() -> None:
    reader, data = toy_reader(), IndependentImages()
    before = copy.deepcopy(reader.base.state_dict())
    result = fit(reader, data, FITTING, seed=0)
    last = result.curve[-1]
    assert last.cell_bits[TELLING.name] < 1.5, "of 32 bits"
    assert last.cell_bits[NOTHING.name] == pytest.approx(BITS, abs=0.5)
    # L0 is the base's, which nothing has touched.
    assert [point.validation_null_bits for point in result.curve] == pytest.approx([BITS] * len(result.curve))
    assert all(torch.equal(value, before[name]) for name, value in reader.base.state_dict().items())
    assert not any(parameter.requires_grad for parameter in reader.base.parameters())
    found = code_lengths_bits(reader, data.validation()).reshape(3, 24)
    assert found[:, :12].mean() == pytest.approx(min(point.cell_bits[TELLING.name] for point in result.curve), abs=0.1)
    assert code_lengths_bits(reader, data.validation(), null=True) == pytest.approx(np.full(72, BITS))


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
@pytest.mark.parametrize("moments", [[3], [4, 9]])
def test_a_fit_that_was_killed_ends_bit_for_bit_alike(optimiser: str, moments: list[int]) -> None:
    config, memory = replace(SHORT, optimiser=optimiser), Memory()
    whole = toy_reader()
    expected = fit(whole, IndependentImages(), config, seed=3)
    for moment in moments:

        def kill(step: int, steps: int, shown: dict, moment: int = moment) -> None:
            if step == moment:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fit(toy_reader(), IndependentImages(), config, seed=3, checkpoint=memory, progress=kill)
    reader = toy_reader()
    result = fit(reader, IndependentImages(), config, seed=3, checkpoint=memory)
    assert result.curve == expected.curve
    first, second = parameters_of(whole), parameters_of(reader)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("micro_batch", [None, 5])
def test_the_gradient_is_that_of_both_terms_and_the_loss_that_of_one(
    in_float64: None, share: float, micro_batch: int | None
) -> None:
    reader = toy_reader(own_share=share)
    with torch.no_grad():
        for parameter in reader.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    draw = draw_step(IndependentImages(), 0, 0, null_share=0.2)
    images, given, mask = draw.minibatch.images, draw.minibatch.condition, draw.null_mask
    assert mask is not None
    assert mask.any()
    distribution = reader(given, mask)
    log_prob = distribution.log_prob(images)
    objective = log_prob
    if share:
        own = distribution.terms[0][1]
        objective = log_prob + share * own.log_softmax(1).gather(1, images.long()).flatten(1).sum(1)
    expected = torch.autograd.grad(-objective.mean() / 16, list(reader.parameters()), allow_unused=True)
    flat = FlatParameters(reader)
    try:
        gradient = StepGradient(reader, flat, Accelerator(cpu=True))
        gradient.micro_batch = micro_batch
        loss, norm = gradient.start(draw).tolist()
        for parameter, wanted in zip(reader.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.grad, torch.zeros_like(parameter) if wanted is None else wanted)
        assert norm == pytest.approx(float(flat.gradient.norm()))
    finally:
        flat.release()
    assert loss == pytest.approx(-float(log_prob.detach().mean()) / 16, rel=1e-9)


def test_the_curve_holds_code_lengths_and_not_what_the_fit_adds() -> None:
    """On a new reader, with a rate of nothing, the training bits are the base's, whatever the share of the rest."""
    config = replace(SHORT, learning_rate=1e-12, matrix_learning_rate=1e-12, null_share=0.0)
    for share in (0.0, 5.0):
        result = fit(toy_reader(own_share=share), IndependentImages(), config, seed=0)
        assert [point.training_bits for point in result.curve] == pytest.approx([BITS] * 2, rel=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_micro_batches_change_nothing(monkeypatch: pytest.MonkeyPatch, in_float64: None, dropout: float) -> None:
    forward = Reader.forward

    def limited(self, condition=None, null_mask=None, batch_size=None):
        if sum(len(part.activations) for part in condition or ()) > 7:
            raise torch.OutOfMemoryError
        return forward(self, condition, null_mask, batch_size)

    config = replace(SHORT, steps=6, validate_every=3, save_every=5)
    whole, cut = toy_reader(dropout=dropout), toy_reader(dropout=dropout)
    # Without data-dependent initialisation, for which fewer images would not be the same.
    fit(whole, IndependentImages(), config, seed=0, initialise=False)
    monkeypatch.setattr(Reader, "forward", limited)
    result = fit(cut, IndependentImages(), config, seed=0, initialise=False)
    assert result.micro_batch == 6
    first, second, new = (
        torch.nn.utils.parameters_to_vector(reader.parameters()).detach() for reader in (whole, cut, toy_reader())
    )
    torch.testing.assert_close(first, second, rtol=0, atol=1e-10)
    assert float((first - new).abs().max()) > 0.01, "nothing was fitted"


@pytest.mark.slow
def test_two_processes_fit_like_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    paths = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    subprocess.run(
        [*command, str(HERE / "fit_reader_in_processes.py"), str(tmp_path)],
        check=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    try:
        alone = run(Accelerator(cpu=True))
    finally:
        torch.set_default_dtype(torch.float32)
    assert (first["processes"], alone["processes"]) == (2, 1)
    for name, value in alone["parameters"].items():
        assert torch.equal(first["parameters"][name], second["parameters"][name])
        torch.testing.assert_close(first["parameters"][name], value, rtol=0, atol=1e-9)
    assert first["curve"].equal(second["curve"])
    torch.testing.assert_close(first["curve"], alone["curve"])
