"""scikit-learn's digits, and what is recorded about a data set."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import h5py
import numpy as np
import pytest
from sklearn.datasets import load_digits

from ib_analysis.data import DataConfig, facts, image_space, load_data, save_splits, split_sizes
from ib_analysis.data.config import SourceName
from ib_analysis.data.sources import SOURCES


def test_every_digit_is_used_once_with_its_own_label_and_pixels() -> None:
    data = load_data(DataConfig(source="digits"))
    published = load_digits()
    used = np.concatenate([split.source_index for split in data.splits.values()])
    assert sorted(used) == list(range(1797))
    for split in data.splits.values():
        np.testing.assert_array_equal(split.images[:, 0], published.images[split.source_index])
        np.testing.assert_array_equal(split.labels, published.target[split.source_index])
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == split.source_index.dtype == np.int64
    assert data.intensities == 17
    assert data.encoder.images.max() == 16
    assert not data.augment
    assert load_data(DataConfig(source="digits", augment=True)).augment


@pytest.mark.parametrize(
    "options", [{}, {"bits": 4}, {"bits": 1, "per_class": 5}, {"resolution": 16, "greyscale": True}]
)
def test_space_and_sizes_are_known_in_advance(options: dict) -> None:
    config = DataConfig(source="digits", **options)
    data = load_data(config)
    assert image_space(config) == (data.image_shape, data.intensities, 10)
    assert split_sizes(config) == {name: len(split) for name, split in data.splits.items()}
    assert max(split.images.max() for split in data.splits.values()) == data.intensities - 1


def test_bits_requantise_17_intensities() -> None:
    full, coarse = (load_data(DataConfig(source="digits", bits=bits)) for bits in (None, 2))
    np.testing.assert_array_equal(coarse.decoder.images, full.decoder.images.astype(int) * 4 // 17)


def test_recorded_splits_say_which_image_served_which_purpose(tmp_path: Path) -> None:
    data = load_data(DataConfig(source="digits", per_class=20))
    save_splits(data, tmp_path / "one" / "splits.h5")
    save_splits(data, tmp_path / "two.h5")
    assert (tmp_path / "one" / "splits.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    with h5py.File(tmp_path / "two.h5") as file:
        assert set(file) == {"encoder", "decoder", "evaluation"}
        assert file.attrs["sha256"] == data.sha256
        assert file.attrs["n_validation"] == data.n_validation == 20
        for name, split in data.splits.items():
            np.testing.assert_array_equal(file[name]["source_index"], split.source_index)
            np.testing.assert_array_equal(file[name]["labels"], split.labels)
            assert file[name].attrs["sha256"] == split.sha256


def test_facts_are_plain_and_complete() -> None:
    data = load_data(DataConfig(source="digits"))
    found = facts(data)
    assert found["n_encoder"] + found["n_decoder"] + found["n_evaluation"] == 1797
    assert found["image_shape"] == [1, 8, 8]
    assert found["h_x_bits"] is None
    assert found["sha256"] == data.sha256
    assert set(found) == {
        *("name", "image_shape", "intensities", "class_names", "h_x_bits", "h_y_bits", "factor_bits"),
        *("n_encoder", "n_decoder", "n_validation", "n_evaluation", "n_duplicates_dropped", "sha256"),
    }


def test_hash_sees_pixels_labels_and_purpose() -> None:
    data = load_data(DataConfig(source="digits"))
    others = [{"seed": 1}, {"bits": 4}, {"per_class": 30}, {"validation_share": 0.2}]
    hashes = {load_data(DataConfig(source="digits", **options)).sha256 for options in others}
    assert len(hashes | {data.sha256}) == 5


def test_registry_and_config_name_the_same_sources() -> None:
    assert set(SOURCES) == set(get_args(SourceName))
