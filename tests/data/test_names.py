"""Names of files, classes and folders in any writing, or in broken encodings: they work, or a sentence says why not."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import unicodedata
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import pytest
from PIL import Image

from ib_analysis.artifacts import UserError, write_text
from ib_analysis.cli import main
from ib_analysis.data import DataConfig, ImageData, facts, load_data, save_splits

CAFE = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
LATIN = os.fsdecode(b"caf\xe9")  # a name written in Latin-1, as Python keeps it: with a surrogate


def images(root: Path, names: tuple[str, ...], n: int = 6, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            Image.fromarray(rng.integers(256, size=(8, 8)).astype(np.uint8)).save(root / name / f"{i}.png")


def load(root: Path, folder: str = "set", **options) -> ImageData:
    return load_data(DataConfig(source="image_folder", root=str(root), folder=folder, **options))


def saved_and_printed(data: ImageData, folder: Path) -> None:
    """As the stages do it, and on a terminal that knows nothing but UTF-8."""
    save_splits(data, folder / "splits.h5")
    with h5py.File(folder / "splits.h5") as file:
        assert file.attrs["name"] == data.name
    write_text(folder / "data.json", json.dumps(facts(data), ensure_ascii=False))
    assert tuple(json.loads((folder / "data.json").read_text())["class_names"]) == data.class_names
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    print(data.name, *data.class_names, file=terminal, flush=True)


@pytest.mark.parametrize("where", ["file", "class", "folder", "root"])
def test_names_that_are_no_utf_8(tmp_path: Path, where: str) -> None:
    root = tmp_path / LATIN if where == "root" else tmp_path
    folder = LATIN if where == "folder" else "set"
    images(root / folder, (LATIN if where == "class" else "cat", "dog"))
    if where == "file":
        (root / folder / "cat" / "0.png").rename(root / folder / "cat" / f"{LATIN}.png")
    data = load(root, folder)
    assert data.class_names == ("caf\\xe9" if where == "class" else "cat", "dog")
    assert data.name == ("caf\\xe9" if where == "folder" else "set")
    saved_and_printed(data, tmp_path)
    assert load(root, folder).sha256 == data.sha256  # from the packed file
    with tarfile.open(root / f"{folder}.tar", "w") as file:
        file.add(root / folder, ".")
    assert load(root, f"{folder}.tar").sha256 == data.sha256


def test_broken_files_of_such_names_are_told_of(tmp_path: Path) -> None:
    images(tmp_path / "set", ("cat", "dog"))
    (tmp_path / "set" / "cat" / f"{LATIN}.png").write_bytes(b"junk")
    (tmp_path / "set" / "cat" / f"{LATIN}.heic").write_bytes(b"junk")
    with pytest.raises(UserError, match=r"cat/caf\\xe9.png is not one of PNG") as error:
        load(tmp_path)
    str(error.value).encode()


@pytest.mark.parametrize("second", CAFE)
def test_one_class_spelled_in_two_ways_is_one_class(tmp_path: Path, second: str) -> None:
    images(tmp_path / "set" / "train", (CAFE[0], "zoo"))
    images(tmp_path / "set" / "test", (second, "zoo"), seed=1)
    data = load(tmp_path)
    assert sorted(data.class_names) == sorted([CAFE[0], "zoo"])
    assert [np.bincount(split.labels).tolist() for split in data.splits.values()] == [[3, 3], [3, 3], [6, 6]]
    saved_and_printed(data, tmp_path)


@pytest.mark.parametrize(("form", "place"), [("NFC", 2), ("NFD", 0)])
def test_classes_are_numbered_by_their_spelling_on_disk_as_they_always_were(
    tmp_path: Path, form: Literal["NFC", "NFD"], place: int
) -> None:
    """É as one sign comes behind z, as an e with an accent before f: records of older runs keep their labels."""
    images(tmp_path / "set", ("fox", "zoo", unicodedata.normalize(form, "école")))
    assert load(tmp_path).class_names.index(unicodedata.normalize("NFC", "école")) == place


def test_groups_of_a_file_in_another_spelling(tmp_path: Path) -> None:
    images(tmp_path / "set", (CAFE[1], "zoo"))
    lines = [f"{name}/{i}.png,{i}" for name in (CAFE[0], "zoo") for i in range(6)]
    (tmp_path / "groups.csv").write_text("\n".join(["file,group", *lines]))
    assert len(load(tmp_path, group_file="groups.csv").evaluation) > 0


def test_long_names(tmp_path: Path) -> None:
    """A class name in a tar, and the name of the tar itself, may be longer than a file's name on disk."""
    images(tmp_path / "set", ("cat", "dog"))
    path = tmp_path / f"{'ä' * 120}.tar"  # 240 bytes
    with tarfile.open(path, "w") as file:
        for name, other in (("cat", "n" * 300), ("dog", "dog")):
            file.add(tmp_path / "set" / name, other)
    data = load(tmp_path, path.name)
    assert data.class_names == ("dog", "n" * 300)
    saved_and_printed(data, tmp_path)


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ("~nobody_of_that_name/x", r"there is no home folder for ~nobody_of_that_name, .*; write the path out"),
        ("n" * 300, r"cannot be looked up \(File name too long\); name another path"),
        ("a\0b", r"'a\\x00b' cannot be looked up \(embedded null byte\)"),
    ],
)
@pytest.mark.parametrize("field", ["root", "folder", "group_file"])
def test_paths_that_cannot_be(tmp_path: Path, field: str, chosen: str, sentence: str) -> None:
    images(tmp_path / "set", ("cat", "dog"))
    options = {"root": str(tmp_path), "folder": "set", field: chosen}
    with pytest.raises(UserError, match=rf"data.{field}: .*{sentence}"):
        load_data(DataConfig(source="image_folder", **options))


def test_the_root_of_the_environment_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IB_DATA_ROOT", "~nobody_of_that_name")
    with pytest.raises(UserError, match=r"environment variable IB_DATA_ROOT: there is no home folder"):
        load_data(DataConfig(source="image_folder", folder="set"))


def test_the_command_prints_and_records_a_folder_that_is_no_utf_8(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images(tiny.parent / LATIN, (LATIN, "dog"), n=60)
    text = tiny.read_text().replace("factors: {n_encoder: 64, n_decoder: 80, n_evaluation: 24}", "source: image_folder")
    tiny.write_text(text)
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    monkeypatch.setattr(sys, "stdout", terminal)
    words = [str(tiny), "--data.root", ".", "--data.folder", LATIN]
    assert main(["describe", *words]) == 0, capsys.readouterr().err
    assert main(["train", *words, "--tasks", "[classification]"]) == 0, capsys.readouterr().err
    names = json.loads((tiny.parent / "checkpoints" / "tiny" / "data.json").read_text())["class_names"]
    assert names == ["caf\\xe9", "dog"]
