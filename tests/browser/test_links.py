"""An address alone restores the picture, and junk in it is clamped and said."""

import pytest

PIXELS = "() => ['a', 'b'].map((name) => document.getElementById(`stage-${name}`).toDataURL())"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?v=1&target=moons&prior=conditional-mixture&sees=class&solver=heun&nfe=6&time=0.4&b-path=cosine&show=density,field,contours,particles,ghosts",
        "?v=1&prior=ring&coupling=component-ot&time=0.7&playback=exact&seed=7&count=700&b-scale=0.5",
        "?v=1&path=vp&b-prior=conditional&nfe=5&solver=ddim&show=contours,pairs,traces,probe&time=0.25",
    ],
)
def test_a_shared_link_gives_the_same_pixels(opened, query):
    first = opened(query)
    first.settle()
    first.still(0.4 if not query else first.page.evaluate("() => window.explore.view.time"))
    first.page.get_by_role("button", name="Share").click()
    first.settle()
    first.page.wait_for_timeout(300)
    address = first.page.url
    again = opened("?" + address.partition("?")[2])
    again.settle()
    again.page.wait_for_timeout(300)
    assert first.page.evaluate(PIXELS) == again.page.evaluate(PIXELS)


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
