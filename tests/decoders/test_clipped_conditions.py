"""Activations far from all that a decoder was fitted to: what they may cost, and how they are counted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from decoder_builders import CELLS, build, conditions
from torch import Tensor

from decoders import (
    Architecture,
    Cell,
    Condition,
    FittingConfig,
    ImageSpace,
    Minibatch,
    PixelCNNPP,
    PixelCNNPPConfig,
    code_lengths_bits,
    conditioning,
    fit,
)  # fmt: skip
from decoders.readings import LARGEST

IMAGE = ImageSpace(1, 4, 4, 4)
CELL = Cell("epoch_0001/h4", "h4", (6,))


class Levels:
    """Images of one noisy level, which the first unit of six tells; the others are noise."""

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(0)
        levels = rng.integers(4, size=(count, 1, 1, 1))
        noise = rng.random((count, 1, 4, 4)) < 0.2
        pixels = np.where(noise, rng.integers(4, size=(count, 1, 4, 4)), levels)
        self.images = torch.tensor(pixels, dtype=torch.uint8)
        self.activations = torch.tensor(rng.normal(size=(count, 6)), dtype=torch.float32)
        self.activations[:, 0] = torch.tensor(levels.reshape(-1)).float()

    def take(self, index: np.ndarray, activations: Tensor | None = None) -> Minibatch:
        read = self.activations if activations is None else activations
        return Minibatch(self.images[index], (Condition(read[index], CELL.name),))

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        return self.take(rng.choice(128, 32, replace=False))

    def validation(self) -> Iterator[Minibatch]:
        yield self.take(np.arange(128, 192))


@pytest.fixture(scope="module")
def fitted() -> tuple[PixelCNNPP, Levels]:
    data = Levels(256)
    torch.manual_seed(0)
    architecture = Architecture(blocks=1, filters=8, output="categorical", dropout=0.0, condition_filters=8)
    decoder = PixelCNNPP(PixelCNNPPConfig(IMAGE, architecture, (CELL,)))
    training = data.activations[:128]
    decoder.standardise(CELL.name, training.mean(0), training.std(0, correction=0))
    settings = FittingConfig(steps=120, learning_rate=0.01, validate_every=40, averaging=0.9, null_share=0.2)
    fit(decoder, data, settings, seed=0)
    return decoder, data


def outlying(data: Levels, images: slice, deviations: float) -> Tensor:
    """Activations with one of the noisy units so many training deviations from its mean, in some images."""
    mean, deviation = data.activations[:128, 5].mean(), data.activations[:128, 5].std(correction=0)
    found = data.activations.clone()
    found[images, 5] = mean + deviations * deviation
    return found


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_unit_at_50_deviations_costs_what_one_at_10_does(fitted: tuple[PixelCNNPP, Levels], sign: int) -> None:
    decoder, data = fitted
    evaluation = np.arange(192, 256)
    plain = code_lengths_bits(decoder, [data.take(evaluation)])
    null = code_lengths_bits(decoder, [data.take(evaluation)], null=True)
    assert plain.mean() < null.mean() - 4  # it reads its activations
    limit, far, farther = (
        code_lengths_bits(decoder, [data.take(evaluation, outlying(data, slice(192, 193), sign * deviations))])
        for deviations in (LARGEST, 50.0, 1000.0)
    )
    np.testing.assert_allclose(far, limit, rtol=1e-4)
    np.testing.assert_array_equal(far, farther)
    np.testing.assert_array_equal(far[1:], plain[1:])
    assert far[0] - plain[0] < 50  # without the limit 200 to 250, and thousands at 1000 deviations
    assert far.mean() - plain.mean() < 1


def test_clipped_values_are_counted(fitted: tuple[PixelCNNPP, Levels]) -> None:
    decoder, data = fitted
    assert decoder.conditioning is not None
    far = outlying(data, slice(0, 10), 50.0)[:10]
    assert decoder.conditioning.clipped((Condition(data.activations[:10], CELL.name),)) == (0, 60)
    assert decoder.conditioning.clipped((Condition(far, CELL.name),)) == (10, 60)
    far[:4, 0] = torch.tensor([-1e4, 1e4, torch.inf, -torch.inf])
    assert decoder.conditioning.clipped((Condition(far, CELL.name),)) == (14, 60)


def test_conditions_beside_others_are_counted_too() -> None:
    decoder = build(IMAGE, "categorical", CELLS)
    assert decoder.conditioning is not None
    first, second, third = conditions(CELLS, each=2)
    second.activations[0, 1, 1, 1] = 11
    joined = dataclasses.replace(first, beside=(second,))
    assert decoder.conditioning.clipped((joined, third)) == (1, 2 * (12 + 12 + 4))
    with pytest.raises(ValueError, match="unknown cell"):
        decoder.conditioning.clipped((dataclasses.replace(first, cell="late/never"),))


def test_codes_that_training_saw_evenly_are_read_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest of 256 codes that are equally likely lies 1.7 deviations from their mean."""
    decoder = build(IMAGE, "categorical", CELLS)
    codes = torch.arange(256).half().repeat(3, 1).reshape(3, 64, 2, 2).movedim(0, 1)
    decoder.standardise("early/map", codes.float().mean((0, 2, 3)), codes.float().std((0, 2, 3)))
    images = torch.randint(4, (64, 1, 4, 4))
    found = decoder(Condition(codes, "early/map")).log_prob(images)
    assert decoder.conditioning is not None
    assert decoder.conditioning.clipped((Condition(codes, "early/map"),)) == (0, 3 * 256)
    monkeypatch.setattr(conditioning, "LARGEST", math.inf)
    assert torch.equal(decoder(Condition(codes, "early/map")).log_prob(images), found)
