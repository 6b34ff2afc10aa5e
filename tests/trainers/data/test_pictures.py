"""Every kind of picture file comes out upright, on white, in 8 bits; or is refused with the reason."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.trainers.data.samples import encoded, picture
from trainers.data.pictures import Unreadable, decode, to_square, upright


def pixels(data: bytes, size: int, channels: int = 3, preparation: str = "centre-crop") -> np.ndarray:
    return decode(data, size, channels, preparation)


def test_a_picture_of_the_right_size_is_not_resampled():
    data = picture(3, 16, 16)
    assert np.array_equal(pixels(data, 16).transpose(1, 2, 0), np.asarray(Image.open(io.BytesIO(data))))
    assert np.array_equal(pixels(data, 16, preparation="squash"), pixels(data, 16))


def test_greyscale_has_three_equal_channels_and_one_channel_is_luminance():
    grey = picture(1, 8, 8, "L")
    assert np.array_equal(pixels(grey, 8), np.repeat(pixels(grey, 8, 1), 3, axis=0))
    colour = picture(1, 8, 8)
    red, green, blue = pixels(colour, 8).astype(float)
    assert abs(pixels(colour, 8, 1)[0] - (0.299 * red + 0.587 * green + 0.114 * blue)).max() <= 1


def test_transparency_lies_on_white_also_of_palettes_and_of_grey():
    image = Image.new("RGBA", (2, 1), (200, 0, 0, 0))
    image.putpixel((1, 0), (100, 0, 0, 128))
    expected = [[255, 255, 255], [round(255 - 155 * 128 / 255), 127, 127]]
    found = np.asarray(upright(encoded(image))[0])[0]
    assert abs(found.astype(int) - expected).max() <= 1
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    found = np.asarray(upright(encoded(palette, transparency=0))[0])[0]
    assert found.tolist() == [[255, 255, 255], [40, 50, 60]]
    grey = Image.new("LA", (1, 1), (0, 0))
    assert np.asarray(upright(encoded(grey))[0]).tolist() == [[[255, 255, 255]]]


def test_exif_rotation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: row 0 is the right side
    image = Image.new("RGB", (4, 2), "black")
    image.putpixel((0, 0), (255, 255, 255))
    found, seen = upright(encoded(image, exif=exif))
    assert (seen.width, seen.height) == (2, 4)
    assert np.argwhere(np.asarray(found)[..., 0] == 255).tolist() == [[0, 1]]


def test_cmyk_is_ink_on_paper():
    ink = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    found = np.asarray(upright(encoded(ink, "JPEG", quality=95))[0])[0, 0]
    assert found[0] < 20
    assert found[1:].min() > 235


def test_sixteen_bit_grey_keeps_its_range():
    values = np.array([[0, 128 * 257, 65535]], dtype=np.uint16)
    assert np.asarray(upright(encoded(Image.fromarray(values)))[0]).tolist() == [[0, 128, 255]]


def test_the_crop_is_the_middle_square_and_squash_keeps_all():
    image = Image.new("RGB", (30, 10), "black")
    image.paste((255, 255, 255), (10, 0, 20, 10))
    assert (pixels(encoded(image), 10) == 255).all()
    squashed = pixels(encoded(image), 3, preparation="squash")
    assert (squashed[:, :, 1] == 255).all()
    assert (squashed[:, :, [0, 2]] == 0).all()


def test_resizing_is_antialiased():
    checks = np.indices((64, 64)).sum(0) % 2 * 255
    small = to_square(Image.fromarray(checks.astype(np.uint8)), 16, 1, "centre-crop")
    assert abs(small.astype(int) - 127).max() <= 8


def test_a_picture_of_several_shows_its_first():
    for form in ("GIF", "MPO", "TIFF", "WEBP"):
        first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
        red, green, blue = pixels(encoded(first, form, save_all=True, append_images=[second]), 8)
        assert red.min() > 245, form
        assert max(green.max(), blue.max()) < 10, form


@pytest.mark.parametrize("form", ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"])
def test_damage_anywhere_in_a_file_is_refused_and_never_a_crash(form: str):
    random = np.random.default_rng(1)
    data = picture(2, 30, 20, "L" if form in ("GIF", "PPM") else "RGB", form)
    refused = 0
    for _ in range(60):
        spoiled = bytearray(data)
        for place in random.integers(0, min(len(data), 200), 3):
            spoiled[place] = random.integers(0, 256)
        try:
            pixels(bytes(spoiled[: random.integers(1, len(data))]), 8)
        except Unreadable as error:
            refused += bool(str(error))
    assert refused > 20


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"<html>not found</html>", "no picture"),
        (picture(form="JPEG", width=200, height=200)[:-2000], "truncated"),
        (picture(form="PNG", width=200, height=200)[:-2000], "truncated"),
        (picture(form="WEBP", width=60, height=60, lossless=True)[:-500], "."),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "no picture"),
    ],
    ids=["empty", "html", "jpeg", "png", "webp", "postscript"],
)
def test_what_cannot_be_read_is_refused_with_the_reason(data: bytes, why: str):
    with pytest.raises(Unreadable, match=why):
        upright(data)


def test_thirty_two_bit_pictures_are_refused_not_cut_off():
    with pytest.raises(Unreadable, match="32 bits"):
        upright(encoded(Image.fromarray(np.array([[0.5]], dtype=np.float32)), "TIFF"))
