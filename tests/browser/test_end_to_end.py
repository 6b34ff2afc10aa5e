"""Draw, upload, fit, learn and export, each from the first click to what it gives."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import ROOT
from tests.browser.latency import CHECKED


def test_a_drawing_becomes_the_target_of_both_stages(opened):
    page = opened()
    page.settle()
    page.page.get_by_role("button", name="Draw").click()
    board = page.page.locator("canvas.fl-draw")
    box = board.bounding_box()
    assert box is not None
    for i, (x, y) in enumerate(((120, 120), (320, 300))):
        page.page.get_by_role("button", name=f"Class {i}").click()
        page.page.mouse.move(box["x"] + x, box["y"] + y)
        page.page.mouse.down()
        page.page.mouse.move(box["x"] + x + 40, box["y"] + y, steps=12)
        page.page.mouse.up()
    page.picture("drawing")
    page.page.get_by_role("button", name="Use it").click()
    page.page.wait_for_function("() => window.explore.view.a.target === 'custom'", timeout=60_000)
    page.settle()
    view = page.page.evaluate("() => ({ b: window.explore.view.b.target, classes: window.explore.view.a.mixture.classCount })")
    assert view == {"b": "custom", "classes": 2}
    assert "points" in page.page.locator("#message").inner_text()
    assert "mixture=" in page.page.url
    page.page.wait_for_function(CHECKED, timeout=90_000)  # the server takes the drawn mixture back
    page.picture("own-target")


def test_a_csv_file_becomes_the_target(opened, tmp_path):
    points = np.random.default_rng(0).normal(size=(300, 2)) @ np.diag([2.0, 0.4])
    file = tmp_path / "points.csv"
    file.write_text("x,y\n" + "\n".join(f"{x},{y}" for x, y in points))
    page = opened()
    page.settle()
    page.page.get_by_role("button", name="Draw").click()
    page.page.locator("input[type=file]").set_input_files(file)
    page.page.wait_for_function("() => window.explore.view.a.target === 'custom'", timeout=60_000)
    page.settle()
    assert "300 points" in page.page.locator("#message").inner_text()
    first = page.page.evaluate("() => window.explore.session.sides.a.picture.box")
    file.write_text("x,y\n" + "\n".join(f"{0.2 * x},{0.2 * y}" for x, y in points))
    page.page.get_by_role("button", name="Draw").click()
    page.page.locator("input[type=file]").set_input_files(file)
    page.page.wait_for_function("(box) => window.explore.session.sides.a.picture.box.right < 0.6 * box.right", arg=first, timeout=60_000)
    page.page.get_by_role("button", name="Undo", exact=True).click()  # an earlier target comes back in its own box
    page.settle()
    assert page.page.evaluate("() => window.explore.session.sides.a.picture.box") == first


def test_a_file_that_is_no_cloud_is_refused_in_a_sentence(opened, tmp_path):
    file = tmp_path / "points.csv"
    file.write_text("colour,size\nred,3\n")
    page = opened()
    page.page.get_by_role("button", name="Draw").click()
    page.page.locator("input[type=file]").set_input_files(file)
    page.page.wait_for_function("() => document.querySelector('dialog .fl-status').textContent.includes('columns')")
    page.faults.clear()  # the browser logs the answer's status, 400
    assert page.page.evaluate("() => window.explore.view.a.target") == "ring-strips"


def test_batch_ot_is_fitted_on_release_and_then_lives_in_the_browser(opened):
    page = opened("?v=1&b-coupling=batch-ot&b-batch-size=16")
    page.page.wait_for_function(
        "() => window.explore.session.sides.b.waiting === false && window.explore.session.sides.b.world.fitted", timeout=60_000
    )
    page.settle()
    before = len([url for url in page.requests if url.endswith("/api/fit")])
    assert page.number("Bending B") < page.number("Bending A")
    page.page.evaluate("() => window.explore.control('nfe', 8)")
    page.settle()
    assert len([url for url in page.requests if url.endswith("/api/fit")]) == before  # evaluations need no new fit
    page.page.evaluate("() => window.explore.control('scale', 0.8)")
    assert page.page.evaluate("() => window.explore.session.sides.b.stale").startswith("last fit shown")
    page.page.wait_for_function("() => !window.explore.session.sides.b.stale", timeout=60_000)
    assert "B's field is fitted, ends off by 0." in page.page.locator("#status").inner_text()
    page.page.get_by_text("All numbers").click()
    assert "Estimate" in page.page.locator(".fl-more").inner_text()
    page.picture("batch-ot")


def test_full_ot_pairs_the_shown_points(opened):
    page = opened("?v=1&count=400&b-coupling=full-ot&show=contours,pairs,particles,ghosts")
    page.page.wait_for_function("() => window.explore.session.sides.b.world.paired", timeout=60_000)
    page.settle()
    assert page.number("Bending B") == 0
    page.picture("full-ot")


def test_networks_learn_while_one_watches(opened):
    page = opened("?v=1&count=600")
    page.settle()
    page.page.get_by_role("button", name="Learn").click()
    page.page.get_by_label("iterations").fill("3000")
    page.page.get_by_role("button", name="Train", exact=True).click()
    page.page.wait_for_function("() => window.explore.page.learning.kept.length > 1", timeout=90_000)
    early = page.page.evaluate("() => window.explore.page.learning.looks.get(window.explore.page.learning.kept[0]).sides[0].field_rms")
    page.page.get_by_role("button", name="Pause", exact=True).last.click()
    page.page.wait_for_function("() => window.explore.page.learning.pause.textContent === 'Resume'", timeout=30_000)
    page.page.get_by_role("button", name="Resume").click()
    page.page.wait_for_function("() => window.explore.page.learning.says.textContent.startsWith('Done')", timeout=180_000)
    found = page.page.evaluate(
        """() => {
          const { learning } = window.explore.page, last = learning.looks.get(learning.kept.at(-1)).sides, losses = learning.losses.at(-1).sides;
          const shares = [learning.reports.a.shares, learning.reports.b.shares];
          return { rms: last.map((s) => s.field_rms), loss: losses.map((s) => s.loss), floor: losses.map((s) => s.floor), shares };
        }"""
    )
    for side in (0, 1):
        assert found["loss"][side] > 0.9 * found["floor"][side]
        assert all(value >= 0 for value in found["shares"][side].values())
    assert found["rms"][0] < 0.5 * early
    page.page.locator("#learn-heat").check()
    page.page.get_by_role("slider", name="Snapshot").fill("0")
    page.page.wait_for_timeout(800)
    assert page.page.evaluate("() => window.explore.session.sides.a.world.grid.k") == page.page.evaluate(
        "() => window.explore.page.learning.kept[0]"
    )
    page.picture("learned", full_page=True)
    page.page.get_by_role("button", name="Exact field").click()
    page.settle()
    assert page.page.evaluate("() => window.explore.session.sides.a.world.grid") is None


def exported(page, name: str, timeout: int = 60_000) -> bytes:
    with page.page.expect_download(timeout=timeout) as waiting:
        page.page.get_by_role("button", name=name, exact=True).click()
    path = waiting.value.path()
    return path.read_bytes()


def test_everything_that_can_be_exported(opened):
    page = opened("?v=1&count=200&time=0.5")
    page.settle()
    page.page.get_by_role("button", name="Export").click()
    image = Image.open(io.BytesIO(exported(page, "PNG")))
    assert image.size[0] > 2 * image.size[1] * 0.95
    assert exported(page, "SVG").startswith(b"<?xml")
    film = Image.open(io.BytesIO(exported(page, "GIF")))
    assert getattr(film, "n_frames", 1) > 20
    rows = exported(page, "CSV of A").decode().splitlines()
    assert len(rows) == 1 + 200 * 5  # states of four steps
    assert exported(page, "Figure (PNG)", 120_000).startswith(b"\x89PNG")
    page.picture("export")


def test_the_printed_program_gives_the_same_numbers(opened, tmp_path):
    page = opened("?v=1&target=moons&sees=class&nfe=6&b-prior=conditional&count=500")
    page.settle()
    page.page.get_by_role("button", name="Python").click()
    page.page.wait_for_function("() => document.querySelector('dialog pre').textContent.includes('import')")
    program = tmp_path / "view.py"
    program.write_text(page.page.locator("dialog pre").inner_text())
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = {line["stage"]: line for line in map(json.loads, done.stdout.splitlines())}
    for name in ("a", "b"):
        measured = page.page.evaluate(
            "(name) => { const m = window.explore.session.sides[name].measured; return [m.globalError.rmse, m.straightness, m.wrongClass]; }",
            name,
        )
        line = printed[name.upper()]
        assert [line["global_error"]["rmse"], line["straightness"], line["wrong_class"]] == pytest.approx(measured, rel=1e-3)


def test_a_closer_look_loads_plotly_when_it_is_wanted(opened):
    page = opened()
    page.settle()
    assert not [url for url in page.requests if "plotly" in url]
    page.page.get_by_role("button", name="Look closer").click()
    page.page.wait_for_selector(".fl-closer .main-svg")
    assert [url for url in page.requests if "plotly.js" in url]
    page.picture("closer")


def test_a_target_of_ones_own_has_to_be_drawn_first(opened):
    page = opened()
    page.settle()
    page.page.locator("#control-target label", has_text="Your own").click()
    page.page.get_by_role("dialog", name="Draw a target").wait_for()
    page.page.keyboard.press("Escape")
    page.page.wait_for_timeout(300)
    assert page.page.locator("#control-target input:checked").get_attribute("value") == "ring-strips"
