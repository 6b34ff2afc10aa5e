"""The page answers in a frame. Bars are the issue's; a test fails at twice the bar, for noisy machines; figures are printed."""

import pytest

from tests.browser.latency import CHECKED, DRAG, PLAYBACK, best, drag, settle_times, summary

# (slider, evaluations, device pixel ratio): median and 95th percentile in ms for two stages
BARS = {
    ("nfe", 50, 1): (40, 68),
    ("scale", 50, 1): (40, 68),
    ("time", 50, 1): (40, 68),
    ("nfe", 4, 1): (20, 34),
    ("scale", 4, 1): (20, 34),
    ("time", 4, 1): (20, 34),
    ("nfe", 50, 2): (60, None),
    ("scale", 50, 2): (60, None),
}


@pytest.mark.parametrize(("name", "nfe", "ratio"), BARS, ids=lambda value: str(value))
def test_particles_are_painted_a_frame_after_the_sliders_event(opened, name, nfe, ratio):
    page = opened(device_scale_factor=ratio)
    page.settle()
    bar, late_bar = BARS[(name, nfe, ratio)]

    def within(latencies: list[float], times: float) -> bool:
        median, late = summary(latencies)
        return median <= times * bar and (late_bar is None or late <= times * late_bar)

    found = best(lambda: drag(page.page, name, nfe), lambda latencies: within(latencies, 1.5))
    median, late = summary(found)
    print(f"{name} at {nfe} evaluations, ratio {ratio}: median {median:.0f} ms (bar {bar}), 95 % {late:.0f} ms (bar {late_bar})")
    assert within(found, 2)


def test_a_drag_sends_no_request(opened):
    page = opened()
    page.settle()
    page.page.wait_for_function(CHECKED, timeout=90_000)
    for name in ("nfe", "scale", "time"):
        before = len(page.requests)
        page.page.evaluate(DRAG, {"name": name, "values": [1, 2, 3, 2] if name == "nfe" else [0.5, 0.6, 0.7, 0.6], "gap": 30})
        assert page.requests[before:] == []
        page.settle()
        page.page.wait_for_function(CHECKED, timeout=90_000)


def test_numbers_follow_within_a_tenth_of_a_second_and_all_particles_soon_after(opened):
    page = opened()
    page.settle()
    medians = best(
        lambda: [summary(list(times))[0] for times in zip(*settle_times(page.page), strict=True)],
        lambda found: found[0] <= 150 and found[1] <= 570,
    )
    first, every = medians
    print(f"numbers of 200 particles {first:.0f} ms after the slider's event (bar 100), of all {every:.0f} ms (bar 300 after rest)")
    assert first <= 200
    assert every <= 2 * 380  # the page calls it rest 80 ms after the last event


def test_playback_keeps_its_pace(opened):
    page = opened()
    page.settle()
    frames = best(lambda: [page.page.evaluate(PLAYBACK)], lambda found: found[0] >= 45)[0]
    print(f"playback of 2 x 2,000 particles: {frames:.0f} frames a second (bar 50)")
    assert frames >= 25
