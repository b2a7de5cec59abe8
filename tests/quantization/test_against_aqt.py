"""Codes, and averages of activations, against the JAX primitives that AQT itself published (aqtp 0.9.0)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ib_analysis.quantization.bounds import ActivationBounds
from ib_analysis.quantization.integers import (
    signed_codes,
    signed_scale,
    unsigned_codes,
    unsigned_scale,
    weight_bound,
)

pytestmark = pytest.mark.slow
REASON = "needs the peers: pip install -e '.[peers]'"
EPS = np.finfo(np.float32).eps


def random_numbers(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Ordinary numbers, and among them ties, zeros, all-zero channels, huge and tiny values."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape).astype(np.float32) * np.float32(10.0) ** rng.integers(-6, 7, size=(shape[0], 1))
    x[rng.random(shape) < 0.1] = 0
    x[0] = 0
    x[1] = np.round(x[1] * 2) / 2  # ties, where the scale is a power of two
    return x.astype(np.float32)


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("seed", range(5))
def test_codes_are_equal_element_for_element(bits: int, seed: int) -> None:
    primitives = pytest.importorskip("aqt.jax_legacy.jax.primitives", reason=REASON)
    jnp = pytest.importorskip("jax.numpy", reason=REASON)
    x = random_numbers(seed, (16, 400))
    bound = np.abs(x).max(1, keepdims=True)
    settings = {"prec": bits, "dtype": jnp.float32, "half_shift": False}

    limit = primitives.signed_int_bound(prec=bits, half_shift=False)
    theirs = primitives.round_and_clip_to_signed_int(x * (limit / (bound + EPS)), **settings)
    weight = torch.from_numpy(x)
    ours = signed_codes(weight, signed_scale(weight_bound(weight), bits), bits)
    np.testing.assert_array_equal(ours.numpy(), np.asarray(theirs))

    positive, bound = np.maximum(x, 0), np.float32(0.7) * bound
    limit = primitives.unsigned_int_bound(prec=bits)
    theirs = primitives.floor_and_clip_to_unsigned_int(positive * (limit / (bound + EPS)), **settings)
    ours = unsigned_codes(torch.from_numpy(positive), unsigned_scale(torch.from_numpy(bound), bits), bits)
    np.testing.assert_array_equal(ours.numpy(), np.asarray(theirs))


def test_averages_of_activations_are_equal() -> None:
    stats_module = pytest.importorskip("aqt.jax_legacy.jax.stats", reason=REASON)
    rng = np.random.default_rng(0)
    stats = stats_module.Stats.stats_initializer((1, 4))
    bounds = ActivationBounds(4, start=30)
    for step in range(20):
        x = np.maximum(rng.normal(size=(32, 4)), 0).astype(np.float32) * (1 + step)
        x[:, 0] = 0
        if step == 3:
            x[0, 1] = np.inf
        stats = stats_module.Stats.create_updated_stats(stats, x, axis=(0,), alpha=0.1, exclude_zeros=True)
        bounds.watch(torch.from_numpy(x))
    np.testing.assert_allclose(bounds.maximum.numpy(), np.asarray(stats.mean_batch_maximum)[0], rtol=1e-6)
    np.testing.assert_allclose(bounds.minimum.numpy(), np.asarray(stats.mean_batch_minimum)[0], rtol=1e-6)
