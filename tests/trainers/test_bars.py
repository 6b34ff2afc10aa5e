"""Signs of life: a bar on a terminal, lines elsewhere, never both."""

import io
import sys
from types import SimpleNamespace

import pytest
import torch
from tqdm import tqdm

from trainers.bars import EVERY, bar, track
from trainers.gauges import Gauges


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("trainers.bars.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_without_a_terminal_a_line_comes_at_the_start_and_every_half_minute(clock: list[float], capsys: pytest.CaptureFixture[str]):
    with bar(1000, "train latents", "pictures") as shown:
        assert capsys.readouterr().err == "train latents: 1,000 pictures\n"
        for _ in range(61):
            clock[0] += 1.0
            shown.update(10)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "train latents: 300 of 1,000 pictures (30%), 10 a second, 70 s left",
        "train latents: 600 of 1,000 pictures (60%), 10 a second, 40 s left",
    ]


def test_what_goes_on_counts_its_speed_from_where_it_began(clock: list[float], capsys: pytest.CaptureFixture[str]):
    shown = bar(1000, "training", "steps", start=400)
    clock[0] += EVERY
    shown.set_postfix_str("loss 0.5")
    shown.at(430)
    assert capsys.readouterr().err.splitlines() == [
        "training: 1,000 steps, from 400 on",
        "training: 430 of 1,000 steps (43%), 1 a second, 10 min left; loss 0.5",
    ]


def test_what_was_done_before_counts_for_no_speed(clock: list[float], capsys: pytest.CaptureFixture[str]):
    shown = bar(1000, "train latents", "pictures")
    shown.skip(500)
    for _ in range(30):
        clock[0] += 1.0
        shown.update(1)
    assert capsys.readouterr().err.splitlines()[1:] == ["train latents: 530 of 1,000 pictures (53%), 1 a second, 8 min left"]


def test_what_is_short_says_nothing(clock: list[float], capsys: pytest.CaptureFixture[str]):
    for _ in track(range(10), 10, "reading", "files", wait=3.0):
        clock[0] += 0.2
    assert capsys.readouterr().err == ""
    for _ in track(range(10), None, "listing", "files", wait=3.0):
        clock[0] += 0.5
    assert capsys.readouterr().err == "listing: 6 files so far\n"


def test_on_a_terminal_there_is_a_bar_and_no_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    shown = bar(10, "train latents", "pictures", start=2)
    assert isinstance(shown, tqdm)
    shown.at(7)
    assert shown.n == 7
    shown.close()
    said = sys.stderr.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert "7/10" in said
    assert "train latents: 10 pictures" not in said


def test_a_training_says_where_it_is_between_its_records(clock: list[float], capsys: pytest.CaptureFixture[str]):
    """Steps of 12 s and a record every thousand: the lines come all the same. The processes that are not the first say nothing."""
    for wanted in (True, False):
        gauges = Gauges(batch=10, steps=1000, device=torch.device("cpu"), flops=6e6, peak=None, bar=wanted)
        gauges.start(20)
        for _ in range(7):
            with gauges.waiting():
                pass
            clock[0] += 12.0
        gauges.close()
        lines = capsys.readouterr().err.splitlines()
        assert [line.split(" steps")[0] for line in lines] == (
            ["training: 1,000", "training: 23 of 1,000", "training: 26 of 1,000"] if wanted else []
        )
