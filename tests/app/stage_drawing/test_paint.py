"""Composition of a stage: layers in the order of PAGES.md, and a picture that does not depend on what was painted before it."""

import json

import pytest

from tests.app.stage_drawing.engine import value
from tests.app.stage_drawing.pictures import OPTIONS, PICTURE

DIRTY = (
    "Object.assign(ctx, { globalAlpha: 0.2, lineCap: 'round', lineJoin: 'miter', lineWidth: 9, strokeStyle: '#123456', fillStyle: '#654321' });"
    " ctx.textAlign = 'right'; ctx.setLineDash([7, 7]);"
)


def drawn(what: str, show: list[str], *, before: str = "", **options: object) -> list[str]:
    """The SVG elements that `drawStill` or `drawAbove` writes; `before` is what was done to the context."""
    told = json.dumps({**OPTIONS, **options})
    scene = f"L.composition({PICTURE}, {{ ...{told}, show: new Set({json.dumps(show)}) }}, 400, 400, 1, (name, key, make) => make())"
    return value(f"(() => {{ const ctx = L.svgContext(); {before} L.{what}(ctx, {scene}, 1); return ctx.elements; }})()")


@pytest.mark.parametrize(
    "show", [["contours"], ["pairs"], ["traces"], ["ghosts"], ["probe"], ["contours", "pairs", "traces", "ghosts", "probe"]], ids=str
)
@pytest.mark.parametrize("what", ["drawStill", "drawAbove"])
def test_what_was_painted_before_does_not_show(what, show):
    """A link must restore the picture pixel for pixel, whatever the page drew on the way there."""
    assert drawn(what, show, before=DIRTY, hovered=1) == drawn(what, show, hovered=1)


def test_traces_lie_over_pairs_and_pairs_over_outlines():
    whole = drawn("drawStill", ["contours", "pairs", "traces"])
    parts = [drawn("drawStill", [name]) for name in ("contours", "pairs", "traces")]
    assert whole == [element for part in parts for element in part]


def test_prior_is_dashed_and_target_is_not():
    dashed = [" stroke-dasharray=" in element for element in drawn("drawStill", ["contours"])]
    assert dashed == [False, False, True, True]


def test_ghosts_are_missing_at_the_start_where_there_is_no_error():
    assert drawn("drawAbove", ["ghosts"], time=0) == drawn("drawAbove", [], time=0)
    assert len(drawn("drawAbove", ["ghosts"], time=1)) == len(drawn("drawAbove", [], time=1)) + 2


def test_the_foot_says_what_the_particles_show():
    assert any("solver: euler" in element for element in drawn("drawAbove", [], time=0.5))
    assert any("exact flow" in element for element in drawn("drawAbove", [], time=0.5, playback="exact"))


@pytest.mark.parametrize(("ratio", "x", "y"), [(1, 3.5, -1.25), (2, 0, 0), (1.5, -4, 4)])
def test_pixels_and_back(ratio, x, y):
    """On a stage that is wider than its box: one scale for both axes, the box in the middle."""
    view = f"L.makeViewport({{ left: -4, right: 4, bottom: -4, top: 4 }}, 600, 400, {ratio})"
    px, py = value(f"[L.toPixelX({view}, {x}), L.toPixelY({view}, {y})]")
    assert (px, py) == (300 + 50 * x, 200 - 50 * y)
    assert value(f"L.toData({view}, {px}, {py})") == pytest.approx([x, y])
    assert value(f"L.boxInDevicePixels({view})") == {"left": 100 * ratio, "top": 0, "width": 400 * ratio, "height": 400 * ratio}


def test_a_grid_is_upscaled_at_its_cells_centres():
    """A plane stays a plane between the outermost centres: what is painted at a pixel is the plane's value there."""
    columns, rows, width, height = 8, 4, 64, 32
    plane = [10 * ((j + 0.5) / columns) + 20 * ((i + 0.5) / rows) for i in range(rows) for j in range(columns)]
    area = f"{{ left: 0, top: 0, width: {width}, height: {height} }}"
    pixels = value(
        f"(() => {{ const pixels = new Uint32Array({width * height}), palette = Uint32Array.from({{ length: 3001 }}, (_, i) => i);"
        f" L.upscale(Float32Array.from({plane}), {columns}, {rows}, {area}, pixels, {width}, {height}, palette, 0, 100); return pixels; }})()"
    )
    for y in range(4, height - 4):
        for x in range(4, width - 4):
            assert pixels[y * width + x] == pytest.approx(100 * (10 * (x + 0.5) / width + 20 * (y + 0.5) / height), abs=1)


def test_an_area_larger_than_the_image_is_cut():
    """A box that reaches beyond the stage on all sides."""
    pixels = value(
        "(() => { const pixels = new Uint32Array(100);"
        " L.upscale(Float32Array.of(1, 1, 1, 1), 2, 2, { left: -7, top: -3, width: 30, height: 40 }, pixels, 10, 10, Uint32Array.of(7, 8, 9), 0, 1); return pixels; })()"
    )
    assert pixels == [8] * 100


@pytest.mark.parametrize("source", ["p.world.source", "p.world.target"])
def test_names_stay_on_the_stage_and_apart(source):
    """Also where prior and target are one law, and the best place for both names is the same."""
    places = value(
        f"(() => {{ const p = {PICTURE}, source = {source}, target = p.world.target, look = L.makeLook(false, false), view = L.makeViewport(p.box, 400, 400, 1);"
        " return L.placeNames(view, look, { prior: L.outlinesOf(source), target: L.outlinesOf(target) }, { source, target }); })()"
    )
    for place in places.values():
        assert 0 < place["x"] < 400
        assert 0 < place["y"] < 400
    prior, target = places["prior"], places["target"]
    assert abs(prior["x"] - target["x"]) > 40 or abs(prior["y"] - target["y"]) > 14


def test_one_length_scale_from_the_arrows_that_count():
    """Fast arrows where nobody comes do not shrink the others."""
    fields = "[{ u: [3, 1000], v: [4, 0], weight: [1, 0] }, { u: [1], v: [0], weight: [0.9] }]"
    assert value(f"L.fieldScaleOf({fields})") in (1, 5)
    assert value("L.fieldScaleOf([{ u: [0], v: [0], weight: [1] }])") == 1


MANY = f"""(() => {{
  const p = {PICTURE}, n = 600, t = Float64Array.from({{ length: 33 }}, (_, k) => k / 32), x = new Float64Array(2 * n * t.length);
  return {{ ...p, n, traced: Int32Array.from({{ length: 96 }}, (_, i) => i), run: {{ ...p.run, n, t, x }}, exact: {{ ...p.exact, n, t, x }} }};
}})()"""


@pytest.mark.parametrize(
    ("width", "show", "particles", "traces"),
    [(400, ["traces"], 600, 96), (400, ["traces", "pairs"], 600, 32), (200, ["traces"], 500, 32)],
)
def test_small_stages_and_stages_with_pairs_hold_less(width, show, particles, traces):
    told = json.dumps(OPTIONS)
    options = f"{{ ...{told}, show: new Set({json.dumps(show)}) }}"
    scene = value(
        f"(({{ drawn, traced, dotted }}) => [drawn, traced.length, dotted])(L.composition({MANY}, {options}, {width}, {width}, 1, (name, key, make) => make()))"
    )
    assert scene == [particles, traces, False]  # 32 steps: the dots of the solver's states would run together


def test_states_of_few_steps_are_dots():
    told = json.dumps(OPTIONS)
    assert value(f"L.composition({PICTURE}, {{ ...{told}, show: new Set(['traces']) }}, 400, 400, 1, (name, key, make) => make()).dotted")


@pytest.mark.parametrize("dark", [False, True])
def test_no_error_is_paper_and_the_largest_stands_out_most(dark):
    """Contrast with the paper grows with the error."""

    def luminance(colour: str) -> float:
        r, g, b = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        return 0.299 * r + 0.587 * g + 0.114 * b

    look = f"L.makeLook({json.dumps(dark)}, false)"
    colours = value(f"Array.from({{ length: 11 }}, (_, i) => L.heatColour(L.heatPixels({look}), i, 10))")
    paper = value(f"{look}.paper")
    assert colours[0] == paper
    contrast = [abs(luminance(colour) - luminance(paper)) for colour in colours]
    assert contrast == sorted(contrast)
    assert contrast[-1] > 150
    assert colours[-1] == value(f"L.heatColour(L.heatPixels({look}), 99, 10)")


def test_presence_falls_evenly_on_the_logarithm():
    assert value("L.presence([0, -2, -4.5, -7, -9], 7, 2)") == pytest.approx([1, 1, 0.5, 0, 0])


def test_parts_of_a_one_class_target_have_their_own_colours():
    two = "L.makeMixture({ weights: [0.5, 0.5], means: [-2, 0, 2, 0], covariances: [1, 0, 1, 1, 0, 1], classes: [0, 0] })"
    assert value(f"L.likeliestClass(L.colouredBy({two}), Float64Array.of(-1, 0, 1, 0))") == [0, 1]
    assert value(f"(({{ world: {{ target }} }}) => L.colouredBy(target) === target)({PICTURE})"), (
        "classes have the colours where there are some"
    )


@pytest.mark.parametrize(("spread", "expected"), [(0, {"0": [150, 200], "1": [250, 200]}), (0.1, {})])
def test_a_class_that_has_come_to_one_point_is_one_disc(spread, expected):
    """Ten particles of each of two classes around (-1, 0) and (1, 0); 50 pixels a unit."""
    points = [value for i in range(20) for value in ((-1 if i < 10 else 1) + spread * (i % 2), 0)]
    view = "L.makeViewport({ left: -4, right: 4, bottom: -4, top: 4 }, 400, 400, 1)"
    colour = [i // 10 for i in range(20)]
    assert value(f"Object.fromEntries(L.collapsedClasses({view}, {points}, {colour}, 20))") == expected
    assert value(f"Object.fromEntries(L.collapsedClasses({view}, {points}, {colour}, 7))") == {}, "a few points say nothing"
