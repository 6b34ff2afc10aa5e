"""python -m trainers evaluate: what it prints and what it writes."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tyro

from tests.trainers.evaluation.stand_in import affine
from trainers.commands.evaluate import Evaluate, Options


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run's folder, from which the stand-in is loaded."""
    folder = tmp_path / "runs" / "digits"
    checkpoint = folder / "checkpoints" / "step-00000007"
    checkpoint.mkdir(parents=True)
    subject: Any = affine()
    object.__setattr__(subject, "checkpoint", SimpleNamespace(folder=checkpoint))
    monkeypatch.setattr("trainers.trained.load_trained", lambda path, weights, device: subject)
    return folder


def small(folder: Path, cache: Path | None = None, **changes: Any) -> Evaluate:
    measures = ("frechet", "one-nn", "prior", "solver-error")
    return Evaluate(folder, Options(nfe=(1, 2), count=40, flow_count=4, likelihood_count=2, measures=measures, cache=cache), **changes)


def test_one_json_object_is_printed_and_written_and_statistics_are_kept_beside_the_run(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
):
    small(run_folder, json=True).go()
    printed = json.loads(capsys.readouterr().out)
    path = run_folder / "evaluations" / "step-00000007-ema-pixels-val.json"
    assert json.loads(path.read_text()) == printed
    assert [row["name"] for row in printed["rows"]] == ["prior alone", "euler 1", "euler 2"]
    assert [p.name[:11] for p in (run_folder.parent / "cache" / "references").iterdir()] == ["pixels-val-"]


def test_a_checkpoints_own_folder_and_other_places_do_as_well(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    small(run_folder / "checkpoints" / "step-00000007", cache=tmp_path / "here").go()
    assert (run_folder / "evaluations" / "step-00000007-ema-pixels-val.json").is_file()
    assert (tmp_path / "here" / "references").is_dir()
    small(run_folder, out=tmp_path / "new" / "scores.json").go()
    assert json.loads((tmp_path / "new" / "scores.json").read_text())["version"] == 1
    told = capsys.readouterr()
    assert "euler 2" in told.out
    assert "scores.json" in told.err
    assert "{" not in told.out


def test_the_line_that_the_readme_gives_is_understood():
    line = "runs/x --nfe 1 2 4 8 --n 1000 --solver heun --adaptive --guidance 2 --features pixels --weights model --split val --reference a.npz"
    line += " --measures frechet one-nn --seed 3 --cache c --flow-n 8 --exact 1e-6 --likelihood-n 4 --out f.json --json"
    told = tyro.cli(Evaluate, args=line.split(), config=(tyro.conf.OmitArgPrefixes,))
    assert told == Evaluate(
        Path("runs/x"),
        Options(
            nfe=(1, 2, 4, 8),
            count=1000,
            solver="heun",
            adaptive=True,
            guidance=2.0,
            features="pixels",
            split="val",
            reference=Path("a.npz"),
            measures=("frechet", "one-nn"),
            seed=3,
            cache=Path("c"),
            flow_count=8,
            exact=1e-6,
            likelihood_count=4,
        ),
        weights="model",
        out=Path("f.json"),
        json=True,
    )


def test_it_says_before_it_begins_how_long_it_takes(run_folder: Path, capsys: pytest.CaptureFixture[str]):
    small(run_folder).go()
    said = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("about "))
    assert "40 samples of 3 rows" in said
    assert "exact ends and flow (a guess)" in said
    assert "likelihood" not in said
