import math

import numpy as np
import pytest
import torch

from ib_analysis.artifacts import UserError
from ib_analysis.information.features import Components
from ib_analysis.information.noise_probe import probe_noise
from ib_analysis.information.probe import ProbeConfig, ProbeSplit, probe_targets

SPLIT = ProbeSplit(2000, 500, 1000)
CONFIG = ProbeConfig(epochs=15, hidden_units=32, batch_size=128)


def evaluation_bits(probe) -> float:
    assert probe.cross_entropy_bits.shape == (SPLIT.n_evaluation,)
    return float(probe.cross_entropy_bits.mean())


def test_erasure_channel():
    # H is the one-hot label, or nothing with probability e: I(H;Y) = (1 - e) log2 k.
    k, e = 8, 0.3
    rng = np.random.default_rng(0)
    label = rng.integers(0, k, SPLIT.total)
    erased = rng.random(SPLIT.total) < e
    h = np.eye(k, dtype=np.float32)[label] * ~erased[:, None]
    found = probe_targets(h, {"label": label}, SPLIT, CONFIG)["label"]
    # Given the erasures of the evaluation images, the ideal cross-entropy is their share times log2 k.
    ideal = erased[SPLIT.evaluation].mean() * math.log2(k)
    for probe in (found.linear, found.network):
        assert ideal - 0.01 < evaluation_bits(probe) < ideal + 0.08
    assert found.better.accuracy == pytest.approx(1 - e + e / k, abs=0.05)


def test_gaussian_channel():
    # Y a fair sign, H = Y + standard normal noise: the posterior is logistic(2 h).
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, SPLIT.total)
    h = (2 * label - 1 + rng.normal(size=SPLIT.total)).astype(np.float32)
    signed = (2 * label - 1) * h.astype(np.float64)
    ideal = np.log2(1 + np.exp(-2 * signed))[SPLIT.evaluation]
    found = probe_targets(h[:, None], {"label": label}, SPLIT, CONFIG)["label"]
    assert evaluation_bits(found.linear) == pytest.approx(ideal.mean(), abs=0.01)
    assert evaluation_bits(found.network) == pytest.approx(ideal.mean(), abs=0.03)


def test_exclusive_or_is_seen_by_the_network_only():
    rng = np.random.default_rng(2)
    bits = rng.integers(0, 2, (SPLIT.total, 2))
    h = bits + rng.normal(0, 0.05, bits.shape)
    found = probe_targets(h.astype(np.float32), {"xor": bits[:, 0] ^ bits[:, 1]}, SPLIT, CONFIG)["xor"]
    assert evaluation_bits(found.linear) == pytest.approx(1.0, abs=0.02)
    assert evaluation_bits(found.network) < 0.1
    assert found.better is found.network
    assert found.network.accuracy > 0.99


def test_nothing_is_found_where_nothing_is():
    rng = np.random.default_rng(3)
    target = rng.choice(3, p=[0.5, 0.25, 0.25], size=SPLIT.total)
    h = rng.normal(size=(SPLIT.total, 300)).astype(np.float32)
    found = probe_targets(h, {"target": target}, SPLIT, CONFIG)["target"]
    for probe in (found.linear, found.network):
        assert evaluation_bits(probe) == pytest.approx(1.5, abs=0.05)


def test_many_targets_at_once_are_each_found():
    rng = np.random.default_rng(4)
    targets = {"seven": rng.integers(0, 7, SPLIT.total), "two": rng.integers(0, 2, SPLIT.total) * 40 - 3}
    h = np.concatenate([np.eye(7)[targets["seven"]], targets["two"][:, None]], 1).astype(np.float16)
    h = np.tile(h[:, :, None, None], (1, 1, 4, 4))  # spatial, and pooled to one position
    found = probe_targets(h, targets, SPLIT, ProbeConfig(epochs=25, max_features=8))
    assert list(found) == ["seven", "two"]
    for pair in found.values():
        assert evaluation_bits(pair.better) < 0.15
        assert pair.better.accuracy == 1.0


def test_evaluation_images_decide_nothing():
    rng = np.random.default_rng(5)
    label = rng.integers(0, 4, SPLIT.total)
    h = (np.eye(4)[label] + rng.normal(0, 0.7, (SPLIT.total, 4))).astype(np.float32)
    one = probe_targets(h, {"label": label}, SPLIT, CONFIG)["label"]
    other_labels = label.copy()
    other_labels[SPLIT.evaluation] = rng.permutation(other_labels[SPLIT.evaluation])
    other = probe_targets(h, {"label": other_labels}, SPLIT, CONFIG)["label"]
    assert one.better.validation_bits == other.better.validation_bits
    assert one.better.epoch == other.better.epoch
    # Scored against shuffled labels the same guesses cost more than knowing nothing.
    assert evaluation_bits(other.better) > 2.0 > evaluation_bits(one.better)


def test_the_kept_weights_are_those_of_the_best_epoch():
    # Overfits at once: few images, many features. Training on must not change what was kept.
    split = ProbeSplit(60, 200, 1000)
    rng = np.random.default_rng(6)
    label = rng.integers(0, 2, split.total)
    h = rng.normal(size=(split.total, 200)).astype(np.float32)
    h[:, 0] += 1.5 * (2 * label - 1)
    pair = probe_targets(h, {"label": label}, split, ProbeConfig(epochs=40, patience=40))["label"]
    for probe in (pair.linear, pair.network):
        # Validation and evaluation images are alike, so are their cross-entropies at one set of weights.
        assert probe.cross_entropy_bits.mean() == pytest.approx(probe.validation_bits, abs=0.12)
        assert probe.epoch is None or probe.epoch < 40


def wide_layer(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A layer (n, 64, 8, 8) that tells a class by 12 of its 4,096 directions, beside 40 of strong nuisance and noise in
    all of them; labels; and the ideal cross-entropies: given the directions, classes are Gaussians of known means."""
    classes, told, nuisance, noise = 10, 12, 40, 2.5
    fixed, rng = np.random.default_rng(1), np.random.default_rng(seed)
    directions, _ = np.linalg.qr(fixed.normal(size=(4096, told + nuisance)))
    means = fixed.normal(size=(classes, told))
    means *= 2.2 / np.linalg.norm(means, axis=1, keepdims=True)
    label = rng.integers(0, classes, n)
    inside = np.concatenate([means[label] + 0.5 * rng.normal(size=(n, told)), 3 * rng.normal(size=(n, nuisance))], 1)
    h = 8 * inside @ directions.T + noise * rng.normal(size=(n, 4096))
    squares = ((h @ directions[:, :told] / 8)[:, None] - means) ** 2
    logits = -squares.sum(2) / (2 * (0.5**2 + (noise / 8) ** 2))
    ideal = np.logaddexp.reduce(logits, 1) - logits[np.arange(n), label]
    return h.astype(np.float16).reshape(n, 64, 8, 8), label, ideal / math.log(2)


def test_a_wide_layer_and_few_images():
    split = ProbeSplit(1000, 120, 1000)
    h, label, ideal = wide_layer(split.total, seed=0)
    truth = math.log2(10) - ideal[split.evaluation].mean()
    assert truth == pytest.approx(3.04, abs=0.05)
    found = probe_targets(h, {"label": label}, split)["label"]
    linear, network = (math.log2(10) - probe.cross_entropy_bits.mean() for probe in (found.linear, found.network))
    # Probes of the features alone find 2.0 and 1.4 bits.
    assert 2.2 < linear < truth
    assert 2.2 < network < truth


def test_components_of_a_layer_of_low_rank_are_those_of_the_covariance():
    rng = np.random.default_rng(10)
    h = torch.from_numpy(rng.normal(size=(500, 8)) * 2.0 ** np.arange(8) @ rng.normal(size=(8, 300))).float()
    found = Components.of(h, 20)
    assert found.directions.shape == (300, 8)  # no direction of rounding noise
    standardised = found.standardisation(h).double()
    values, _ = torch.linalg.eigh(torch.cov(standardised.T))
    assert torch.allclose(found(h).var(0).double(), values.flip(0)[:8], rtol=1e-3)
    assert torch.allclose(found.directions.T @ found.directions, torch.eye(8), atol=1e-4)


def test_a_network_that_learns_its_images_by_heart_at_once_is_named():
    rng = np.random.default_rng(11)
    split = ProbeSplit(200, 400, 10)
    label = rng.integers(0, 2, split.total)
    weak = rng.normal(size=(split.total, 30)).astype(np.float32)
    weak[:, 0] += 0.8 * (2 * label - 1)
    config = ProbeConfig(epochs=20, patience=20, batch_size=8, weight_decay=0.0)
    assert probe_targets(weak, {"label": label}, split, config)["label"].network.overfits_at_once
    clear = np.eye(2, dtype=np.float32)[label]
    for probe in vars(probe_targets(clear, {"label": label}, split, config)["label"]).values():
        assert not probe.overfits_at_once


@pytest.mark.parametrize("features", [20, 800])  # probes of features, of components
@pytest.mark.parametrize("leak", [5, 70, None])  # a training image, a validation image, only evaluation images
def test_a_guard_sees_every_image_that_a_probe_is_fitted_to_or_chosen_by(features, leak):
    split = ProbeSplit(60, 20, 20)
    seen: set[int] = set()

    def guard(places, where: str) -> None:
        seen.update(map(int, places))
        if leak in seen:
            raise UserError(where)

    h = np.random.default_rng(12).normal(size=(split.total, features)).astype(np.float32)
    label = np.arange(split.total) % 2
    if leak is None:
        probe_targets(h, {"label": label}, split, CONFIG, guard=guard)
        assert seen == set(range(80))
    else:
        with pytest.raises(UserError):
            probe_targets(h, {"label": label}, split, CONFIG, guard=guard)


def test_a_guard_sees_every_image_that_a_noise_probe_is_fitted_to_or_chosen_by():
    seen: set[int] = set()

    def guard(places, where: str) -> None:
        seen.update(map(int, places))

    noise = noise_of(2)
    probe_noise(noise.reshape(-1, 1, *SIZE).astype(np.float32), noise, SIZE, SPLIT, ProbeConfig(epochs=1), guard=guard)
    assert seen == set(range(SPLIT.n_training + SPLIT.n_validation))


def test_seed_decides():
    rng = np.random.default_rng(7)
    label = rng.integers(0, 3, SPLIT.total)
    h = (np.eye(3)[label] + rng.normal(size=(SPLIT.total, 3))).astype(np.float32)
    one, same, other = (
        probe_targets(h, {"label": label}, SPLIT, ProbeConfig(epochs=2), seed=seed)["label"] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.network.cross_entropy_bits, same.network.cross_entropy_bits)
    assert (one.network.cross_entropy_bits != other.network.cross_entropy_bits).any()


def test_class_missing_from_training_costs_finite_bits():
    label = np.zeros(SPLIT.total, dtype=np.int64)
    label[SPLIT.evaluation] = 1
    label[:1000] = 2
    h = np.random.default_rng(8).normal(size=(SPLIT.total, 2)).astype(np.float32)
    found = probe_targets(h, {"label": label}, SPLIT, ProbeConfig(epochs=1))["label"]
    assert np.isfinite(found.better.cross_entropy_bits).all()
    assert evaluation_bits(found.better) > 5


def test_mistakes_are_named():
    h, label = np.zeros((10, 2), dtype=np.float32), np.zeros(10, dtype=np.int64)
    with pytest.raises(ValueError, match="no target"):
        probe_targets(h, {}, ProbeSplit(6, 2, 2))
    with pytest.raises(ValueError, match="activations holds 10 images, the split 11"):
        probe_targets(h, {"label": label}, ProbeSplit(7, 2, 2))
    with pytest.raises(ValueError, match="label holds 9"):
        probe_targets(h, {"label": label[:9]}, ProbeSplit(6, 2, 2))
    with pytest.raises(UserError, match="validation_share"):
        ProbeSplit(6, 0, 2)


@pytest.mark.parametrize("field", ["epochs", "patience", "hidden_units", "batch_size", "max_features"])
def test_settings_that_cannot_work_are_named(field):
    with pytest.raises(UserError, match=f"probe.{field} is 0"):
        ProbeConfig(**{field: 0})
    with pytest.raises(UserError, match=r"probe\.learning_rate"):
        ProbeConfig(learning_rate=0.0)


# ---------------------------------------------------------------------------------------------- noise

SIZE = (4, 6)
PIXELS = 24


def noise_of(levels: int) -> np.ndarray:
    return np.random.default_rng(9).integers(0, levels, (SPLIT.total, PIXELS)).astype(np.uint8)


@pytest.mark.parametrize("levels", [2, 3])
def test_copied_noise_is_found_whole(levels):
    noise = noise_of(levels)
    h = np.eye(levels)[noise].transpose(0, 2, 1).reshape(-1, levels, *SIZE)
    found = probe_noise(h.astype(np.float16), noise, SIZE, SPLIT, CONFIG)
    assert PIXELS * math.log2(levels) - evaluation_bits(found.better) > 0.97 * PIXELS * math.log2(levels)
    assert found.better.accuracy == 1.0


def test_each_pixel_of_a_patch_is_found_at_its_place():
    # Noise moved from 2x2 patches into channels: a layer of half the size that has lost nothing.
    noise = noise_of(2)
    h = noise.reshape(-1, 2, 2, 3, 2).transpose(0, 2, 4, 1, 3).reshape(-1, 4, 2, 3)
    found = probe_noise(h.astype(np.float32), noise, SIZE, SPLIT, CONFIG)
    assert evaluation_bits(found.better) < 0.03 * PIXELS


def test_coarse_noise_is_found_in_a_finer_layer():
    # One of the 2x2 positions of each symbol holds it: the probe must look at all four, each for itself.
    noise = noise_of(2).reshape(-1, 1, *SIZE)
    h = np.zeros((len(noise), 1, 2 * SIZE[0], 2 * SIZE[1]), dtype=np.float32)
    h[:, :, ::2, 1::2] = noise
    found = probe_noise(h, noise.reshape(len(noise), -1), SIZE, SPLIT, CONFIG)
    assert evaluation_bits(found.better) < 0.03 * PIXELS


def test_noise_in_a_vector_is_found():
    noise = noise_of(2)
    found = probe_noise(noise.astype(np.float32), noise.reshape(-1, *SIZE), SIZE, SPLIT, CONFIG)
    assert evaluation_bits(found.better) < 0.05 * PIXELS


def test_half_the_noise_is_half_the_bits():
    noise = noise_of(2)
    h = noise.reshape(-1, 1, *SIZE).astype(np.float32)
    h[..., 3:] = 0  # the right half is lost; the left one is there
    found = probe_noise(h, noise, SIZE, SPLIT, ProbeConfig(epochs=30, hidden_units=64))
    # A local probe does not know where it is: where the layer is 0 it must hedge, unless its neighbours tell.
    assert 0 < PIXELS - evaluation_bits(found.better) < PIXELS / 2 + 0.5


@pytest.mark.parametrize("shape", [(5, 2, 3), (5,), (3, 3, 5)])
def test_independent_activations_hold_no_noise(shape):
    h = np.random.default_rng(10).normal(size=(SPLIT.total, *shape)).astype(np.float32)
    found = probe_noise(h, noise_of(2), SIZE, SPLIT, CONFIG)
    assert evaluation_bits(found.better) == pytest.approx(PIXELS, abs=0.1)


def test_parity_with_the_clean_image_needs_the_local_network():
    # h = clean + 2 * (clean xor noise) has lost nothing, but is not linear in the noise.
    noise = noise_of(2)
    clean = np.random.default_rng(11).integers(0, 2, noise.shape)
    h = np.stack([clean, clean ^ noise], 1).reshape(-1, 2, *SIZE).astype(np.float32)
    found = probe_noise(h, noise, SIZE, SPLIT, ProbeConfig(epochs=15, hidden_units=256))
    assert evaluation_bits(found.linear) > 0.98 * PIXELS
    assert evaluation_bits(found.network) < 0.1 * PIXELS


def test_noise_of_other_shapes_is_refused():
    with pytest.raises(ValueError, match="split"):
        probe_noise(torch.zeros(5, 2), noise_of(2), SIZE, SPLIT)
    with pytest.raises(ValueError, match="symbols per image"):
        probe_noise(torch.zeros(SPLIT.total, 2), noise_of(2)[:, :-1], SIZE, SPLIT)
