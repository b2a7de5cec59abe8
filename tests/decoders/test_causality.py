"""Which pixels and channels a pixel's distribution depends on, by exact derivatives and by exchange."""

from __future__ import annotations

import pytest
import torch
from decoder_builders import build, conditions

from decoders import Cell, ImageSpace

CELLS = (Cell("cell", "layer", (3, 4, 4)),)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("conditional", [False, True])
def test_parameters_depend_on_all_earlier_pixels_and_on_no_other(channels: int, conditional: bool) -> None:
    size = 16
    decoder = build(ImageSpace(channels, size, size, 8), cells=CELLS if conditional else (), filters=8)
    assert len(decoder.sizes) == 3
    # Derivatives of every pixel's parameters by every pixel's input features, at once: one pass per output pixel.
    x = torch.randint(8, (1, channels, size, size))
    features = decoder.input_features(x).detach().requires_grad_()
    terms = decoder(conditions(CELLS, 1) if conditional else None).terms
    # A random read-out of the parameters: its derivative vanishes only where all of theirs do.
    parameters = decoder.output_parameters(features, terms)
    readout = (parameters * torch.randn(1, parameters.shape[1], 1, 1, dtype=torch.float64)).sum(1).flatten()
    seen = torch.zeros(size * size, channels, size * size, dtype=torch.bool)
    for pixel in range(size * size):
        (gradient,) = torch.autograd.grad(readout[pixel], features, retain_graph=True)
        seen[pixel] = gradient[0, :channels].flatten(1) != 0
    earlier = torch.ones(size * size, size * size).tril(-1).bool()
    for channel in range(channels):
        assert not (seen[:, channel] & ~earlier).any(), "a pixel sees itself or a later one"
    # Nothing near is missed: the row above and the row itself, two pixels around.
    for pixel in range(size * size):
        row, column = divmod(pixel, size)
        for down, right in ((0, -1), (-1, -1), (-1, 0), (-1, 1), (-2, 2), (-2, -2), (0, -2), (-3, 3)):
            if row + down >= 0 and 0 <= column + right < size:
                assert seen[pixel, :, (row + down) * size + column + right].all()
    # Whole-image reach: the last pixel sees the first.
    assert seen[-1, :, 0].all()


@pytest.mark.parametrize("output", ["logistic_mixture", "categorical"])
def test_a_channel_sees_exactly_the_earlier_channels_of_its_pixel(output: str) -> None:
    image = ImageSpace(3, 2, 2, 6)
    decoder = build(image, output)
    parameters = torch.randn(1, decoder.output.n_parameters, 2, 2, dtype=torch.float64)
    x = torch.randint(1, 5, (1, 3, 2, 2))
    before = decoder.output.channel_log_prob(parameters, x)
    assert torch.allclose(before.sum(1), decoder.output.log_prob(parameters, x), atol=1e-12)
    for changed in range(3):
        y = x.clone()
        y[:, changed, 1, 0] += 1
        difference = (decoder.output.channel_log_prob(parameters, y) - before).abs()
        assert (difference[:, :changed] < 1e-12).all(), "an earlier channel sees a later one"
        assert (difference[:, changed:, 1, 0] > 1e-9).all(), "a later channel misses an earlier one"
        difference[:, :, 1, 0] = 0
        assert (difference == 0).all(), "the distribution of a pixel mixes pixels"
