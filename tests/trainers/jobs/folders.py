"""Runs' folders as a training leaves them, without a training."""

import json
from pathlib import Path
from typing import Any

from trainers.layout import CHECKPOINTS, JOB, LOG, METRICS, RECIPE


def folder(
    runs: Path, name: str, *, steps: int = 100, step: int = 0, saved: int = 0, job: dict[str, Any] | None = None, said: str = ""
) -> Path:
    """A run with records up to `step` and a checkpoint at `saved`."""
    made = runs / name
    (made / CHECKPOINTS).mkdir(parents=True)
    (made / RECIPE).write_text(f'name = "digits-condot"\nabout = "digits"\n[training]\nsteps = {steps}\nbatch = 64\n')
    if saved:
        (made / CHECKPOINTS / f"step-{saved:08d}").mkdir()
    if step:
        lines = [{"step": k, "loss": 1 / k, "images_per_second": 640.0, "seconds_left": (steps - k) / 10.0} for k in range(1, step + 1)]
        (made / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    if job is not None:
        (made / JOB).write_text(json.dumps({"asked": 1.0, "pid": None, "status": None, "began": None, "ended": None} | job))
    if said:
        (made / LOG).write_text(said)
    return made
