"""Fits of a toy with a known optimum: the right answer, and the same one however the fit is cut up."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from fitting_toys import CELLS, LONG, SHORT, IndependentPixels, Memory, ToyData, parameters_of

from decoders.fitting import gradients
from decoders.fitting.fit import code_lengths_bits, fit
from decoders.fitting.gradients import draw_step
from decoders.fitting.schedule import learning_rate
from decoders.fitting.warnings import TRAINING_TOO_SHORT_TO_TELL, VALIDATION_CODE_LENGTH_RISING


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# ------------------------------------------------------------------------------------------------ the optimum


@pytest.mark.parametrize("cells", [(), CELLS[:1], CELLS])
def test_fit_finds_the_empirical_entropy(cells):
    decoder, data = IndependentPixels(cells), ToyData(cells)
    result = fit(decoder, data, LONG, seed=0)
    conditional, null = data.entropies_bits()
    last = result.curve[-1]
    assert last.validation_bits == pytest.approx(conditional, abs=0.01)
    assert last.validation_null_bits == pytest.approx(null, abs=0.01)
    assert last.validation_bits >= conditional - 1e-5, "no code is shorter than the entropy"
    assert (conditional < null - 0.05) == bool(cells)
    if not cells:
        assert last.training_bits == pytest.approx(null, abs=0.01)
    assert [point.step for point in result.curve] == list(range(40, 401, 40))
    assert result.warnings == ()
    assert result.steps_done == 400
    assert not result.early_stopped
    assert result.micro_batch is None
    assert result.seconds > 0


def test_null_share_of_one_trains_only_the_null_condition():
    decoder = IndependentPixels(CELLS)
    before = parameters_of(decoder)
    fit(decoder, ToyData(CELLS), dataclasses.replace(SHORT, null_share=1.0), seed=0)
    after = parameters_of(decoder)
    assert [name for name in before if not torch.equal(before[name], after[name])] == ["null"]


def test_minibatches_without_a_condition_are_all_null():
    decoder, data = IndependentPixels(CELLS), ToyData(())
    result = fit(decoder, data, LONG, seed=0)
    assert result.curve[-1].validation_bits == result.curve[-1].validation_null_bits
    assert result.curve[-1].validation_bits == pytest.approx(data.entropies_bits()[1], abs=0.01)


def test_fit_is_the_naive_loop(double):
    """PyTorch's own Adam on the separate parameters, the average as a sum, one step at a time."""
    config = dataclasses.replace(SHORT, averaging=0.9, averaging_power=0.0, gradient_clip=0.05, warmup_steps=5)
    data = ToyData(CELLS, batch_size=8)
    decoder, naive = IndependentPixels(CELLS), IndependentPixels(CELLS)
    naive.load_state_dict(decoder.state_dict())
    result = fit(decoder, data, config, seed=3)

    adam = torch.optim.Adam(naive.parameters(), betas=config.betas, foreach=False)
    history, losses = [], []
    for step in range(result.best_step):
        draw = draw_step(data, 3, step, config.null_share)
        adam.param_groups[0]["lr"] = learning_rate(config, step)
        loss = -naive(draw.minibatch.condition, draw.null_mask).log_prob(draw.minibatch.images).mean() / 4
        adam.zero_grad(set_to_none=False)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(naive.parameters(), 0.05)
        adam.step()
        history.append(torch.nn.utils.parameters_to_vector(naive.parameters()).detach())
        losses.append(loss.item() * 4 / math.log(2))
    weights = 0.1 * 0.9 ** np.arange(len(history) - 1, -1, -1.0)
    average = torch.tensor(weights / weights.sum()) @ torch.stack(history)
    fitted = torch.nn.utils.parameters_to_vector(decoder.parameters())
    # clip_grad_norm_ adds 1e-6 to the norm it divides by.
    assert torch.allclose(fitted, average, rtol=0, atol=1e-4)
    assert result.curve[0].training_bits == pytest.approx(np.mean(losses[:10]), abs=1e-4)


# ------------------------------------------------------------------------------------------------ what is returned


def test_decoder_has_the_best_averaged_weights():
    decoder, data = IndependentPixels(CELLS), ToyData(CELLS, batch_size=6, n_training=12)
    result = fit(decoder, data, dataclasses.replace(SHORT, steps=200, averaging=0.9), seed=1)
    best = min(result.curve, key=lambda point: point.validation_bits)
    assert best.step == result.best_step < result.curve[-1].step
    assert code_lengths_bits(decoder, data.validation()).mean() == pytest.approx(best.validation_bits, abs=1e-6)
    null = code_lengths_bits(decoder, data.validation(), null=True)
    assert null.mean() == pytest.approx(best.validation_null_bits, abs=1e-6)
    assert not decoder.training
    assert all(p.grad is None and p.untyped_storage().nbytes() == p.numel() * 4 for p in decoder.parameters())


def test_patience_ends_the_fit():
    config = dataclasses.replace(SHORT, steps=1000, averaging=0.9, patience=2)
    result = fit(IndependentPixels(CELLS), ToyData(CELLS, batch_size=6, n_training=12), config, seed=1)
    assert result.early_stopped
    assert result.steps_done == result.best_step + 20 < 1000


@pytest.mark.parametrize("patience", [0, 12])
@pytest.mark.parametrize(("cells", "n_training"), [(CELLS, 6), ((), 2)])
def test_a_fit_that_learns_its_images_by_heart_is_named(cells, n_training, patience):
    config = dataclasses.replace(SHORT, steps=200, averaging=0.9, patience=patience)
    few = fit(IndependentPixels(cells), ToyData(cells, batch_size=2, n_training=n_training), config, seed=1)
    curve = [point.validation_bits for point in few.curve]
    assert curve[-1] > min(curve) + 0.5  # overfitting, or there would be nothing to name
    assert few.early_stopped is bool(patience)
    assert VALIDATION_CODE_LENGTH_RISING in few.warnings
    assert all(VALIDATION_CODE_LENGTH_RISING in named for named in few.cell_warnings.values())
    if not cells:
        assert VALIDATION_CODE_LENGTH_RISING in few.null_warnings
    enough = fit(IndependentPixels(cells), ToyData(cells, batch_size=6), config, seed=1)
    for named in (enough.warnings, enough.null_warnings, *enough.cell_warnings.values()):
        assert VALIDATION_CODE_LENGTH_RISING not in named


def test_initialise_once_at_the_start_unless_told_otherwise():
    memory, decoder = Memory(), IndependentPixels(CELLS)
    fit(decoder, ToyData(CELLS), SHORT, seed=0, checkpoint=memory)
    fit(decoder, ToyData(CELLS), SHORT, seed=0, checkpoint=memory)
    assert decoder.initialised_with == [48]
    other = IndependentPixels(CELLS)
    fit(other, ToyData(CELLS), SHORT, seed=0, initialise=False)
    assert other.initialised_with == []


def test_progress_reports_bits():
    calls = []
    config = dataclasses.replace(SHORT, steps=25)
    fit(IndependentPixels(), ToyData(), config, seed=0, progress=lambda *call: calls.append(call))
    assert sorted({step for step, _, _ in calls}) == list(range(1, 26))
    assert {steps for _, steps, _ in calls} == {25}
    assert all(call[2]["bits"] == pytest.approx(4 * math.log2(3), abs=2.0) for call in calls)
    assert "validation_bits" not in calls[8][2]
    assert "validation_bits" in calls[-1][2]


def test_a_short_fit_says_so():
    result = fit(IndependentPixels(), ToyData(), dataclasses.replace(SHORT, steps=20), seed=0)
    assert result.warnings == (TRAINING_TOO_SHORT_TO_TELL,)


# ------------------------------------------------------------------------------------------------ out of memory


@pytest.mark.parametrize(("limit", "micro_batch"), [(1, 1), (5, 3), (7, 6), (11, 11)])
def test_micro_batches_change_nothing(double, limit, micro_batch):
    data = ToyData(CELLS, batch_size=11)
    torch.manual_seed(0)
    whole, cut = (IndependentPixels(CELLS, dropout=0.5) for _ in range(2))
    cut.load_state_dict(whole.state_dict())
    cut.limit = limit
    expected = fit(whole, data, SHORT, seed=2)
    result = fit(cut, data, SHORT, seed=2)
    assert result.micro_batch == (micro_batch if limit < 11 else None)
    first, second = (torch.nn.utils.parameters_to_vector(d.parameters()) for d in (whole, cut))
    assert torch.allclose(first, second, rtol=0, atol=1e-10)
    assert [p.validation_bits for p in result.curve] == pytest.approx([p.validation_bits for p in expected.curve])


def test_one_image_that_does_not_fit_is_named():
    with pytest.raises(torch.OutOfMemoryError, match="Not even one image fits"):
        fit(IndependentPixels(CELLS, limit=0), ToyData(CELLS), SHORT, seed=0)


def test_code_lengths_whatever_fits_in_memory():
    data = ToyData(CELLS)
    decoder = IndependentPixels(CELLS, dropout=0.5)
    torch.nn.init.normal_(decoder.null)
    decoder.train()
    whole = code_lengths_bits(decoder, data.validation())
    null = code_lengths_bits(decoder, data.validation(), null=True)
    assert decoder.training
    assert whole.dtype == np.float64
    assert whole.shape == null.shape == (48,)
    with torch.no_grad():
        decoder.eval()
        minibatch = data.validation()[0]
        naive = -decoder(minibatch.condition).log_prob(minibatch.images).double().numpy() / np.log(2)
        naive_null = -decoder(None).log_prob(minibatch.images).double().numpy() / np.log(2)
    np.testing.assert_allclose(whole, naive, rtol=1e-6)
    np.testing.assert_allclose(null, naive_null, rtol=1e-6)
    decoder.limit = 7
    np.testing.assert_allclose(code_lengths_bits(decoder, data.validation()), naive, rtol=1e-6)
    assert code_lengths_bits(decoder, []).shape == (0,)


# ------------------------------------------------------------------------------------------------ mistakes


def test_no_validation_image_is_named():
    data = ToyData()
    data.validation = list
    with pytest.raises(ValueError, match="no validation image"):
        fit(IndependentPixels(), data, SHORT, seed=0)


def test_bfloat16_on_a_cpu_that_would_emulate_it_is_refused(monkeypatch):
    monkeypatch.setattr(gradients, "cpu_multiplies_bfloat16", lambda: False)
    with pytest.raises(ValueError, match="runs on a CPU"):
        fit(
            IndependentPixels(),
            ToyData(),
            dataclasses.replace(SHORT, precision="bfloat16"),
            seed=0,
            accelerator=Accelerator(cpu=True),
        )


def test_nothing_to_train_is_named():
    with pytest.raises(ValueError, match="no trainable parameter"):
        fit(IndependentPixels().requires_grad_(False), ToyData(), SHORT, seed=0)
