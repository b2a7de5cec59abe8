"""Trees and tars of images: packing, layouts, and one clear sentence for each way they can be wrong."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ib_analysis.artifacts import UserError
from ib_analysis.data import DataConfig, ImageData, image_space, load_data, split_sizes
from ib_analysis.data.collection import collection_of_arrays, divide

CLASSES = ("cat", "dog", "owl")


def pixels(seed: int, size: tuple[int, ...] = (8, 8, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=size).astype(np.uint8)


def put(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def tree(root: Path, splits: tuple[str, ...] = ("",), n: int = 10, size: tuple[int, ...] = (8, 8, 3)) -> Path:
    """n images per class and split; `{root}/set/[split/]class/i.png`."""
    seed = 0
    for split in splits:
        for name in CLASSES:
            for i in range(n):
                put(root / "set" / split / name / f"{i}.png", pixels(seed, size))
                seed += 1
    return root / "set"


def tar(folder: Path, path: Path, prefix: str = ".", reverse: bool = False) -> Path:
    members = sorted(folder.rglob("*"), reverse=reverse)
    with tarfile.open(path, "w" + {".xz": ":xz", ".gz": ":gz", ".tar": ""}[path.suffix]) as file:
        for member in members:
            file.add(member, f"{prefix}/{member.relative_to(folder)}", recursive=False)
    return path


def load(root: Path, folder: str = "set", **options) -> ImageData:
    return load_data(DataConfig(source="image_folder", root=str(root), folder=folder, **options))


# ------------------------------------------------------------------------------------------- what is right


def test_class_folders_split_as_the_same_arrays_would(tmp_path: Path) -> None:
    tree(tmp_path)
    images = np.stack([pixels(i) for i in range(30)]).transpose(0, 3, 1, 2)
    labels = np.repeat([0, 1, 2], 10)
    expected = divide(collection_of_arrays("x", images, labels, CLASSES), DataConfig(source="image_folder"))
    data = load(tmp_path)
    assert data.sha256 == expected.sha256
    assert data.class_names == CLASSES
    assert [len(split) for split in data.splits.values()] == [12, 12, 6]
    for split in data.splits.values():
        np.testing.assert_array_equal(split.images, images[split.source_index])
    assert data.augment


@pytest.mark.parametrize(
    ("name", "prefix", "reverse"),
    [("set.tar", ".", False), ("set.tar.gz", "some/where", True), ("set.tar.xz", "set", False)],
)
def test_a_tar_gives_what_its_tree_gives(tmp_path: Path, name: str, prefix: str, reverse: bool) -> None:
    folder = tree(tmp_path, ("train", "test"))
    (folder / "README.txt").write_text("not an image")
    put(folder / ".hidden" / "x" / "1.png", pixels(0))
    put(folder / "__MACOSX" / "x" / "1.png", pixels(0))
    tar(folder, tmp_path / name, prefix, reverse)
    from_tree, from_tar = load(tmp_path), load(tmp_path, name)
    assert from_tar.sha256 == from_tree.sha256
    for one, other in zip(from_tree.splits.values(), from_tar.splits.values(), strict=True):
        np.testing.assert_array_equal(one.source_index, other.source_index)


@pytest.mark.parametrize("second", ["test", "valid", "val", "validation"])
def test_two_official_splits(tmp_path: Path, second: str) -> None:
    tree(tmp_path, ("train", second))
    data = load(tmp_path)
    assert [len(split) for split in data.splits.values()] == [15, 15, 30]
    # source_index follows sorted names: test comes before train, valid behind.
    expected = range(30) if second == "test" else range(30, 60)
    assert sorted(data.evaluation.source_index) == list(expected)


def test_three_official_splits_and_cinic10_by_name(tmp_path: Path) -> None:
    tree(tmp_path, ("train", "valid", "test"))
    data = load(tmp_path)
    assert [len(split) for split in data.splits.values()] == [30, 30, 30]
    train = {pixels(i).transpose(2, 0, 1).tobytes() for i in range(30)}
    valid = {pixels(i).transpose(2, 0, 1).tobytes() for i in range(30, 60)}
    assert {image.tobytes() for image in data.encoder.images} == train
    assert {image.tobytes() for image in data.decoder.images} == valid


def test_cinic10_is_found_in_its_place_or_where_it_is_missed(tmp_path: Path) -> None:
    config = DataConfig(source="cinic10", root=str(tmp_path))
    with pytest.raises(UserError, match=r"CINIC-10 is not in \S+; download CINIC-10.tar.gz from https"):
        load_data(config)
    seed = 0
    for split in ("train", "valid", "test"):
        for label in range(10):
            for i in range(2):
                put(tmp_path / "unpacked" / split / f"class{label}" / f"{i}.png", pixels(seed, (32, 32, 3)))
                seed += 1
    tar(tmp_path / "unpacked", tmp_path / "CINIC-10.tar.gz")
    data = load_data(config)
    assert [len(split) for split in data.splits.values()] == [20, 20, 20]
    assert data.name == "cinic10"
    by_folder = load_data(DataConfig(source="cinic10", root=str(tmp_path), folder="unpacked"))
    assert by_folder.sha256 == data.sha256
    assert image_space(config) == (data.image_shape, data.intensities, 10)
    assert split_sizes(config)["evaluation"] == 90_000
    tree(tmp_path, ("train", "valid", "test"))
    with pytest.raises(UserError, match="is not CINIC-10"):
        load_data(DataConfig(source="cinic10", root=str(tmp_path), folder="set"))


def test_space_and_sizes(tmp_path: Path) -> None:
    tree(tmp_path, n=10)
    config = DataConfig(source="image_folder", root=str(tmp_path), folder="set", resolution=4, bits=2, per_class=3)
    data = load_data(config)
    assert image_space(config) == (data.image_shape, data.intensities, 3) == ((3, 4, 4), 4, 3)
    assert split_sizes(config) == {name: len(split) for name, split in data.splits.items()}


def test_grey_files_give_one_channel_and_mixed_ones_three(tmp_path: Path) -> None:
    tree(tmp_path, size=(8, 8))
    data = load(tmp_path)
    assert data.image_shape == (1, 8, 8)
    assert {image.tobytes() for image in data.encoder.images} <= {pixels(i, (8, 8)).tobytes() for i in range(30)}
    put(tmp_path / "set" / "cat" / "0.png", pixels(99))
    assert load(tmp_path).image_shape == (3, 8, 8)
    assert load(tmp_path, greyscale=True).image_shape == (1, 8, 8)


def test_jpeg_and_palette_and_transparency_are_read(tmp_path: Path) -> None:
    folder = tree(tmp_path)
    Image.fromarray(pixels(70)).save(folder / "cat" / "photo.JPG", format="JPEG")
    Image.fromarray(pixels(71)).convert("P").save(folder / "cat" / "palette.png")
    Image.fromarray(pixels(72, (8, 8, 4)), mode="RGBA").save(folder / "cat" / "transparent.png")
    data = load(tmp_path)
    assert sum(len(split) for split in data.splits.values()) == 33
    found = {image.tobytes() for split in data.splits.values() for image in split.images}
    assert pixels(72, (8, 8, 4))[..., :3].transpose(2, 0, 1).tobytes() not in found  # what shines through is white


def test_resolution_brings_any_size_together_without_changing_the_split(tmp_path: Path) -> None:
    tree(tmp_path)
    native, small = load(tmp_path), load(tmp_path, resolution=4)
    for one, other in zip(native.splits.values(), small.splits.values(), strict=True):
        np.testing.assert_array_equal(one.source_index, other.source_index)
    put(tmp_path / "set" / "cat" / "wide.png", pixels(80, (12, 30, 3)))
    assert load(tmp_path, resolution=8).image_shape == (3, 8, 8)


def test_packed_once_until_something_changes(tmp_path: Path) -> None:
    tree(tmp_path)
    calls: list[tuple[int, int]] = []
    config = DataConfig(source="image_folder", root=str(tmp_path), folder="set")

    def progress(done: int, total: int, figures: dict[str, float]) -> None:
        calls.append((done, total))

    first = load_data(config, progress)
    assert calls[-1] == (30, 30)
    calls.clear()
    assert load_data(config, progress).sha256 == first.sha256
    assert calls == []  # from the packed file
    # A changed image with the same size in bytes: only its time tells.
    victim = tmp_path / "set" / "cat" / "0.png"
    put(victim, pixels(500))
    os.utime(victim, ns=(1, 1))
    assert load_data(config, progress).sha256 != first.sha256
    assert calls
    (packed,) = (tmp_path / "packed").glob("*.h5")  # written over, not beside
    # A damaged pack is made again.
    calls.clear()
    healthy = load_data(config, progress).sha256
    packed.write_bytes(packed.read_bytes()[:-100])
    assert load_data(config, progress).sha256 == healthy
    assert calls


def test_nothing_is_left_of_a_pack_that_failed(tmp_path: Path) -> None:
    folder = tree(tmp_path)
    (folder / "owl" / "9.png").write_bytes(b"junk")
    with pytest.raises(UserError):
        load(tmp_path)
    assert list((tmp_path / "packed").iterdir()) == []


# ------------------------------------------------------------------------------------------- what is wrong


def spoil_truncated(folder: Path) -> None:
    path = folder / "dog" / "3.png"
    path.write_bytes(path.read_bytes()[:-60])


def spoil_junk(folder: Path) -> None:
    (folder / "dog" / "3.png").write_bytes(b"this is no picture")


def spoil_kind(folder: Path) -> None:
    Image.fromarray(pixels(0)).save(folder / "dog" / "3.png", format="TGA")


def spoil_16_bit(folder: Path) -> None:
    Image.fromarray(pixels(0, (8, 8)).astype(np.uint16) * 256).save(folder / "dog" / "3.png")


def spoil_size(folder: Path) -> None:
    put(folder / "dog" / "3.png", pixels(0, (9, 8, 3)))


def spoil_empty_class(folder: Path) -> None:
    (folder / "rat").mkdir()


def spoil_top(folder: Path) -> None:
    put(folder / "logo.png", pixels(0))


def spoil_deeper(folder: Path) -> None:
    put(folder / "dog" / "more" / "x.png", pixels(0))


def spoil_link(folder: Path) -> None:
    (folder / "dog" / "gone.png").symlink_to(folder / "nothing.png")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (spoil_truncated, r"set holds an image that cannot be used: dog/3.png cannot be read .*; replace or remove it"),
        (spoil_junk, r"dog/3.png is not one of PNG, JPEG, WebP, BMP, TIFF, GIF or PNM; replace or remove it"),
        (spoil_kind, r"dog/3.png is not one of PNG, JPEG"),
        (spoil_16_bit, r"dog/3.png has pixels of mode 'I;16' instead of 8 bits"),
        (spoil_size, r"dog/3.png has 8x9 pixels where the others have 8x8; set data.resolution"),
        (spoil_empty_class, r"the class folder rat is empty or missing; put PNG, JPEG, "),
        (spoil_top, r"image logo.png does not lie where the others do; expected class/image"),
        (spoil_deeper, r"image dog/more/x.png does not lie where the others do; expected class/image"),
        (spoil_link, r"holds what cannot be read: dog/gone.png \(No such file"),
    ],
)
def test_a_spoiled_tree_is_refused_by_name(tmp_path: Path, spoil: Callable[[Path], None], sentence: str) -> None:
    spoil(tree(tmp_path))
    with pytest.raises(UserError, match=sentence):
        load(tmp_path)


def test_a_class_without_test_images_is_refused(tmp_path: Path) -> None:
    folder = tree(tmp_path, ("train", "test"))
    for path in (folder / "test" / "owl").iterdir():
        path.unlink()
    (folder / "test" / "owl").rmdir()
    with pytest.raises(UserError, match=r"the class folder test/owl is empty or missing"):
        load(tmp_path)


def test_an_empty_split_folder_is_refused(tmp_path: Path) -> None:
    folder = tree(tmp_path, ("train",))
    (folder / "test").mkdir()
    with pytest.raises(UserError, match="the folder test holds no PNG, JPEG,"):
        load(tmp_path)


def test_unknown_split_folders_are_refused(tmp_path: Path) -> None:
    tree(tmp_path, ("train", "holdout"))
    with pytest.raises(UserError, match=r"has the folders holdout, train above its classes; expected"):
        load(tmp_path)


def test_split_folders_without_classes_are_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        put(tmp_path / "set" / split / "1.png", pixels(0))
    with pytest.raises(UserError, match="folders test, train hold images but no class folders"):
        load(tmp_path)


def test_one_class_is_refused(tmp_path: Path) -> None:
    for i in range(10):
        put(tmp_path / "set" / "cat" / f"{i}.png", pixels(i))
    with pytest.raises(UserError, match=r"only one class \('cat'\)"):
        load(tmp_path)


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    tree(tmp_path, n=2)
    with pytest.raises(UserError, match="Class 'cat' has too few different images"):
        load(tmp_path)


def test_no_images_no_folder_no_name(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(UserError, match=r"holds no PNG, .* file; expected class/image"):
        load(tmp_path)
    with pytest.raises(UserError, match=r"data.folder: \S+elsewhere does not exist"):
        load(tmp_path, "elsewhere")
    with pytest.raises(UserError, match=r"needs data.folder"):
        load_data(DataConfig(source="image_folder", root=str(tmp_path)))


def test_large_images_need_a_resolution(tmp_path: Path) -> None:
    tree(tmp_path, n=3, size=(4, 300, 3))
    with pytest.raises(UserError, match=r"has 300x4 pixels; set data.resolution"):
        load(tmp_path)
    assert load(tmp_path, resolution=4).image_shape == (3, 4, 4)


@pytest.mark.parametrize("name", ["../cat/0.png", "/cat/0.png", "train/../../cat/0.png"])
def test_tar_with_unsafe_paths_is_refused(tmp_path: Path, name: str) -> None:
    content = io.BytesIO()
    Image.fromarray(pixels(0)).save(content, format="PNG")
    with tarfile.open(tmp_path / "bad.tar", "w") as file:
        member = tarfile.TarInfo(name)
        member.size = len(content.getvalue())
        file.addfile(member, io.BytesIO(content.getvalue()))
    with pytest.raises(UserError, match=r"bad.tar holds the unsafe path .*leads out of the archive"):
        load(tmp_path, "bad.tar")


def test_tar_with_links_to_images_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as file:
        member = tarfile.TarInfo("cat/0.png")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(member)
    with pytest.raises(UserError, match=r"holds the link 'cat/0.png' in place of an image"):
        load(tmp_path, "bad.tar")


@pytest.mark.parametrize("keep", [0.3, 0.9])
@pytest.mark.parametrize("name", ["set.tar", "set.tar.gz", "set.tar.xz"])
def test_tar_that_broke_off_is_refused(tmp_path: Path, name: str, keep: float) -> None:
    path = tar(tree(tmp_path, size=(32, 32, 3)), tmp_path / name)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(UserError, match="cannot be read as a tar"):
        load(tmp_path, name)


def test_a_file_that_is_no_tar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set.zip").write_bytes(b"PK" + bytes(100))
    with pytest.raises(UserError, match=r"is no folder and cannot be read as a tar"):
        load(tmp_path, "set.zip")
