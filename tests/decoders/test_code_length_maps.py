"""Maps of code lengths against conditional probabilities that are counted out over all images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from decoder_builders import all_images, build
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders import (
    Cell,
    Condition,
    ImageSpace,
    Minibatch,
    PixelCNNPP,
    code_length_maps_bits,
    code_lengths_and_mean_map_bits,
    code_lengths_bits,
)

OUTPUTS = ("logistic_mixture", "categorical")
CELL = Cell("cell", "layer", (3, 1, 2))


def conditional_log_probabilities(images: np.ndarray, log_p: np.ndarray) -> np.ndarray:
    """log p(x_k | x_<k) of every value of every image, from the joint alone: shape of the images.

    Order: rows from the top, pixels from the left, channels within a pixel. A conditional probability is that of all
    images that agree up to the value, over that of all that agree up to the one before.
    """
    _, channels, height, width = images.shape
    order = [(c, row, column) for row in range(height) for column in range(width) for c in range(channels)]
    values = np.stack([images[:, c, row, column] for c, row, column in order], 1)
    found = np.empty(images.shape)
    before = {(): float(np.logaddexp.reduce(log_p))}  # in logarithms: some probabilities are below 1e-800
    for k, (c, row, column) in enumerate(order):
        prefixes = [tuple(line) for line in values[:, : k + 1].tolist()]
        groups: dict[tuple[int, ...], list[float]] = {}
        for prefix, value in zip(prefixes, log_p.tolist(), strict=True):
            groups.setdefault(prefix, []).append(value)
        total = {prefix: float(np.logaddexp.reduce(members)) for prefix, members in groups.items()}
        for index, prefix in enumerate(prefixes):
            found[index, c, row, column] = total[prefix] - before[prefix[:-1]]
        before = total
    return found


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize(
    "image",
    [ImageSpace(1, 1, 3, 4), ImageSpace(1, 2, 1, 5), ImageSpace(3, 1, 2, 3), ImageSpace(3, 2, 1, 2)],
    ids=str,
)
def test_map_is_the_chain_rule_over_raster_order_and_channels(image: ImageSpace, output: str) -> None:
    decoder = build(image, output, (CELL,))
    images = all_images(image)
    activations = torch.randn(1, 3, 1, 2, dtype=torch.float64).expand(len(images), -1, -1, -1)
    for condition in (Condition(activations, "cell"), None):
        with torch.no_grad():
            q = decoder(condition)
            log_p, by_channel = q.log_prob(images), q.channel_log_prob(images)
        assert by_channel.shape == images.shape
        wanted = conditional_log_probabilities(images.numpy(), log_p.numpy())
        np.testing.assert_allclose(by_channel, wanted, rtol=1e-7, atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    channels=st.sampled_from([1, 3]),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    intensities=st.integers(2, 256),
    output=st.sampled_from(OUTPUTS),
)
def test_sum_of_a_map_is_the_log_probability(
    seed: int, channels: int, size: tuple[int, int], intensities: int, output: str
) -> None:
    image = ImageSpace(channels, *size, intensities)
    decoder = build(image, output, seed=seed, resolutions=1)
    x = torch.randint(intensities, (3, channels, *size))
    with torch.no_grad():
        log_p, by_channel = decoder().log_prob_with_channels(x)
        assert torch.equal(log_p, decoder().log_prob(x))
    torch.testing.assert_close(by_channel.sum((1, 2, 3)), log_p, rtol=1e-9, atol=1e-9)
    assert (by_channel < 1e-9).all()  # each is a probability


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("channels", [1, 3])
def test_map_is_computed_in_float32_even_under_autocast(output: str, channels: int) -> None:
    decoder = build(ImageSpace(channels, 2, 3, 16), output).float()
    x = torch.randint(16, (2, channels, 2, 3))
    parameters = torch.randn(2, decoder.output.n_parameters, 2, 3).bfloat16()
    decoder.output_parameters = lambda features, terms: parameters  # type: ignore[method-assign, assignment]
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        by_channel = decoder().channel_log_prob(x)
    assert by_channel.dtype == torch.float32
    with torch.no_grad():
        exact = decoder.output.double().channel_log_prob(parameters.double(), x)
    torch.testing.assert_close(by_channel.double(), exact, rtol=1e-4, atol=1e-4)


# ------------------------------------------------------------------------------------------------ many images


def decoder_and_minibatches(output: str) -> tuple[PixelCNNPP, list[Minibatch]]:
    """A float32 decoder as fits leave it, and 11 images in minibatches of 4, 0, 4 and 3."""
    decoder = build(ImageSpace(3, 4, 4, 8), output, (CELL,), resolutions=2, dropout=0.3).float().train()
    minibatches = []
    for count in (4, 0, 4, 3):
        images = torch.randint(8, (count, 3, 4, 4), dtype=torch.uint8)
        minibatches.append(Minibatch(images, (Condition(torch.randn(count, 3, 1, 2), "cell"),)))
    return decoder, minibatches


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("null", [False, True])
def test_code_lengths_and_mean_map_come_from_one_pass(output: str, null: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, minibatches = decoder_and_minibatches(output)
    alone = code_lengths_bits(decoder, minibatches, null)
    passes = []
    network = decoder.output_parameters

    def counted(features: torch.Tensor, terms: list | None) -> torch.Tensor:
        passes.append(len(features))
        return network(features, terms)

    monkeypatch.setattr(decoder, "output_parameters", counted)
    bits, mean_map = code_lengths_and_mean_map_bits(decoder, minibatches, null)
    assert passes == [4, 4, 3]
    assert decoder.training
    np.testing.assert_array_equal(bits, alone)  # to the last bit: finished experiments keep their numbers
    assert mean_map.shape == (3, 4, 4)
    assert mean_map.dtype == np.float64
    assert mean_map.sum() == pytest.approx(bits.mean(), rel=1e-6)
    maps = code_length_maps_bits(decoder, minibatches, null)
    assert maps.shape == (11, 3, 4, 4)
    np.testing.assert_allclose(maps.mean(0), mean_map, rtol=1e-12)
    exact = decoder.double().eval()
    with torch.no_grad():
        naive = [
            exact(None if null else Condition(m.condition[0].activations.double(), "cell")).channel_log_prob(m.images)
            for m in minibatches
            if len(m) and m.condition is not None
        ]
    np.testing.assert_allclose(maps, -torch.cat(naive).numpy() / np.log(2), rtol=1e-3, atol=1e-4)


def test_maps_whatever_fits_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, minibatches = decoder_and_minibatches("categorical")
    whole, network = code_lengths_and_mean_map_bits(decoder, minibatches), decoder.output_parameters

    def full(features: torch.Tensor, terms: list | None) -> torch.Tensor:
        if len(features) > 2:
            raise torch.OutOfMemoryError("full")
        return network(features, terms)

    monkeypatch.setattr(decoder, "output_parameters", full)
    parts = code_lengths_and_mean_map_bits(decoder, minibatches)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_no_image_is_named() -> None:
    decoder, _ = decoder_and_minibatches("categorical")
    for measure in (code_lengths_and_mean_map_bits, code_length_maps_bits):
        with pytest.raises(ValueError, match="no image"):
            measure(decoder, [])
    assert decoder.training
