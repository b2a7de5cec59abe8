"""Products of packed signs against float products of the same signs, which are exact for these numbers."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest
import sign_products
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sign_products import MEANS, signs

from ib_analysis.binary import packed_means
from ib_analysis.binary.packed_convolution import Geometry, convolve, convolve_to_signs
from ib_analysis.binary.packed_dense import Panels, multiply, multiply_to_signs
from ib_analysis.binary.packed_thresholds import Thresholds
from ib_analysis.binary.packing import PackedSigns, weight_words

some = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=MEANS)
def means(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    sign_products.use(request.param, monkeypatch)
    return str(request.param)


def some_thresholds(outputs: int, n: int, seed: int) -> Thresholds:
    rng = np.random.default_rng(seed)
    return Thresholds(rng.integers(-n, n + 2, outputs).astype(np.int32), rng.random(outputs) < 0.5)


@some
@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 140),
    outputs=st.integers(1, 70),
    kernel=st.sampled_from([(1, 1), (3, 3), (5, 5), (1, 3), (4, 2)]),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    padding_sign=st.sampled_from([-1, 1]),
    more=st.tuples(st.integers(0, 9), st.integers(0, 20)),
    seed=st.integers(0, 2**31),
)
def test_a_convolution_is_that_of_the_padded_signs(
    means: str,
    batch: int,
    channels: int,
    outputs: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    padding_sign: int,
    more: tuple[int, int],
    seed: int,
) -> None:
    height, width = (max(1, size - 2 * pad) + extra for size, pad, extra in zip(kernel, padding, more, strict=True))
    x, weight = signs(batch, channels, height, width, seed=seed), signs(outputs, channels, *kernel, seed=seed + 1)
    down, across = padding
    expected = F.conv2d(F.pad(x, (across, across, down, down), value=padding_sign), weight, stride=stride)
    geometry = Geometry(channels, kernel, stride, padding, padding_sign)
    rows = weight_words(weight.numpy() > 0, geometry.layout)
    for given_as in (x, x > 0, PackedSigns.of(x)):
        found = convolve(given_as, rows, geometry)
        assert found.dtype == torch.int32
        assert torch.equal(found.float(), expected)
    thresholds = some_thresholds(outputs, geometry.layout.n, seed)
    packed = convolve_to_signs(x, rows, geometry, thresholds)
    assert np.array_equal(packed.unpack().numpy() > 0, thresholds.bits(expected.numpy()))


@pytest.mark.parametrize("size", [(8, 8), (16, 16), (4, 24)])
@pytest.mark.parametrize("channels", [16, 64, 96])
def test_rows_of_whole_vectors_are_read_at_once_with_the_same_result(
    means: str, channels: int, size: tuple[int, int]
) -> None:
    x, weight = signs(3, channels, *size, seed=0), signs(65, channels, 3, 3, seed=1)
    expected = F.conv2d(F.pad(x, (1, 1, 1, 1), value=1.0), weight)
    geometry = Geometry(channels, (3, 3), padding=(1, 1))
    rows = weight_words(weight.numpy() > 0, geometry.layout)
    found = convolve(x, rows, geometry)
    assert torch.equal(found.float(), expected)
    thresholds = some_thresholds(65, geometry.layout.n, 2)
    packed = convolve_to_signs(x, rows, geometry, thresholds)
    assert np.array_equal(packed.unpack().numpy() > 0, thresholds.bits(expected.numpy()))


@some
@given(st.integers(1, 9), st.integers(1, 300), st.integers(1, 70), st.integers(0, 2**31))
def test_a_dense_product_is_that_of_the_signs(means: str, batch: int, n: int, outputs: int, seed: int) -> None:
    x, weight = signs(batch, n, seed=seed), signs(outputs, n, seed=seed + 1)
    expected = F.linear(x, weight)
    panels = Panels.of(weight.numpy() > 0)
    for given_as in (x, x > 0, PackedSigns.of(x)):
        found = multiply(given_as, panels)
        assert found.dtype == torch.int32
        assert torch.equal(found.float(), expected)
    thresholds = some_thresholds(outputs, n, seed)
    packed = multiply_to_signs(x, panels, thresholds)
    assert np.array_equal(packed.unpack().numpy() > 0, thresholds.bits(expected.numpy()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int8, torch.int32, torch.int64])
def test_the_sign_of_any_number_counts_and_that_of_zero_is_plus(means: str, dtype: torch.dtype) -> None:
    x = torch.tensor([-3, -1, 0, 0, 2, 5] * 20).to(dtype)
    if dtype.is_floating_point:
        x[2::6] = -0.0
    as_signs = torch.where(x < 0, -1.0, 1.0).double()
    weight = signs(7, 120, seed=0)
    found = multiply(x[None], Panels.of(weight.numpy() > 0))
    assert torch.equal(found.double(), F.linear(as_signs[None], weight.double()))
    kernel = weight.reshape(7, 10, 3, 4)
    geometry = Geometry(10, (3, 4))
    found = convolve(x.reshape(1, 10, 3, 4), weight_words(kernel.numpy() > 0, geometry.layout), geometry)
    assert torch.equal(found.flatten(1).double(), F.linear(as_signs[None], weight.double()))


def test_memory_in_another_order_makes_no_difference(means: str) -> None:
    x, weight = signs(2, 20, 9, 7, seed=0), signs(5, 20, 3, 3, seed=1)
    geometry = Geometry(20, (3, 3), padding=(1, 1), padding_sign=-1)
    rows = weight_words(weight.numpy() > 0, geometry.layout)
    expected = F.conv2d(F.pad(x, (1, 1, 1, 1), value=-1.0), weight)
    strided = signs(2, 20, 18, 7, seed=2)[:, :, ::2]
    strided.copy_(x)
    for other in (x.to(memory_format=torch.channels_last), strided):
        assert not other.is_contiguous()
        found = convolve(other, rows, geometry)
        assert torch.equal(found.float(), expected)


@pytest.mark.parametrize("threads", [2, 5, None])
def test_threads_share_the_work_and_change_nothing(means: str, threads: int | None) -> None:
    x, weight = signs(3, 70, 9, 9, seed=0), signs(66, 70, 3, 3, seed=1)
    geometry = Geometry(70, (3, 3), padding=(1, 1))
    rows = weight_words(weight.numpy() > 0, geometry.layout)
    thresholds = some_thresholds(66, geometry.layout.n, 0)
    panels = Panels.of(weight.flatten(1).numpy() > 0)
    alone, together = convolve(x, rows, geometry), convolve(x, rows, geometry, threads=threads)
    assert torch.equal(alone, together)
    packed = [convolve_to_signs(x, rows, geometry, thresholds, threads=count) for count in (1, threads)]
    assert np.array_equal(packed[0].words, packed[1].words)
    vectors = signs(4, 630, seed=3)
    assert torch.equal(multiply(vectors, panels), multiply(vectors, panels, threads=threads))


def test_an_empty_batch_gives_an_empty_result(means: str) -> None:
    geometry = Geometry(4, (3, 3), padding=(1, 1))
    rows = weight_words(np.ones((6, 4, 3, 3), dtype=bool), geometry.layout)
    assert convolve(torch.zeros(0, 4, 8, 8), rows, geometry).shape == (0, 6, 8, 8)
    assert multiply(torch.zeros(0, 5), Panels.of(np.ones((3, 5), dtype=bool))).shape == (0, 3)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"padding_sign": 0}, "padded with -1 or \\+1, not with 0"),
        ({"stride": (0, 1)}, "at least 1"),
        ({"padding": (0, -1)}, "at least 0"),
    ],
)
def test_a_convolution_that_cannot_be_is_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Geometry(3, (3, 3), **settings)  # type: ignore[arg-type]


def test_inputs_of_another_shape_are_refused(means: str) -> None:
    geometry = Geometry(3, (3, 3))
    rows = weight_words(np.ones((2, 3, 3, 3), dtype=bool), geometry.layout)
    with pytest.raises(ValueError, match="a convolution of 3 channels takes"):
        convolve(torch.ones(1, 4, 5, 5), rows, geometry)
    with pytest.raises(ValueError, match="2x5 pixels is smaller than the kernel"):
        convolve(torch.ones(1, 3, 2, 5), rows, geometry)
    with pytest.raises(ValueError, match="a dense product of 5 signs takes"):
        multiply(torch.ones(1, 4), Panels.of(np.ones((3, 5), dtype=bool)))


def test_without_numba_results_come_from_numpy_and_a_warning_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "numba" else find(name))
    packed_means.kernels.cache_clear()
    try:
        with pytest.warns(UserWarning, match="slower than float"):
            panels = Panels.of(np.array([[True, False, True]]))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = multiply(torch.tensor([[1.0, 1.0, 1.0]]), panels)
        assert found.tolist() == [[1]]
    finally:
        packed_means.kernels.cache_clear()
