"""Short fits of the real network: mixed cells, null condition, dropout, interruptions and micro-batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fitting_toys import Memory, parameters_of

from decoders import Architecture, Cell, Condition, ImageSpace, PixelCNNPP, PixelCNNPPConfig
from decoders.fitting.fit import FittingConfig, Minibatch, code_lengths_bits, fit

CELLS = (
    Cell("epoch_0000/h3", "h3", (2, 4, 4)),
    Cell("epoch_0010/h3", "h3", (2, 4, 4)),
    Cell("epoch_0010/h4", "h4", (6,)),
)
IMAGE = ImageSpace(channels=1, height=8, width=8, intensities=4)
SMALL = FittingConfig(
    steps=60,
    learning_rate=5e-3,
    betas=(0.9, 0.99),
    validate_every=20,
    save_every=25,
    null_share=0.25,
    cooldown_share=0.3,
)


class Patches:
    """Images of 2x2 patches of fair coins (values 0 and 3), 16 bits each; every cell's activations show some coins."""

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        coins = rng.integers(2, size=(12, 4, 4))
        images = torch.tensor(3 * coins.repeat(2, 1).repeat(2, 2)[:, None], dtype=torch.uint8)
        kind = torch.get_default_dtype()
        maps = torch.tensor(np.stack([coins, 1 - coins], 1), dtype=kind)
        vector = torch.tensor(coins.reshape(12, 16)[:, :6], dtype=kind)
        # The map of epoch 0 says nothing, that of epoch 10 everything, and h4 six of the 16 coins.
        conditions = (
            Condition(torch.zeros_like(maps[:3]), CELLS[0].name),
            Condition(maps[3:8], CELLS[1].name),
            Condition(vector[8:], CELLS[2].name),
        )
        return Minibatch(images, conditions)

    def validation(self) -> list[Minibatch]:
        return [self.minibatch(np.random.default_rng((99, index))) for index in range(3)]


def build(dropout: float = 0.5) -> PixelCNNPP:
    torch.manual_seed(0)
    architecture = Architecture(blocks=1, filters=8, output="categorical", dropout=dropout, condition_filters=4)
    return PixelCNNPP(PixelCNNPPConfig(IMAGE, architecture, CELLS))


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_bits_fall_and_the_condition_helps_where_it_can(optimiser):
    decoder, data = build(dropout=0.0), Patches()
    result = fit(decoder, data, replace(SMALL, optimiser=optimiser), seed=0)
    assert result.curve[-1].validation_bits < 60 < 64 * 2, "128 bits is the uniform code"
    by_image = [code_lengths_bits(decoder, data.validation(), null).reshape(3, 12) for null in (False, True)]
    gain = (by_image[1] - by_image[0]).mean(0)
    assert gain[3:8].mean() > gain[:3].mean() + 1
    assert by_image[0].mean() == pytest.approx(result.curve[-1].validation_bits, rel=1e-5)
    assert by_image[1].mean() == pytest.approx(result.curve[-1].validation_null_bits, rel=1e-5)
    cells = {CELLS[0].name: slice(0, 3), CELLS[1].name: slice(3, 8), CELLS[2].name: slice(8, 12)}
    for name, images in cells.items():
        assert result.curve[-1].cell_bits[name] == pytest.approx(by_image[0][:, images].mean(), rel=1e-5)
    assert set(result.cell_warnings) == set(cells)


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_killed_fit_with_dropout_ends_bit_for_bit_alike(optimiser):
    config = replace(SMALL, optimiser=optimiser)
    expected_decoder, memory = build(), Memory()
    expected = fit(expected_decoder, Patches(), config, seed=0)

    def kill(step: int, steps: int, shown: dict) -> None:
        if step == 33:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(build(), Patches(), config, seed=0, checkpoint=memory, progress=kill)
    decoder = build()
    result = fit(decoder, Patches(), config, seed=0, checkpoint=memory)
    assert result.curve == expected.curve
    first, second = parameters_of(expected_decoder), parameters_of(decoder)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_micro_batches_change_nothing(monkeypatch, optimiser):
    forward = PixelCNNPP.forward

    def limited(self, condition=None, null_mask=None, batch_size=None):
        rows = 0 if condition is None else sum(len(part.activations) for part in condition)
        if rows > 5:
            raise torch.OutOfMemoryError
        return forward(self, condition, null_mask, batch_size)

    config = FittingConfig(steps=6, validate_every=3, save_every=5, null_share=0.25, optimiser=optimiser)
    torch.set_default_dtype(torch.float64)
    try:
        whole, cut = build(), build()
        # Fitted without data-dependent initialisation, for which fewer images would not be the same.
        fit(whole, Patches(), config, seed=0, initialise=False)
        monkeypatch.setattr(PixelCNNPP, "forward", limited)
        result = fit(cut, Patches(), config, seed=0, initialise=False)
    finally:
        torch.set_default_dtype(torch.float32)
    assert result.micro_batch == 3
    first, second = (torch.nn.utils.parameters_to_vector(d.parameters()) for d in (whole, cut))
    assert torch.allclose(first, second, rtol=0, atol=1e-10)


class Shuffled(Patches):
    """The same minibatches with the images of each condition in another order."""

    def minibatch(self, rng: np.random.Generator) -> Minibatch:
        found = super().minibatch(rng)
        orders = [np.arange(0, 3)[::-1], np.arange(3, 8)[::-1], np.arange(8, 12)[::-1]]
        starts = (0, 3, 8)
        conditions = tuple(
            Condition(part.activations[np.array(order) - start], part.cell)
            for part, order, start in zip(found.condition, orders, starts, strict=True)
        )
        return Minibatch(found.images[np.concatenate(orders)], conditions)


def test_muon_does_not_depend_on_the_order_of_the_images():
    config = replace(SMALL, optimiser="muon", steps=10, null_share=0.0, validate_every=5)
    torch.set_default_dtype(torch.float64)
    try:
        ends = []
        for data in (Patches(), Shuffled()):
            decoder = build(dropout=0.0)
            fit(decoder, data, config, seed=0, initialise=False)
            ends.append(torch.nn.utils.parameters_to_vector(decoder.parameters()).detach())
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-9)
