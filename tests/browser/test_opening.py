"""The first minute: what a newcomer sees without a click, and what it weighs."""

import time

import pytest

from tests.browser.conftest import started

MOVED = """() => {
  const canvas = document.getElementById("stage-a");
  if (!canvas || !window.explore || !window.explore.page.painted) return false;
  const now = canvas.toDataURL();
  const moved = window.seen && window.seen !== now;
  window.seen = now;
  return moved;
}"""


def test_from_the_command_to_a_moving_picture_with_nothing_cached(chromium, tmp_path):
    began = time.perf_counter()
    with started(XDG_CACHE_HOME=str(tmp_path)) as address:
        page = chromium.new_page(viewport={"width": 1400, "height": 900})
        page.goto(address, wait_until="commit")
        page.wait_for_function(MOVED, polling=30)
        took = time.perf_counter() - began
        page.close()
    print(f"moving picture {took:.1f} s after the command (bar 8)")
    assert took < 16, f"{took:.1f} s; the bar is 8 s, and twice that fails"


def test_particles_move_within_two_seconds_without_a_click(lab, chromium):
    page = chromium.new_page(viewport={"width": 1400, "height": 900})
    page.goto(lab)  # warm: the server has built the page, as for the second visitor
    page.close()
    page = chromium.new_page(viewport={"width": 1400, "height": 900})
    began = time.perf_counter()
    page.goto(lab, wait_until="commit")
    page.wait_for_function(MOVED, polling=30)
    took = time.perf_counter() - began
    page.close()
    print(f"first moving picture after {took:.2f} s (bar 2)")
    assert took < 4, f"{took:.1f} s; the bar is 2 s, and twice that fails"


@pytest.mark.parametrize(("name", "expected"), [("Solver error A", 0.89), ("Solver error B", 0.23)])
def test_the_opening_numbers_are_those_that_the_pictures_are_sold_with(opened, name, expected):
    page = opened()
    page.settle()
    assert page.number(name) == pytest.approx(expected, rel=0.06)


def test_telling_both_fields_the_class_closes_most_of_the_gap(opened):
    page = opened()
    page.settle()
    page.page.get_by_role("button", name="Tell both fields the class").click()
    page.settle()
    assert page.number("Solver error A") == pytest.approx(0.24, rel=0.06)
    assert page.number("Solver error B") == pytest.approx(0.23, rel=0.06)
    page.picture("told-the-class")


def test_the_prior_alone_stands_beside_the_numbers(opened):
    page = opened()
    page.page.wait_for_function(
        "() => !document.querySelector(\"[data-number='Prior alone B']\").textContent.includes('…')", timeout=60_000
    )
    assert page.number("Prior alone A") > 10 * page.number("Prior alone B")
    assert "Python's float64 numbers differ by less than 1e-9" in page.page.locator("#status").inner_text()


def test_the_header_links_to_pages_that_exist(opened):
    page = opened()
    for link in page.page.locator("header nav a").all():
        assert page.page.request.get(f"{page.page.url.split('?')[0].rstrip('/')}{link.get_attribute('href')}").status == 200


def test_the_page_is_light_on_the_wire(opened, lab, chromium):
    context = chromium.new_context()
    page = context.new_page()
    session = context.new_cdp_session(page)
    sizes: list[float] = []
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(lab)
    page.wait_for_timeout(3000)
    context.close()
    total = sum(sizes) / 1e6
    print(f"{total:.2f} MB on the wire (bar 1.5)")
    assert total < 1.5


LATE = {
    "the stage's script": (
        "**/stage/explore.js?*",
        "setTimeout(() => document.head.append(Object.assign(document.createElement('script'), { src: '{url}' })), 1500);",
    ),
    "Gradio's element": (
        "**/assets/HTML-*.js*",
        "await new Promise((resume) => setTimeout(resume, 1500)); export * from '{url}'; export { default } from '{url}';",
    ),
}


@pytest.mark.parametrize("late", LATE)
def test_the_page_opens_whichever_script_comes_last(lab, chromium, late):
    """Gradio puts the stage's script into the page by a script of its own: neither waits for the other."""
    pattern, script = LATE[late]
    page = chromium.new_page(viewport={"width": 1400, "height": 900})
    held = []

    def hold(route):
        url = route.request.url
        if "late" in url:
            route.continue_()
        else:
            held.append(url)
            route.fulfill(body=script.replace("{url}", f"{url}{'&' if '?' in url else '?'}late"), content_type="text/javascript")

    page.route(pattern, hold)
    page.goto(lab)
    page.wait_for_function("() => window.explore && window.explore.session.sides.b.measured", timeout=20_000)
    assert held
    page.close()
