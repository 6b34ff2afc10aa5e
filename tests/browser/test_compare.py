"""The Compare page in a real browser: what ships is there at once, others are sampled in seconds, the slider does not wait, a class votes, and faults are said."""

import io
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.browser.conftest import PICTURES
from tests.browser.test_train import Server
from tests.trainers.latents.encoders import bert
from tests.trainers.latents.gallery import show
from tests.trainers.sampling.conftest import TEXT, digits, trained
from trainers.catalogue import models
from trainers.exporting import export
from trainers.recipes import apply, by_name

WAIT = 120_000
IN_SIGHT = "() => window.compare?.results && window.compare.results !== window.before && window.compare.results.panels.every((panel) => panel.rungs.get(8)?.image)"
EVENTS = "".join(  # of two panels: a sheet cut short, and a budget that failed
    f"event: {name}\ndata: {json.dumps(numbers)}\n\n"
    for name, numbers in (
        ("rung", {"panel": 0, "nfe": 8, "evaluations": 8, "seconds": 1, "picture": "UklGRg=="}),
        ("rung", {"panel": 1, "nfe": 8, "error": "the samples at 8 evaluations are not finite"}),
        ("end", {"seconds": 1}),
    )
)
OVER = "() => window.compare.results !== window.before && ['done', 'failed', 'lost'].includes(window.compare.results?.state)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A lab whose runs are condot, cpd and ddpm on digits, one that is told captions, and one whose weights are cut short."""
    runs = tmp_path_factory.mktemp("runs")
    for method in ("condot", "cpd", "ddpm"):
        trained(digits(method), runs / method, runs)
    bert(runs / "encoder")
    with pytest.MonkeyPatch.context() as patch:
        show(patch)
        trained(apply(by_name("emoji-text-cpd"), TEXT | {"text.path": str(runs / "encoder")}), runs / "captions", runs)
    export(runs / "condot", runs / "damaged")
    weights = next((runs / "damaged").rglob("diffusion_pytorch_model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    made = Server(runs)
    yield made
    made.kill()


@pytest.fixture
def page(server: Server, chromium) -> Iterator:
    context = chromium.new_context(viewport={"width": 1400, "height": 900}, accept_downloads=True)
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{server.address}/compare")
    page.wait_for_function("() => window.compare && window.compare.ready")
    yield page
    context.close()
    assert not errors


def picture(page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"compare-{name}.png", full_page=True)


def choose(page, panel: int, model: str) -> None:
    page.get_by_label(f"Model of panel {panel}").select_option(model)


def press(page) -> None:
    """Sample; what was shown before is no longer waited for."""
    page.evaluate("() => { window.before = window.compare.results; }")
    page.get_by_role("button", name="Sample", exact=True).click()


def sample(page) -> float:
    """Presses Sample; seconds until every panel shows eight evaluations."""
    began = time.monotonic()
    press(page)
    page.wait_for_function(IN_SIGHT, timeout=WAIT)
    return time.monotonic() - began


def message(page):
    return page.locator("#message")


def test_it_opens_with_two_precomputed_panels_of_what_ships(server: Server, chromium):
    shipped = {model.id for model in models(server.runs) if model.place == "shipped"}
    page = chromium.new_context(viewport={"width": 1400, "height": 900}).new_page()
    began = time.monotonic()
    page.goto(f"{server.address}/compare")
    page.wait_for_function(IN_SIGHT)
    assert time.monotonic() - began < 4  # two seconds are the bar
    page.get_by_text("Precomputed: these pictures came with the lab").wait_for()
    opened = page.evaluate("() => window.compare.wish.panels.map((panel) => panel.model)")
    assert len(opened) == 2
    assert set(opened) <= shipped
    assert page.evaluate("() => window.compare.results.panels.every((panel) => panel.exact && panel.film && panel.nearest)")
    page.get_by_text("nearest training picture").first.wait_for()
    page.wait_for_timeout(1500)
    picture(page, "opening")
    page.context.close()


def test_two_other_checkpoints_are_sampled_in_seconds_and_the_slider_does_not_wait(server: Server, page):
    choose(page, 1, "runs/condot")
    choose(page, 2, "runs/cpd")
    assert page.get_by_text("this choice has not been sampled yet").count() == 2
    assert sample(page) < 30  # fifteen seconds are the bar
    page.wait_for_function(OVER, timeout=WAIT)
    slider = page.get_by_role("slider", name="NFE", exact=True)
    shown = {}
    for stop in ("0", "1", "5", "12", "13"):
        took = page.evaluate(
            """(stop) => new Promise((done) => {
              const slider = document.getElementById("compare-nfe"), began = performance.now();
              slider.value = stop;
              slider.dispatchEvent(new Event("input"));
              requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
            })""",
            stop,
        )
        assert took < 200  # a tenth of a second is the bar
        shown[stop] = page.evaluate("() => document.getElementById('sheet-0').toDataURL()")
    assert len(set(shown.values())) == 5
    assert slider.get_attribute("aria-valuetext") == "the exact flow"
    slider.focus()
    slider.press("ArrowLeft")
    assert slider.get_attribute("aria-valuetext") == "NFE 64"
    assert "64 evaluations each" in page.locator(".fl-panel-says").first.inner_text()
    errors = page.evaluate("() => window.compare.results.panels.map((panel) => panel.exact.errors)")
    assert all(float(e["1"]["rmse"]) > float(e["64"]["rmse"]) for e in errors)
    page.get_by_role("tab", name="1-NN two-sample accuracy").click()
    page.get_by_text("Not evaluated yet: python -m trainers evaluate runs/condot").wait_for()
    picture(page, "sampled")


def test_a_sample_under_the_pointer_is_marked_in_all_panels_and_one_is_opened(page):
    before = [page.evaluate(f"() => document.getElementById('sheet-{k}').toDataURL()") for k in (0, 1)]
    box = page.locator("#sheet-0").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.9)
    assert page.evaluate("() => window.compare.hover") == 15
    assert all(page.evaluate(f"() => document.getElementById('sheet-{k}').toDataURL()") != before[k] for k in (0, 1))
    page.mouse.click(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.9)
    page.get_by_role("heading", name="Sample 16").wait_for()
    assert page.locator(".fl-opened-row").count() == 2
    assert page.locator(".fl-opened-row").first.locator("canvas").count() >= 8
    page.locator("#sheet-1").press("ArrowUp")
    page.get_by_role("heading", name="Sample 12").wait_for()


def test_a_budget_that_a_solver_cannot_use_is_said(page):
    choose(page, 1, "runs/condot")
    page.get_by_label("Solver of panel 1").select_option("heun")
    choose(page, 2, "runs/ddpm")
    assert page.get_by_label("Solver of panel 2").input_value() == "ddim-scheduler"
    sample(page)
    page.wait_for_function(OVER, timeout=WAIT)
    page.evaluate(
        "() => { const slider = document.getElementById('compare-nfe'); slider.value = '3'; slider.dispatchEvent(new Event('input')); }"
    )
    uneven = page.locator(".fl-panel-says.fl-uneven")
    assert uneven.inner_text().startswith("2 evaluations each (3 cannot be used exactly: heun)")
    assert uneven.count() == 1


def test_prompts_are_typed_and_long_ones_refused(server: Server, page):
    choose(page, 1, "runs/captions")
    page.get_by_role("button", name="Remove panel 2").click()
    prompts = page.get_by_label("Prompts")
    prompts.fill("x" * 10_000)
    page.get_by_text("a prompt of 10,000 characters is too long; at most 300 are read").wait_for()
    assert page.get_by_role("button", name="Sample", exact=True).is_disabled()
    prompts.fill("")
    press(page)
    message(page).filter(has_text="Panel 1 is told a text: type a prompt.").wait_for(timeout=WAIT)
    prompts.fill("a red thing\na green thing")
    sample(page)
    page.wait_for_function(OVER, timeout=WAIT)
    assert page.evaluate("() => window.compare.results.panels[0].names.slice(0, 3)") == ["a red thing", "a green thing", "a red thing"]
    page.get_by_text("the training captions are not here").wait_for()
    picture(page, "prompts")


def test_what_is_exported_carries_its_settings(page):
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    image = Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))
    image.load()
    settings = json.loads(image.info["Settings"])
    assert [panel["model"] for panel in settings["panels"]] == page.evaluate("() => window.compare.wish.panels.map((panel) => panel.model)")
    assert settings["nfe"] == 8
    assert all(len(panel["weights_hash"]) == 64 for panel in settings["panels"])
    assert len(set(image.convert("L").tobytes())) > 10


def test_names_are_hidden_until_a_class_has_voted(page):
    names = page.evaluate("() => window.compare.wish.panels.map((panel) => panel.model.split('/')[1])")
    page.get_by_role("button", name="Hide names").click()
    assert not any(name in page.locator("#compare").inner_text() for name in names)
    page.get_by_role("button", name="Vote for 2").click()
    page.get_by_role("button", name="Vote for 2").click()
    page.get_by_text("2 votes").wait_for()
    picture(page, "vote")
    page.get_by_role("button", name="Show names").click()
    said = message(page).inner_text()
    order = page.evaluate("() => window.compare.order")
    assert f"2 was {names[order[1]]} (2 votes)" in said
    assert f"1 was {names[order[0]]} (0 votes)" in said


def test_a_sheet_that_cannot_be_read_says_so(page):
    page.evaluate("() => { window.before = window.compare.results; }")
    page.route("**/events", lambda route: route.fulfill(content_type="text/event-stream", body=EVENTS))
    page.get_by_role("button", name="Sample", exact=True).click()
    page.get_by_text("this picture came damaged: press Sample again").first.wait_for(timeout=WAIT)
    page.get_by_text("the samples at 8 evaluations are not finite").wait_for(timeout=WAIT)


def test_a_damaged_checkpoint_is_said_and_the_page_goes_on(page):
    choose(page, 1, "runs/damaged")
    press(page)
    page.wait_for_function(OVER, timeout=WAIT)
    assert "damaged" in message(page).inner_text()
    choose(page, 1, "runs/condot")
    choose(page, 2, "runs/cpd")
    sample(page)
    assert message(page).is_hidden()


def test_a_process_killed_in_the_middle_is_said_and_what_was_sampled_stays(server: Server, page):
    choose(page, 1, "runs/condot")
    choose(page, 2, "runs/cpd")
    page.get_by_label("Samples", exact=True).select_option("64")
    sample(page)
    youngest = max(psutil.Process(server.process.pid).children(recursive=True), key=lambda child: child.create_time())
    youngest.send_signal(signal.SIGKILL)  # the comparison's own; those of the server's lanes were there before it
    message(page).filter(has_text="process was lost; what was received stays").wait_for(timeout=WAIT)
    assert page.evaluate("() => Boolean(window.compare.results.panels[0].rungs.get(8).image)")
    page.get_by_label("Samples", exact=True).select_option("4")
    sample(page)


def test_two_people_sample_at_once(server: Server, page, chromium):
    other = chromium.new_context(viewport={"width": 1400, "height": 900}).new_page()
    other.goto(f"{server.address}/compare")
    other.wait_for_function("() => window.compare && window.compare.ready")
    for each, models_ in ((page, ("runs/condot", "runs/cpd")), (other, ("runs/cpd", "runs/ddpm"))):
        choose(each, 1, models_[0])
        choose(each, 2, models_[1])
        press(each)
    for each in (page, other):
        each.wait_for_function(OVER, timeout=WAIT)
        assert each.evaluate("() => window.compare.results.state") == "done"
    other.context.close()
