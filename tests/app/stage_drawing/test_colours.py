"""Colours of the stage: the same classes as in Python's figures, cividis as matplotlib has it, words that can be read on the paper."""

import matplotlib
import numpy as np
import pytest
import torch

from tests.app.stage_drawing.engine import value
from toy.figures import ACCENT, INK
from toy.stages import CLASS_COLOURS, class_colours


def test_class_colours_are_those_of_the_figures():
    classes = list(range(11))
    assert value(f"{classes}.map((c) => L.classColour(L.makeLook(false, false), c))") == class_colours(torch.tensor(classes))


def test_only_black_changes_in_the_dark():
    dark = value("L.makeLook(true, false).classColours")
    assert dark[:-1] == list(CLASS_COLOURS[:-1])
    assert dark[-1] != CLASS_COLOURS[-1]


def test_ink_and_accent_are_those_of_the_figures():
    look = value("L.makeLook(false, false)")
    assert (look["ink"], look["accent"]) == (INK, ACCENT)


def test_cividis_is_matplotlibs():
    words = np.array(value("L.cividisPixels()"), dtype=np.uint32)
    ours = np.stack([words & 255, words >> 8 & 255, words >> 16 & 255], 1).astype(int)
    theirs = np.round(255 * matplotlib.colormaps["cividis"](np.arange(256))[:, :3]).astype(int)
    assert abs(ours - theirs).max() <= 6  # 33 knots: cividis bends sharply at both ends
    assert abs(ours - theirs).mean() < 0.5
    assert (words >> 24 == 255).all()


def luminance(colour: str) -> float:
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("dark", ["false", "true"])
@pytest.mark.parametrize("name", ["ink", "accent", "quiet"])
def test_words_can_be_read_on_the_paper(dark, name):
    """Contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3, level AA)."""
    look = value(f"L.makeLook({dark}, false)")
    light, deep = sorted((luminance(look[name]), luminance(look["paper"])), reverse=True)
    assert (light + 0.05) / (deep + 0.05) >= 4.5


def test_pixels_are_little_endian_rgba():
    assert np.array([value("L.pixelOf('#123456')")], dtype="<u4").view(np.uint8).tolist() == [0x12, 0x34, 0x56, 255]


def test_darkening_goes_to_black():
    assert value("['#E69F00', '#ffffff'].map((c) => [L.darkened(c, 1), L.darkened(c, 0.5), L.darkened(c, 0)])") == [
        ["#e69f00", "#735000", "#000000"],
        ["#ffffff", "#808080", "#000000"],
    ]
