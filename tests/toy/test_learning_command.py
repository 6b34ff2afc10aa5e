"""`python -m toy train`: its numbers, its progress, its file, and one line for bad input."""

import json
from pathlib import Path

import pytest
import torch

from toy.commands import main
from toy.learning.grids import GridField
from toy.learning.learner import train
from toy.learning.options import LearningOptions
from toy.learning.report import report
from toy.scene import Scene

pytestmark = pytest.mark.usefixtures("unchecked")  # shapes are checked where each function is tested; here they would take half of the time

QUICK = ("--target", "two-modes", "--iterations", "40", "--width", "16", "--train-batch", "64")


def test_train_prints_one_json_object_progress_apart_and_writes_the_grid(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    out = tmp_path / "grid.npz"
    assert main(["train", *QUICK, "--seeds", "2", "--nfe", "8", "--json", "--out", str(out)]) == 0
    said = capsys.readouterr()
    printed = json.loads(said.out)
    assert "iteration 40 of 40" in said.err
    assert [n["seed"] for n in printed["networks"]] == [0, 1]
    assert printed["scene"]["nfe"] == 8
    learned = train(Scene(target="two-modes", nfe=8), LearningOptions(iterations=40, width=16, train_batch=64, seeds=2))
    assert printed["networks"][1]["losses"] == json.loads(json.dumps(report(learned, network=1, grid=False).summary()["losses"]))
    grid, about = GridField.load(out)
    assert grid.values.shape == (1, 32, 64, 64, 2)
    assert Scene.from_query(about["scene"]) == (learned.scene, [])
    x = torch.zeros(1, 2, dtype=torch.float64)
    assert float((grid.velocity(x, 0.5) - learned.field().velocity(x, 0.5)).abs().max()) < 0.05


def test_train_for_reading_names_every_round(capsys: pytest.CaptureFixture[str]):
    assert main(["train", *QUICK, "--reflow", "1", "--reflow-pairs", "128", "--reflow-nfe", "8", "--sees", "class"]) == 0
    out = capsys.readouterr().out
    assert "seed 0, round 0: fresh pairs" in out
    assert "seed 0, round 1: 128 pairs of round 0's flow (rk4, 8 evaluations)" in out
    assert "floor" in out


def test_options_that_change_nothing_are_named(capsys: pytest.CaptureFixture[str]):
    assert main(["train", *QUICK, "--caches", "2", "--reflow-nfe", "8", "--tolerance", "0.01"]) == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert [note.split("=")[0] for note in notes] == ["note: caches", "note: reflow_nfe", "note: tolerance"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--iterations", "0"), "iterations=0"),
        (("--iterations", "many"), "many"),
        (("--method", "lom"), "did you mean 'loom'"),
        (("--method", "loom", "--prior", "conditional"), "class-loom"),
        (("--method", "loom", "--data", "100"), "data=100"),
        (("--target", "moon"), "did you mean 'moons'"),
        (("--coupling", "full-ot", "--count", "10"), "at least 400"),
        (("--method", "class-loom", "--coupling", "batch-ot"), "leave that independent"),
        (("--out", "grid.png"), ".npz"),
        (("--learning-rate", "nan"), "learning_rate"),
    ],
)
def test_bad_input_ends_in_one_line_and_status_2(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str):
    assert main(["train", *arguments]) == 2
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if line]
    assert said.out == ""
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert words in lines[0]
