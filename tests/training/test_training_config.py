import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ib_analysis.artifacts import UserError
from ib_analysis.training import TrainingConfig, checkpoint_epochs, learning_rate, make_accelerator


@given(st.integers(1, 300), st.lists(st.integers(0, 400)))
def test_checkpoints_are_clipped_and_end_with_the_run(epochs, listed):
    found = checkpoint_epochs(TrainingConfig(epochs=epochs, checkpoints=tuple(listed)))
    assert found[-1] == epochs
    assert set(found) - {epochs} == {epoch for epoch in listed if epoch < epochs}
    assert found == sorted(set(found))


def test_without_a_warmup_the_first_step_is_the_highest():
    assert learning_rate(TrainingConfig(warmup_epochs=0), 0) == 0.1


def test_default_checkpoints():
    assert checkpoint_epochs(TrainingConfig()) == [0, 1, 2, 5, 10, 20, 50, 100, 150, 200]


@given(st.integers(1, 50), st.floats(1e-3, 20), st.floats(1e-4, 1))
def test_learning_rate_rises_then_falls(epochs, warmup, peak):
    config = TrainingConfig(epochs=epochs, warmup_epochs=warmup, learning_rate=peak)
    turn = min(warmup, epochs / 5)
    rates = [learning_rate(config, progress) for progress in np.linspace(0, epochs, 101)]
    assert max(rates) <= peak * (1 + 1e-12)
    assert learning_rate(config, turn) == pytest.approx(peak)
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    rising = [rate for rate, progress in zip(rates, np.linspace(0, epochs, 101), strict=True) if progress < turn]
    assert rising == sorted(rising)
    assert rates[len(rising) :] == sorted(rates[len(rising) :], reverse=True)
    assert learning_rate(config, turn / 2) == pytest.approx(peak / 2)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 1}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"momentum": 1.0}, "momentum"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"warmup_epochs": -1.0}, "warmup_epochs"),
        ({"checkpoints": (-1, 2)}, "counted from 0"),
    ],
)
def test_mistakes_are_explained(change, word):
    with pytest.raises(UserError, match=word):
        TrainingConfig(**change)


def test_without_a_gpu_precision_is_full(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for precision in ("auto", "bfloat16", "float16", "float32"):
        assert make_accelerator(TrainingConfig(precision=precision)).mixed_precision == "no"
