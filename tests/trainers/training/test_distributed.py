"""Two processes on this machine see the samples of one, and end where it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from safetensors.torch import load_file

from tests.trainers.training.commands import ROOT, run, wait_for_step
from trainers.checkpoints import all_checkpoints
from trainers.files import read_json
from trainers.order import Order
from trainers.recipes import by_name

STEPS = 20


def launched(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m", "trainers", "--", *arguments]
    return subprocess.Popen(launch, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def two_processes(folder: Path, *arguments: str) -> None:
    process = launched(folder, *arguments)
    said = process.communicate(timeout=570)[1]
    assert process.returncode == 0, said


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


def test_two_processes_that_are_told_to_stop_one_after_the_other_end_together_and_go_on(tmp_path):
    """The signal reaches one of them first; neither may wait for the other for ever, and metrics after the resume are those of an uninterrupted run."""
    settings = ("--set", "training.log_samples=true", "--set", "training.log_every=5", "--set", "optimiser.eps=1e-4")
    process = launched(
        tmp_path, "train", "digits-loom", "--run", "stopped", *settings, "--steps", "100000"
    )  # no machine ends before it hears
    wait_for_step(tmp_path / "stopped", 7, process)
    workers = sorted(psutil.Process(process.pid).children(), key=lambda p: p.pid)
    assert len(workers) == 2
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
        time.sleep(0.02)
    said = process.communicate(timeout=120)[1]
    stopped = all_checkpoints(tmp_path / "stopped" / "checkpoints")[-1]
    assert stopped.step >= 7, said
    for name in ("stopped", "straight"):
        two_processes(tmp_path, "train", "digits-loom", "--run", name, *settings, "--steps", str(stopped.step + 10))
    ends = [all_checkpoints(tmp_path / name / "checkpoints")[-1] for name in ("straight", "stopped")]
    assert ends[0].tensors("state.safetensors")["table"].equal(ends[1].tensors("state.safetensors")["table"])
    lines = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines() if '"loss"' in line]
        for name in ("straight", "stopped")
    ]
    for one, other in zip(*lines, strict=True):
        assert one["step"] == other["step"]
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert one["loss_by_time"] == pytest.approx(other["loss_by_time"], rel=1e-5)


BAD = """
import os, sys
from trainers import cli
from trainers.methods import Method
real = Method.losses
def losses(self, network, x_0, x_1, t, told):
    found = real(self, network, x_0, x_1, t, told)
    return CHANGED
Method.losses = losses
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("changed", "what", "from_all"),
    [
        ("found * (float('nan') if os.environ['RANK'] == '1' else 1)", "loss", False),
        ("found + (0 * found).sqrt()", "gradient", True),  # finite, with a slope that is not
    ],
)
def test_a_divergence_in_one_of_two_processes_is_one_line_with_its_samples(changed: str, what: str, from_all: bool, tmp_path):
    (tmp_path / "bad.py").write_text(BAD.replace("CHANGED", changed))
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", str(tmp_path / "bad.py")]
    given = ["--", "train", "digits-condot", "--run", "bad", "--set", "training.log_samples=true"]
    process = subprocess.Popen([*launch, *given], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        said = process.communicate(timeout=150)[1]
    except subprocess.TimeoutExpired:
        for left in [*psutil.Process(process.pid).children(recursive=True), process]:  # workers lead sessions of their own
            left.kill()
        raise
    assert process.returncode != 0
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert f"the {what} of step 1 is not finite, with samples" in line
    recipe = by_name("digits-condot")
    index = Order(1621, recipe.training.batch, recipe.training.seed).index(0)
    named = [int(part.split()[0]) for part in line.partition("samples ")[2].split(", ")[:3]]
    half = len(index) // 2
    assert named == (index if from_all else index[half:])[:3].tolist()
    assert not list((tmp_path / "bad" / "checkpoints").glob("step-*"))
