import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ib_analysis.activations import Groups

sizes = st.integers(0, 60)


@given(sizes, sizes, st.integers(1, 60), st.integers(1, 20))
def test_groups_partition_the_images_and_never_mix_parts_or_chunks(n_train, n_validation, n_evaluation, size):
    groups = Groups(n_train, n_validation, n_evaluation, size)
    images = np.concatenate([np.arange(start, stop) for start, stop in groups.bounds])
    np.testing.assert_array_equal(images, np.arange(n_train + n_validation + n_evaluation))
    part_of = np.repeat([0, 1, 2], [n_train, n_validation, n_evaluation])
    for start, stop in groups.bounds:
        assert 0 < stop - start <= size
        assert len(set(part_of[start:stop])) == 1
        assert start // size == (stop - 1) // size


@given(sizes, sizes, st.integers(1, 60), st.integers(1, 20))
def test_parts_are_made_of_their_own_groups(n_train, n_validation, n_evaluation, size):
    groups = Groups(n_train, n_validation, n_evaluation, size)
    for part in ("train", "validation", "evaluation"):
        images = [image for group in groups.part(part) for image in range(*groups.bounds[group])]
        assert images == list(groups.images(part))
    assert sum(len(groups.part(part)) for part in ("train", "validation", "evaluation")) == len(groups)
