"""The layout of an activations file: what is read of it, and one sentence for whatever is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from activations_file_toys import N_IMAGES, Change, replace

from ib_analysis.activations_file import contents_of
from ib_analysis.artifacts import UserError
from ib_analysis.data import DataConfig, load_data

Write = Callable[..., Path]


def load(path: Path, **settings: object):
    return load_data(DataConfig(source="activations_file", folder=str(path), **settings))


def test_what_lies_in_a_file(write: Write) -> None:
    found = contents_of(write(lambda file: file.attrs.update({"author": "me"})))
    assert (found.n_images, found.image_shape, found.intensities) == (N_IMAGES, (1, 8, 8), 256)
    assert found.epochs == (0, 10)
    assert {name: tap.shape for name, tap in found.taps.items()} == {"h2": (3, 4, 4), "h10": (5,)}
    assert list(found.taps) == ["h2", "h10"]  # numbers in names count as numbers
    assert found.provenance == {"/": {"author": "me"}}


def test_the_attribute_order_decides(write: Write) -> None:
    def change(file: h5py.File) -> None:
        file["epoch_0000/h2"].attrs["order"] = 7
        file["epoch_0000/h10"].attrs["order"] = 3

    assert list(contents_of(write(change)).taps) == ["h10", "h2"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (replace("images", None), "no dataset /images"),
        (replace("images", np.zeros((N_IMAGES, 1, 8, 8))), "must be uint8"),
        (replace("images", np.zeros((N_IMAGES, 8, 8, 3), np.uint8)), "8 channels"),
        (replace("labels", np.arange(7)), "/labels must be a dataset with a value for each of the 60 images"),
        (replace("epoch_0010/h2", None), "h2 is there at epoch 0 and missing at epoch 10"),
        (replace("epoch_0010/h2", np.zeros((N_IMAGES, 3, 2, 2))), "(3, 4, 4) per image at epoch 0 and (3, 2, 2)"),
        (replace("epoch_0010/h2", np.zeros((7, 3, 4, 4))), "/epoch_0010/h2 has shape (7, 3, 4, 4), and there are 60"),
        (replace("epoch_0010/h2", np.zeros((N_IMAGES, 6, 8))), "say in its attribute axes"),
        (replace("epoch_0010/h2", np.zeros((N_IMAGES, 6, 8)), axes="NXC"), "axes is 'NXC'"),
        (replace("epoch_0010/h2", np.zeros((N_IMAGES, 6, 8)), axes="NPC", grid=[3, 3]), "only 6 tokens"),
        (replace("epoch_0010/h2", np.zeros((N_IMAGES, 6, 8)), axes="NTC", grid=[2, 3]), "write P for them"),
        (replace("epoch_0010/h2", np.zeros((N_IMAGES, 6, 8)), axes="NPC", grid=[2, 0]), "2 whole numbers from 1 on"),
        (replace("epoch_0010/h2", np.zeros((N_IMAGES, 2), complex)), "type complex128"),
        (replace("epoch_0010/h2", np.zeros((N_IMAGES, 2)), dtype="bfloat16"), "bits of bfloat16 as uint16"),
        (lambda file: file.create_group("epoch_0010/h3"), "/epoch_0010/h3 is a group and no dataset"),
        (lambda file: file.create_dataset("epoch_0020", data=1), "/epoch_0020 must be a group"),
        (lambda file: file.move("epoch_0010", "epoch_10"), "called epoch_0010"),
        (lambda file: file.attrs.update({"version": 2}), "version 2 of the layout"),
        (lambda file: [file.pop(name) for name in ("epoch_0000", "epoch_0010")], "has no activations"),
    ],
)
def test_a_wrong_file_gets_one_sentence(write: Write, change: Change, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        contents_of(write(change))
    assert sentence in str(error.value)
    assert "mine.h5" in str(error.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (replace("labels", np.zeros(N_IMAGES)), "only one class"),
        (replace("labels", np.linspace(0, 1, N_IMAGES)), "whole numbers"),
        (replace("labels", np.arange(N_IMAGES) % 3, class_names=["a", "b"]), "class_names has 2 names"),
        (
            replace("labels", np.arange(N_IMAGES)),
            r"mine\.h5: Class '0' has no image in the evaluation split.*leave the labels",
        ),
        (
            lambda file: file.create_dataset("split", data=np.where(np.arange(N_IMAGES) % 3 == 1, 1, 2)),
            r"Class '0' has no image in the decoder split: none of its 20 is left there by /split",
        ),
        (lambda file: file.create_dataset("split", data=np.full(N_IMAGES, 1)), "no image for evaluation"),
        (lambda file: file.create_dataset("split", data=np.full(N_IMAGES, b"train")), "holds 'train'"),
        (lambda file: file["images"].attrs.update({"intensities": 17}), "must be below it"),
    ],
)
def test_wrong_images_labels_and_splits_get_one_sentence(write: Write, change: Change, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        load(write(change))


def test_copies_of_what_the_network_was_trained_on_are_left_out(write: Write) -> None:
    def change(file: h5py.File) -> None:
        file["images"][40:45] = file["images"][50:55]  # evaluated ones
        file["images"][0:3] = file["images"][55:58]  # and decoders'
        file["split"] = np.repeat([1, 2, 0], [30, 20, 10])
        del file["labels"]

    data = load(write(change))
    assert (len(data.decoder), len(data.evaluation), len(data.encoder)) == (27, 15, 10)
    assert data.n_duplicates_dropped == 8
    seen = {image.tobytes() for image in data.encoder.images}
    assert not seen & {image.tobytes() for image in [*data.decoder.images, *data.evaluation.images]}


def test_a_file_that_is_none_or_truncated(write: Write, tmp_path: Path) -> None:
    path = write()
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match="truncated"):
        contents_of(path)
    with pytest.raises(UserError, match="does not exist"):
        contents_of(tmp_path / "other.h5")
    with pytest.raises(UserError, match="is a folder; name an HDF5 file"):
        contents_of(tmp_path)


@pytest.mark.parametrize("words", [False, True])
def test_a_given_split_is_kept(write: Write, words: bool) -> None:
    parts = np.arange(N_IMAGES) // 3 % 3  # each with all labels
    names = np.array([b"encoder", b"decoder", b"evaluation"])
    data = load(write(lambda file: file.create_dataset("split", data=names[parts] if words else parts)))
    for part, split in enumerate((data.encoder, data.decoder, data.evaluation)):
        assert sorted(split.source_index) == np.flatnonzero(parts == part).tolist()


def test_a_drawn_split_is_stratified_and_leaves_nothing_for_an_encoder(write: Write) -> None:
    path = write()
    data = load(path)
    assert (len(data.encoder), len(data.decoder), len(data.evaluation)) == (0, 48, 12)
    assert np.bincount(data.evaluation.labels).tolist() == [4, 4, 4]
    with h5py.File(path) as file:
        np.testing.assert_array_equal(data.evaluation.images, file["images"][()][data.evaluation.source_index])


def test_images_without_labels_and_with_channels_last(write: Write) -> None:
    images = np.random.default_rng(1).integers(0, 256, (N_IMAGES, 8, 6, 3), dtype=np.uint8)

    def change(file: h5py.File) -> None:
        del file["labels"]
        replace("images", images, axes="NHWC")(file)

    data = load(write(change))
    assert not data.has_labels
    np.testing.assert_array_equal(data.decoder.images, images[data.decoder.source_index].transpose(0, 3, 1, 2))
