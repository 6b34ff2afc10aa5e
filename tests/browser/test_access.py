"""Keyboard, screen readers, small screens, dark pages, lecture halls and paper."""

import pytest

BODY = "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
GRADIOS_OWN = "#rail, footer"  # labels and colours of Gradio's own controls are Gradio's; what axe finds in them is printed


def test_the_accessible_names_that_others_rely_on(opened):
    page = opened()
    page.page.get_by_role("button", name="More").click()
    page.page.wait_for_timeout(500)
    for name in ("NFE", "Time", "Prior scale", "Prior mean"):
        assert page.page.get_by_role("slider", name=name).first.is_visible(), name
    for name in ("Target", "Field sees", "Prior", "Coupling", "Path", "Solver"):
        assert page.page.get_by_role("radiogroup", name=name, exact=True).count() == 1, name
    for name in ("Pause", "Share", "Export", "Reset"):
        assert page.page.get_by_role("button", name=name, exact=True).count() == 1, name
    page.still()
    assert page.page.get_by_role("button", name="Play", exact=True).count() == 1
    for name in ("A", "B"):
        label = page.page.locator(f"#stage-{name.lower()}").get_attribute("aria-label")
        assert label.startswith(f"Stage {name}")
        assert "Solver error" in label


def test_the_whole_page_by_keyboard_alone(opened):
    page = opened()
    page.settle()
    keys, view = page.page.keyboard, "() => window.explore.view"
    page.page.locator("body").click(position={"x": 700, "y": 3})
    keys.press(" ")
    assert page.page.get_by_role("button", name="Play", exact=True).count() == 1
    before = page.page.evaluate("() => window.explore.page.clock.time")
    keys.press("ArrowLeft")
    assert page.page.evaluate("() => window.explore.page.clock.time") != before
    keys.press("]")
    page.settle()
    assert page.page.evaluate(view)["a"]["nfe"] == 5
    keys.press("[")
    keys.press("c")
    page.settle()
    assert page.page.evaluate(view)["a"]["sees"] == "class"
    page.still(0.4)
    keys.press(".")
    assert page.page.evaluate("() => window.explore.page.clock.time") == pytest.approx(0.5)
    keys.press("2")
    page.settle()
    assert page.page.evaluate(view)["a"]["target"] == "two-modes"
    page.page.get_by_role("slider", name="NFE").focus()
    keys.press("ArrowLeft")
    page.settle()
    assert page.page.evaluate(view)["a"]["nfe"] == 63
    page.page.locator("#control-target input:checked").focus()
    keys.press("ArrowDown")
    page.settle()
    assert page.page.evaluate(view)["a"]["target"] == "bimodal"


def test_the_probe_moves_by_arrow_keys_and_by_pointer(opened):
    page = opened("?v=1&show=contours,particles,probe&time=0.5")
    page.settle()
    page.page.locator("#stage-a").focus()
    for _ in range(5):
        page.page.keyboard.press("ArrowRight")
    assert page.page.evaluate("() => window.explore.page.probe.x") == pytest.approx(0.5)
    box = page.page.locator("#stage-a").bounding_box()
    assert box is not None
    unit = box["width"] / page.page.evaluate(
        "() => { const { left, right } = window.explore.session.sides.a.picture.box; return right - left; }"
    )
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.page.mouse.move(middle[0] + 0.5 * unit, middle[1])
    page.page.mouse.down()
    page.page.mouse.move(middle[0] + 2 * unit, middle[1] - unit, steps=4)
    page.page.mouse.up()
    probe = page.page.evaluate("() => window.explore.page.probe")
    assert (probe["x"], probe["y"]) == (pytest.approx(2, abs=0.05), pytest.approx(1, abs=0.05))
    page.picture("probe")


@pytest.mark.parametrize("how", [{}, {"color_scheme": "dark"}, {"viewport": {"width": 360, "height": 740}}], ids=["light", "dark", "phone"])
def test_axe_finds_no_serious_fault_in_our_own_markup(opened, how):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(**how)
    page.settle()
    page.still()
    found = Axe().run(page.page).response["violations"]
    ours, gradios = [], []
    for violation in found:
        if violation["impact"] not in ("serious", "critical"):
            continue
        for node in violation["nodes"]:
            inside = page.page.evaluate(
                "([selector, own]) => Boolean(document.querySelector(selector)?.closest(own))", [node["target"][0], GRADIOS_OWN]
            )
            (gradios if inside else ours).append(f"{violation['id']}: {node['html'][:120]}")
    print("Gradio's own:", *sorted(set(gradios)), sep="\n  ")
    assert not ours, "\n".join(ours)


def test_a_phone_shows_both_stages_without_sideways_scroll(opened):
    page = opened(viewport={"width": 360, "height": 740}, has_touch=True, device_scale_factor=2)
    page.settle()
    wide, seen = page.page.evaluate(BODY)
    assert wide <= seen + 1
    a, b = (page.page.locator(f"#stage-{name}").bounding_box() for name in "ab")
    assert a is not None
    assert b is not None
    assert a["y"] == b["y"]
    assert 140 <= a["width"] <= 180
    page.picture("phone", full_page=True)
    page.page.locator("#stage-b").tap()
    page.page.wait_for_timeout(300)
    enlarged = page.page.locator("#stage-b").bounding_box()
    assert enlarged is not None
    assert enlarged["width"] > 300
    page.picture("phone-enlarged")


def test_dark_pages_are_dark(opened):
    page = opened(color_scheme="dark")
    page.settle()
    page.still()
    corner = page.page.evaluate(
        "() => Array.from(document.getElementById('stage-a').getContext('2d').getImageData(3, 200, 1, 1).data.slice(0, 3))"
    )
    assert max(corner) < 60
    page.picture("dark")


def test_reduced_motion_opens_still_with_everything_drawn(opened):
    page = opened(reduced_motion="reduce")
    page.settle()
    assert page.page.evaluate("() => [window.explore.page.clock.playing, window.explore.page.clock.time]") == [False, 1]
    page.page.locator(".fl-presets button").nth(3).click()
    page.page.wait_for_timeout(1500)
    assert page.page.evaluate("() => [window.explore.page.clock.playing, window.explore.view.b.prior_mean]") == [False, 0]
    page.picture("reduced-motion")


def test_the_lecture_view_is_large_and_light(opened):
    page = opened("?view=lecture", color_scheme="dark")
    page.settle()
    assert not page.page.locator("#rail").is_visible()
    size = page.page.evaluate("() => parseFloat(getComputedStyle(document.querySelector('.fl-caption')).fontSize)")
    assert size >= 20
    corner = page.page.evaluate(
        "() => Array.from(document.getElementById('stage-a').getContext('2d').getImageData(3, 200, 1, 1).data.slice(0, 3))"
    )
    assert min(corner) > 240
    page.picture("lecture")


def test_paper_has_five_times_of_both_stages_and_says_what_they_are(opened):
    page = opened()
    page.settle()
    page.page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    page.page.emulate_media(media="print")
    page.page.wait_for_timeout(500)
    assert page.page.locator(".fl-print img").count() == 10
    words = page.page.locator(".fl-print").inner_text()
    for part in ("n = 2,000", "seed 0", "NFE 4", "http://"):
        assert part in words
    page.picture("print", full_page=True)


@pytest.mark.parametrize(("name", "width", "height"), [("desktop", 1400, 900), ("laptop", 900, 800)])
def test_screens_of_other_sizes(opened, name, width, height):
    page = opened(viewport={"width": width, "height": height})
    page.settle()
    page.still()
    wide, seen = page.page.evaluate(BODY)
    assert wide <= seen + 1
    page.picture(name)
