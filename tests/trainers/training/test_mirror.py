"""The optional mirror of a training's records, in trackio's own database."""

import json
import sqlite3

import pytest

from tests.trainers.training.commands import run
from trainers import mirror
from trainers.recipes import apply, by_name

SHORT = ("--steps", "8", "--set", "training.log_every=2", "--set", "training.preview_every=100")


def test_trackio_gets_the_records_that_the_metrics_have(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    status, out, said = run("train", "digits-condot", "--run", "mirrored", *SHORT, "--set", "training.mirror=trackio", cwd=tmp_path)
    assert status == 0, said
    assert out == ""
    lines = [json.loads(line) for line in (tmp_path / "mirrored" / "metrics.jsonl").read_text().splitlines()]
    (database,) = (tmp_path / "trackio").glob("*.db")
    with sqlite3.connect(database) as connection:
        rows = connection.execute("select step, metrics from metrics where run_name = 'mirrored' order by step").fetchall()
    assert [step for step, _ in rows] == [line["step"] for line in lines] == [2, 4, 6, 8, 8]  # at the last, the held-out loss too
    for (_, metrics), line in zip(rows, lines, strict=True):
        (kind,) = {"loss", "held_out_loss"} & line.keys()
        assert json.loads(metrics)[kind] == pytest.approx(line[kind])
    assert "held_out_loss" in lines[-1]


def test_a_mirror_whose_package_is_missing_is_refused(monkeypatch, tmp_path):
    import builtins

    real = builtins.__import__

    def without(name, *given, **named):
        if name == "trackio":
            raise ImportError(name)
        return real(name, *given, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match="pip install --no-deps trackio"):
        mirror.mirror_of(apply(by_name("digits-condot"), {"training.mirror": "trackio"}), tmp_path)
