"""What leaves the page: the GIF as Pillow reads it, the CSV as Python reads it, the SVG as an XML parser does."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from math import gcd

import numpy as np
import pytest
from PIL.GifImagePlugin import GifImageFile

from tests.app.stage_drawing.engine import value
from tests.app.stage_drawing.pictures import OPTIONS, PICTURE


def gif(frames: list[np.ndarray], milliseconds: int = 60) -> tuple[GifImageFile, list[np.ndarray]]:
    """The file that the page would write for RGB frames, opened by Pillow, and the frames with every pixel replaced by its palette colour."""
    height, width = frames[0].shape[:2]
    rgba = [np.dstack([frame, np.full(frame.shape[:2], 255, np.uint8)]).ravel().tolist() for frame in frames]
    told = value(
        f"(() => {{ const frames = {json.dumps(rgba)}.map((frame) => Uint8ClampedArray.from(frame)), palette = L.gifPalette(frames);"
        f" const writer = L.gifWriter({width}, {height}, palette);"
        f" for (const frame of frames) writer.add(frame, {milliseconds}); return {{ file: writer.finish(), colours: palette.colours, indexOf: palette.indexOf }}; }})()"
    )
    colours, table = np.array(told["colours"]), np.array(told["indexOf"])
    expected = []
    for frame in frames:
        cell = (frame[..., 0].astype(int) >> 3 << 10) | (frame[..., 1].astype(int) >> 3 << 5) | frame[..., 2].astype(int) >> 3
        expected.append(colours[table[cell]])
    return GifImageFile(io.BytesIO(bytes(told["file"]))), expected


def shown(image: GifImageFile, k: int) -> np.ndarray:
    image.seek(k)
    return np.asarray(image.convert("RGB")).astype(int)


def noise(seed: int, shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def test_a_gif_of_moving_discs_comes_back_as_it_was():
    """Few colours: every frame is exact to the last bit, though only what changed is stored."""
    frames = []
    for k in range(6):
        frame = np.full((40, 60, 3), 255, np.uint8)
        frame[10:14, 5 + 6 * k : 9 + 6 * k] = (230, 159, 0)
        frame[30 - 3 * k : 33 - 3 * k, 20:24] = (0, 114, 178)
        frames.append(frame)
    image, _ = gif(frames)
    assert image.n_frames == 6
    assert image.info["loop"] == 0
    assert image.info["duration"] == 60
    for k, frame in enumerate(frames):
        assert (shown(image, k) == frame).all()


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (64, 64), (120, 150)])
def test_noise_is_its_palette_colours(shape):
    """Noise fills the code table over and over (clear codes, all code lengths)."""
    frames = [noise(seed, shape) for seed in range(3)]
    image, expected = gif(frames)
    for k, frame in enumerate(expected):
        assert (shown(image, k) == frame).all()


@pytest.mark.parametrize(
    "length", [1, 2, 253, 254, 255, 256, 257, 765, 766, 767, 768, 1790, 1791, 1792, 3837, 3838, 3839, 3840, 3841, 5000]
)
def test_every_length_of_an_lzw_stream_ends_well(length):
    """No pair of neighbours comes twice, so that each pixel is a code: the code length grows, or the table is cleared, in the very last one."""
    units = [step for step in range(1, 255) if gcd(step, 255) == 1]
    steps = np.repeat(units, 255)[: length - 1]
    indices = np.concatenate(([0], np.cumsum(steps))) % 255
    rgba = np.stack([np.zeros_like(indices), indices >> 5 << 3, (indices & 31) << 3, np.full_like(indices, 255)], -1)
    file = value(
        "(() => { const palette = { colours: Array.from({ length: 255 }, (_, i) => [i, 255 - i, (7 * i) % 256]), indexOf: Uint8Array.from({ length: 32768 }, (_, i) => i % 255) };"
        f" const writer = L.gifWriter({length}, 1, palette); writer.add(Uint8ClampedArray.from({rgba.ravel().tolist()}), 60); return writer.finish(); }})()"
    )
    found = shown(GifImageFile(io.BytesIO(bytes(file))), 0)[0]
    assert (found == np.stack([indices, 255 - indices, 7 * indices % 256], -1)).all()


def test_a_still_film_keeps_its_frames_times():
    frame = noise(1, (20, 20))
    image, expected = gif([frame, frame, frame], milliseconds=90)
    image.seek(0)
    total = 0
    for k in range(image.n_frames):
        image.seek(k)
        total += image.info["duration"]
        assert (np.asarray(image.convert("RGB")) == expected[0]).all()
    assert total == 270


def test_the_palette_is_near_every_colour_of_a_smooth_picture():
    y, x = np.mgrid[:128, :128]
    frame = np.stack([2 * x, 2 * y, 255 - x - y], -1).clip(0, 255).astype(np.uint8)
    image, _ = gif([frame])
    off = abs(shown(image, 0) - frame.astype(int))
    assert off.mean() < 7
    assert off.max() < 40


def test_the_csv_has_every_state_beside_the_exact_flow():
    run = "({ n: 2, t: Float64Array.of(0, 0.1, 1), x: Float64Array.of(0, 0, 1, 1, 0.1, 1/3, 1e-9, -2, 5, 6, 7, 8) })"
    exact = "({ n: 2, t: Float64Array.of(0, 0.05, 0.1, 1), x: Float64Array.of(0, 0, 1, 1, 9, 9, 9, 9, 0.2, 0.3, 0.4, 0.5, 5, 6, 7, 8.25) })"
    rows = list(csv.DictReader(io.StringIO(value(f"L.trajectoriesCsv({run}, {exact}, Int32Array.of(4, 7))"))))
    assert [(int(r["particle"]), int(r["class"]), int(r["state"])) for r in rows] == [
        (0, 4, 0),
        (0, 4, 1),
        (0, 4, 2),
        (1, 7, 0),
        (1, 7, 1),
        (1, 7, 2),
    ]
    assert [float(rows[1][name]) for name in ("t", "x", "y", "exact_x", "exact_y")] == [0.1, 0.1, 1 / 3, 0.2, 0.3]
    assert float(rows[4]["x"]) == 1e-9
    assert float(rows[5]["exact_y"]) == 8.25


SVG = "{http://www.w3.org/2000/svg}"


def drawn(show: list[str], **options: object) -> ET.Element:
    told = {**OPTIONS, **options}
    return ET.fromstring(value(f"L.stageSvg({PICTURE}, {{ ...{json.dumps(told)}, show: new Set({json.dumps(show)}) }}, 400, 400)"))


def test_the_svg_has_a_circle_for_every_particle_where_it_is():
    root = drawn(["particles"])
    circles = root.findall(f".//{SVG}circle")
    ends = value(f"L.statesAt({PICTURE}.run, 1, new Float64Array(12))")
    expected = [(200 + 50 * x, 200 - 50 * y) for x, y in zip(ends[::2], ends[1::2], strict=True)]
    assert [(float(c.get("cx", "")), float(c.get("cy", ""))) for c in circles] == [pytest.approx(point, abs=0.01) for point in expected]
    assert [c.get("fill") for c in circles] == ["#E69F00"] * 3 + ["#56B4E9"] * 3


def test_the_svg_says_what_it_shows_and_escapes_it():
    root = drawn(["particles"])
    title = root.find(f"{SVG}title")
    assert title is not None
    assert title.text == "Stage A: N(0, I) & <more>, t = 1.000"
    assert "N(0, I) & <more>" in [t.text for t in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("name", ["density", "field", "contours", "pairs", "traces", "ghosts", "probe"])
def test_each_layer_adds_shapes_to_the_svg(name):
    assert len(list(drawn([name]).iter())) > len(list(drawn([]).iter()))


def test_the_svg_of_everything_has_no_broken_numbers():
    root = drawn(["density", "field", "contours", "pairs", "traces", "particles", "ghosts", "probe"], hovered=2, dark=True)
    assert "NaN" not in ET.tostring(root, encoding="unicode")
