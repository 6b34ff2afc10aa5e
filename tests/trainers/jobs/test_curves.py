"""Records drawn with few points lose no spike."""

import json
import time
from pathlib import Path

from tests.trainers.jobs.folders import folder
from trainers.jobs import curves
from trainers.layout import METRICS


def recorded(tmp_path: Path, lines: list[dict]) -> Path:
    made = folder(tmp_path, "a")
    (made / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return made


def test_few_records_are_given_as_they_are(tmp_path: Path):
    made = recorded(tmp_path, [{"step": k, "loss": k / 2, "loss_by_time": [k, None, 2 * k]} for k in (10, 20, 30)])
    found = curves(made)
    loss = found.curves["loss"]
    assert (loss.step, loss.mean, loss.least, loss.most) == ([10, 20, 30], [5, 10, 15], [5, 10, 15], [5, 10, 15])
    assert [bin.step for bin in found.loss_by_time] == [[10, 20, 30], [], [10, 20, 30]]
    assert found.loss_by_time[2].mean == [20, 40, 60]
    assert "gradient_norm" not in found.curves


def test_a_held_out_loss_has_steps_of_its_own(tmp_path: Path):
    found = curves(recorded(tmp_path, [{"step": 20, "loss": 2.0}, {"step": 25, "held_out_loss": 1.5}, {"step": 40, "loss": 1.0}])).curves
    assert (found["loss"].step, found["held_out_loss"].step, found["held_out_loss"].mean) == ([20, 40], [25], [1.5])


def test_many_records_keep_their_mean_and_every_spike(tmp_path: Path):
    values = [1.0] * 10_000
    values[1234], values[8765] = 50.0, -3.0
    made = recorded(tmp_path, [{"step": k + 1, "loss": value} for k, value in enumerate(values)])
    loss = curves(made, points=400).curves["loss"]
    assert len(loss.step) == 400
    assert loss.step[-1] == 10_000
    assert (max(loss.most), min(loss.least)) == (50.0, -3.0)
    assert loss.step[loss.most.index(50.0)] == 1250  # buckets of 25
    assert abs(sum(loss.mean) / 400 - sum(values) / 10_000) < 1e-12


def test_damaged_lines_are_counted_and_the_last_may_be_on_its_way(tmp_path: Path):
    made = recorded(tmp_path, [{"step": 1, "loss": 1.0}])
    with (made / METRICS).open("a") as file:
        file.write('{"step": 2, "loss"\nnothing\n[]\n{"loss": 3}\n{"step": 3, "loss": 3.0}\n{"step": 4, "lo')
    found = curves(made)
    assert (found.records, found.damaged) == (2, 4)
    assert found.curves["loss"].step == [1, 3]


def test_a_run_without_records_has_no_curves(tmp_path: Path):
    found = curves(folder(tmp_path, "a"))
    assert (found.curves, found.loss_by_time, found.records) == ({}, [], 0)


def test_ten_thousand_lines_are_read_in_under_300_ms(tmp_path: Path):
    line = {
        "loss": 1.0,
        "loss_by_time": [1.0] * 10,
        "gradient_norm": 2.0,
        "learning_rate": 1e-4,
        "images_per_second": 900.0,
        "digest": "0" * 16,
    }
    made = recorded(tmp_path, [{"step": k + 1} | line for k in range(10_000)])
    taken = []
    for _ in range(3):
        began = time.process_time()
        curves(made)
        taken.append(time.process_time() - began)
    assert min(taken) < 0.6  # twice the bar, of the processor: others may be at work
