import copy
import warnings

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


def test_a_wrong_node_names_the_nearest_ones(network):
    with pytest.raises(UserError, match="flatten"):
        NamedTaps(network, {"h1": "flaten"}, preprocess)


class Twice(nn.Module):
    """Calls one module twice, and works in place after an addition."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.act(self.first(x) - 0.1)
        y = x.sub(0.2)
        return self.act(y.mul_(3.0))


def test_each_call_of_a_module_has_a_name_and_the_last_one_none(images):
    network = Twice().eval()
    paths = {"last": "act", "first": "act#1", "second": "act#2"}
    found = NamedTaps(network, paths, preprocess).taps(images)
    first = (network.first(preprocess(images)) - 0.1).relu()
    torch.testing.assert_close(found["first"], first)
    torch.testing.assert_close(found["second"], ((first - 0.2) * 3).relu())
    assert torch.equal(found["last"], found["second"])
    with pytest.raises(UserError, match="call 3 of act, which the network calls 2 times"):
        NamedTaps(network, {"third": "act#3"}, preprocess).taps(images)


def test_the_last_relu_of_a_block_is_the_blocks_output(network, images):
    """Beside a node, which needs the network traced, and without one."""
    for beside in ({}, {"pooled": "flatten"}):
        found = NamedTaps(network, {"relu": "layer1.0.relu", "block": "layer1.0", **beside}, preprocess).taps(images)
        assert torch.equal(found["relu"], found["block"])


def test_a_node_keeps_the_value_that_later_work_in_place_destroys(images):
    network = Twice().eval()
    for _ in range(2):  # in evaluation mode, and again after a change of mode
        found = NamedTaps(network, {"difference": "sub_1", "product": "mul_"}, preprocess).taps(images)["difference"]
        expected = (network.first(preprocess(images)) - 0.1).relu() - 0.2
        torch.testing.assert_close(found, expected)
        network.train()


def test_every_module_stays_in_its_own_mode(network, images):
    frozen = copy.deepcopy(network).train()
    frozen.bn1.eval()
    tapped = NamedTaps(frozen, {"h1": "layer1", "pooled": "flatten"}, preprocess)
    before = copy.deepcopy(frozen.state_dict())
    tapped.taps(images)
    assert frozen.layer1[0].bn1.training
    assert not frozen.bn1.training
    assert torch.equal(before["bn1.running_mean"], frozen.bn1.running_mean)
    assert not torch.equal(before["layer1.0.bn1.running_mean"], frozen.layer1[0].bn1.running_mean)


class Parts(nn.Module):
    """Gives what is no tensor of real numbers."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3, padding=1)
        self.pair, self.table, self.waves, self.mask = Pair(), Table(), Waves(), Mask()

    def forward(self, x):
        x = self.body(x)
        self.table(x), self.waves(x), self.mask(x)
        return self.pair(x)[0]


class Pair(nn.Module):
    def forward(self, x):
        return x + 1, None


class Table(nn.Module):
    def forward(self, x):
        return {"features": {"fine": x - 1}, "loss": 3.0}


class Waves(nn.Module):
    def forward(self, x):
        return torch.fft.fft2(x)


class Mask(nn.Module):
    def forward(self, x):
        return x > 0


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("pair", r"\[0\] \(2, 4, 32, 32\), \[1\] NoneType; tap a part of it: 'pair\[0\]'"),
        ("table", r"tap a part of it: 'table\[features\]\[fine\]'"),
        ("table[loss]", "gives no tensor but float; tap a module"),
        ("pair[2]", r"asks for the part \[2\] of no tensor but a tuple"),
        ("waves", "complex numbers of shape .*view_as_real"),
    ],
)
def test_what_is_no_tensor_of_real_numbers_is_told_in_one_sentence(path, told, images):
    with pytest.raises(UserError, match=told):
        NamedTaps(Parts(), {"h1": path}, preprocess).eval().taps(images)


def test_parts_and_truth_values_are_taps(images):
    network = Parts().eval()
    paths = {"pair": "pair[0]", "fine": "table[features][fine]", "mask": "mask"}
    found = NamedTaps(network, paths, preprocess).taps(images)
    body = network.body(preprocess(images))
    torch.testing.assert_close(found["pair"], body + 1)
    torch.testing.assert_close(found["fine"], body - 1)
    assert found["mask"].dtype == torch.bool
    assert torch.equal(found["mask"], body > 0)


def test_a_script_module_has_parts_to_tap_only_as_a_whole_network(images):
    warnings.simplefilter("ignore")  # torch.jit calls itself deprecated
    network = Branching().eval()
    found = NamedTaps(torch.jit.script(network), {"h1": "first"}, preprocess).taps(images)["h1"]
    torch.testing.assert_close(found, network.first(preprocess(images)))
    inner = nn.Sequential(torch.jit.script(network))
    around = nn.Sequential(inner, nn.Linear(4, 2)).eval()
    for path, told in (("0.0.first", "lies inside 0.0, a ScriptModule"), ("0.0", "is 0.0, a ScriptModule")):
        with pytest.raises(UserError, match=told):
            NamedTaps(around, {"h1": path}, preprocess)
    found = NamedTaps(around, {"h1": "0"}, preprocess).taps(images)["h1"]
    torch.testing.assert_close(found, network(preprocess(images)))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", " a", "a\n"])
def test_names_that_files_cannot_have_are_refused(network, name):
    with pytest.raises(UserError, match="can be no name of a dataset"):
        NamedTaps(network, {name: "layer1"}, preprocess)
