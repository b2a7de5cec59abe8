"""The network: its size, its initialisation, its gradients, and that it can be saved."""

from __future__ import annotations

import io
import math
from collections import Counter

import pytest
import torch
from decoder_builders import CELLS, build, conditions

from decoders import Architecture, Cell, Condition, ImageSpace, PixelCNNPP, PixelCNNPPConfig
from decoders.layers import UpsamplingConvolution, WeightNormConvolution


def test_parameter_count_at_the_papers_size() -> None:
    with torch.device("meta"):
        decoder = PixelCNNPP(PixelCNNPPConfig(ImageSpace(3, 32, 32)))
    counts: Counter[str] = Counter()
    for name, parameter in decoder.named_parameters():
        counts[name.rsplit(".", 1)[-1]] += parameter.numel()
    assert counts == {"direction": 53_578_240, "gain": 40_420, "bias": 40_420}


@pytest.mark.parametrize("output", ["logistic_mixture", "categorical"])
def test_pre_activations_are_normalised_after_initialisation(output: str) -> None:
    torch.manual_seed(0)
    architecture = Architecture(blocks=2, filters=6, components=3, output=output, init_scale=0.1)
    decoder = PixelCNNPP(PixelCNNPPConfig(ImageSpace(3, 16, 16, 16), architecture, CELLS)).double()
    x = torch.randint(16, (6, 3, 16, 16))
    condition, null_mask = conditions(CELLS), torch.tensor([False, True] * 3)
    decoder.initialise(x, condition, null_mask)
    assert decoder.training, "initialising must not leave the decoder in evaluation mode"

    seen: dict[str, torch.Tensor] = {}
    layers = {
        name: layer
        for name, layer in decoder.named_modules()
        if isinstance(layer, (WeightNormConvolution, UpsamplingConvolution))
    }
    for name, layer in layers.items():
        layer.shift = (0, 0)  # what moves in from outside the image is not a pre-activation
        layer.register_forward_hook(lambda _, __, result, name=name: seen.__setitem__(name, result))
    # The shifts belong to the function, so they are put back for what follows the input layers.
    for name, shift in (("input_upper", (1, 0)), ("input_row_above", (1, 0)), ("input_left", (0, 1))):
        down, right = shift

        def shifted(_, __, result, down=down, right=right, name=name):
            seen[name] = result
            return torch.nn.functional.pad(result, (right, -right, down, -down))

        layers[name].register_forward_hook(shifted)
    decoder.eval()(condition, null_mask).log_prob(x)
    assert set(seen) == set(layers)
    for name, result in seen.items():
        channels = result.detach().transpose(0, 1).flatten(1)
        wanted = decoder.output.init_scale if name == "readout" else 0.1 if name.endswith("second") else 1.0
        assert torch.allclose(channels.mean(1), torch.zeros(len(channels), dtype=torch.float64), atol=1e-9), name
        assert torch.allclose(channels.std(1, correction=0), torch.tensor(wanted).double(), rtol=1e-6), name


def test_initialisation_survives_features_that_never_vary() -> None:
    decoder = build(ImageSpace(1, 2, 2, 4), "categorical", resolutions=2)
    decoder.initialise(torch.zeros(4, 1, 2, 2, dtype=torch.uint8))
    assert all(torch.isfinite(parameter).all() for parameter in decoder.parameters())
    assert torch.isfinite(decoder().log_prob(torch.randint(4, (3, 1, 2, 2)))).all()


@pytest.mark.parametrize("output", ["logistic_mixture", "categorical"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_gradient_reaches_every_parameter(output: str, channels: int) -> None:
    decoder = build(ImageSpace(channels, 8, 8, 16), output, CELLS, fourier_features=True).train()
    x = torch.randint(16, (6, channels, 8, 8))
    null_mask = torch.tensor([False, False, False, False, False, True])
    decoder(conditions(CELLS), null_mask).log_prob(x).sum().backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_gradients_are_derivatives() -> None:
    decoder = build(ImageSpace(1, 4, 4, 4), cells=CELLS[2:], filters=3, resolutions=2)
    x, condition = torch.randint(4, (2, 1, 4, 4)), conditions(CELLS[2:])
    null_mask = torch.tensor([True, False])
    decoder(condition, null_mask).log_prob(x).sum().backward()
    generator = torch.Generator().manual_seed(0)
    for name, parameter in decoder.named_parameters():
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        values = []
        with torch.no_grad():
            for step in (1e-6, -2e-6, 1e-6):
                parameter += step * direction
                values.append(decoder(condition, null_mask).log_prob(x).sum().item())
        assert parameter.grad is not None
        analytic = (parameter.grad * direction).sum().item()
        assert math.isclose((values[0] - values[1]) / 2e-6, analytic, rel_tol=1e-5, abs_tol=1e-6), name


def test_save_and_load() -> None:
    decoder = build(ImageSpace(3, 8, 8, 16), cells=CELLS)
    decoder.standardise("late/map", torch.ones(3), torch.full((3,), 2.0))
    file = io.BytesIO()
    torch.save(decoder.state_dict(), file)
    file.seek(0)
    again = PixelCNNPP(decoder.config).double().eval()
    again.load_state_dict(torch.load(file, weights_only=True))
    x, condition = torch.randint(16, (6, 3, 8, 8)), conditions(CELLS)
    assert torch.equal(decoder(condition).log_prob(x), again(condition).log_prob(x))
    assert torch.equal(decoder().log_prob(x), again().log_prob(x))


def test_dropout_is_random_in_training_only() -> None:
    decoder = build(ImageSpace(1, 8, 8, 16))
    x = torch.randint(16, (3, 1, 8, 8))
    assert torch.equal(decoder().log_prob(x), decoder().log_prob(x))
    decoder.train()
    assert not torch.equal(decoder().log_prob(x), decoder().log_prob(x))


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (64, 64), (1, 5)])
def test_all_sizes_and_pixel_types(size: tuple[int, int]) -> None:
    decoder = build(ImageSpace(1, *size, 17), "categorical", filters=2)
    x = torch.randint(17, (2, 1, *size))
    results = [decoder().log_prob(x.to(dtype)) for dtype in (torch.uint8, torch.int64, torch.float32)]
    assert results[0].shape == (2,)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_fourier_features_tell_every_intensity_and_its_parity() -> None:
    for intensities in (2, 3, 16, 17, 256):
        image = ImageSpace(1, 1, 1, intensities)
        decoder = PixelCNNPP(PixelCNNPPConfig(image, Architecture(1, 4, fourier_features=True)))
        features = decoder.input_features(torch.arange(intensities).view(-1, 1, 1, 1))[:, :, 0, 0]
        assert torch.equal(features[:, -1], torch.ones(intensities))
        parity = torch.tensor([1.0, -1.0]).repeat(intensities)[:intensities]
        assert torch.allclose(features[:, -2], parity, atol=1e-6)
        assert torch.allclose(features[:, 0], torch.linspace(-1, 1, intensities), atol=1e-6)


def test_autocast_to_bfloat16_stays_close_and_returns_float32() -> None:
    decoder = build(ImageSpace(1, 8, 8, 16), "categorical", CELLS).float()
    x = torch.randint(16, (6, 1, 8, 8))
    parts = [Condition(part.activations.half(), part.cell) for part in conditions(CELLS)]
    exact = decoder(parts).log_prob(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = decoder(parts).log_prob(x)
    assert rounded.dtype == torch.float32
    assert torch.allclose(exact, rounded, rtol=0.02)


def test_mistakes_are_named() -> None:
    decoder = build(ImageSpace(1, 4, 4, 4), cells=CELLS)
    x = torch.zeros(2, 1, 4, 4)
    with pytest.raises(ValueError, match="unknown cell 'other'"):
        decoder(Condition(torch.zeros(2, 3, 2, 2), "other"))
    with pytest.raises(ValueError, match="activations of"):
        decoder(Condition(torch.zeros(2, 3, 4, 4), "early/map"))
    with pytest.raises(ValueError, match="pass a Condition"):
        decoder(torch.zeros(2, 3, 2, 2))
    with pytest.raises(ValueError, match="disagree on the number of images"):
        decoder(Condition(torch.zeros(2, 3, 2, 2), "early/map"), torch.zeros(3, dtype=torch.bool))
    with pytest.raises(ValueError, match="3 images do not fit 2 conditions"):
        decoder(Condition(torch.zeros(2, 3, 2, 2).double(), "early/map")).log_prob(torch.zeros(3, 1, 4, 4))
    with pytest.raises(ValueError, match="pixel values must be 0 to 3"):
        decoder().log_prob(x + 4)
    with pytest.raises(ValueError, match="images must be"):
        decoder().log_prob(x[:, :, :3])
    with pytest.raises(ValueError, match="has no cells"):
        build(ImageSpace(1, 4, 4, 4))(torch.zeros(2, 3, 2, 2))
    with pytest.raises(ValueError, match="cannot be halved"):
        PixelCNNPPConfig(ImageSpace(1, 12, 12), Architecture(resolutions=4))
    with pytest.raises(ValueError, match="has cells of shapes"):
        PixelCNNPPConfig(ImageSpace(1, 4, 4), cells=(Cell("a", "h", (3,)), Cell("b", "h", (4,))))
    with pytest.raises(ValueError, match="same name"):
        PixelCNNPPConfig(ImageSpace(1, 4, 4), cells=(Cell("a", "h", (3,)), Cell("a", "g", (4,))))
