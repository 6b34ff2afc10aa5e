"""Pixel-written discs: the area, place and colour that a disc must have, blending, and the image's edge."""

import numpy as np
import pytest

from tests.app.stage_drawing.engine import value

SIZE = 40


def painted(
    points, *, radius=1.6, rim=0.0, fill="#000000", edge="#000000", opacity=1.0, edge_opacity=1.0, times=1, paper="#ffffff", ratio=1
) -> np.ndarray:
    """RGB (SIZE, SIZE, 3) of discs at points in pixels, on paper."""
    box = f"{{ left: 0, right: {SIZE / ratio}, bottom: 0, top: {SIZE / ratio} }}"
    flat = [float(v) for x, y in points for v in (x / ratio, (SIZE - y) / ratio)]
    words = value(
        f"(() => {{ const pixels = new Uint32Array({SIZE * SIZE}).fill(L.pixelOf('{paper}')), view = L.makeViewport({box}, {SIZE / ratio}, {SIZE / ratio}, {ratio});"
        f" const discs = L.makeDiscs({{ radius: {radius}, rim: {rim}, width: {SIZE}, fills: ['{fill}'], rims: ['{edge}'], fillOpacity: {opacity}, rimOpacity: {edge_opacity} }});"
        f" for (let i = 0; i < {times}; i++) L.writeDiscs(pixels, {SIZE}, {SIZE}, discs, view, Float64Array.from({flat}), new Int32Array({len(points)}), {len(points)});"
        " return pixels; })()"
    )
    whole = np.array(words, dtype=np.uint32).reshape(SIZE, SIZE)
    assert (whole >> 24 == 255).all()
    return np.stack([whole & 255, whole >> 8 & 255, whole >> 16 & 255], -1).astype(float)


@pytest.mark.parametrize("radius", [1.6, 2.56, 3.2, 6.0])
@pytest.mark.parametrize("place", [(20.5, 20.5), (20.25, 19.75), (19.0, 21.5)])
def test_a_disc_has_its_area_and_place(radius, place):
    """Coverage sums to the disc's area (the edge, a ramp one pixel wide, adds pi / 12), and its centre of mass is the point (places that a quarter of a pixel can tell)."""
    covered = 1 - painted([place], radius=radius)[..., 0] / 255
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    assert covered.sum() == pytest.approx(np.pi * (radius**2 + 1 / 12), rel=0.03)
    assert (covered * x).sum() / covered.sum() == pytest.approx(place[0], abs=0.03)
    assert (covered * y).sum() / covered.sum() == pytest.approx(place[1], abs=0.03)


def test_opacity_blends_with_what_is_below():
    middle = painted([(20.5, 20.5)], radius=5, fill="#E69F00", opacity=0.55)[20, 20]
    assert abs(middle - (0.45 * 255 + 0.55 * np.array([0xE6, 0x9F, 0x00]))).max() <= 1


def test_many_discs_reach_the_colour_and_stay():
    """Rounding must not darken where hundreds overlap, on dark paper least of all: there, cutting digits off would end five levels too low."""
    for paper in ("#ffffff", "#000000"):
        middle = painted([(20.5, 20.5)], radius=5, fill="#E69F00", opacity=0.2, times=300, paper=paper)[20, 20]
        assert abs(middle - [0xE6, 0x9F, 0x00]).max() <= 3


def test_the_rim_has_its_own_colour():
    drawn = painted([(20.5, 20.5)], radius=8, rim=2, fill="#ffffff", edge="#800000")
    assert abs(drawn[20, 20] - 255).max() <= 1
    assert abs(drawn[20, 27] - [0x80, 0, 0]).max() <= 1


def test_a_ring_leaves_its_middle_alone():
    drawn = painted([(20.5, 20.5)], radius=8, rim=2, opacity=0.0, paper="#336699")
    assert abs(drawn[20, 20] - [0x33, 0x66, 0x99]).max() <= 1


@pytest.mark.parametrize("place", [(0, 0), (39.9, 20), (20, 40), (-0.5, 39)])
def test_discs_are_cut_at_the_edge_and_do_not_wrap(place):
    drawn = 255 - painted([place], radius=3)[..., 0]
    y, x = np.nonzero(drawn)
    assert len(x) > 0
    assert np.hypot(x + 0.5 - place[0], y + 0.5 - place[1]).max() < 4.2


def test_points_far_outside_and_undefined_ones_are_left_out():
    assert (painted([(-500, 20), (20, 9999), (1e300, -1e300)]) == 255).all()


def test_device_pixels_double_what_css_pixels_say():
    """At ratio 2 a point in the middle of the box is in the middle of the image."""
    covered = 1 - painted([(20, 20)], radius=3.2, ratio=2)[..., 0] / 255
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    assert ((covered * x).sum() / covered.sum(), (covered * y).sum() / covered.sum()) == pytest.approx((20, 20), abs=0.03)
