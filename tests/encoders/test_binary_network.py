"""The fully binary CNN: its shapes, its twin, its taps, and that nothing but signs goes on from stage to stage."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ib_analysis.artifacts import UserError
from ib_analysis.binary import BinaryNetworkConfig, Phase, check_products
from ib_analysis.binary.signs import approximate_sign
from ib_analysis.encoders import BinaryNetwork, EncoderConfig, build_encoder, multiply_accumulates, tap_shapes
from ib_analysis.quantization import CodedTaps, code_taps
from ib_analysis.training.checkpoints import hash_of_weights


def build(
    task: str = "classification",
    shape: tuple[int, int, int] = (1, 9, 11),
    phase: Phase = Phase.BINARY,
    code_units: int = 0,
    shortcut: str = "A",
    seed: int = 0,
    **own: object,
) -> BinaryNetwork:
    torch.manual_seed(seed)
    config = EncoderConfig(
        architecture="binary",
        depth=8,
        width=4,
        shortcut=shortcut,  # type: ignore[arg-type]
        bottleneck="h4" if code_units else "h3",
        binary=BinaryNetworkConfig(code_units=code_units, **own),  # type: ignore[arg-type]
    )
    network = build_encoder(config, task, shape, 256, 10, seed)  # type: ignore[arg-type]
    assert isinstance(network, BinaryNetwork)
    return network.set_phase(phase)


def images(shape: tuple[int, int, int] = (1, 9, 11), count: int = 6) -> Tensor:
    return torch.randint(256, (count, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def shaken(network: BinaryNetwork) -> BinaryNetwork:
    """The same with every parameter and running statistic away from where it starts."""
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    network.train()
    for _ in range(3):
        network(images(count=16))
    return network.eval()


@pytest.mark.parametrize("task", ["classification", "autoencoding"])
@pytest.mark.parametrize("shortcut", ["A", "B"])
@pytest.mark.parametrize("code_units", [0, 6])
def test_every_product_is_of_signs_and_every_parameter_learns(task: str, shortcut: str, code_units: int) -> None:
    network = build(task, shortcut=shortcut, code_units=code_units)
    report = check_products(network, (1, 9, 11))
    assert report.macs == multiply_accumulates(network, (1, 9, 11))
    expected = {"h1": (4, 9, 11), "h2": (8, 5, 6), "h3": (16, 3, 3)}
    expected |= {"h4": (6,)} if code_units else {}
    assert tap_shapes(network, (1, 9, 11)) == expected
    output = network.train()(images())
    assert output.shape == ((6, 10) if task == "classification" else (6, 1, 9, 11))
    (output * torch.randn_like(output)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("own", [{"padding": 1}, {"input_code": "bit_planes"}, {"input_levels": 3}])
def test_options_stay_binary(own: dict[str, object]) -> None:
    network = build(shape=(3, 8, 8), **own)  # type: ignore[arg-type]
    check_products(network, (3, 8, 8))
    planes = {"padding": 96, "input_code": 24, "input_levels": 9}[next(iter(own))]
    assert network.trunk.stem.product.weight.shape[1] == planes
    assert all(m.padding_sign == own.get("padding", -1) for m in network.modules() if getattr(m, "margin", 0))


def test_taps_are_signs_and_all_that_goes_on() -> None:
    network = shaken(build(code_units=6))
    trunk = network.trunk
    with torch.no_grad():
        taps = network.taps(images())
        for tap in taps.values():
            assert set(tap.unique().tolist()) == {-1.0, 1.0}
        assert network.determined_by == {"h2": "h1", "h3": "h2", "h4": "h3"}
        assert torch.equal(taps["h2"], trunk.codes[1](trunk.stages[1](taps["h1"])))
        assert torch.equal(taps["h3"], trunk.codes[2](trunk.stages[2](taps["h2"])))
        assert torch.equal(taps["h4"], trunk.code(trunk.units(taps["h3"])))
        assert torch.equal(network(images()), network.head(taps["h4"]))


@pytest.mark.parametrize("phase", [Phase.SIGNS, Phase.BINARY])
def test_measured_taps_are_codes_of_one_bit(phase: Phase) -> None:
    network = shaken(build(code_units=6, phase=phase))
    coded = CodedTaps(network, (1, 9, 11)).eval()
    assert coded.code_bits == dict.fromkeys(("h1", "h2", "h3", "h4"), (1, False))
    assert all(code.is_bottleneck for code in coded.codes.values())
    with torch.no_grad():
        for layer, codes in coded.taps(images()).items():
            assert torch.equal(2 * codes - 1, network.taps(images())[layer])


def test_a_twin_has_no_codes() -> None:
    network = shaken(build(phase=Phase.REAL))
    assert set(code_taps(network, (1, 9, 11))) == {"h1", "h2", "h3"}
    assert CodedTaps(network, (1, 9, 11)).code_bits == {}
    with torch.no_grad():
        tap = network.taps(images())["h2"]
    assert len(tap.unique()) > 100
    assert tap.abs().max() <= 1


def written_out(network: BinaryNetwork, pixels: Tensor, code, weigh) -> Tensor:
    """A classifier of depth 8 with option A in functional calls, float64, evaluation mode."""

    def per_channel(values: Tensor, x: Tensor) -> Tensor:
        return values.view(1, -1, *[1] * (x.ndim - 2))

    def block(part: nn.Module, x: Tensor, shortcut: Tensor | None, stride: int = 1, ends: bool = True) -> Tensor:
        signs = code(x + per_channel(part.code.shift, x)) if hasattr(part.code, "shift") else x  # type: ignore
        margin = part.product.weight.shape[-1] // 2  # type: ignore
        weight, worth = weigh(part.product.weight)  # type: ignore
        y = F.conv2d(F.pad(signs, (margin,) * 4, value=-1.0), weight, stride=stride) * per_channel(worth, x)
        y = y if ends else y.mean((2, 3))
        norm = part.norm  # type: ignore
        y = F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        y = y if shortcut is None else y + shortcut
        if not ends:
            return y
        a = part.activation  # type: ignore
        y = y + per_channel(a.before, y)
        return torch.where(y > 0, y, y * per_channel(a.slope, y)) + per_channel(a.after, y)

    trunk = network.trunk
    thresholds = [-(-k * 256 // 33) for k in range(1, 33)]
    x = torch.stack([torch.where(pixels[:, 0] >= t, 1.0, -1.0) for t in thresholds], 1).double()
    x = block(trunk.stem, x, None)
    for index, stage in enumerate(trunk.stages):
        for position, part in enumerate(stage):
            if index and not position:
                pooled = F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
                x = block(part, x, torch.cat([pooled, pooled], 1), stride=2)
            else:
                x = block(part, x, x)
        x = code(x + per_channel(trunk.codes[index].shift, x))
    return block(network.head, x, None, ends=False)


@pytest.mark.parametrize("phase", list(Phase))
def test_the_network_agrees_with_one_written_out(phase: Phase) -> None:
    network = shaken(build(phase=phase)).double()

    def code(x: Tensor) -> Tensor:
        return approximate_sign(x) if phase == Phase.REAL else torch.where(x >= 0, 1.0, -1.0).double()

    def weigh(weight: Tensor) -> tuple[Tensor, Tensor]:
        if phase == Phase.BINARY:
            return torch.where(weight >= 0, 1.0, -1.0).double(), weight.abs().mean((1, 2, 3))
        return weight, torch.ones(len(weight), dtype=torch.float64)

    with torch.no_grad():
        torch.testing.assert_close(network(images()), written_out(network, images(), code, weigh))


def test_the_phase_is_kept_with_the_weights() -> None:
    network = shaken(build(phase=Phase.BINARY))
    fresh = build(phase=Phase.REAL).eval()
    fresh.load_state_dict(network.state_dict())
    assert fresh.phase == Phase.BINARY
    with torch.no_grad():
        assert torch.equal(fresh(images()), network(images()))
    other = copy.deepcopy(network).set_phase(Phase.SIGNS)
    assert network.phase == Phase.BINARY
    assert hash_of_weights(other.state_dict()) != hash_of_weights(network.state_dict())


def test_the_seed_makes_the_network_and_both_tasks_share_the_trunk() -> None:
    first, again, other = (build(seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.product.weight"], other["head.product.weight"])
    trunks = [build(task).trunk.state_dict() for task in ("classification", "autoencoding")]
    assert {n: v.shape for n, v in trunks[0].items()} == {n: v.shape for n, v in trunks[1].items()}


def test_mistakes_are_one_sentence() -> None:
    with pytest.raises(UserError, match=r"bottleneck is h4, .* encoder\.binary\.code_units"):
        build_encoder(EncoderConfig(architecture="binary", bottleneck="h4"), "autoencoding", (1, 8, 8), 16, 10, 0)
    for own, words in (
        ({"input_levels": 0}, "input_levels is 0"),
        ({"padding": 0}, "padding is 0"),
        ({"code_units": -1}, "code_units is -1"),
    ):
        with pytest.raises(UserError, match=words):
            BinaryNetworkConfig(**own)  # type: ignore[arg-type]
