import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ib_analysis.artifacts import UserError
from ib_analysis.encoders import EncoderConfig, build_encoder, multiply_accumulates, tap_shapes
from ib_analysis.encoders.resnet import PaddedIdentity, he_initialise


def build(task="classification", shape=(3, 32, 32), classes=10, seed=0, **config):
    return build_encoder(EncoderConfig(**config), task, shape, 256, classes, seed)


def n_parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("shortcut", "expected"), [("A", 269_722), ("B", 272_474)])
def test_resnet20_has_the_known_number_of_parameters(shortcut, expected):
    assert n_parameters(build(depth=20, shortcut=shortcut)) == expected


def test_resnet20_has_the_known_number_of_macs():
    network = build(depth=20).eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    assert counter.get_total_flops() == 2 * 40_551_040
    assert multiply_accumulates(network, (3, 32, 32)) == 40_551_040


@pytest.mark.parametrize(("depth", "expected"), [(32, 68_862_592), (56, 125_485_696)])
def test_deeper_resnets_have_the_known_macs(depth, expected):
    assert multiply_accumulates(build(depth=depth), (3, 32, 32)) == expected


@pytest.mark.parametrize("task", ["classification", "autoencoding"])
@pytest.mark.parametrize("bottleneck", ["h3", "h4"])
@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_macs_agree_with_torchs_own_count(task, bottleneck, shortcut):
    network = build(task, (3, 9, 11), depth=14, width=4, shortcut=shortcut, bottleneck=bottleneck).eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 9, 11, dtype=torch.uint8))
    assert 2 * multiply_accumulates(network, (3, 9, 11)) == counter.get_total_flops()


@pytest.mark.parametrize("task", ["classification", "autoencoding"])
@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_every_tap_but_the_first_is_a_function_of_the_one_that_the_network_names(task, shortcut):
    network = build(task, (1, 8, 8), depth=14, width=4, shortcut=shortcut).eval()
    images = torch.randint(256, (2, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        taps = network.taps(images)
        functions = {"h2": network.trunk.stages[1], "h3": network.trunk.stages[2], "h4": lambda h: h.mean((2, 3))}
        assert set(network.determined_by) == set(functions)
        for tap, function in functions.items():
            assert torch.equal(taps[tap], function(taps[network.determined_by[tap]]))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 8, 8), {"h1": (4, 8, 8), "h2": (8, 4, 4), "h3": (16, 2, 2), "h4": (16,)}),
        ((3, 32, 32), {"h1": (4, 32, 32), "h2": (8, 16, 16), "h3": (16, 8, 8), "h4": (16,)}),
        ((1, 9, 14), {"h1": (4, 9, 14), "h2": (8, 5, 7), "h3": (16, 3, 4), "h4": (16,)}),
    ],
)
@pytest.mark.parametrize("task", ["classification", "autoencoding"])
@pytest.mark.parametrize("bottleneck", ["h3", "h4"])
def test_shapes(shape, expected, task, bottleneck):
    network = build(task, shape, classes=5, depth=8, width=4, bottleneck=bottleneck)
    assert tap_shapes(network, shape) == expected
    assert network.training, "the mode is left as it was"
    images = torch.randint(0, 256, (3, *shape), dtype=torch.uint8)
    output = network(images)
    if task == "classification":
        assert output.shape == (3, 5)
    else:
        assert output.shape == (3, *shape)
        assert output.min() >= 0
        assert output.max() <= 1
    assert {layer: tuple(tap.shape[1:]) for layer, tap in network.taps(images).items()} == expected


@pytest.mark.parametrize("task", ["classification", "autoencoding"])
@pytest.mark.parametrize("bottleneck", ["h3", "h4"])
@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_a_gradient_reaches_every_parameter(task, bottleneck, shortcut):
    network = build(task, (1, 8, 8), depth=14, width=4, bottleneck=bottleneck, shortcut=shortcut)
    images = torch.randint(0, 256, (8, 1, 8, 8), dtype=torch.uint8)
    (network(images) * torch.rand_like(network(images))).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def naive_forward(network, images):
    """The network of He et al. 2016 written out with functional calls only, evaluation mode."""

    def normalise(x, layer):
        return F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias)

    x = images.double() / 255
    x = (x - network.normalisation.mean[:, None, None]) / network.normalisation.std[:, None, None]
    stem = network.trunk.stem
    x = F.relu(normalise(F.conv2d(x, stem[0].weight, padding=1), stem[1]))
    taps = {}
    for index, stage in enumerate(network.trunk.stages):
        for position, block in enumerate(stage):
            stride = 2 if index and not position else 1
            convolution1, norm1, _, convolution2, norm2 = block.residual
            y = F.relu(normalise(F.conv2d(x, convolution1.weight, stride=stride, padding=1), norm1))
            y = normalise(F.conv2d(y, convolution2.weight, padding=1), norm2)
            shortcut = torch.zeros_like(y)
            shortcut[:, : x.shape[1]] = x[:, :, ::stride, ::stride]
            x = F.relu(y + shortcut)
        taps[f"h{index + 1}"] = x
    taps["h4"] = x.flatten(2).mean(2)
    return taps, F.linear(taps["h4"], network.head.weight, network.head.bias)


def test_option_a_agrees_with_a_written_out_network():
    torch.manual_seed(0)
    network = build(shape=(3, 10, 12), depth=14, width=3).double()
    images = torch.randint(0, 256, (4, 3, 10, 12), dtype=torch.uint8)
    network.fit_preprocessing(images)
    network(images)  # moves the running statistics away from 0 and 1
    network.eval()
    taps, logits = naive_forward(network, images)
    torch.testing.assert_close(network(images), logits)
    for layer, activations in network.taps(images).items():
        torch.testing.assert_close(activations, taps[layer])


def test_padded_identity_adds_zero_channels():
    x = torch.arange(2 * 3 * 5 * 5.0).reshape(2, 3, 5, 5)
    y = PaddedIdentity(new_channels=2, stride=2)(x)
    assert y.shape == (2, 5, 3, 3)
    assert torch.equal(y[:, :3], x[:, :, ::2, ::2])
    assert not y[:, 3:].any()


def test_option_a_needs_no_parameters_in_shortcuts():
    network = build(depth=8)
    assert not [name for name, _ in network.named_parameters() if "shortcut" in name]


def test_he_initialisation_has_the_right_variance_and_leaves_the_global_state_alone():
    network = nn.Sequential(nn.Conv2d(32, 64, 3), nn.Linear(500, 200))
    state = torch.random.get_rng_state()
    he_initialise(network, seed=3)
    assert torch.equal(torch.random.get_rng_state(), state)
    for layer, fan_in in ((network[0], 32 * 9), (network[1], 500)):
        assert layer.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.02)
        assert not layer.bias.any()


def test_a_seed_makes_the_network():
    state = torch.random.get_rng_state()
    first, again, other = (build(depth=8, seed=seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_both_tasks_share_the_trunks_shape():
    classifier, autoencoder = build(depth=14), build("autoencoding", depth=14)
    shapes = [
        {name: value.shape for name, value in network.trunk.state_dict().items()}
        for network in (classifier, autoencoder)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("depth", [2, 7, 9, 21])
def test_depth_must_be_6n_plus_2(depth):
    with pytest.raises(UserError, match="6n\\+2"):
        EncoderConfig(depth=depth)


def test_mistakes_are_explained():
    with pytest.raises(UserError, match="width"):
        EncoderConfig(width=0)
    with pytest.raises(UserError, match="too small"):
        build(shape=(1, 3, 3))
    with pytest.raises(UserError, match="'segmentation'"):
        build("segmentation")
