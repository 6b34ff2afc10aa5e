"""The Train page in a real browser: a class watches digits train; runs outlive page and server; one that is gone says so and goes on."""

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import PICTURES, ROOT, free_port
from tests.browser.latency import drag
from trainers.jobs import Index, read_state, stop
from trainers.jobs.control import wait
from trainers.jobs.state import processes_of

WAIT = 120_000


class Server:
    """A lab on a folder of runs, which can be killed and started again at the same address."""

    def __init__(self, runs: Path) -> None:
        self.runs, self.port = runs, free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "app", "--port", str(self.port), "--runs", str(self.runs)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 120
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.address}/train", timeout=20).read()
                return
            time.sleep(0.2)
        pytest.fail("the lab did not start")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("runs"))
    yield made
    made.kill()
    for state in Index(made.runs).list():
        if state.alive:
            stop(made.runs, state.name)
            wait(made.runs, state.name)


@pytest.fixture
def page(server: Server, chromium) -> Iterator:
    context = chromium.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{server.address}/train")
    page.get_by_role("button", name="Watch digits train").wait_for()
    yield page
    context.close()
    assert not errors


def state_of(page, name: str):
    return page.locator(".fl-run", has=page.get_by_role("button", name=name, exact=True)).locator(".fl-run-state")


def picture(page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"train-{name}.png", full_page=True)


def until_text(locator, words: str) -> None:
    locator.filter(has_text=words).wait_for(timeout=WAIT)


def test_a_class_watches_digits_train_and_finds_the_run_after_the_server_was_killed(server: Server, page, chromium):
    page.get_by_role("button", name="Watch digits train").click()
    until_text(state_of(page, "digits-condot"), "training")
    page.get_by_role("slider", name="Preview").wait_for(timeout=WAIT)
    picture(page, "watching")
    until_text(page.locator(".fl-run-chart"), "loss")
    page.context.close()
    server.kill()
    before = read_state(server.runs, "digits-condot")
    assert before.state == "running"  # without a page and without a server
    server.start()
    page = chromium.new_context(viewport={"width": 1400, "height": 900}).new_page()
    page.goto(f"{server.address}/train")
    until_text(state_of(page, "digits-condot"), "training")
    assert read_state(server.runs, "digits-condot").step >= before.step
    page.get_by_role("button", name="Stop", exact=True).click()
    until_text(state_of(page, "digits-condot"), "stopped")
    stopped = read_state(server.runs, "digits-condot")
    assert stopped.step < stopped.steps
    page.get_by_role("button", name="Resume", exact=True).click()
    until_text(state_of(page, "digits-condot"), "training")
    os.killpg(processes_of(server.runs / "digits-condot")[0], signal.SIGKILL)  # as if the machine had gone off
    until_text(state_of(page, "digits-condot"), "interrupted")
    page.get_by_text("its process is gone").wait_for()
    picture(page, "interrupted")
    page.get_by_role("button", name="Resume", exact=True).click()
    until_text(state_of(page, "digits-condot"), "finished")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Keep it").click()
    page.get_by_role("button", name="Delete", exact=True).wait_for()
    assert (server.runs / "digits-condot").is_dir()
    picture(page, "finished")
    page.get_by_role("link", name="Compare").click()
    page.locator("#compare-sample").wait_for()
    page.get_by_label("Model of panel 1").select_option("runs/digits-condot")
    page.get_by_role("button", name="Sample", exact=True).click()
    page.wait_for_function(
        "() => window.compare.results?.panels[0].rungs.get(8)?.image && window.compare.results.wish.panels[0].model === 'runs/digits-condot'",
        timeout=WAIT,
    )
    picture(page, "in-compare")
    page.context.close()


def test_the_form_says_what_is_wrong_at_the_field_and_what_a_run_costs(server: Server, page):
    page.get_by_text("M parameters").wait_for(timeout=WAIT)
    steps = page.get_by_label("steps", exact=True)
    steps.fill("-3")
    page.locator("#train-training-steps-wrong").filter(has_text="must lie in 1").wait_for()
    assert page.get_by_role("button", name="Start", exact=True).is_disabled()
    steps.fill("40")
    assert "10,240 pictures will be seen" in page.locator("#train-seen").inner_text()
    page.get_by_text("Everything else").click()
    page.locator("summary", has_text="network").click()
    page.get_by_label("channels", exact=True).last.fill("30,30")  # an mlp has one width: only the server knows
    page.locator("#train-network-channels-wrong").filter(has_text="an mlp has one width").wait_for(timeout=WAIT)
    picture(page, "wrong")
    page.get_by_label("channels", exact=True).last.fill("24")
    page.locator("#train-name").fill("../etc")
    page.get_by_text("letters, digits, dots, dashes and underscores").wait_for()
    page.locator("#train-name").fill("small")
    page.get_by_text("M parameters").wait_for(timeout=WAIT)
    page.get_by_role("button", name="Start", exact=True).click()
    until_text(state_of(page, "small"), "finished")
    page.get_by_role("button", name="small", exact=True).click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete it").click()
    state_of(page, "small").wait_for(state="detached")
    assert not (server.runs / "small").exists()


def test_methods_and_data_have_their_own_values_and_the_page_says_when_the_server_is_gone(server: Server, page):
    page.get_by_text("Emoji, by name").click()
    method = page.get_by_label("Method")
    options = method.locator("option").all_inner_texts()
    assert "cpd" in options
    assert "class-batchot" not in options
    assert "reflow" not in options
    method.select_option("cpd")
    assert page.get_by_label("batch", exact=True).input_value() == "128"
    server.kill()
    page.get_by_text("the server does not answer").first.wait_for(timeout=WAIT)
    server.start()
    page.locator("#message").filter(has_text="does not answer").wait_for(state="hidden", timeout=WAIT)


def test_explore_answers_while_a_job_trains_on_both_cores(server: Server, chromium):
    """Twice the quiet time is the bar; a training runs at low priority."""
    page = chromium.new_context(viewport={"width": 1400, "height": 900}).new_page()
    page.goto(server.address)
    page.wait_for_function("() => window.explore && window.explore.page.opened && window.explore.session.sides.b.measured")
    quiet = statistics.median(drag(page, "scale", 4))
    asked = {"recipe": "digits-condot", "settings": {"training.threads": "2", "training.steps": "100000"}, "name": "busy"}
    assert page.request.post(f"{server.address}/api/jobs", data=asked, headers={"Origin": server.address}).ok
    end = time.monotonic() + 120
    while read_state(server.runs, "busy").step < 20 and time.monotonic() < end:
        time.sleep(0.5)
    busy = statistics.median(drag(page, "scale", 4))
    assert read_state(server.runs, "busy").state == "running"
    stop(server.runs, "busy")
    wait(server.runs, "busy")
    print(f"\nslider to paint: {quiet:.0f} ms when quiet, {busy:.0f} ms while a job trains")
    assert busy < 4 * max(quiet, 17)  # the bar is twice; nothing is painted sooner than a frame
    page.context.close()
