"""The truth line stays on the page, and the data keep most of it."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ib_analysis.plots.truth_line import FAR, draw_truth_line


def empty_axes() -> Axes:
    axes = Figure().subplots()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    return axes


@settings(max_examples=25, deadline=None)
@given(
    axis=st.sampled_from(["x", "y"]),
    value=st.floats(0.5, 5000),
    data_end=st.floats(0.5, 5000),
)
def test_line_and_data_are_inside(axis: Literal["x", "y"], value: float, data_end: float) -> None:
    axes = empty_axes()
    broken = draw_truth_line(axes, axis, value, data_end, "H")
    start, end = axes.get_xlim() if axis == "x" else axes.get_ylim()
    (line,) = [line for line in axes.lines if line.get_gid() == "truth"]
    place = (line.get_xdata() if axis == "x" else line.get_ydata())[0]
    assert start < place < end
    assert data_end < end
    assert (data_end - start) / (end - start) > 0.5 / FAR if value > data_end else True
    assert broken == (value > FAR * data_end)
    if broken:  # beyond the break no tick pretends to be to scale
        ticks = axes.get_xticks() if axis == "x" else axes.get_yticks()
        assert all(tick < place for tick in ticks)
        assert place > data_end
    else:
        assert place == pytest.approx(value)
