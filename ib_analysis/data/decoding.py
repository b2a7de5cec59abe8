"""From the content of one image file to 8-bit pixels, upright and opaque; whatever would be lost is refused instead."""

from __future__ import annotations

import warnings
from typing import IO, TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

__all__ = ["KINDS", "SUFFIXES", "UnusableError", "decode"]

# What Pillow decodes by itself, without another program (Ghostscript for EPS) or an optional plugin.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM")
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
KINDS = "PNG, JPEG, WebP, BMP, TIFF, GIF or PNM"
GREY_MODES = ("1", "L", "LA")
COLOUR_MODES = ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr")
REMEDY = "convert it to 8-bit PNG"
EXIF_ORIENTATION = 0x0112
BACKGROUNDS = {"white": 255, "black": 0}


class UnusableError(Exception):
    """Why an image cannot be used: half a sentence, to be put behind its name."""


def decode(content: IO[bytes], background: str = "white") -> tuple[np.ndarray, bool]:
    """Read an image file.

    The picture is turned upright as its EXIF orientation says, and what is transparent shows the background: a
    channel x with opacity a becomes (a x + (255 - a) background) / 255, rounded.

    Arguments:
        content: the bytes of a file of one of the `FORMATS`, whatever its name.
        background: ``white`` or ``black``.

    Returns:
        pixels, shape (3, H, W), uint8, and whether the file is grey.

    Raises:
        UnusableError: the file is broken or something else, has more than 8 bits per channel, holds several
            pictures, or shows nothing on this background.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(content, formats=FORMATS) as image:
            _refuse_losses(image, content)
            grey = image.mode in GREY_MODES
            image.load()  # before its orientation is asked for: TIFF files are turned on loading
            return np.ascontiguousarray(_opaque(_upright(image), background).transpose(2, 0, 1)), grey
    except UnusableError:
        raise
    except UnidentifiedImageError as error:
        raise UnusableError(f"is not one of {KINDS}") from error
    except Exception as error:  # Pillow raises many kinds for broken files: OSError, SyntaxError, ValueError, ...
        raise UnusableError(f"cannot be read ({str(error).replace(repr(content), 'the file')})") from error


def _refuse_losses(image: ImageFile, content: IO[bytes]) -> None:
    if image.mode not in GREY_MODES + COLOUR_MODES:
        raise UnusableError(f"has pixels of mode {image.mode!r} instead of 8 bits per channel ({REMEDY})")
    if (bits := _bits_per_channel(image, content)) > 8:
        raise UnusableError(f"has {bits} bits per channel instead of 8 ({REMEDY})")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a photo with its preview: the first is the photo
        raise UnusableError(f"holds {frames} pictures, an animation or pages (save each as a file of its own)")


def _bits_per_channel(image: ImageFile, content: IO[bytes]) -> int:
    """As the file says; Pillow itself would drop the lower bits of colour images without a word."""
    if image.format == "PNG":
        place = content.tell()
        content.seek(24)  # behind the signature, the length and name of IHDR, width and height
        depth = content.read(1)[0]
        content.seek(place)
        return depth
    if image.format == "TIFF":
        return max(image.tag_v2.get(258, (1,)))  # type: ignore[attr-defined]
    if image.format == "PPM":
        parameters = image.tile[0].args
        return int(parameters[1]).bit_length() if isinstance(parameters, tuple) and len(parameters) > 1 else 8
    return 8


def _upright(image: Image) -> Image:
    from PIL.Image import Transpose

    turns = (
        *(Transpose.FLIP_LEFT_RIGHT, Transpose.ROTATE_180, Transpose.FLIP_TOP_BOTTOM, Transpose.TRANSPOSE),
        *(Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the picture is whole, only the notes beside it may be broken
        try:
            orientation = image.getexif().get(EXIF_ORIENTATION, 1)
        except Exception:
            orientation = 1
    return image.transpose(turns[orientation - 2]) if orientation in range(2, 9) else image


def _opaque(image: Image, background: str) -> np.ndarray:
    """Pixels, shape (H, W, 3), on a background."""
    if not image.has_transparency_data:
        return np.array(image.convert("RGB"))
    pixels = np.array(image.convert("RGBA")).astype(np.uint32)
    colours, opacity = pixels[..., :3], pixels[..., 3:]
    shade = BACKGROUNDS[background]
    shown = ((colours * opacity + shade * (255 - opacity) + 127) // 255).astype(np.uint8)
    if opacity.min() < 255 and opacity.max() > 0 and (shown == shade).all():
        other = next(name for name in BACKGROUNDS if name != background)
        raise UnusableError(f"shows nothing on a {background} background (set data.background to {other})")
    return shown
