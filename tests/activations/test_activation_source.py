import warnings

import numpy as np
import pytest
import torch
from activation_toys import load_encoder, make_data
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ib_analysis.activations import RecomputedActivations, bytes_per_image, to_float16
from ib_analysis.artifacts import UserError
from ib_analysis.encoders import NamedTaps


@given(st.lists(st.floats(-1e7, 1e7, width=32), min_size=1, max_size=30))
def test_float16_agrees_with_numpy_and_stays_finite(values):
    array = np.array(values, dtype=np.float32)
    found, n_beyond = to_float16(torch.from_numpy(array))
    assert np.isfinite(found.numpy()).all()
    np.testing.assert_array_equal(found.numpy(), np.clip(array, -65504, 65504).astype(np.float16))
    assert n_beyond == (np.abs(array) > 65504).sum()


def test_infinities_are_clamped_and_nan_is_refused():
    found, n_beyond = to_float16(torch.tensor([float("inf"), -float("inf"), 1.0]))
    assert found.tolist() == [65504, -65504, 1]
    assert n_beyond == 2
    with pytest.raises(UserError, match="learning_rate"):
        to_float16(torch.tensor([float("nan"), 1.0]))


def test_groups_are_evaluated_as_batches_of_their_own_images():
    data = make_data()
    source = RecomputedActivations(load_encoder, data, (0, 3), ("h2", "h4"), group_size=8)
    images = torch.from_numpy(np.concatenate([data.decoder.images, data.evaluation.images]))
    for epoch in (0, 3):
        encoder = load_encoder(epoch).eval()
        for group, (start, stop) in enumerate(source.groups.bounds):
            with torch.no_grad():
                expected = encoder.taps(images[start:stop])
            for layer in ("h2", "h4"):
                found = source.read(epoch, layer, group)
                assert found.dtype == torch.float16
                assert torch.equal(found, expected[layer].half())
                assert found.shape[1:] == source.shape(layer)


def test_one_forward_pass_gives_all_layers_and_each_encoder_is_loaded_once():
    loads, passes = [], []

    def load(epoch):
        loads.append(epoch)
        encoder = load_encoder(epoch)
        encoder.trunk.register_forward_hook(lambda *_: passes.append(epoch))
        return encoder

    source = RecomputedActivations(load, make_data(), (0, 3), ("h1", "h2", "h3", "h4"), group_size=8)
    for epoch in source.epochs:
        source.layout(epoch, "h1")  # its numbers are chosen now
    passes.clear()
    for epoch, group in ((0, 0), (3, 0), (0, 1)):
        for layer in source.layers:
            source.read(epoch, layer, group)
    assert passes == [0, 3, 0]
    assert sorted(loads) == [0, 3]


def test_activations_are_made_without_tf32():
    def settings():
        return torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision

    seen = []

    def load(epoch):
        encoder = load_encoder(epoch)
        encoder.trunk.register_forward_hook(lambda *_: seen.append(settings()))
        return encoder

    source = RecomputedActivations(load, make_data(), (0,), ("h1",), group_size=8)
    seen.clear()
    before = settings()
    source.read(0, "h1", 0)
    assert len(seen) > 1  # the sample from which numbers are chosen is taken alike
    assert set(seen) == {("ieee", "ieee")}
    assert settings() == before


def test_activations_can_be_trained_on():
    source = RecomputedActivations(load_encoder, make_data(), (0,), ("h4",), group_size=8)
    weight = torch.ones(1, 16, requires_grad=True)
    nn.functional.linear(source.read(0, "h4", 0).float(), weight).sum().backward()
    assert weight.grad is not None


def test_values_beyond_float16_are_warned_of_once():
    class Loud(nn.Module):
        def __init__(self):
            super().__init__()
            self.loud = nn.Flatten()

        def forward(self, x):
            return self.loud(x)

    data = make_data()
    network = NamedTaps(Loud(), {"h1": "loud"}, lambda images: images.float() * 1e4)
    source = RecomputedActivations(lambda epoch: network, data, (5,), ("h1",), 8, storage="float16")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for group in range(len(source.groups)):
            source.read(5, "h1", group)
    told = [str(warning.message) for warning in caught]
    assert [message[:30] for message in told] == ["Activations of h1 at epoch 5 e", "Activations of h1 at epoch 5 l"]
    expected = (data.decoder.images[:8].astype(float) * 1e4 > 65504).sum()
    assert source.n_clamped(5, "h1", 0) == expected


def test_an_unknown_layer_is_explained():
    with pytest.raises(UserError, match=r"'h9'.*h1, h2, h3, h4"):
        RecomputedActivations(load_encoder, make_data(), (0,), ("h9",), group_size=8)


def test_bytes_per_image_of_resnet20_on_cifar():
    shapes = {"h1": (16, 32, 32), "h2": (32, 16, 16), "h3": (64, 8, 8), "h4": (64,)}
    assert bytes_per_image(shapes, 10) == 10 * 2 * (16384 + 8192 + 4096 + 64)
