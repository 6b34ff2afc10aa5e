"""What a training tells of itself: losses by time, gradient norm, images a second, waiting for data, memory, use of the device, time left."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from lab.losses import TimeBins, by_time_bin
from trainers.bars import Bar, Lines, bar

BINS = 10


class Window:
    """Losses and gradient norms since the last record; part of a checkpoint, so that records do not depend on when a run was stopped."""

    def __init__(self) -> None:
        zeros = torch.zeros(BINS, dtype=torch.float64)
        self.bins = TimeBins(zeros, zeros.clone(), zeros.long())
        self.norms = self.largest = self.rate = 0.0
        self.steps = 0

    def add(self, losses: Tensor, t: Tensor) -> None:
        """Takes in the losses of a micro-batch."""
        self.bins = self.bins + by_time_bin(losses, t, BINS)

    def step(self, norm: float, rate: float) -> None:
        """Takes in a step's gradient norm, before clipping, and its learning rate."""
        self.rate = rate
        if isfinite(norm):  # else a step that fp16 skipped
            self.norms, self.largest, self.steps = self.norms + norm, max(self.largest, norm), self.steps + 1

    def reduced(self, accelerator: Any) -> "Window":
        """The losses of all processes together."""
        if accelerator.num_processes == 1:
            return self
        sums = torch.stack((self.bins.total, self.bins.total_of_squares, self.bins.count.double())).float()
        total, squares, count = accelerator.reduce(sums.to(accelerator.device), "sum").double().cpu()
        whole = Window()
        whole.bins = TimeBins(total, squares, count.long())
        whole.norms, whole.largest, whole.rate, whole.steps = self.norms, self.largest, self.rate, self.steps
        return whole

    def summary(self) -> dict[str, Any]:
        """For the metrics: mean loss, loss by time bin (None where none fell), mean and largest norm of the gradient before clipping, learning rate."""
        count = int(self.bins.count.sum())
        means = [None if not n else float(total / n) for total, n in zip(self.bins.total, self.bins.count, strict=True)]
        return {
            "loss": float(self.bins.total.sum()) / count,
            "loss_by_time": means,
            "gradient_norm": self.norms / max(1, self.steps),
            "largest_gradient_norm": self.largest,
            "learning_rate": self.rate,
        }

    def state(self) -> dict[str, Any]:
        """Plain numbers, exact in JSON."""
        bins = {name: getattr(self.bins, name).tolist() for name in ("total", "total_of_squares", "count")}
        return {"bins": bins, "norms": self.norms, "largest": self.largest, "rate": self.rate, "steps": self.steps}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Window":
        window, bins = cls(), state["bins"]
        total, squares = (torch.tensor(bins[name], dtype=torch.float64) for name in ("total", "total_of_squares"))
        window.bins = TimeBins(total, squares, torch.tensor(bins["count"], dtype=torch.int64))
        window.norms, window.largest, window.rate, window.steps = (state[name] for name in ("norms", "largest", "rate", "steps"))
        return window


class Gauges:
    """Speed and use of the machine, and the progress bar on standard error (lines, where that is no terminal).

    flops: of one image, forwards and backwards; peak: floating-point operations a second that all devices together can do at this precision, None where not known.
    """

    def __init__(
        self, *, batch: int, steps: int, device: torch.device, flops: float, peak: float | None, bar: bool, before: float = 0.0
    ) -> None:
        self.batch, self.steps, self.device, self.flops, self.peak, self._bar_wanted = batch, steps, device, flops, peak, bar
        self._before = before
        self._waited = self._paired = 0.0
        self._bar: Bar | Lines | None = None

    def start(self, step: int) -> None:
        """From this step on."""
        self._began = self._mark = time.perf_counter()
        self._first = self._last = step
        self._begun = step
        self._bar = bar(self.steps, "training", "steps", start=step) if self._bar_wanted else None

    @property
    def seconds(self) -> float:
        """Spent on this training in all, runs before this one included."""
        return self._before + time.perf_counter() - self._began

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around waiting for a batch, once in each step."""
        if self._bar is not None:
            self._bar.at(self._begun)
        self._begun += 1
        began = time.perf_counter()
        yield
        self._waited += time.perf_counter() - began

    def coupled(self, seconds: float) -> None:
        """Told what pairing a batch took (in the drawing thread, beside the step)."""
        self._paired += seconds

    def read(self, step: int) -> dict[str, Any]:
        """Since the last reading: images a second, shares of the time, memory in bytes, use of the device's peak, seconds in all and left."""
        now = time.perf_counter()
        passed, done = now - self._mark, step - self._last
        waited, paired = self._waited, self._paired
        self._mark, self._last, self._waited, self._paired = now, step, 0.0, 0.0
        rate = done * self.batch / passed if passed else 0.0
        pace = (now - self._began) / max(1, step - self._first)
        return {
            "images_per_second": rate,
            "data_wait": waited / passed if passed else 0.0,
            "coupling": paired / passed if passed else 0.0,
            "memory": memory(self.device),
            "mfu": rate * self.flops / self.peak if self.peak else None,
            "seconds": self.seconds,
            "seconds_left": pace * (self.steps - step),
        }

    def show(self, step: int, line: dict[str, Any]) -> None:
        """The record on the progress bar, or in its next line."""
        if self._bar is None:
            return
        self._bar.at(step)
        used = "" if line["mfu"] is None else f" mfu {line['mfu']:.0%}"
        self._bar.set_postfix_str(
            f"loss {line['loss']:.4f} {line['images_per_second']:.0f} img/s wait {line['data_wait']:.1%} {line['memory'] / 2**30:.1f} GiB{used}"
        )
        if step >= self.steps:
            self._bar.close()

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()


def memory(device: torch.device) -> int:
    """Bytes: the most that tensors took on a GPU, the most that the process took on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
