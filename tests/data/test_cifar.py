"""CIFAR through torchvision's own reader, on small batches in the published format; each way it can fail."""

from __future__ import annotations

import errno
import hashlib
import pickle
import tarfile
import urllib.error
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import CIFAR10, CIFAR100, cifar

from ib_analysis.artifacts import UserError
from ib_analysis.data import DataConfig, image_space, load_data, split_sizes

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
PER_BATCH = 40


def batch(seed: int, key: str, n_classes: int, n: int) -> dict:
    rng = np.random.default_rng(seed)
    return {
        "data": rng.integers(256, size=(n, 3072)).astype(np.uint8),
        key: [i % n_classes for i in range(n)],
    }


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both data sets in small, with their checksums told to torchvision, and no network."""

    def put(kind: type, name: str, content: dict) -> list[str]:
        path = tmp_path / kind.base_folder / name  # type: ignore[attr-defined]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(content))
        return [name, hashlib.md5(path.read_bytes()).hexdigest()]

    ten = [put(CIFAR10, f"data_batch_{i}", batch(i, "labels", 10, PER_BATCH)) for i in range(1, 6)]
    monkeypatch.setattr(CIFAR10, "train_list", ten)
    monkeypatch.setattr(CIFAR10, "test_list", [put(CIFAR10, "test_batch", batch(9, "labels", 10, 30))])
    hundred = put(CIFAR100, "train", batch(11, "fine_labels", 100, 400))
    monkeypatch.setattr(CIFAR100, "train_list", [hundred])
    monkeypatch.setattr(CIFAR100, "test_list", [put(CIFAR100, "test", batch(12, "fine_labels", 100, 100))])
    for kind, key, names in (
        (CIFAR10, "label_names", NAMES),
        (CIFAR100, "fine_label_names", [f"c{i:02}" for i in range(100)]),
    ):
        filename, md5 = put(kind, kind.meta["filename"], {key: names})
        monkeypatch.setattr(kind, "meta", {"filename": filename, "key": key, "md5": md5})
    fail_to_download(monkeypatch, urllib.error.URLError("no network"))
    return tmp_path


def fail_to_download(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def download(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cifar, "download_and_extract_archive", download)


def test_test_images_are_evaluated_and_training_images_halved(published: Path) -> None:
    data = load_data(DataConfig(source="cifar10", root=str(published)))
    assert data.class_names == tuple(NAMES)
    assert data.augment
    assert [len(split) for split in data.splits.values()] == [100, 100, 30]
    assert (data.evaluation.source_index >= 200).all()
    for split in (data.encoder, data.decoder):
        assert np.bincount(split.labels).tolist() == [10] * 10
    pixels = np.concatenate([batch(seed, "labels", 10, PER_BATCH)["data"] for seed in range(1, 6)])
    np.testing.assert_array_equal(data.decoder.images, pixels.reshape(-1, 3, 32, 32)[data.decoder.source_index])


def test_cifar100_uses_the_fine_classes(published: Path) -> None:
    data = load_data(DataConfig(source="cifar100", root=str(published), bits=2, resolution=8))
    assert len(data.class_names) == 100
    assert data.image_shape == (3, 8, 8)
    assert data.intensities == 4
    assert [len(split) for split in data.splits.values()] == [200, 200, 100]


def test_description_needs_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IB_DATA_ROOT", "/nowhere")
    config = DataConfig(source="cifar100", greyscale=True, bits=4, per_class=100)
    assert image_space(config) == ((1, 32, 32), 16, 100)
    assert split_sizes(config) == {"encoder": 10_000, "decoder": 10_000, "evaluation": 10_000}


def test_no_network(published: Path) -> None:
    (published / CIFAR10.base_folder / "test_batch").unlink()
    expected = r"CIFAR10 could not be downloaded \(.*no network.*\); download https://\S+ and put it at \S+gz, "
    with pytest.raises(UserError, match=expected):
        load_data(DataConfig(source="cifar10", root=str(published)))


def test_altered_batches_are_never_unpickled(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = published / CIFAR10.base_folder / "data_batch_3"
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("opened a pickle that was altered"))
    with pytest.raises(UserError, match="CIFAR10 could not be downloaded"):
        load_data(DataConfig(source="cifar10", root=str(published)))


@pytest.mark.parametrize("error", [RuntimeError("File not found or corrupted."), urllib.error.URLError("offline")])
def test_wrong_checksum_of_the_archive(published: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    (published / CIFAR10.base_folder / "test_batch").unlink()
    archive = published / CIFAR10.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(published / CIFAR10.base_folder, CIFAR10.base_folder)
    fail_to_download(monkeypatch, error)
    with pytest.raises(UserError, match=rf"{archive} has a wrong checksum .*{CIFAR10.tgz_md5}.*; delete it"):
        load_data(DataConfig(source="cifar10", root=str(published)))


def test_full_disk(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (published / CIFAR10.base_folder / "test_batch").unlink()
    fail_to_download(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(UserError, match=r"CIFAR10 cannot be written under .*No space left.*free some space"):
        load_data(DataConfig(source="cifar10", root=str(published)))


@pytest.mark.parametrize("named_by", ["config", "variable"])
def test_missing_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named_by: str) -> None:
    missing = str(tmp_path / "missing")
    monkeypatch.delenv("IB_DATA_ROOT", raising=False)
    if named_by == "variable":
        monkeypatch.setenv("IB_DATA_ROOT", missing)
    config = DataConfig(source="cifar10", root=missing if named_by == "config" else None)
    origin = "data.root" if named_by == "config" else "the environment variable IB_DATA_ROOT"
    with pytest.raises(UserError, match=rf"The data root {missing} \(from {origin}\) is not a folder; make it"):
        load_data(config)


def test_root_is_taken_from_config_then_variable_then_default(
    published: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("IB_DATA_ROOT", "/nowhere")
    expected = load_data(DataConfig(source="cifar10", root=str(published))).sha256
    monkeypatch.setenv("IB_DATA_ROOT", str(published))
    assert load_data(DataConfig(source="cifar10")).sha256 == expected
    monkeypatch.delenv("IB_DATA_ROOT")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "data").symlink_to(published)
    monkeypatch.chdir(elsewhere)
    assert load_data(DataConfig(source="cifar10")).sha256 == expected
