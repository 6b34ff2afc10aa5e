"""The queue: so many at once, in the order of asking, without a master."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from trainers.jobs.queue import AT_ONCE, limit, place, queue_folder, set_limit, turn

WAITS = """
import sys, time
from pathlib import Path
from trainers.jobs.queue import turn
with turn(Path(sys.argv[1]), lambda: False) as slot:
    print("in", flush=True)
    sys.stdin.readline()
"""


def waiting(runs: Path) -> "subprocess.Popen[str]":
    """A process that prints when it has its turn and keeps it until its input ends."""
    return subprocess.Popen([sys.executable, "-c", WAITS, str(runs)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def until(done, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.02)
    return False


def in_turn(process: "subprocess.Popen[str]") -> bool:
    assert process.stdout is not None
    return process.stdout.readline() == "in\n"


def test_turns_come_in_the_order_of_asking_and_a_killed_one_is_passed_over(tmp_path: Path):
    first = waiting(tmp_path)
    assert in_turn(first)
    others = []
    for _ in range(3):
        others.append(waiting(tmp_path))
        assert until(lambda: place(tmp_path, others[-1].pid) == len(others) - 1)
    assert place(tmp_path, first.pid) is None  # it waits no longer
    others[0].kill()
    others[0].wait()
    assert until(lambda: place(tmp_path, others[1].pid) == 0)
    first.kill()  # a slot is let go of however its holder ends
    assert in_turn(others[1])
    assert place(tmp_path, others[2].pid) == 0
    others[1].communicate("\n", timeout=60)
    assert in_turn(others[2])
    others[2].communicate("\n", timeout=60)
    first.wait()
    assert [path.name for path in queue_folder(tmp_path).iterdir()] == ["slot-0.lock"]


def test_as_many_as_the_limit_have_their_turn_at_once(tmp_path: Path):
    assert limit(tmp_path) == AT_ONCE == 1
    set_limit(tmp_path, 2)
    assert limit(tmp_path) == 2
    running = [waiting(tmp_path) for _ in range(2)]
    assert all(map(in_turn, running))
    third = waiting(tmp_path)
    assert until(lambda: place(tmp_path, third.pid) == 0)
    set_limit(tmp_path, 3)  # serves at once
    assert in_turn(third)
    for process in (*running, third):
        process.communicate("\n", timeout=60)


def test_who_gives_up_leaves_no_ticket(tmp_path: Path):
    with turn(tmp_path, lambda: False) as slot:
        assert slot is not None
        gave_up = threading.Event()

        def wait() -> None:
            with turn(tmp_path, gave_up.is_set) as other:
                assert other is None

        thread = threading.Thread(target=wait)
        thread.start()
        assert until(lambda: place(tmp_path, os.getpid()) == 0)
        gave_up.set()
        thread.join(30)
        assert not thread.is_alive()
        assert place(tmp_path, os.getpid()) is None
        assert not list(queue_folder(tmp_path).glob("*.ticket"))


@pytest.mark.parametrize("number", [0, -1, 65])
def test_limits_out_of_range_are_refused(number: int, tmp_path: Path):
    with pytest.raises(ValueError, match=r"must lie in 1 to 64"):
        set_limit(tmp_path, number)


@pytest.mark.parametrize("text", ["", "many", "0", "1e9"])
def test_nonsense_in_the_limits_file_is_named(text: str, tmp_path: Path):
    set_limit(tmp_path, 2)
    (queue_folder(tmp_path) / "limit").write_text(text)
    with pytest.raises(ValueError, match="limit must hold a whole number"):
        limit(tmp_path)
