"""Sixty steps on digits, killed twice at random steps and taken up again, end bit-equal to sixty steps in one go."""

import random
import signal
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.trainers.training.commands import run, run_killed
from trainers.files import read_json
from trainers.recipes import METHODS

STEPS = 60
SETTINGS = (
    f"--steps={STEPS}",
    "--checkpoint-every=7",
    *(
        part
        for setting in (
            "training.log_samples=true",
            "training.log_every=5",
            "training.preview_every=25",
            "network.dropout=0.1",
            "training.keep=2",
        )
        for part in ("--set", setting)
    ),
)


def killed_twice(recipe: str, folder: Path, extra: tuple[str, ...], seed: int) -> None:
    """Kills the training at two random steps, the second after its first checkpoint, then lets it end."""
    draw = random.Random(seed)
    for step in (draw.randrange(2, 15), draw.randrange(15, STEPS - 9)):
        assert run_killed(step, draw.uniform(0, 0.03), "train", recipe, "--run", "killed", *SETTINGS, *extra, cwd=folder) == -signal.SIGKILL
    status, _, said = run("train", recipe, "--run", "killed", *SETTINGS, *extra, cwd=folder)
    assert status == 0, said
    assert "going on from step" in said


def check_equal(folder: Path) -> None:
    straight, killed = (folder / name / "checkpoints" / f"step-{STEPS:08d}" for name in ("straight", "killed"))
    for file in (
        "model/diffusion_pytorch_model.safetensors",
        "ema/diffusion_pytorch_model.safetensors",
        "optimizer.safetensors",
        "state.safetensors",
    ):
        one, other = load_file(straight / file), load_file(killed / file)
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert value.equal(other[name]), (file, name)
    facts = [read_json(c / "state.json") for c in (straight, killed)]
    for name in ("digest", "held_out_loss", "window"):
        assert facts[0][name] == facts[1][name]
    logs = [(folder / name / "samples.log").read_text() for name in ("straight", "killed")]
    assert logs[0] == logs[1]
    assert len(logs[0].splitlines()) == STEPS


def kill_and_compare(method: str, folder: Path, seed: int) -> None:
    extra: tuple[str, ...] = ()
    if method == "reflow":
        status, _, said = run("train", "digits-condot", "--run", "teacher", "--steps", "30", cwd=folder)
        assert status == 0, said
        status, _, said = run("pairs", "teacher", "--n", "512", "--nfe", "4", "--out", "pairs", cwd=folder)
        assert status == 0, said
        extra = ("--set", "coupling.pairs=pairs")
    status, _, said = run("train", f"digits-{method}", "--run", "straight", *SETTINGS, *extra, cwd=folder)
    assert status == 0, said
    killed_twice(f"digits-{method}", folder, extra, seed)
    check_equal(folder)


def test_loom_killed_at_random_steps_ends_bit_equal(tmp_path):
    kill_and_compare("loom", tmp_path, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("method", [m for m in METHODS if m != "loom"])
def test_any_method_killed_at_random_steps_ends_bit_equal(method: str, tmp_path):
    kill_and_compare(method, tmp_path, seed=list(METHODS).index(method))
