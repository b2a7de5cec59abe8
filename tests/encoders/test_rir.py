"""ResNet in ResNet: the two forms of a layer, its degenerate cases, sizes, taps, and a published implementation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ib_analysis.artifacts import UserError
from ib_analysis.encoders import (
    EncoderConfig,
    build_encoder,
    decay_origins,
    equal_parameters,
    multiply_accumulates,
    parameter_count,
    tap_shapes,
)
from ib_analysis.encoders.config import BLOCKS
from ib_analysis.encoders.generalized_layer import FourConvolutions, OneConvolution, partial_identity, streams_of
from ib_analysis.encoders.resnet import PaddedIdentity, he_initialise
from ib_analysis.encoders.rir import RiRBlock

SHAPES = [(4, 4, 1), (4, 8, 1), (4, 8, 2), (6, 6, 2), (8, 4, 1)]
"""Channels of both streams before and after a layer, and its stride."""
PAPER = {"architecture": "rir", "depth": 18, "width": 96}


def build(task="classification", shape=(1, 8, 8), classes=10, seed=0, **config):
    return build_encoder(EncoderConfig(**{"architecture": "rir", **config}), task, shape, 256, classes, seed)


def images(n=4, shape=(1, 8, 8), seed=0):
    return torch.randint(256, (n, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def joined(four: FourConvolutions) -> torch.Tensor:
    """The weight of one convolution over both streams, from those of four and the identity, by the equation."""
    learned = torch.cat(
        [
            torch.cat([four.residual_to_residual.weight, four.transient_to_residual.weight], dim=1),
            torch.cat([four.residual_to_transient.weight, four.transient_to_transient.weight], dim=1),
        ]
    )
    return learned + partial_identity(learned.shape[1], learned.shape[0]).to(learned)


def copy_into_one(one: nn.Module, four: nn.Module) -> None:
    """Give a network of single convolutions the weights of one of four."""
    theirs = dict(four.named_modules())
    with torch.no_grad():
        for name, module in one.named_modules():
            if isinstance(module, OneConvolution):
                module.weight.copy_(joined(theirs[name]))
            elif isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
                module.load_state_dict(theirs[name].state_dict())


# ---------------------------------------------------------------------------------------------- the two forms


@pytest.mark.parametrize(("inner", "outer", "stride"), SHAPES)
def test_both_forms_agree_in_outputs_and_gradients(inner, outer, stride):
    torch.manual_seed(0)
    four, one = FourConvolutions(inner, outer, stride, "A").double(), OneConvolution(inner, outer, stride).double()
    with torch.no_grad():
        one.weight.copy_(joined(four))
    xs = [torch.randn(2, inner, 7, 6, dtype=torch.float64).requires_grad_() for _ in range(2)]
    xs[1].data = xs[0].data.clone()
    outputs = [layer(x) for layer, x in zip((four, one), xs, strict=True)]
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-6)
    towards = torch.randn_like(outputs[0])
    for output in outputs:
        (output * towards).sum().backward()
    torch.testing.assert_close(xs[0].grad, xs[1].grad, rtol=0, atol=1e-6)
    gradients = torch.cat(
        [
            torch.cat([four.residual_to_residual.weight.grad, four.transient_to_residual.weight.grad], dim=1),
            torch.cat([four.residual_to_transient.weight.grad, four.transient_to_transient.weight.grad], dim=1),
        ]
    )
    torch.testing.assert_close(one.weight.grad, gradients, rtol=0, atol=1e-6)


@pytest.mark.parametrize("task", ["classification", "autoencoding"])
@pytest.mark.parametrize("block", ["resnet_init", "rir"])
def test_whole_networks_of_both_forms_agree(task, block):
    four = build(task, depth=10, width=4, block=block).double()
    one = build(task, depth=10, width=4, block=block, form="one_convolution").double()
    copy_into_one(one, four)
    torch.testing.assert_close(one(images()), four(images()), rtol=0, atol=1e-6)
    for network in (one.eval(), four.eval()):
        network(images())
    taps = one.taps(images()), four.taps(images())
    assert list(taps[0]) == list(taps[1])
    for name in taps[0]:
        torch.testing.assert_close(taps[0][name], taps[1][name], rtol=0, atol=1e-6)


def test_both_forms_start_with_weights_of_the_same_spread():
    four, one = FourConvolutions(64, 64, 1, "A"), OneConvolution(64, 64, 1)
    he_initialise(four, seed=0)
    he_initialise(one, seed=0)
    expected = (2 / (64 * 9)) ** 0.5
    for weight in (joined(four), one.weight):
        learned = weight - partial_identity(64, 64)
        assert learned.std().item() == pytest.approx(expected, rel=0.03)
        assert learned.mean().item() == pytest.approx(0, abs=3 * expected / learned.numel() ** 0.5)


@pytest.mark.parametrize(("inner", "outer", "stride"), SHAPES)
def test_the_partial_identity_hands_on_the_residual_stream_alone(inner, outer, stride):
    x = torch.randn(2, inner, 5, 6)
    r, t = streams_of(F.conv2d(x, partial_identity(inner, outer), stride=stride, padding=1))
    assert not t.any()
    assert torch.equal(r, PaddedIdentity((outer - inner) // 2, stride)(streams_of(x)[0]))


# ---------------------------------------------------------------------------------------------- degenerate cases


def without_crossing(block: RiRBlock) -> RiRBlock:
    with torch.no_grad():
        for layer in (block.layers[0], block.layers[3]):
            layer.transient_to_residual.weight.zero_()
            layer.residual_to_transient.weight.zero_()
    return block


def test_without_a_transient_stream_it_is_a_resnet_of_one_convolution():
    block = without_crossing(RiRBlock(8, 8, 1, "A", "four_convolutions", outer_shortcut=False))
    r = torch.rand(3, 4, 6, 6)
    first, second = (block.layers[place].residual_to_residual.weight for place in (0, 3))
    y = F.relu(F.batch_norm(F.conv2d(r, first, padding=1) + r, None, None, training=True))
    y = F.relu(F.batch_norm(F.conv2d(y, second, padding=1) + y, None, None, training=True))
    found, transient = streams_of(block(torch.cat([r, torch.zeros_like(r)], dim=1)))
    torch.testing.assert_close(found, y)
    assert not transient.any()


def test_without_a_residual_stream_it_is_a_plain_network():
    block = without_crossing(RiRBlock(8, 16, 2, "A", "four_convolutions", outer_shortcut=False))
    t = torch.rand(3, 4, 6, 6)
    first, second = (block.layers[place].transient_to_transient.weight for place in (0, 3))
    y = F.relu(F.batch_norm(F.conv2d(t, first, stride=2, padding=1), None, None, training=True))
    y = F.relu(F.batch_norm(F.conv2d(y, second, padding=1), None, None, training=True))
    residual, found = streams_of(block(torch.cat([torch.zeros_like(t), t], dim=1)))
    torch.testing.assert_close(found, y)
    assert not residual.any()


@pytest.mark.parametrize(("outer", "stride"), [(4, 1), (8, 2)])
def test_the_outer_shortcut_goes_around_both_streams(outer, stride):
    with_shortcut = RiRBlock(4, outer, stride, "A", "four_convolutions", outer_shortcut=True)
    for parameter in with_shortcut.layers[4].parameters():
        nn.init.zeros_(parameter)  # what is inside gives nothing
    x = torch.rand(2, 4, 6, 6)
    found = with_shortcut(x)
    for of_input, of_output in zip(streams_of(x), streams_of(found), strict=True):
        assert torch.equal(of_output, PaddedIdentity(outer // 2 - 2, stride)(of_input))


def test_without_its_outer_shortcut_rir_is_resnet_init():
    one, other = build(depth=8, width=4, outer_shortcut=False), build(depth=8, width=4, block="resnet_init")
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(images()), other(images()))


# ---------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize(("classes", "expected"), [(10, 9_492_980), (100, 9_527_720)])
def test_the_papers_network_has_the_known_number_of_parameters(classes, expected):
    config = EncoderConfig(**PAPER, shortcut="projection", outer_shortcut=False)
    assert parameter_count(config, (3, 32, 32), classes) == expected


@pytest.mark.parametrize("shortcut", ["identity", "projection"])
@pytest.mark.parametrize("size", [{"depth": 8, "width": 8}, {"depth": 14, "width": 16}, {"depth": 10, "width": 32}])
@pytest.mark.parametrize("outer_shortcut", [True, False])
def test_equal_parameters_are_equal_within_two_percent(shortcut, size, outer_shortcut):
    config = EncoderConfig("rir", **size, shortcut=shortcut, outer_shortcut=outer_shortcut)
    found = equal_parameters(config, (1, 16, 16), 10)
    assert set(found) == set(BLOCKS)
    counts = {block: parameter_count(other, (1, 16, 16), 10) for block, other in found.items()}
    assert found["rir"] == config
    assert max(counts.values()) - min(counts.values()) <= 2 * 0.02 * counts["rir"]
    assert all(abs(count - counts["rir"]) <= 0.02 * counts["rir"] for count in counts.values())
    assert all((other.block, other.depth, other.shortcut) == (block, config.depth, config.shortcut)
               for block, other in found.items())  # fmt: skip


def test_sizes_that_cannot_be_equal_are_refused():
    with pytest.raises(UserError, match="Choose a larger width"):
        equal_parameters(EncoderConfig("rir", depth=8, width=2, shortcut="projection"), (1, 8, 8), 10, 1e-4)
    with pytest.raises(UserError, match="architecture rir"):
        equal_parameters(EncoderConfig(depth=8), (1, 8, 8), 10)


@pytest.mark.parametrize("task", ["classification", "autoencoding"])
@pytest.mark.parametrize("config", [{"block": block} for block in BLOCKS] + [{"form": "one_convolution"}])
def test_macs_agree_with_torchs_own_count(task, config):
    network = build(task, (3, 9, 11), depth=10, width=4, **config).eval()
    with FlopCounterMode(display=False) as counter:
        network(images(1, (3, 9, 11)))
    assert 2 * multiply_accumulates(network, (3, 9, 11)) == counter.get_total_flops()


def test_macs_by_hand():
    """One layer from each stream to each, and nothing for identities."""
    stem, head = 9 * 8 * 64, 32 * 10 * 4
    layers = 9 * (2 * 8 * 8 * 64 + (8 * 16 + 16 * 16) * 16 + (16 * 32 + 32 * 32) * 4)
    for form in ("four_convolutions", "one_convolution"):
        assert multiply_accumulates(build(depth=8, width=8, form=form), (1, 8, 8)) == stem + layers + head


# ---------------------------------------------------------------------------------------------- taps and gradients


@pytest.mark.parametrize("task", ["classification", "autoencoding"])
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("bottleneck", ["h3", "h4"])
def test_shapes_and_names_of_taps(task, block, bottleneck):
    shape = (1, 9, 14)
    network = build(task, shape, classes=5, depth=8, width=4, block=block, bottleneck=bottleneck)
    whole = {"h1": (4, 9, 14), "h2": (8, 5, 7), "h3": (16, 3, 4), "h4": (16,)}
    expected = {}
    for name, (channels, *size) in whole.items():
        expected[name] = (channels, *size)
        if block in ("resnet_init", "rir"):
            expected |= {f"{name}_{stream}": (channels // 2, *size) for stream in ("residual", "transient")}
    assert tap_shapes(network, shape) == expected
    assert network.layers == tuple(expected)
    output = network(images(3, shape))
    assert output.shape == ((3, 5) if task == "classification" else (3, *shape))


@pytest.mark.parametrize("task", ["classification", "autoencoding"])
@pytest.mark.parametrize("config", [
    *({"block": block, "shortcut": shortcut} for block in BLOCKS for shortcut in ("identity", "projection")),
    {"form": "one_convolution"}, {"outer_shortcut": False},
])  # fmt: skip
def test_a_gradient_reaches_every_parameter(task, config):
    network = build(task, depth=8, width=4, **config)
    (network(images(8)) * torch.rand_like(network(images(8)))).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("task", ["classification", "autoencoding"])
@pytest.mark.parametrize("config", [{}, {"form": "one_convolution"}, {"block": "resnet"}])
def test_every_tap_is_a_function_of_the_one_that_the_network_names(task, config):
    network = build(task, depth=10, width=4, **config).eval()
    with torch.no_grad():
        taps = network.taps(images())
        functions = {"h2": network.trunk.stages[1], "h3": network.trunk.stages[2], "h4": lambda h: h.mean((2, 3))}
        for name in ("h1", "h2", "h3", "h4") if network.trunk.has_two_streams else ():
            functions[f"{name}_residual"] = lambda h: streams_of(h)[0]
            functions[f"{name}_transient"] = lambda h: streams_of(h)[1]
        assert set(network.determined_by) == set(functions)
        for tap, function in functions.items():
            torch.testing.assert_close(taps[tap], function(taps[network.determined_by[tap]]))


def test_logits_are_a_function_of_the_pooled_tap():
    network = build(depth=8, width=8)
    network(images(16))
    network.eval()
    convolution, norm = network.head
    with torch.no_grad():
        pooled = network.taps(images())["h4"][:, :, None, None]
        torch.testing.assert_close(norm(convolution(pooled)).flatten(1), network(images()))


def test_the_streams_are_read_before_they_are_put_together():
    """What a block gives to its r and its t is what the taps are; the next block reads these and nothing else."""
    network = build(depth=8, width=4).eval()
    seen = []
    network.trunk.stages[1][0].layers[0].transient_to_transient.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0])
    )
    with torch.no_grad():
        taps = network.taps(images())
    assert torch.equal(seen[0], taps["h1_transient"])
    assert torch.equal(torch.cat([taps["h1_residual"], taps["h1_transient"]], dim=1), taps["h1"])


# ---------------------------------------------------------------------------------------------- L2


def test_the_network_says_where_its_weights_decay_to():
    network = build(depth=8, width=4, form="one_convolution")
    origins = decay_origins(network)
    names = [name for name, module in network.named_modules() if isinstance(module, OneConvolution)]
    assert list(origins) == [f"{name}.weight" for name in names]
    assert len(names) == 6
    parameters = dict(network.named_parameters())
    assert all(origin.shape == parameters[name].shape for name, origin in origins.items())
    assert decay_origins(build(depth=8, width=4)) == {}


# ---------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"width": 15}, "encoder.width is 15, which cannot be split into a residual and a transient stream"),
        ({"widths": (4, 8, 15)}, r"encoder.widths is \[4, 8, 15\], which cannot be split"),
        ({"widths": (4, 8)}, "filters of three stages"),
        ({"depth": 9}, "even number from 8 on"),
        ({"depth": 6}, "even number from 8 on"),
        ({"form": "one_convolution", "shortcut": "projection"}, "does not go with projections"),
        ({"block": "plain", "form": "one_convolution"}, "encoder.form is of blocks of two streams"),
        ({"block": "resnet", "outer_shortcut": False}, "a switch of the block rir"),
        ({"block": "dense"}, "choose from plain, resnet, resnet_init, rir"),
        ({"architecture": "resnet", "block": "plain"}, "encoder.block is of the architecture rir alone"),
        ({"architecture": "resnet", "outer_shortcut": False}, "encoder.outer_shortcut is of the architecture rir"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(config, words):
    with pytest.raises(UserError, match=words):
        EncoderConfig(**{"architecture": "rir", **config})


def test_an_odd_width_is_no_mistake_without_streams():
    assert tap_shapes(build(depth=8, width=5, block="plain"), (1, 8, 8))["h1"] == (5, 8, 8)
    with pytest.raises(UserError, match="5 channels cannot be split"):
        OneConvolution(5, 4, 1)


def test_both_names_of_a_shortcut_are_one():
    assert EncoderConfig("rir", depth=8, shortcut="projection") == EncoderConfig("rir", depth=8, shortcut="B")
    assert EncoderConfig(shortcut="identity") == EncoderConfig()


# ---------------------------------------------------------------------------------------------- a peer


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "name"), [(10, "rir_cifar10"), (100, "rir_cifar100")])
def test_outputs_equal_those_of_pytorchcv(classes, name):
    models = pytest.importorskip("pytorchcv.models.rir_cifar", reason="needs the peers: pip install -e '.[peers]'")
    torch.manual_seed(0)
    theirs = getattr(models, name)(num_classes=classes)
    for module in theirs.modules():  # batch normalisation of fresh networks does nothing
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                nn.init.normal_(tensor, std=0.3)
    config = EncoderConfig(**PAPER, shortcut="projection", outer_shortcut=False)
    ours = build_encoder(config, "classification", (3, 32, 32), 256, classes, seed=0)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    _copy_from_pytorchcv(ours, theirs)
    ours, theirs = ours.double(), theirs.double()
    x = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    for network in (ours, theirs):
        network.eval()
    with torch.no_grad():
        found = ours.head(ours.trunk(x)["h3"]).mean((2, 3))
        torch.testing.assert_close(found, theirs(x), rtol=1e-9, atol=1e-9)
    batch = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    for network in (ours, theirs):
        network.train()
    with torch.no_grad():
        found = ours.head(ours.trunk(batch)["h3"]).mean((2, 3))
        torch.testing.assert_close(found, theirs(batch), rtol=1e-9, atol=1e-9)


def _copy_from_pytorchcv(ours, theirs):
    def norm(mine, *others):
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(mine, name).data.copy_(torch.cat([getattr(other, name).data for other in others]))

    def convolution(mine, *others):
        mine.weight.data.copy_(torch.cat([other.weight.data for other in others]))

    features, output = theirs.features, theirs.output
    stems = (features.init_block.res_conv, features.init_block.trans_conv)
    convolution(ours.trunk.stem[0], *(stem.conv for stem in stems))
    norm(ours.trunk.stem[1], *(stem.bn for stem in stems))
    units = [unit for index in (1, 2, 3) for unit in getattr(features, f"stage{index}").children()]
    places = [
        (block.layers[at], block.layers[at + 1]) for stage in ours.trunk.stages for block in stage for at in (0, 3)
    ]
    for unit, (layer, normalisation) in zip(units, places, strict=True):
        convolution(layer.residual_to_residual, unit.res_pass_conv)
        convolution(layer.transient_to_residual, unit.trans_cross_conv)
        convolution(layer.residual_to_transient, unit.res_cross_conv)
        convolution(layer.transient_to_transient, unit.trans_pass_conv)
        if unit.resize_identity:
            convolution(layer.shortcut, unit.identity_conv)
        norm(normalisation, unit.res_postactiv.bn, unit.trans_postactiv.bn)
    convolution(ours.head[0], output.final_conv.conv)
    norm(ours.head[1], output.final_conv.bn)
