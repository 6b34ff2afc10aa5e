"""What a teacher shows before a class with the presets and three sliders, as numbers and as pictures; and presets and sweeps themselves."""

import numpy as np
import pytest

ENDS = """(name) => {
  const { run, exact, particles } = window.explore.session.sides[name], at = 2 * exact.n * (exact.t.length - 1), ends = Array.from(run.x.subarray(2 * run.n * (run.t.length - 1)));
  return { ends, starts: Array.from(exact.x.subarray(0, 2 * exact.n)), exact: Array.from(exact.x.subarray(at)), classes: Array.from(particles.condition) };
}"""


def ends(page, name: str) -> dict[str, np.ndarray]:
    found = page.page.evaluate(ENDS, name)
    return {key: np.array(value).reshape(-1, 2) if key != "classes" else np.array(value) for key, value in found.items()}


def preset(page, name: str) -> None:
    """A preset, after its sweep."""
    page.page.get_by_role("button", name=name, exact=True).click()
    page.page.wait_for_function("() => window.explore.page.sweep === undefined", timeout=30_000)
    page.settle()


def test_straight_pairs_give_bent_paths(opened):
    """Half the pairs change sides, not one particle does; paired optimally, paths are straight."""
    page = opened()
    preset(page, "Straight lines, bent paths")
    page.still()
    pairs = np.array(page.page.evaluate("() => Array.from(window.explore.session.sides.a.picture.pairs)")).reshape(-1, 4)
    assert 0.25 < np.mean(pairs[:, 1] * pairs[:, 3] < 0) < 0.75
    independent, paired = ends(page, "a"), ends(page, "b")
    assert np.all(independent["starts"][:, 1] * independent["exact"][:, 1] > 0)
    assert page.number("Bending A") > 2
    assert page.number("Bending B") == 0
    assert np.abs(paired["starts"][:, 1] - paired["exact"][:, 1]).max() < 1e-9
    page.picture("teaching-bent")


def test_one_euler_step_lands_on_the_class_mean_for_every_prior(opened):
    page = opened()
    preset(page, "One step")
    for scale in (0.1, 1, 2):
        page.page.evaluate(
            "(scale) => { window.explore.control('side', 'both'); window.explore.control('nfe', 1); window.explore.control('scale', scale); }",
            scale,
        )
        page.settle()
        for side in ("a", "b"):
            found = ends(page, side)
            angle = 2 * np.pi * found["classes"] / 8
            assert found["ends"] == pytest.approx(4 * np.stack((np.cos(angle), np.sin(angle)), axis=1), abs=1e-9)
    page.still()
    page.picture("teaching-one-step")


def test_shifting_the_prior_moves_the_cost_and_not_a_single_sample(opened):
    page = opened()
    preset(page, "Shift the prior")
    costs = []
    for mean in (0, 0.5, 1):
        page.page.evaluate("(mean) => window.explore.control('prior_mean', mean)", mean)
        page.settle()
        assert ends(page, "b")["ends"] == pytest.approx(ends(page, "a")["ends"], abs=1e-9)
        costs.append(page.number("Cost of pairs B"))
    assert costs[0] == pytest.approx(18.7, rel=0.06)
    assert costs[2] == pytest.approx(2.7, rel=0.06)
    assert costs[0] > costs[1] > costs[2]
    page.still()
    page.picture("teaching-shift")


def test_most_of_a_conditional_priors_gain_is_the_label(opened):
    page = opened()
    page.settle()
    gain = page.number("Solver error A") - page.number("Solver error B")
    page.page.keyboard.press("c")
    page.settle()
    assert page.number("Solver error A") - page.number("Solver error B") < 0.05 * gain
    page.still()
    page.picture("teaching-label")


def test_a_sweep_ends_where_the_reader_takes_over(opened):
    page = opened()
    page.page.get_by_role("button", name="Shift the prior", exact=True).click()
    page.page.wait_for_function("() => window.explore.view.b.prior_mean > 0.1", timeout=10_000)
    slider = page.page.get_by_role("slider", name="NFE")
    slider.focus()
    slider.press("ArrowRight")
    page.page.wait_for_timeout(200)
    held = page.page.evaluate("() => window.explore.view.b.prior_mean")
    page.page.wait_for_timeout(1000)
    assert page.page.evaluate("() => [window.explore.view.b.prior_mean, window.explore.view.b.nfe]") == [held, 5]


def test_undo_brings_back_caption_chart_and_cost(opened):
    page = opened()
    page.settle()
    before = page.page.locator("#caption").inner_text()
    page.page.keyboard.press("6")
    page.page.wait_for_function("() => window.explore.page.chart === 'local'")
    assert page.page.locator("#caption").inner_text() != before
    page.page.get_by_role("button", name="Undo").click()
    page.settle()
    assert page.page.locator("#caption").inner_text() == before
    assert page.page.get_by_role("tab", name="Error and NFE").get_attribute("aria-selected") == "true"
    assert page.page.locator(".fl-presets [aria-pressed=true]").count() == 0


def test_a_number_says_what_it_means_when_it_is_pressed(opened):
    page = opened()
    page.settle()
    page.page.get_by_role("button", name="Bending", exact=True).click()
    assert "how far velocity departs from constant" in page.page.locator("#message").inner_text()


def test_controls_are_a_drawer_where_the_page_is_narrow(opened):
    page = opened(viewport={"width": 900, "height": 900})
    nfe = page.page.get_by_role("slider", name="NFE")
    assert not nfe.is_visible()
    page.page.get_by_role("button", name="Controls").click()
    nfe.wait_for()
    assert page.page.get_by_role("img", name="Stage B").bounding_box()["x"] + 200 < 900
    page.picture("drawer")
    page.page.get_by_role("button", name="Controls").click()
    assert not nfe.is_visible()


def test_a_stage_that_nobody_sees_stands_still(opened):
    page = opened(viewport={"width": 900, "height": 700})
    page.page.evaluate("() => { document.body.style.paddingBottom = '3000px'; window.scrollTo(0, 2500); }")
    page.page.wait_for_timeout(300)
    before = page.page.evaluate("() => window.explore.page.clock.time")
    page.page.wait_for_timeout(500)
    assert page.page.evaluate("() => [window.explore.page.clock.time, window.explore.page.clock.playing]") == [before, True]
    page.page.evaluate("() => window.scrollTo(0, 0)")
    page.page.wait_for_timeout(500)
    assert page.page.evaluate("() => window.explore.page.clock.time") != before


def test_a_tap_enlarges_a_stage_of_a_phone_and_the_next_brings_both_back(opened):
    page = opened(viewport={"width": 360, "height": 740}, has_touch=True)
    stage = page.page.locator("#stage-b")
    narrow = stage.bounding_box()["width"]
    stage.tap()
    assert stage.bounding_box()["width"] > 1.8 * narrow
    assert not page.page.locator("#stage-a").is_visible()
    stage.tap()
    assert stage.bounding_box()["width"] == narrow
