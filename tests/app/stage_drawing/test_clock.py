"""The clock: 4 s linear, 1.5 s held, a fade, three loops, then rest at t = 1."""

import pytest

from tests.app.stage_drawing.engine import value

PERIOD = 4000 + 1500 + 400


@pytest.mark.parametrize(
    ("elapsed", "time", "fade", "resting"),
    [
        (0, 0, 1, False),
        (1000, 0.25, 1, False),
        (4000, 1, 1, False),
        (5400, 1, 1, False),
        (5700, 1, 0.5, False),
        (PERIOD + 2000, 0.5, 1, False),
        (2 * PERIOD + 3999, 0.99975, 1, False),
        (2 * PERIOD + 4000, 1, 1, True),
        (99 * PERIOD, 1, 1, True),
    ],
)
def test_what_the_clock_shows(elapsed, time, fade, resting):
    assert value(f"L.clockAt({elapsed})") == {"time": pytest.approx(time), "fade": pytest.approx(fade), "resting": resting}


# A browser's frames by hand: 20 ms each, as long as any is asked for.
FRAMES = """
const said = [], waiting = []; let at = 0, handles = 0;
const clock = L.makeClock((tick) => said.push(tick), { now: () => at, request: (call) => { waiting.push([++handles, call]); return handles; },
  cancel: (handle) => waiting.splice(waiting.findIndex(([own]) => own === handle), 1) });
const run = (ms) => { for (let i = 0; i < ms / 20; i++) { at += 20; for (const [, call] of waiting.splice(0)) call(); } };
"""


def played(script: str):
    return value(f"(() => {{ {FRAMES} {script} }})()")


def test_three_loops_and_then_nothing_is_asked_of_the_browser():
    told = played(
        f"clock.play(); run({3 * PERIOD}); return {{ last: said.at(-1), waiting: waiting.length, starts: said.filter((s, i) => i && s.time < said[i - 1].time).length }};"
    )
    assert told == {"last": {"time": 1, "fade": 1, "playing": False, "moving": False}, "waiting": 0, "starts": 2}


def test_pausing_keeps_the_time_and_playing_goes_on_from_it():
    paused, later = played(
        "clock.play(); run(1000); clock.pause(); const t = clock.time; run(1000); clock.play(); run(1000); return [t, clock.time];"
    )
    assert paused == pytest.approx(0.25, abs=0.01)
    assert later == pytest.approx(0.5, abs=0.02)


def test_scrubbing_stops_the_clock_and_is_clamped():
    assert played(
        "clock.play(); run(100); clock.seek(0.3); run(500); const t = clock.time; clock.seek(7); return [t, clock.time, clock.playing, waiting.length];"
    ) == [0.3, 1, False, 0]


def test_nothing_runs_while_nobody_can_see_it():
    before, hidden, frames, after = played(
        "clock.play(); run(1000); const a = clock.time; clock.suspend(true); const f = waiting.length; run(3000); const b = clock.time;"
        " clock.suspend(false); run(1000); return [a, b, f, clock.time];"
    )
    assert hidden == before
    assert frames == 0
    assert after == pytest.approx(before + 0.25, abs=0.02)


def test_one_frame_at_a_time():
    """Pressing Play, hiding and showing again must not start a second loop."""
    assert (
        played(
            "clock.play(); clock.play(); clock.suspend(true); clock.suspend(false); clock.suspend(false); run(100); return waiting.length;"
        )
        == 1
    )


def test_speed():
    assert played("clock.setSpeed(2); clock.play(); run(1000); return clock.time;") == pytest.approx(0.5, abs=0.02)
    with pytest.raises(Exception, match="speed=0 must be above 0"):
        played("clock.setSpeed(0); return 0;")


def test_a_late_frame_does_not_make_particles_jump():
    assert played("clock.play(); run(40); at += 3000; run(20); return clock.time;") < 0.05
