"""Two processes on this machine see the samples of one, and end where it ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.trainers.training.commands import ROOT, run
from trainers.files import read_json

STEPS = 20


def two_processes(folder: Path, *arguments: str) -> None:
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m", "trainers", "--", *arguments]
    done = subprocess.run(launch, cwd=folder, env=env, capture_output=True, text=True, timeout=570, check=False)
    assert done.returncode == 0, done.stderr


def seen(log: Path) -> list[list[int]]:
    """The data of each step."""
    return [[int(i) for i in line.split()[1:]] for line in log.read_text().splitlines()]


@pytest.mark.parametrize("method", ["loom", pytest.param("cpd-ot", marks=pytest.mark.slow), pytest.param("condot", marks=pytest.mark.slow)])
def test_two_processes_end_where_one_ends(method: str, tmp_path):
    """Equal samples in equal steps, equal assignment tables, weights within 1e-5 after 20 steps without dropout; also with accumulation."""
    settings = ("--steps", str(STEPS), "--set", "training.log_samples=true", "--set", "optimiser.eps=1e-4")
    status, _, said = run("train", f"digits-{method}", "--run", "one", *settings, cwd=tmp_path)
    assert status == 0, said
    two_processes(tmp_path, "train", f"digits-{method}", "--run", "two", *settings, "--set", "training.accumulation=2")
    one, two = (tmp_path / name / "checkpoints" / f"step-{STEPS:08d}" for name in ("one", "two"))
    alone = seen(tmp_path / "one" / "samples.log")
    first, second = seen(tmp_path / "two" / "samples.log"), seen(tmp_path / "two" / "samples-1.log")
    assert len(alone) == STEPS
    for whole, a, b in zip(alone, first, second, strict=True):
        assert len(a) == len(b) == len(whole) // 2
        assert sorted(whole) == sorted(a + b)
    for file in ("model", "ema"):
        a, b = (load_file(folder / file / "diffusion_pytorch_model.safetensors") for folder in (one, two))
        worst = max((a[name] - b[name]).abs().max().item() for name in a)
        assert worst < 1e-5
    if method == "loom":
        tables = [load_file(folder / "state.safetensors")["table"] for folder in (one, two)]
        assert tables[0].equal(tables[1])
    losses = [read_json(folder / "state.json")["held_out_loss"] for folder in (one, two)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
