"""What the command line says to whoever mistypes."""

import os
import subprocess
import sys

import pytest

from tests.faults import ROOT
from trainers.cli import COMMANDS, main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trane"], ("command='trane' is unknown; did you mean 'train'?", *COMMANDS, "--help")),
        ([], ("Expected one of", "--help")),
        (["plan"], ("RECIPE", "python -m trainers recipes", "--help")),
        (["plan", "digits-condot", "--bogus", "3"], ("--bogus", "--help")),
        (["data"], ("what is missing: PATH", "--help")),
        (["sample", "runs/x", "--out", "y", "--n", "three"], ("--n 'three' must be a whole number", "--help")),
        (["sample", "runs/x", "--out", "y", "--guidance", "much"], ("--guidance 'much' must be a number", "--help")),
        (["jobs", "start", "folder-condot"], ("data.path is missing",)),
        (["jobs", "start", "folder-condot", "--data", "nowhere"], ("nowhere",)),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_that_says_what_there_is(arguments: list[str], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    for word in words:
        assert word in said
    assert "----" not in said


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_complaint_is_plain_on_any_terminal(encoding: str):
    """The parser draws its box in other letters where the output takes no others."""
    code = "import sys; from trainers.cli import main; sys.exit(main(['sample', 'runs/x', '--out', 'y', '--rows', 'x']))"
    env = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: --rows 'x' must be a whole number (--help lists the options)\n")
