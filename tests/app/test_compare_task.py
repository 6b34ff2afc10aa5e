"""A comparison in this process: what is left out where it would not fit, and the comparison that a page opens with."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import opening
from app.tasks import compare
from tests.trainers.sampling.conftest import home, run_of  # noqa: F401  # fixtures

PANEL = {"solver": "euler", "grid": "uniform", "guidance": 1.0, "weights": "ema"}


def told(run: Path, **wish: Any) -> list[tuple[str, dict[str, Any]]]:
    kept = opening.Kept()
    compare.run(compare.check({"panels": [PANEL], "n": 2, "nfe": 4} | wish) | {"folders": [str(run)]}, kept)
    return kept.events


def test_what_would_not_fit_into_memory_is_left_out_and_said(run_of, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    whole = dict(told(run_of("condot")))
    assert whole["film"]["times"]
    assert whole["exact"]["errors"]
    monkeypatch.setattr(compare, "MOST_NUMBERS", 2 * 64 * 4)  # two samples at four times: one less than four steps have
    events = told(run_of("condot"))
    found = dict(events)
    assert found["film"]["error"] == found["exact"]["error"] == compare.TOO_LARGE
    assert len([name for name, _ in events if name == "rung"]) == 1 + len(compare.LADDER)
    assert found["nearest"]["names"]
    assert events[-1][0] == "end"


def test_samples_that_are_not_finite_cost_their_rung_alone(run_of, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    real = compare.sample

    def broken(*given: Any, nfe: int, **named: Any):
        made = real(*given, nfe=nfe, **named)
        return replace(made, x=made.x * float("nan")) if nfe == 4 else made

    monkeypatch.setattr(compare, "sample", broken)
    events = told(run_of("condot"))
    rungs = {numbers["nfe"]: numbers for name, numbers in events if name == "rung"}
    assert "the samples at 4 evaluations are not finite" in rungs[4]["error"]
    assert set(rungs) == {0, *compare.LADDER}
    assert all("picture" in numbers for nfe, numbers in rungs.items() if nfe != 4)
    found = dict(events)
    assert found["film"]["nfe"] == 3  # the nearest that there is
    assert "4" not in map(str, found["exact"]["errors"])
    assert events[-1][0] == "end"


def test_the_opening_is_what_its_command_makes(run_of, tmp_path, capsys: pytest.CaptureFixture[str]):  # noqa: F811
    run_of("condot")
    runs, out = run_of("cpd").parent, tmp_path / "compare.json"
    assert opening.main(["runs/condot", "runs/cpd", "--n", "4", "--told", "3", "--runs", str(runs), "--out", str(out)]) == 0
    made = json.loads(out.read_text())
    assert [panel["model"] for panel in made["wish"]["panels"]] == ["runs/condot", "runs/cpd"]
    assert made["events"][-1][0] == "end"
    assert {name for name, _ in made["events"]} == {"loaded", "rung", "film", "nearest", "exact", "end"}
    assert opening.main(["runs/nothing", "--runs", str(runs), "--out", str(tmp_path / "no.json")]) == 2
    assert "there is no model 'runs/nothing'" in capsys.readouterr().err
    assert not (tmp_path / "no.json").exists()


def test_an_opening_that_failed_is_not_written(run_of, tmp_path, capsys: pytest.CaptureFixture[str]):  # noqa: F811
    runs, out = run_of("condot").parent, tmp_path / "compare.json"
    assert opening.main(["runs/condot", "--told", "eleven", "--runs", str(runs), "--out", str(out)]) == 2
    assert "condition='eleven' is unknown" in capsys.readouterr().err
    assert not out.exists()


def test_what_ships_as_the_opening_is_of_models_that_ship():
    made = json.loads(opening.OPENING.read_text())
    assert all(panel["model"].startswith("shipped/") for panel in made["wish"]["panels"])
    loaded = {numbers["panel"]: numbers for name, numbers in made["events"] if name == "loaded"}
    for k, panel in enumerate(made["wish"]["panels"]):
        folder = opening.checkpoint_folder(Path("runs"), panel["model"])
        state = json.loads((folder / "state.json").read_text())
        assert loaded[k]["weights_hash"] == next(
            value for name, value in state["files"].items() if name.endswith(".safetensors") and name.startswith("ema/")
        )
