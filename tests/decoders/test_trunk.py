"""What reads activations deeply: of any shape, for images of any size; each cell by itself, all of its layer alike."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from decoders.config import ReaderArchitecture
from decoders.trunk import Trunk, _steps, squashed

SIZE = ReaderArchitecture(width=3, largest_width=6, blocks=1, coarse_blocks=1)


def trunk_of(
    shape: tuple[int, ...], image: tuple[int, int], n_cells: int = 1, size: ReaderArchitecture = SIZE
) -> Trunk:
    torch.manual_seed(0)
    return Trunk(shape, n_cells, image, size).double()


def read(trunk: Trunk, *parts: tuple[torch.Tensor, int]) -> torch.Tensor:
    own = trunk.cell_parameters()
    return trunk.read([(activations, cell, own[cell]) for activations, cell in parts])


@settings(max_examples=60, deadline=None)
@given(down=st.integers(1, 64), right=st.integers(1, 64))
def test_steps_multiply_to_the_whole_way(down: int, right: int) -> None:
    steps = _steps((down, right))
    assert math.prod(step[0] for step in steps) == down
    assert math.prod(step[1] for step in steps) == right
    assert (1, 1) not in steps


@settings(max_examples=40, deadline=None)
@given(
    image=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    spatial=st.tuples(st.integers(1, 14), st.integers(1, 14)) | st.none(),
)
@example(image=(12, 9), spatial=(3, 3))  # grows by 4 x 3: two steps down, one right
@example(image=(8, 9), spatial=(1, 1))
@example(image=(8, 9), spatial=(1, 3))
@example(image=(9, 9), spatial=(3, 3))
@example(image=(12, 12), spatial=(3, 3))
@example(image=(10, 6), spatial=(5, 1))
@example(image=(6, 6), spatial=(12, 13))
def test_activations_of_any_shape_become_maps_of_the_images_size(
    image: tuple[int, int], spatial: tuple[int, int] | None
) -> None:
    shape = (2,) if spatial is None else (2, *spatial)
    trunk = trunk_of(shape, image)
    activations = torch.randn(2, *shape, dtype=torch.float64, requires_grad=True)
    found = read(trunk, (activations, 0))
    assert found.shape == (2, 3, *image)
    (gradient,) = torch.autograd.grad(found.square().sum(), activations)
    assert (gradient.flatten(1) != 0).all(), "an activation is not read"
    assert float(found.detach().std()) > 0.01, "no scale is left of what was read"


def test_coarser_resolutions_have_more_feature_maps_up_to_the_largest_width() -> None:
    size = ReaderArchitecture(width=4, largest_width=12, blocks=3, coarse_blocks=2)
    trunk = trunk_of((2, 2, 2), (16, 16), size=size)
    assert trunk.entries[0].weight.shape[0] == 12  # eight times finer: 32, but at most 12
    assert [pairs[0].first.weight.shape[0] for pairs in trunk.pairs] == [12, 12, 8, 4]
    assert [len(pairs) for pairs in trunk.pairs] == [2, 2, 2, 3]
    vector = trunk_of((2,), (16, 16), size=size)
    assert [len(pairs) for pairs in vector.pairs] == [0, 3]
    fine = trunk_of((2, 16, 16), (16, 16), size=size)
    assert [len(pairs) for pairs in fine.pairs] == [3]


def test_what_a_place_of_a_map_tells_reaches_the_pixels_that_it_covers_first() -> None:
    """Without residual pairs only the entry spreads it, by a place: growth keeps every pixel in its own."""
    size = ReaderArchitecture(width=3, largest_width=6, blocks=0, coarse_blocks=0)
    trunk = trunk_of((1, 3, 3), (9, 9), size=size)
    x = torch.zeros(2, 1, 3, 3, dtype=torch.float64)
    x[1, 0, 0, 0] = 1.0
    found = read(trunk, (x, 0))
    reached = (found[1] - found[0]).abs().sum(0) > 1e-12
    expected = torch.zeros(9, 9, dtype=torch.bool)
    expected[:6, :6] = True
    assert torch.equal(reached, expected)


def test_cells_have_entries_scales_and_shifts_of_their_own() -> None:
    trunk = trunk_of((2, 3, 3), (6, 6), n_cells=3)
    x = torch.randn(2, 2, 3, 3, dtype=torch.float64)
    first, second = read(trunk, (x, 0)), read(trunk, (x, 1))
    assert not torch.allclose(first, second)
    assert torch.equal(read(trunk, (x, 0), (x, 1)), torch.cat([first, second]))
    with torch.no_grad():
        trunk.cell_scale[1], trunk.cell_shift[1] = 1.0, 5.0
        torch.testing.assert_close(read(trunk, (x, 1)), 2 * second + 5)
        assert torch.equal(read(trunk, (x, 0)), first)
        trunk.entries[1].weight.copy_(trunk.entries[0].weight)
        torch.testing.assert_close(read(trunk, (x, 1)), 2 * first + 5)


@pytest.mark.parametrize("shape", [(3,), (300,), (3, 1, 1), (3, 2, 2)])
def test_cells_may_have_residual_pairs_of_their_own(shape: tuple[int, ...]) -> None:
    shared, own = trunk_of(shape, (4, 4), 2), trunk_of(shape, (4, 4), 2, dataclasses.replace(SIZE, own_blocks=2))
    added = sum(p.numel() for p in own.parameters()) - sum(p.numel() for p in shared.parameters())
    filters = own.entries[0][-1].first.weight.shape[0]
    assert added == 2 * 2 * 2 * (9 * filters + 1) * filters  # cells, pairs, convolutions
    x = torch.randn(2, *shape, dtype=torch.float64)
    with torch.no_grad():
        first, second = read(own, (x, 0)), read(own, (x, 1))
        assert torch.equal(read(own, (x, 0), (x, 1)), torch.cat([first, second]))
        own.entries[1][-1].second.weight.mul_(2)
        assert torch.equal(read(own, (x, 0)), first)
        assert not torch.allclose(read(own, (x, 1)), second)
        own.entries[1].load_state_dict(own.entries[0].state_dict())
        assert torch.equal(read(own, (x, 1)), first)


@pytest.mark.parametrize("shape", [(3,), (3, 1, 1), (3, 2, 2)])
def test_large_values_are_squashed_and_only_absurd_ones_clipped(shape: tuple[int, ...]) -> None:
    trunk = trunk_of(shape, (4, 4))
    trunk.mean[0], trunk.inverse_deviation[0] = 2.0, 0.5
    x = torch.full((1, *shape), 2.0 + 2.0 * 10.0, dtype=torch.float64)
    with torch.no_grad():
        near, far, farther = (read(trunk, (2.0 + by * (x - 2.0), 0)) for by in (1, 5, 100))
    assert not torch.equal(near, far), "50 deviations are told from 10"
    assert float((farther - far).abs().max()) < 3 * float((far - near).abs().max()), "and cost no more"
    assert torch.equal(read(trunk, (1e4 * x, 0)), read(trunk, (torch.full_like(x, torch.inf), 0)))


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=9, unique=True))
def test_squashing_keeps_the_order_and_is_the_identity_near_zero(values: list[float]) -> None:
    x = torch.tensor(sorted(values), dtype=torch.float64)
    found = squashed(x)
    assert (found.diff() >= 0).all()
    assert (found.diff()[x.diff() > 1e-9] > 0).all()
    assert torch.equal(found[x.abs() <= 3], x[x.abs() <= 3])
    assert (found.abs() <= x.abs()).all()
    assert torch.equal(squashed(-x), -found)


def test_squashing_is_smooth() -> None:
    x = torch.linspace(-8, 8, 33, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(squashed, (x,))
    slopes = torch.autograd.functional.jacobian(squashed, torch.tensor([2.999, 3.001], dtype=torch.float64)).diagonal()
    torch.testing.assert_close(slopes[0], slopes[1], atol=2e-3, rtol=0)


def test_a_wide_vector_enters_through_fewer_units() -> None:
    wide, narrow = trunk_of((1000,), (16, 16)), trunk_of((200,), (16, 16))
    assert [tuple(part.weight.shape) for part in wide.entries[0]] == [
        (256, 1000),
        (narrow.entries[0].weight.shape[0], 256),
    ]
    assert narrow.entries[0].weight.shape[1] == 200
