"""Image files of every kind that is read: what they show reaches the splits whole, or the file is refused by name."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ib_analysis.artifacts import UserError
from ib_analysis.data import DataConfig, load_data
from ib_analysis.data.archive import Tree
from ib_analysis.data.decoding import FORMATS, UnusableError, decode
from ib_analysis.data.refusals import MOST_UNUSABLE, Refusals

SUFFIXES = [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm", ".pnm"]


def pixels(seed: int, size: tuple[int, ...] = (8, 12, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=size).astype(np.uint8)


def file_of(image: Image.Image, kind: str, **options) -> io.BytesIO:
    content = io.BytesIO()
    image.save(content, format=kind, **options)
    content.seek(0)
    return content


def channels_last(found: np.ndarray) -> np.ndarray:
    return found.transpose(1, 2, 0)


def png(image: np.ndarray, bits: int) -> io.BytesIO:
    """A PNG written by the letter of the standard (ISO/IEC 15948), since Pillow writes no 16-bit colour."""
    height, width, channels = image.shape
    kinds = {1: 0, 2: 4, 3: 2, 4: 6}
    rows = b"".join(b"\0" + row.astype(">u2" if bits == 16 else "u1").tobytes() for row in image)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, kinds[channels], 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + chunks)


def tiff_of_16_bits() -> io.BytesIO:
    """A little-endian TIFF of 2x2 colour pixels of 16 bits, by the letter of TIFF 6.0."""
    tags = [
        *((256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 3, 8 + 2 + 9 * 12 + 4), (259, 3, 1, 1), (262, 3, 1, 2)),
        *((273, 4, 1, 8 + 2 + 9 * 12 + 4 + 6), (277, 3, 1, 3), (278, 3, 1, 2), (279, 4, 1, 24)),
    ]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return io.BytesIO(
        b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + struct.pack("<3H", 16, 16, 16) + bytes(24)
    )


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "JPEG"])
def test_every_lossless_format_gives_its_pixels(kind: str) -> None:
    image = pixels(0)
    image[...] = image // 64 * 64  # 64 colours, which a GIF's palette holds
    options = {"lossless": True} if kind == "WEBP" else {}
    found, grey = decode(file_of(Image.fromarray(image), kind, **options))
    np.testing.assert_array_equal(channels_last(found), image)
    assert not grey


def test_a_tree_of_mixed_formats_is_read_and_what_is_left_out_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i, suffix in enumerate(SUFFIXES):
            Image.fromarray(pixels(i + 100 * (name == "dog"))).save(tmp_path / "set" / name / f"{i}{suffix.upper()}")
    (tmp_path / "set" / "cat" / "photo.heic").write_bytes(b"ftypheic")
    (tmp_path / "set" / "labels.txt").write_text("")
    (tmp_path / "set" / ".hidden").write_text("")
    config = DataConfig(source="image_folder", root=str(tmp_path), folder="set")
    data = load_data(config)
    assert sum(len(split) for split in data.splits.values()) == 2 * len(SUFFIXES)
    told = capsys.readouterr().err
    assert "set: left out 2 files, of a kind other than PNG, JPEG, " in told
    assert told.endswith("PNM: cat/photo.heic, labels.txt\n")
    load_data(config)
    assert capsys.readouterr().err == ""  # it is told when it happens, on packing


def test_a_class_of_nothing_but_unknown_files_is_refused_with_their_names(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "1.heic").write_bytes(b"")
    with pytest.raises(UserError, match=r"holds no PNG.* file \(other files, .*: cat/1.heic, dog/1.heic\)"):
        load_data(DataConfig(source="image_folder", root=str(tmp_path), folder="set"))
    Image.fromarray(pixels(0)).save(tmp_path / "set" / "cat" / "1.png")
    with pytest.raises(UserError, match=r"class folder dog is empty or missing \(other files, .*dog/1.heic\)"):
        load_data(DataConfig(source="image_folder", root=str(tmp_path), folder="set"))


# ---------------------------------------------------------------------------------------------- orientation

# EXIF 2.32, tag 0x0112: what row 0 and column 0 of the file are in the picture; as operations on rows and columns.
TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG"])
@pytest.mark.parametrize("orientation", sorted(TURNS))
def test_photos_are_turned_upright(orientation: int, kind: str) -> None:
    image = np.kron(pixels(3, (2, 3, 1)), np.ones((16, 16, 3), np.uint8))  # blocks that JPEG keeps
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    found, _ = decode(file_of(Image.fromarray(image), kind, exif=exif, **options))
    expected = TURNS[orientation](image)
    assert channels_last(found).shape == expected.shape
    assert np.abs(channels_last(found).astype(int) - expected).max() <= (12 if kind == "JPEG" else 0)


def test_broken_notes_beside_a_whole_picture_do_not_matter() -> None:
    content = file_of(Image.fromarray(pixels(4)), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(channels_last(decode(content)[0]), pixels(4))


# ---------------------------------------------------------------------------------------------- transparency


@pytest.mark.parametrize(("background", "shade"), [("white", 255), ("black", 0)])
def test_transparent_pixels_show_the_background(background: str, shade: int) -> None:
    colours, opacity = np.arange(0, 256, 15), np.arange(0, 256, 5)
    image = np.stack(np.broadcast_arrays(*[colours[:, None]] * 3, opacity), axis=-1).astype(np.uint8)
    found, _ = decode(file_of(Image.fromarray(image, mode="RGBA"), "PNG"), background)
    exact = [
        [Fraction(int(x) * int(a) + shade * (255 - int(a)), 255) + Fraction(1, 2) for a in opacity] for x in colours
    ]
    np.testing.assert_array_equal(found[0], [[value.__floor__() for value in row] for row in exact])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("mode", ["LA", "P", "L"])
def test_transparency_of_grey_and_palette_images(mode: str) -> None:
    image = pixels(5, (8, 8))
    if mode == "LA":
        whole = Image.merge(
            "LA", [Image.fromarray(image), Image.fromarray(np.where(image < 99, 0, 255).astype(np.uint8))]
        )
        content = file_of(whole, "PNG")
    else:
        whole = Image.fromarray(image).convert(mode)
        content = file_of(whole, "PNG", transparency=int(image[0, 0]))
    found, grey = decode(content)
    gone = image < 99 if mode == "LA" else image == image[0, 0]
    np.testing.assert_array_equal(found[1], np.where(gone, 255, image))
    assert grey == (mode != "P")


def test_shapes_that_are_only_in_the_alpha_channel_are_seen(tmp_path: Path) -> None:
    def put(shade: int) -> None:
        for name in ("cat", "dog"):
            for i in range(6):
                image = np.full((8, 8, 4), shade, np.uint8)
                image[..., 3] = pixels(i + 10 * (name == "dog"), (8, 8))
                path = tmp_path / "set" / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image, mode="RGBA").save(path)

    def found(**options) -> set[bytes]:
        data = load_data(DataConfig(source="image_folder", root=str(tmp_path), folder="set", **options))
        return {image.tobytes() for split in data.splits.values() for image in split.images}

    put(0)
    assert len(found()) == 12
    with pytest.raises(
        UserError, match=r"cat/0.png shows nothing on a black background \(set data.background to white\)"
    ):
        found(background="black")
    put(255)
    with pytest.raises(
        UserError, match=r"cat/0.png shows nothing on a white background \(set data.background to black\)"
    ):
        found()
    assert len(found(background="black")) == 12


# ---------------------------------------------------------------------------------------------- what is refused


def refused(content: io.BytesIO) -> str:
    with pytest.raises(UnusableError) as error:
        decode(content)
    return str(error.value)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_16_bit_png_is_refused_and_its_8_bit_twin_read(channels: int) -> None:
    image = pixels(6, (8, 8, channels))
    if channels in (2, 4):
        image[..., -1] = 255
    assert refused(png(image.astype(np.uint16) * 256 + 77, bits=16)).startswith("has 16 bits per channel instead of 8")
    found, _ = decode(png(image, bits=8))
    np.testing.assert_array_equal(found[0], image[..., 0])


def test_16_bits_of_other_formats_are_refused() -> None:
    assert refused(tiff_of_16_bits()).startswith("has 16 bits per channel instead of 8")
    deep = b"P6 2 2 65535\n" + bytes(24)
    assert refused(io.BytesIO(deep)).startswith("has 16 bits per channel instead of 8")
    assert decode(io.BytesIO(b"P6 2 2 255\n" + bytes(12)))[0].shape == (3, 2, 2)
    grey = Image.fromarray(pixels(0, (8, 8)).astype(np.uint16))
    for kind in ("PNG", "TIFF", "PPM"):
        assert "instead of 8 bits per channel" in refused(file_of(grey, kind))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_files_of_several_pictures_are_refused(kind: str) -> None:
    frames = [Image.fromarray(pixels(i)) for i in range(3)]
    content = file_of(frames[0], kind, save_all=True, append_images=frames[1:])
    assert refused(content).startswith("holds 3 pictures, an animation or pages")


def test_a_photo_with_a_preview_is_the_photo() -> None:
    photo, preview = (Image.fromarray(np.full((16, 16, 3), shade, np.uint8)) for shade in (40, 200))
    found, _ = decode(file_of(photo, "MPO", save_all=True, append_images=[preview]))
    assert np.abs(found.astype(int) - 40).max() <= 2


def test_all_broken_files_are_told_of_at_once(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for i in range(20):
            path = tmp_path / "set" / name / f"{i:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels(i + 50 * (name == "dog"))).save(path)
    folder = tmp_path / "set"
    for i in range(12):
        (folder / "dog" / f"{i:02d}.png").write_bytes(b"this is no picture")
    whole = (folder / "cat" / "07.png").read_bytes()
    (folder / "cat" / "07.png").write_bytes(whole[:-60])
    with pytest.raises(UserError) as error:
        load_data(DataConfig(source="image_folder", root=str(tmp_path), folder="set"))
    told = str(error.value)
    assert "set holds 13 images that cannot be used: cat/07.png cannot be read (" in told
    assert "; dog/08.png is not one of PNG, JPEG, " in told
    assert "dog/09.png" not in told
    assert told.endswith("GIF or PNM and 3 more; replace or remove them.")
    assert "BytesIO" not in told
    assert list((tmp_path / "packed").iterdir()) == []


def test_one_odd_first_file_is_the_odd_one(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for i in range(5):
            path = tmp_path / "set" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels(i, (9, 8, 3) if (name, i) == ("cat", 0) else (8, 8, 3))).save(path)
    with pytest.raises(UserError, match=r"the image cat/0.png has 8x9 pixels where the others have 8x8; set"):
        load_data(DataConfig(source="image_folder", root=str(tmp_path), folder="set"))


def test_folders_that_cannot_be_entered_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels(0)).save(tmp_path / name / "1.png")
    scan = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(UserError, match=r"holds what cannot be read: dog \(Permission denied\)"):
        Tree(tmp_path).listing()


def test_reading_stops_where_more_of_the_same_would_tell_nothing_new() -> None:
    refusals = Refusals(Path("set"))
    for i in range(MOST_UNUSABLE - 1):
        refusals.add(f"{i:04d}", "is broken")
    with pytest.raises(UserError, match=r"set holds at least 1000 images that cannot be used: 0000 is broken; .* more"):
        refusals.add("last", "is broken")
    sizes = Refusals(Path("set"))
    for i in range(11):
        sizes.add_size(f"{i:02d}", 8 + i, 8)
    with pytest.raises(UserError, match=r"the image 01 has 8x9 pixels .* 8x8 \(also 02 has 8x10, .*, 11 has 8x30\)"):
        sizes.add_size("11", 30, 8)
