"""Spaces of choices: enumeration, conditions, neighbours."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ib_analysis.search.nas_bench_201 import NAS_BENCH_201, architecture_of, macs, string_of
from ib_analysis.search.space import ABSENT, Choice, Space

CONDITIONAL = Space(
    (
        Choice("kind", ("basic", "rir", "binary")),
        Choice("width", (8, 16)),
        Choice("bits", (2, 4, 8), only_if={"kind": ("basic", "rir")}),
        Choice("scale", ("one", "each"), only_if={"bits": (2, 4), "width": (16,)}),
    )
)


def by_hand() -> set[tuple[int, ...]]:
    found = set()
    for kind, width, bits, scale in product(range(3), range(2), range(3), range(2)):
        has_bits = kind < 2
        has_scale = has_bits and bits < 2 and width == 1
        found.add((kind, width, bits if has_bits else ABSENT, scale if has_scale else ABSENT))
    return found


def test_enumeration_is_that_of_nested_loops() -> None:
    found = list(CONDITIONAL.architectures())
    assert len(found) == len(set(found)) == len(CONDITIONAL)
    assert set(found) == by_hand()


@given(st.integers(0, 2**32 - 1))
def test_random_neighbours_and_values_stay_in_the_space(seed: int) -> None:
    rng = np.random.default_rng(seed)
    everything = by_hand()
    architecture = CONDITIONAL.random(rng)
    assert architecture in everything
    assert CONDITIONAL.architecture(CONDITIONAL.values(architecture)) == architecture
    neighbours = CONDITIONAL.neighbours(architecture)
    assert set(neighbours) <= everything - {architecture}


def test_every_architecture_can_be_reached_by_neighbours() -> None:
    reached, waiting = {(0, 0, 0, ABSENT)}, [(0, 0, 0, ABSENT)]
    while waiting:
        for near in CONDITIONAL.neighbours(waiting.pop()):
            if near not in reached:
                reached.add(near)
                waiting.append(near)
    assert reached == by_hand()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "basic", "width": 8}, "bits has no value"),
        ({"kind": "binary", "width": 8, "bits": 2}, "bits has a value, though"),
        ({"kind": "binary", "width": 9}, "width is 9; it can be 8, 16"),
        ({"kind": "binary", "width": 8, "depth": 1}, "no choice depth"),
    ],
)
def test_wrong_values(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CONDITIONAL.architecture(values)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ((), "at least one choice"),
        ((Choice("a", (1,)), Choice("a", (1,))), "there twice"),
        ((Choice("a", (1, 1)),), "each of them once"),
        ((Choice("a", (1,), {"b": (1,)}), Choice("b", (1,))), "no choice before it"),
        ((Choice("a", (1,)), Choice("b", (1,), {"a": (2,)})), "which it cannot be"),
    ],
)
def test_wrong_spaces(choices: tuple[Choice, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Space(choices)


def test_cells_of_nas_bench_201() -> None:
    everything = list(NAS_BENCH_201.architectures())
    assert len(everything) == len(NAS_BENCH_201) == 15_625
    assert all(architecture_of(string_of(one)) == one for one in everything[::97])
    assert all(len(NAS_BENCH_201.neighbours(one)) == 24 for one in everything[::971])


@pytest.mark.parametrize("string", ["", "|none~0|+|none~0|none~1|", "|none~0|+|none~0|none~1|+|none~0|none~1|sum~2|"])
def test_strings_that_are_no_cell(string: str) -> None:
    with pytest.raises(ValueError, match="is no cell"):
        architecture_of(string)


def test_macs_are_those_of_the_layers_one_by_one() -> None:
    """A naive count over the whole network, layer after layer."""

    def naive(architecture: tuple[int, ...]) -> int:
        layers = [(3, 16, 3, 32)]
        for stage, (channels, side) in enumerate(((16, 32), (32, 16), (64, 8))):
            if stage:
                layers += [(channels // 2, channels, 3, side), (channels, channels, 3, side)]
                layers += [(channels // 2, channels, 1, side)]
            for _ in range(5):
                layers += [(channels, channels, {2: 1, 3: 3}[k], side) for k in architecture if k in (2, 3)]
        return sum(a * b * kernel**2 * side**2 for a, b, kernel, side in layers) + 640

    for one in list(NAS_BENCH_201.architectures())[::501]:
        assert macs(one) == naive(one)
