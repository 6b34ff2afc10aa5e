"""From the bytes of a picture file to pixels: upright, on white, 8 bits a channel, cropped and resized in a way that has a name.

EXIF rotation is applied; palettes are looked up; transparency is laid onto white; CMYK becomes RGB by Pillow's rule, without colour profiles; 16-bit greyscale is
divided by 257; of an animation the first frame is taken. A file that is cut off or damaged is refused with the reason.
"""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

PREPARATIONS = {"centre-crop": "centre crop, Lanczos", "squash": "squashed to a square, box filter"}
ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # by contents, not by ending; none that starts another program
# What Pillow's readers are known to raise on files that are not what they say.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class Unreadable(Exception):
    """A picture that cannot be decoded; the text says why."""


@dataclass(frozen=True)
class Seen:
    """What a picture file holds: its size once upright, and its mode as stored (Pillow's names: L, RGB, P, CMYK, RGBA, ...)."""

    width: int
    height: int
    mode: str


def upright(data: bytes) -> tuple[Image.Image, Seen]:
    """The picture, L or RGB, decoded to its last row. Raises Unreadable."""
    if not data:
        raise Unreadable("the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as stored:
            mode = stored.mode
            stored.load()
            image = _on_white(ImageOps.exif_transpose(stored))
    except Image.UnidentifiedImageError:
        raise Unreadable("it is no picture of a format known here") from None
    except DAMAGE as error:
        raise Unreadable(f"{error}".strip().rstrip(".") or type(error).__name__) from error
    return image, Seen(image.width, image.height, mode)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow's own conversion would cut values above 255 off
        return Image.fromarray(np.rint(np.asarray(image).astype(np.float64) / 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise Unreadable("its values have 32 bits, and only 8 and 16 are read")
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def to_square(image: Image.Image, size: int, channels: int, preparation: str) -> UInt8[np.ndarray, "c s s"]:
    """Pixels (channels, size, size) by one of PREPARATIONS; nothing is resampled where the picture has that size already.

    centre-crop: the largest square in the middle (an odd row or column is lost on the far side), then Lanczos with antialiasing, up or down.
    squash: both sides to `size` with a box filter, as downsampled ImageNet was made.
    """
    image = image.convert("RGB" if channels == 3 else "L")
    if preparation == "centre-crop":
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.resize((size, size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))
    else:
        image = image.resize((size, size), Image.Resampling.BOX)
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1) if channels == 3 else pixels[None])


def decode(data: bytes, size: int, channels: int, preparation: str) -> UInt8[np.ndarray, "c s s"]:
    """From a file's bytes to pixels. Raises Unreadable."""
    return to_square(upright(data)[0], size, channels, preparation)
