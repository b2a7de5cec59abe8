"""Number formats by name, and plans."""

from __future__ import annotations

import pytest

from ib_analysis.artifacts import UserError
from ib_analysis.quantization import LayerFormat, number_format, plan

LAYERS = ["trunk.stem.0", "trunk.stages.0.0.residual.0", "head"]


@pytest.mark.parametrize(
    ("name", "inner", "ends"),
    [
        ("float32", (32, 32), (32, 32)),
        ("bfloat16", (16, 16), (16, 16)),
        ("w8a8", (8, 8), (8, 8)),
        ("w4a2", (4, 2), (4, 2)),
        ("w2a2_ends8", (2, 2), (8, 8)),
    ],
)
def test_names(name: str, inner: tuple[int, int], ends: tuple[int, int]) -> None:
    found = number_format(name)
    assert (found.inner, found.ends) == (LayerFormat(*inner), LayerFormat(*ends))
    assert found.is_quantized == (inner[0] <= 8)


@pytest.mark.parametrize("name", ["w1a1", "w4a1", "w9a9", "w16a16"])
def test_unsupported_widths_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=rf"'{name}' has .* each must have 2 to 8 bits"):
        number_format(name)


@pytest.mark.parametrize("name", ["int8", "w4", "", "w4a4_ends4", "W4A4"])
def test_unknown_formats_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="There is no number format"):
        number_format(name)


def test_ends_are_the_first_and_the_last_layer() -> None:
    found = plan(number_format("w4a4_ends8"), LAYERS)
    assert [found[layer].weight_bits for layer in LAYERS] == [8, 4, 8]


def test_overrides_win_and_name_existing_layers() -> None:
    found = plan(number_format("w4a4_ends8"), LAYERS, {"head": "w2a3", LAYERS[1]: "float32"})
    assert found["head"] == LayerFormat(2, 3)
    assert not found[LAYERS[1]].is_quantized
    with pytest.raises(UserError, match=r"names the layer 'heat', .* the nearest .*: head"):
        plan(number_format("w4a4"), LAYERS, {"heat": "w8a8"})


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_overrides_leave_the_formats_that_others_are_compared_with_alone(name: str) -> None:
    assert plan(number_format(name), LAYERS, {"head": "w8a8"}) == plan(number_format(name), LAYERS)
