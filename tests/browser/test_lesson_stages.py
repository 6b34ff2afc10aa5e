"""The stage mounted in Streamlit: it moves, its sliders answer without a run of the script, and Python is told what was measured."""

import subprocess
import sys
import time
import urllib.request

import pytest

from tests.browser.conftest import LOOPBACK, PICTURES, ROOT, free_port


@pytest.fixture(scope="module")
def lesson():
    """The address of a Streamlit server that runs the lesson."""
    port = free_port()
    script = "tests/browser/lesson_script.py"
    flags = [f"--server.port={port}", "--server.address=127.0.0.1", "--server.headless=true", "--browser.gatherUsageStats=false"]
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", script, *flags], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).read()
                break
            except OSError:
                assert server.poll() is None, "streamlit did not start"
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture
def page(lesson, chromium):
    context = chromium.new_context(viewport={"width": 1200, "height": 1000})
    page = context.new_page()
    outside, faults = [], []
    page.on(
        "request",
        lambda r: (
            outside.append(r.url) if not r.url.startswith(("data:", "blob:", *(f"http://{host}:" for host in LOOPBACK), "ws:")) else None
        ),
    )
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(lesson)
    page.get_by_text("A 0.886 B 0.227 at 4").wait_for(timeout=60_000)  # the opening numbers, measured in the browser, told to Python
    yield page
    context.close()
    assert not outside, outside
    assert not faults, faults


def painted(page) -> str:
    return page.evaluate("document.getElementById('stage-a').toDataURL()")


def runs(page) -> int:
    return int(page.get_by_text("run ", exact=False).first.inner_text().split()[-1])


def test_a_lesson_moves_and_pauses(page):
    before = painted(page)
    page.wait_for_timeout(300)
    assert painted(page) != before
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(200)
    before = painted(page)
    page.wait_for_timeout(300)
    assert painted(page) == before


def test_a_slider_is_answered_in_the_browser_and_python_is_told_once(page):
    slider = page.get_by_role("slider", name="NFE")
    page.get_by_role("slider", name="Time").fill("1")
    began, before = runs(page), painted(page)
    seen = page.evaluate(
        """async () => {
          const slider = document.querySelector("[aria-label='NFE']"), frames = () => new Promise((resume) => requestAnimationFrame(() => requestAnimationFrame(resume)));
          const seen = new Set();
          for (let nfe = 5; nfe <= 16; nfe++) {
            slider.value = nfe;
            slider.dispatchEvent(new Event("input"));
            await frames();
            seen.add(document.getElementById("stage-a").toDataURL());
          }
          return seen.size;
        }"""
    )
    assert seen == 12, "every move was painted in the next frames"
    page.get_by_text("at 16").wait_for(timeout=30_000)
    page.wait_for_timeout(500)
    assert runs(page) - began <= 2, "one run for the settled numbers (one more where the sides settle apart)"
    assert painted(page) != before
    assert slider.input_value() == "16"
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / "lesson-stages.png")


def test_a_new_scene_takes_the_place_of_the_old_one(page):
    page.locator("label", has_text="eight steps").click()
    page.get_by_text("at 8").wait_for(timeout=30_000)
    assert page.locator("canvas").count() == 2
    assert page.get_by_role("slider", name="NFE").input_value() == "8"


def test_unknown_sliders_are_refused():
    from app.lessons.stages import stages

    with pytest.raises(ValueError, match=r"sliders=\['speed'\] are not known; there are nfe"):
        stages({"view": {}, "boxes": {}}, setup="{}", key="refused", sliders=("nfe", "speed"))
