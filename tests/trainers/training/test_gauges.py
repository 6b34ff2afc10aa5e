"""What a training tells of itself: windows of losses, exact in a checkpoint, and use of the device by its definition."""

import json
from types import SimpleNamespace

import psutil
import pytest
import torch

from trainers.gauges import Gauges, Window, memory


def test_a_window_is_the_mean_by_time_and_survives_a_checkpoint_exactly():
    g = torch.Generator().manual_seed(0)
    losses, t = torch.rand(400, generator=g), torch.rand(400, generator=g)
    whole, first = Window(), Window()
    for part, window in ((slice(0, 150), first), (slice(150, 400), None)):
        if window is None:
            window = Window.from_state(json.loads(json.dumps(first.state())))
        window.add(losses[part], t[part])
        window.step(2.0 if part.start == 0 else 6.0, 0.1)
        first = window
    whole.add(losses, t)
    summary = first.summary()
    assert summary["loss"] == pytest.approx(losses.double().mean().item(), rel=1e-12)
    for k, mean in enumerate(summary["loss_by_time"]):
        inside = (t >= k / 10) & (t < (k + 1) / 10)
        assert mean == pytest.approx(losses[inside].double().mean().item(), rel=1e-12)
    assert (summary["gradient_norm"], summary["largest_gradient_norm"], summary["learning_rate"]) == (4.0, 6.0, 0.1)


def test_a_bin_without_losses_is_none():
    window = Window()
    window.add(torch.tensor([1.0]), torch.tensor([0.55]))
    assert window.summary()["loss_by_time"] == [None] * 5 + [1.0] + [None] * 4


def test_speed_wait_and_use_are_shares_of_the_time_that_passed(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("trainers.gauges.time", SimpleNamespace(perf_counter=lambda: now[0]))
    gauges = Gauges(batch=10, steps=100, device=torch.device("cpu"), flops=6e6, peak=1e9, bar=False, before=50.0)
    gauges.start(20)
    with gauges.waiting():
        now[0] += 0.5
    gauges.coupled(0.25)
    now[0] += 1.5
    line = gauges.read(24)
    assert line["images_per_second"] == pytest.approx(20)
    assert (line["data_wait"], line["coupling"]) == (pytest.approx(0.25), pytest.approx(0.125))
    assert line["mfu"] == pytest.approx(20 * 6e6 / 1e9)
    assert (line["seconds"], line["seconds_left"]) == (pytest.approx(52), pytest.approx(2 / 4 * 76))
    now[0] += 1.0
    line = gauges.read(34)
    assert (line["images_per_second"], line["data_wait"], line["seconds_left"]) == (pytest.approx(100), 0, pytest.approx(3 / 14 * 66))
    gauges.close()


def test_memory_is_the_most_that_the_process_has_taken():
    held = torch.ones(8 * 2**20)
    assert memory(torch.device("cpu")) >= 0.95 * psutil.Process().memory_info().rss
    assert memory(torch.device("cpu")) >= held.numel() * 4
