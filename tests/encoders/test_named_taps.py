import copy

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from ib_analysis.artifacts import UserError
from ib_analysis.encoders import NamedTaps, tap_shapes


def preprocess(images):
    x = nn.functional.interpolate(images.float() / 255, size=(32, 32), mode="bilinear")
    return x.expand(-1, 3, -1, -1)


class Branching(nn.Module):
    """Cannot be traced: its path depends on its input."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.never = nn.Linear(2, 2)

    def forward(self, x):
        x = self.first(x)
        if x.sum() > 1e9:
            x = x * 2
        return self.relu(x).mean((2, 3))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return resnet18(weights=None).eval()


@pytest.fixture(scope="module")
def images():
    return torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8)


def test_taps_are_what_forward_hooks_see(network, images):
    # layer1.0.bn2 is overwritten by the addition that follows it: the tap must hold its value before that.
    paths = {"h1": "layer1", "deep": "layer3.1.conv2", "before_sum": "layer1.0.bn2", "pooled": "avgpool"}
    seen, handles = {}, []
    for layer, path in paths.items():
        module = network.get_submodule(path)
        handles.append(module.register_forward_hook(lambda *a, layer=layer: seen.update({layer: a[2].clone()})))
    expected = network(preprocess(images))
    for handle in handles:
        handle.remove()
    tapped = NamedTaps(network, paths, preprocess).eval()
    found = tapped.taps(images)
    assert tuple(found) == tapped.layers == tuple(paths)
    for layer in paths:
        torch.testing.assert_close(found[layer], seen[layer], msg=layer)
    torch.testing.assert_close(tapped(images), expected)
    assert tap_shapes(tapped, (1, 8, 8))["pooled"] == (512, 1, 1)


def test_the_networks_weights_are_saved_once_and_followed(network, images):
    tapped = NamedTaps(copy.deepcopy(network), {"h1": "layer1"}, preprocess).eval()
    assert set(tapped.state_dict()) == {f"network.{name}" for name in network.state_dict()}
    before = tapped.taps(images)["h1"]
    state = {name: value * 2 for name, value in tapped.state_dict().items()}
    tapped.load_state_dict(state)
    assert not torch.allclose(tapped.taps(images)["h1"], before)


def test_a_moved_network_is_tapped_where_it_is(network, images):
    tapped = NamedTaps(copy.deepcopy(network), {"h1": "layer1"}, lambda x: preprocess(x).double()).eval()
    assert tapped.double().taps(images)["h1"].dtype == torch.float64


def test_training_mode_uses_batch_statistics(network, images):
    tapped = NamedTaps(copy.deepcopy(network), {"h1": "layer1"}, preprocess).eval()
    evaluation = tapped.taps(images)["h1"]
    training = tapped.train().taps(images)["h1"]
    assert not torch.allclose(evaluation, training)
    torch.testing.assert_close(tapped.train().taps(images)["h1"], training)


def test_a_network_that_cannot_be_traced_is_hooked(images):
    network = Branching().eval()
    tapped = NamedTaps(network, {"h1": "first"}, preprocess)
    torch.testing.assert_close(tapped.taps(images)["h1"], network.first(preprocess(images)))
    with pytest.raises(UserError, match=r"frist.*first"):
        NamedTaps(network, {"h1": "frist"}, preprocess)
    with pytest.raises(UserError, match="never calls its module never"):
        NamedTaps(network, {"h1": "never"}, preprocess).taps(images)


def test_a_wrong_path_is_explained(network):
    with pytest.raises(UserError, match=r"layer9.*layer4"):
        NamedTaps(network, {"h1": "layer9"}, preprocess)
    with pytest.raises(UserError, match="same path"):
        NamedTaps(network, {"a": "layer1", "b": "layer1"}, preprocess)
    with pytest.raises(UserError, match="at least one"):
        NamedTaps(network, {}, preprocess)


def test_a_tap_must_be_a_vector_or_a_map():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = nn.Flatten(2)

        def forward(self, x):
            return self.tokens(x)

    with pytest.raises(UserError, match="another module"):
        tap_shapes(NamedTaps(Tokens(), {"h1": "tokens"}, preprocess), (1, 8, 8))
