"""Splits of finite data sets: disjoint, stratified, and the same for every order of the source."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ib_analysis.artifacts import UserError
from ib_analysis.data.collection import collection_of_arrays, divide, plug_in_entropy_bits
from ib_analysis.data.config import DataConfig
from ib_analysis.data.interface import ImageData
from ib_analysis.data.records import facts
from ib_analysis.data.splits import canonical_order, cap_per_class, pixel_digests, validation_last

DIGITS = DataConfig(source="digits")


def distinct_images(n: int, seed: int = 0) -> np.ndarray:
    images = np.random.default_rng(seed).integers(256, size=(n, 1, 4, 4)).astype(np.uint8)
    assert len({image.tobytes() for image in images}) == n
    return images


def split(images: np.ndarray, labels: np.ndarray, parts: np.ndarray | None = None, **options) -> ImageData:
    names = tuple(f"class {i}" for i in range(max(labels) + 1))
    collection = collection_of_arrays("made up", images, labels, names, parts=parts)
    return divide(collection, DataConfig(source="digits", **options))


class_sizes = st.lists(st.integers(3, 25), min_size=2, max_size=5)


@settings(max_examples=40, deadline=None)
@given(class_sizes, st.integers(0, 5), st.integers(0, 10))
def test_undivided_sets_split_40_40_20_within_every_class(sizes: list[int], seed: int, shuffle: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    images = distinct_images(len(labels))
    data = split(images, labels, seed=seed)
    used = np.concatenate([part.source_index for part in data.splits.values()])
    assert sorted(used) == list(range(len(labels)))
    for share, part in zip((0.4, 0.4, 0.2), data.splits.values(), strict=True):
        np.testing.assert_array_equal(part.images, images[part.source_index])
        np.testing.assert_array_equal(part.labels, labels[part.source_index])
        counts = np.bincount(part.labels, minlength=len(sizes))
        assert (np.abs(counts - share * np.array(sizes)) <= 1).all()
    # Another order of the source: the same images in the same order in each split.
    order = np.random.default_rng(shuffle).permutation(len(labels))
    again = split(images[order], labels[order], seed=seed)
    assert again.sha256 == data.sha256
    assert again.n_validation == data.n_validation
    np.testing.assert_array_equal(order[again.decoder.source_index], data.decoder.source_index)


@settings(max_examples=40, deadline=None)
@given(class_sizes, st.floats(0.01, 0.99))
def test_validation_slice_is_last_and_stratified(sizes: list[int], share: float) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    order, n = validation_last(labels, share)
    assert sorted(order) == list(range(len(labels)))
    assert n == min(max(1, round(share * len(labels))), len(labels) - 1)
    fitting, validation = order[: len(order) - n], order[len(order) - n :]
    assert (np.diff(fitting) > 0).all()
    assert (np.diff(validation) > 0).all()
    expected = np.array(sizes) * n / len(labels)
    assert (np.abs(np.bincount(labels[validation], minlength=len(sizes)) - expected) < 1).all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(2, 20), min_size=2, max_size=4), st.integers(1, 6))
def test_official_test_images_are_the_evaluation_split(sizes: list[int], n_test: int) -> None:
    training = np.repeat(np.arange(len(sizes)), sizes)
    labels = np.concatenate([training, np.repeat(np.arange(len(sizes)), n_test)])
    parts = np.repeat([0, 2], [len(training), len(labels) - len(training)])
    data = split(distinct_images(len(labels)), labels, parts)
    assert sorted(data.evaluation.source_index) == list(range(len(training), len(labels)))
    for label, size in enumerate(sizes):
        halves = [int((part.labels == label).sum()) for part in (data.encoder, data.decoder)]
        assert halves == [size - size // 2, size // 2]


def test_three_official_splits_stay_as_they_are() -> None:
    labels = np.tile([0, 1], 15)
    parts = np.repeat([0, 1, 2], 10)
    data = split(distinct_images(30), labels, parts)
    for i, part in enumerate(data.splits.values()):
        assert sorted(part.source_index) == list(range(10 * i, 10 * i + 10))


def test_seed_changes_the_split() -> None:
    labels = np.repeat([0, 1], 50)
    images = distinct_images(100)
    assert split(images, labels, seed=0).sha256 != split(images, labels, seed=1).sha256


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12)), min_size=30, max_size=60))
def test_identical_images_of_a_class_stay_together(pairs: list[tuple[int, int]]) -> None:
    # 13 different pictures, many times over, and some unique ones in each class.
    pairs = pairs + [(label, 20 + i) for label in (0, 1) for i in range(12)]
    labels = np.array([label for label, _ in pairs])
    images = np.array([value for _, value in pairs], dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(images, (len(labels), 1, 4, 4)).copy()
    try:
        data = split(images, labels)
    except UserError as error:
        assert "too few different images" in str(error)  # noqa: PT017  (a legal outcome for many copies)
        return
    homes: dict[tuple[int, int], set[str]] = {}
    evaluated = set(data.evaluation.images[:, 0, 0, 0])
    assert evaluated.isdisjoint(data.encoder.images[:, 0, 0, 0])
    assert evaluated.isdisjoint(data.decoder.images[:, 0, 0, 0])
    assert set(data.validation.images[:, 0, 0, 0]).isdisjoint(data.fitting.images[:, 0, 0, 0])
    for name, part in data.splits.items():
        for image, label in zip(part.images, part.labels, strict=True):
            homes.setdefault((int(label), int(image[0, 0, 0])), set()).add(name)
    assert all(len(found) == 1 for found in homes.values())
    total = Counter(pairs)
    assert sum(total.values()) == sum(len(part) for part in data.splits.values()) + data.n_duplicates_dropped


def test_copies_of_official_test_images_are_dropped_from_the_other_splits() -> None:
    labels = np.tile([0, 1], 30)
    images = distinct_images(60)
    # Three training images are copies of test images, one of them under another label; two test images are alike.
    for training, test in ((0, 50), (7, 51), (8, 51), (52, 53)):
        images[training] = images[test]
    data = split(images, labels, np.repeat([0, 2], [50, 10]))
    assert data.n_duplicates_dropped == 3
    assert sorted(data.evaluation.source_index) == list(range(50, 60))
    used = np.concatenate([data.encoder.source_index, data.decoder.source_index])
    assert sorted(used) == [i for i in range(50) if i not in (0, 7, 8)]
    assert facts(data)["n_duplicates_dropped"] == 3
    # Duplicates are those of the images as published: a coarser form does not make more of them.
    assert split(images, labels, np.repeat([0, 2], [50, 10]), bits=1).n_duplicates_dropped == 3


def test_copies_of_official_images_of_three_parts_are_dropped() -> None:
    labels, images = np.tile([0, 1], 15), distinct_images(30)
    images[[1, 12]] = images[25]
    data = split(images, labels, np.repeat([0, 1, 2], 10))
    assert data.n_duplicates_dropped == 2
    assert sorted(data.encoder.source_index) == [0, *range(2, 10)]
    assert sorted(data.decoder.source_index) == [10, 11, *range(13, 20)]


def test_fitting_images_that_are_validated_on_are_dropped() -> None:
    # Every decoder image of class 0 has a copy: some pairs lie on both sides of the validation slice's start.
    labels = np.repeat([0, 1, 0, 1, 0, 1], [10, 10, 20, 10, 5, 5])
    images = distinct_images(60)
    images[30:40] = images[20:30]
    parts = np.repeat([0, 1, 2], [20, 30, 10])
    found = [split(images, labels, parts, validation_share=share) for share in (0.1, 0.15, 0.2, 0.25, 0.3)]
    assert any(data.n_duplicates_dropped for data in found)
    for data in found:
        assert len(data.decoder) + data.n_duplicates_dropped == 30
        fitting = {image.tobytes() for image in data.fitting.images}
        assert fitting.isdisjoint(image.tobytes() for image in data.validation.images)
        assert len(data.encoder) == 20


def test_nothing_but_copies_cannot_be_fitted() -> None:
    labels, images = np.tile([0, 1], 8), distinct_images(16)
    images[4:12] = images[4]
    with pytest.raises(UserError, match="every decoder image is a copy"):
        split(images, labels, np.repeat([0, 1, 2], [4, 8, 4]))


def test_splits_are_ordered_by_hash_and_not_by_class() -> None:
    labels = np.repeat([0, 1], 100)
    images = distinct_images(200)
    data = split(images, labels)
    position = np.empty(200, dtype=int)
    position[canonical_order(pixel_digests(images), labels, seed=0)] = np.arange(200)
    for part in (data.encoder, data.fitting, data.validation, data.evaluation):
        assert (np.diff(position[part.source_index]) > 0).all()
    assert (np.diff(data.encoder.labels) != 0).sum() > 20


def test_digest_is_sha256_of_size_and_pixels_and_grey_counts_as_colour() -> None:
    image = distinct_images(1)
    expected = hashlib.sha256(b"\4\0\0\0\4\0\0\0" + image.tobytes() * 3).digest()
    assert pixel_digests(image)[0].tobytes() == expected
    np.testing.assert_array_equal(pixel_digests(np.repeat(image, 3, axis=1)), pixel_digests(image))
    assert pixel_digests(image.reshape(1, 1, 2, 8))[0].tobytes() != expected


def test_ties_are_broken_by_label() -> None:
    digests = np.zeros((4, 32), dtype=np.uint8)
    assert canonical_order(digests, np.array([2, 0, 3, 1]), seed=0).tolist() == [1, 3, 0, 2]


def test_split_does_not_depend_on_the_chosen_form() -> None:
    labels = np.repeat([0, 1], 20)
    images = distinct_images(40)
    full, coarse = split(images, labels), split(images, labels, bits=1)
    for one, other in zip(full.splits.values(), coarse.splits.values(), strict=True):
        np.testing.assert_array_equal(one.source_index, other.source_index)
        np.testing.assert_array_equal(one.images >> 7, other.images)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 10))
def test_cap_keeps_the_first_of_each_class(labels: list[int], cap: int) -> None:
    kept = cap_per_class(np.array(labels), cap)
    expected = [i for i, label in enumerate(labels) if labels[:i].count(label) < cap]
    assert kept.tolist() == expected


def test_cap_holds_in_every_split_and_takes_a_subset() -> None:
    labels = np.repeat([0, 1, 2], [10, 50, 100])
    images = distinct_images(160)
    full, capped = split(images, labels), split(images, labels, per_class=7)
    for one, other in zip(full.splits.values(), capped.splits.values(), strict=True):
        assert set(other.source_index) <= set(one.source_index)
        expected = np.minimum(np.bincount(one.labels), 7)
        assert np.bincount(other.labels).tolist() == expected.tolist()


def test_evaluation_images_have_a_cap_of_their_own_which_only_lowers_the_other() -> None:
    labels = np.repeat([0, 1, 2], [10, 50, 100])
    images = distinct_images(160)
    full, capped = split(images, labels, per_class=7), split(images, labels, per_class=7, evaluation_per_class=2)
    for name in ("encoder", "decoder"):
        np.testing.assert_array_equal(full.splits[name].source_index, capped.splits[name].source_index)
    assert np.bincount(capped.evaluation.labels).tolist() == [2, 2, 2]
    assert set(capped.evaluation.source_index) <= set(full.evaluation.source_index)
    assert DataConfig(per_class=2, evaluation_per_class=5).cap_per_class("evaluation") == 2


def test_one_class_is_refused() -> None:
    with pytest.raises(UserError, match=r"only one class \('class 0'\)"):
        split(distinct_images(10), np.zeros(10, dtype=int))


@pytest.mark.parametrize("parts", [None, np.array([0] * 20 + [2] * 5 + [0, 2])])
def test_too_few_images_for_three_splits_are_refused(parts: np.ndarray | None) -> None:
    labels = np.array([0] * 25 + [1] * 2)
    with pytest.raises(UserError, match=r"Class 'class 1' has too few different images .* none of its 2 "):
        split(distinct_images(27), labels, parts)


def test_plug_in_entropy_of_evaluation_labels() -> None:
    labels = np.repeat([0, 1], [40, 120])
    data = split(distinct_images(160), labels)
    expected = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    assert data.h_y_bits == pytest.approx(expected)
    assert plug_in_entropy_bits(np.repeat(np.arange(10), 3)) == pytest.approx(np.log2(10))
    assert data.h_x_bits is None
    assert data.factor_bits == {}
