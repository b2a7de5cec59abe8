"""Readers that read nothing: what they find is in the pixels before, and a base that is right leaves nothing there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from decoder_builders import CELLS, all_images, build
from reader_builders import OUTPUTS, random_images, shake
from torch import Tensor

from decoders import Architecture, ImageSpace, Minibatch, PixelCNNPP, PixelCNNPPConfig, Reader, ReaderArchitecture, fit
from decoders.dropout import set_dropout_stream
from decoders.fitting.fit import FittingConfig, code_lengths_bits
from decoders.sampling.sample import sample_naive

SIZE = ReaderArchitecture(width=5, largest_width=8, blocks=1, coarse_blocks=1, causal_blocks=2)


def unconditional(image: ImageSpace, output: str, fitted: bool = True) -> Reader:
    """A float64 reader without cells in evaluation mode, as made or away from special points."""
    base = build(image, output)
    torch.manual_seed(1)
    reader = Reader(base, SIZE, (), unconditional=True).double().eval()
    reader.initialise(random_images(image, 8))
    if fitted:
        shake(reader)
    return reader


@pytest.mark.parametrize(("output", "channels"), OUTPUTS)
def test_a_new_one_has_exactly_the_code_lengths_of_its_base(output: str, channels: int) -> None:
    image = ImageSpace(channels, 4, 4, 6)
    new, x = unconditional(image, output, fitted=False), random_images(image, 3)
    plain = Reader(new.base, SIZE, ()).double()
    with torch.no_grad():
        assert torch.equal(new().log_prob(x), plain().log_prob(x))
        shake(new)
        assert (new().log_prob(x) - plain().log_prob(x)).abs().min() > 1e-3


@pytest.mark.parametrize(("output", "channels"), OUTPUTS)
def test_probabilities_of_all_images_sum_to_one(output: str, channels: int) -> None:
    image = ImageSpace(channels, 1, 2, 3)
    with torch.no_grad():
        assert abs(float(unconditional(image, output)().log_prob(all_images(image)).exp().sum()) - 1) < 1e-6


@pytest.mark.parametrize(("output", "channels"), OUTPUTS)
def test_parameters_depend_on_no_later_pixel(output: str, channels: int) -> None:
    image = ImageSpace(channels, 3, 4, 5)
    reader, x = unconditional(image, output), random_images(image, 1)
    with torch.no_grad():
        terms = reader().terms
        plain = reader.output_parameters(x, terms).flatten(2)
        for pixel in range(12):
            changed = x.clone().flatten(2)
            changed[:, :, pixel] = (changed[:, :, pixel] + 2) % 5
            found = reader.output_parameters(changed.view_as(x), terms).flatten(2)
            assert torch.equal(found[:, :, : pixel + 1], plain[:, :, : pixel + 1])


@pytest.mark.parametrize(("output", "channels"), OUTPUTS)
def test_samples_are_those_of_the_whole_network_pixel_by_pixel(output: str, channels: int) -> None:
    image = ImageSpace(channels, 4, 4, 6)
    distribution = unconditional(image, output)(batch_size=3)
    uniforms = torch.rand(3, 4, 4, distribution.network.output.n_uniforms, dtype=torch.float64)
    drawn = distribution.sample(uniforms=uniforms)
    assert torch.equal(drawn, sample_naive(distribution, uniforms=uniforms))
    assert len(drawn.flatten(1).unique(dim=0)) > 1


def test_the_map_in_the_place_of_what_is_read_drops_out_for_no_image() -> None:
    """Else all images of a micro-batch would share a mask, and cutting a minibatch would change its gradient."""
    image = ImageSpace(1, 4, 4, 6)
    base = build(image, "categorical")
    dropping = Reader(base, ReaderArchitecture(width=5, causal_blocks=1, dropout=0.5), (), unconditional=True).double()
    shake(dropping)
    x = random_images(image, 6)
    set_dropout_stream(dropping.train(), 3, offset=0, total=6)
    whole = dropping().log_prob(x)
    parts = []
    for start in (0, 2, 4):
        set_dropout_stream(dropping, 3, offset=start, total=6)
        parts.append(dropping().log_prob(x[start : start + 2]))
    torch.testing.assert_close(torch.cat(parts), whole)
    assert not torch.equal(dropping.eval()().log_prob(x), whole)


def test_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="reads nothing, but 3 cells"):
        Reader(build(ImageSpace(1, 4, 4, 6)), SIZE, CELLS[:3], unconditional=True)


# ---------------------------------------------------------------------------------------------- what it finds


class Repeating:
    """Fresh images whose every second pixel repeats the one to its left: half of their bits are news."""

    def __init__(self, repeats: bool = True) -> None:
        self.repeats = repeats

    def images(self, rng: np.random.Generator, count: int) -> Tensor:
        pixels = rng.integers(4, size=(count, 1, 4, 4))
        if self.repeats:
            pixels[..., 1::2] = pixels[..., ::2]
        return torch.tensor(pixels, dtype=torch.uint8)

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        return Minibatch(self.images(rng, 32))

    def validation(self) -> list[Minibatch]:
        return [self.minibatch(np.random.default_rng((5, index))) for index in range(4)]


def fitted(data: Repeating) -> tuple[float, float]:
    """Bits of held-out images under a base for which all intensities are alike, and under a reader of nothing on it."""
    torch.manual_seed(0)
    image = ImageSpace(1, 4, 4, 4)
    base = PixelCNNPP(PixelCNNPPConfig(image, Architecture(blocks=1, filters=4, output="categorical")))
    with torch.no_grad():
        base.readout.gain.zero_()
        base.readout.bias.zero_()
    reader = Reader(base, ReaderArchitecture(width=8, causal_blocks=1), (), unconditional=True)
    config = FittingConfig(
        steps=150, batch_size=32, optimiser="muon", learning_rate=3e-3, matrix_learning_rate=0.02, betas=(0.9, 0.99),
        lr_decay_per_step=1.0, averaging=0.9, null_share=0.0, validate_every=50, validation_images=128,
    )  # fmt: skip
    fit(reader, data, config, seed=0)
    held_out = [Minibatch(data.images(np.random.default_rng(9), 400))]
    plain = code_lengths_bits(Reader(base, ReaderArchitecture(), ()), held_out)
    return float(plain.mean()), float(code_lengths_bits(reader.eval(), held_out).mean())


def test_it_finds_what_the_base_has_missed() -> None:
    base, reader = fitted(Repeating())
    assert base == pytest.approx(32, abs=0.01)
    assert 15.9 < reader < 18, "16 of 32 bits of an image repeat others"


def test_it_finds_nothing_where_the_base_is_right() -> None:
    base, reader = fitted(Repeating(repeats=False))
    assert base == pytest.approx(32, abs=0.01)
    assert reader == pytest.approx(32, abs=0.1)
