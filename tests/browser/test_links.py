"""An address alone restores the picture, and junk in it is clamped and said."""

import pytest

from toy.mixtures import Mixture
from toy.packing import pack

PIXELS = "() => ['a', 'b'].map((name) => document.getElementById(`stage-${name}`).toDataURL())"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?v=1&target=moons&prior=conditional-mixture&sees=class&solver=heun&nfe=6&time=0.4&b-path=cosine&show=density,field,contours,particles,ghosts",
        "?v=1&prior=ring&coupling=component-ot&time=0.7&playback=exact&seed=7&count=700&b-scale=0.5",
        "?v=1&path=vp&b-prior=conditional&nfe=5&solver=ddim&show=contours,pairs,traces,probe&time=0.25&probe-x=1.5&probe-y=-0.5",
        "?v=1&sees=class&b-prior=conditional&b-prior-covariance=none&show=contours,traces,particles,rings",
        "?v=1&target=letters&letters=AB&count=600",
    ],
)
def test_a_shared_link_gives_the_same_pixels(opened, query):
    first = opened(query)
    first.settle()
    first.still(0.4 if not query else first.page.evaluate("() => window.explore.view.time"))  # 1 too: the link opens still
    first.page.get_by_role("button", name="Share").click()
    first.settle()
    first.page.wait_for_timeout(300)
    address = first.page.url
    again = opened("?" + address.partition("?")[2])
    again.settle()
    again.page.wait_for_timeout(300)
    assert first.page.evaluate(PIXELS) == again.page.evaluate(PIXELS)


def test_a_probe_that_was_moved_is_in_the_link(opened):
    page = opened("?v=1&show=particles,probe")
    page.settle()
    page.page.locator("#stage-a").focus()
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("ArrowUp")
    page.page.get_by_role("button", name="Share").click()
    assert "probe-x=0.1" in page.page.url
    again = opened("?" + page.page.url.partition("?")[2])
    again.settle()
    assert again.page.evaluate("() => window.explore.page.probe") == {"x": 0.1, "y": 0.1}


def test_letters_take_the_place_of_a_target_of_ones_own_and_one_undo_takes_them_back(opened):
    own = opened("?v=1&target=custom&mixture=" + pack(Mixture([1.0], [[1.0, 0.0]], [[[1.0, 0.0], [0.0, 1.0]]])))
    own.settle()
    own.page.evaluate("() => window.explore.control('letters', 'AB')")
    own.page.wait_for_function("() => window.explore.view.a.target === 'letters'")
    own.settle()
    assert "mixture" not in own.page.url
    own.page.get_by_role("button", name="Undo").click()
    own.settle()
    assert own.page.evaluate("() => window.explore.view.a.target") == "custom"


def test_a_pairing_that_is_refused_is_not_waited_for(opened):
    page = opened("?v=1&count=5000&b-coupling=full-ot")
    page.page.wait_for_function("() => window.explore.session.sides.b.refused")
    assert page.page.evaluate("() => window.explore.session.sides.b.stale") == "independent coupling shown: this pairing cannot be made"
    assert "too many for full OT" in page.page.locator("#message").inner_text()
    page.faults.clear()  # the browser logs the answer's status, 400


def test_settings_that_change_nothing_are_named_and_not_shown_as_differences(opened):
    page = opened()
    page.settle()
    page.page.evaluate("() => window.explore.control('degree', 5)")
    page.settle()
    assert "degree changes nothing beside path=cond-ot" in page.page.locator("#message").inner_text()
    assert "degree" not in page.page.locator(".fl-chips").inner_text()


def test_too_few_samples_for_a_fitted_prior_are_said_when_the_target_changes(opened):
    page = opened("?v=1&prior=conditional&fit-count=40&count=300")
    page.settle()
    page.page.evaluate("() => window.explore.control('target', 'rare-class')")
    page.settle()
    assert page.page.evaluate(
        "() => [window.explore.view.a.fit_count, Number.isFinite(window.explore.session.sides.a.measured.globalError.rmse)]"
    ) == [0, True]
    assert "fit_count=40 leaves a part of this target fewer than the 4 samples" in page.page.locator("#message").inner_text()


def test_junk_is_clamped_and_said(opened):
    page = opened("?v=1&nfe=99999999&scale=-3&target=moon&count=1e9&colour=red&time=nan&b-prior=%00&solver=heun&coupling=nothing&count=100")
    page.settle()
    words = page.page.locator("#message").inner_text()
    for culprit in ("moon", "scale=-3", "colour", "nothing"):
        assert culprit in words
    view = page.page.evaluate("() => window.explore.view.a")
    assert view["scale"] == 0.02
    assert view["target"] == "ring-strips"
    page.picture("junk-link")


def test_undo_and_reset(opened):
    page = opened()
    page.settle()
    page.page.evaluate("() => window.explore.control('nfe', 16)")
    page.settle()
    page.page.get_by_role("button", name="Undo").click()
    page.settle()
    assert page.page.evaluate("() => window.explore.view.a.nfe") == 4
    page.page.get_by_role("radio", name="Moons").check(force=True)
    page.settle()
    page.page.get_by_role("button", name="Reset").click()
    page.settle()
    assert page.page.evaluate("() => [window.explore.view.a.target, window.explore.view.b.prior]") == ["ring-strips", "conditional"]
    assert "?" not in page.page.url
