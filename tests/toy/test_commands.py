"""The command line: its numbers, its figures, and one line with status 2 for bad input."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from tests.bench.command_line import BAR, seconds
from toy.commands import main
from toy.progress import Heartbeat
from toy.scene import Scene
from toy.targets import by_name
from toy.trace import trace

pytestmark = pytest.mark.usefixtures("unchecked")  # shapes are checked where each function is tested; here they would take half of the time


def run(capsys: pytest.CaptureFixture, *arguments: str) -> tuple[int, str, str]:
    status = main(arguments)
    said = capsys.readouterr()
    return status, said.out, said.err


def notes(err: str) -> list[str]:
    """The lines that are notes: on a busy machine signs of life stand between them."""
    return [line for line in err.splitlines() if line.startswith("note: ")]


def test_measure_prints_the_traces_numbers_as_one_json_object(capsys):
    status, out, _ = run(capsys, "measure", "--prior", "conditional", "--nfe", "8", "--count", "200", "--json")
    printed = json.loads(out)
    assert status == 0
    assert printed == json.loads(json.dumps(trace(Scene(prior="conditional", nfe=8, count=200)).summary()))
    wanted = {
        "scene",
        "nfe",
        "global_error",
        "local_error",
        "straightness",
        "acceleration",
        "path_efficiency",
        "transport_cost",
        "w2",
        "wrong_class",
    }
    assert wanted <= printed.keys()
    assert printed["global_error"].keys() == {"rmse", "median", "max", "reference_error"}
    assert printed["nfe"] == 8


def test_measure_for_reading_has_the_ladder_and_the_order(capsys):
    status, out, _ = run(capsys, "measure", "--sees", "class", "--prior", "conditional", "--count", "200", "--ladder")
    assert status == 0
    assert "global truncation error" in out
    assert "fitted order" in out


def test_a_target_from_json_or_csv(capsys, tmp_path: Path):
    (tmp_path / "m.json").write_text(by_name("two-modes").to_json())
    status, out, _ = run(capsys, "measure", "--mixture", str(tmp_path / "m.json"), "--count", "100", "--json")
    assert status == 0
    same = trace(Scene(target="two-modes", count=100))
    assert json.loads(out)["global_error"]["rmse"] == same.global_error.rmse
    rows = by_name("moons").from_normals(*_normals(300))
    (tmp_path / "p.csv").write_text("x,y\n" + "\n".join(f"{x},{y}" for x, y in rows.tolist()))
    status, out, err = run(capsys, "measure", "--points", str(tmp_path / "p.csv"), "--count", "100", "--json")
    assert status == 0
    assert "held-out log-likelihood" in err
    assert json.loads(out)["scene"]["target"] == "custom"


def _normals(n: int):
    import torch

    from lab import random
    from lab.mixtures import schedule

    return random.normals(0, torch.arange(n), 2), schedule(by_name("moons").weights, n)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("measure", "--target", "moon"), "did you mean 'moons'"),
        (("measure", "--nfe", "0"), "nfe=0"),
        (("measure", "--solver", "heun", "--nfe", "7"), "nearest: 6 or 8"),
        (("measure", "--nfe", "abc"), "abc"),
        (("measure", "--nfee", "3"), "nfee"),
        (("measure", "--scale", "nan"), "scale"),
        (("measure", "--target", "custom"), "--mixture"),
        (("measure", "--mixture", "{bad}"), "cannot be read"),
        (("measure", "--mixture", "{weights}"), "sum to"),
        (("measure", "--mixture", "{negative}"), "negative"),
        (("measure", "--mixture", "{indefinite}"), "positive definite"),
        (("measure", "--mixture", "{nan}"), "finite"),
        (("measure", "--mixture", "{text}"), "JSON"),
        (("measure", "--points", "{empty}"), "is empty"),
        (("measure", "--points", "{words}"), "no columns x and y"),
        (("measure", "--points", "{bad}"), "cannot be read"),
        (("measure", "--points", "{long}"), "100,000"),
        (("figure", "trajectory"), "did you mean 'trajectories'"),
        (("figure", "error", "--out", "{bad}"), ".png, .svg, .pdf"),
        (("figure", "error", "--scene", "nfe=0"), "nfe"),
        (("figure", "error", "--out", "{folder.png}"), "is a folder"),
        (("figure", "error", "--all"), "leave out the kind"),
        (("figure", "error", "--sees", "both", "--scene", "nfe=4"), "write sees=both into each --scene"),
        (("figure", "error", "--target", "moons", "--scene", "nfe=4"), "write target=moons into each --scene"),
        (("figure", "prior-sweep", "--scene", "nfe=4", "nfe=8"), "give it one --scene"),
        (("figure", "prior-sweep", "--sees", "both"), "--sees position or --sees class"),
        (("figure", "prior-sweep", "--scene", "prior=ring&scale=3"), "prior-sweep chooses prior itself"),
        (("figure", "local-error", "--scene", "solver=dopri5"), "needs a fixed-step solver"),
        (("figure", "error", "--scene", "solver=dopri5"), "needs a fixed-step solver"),
        (("measure", "--ladder", "--solver", "dopri5"), "needs a fixed-step solver"),
        (("measure", "--mixture", "{many}"), "has 65 components; at most 64"),
        (("train", "--mixture", "{many}", "--iterations", "10"), "has 65 components; at most 64"),
        (("measure", "--mixture", "{far}", "--target", "moons"), "are two targets"),
        (("measure", "--target", "letters", "--letters", "漢"), "no outline"),
        (("figure", "error", "--scene", "prior=foo"), "prior='foo' is unknown"),
        (("measure", "--mixture", "{text}"), "text: a mixture must be"),
        (("measure", "--points", "{quote}"), "line 12"),
        (("measure", "--points", "{far}"), "line 11"),
        (("measure", "--points", "{wide}"), "is no CSV file"),
        (("measure", "--target", "letters", "--letters", "\u200b"), "no outline"),
        (("nonsense",), "nonsense"),
    ],
)
def test_bad_input_ends_in_one_line_and_status_2(capsys, tmp_path: Path, arguments, words):
    flat = "[[1, 0], [0, 1]]"
    files = {
        "weights": f'{{"weights": [0.5], "means": [[0, 0]], "covariances": [{flat}]}}',
        "negative": f'{{"weights": [1.5, -0.5], "means": [[0, 0], [1, 1]], "covariances": [{flat}, {flat}]}}',
        "indefinite": '{"weights": [1], "means": [[0, 0]], "covariances": [[[1, 2], [2, 1]]]}',
        "nan": f'{{"weights": [1], "means": [[NaN, 0]], "covariances": [{flat}]}}',
        "text": "not json",
        "empty": "",
        "words": "hello\nworld\n",
        "long": "x,y\n" + "1,2\n" * 100_001,
    }
    (tmp_path / "folder.png").mkdir()
    files["many"] = json.dumps({"weights": [1 / 65] * 65, "means": [[k, 0] for k in range(65)], "covariances": [[[1, 0], [0, 1]]] * 65})
    files["quote"] = "x,y\n" + "".join(f"{i},{i}\n" for i in range(10)) + '"3,4\n'
    files["far"] = "x,y\n\n" + "".join(f"{i},{i}\n" for i in range(8)) + "1e9,0\n"
    files["wide"] = "x,y\n" + "1" * 200_000 + ",2\n"
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    filled = [a.replace("{", f"{tmp_path}/").replace("}", "") if a.startswith("{") else a for a in arguments]
    status, out, err = run(capsys, *filled)
    assert status == 2
    assert out == ""
    lines = [line for line in err.splitlines() if line]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert words in lines[0]


@pytest.mark.parametrize(
    ("kind", "ending"),
    [("trajectories", e) for e in ("png", "svg", "pdf")]
    + [(k, "svg") for k in ("coupling-lines", "error", "straightness", "local-error", "shares")],
)
def test_figures_are_written_whole_and_the_same_again(capsys, tmp_path: Path, kind, ending):
    first, second = (tmp_path / f"{i}.{ending}" for i in (1, 2))
    for out in (first, second):
        status, _, _ = run(capsys, "figure", kind, "--scene", "count=100", "prior=conditional&count=100", "--out", str(out))
        assert status == 0
    assert first.read_bytes() == second.read_bytes()
    assert {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending] == first.read_bytes()[: 5 if ending == "svg" else 4]
    assert sorted(p.name for p in tmp_path.iterdir()) == [first.name, second.name]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("figure", "error", "--out", "{}.png"), "cannot be written"),
        (("figure", "--all", "--out", "{}"), "cannot be made"),
        (("train", "--out", "{}.npz"), "cannot be written"),
    ],
)
def test_a_place_that_cannot_be_written_into_is_refused_before_the_work(capsys, tmp_path: Path, arguments, words):
    """A folder's name of 300 letters is too long, and the name beside a file's of 250 that it is written under first; nothing else is said, so nothing was begun."""
    status, out, err = run(capsys, *(a.format(tmp_path / ("f" * (300 if "--all" in arguments else 250))) for a in arguments))
    assert (status, out) == (2, "")
    assert [line[:7] for line in err.splitlines()] == ["error: "]
    assert words in err


def test_settings_that_change_nothing_are_named(capsys, tmp_path: Path):
    status, _, err = run(capsys, "measure", "--sigma-min", "0.1", "--path", "vp", "--count", "20", "--degree", "3")
    assert status == 0
    assert [line.split("=")[0] for line in notes(err)] == ["note: sigma_min", "note: degree"]
    scene = "prior=gaussian&prior-mean=0.5&count=20"
    status, _, err = run(capsys, "figure", "straightness", "--scene", scene, "--out", str(tmp_path / "f.svg"))
    assert status == 0
    assert [line.split(" ")[1] for line in notes(err)] == ["prior_mean=0.5"]


def test_an_error_figure_says_that_it_runs_over_nfe(capsys, tmp_path: Path):
    status, _, err = run(capsys, "figure", "error", "--scene", "count=20", "count=20&nfe=8", "--out", str(tmp_path / "f.svg"))
    assert status == 0
    assert "note: nfe changes nothing" in err


def test_a_column_that_is_not_used_is_named(capsys, tmp_path: Path):
    (tmp_path / "p.csv").write_text("x,y,label\n" + "".join(f"{i % 7},{i % 5},a\n" for i in range(40)))
    status, _, err = run(capsys, "measure", "--points", str(tmp_path / "p.csv"), "--count", "20")
    assert status == 0
    assert "'label' not used; a column of classes is called class" in err


def test_long_work_says_what_it_does_and_for_how_long():
    said: list[str] = []
    with Heartbeat(said.append, "beginning", every=0.05) as stage:
        time.sleep(0.08)
        stage("ending")
        time.sleep(0.1)
    assert said[0].startswith("beginning: 0 s")
    assert said[-1].startswith("ending: ")
    count = len(said)
    time.sleep(0.1)
    assert len(said) == count
    stages: list[str] = []
    trace(Scene(count=20), stages.append)
    assert stages[:3] == ["building the scene", "solving with euler", "following the exact flow in 64 steps"]


def test_help_is_help():
    done = subprocess.run([sys.executable, "-m", "toy", "measure", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "--prior-covariance" in done.stdout


def test_measure_answers_in_time():
    """The bar is 4 s; this fails at twice that, in the best of four calls, for machines are noisy."""
    assert any(seconds("measure") < 2 * BAR for _ in range(4))


def test_ctrl_c_in_the_middle_of_writing_a_figure_ends_in_one_line_and_leaves_nothing(
    capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(self: Figure, file: Path, **kwargs: object) -> None:
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", interrupted)
    status, out, err = run(capsys, "figure", "trajectories", "--scene", "count=20", "--out", str(tmp_path / "f.png"))
    assert (status, out) == (130, "")
    assert err.splitlines()[-1].startswith("stopped")
    assert list(tmp_path.iterdir()) == []
