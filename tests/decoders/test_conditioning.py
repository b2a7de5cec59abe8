"""Conditions: read-outs, mixed minibatches, the null condition."""

from __future__ import annotations

import pytest
import torch
from decoder_builders import CELLS, build, conditions

from decoders import Cell, Condition, ImageSpace
from decoders.conditioning import LayerProjection

IMAGE = ImageSpace(1, 8, 8, 8)


def test_a_mixed_minibatch_equals_its_cells() -> None:
    decoder = build(IMAGE, "categorical", CELLS)
    parts = conditions(CELLS, each=2)
    x = torch.randint(8, (6, 1, 8, 8))
    together = decoder(parts).log_prob(x)
    apart = torch.cat([decoder(part).log_prob(x[2 * n : 2 * n + 2]) for n, part in enumerate(parts)])
    assert torch.allclose(together, apart, rtol=1e-12)
    # The cells are told apart: the same activations mean something else at another epoch.
    other = Condition(parts[0].activations, parts[1].cell)
    assert not torch.allclose(decoder(other).log_prob(x[:2]), together[:2])


def test_the_null_mask_replaces_conditions_image_by_image() -> None:
    decoder = build(IMAGE, "categorical", CELLS)
    parts = conditions(CELLS, each=2)
    x = torch.randint(8, (6, 1, 8, 8))
    mask = torch.tensor([True, False, False, True, True, False])
    mixed = decoder(parts, mask).log_prob(x)
    null, conditional = decoder().log_prob(x), decoder(parts).log_prob(x)
    assert torch.allclose(mixed, torch.where(mask, null, conditional), rtol=1e-12)
    assert not torch.allclose(null, conditional)
    assert torch.allclose(decoder(null_mask=torch.ones(6, dtype=torch.bool)).log_prob(x), null, rtol=1e-12)


def test_a_bare_tensor_is_the_only_cells_activations() -> None:
    decoder = build(IMAGE, "categorical", CELLS[:1])
    (part,) = conditions(CELLS[:1])
    x = torch.randint(8, (2, 1, 8, 8))
    assert torch.equal(decoder(part).log_prob(x), decoder(part.activations).log_prob(x))


def test_standardising_equals_standardised_activations() -> None:
    decoder = build(IMAGE, "categorical", CELLS)
    (part,) = conditions(CELLS[:1])
    x = torch.randint(8, (2, 1, 8, 8))
    before = decoder(part).log_prob(x)
    mean, std = torch.tensor([3.0, -1.0, 100.0]), torch.tensor([2.0, 0.5, 7.0])
    decoder.standardise("early/map", mean, std)
    raw = part.activations * std.view(3, 1, 1) + mean.view(3, 1, 1)
    assert torch.allclose(decoder(Condition(raw, "early/map")).log_prob(x), before, rtol=1e-9)
    # Another cell of the layer keeps its own.
    other = Condition(part.activations, "late/map")
    assert not torch.allclose(decoder(Condition(raw, "late/map")).log_prob(x), decoder(other).log_prob(x))


def test_dead_channels_do_not_explode() -> None:
    decoder = build(IMAGE, "categorical", CELLS)
    decoder.standardise("early/map", torch.zeros(3), torch.tensor([1.0, 0.0, 1e-9]))
    (part,) = conditions(CELLS[:1])
    assert torch.isfinite(decoder(part).log_prob(torch.randint(8, (2, 1, 8, 8)))).all()
    decoder.standardise("early/map", torch.zeros(3), torch.zeros(3))
    assert torch.isfinite(decoder(part).log_prob(torch.randint(8, (2, 1, 8, 8)))).all()
    with pytest.raises(ValueError, match="mean and std must be"):
        decoder.standardise("early/map", torch.zeros(4), torch.ones(4))


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((3, 4, 4), (8, 8)),
        ((3, 8, 8), (8, 8)),
        ((3, 2, 4), (8, 8)),
        ((3, 16, 16), (8, 8)),
        ((2, 7, 7), (8, 8)),
        ((2, 14, 14), (12, 12)),
        ((2, 5, 5), (9, 7)),
        ((5,), (12, 12)),
        ((5, 1, 1), (32, 32)),
        ((5,), (7, 9)),
    ],
    ids=str,
)
def test_projections_have_the_images_size_and_unit_scale(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    projection = LayerProjection(shape, size, 16, 1, True)
    activations = torch.randn(64, *shape)
    features = projection(activations, 0, projection.cell_parameters()[0])
    assert features.shape == (64, 16, *size)
    assert 0.5 < float(features.detach().square().mean().sqrt()) < 2
    # Every image has its own features everywhere.
    assert (features.detach().std(0) > 0).all()


def test_each_pixel_of_a_patch_has_its_own_linear_readout() -> None:
    torch.manual_seed(0)
    projection = LayerProjection((3, 2, 2), (6, 4), 5, 2, True).double()
    with torch.no_grad():
        for parameter in projection.parameters():
            parameter += torch.randn_like(parameter)
    activations = torch.randn(2, 3, 2, 2, dtype=torch.float64)
    result = projection(activations, 1, projection.cell_parameters()[1])
    assert projection.adapters is not None
    weight = (projection.weight + projection.adapters[1]).view(5, 3, 2, 3)  # filter, row and column in patch
    bias = projection.bias.view(5, 3, 2)
    for row in range(6):
        for column in range(4):
            patch = activations[:, :, row // 3, column // 2]
            wanted = patch @ weight[:, row % 3, column % 2].T + bias[:, row % 3, column % 2]
            wanted = wanted * (1 + projection.cell_scale[1]) + projection.cell_shift[1]
            assert torch.allclose(result[:, :, row, column], wanted)


def test_finer_activations_lose_nothing() -> None:
    torch.manual_seed(0)
    projection = LayerProjection((2, 8, 8), (4, 4), 8, 1, False)
    activations = torch.zeros(128, 2, 8, 8)
    activations.view(128, 128).fill_diagonal_(1.0)  # one activation at a time
    features = projection(activations, 0, projection.cell_parameters()[0]).flatten(1).detach()
    assert torch.linalg.matrix_rank(features) == 128


def test_without_cells_there_are_no_parameters_for_conditions() -> None:
    names = [name for name, _ in build(IMAGE).named_parameters()]
    assert not any("condition" in name or "gates" in name for name in names)
    with_cells = build(IMAGE, cells=(Cell("a", "h", (3,)),), cell_adapters=False)
    assert not any("adapters" in name for name, _ in with_cells.named_parameters())
