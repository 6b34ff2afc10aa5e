"""What the README prints is what happens."""

import re
import shlex

import pytest

import trainers.cli
import trainers.recipes
from tests.faults import ROOT
from toy import gallery
from toy.commands import main
from toy.scene import Scene
from toy.trace import trace

README = (ROOT / "README.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
TRAINERS = re.findall(r"`(python -m trainers [a-z]+ [^`]*)`", README)
COMMANDS = re.findall(r"`(python -m toy [^`]*)`", README)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.splitlines()[0])
def test_every_program_of_the_readme_runs_and_prints_what_it_says(program: str, capsys: pytest.CaptureFixture[str]):
    exec(compile(program, "README.md", "exec"), {"__name__": "readme"})
    printed = capsys.readouterr().out
    shown = README.split(program)[1].split("```\n")[2].split("...")[0]

    def numbers(text: str) -> list[str]:
        return [f"{float(n):.2g}" for n in re.findall(r"\d+\.\d+(?:e[-+]\d+)?", text)]

    assert numbers(shown) == numbers(printed)[: len(numbers(shown))]
    assert len(numbers(shown)) >= 5


def test_every_picture_and_file_that_the_readme_names_is_there():
    for name in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_readme_is_one(command: str, capsys: pytest.CaptureFixture[str]):
    """Measurements are run, with few particles; of the others the options are parsed."""
    arguments = shlex.split(command)[3:]
    quick = ["--count", "64"] if arguments[0] == "measure" else ["--help"]
    assert main([*arguments, *quick]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("command", TRAINERS)
def test_every_command_of_the_trainers_is_one_and_its_recipe_exists(command: str, capsys: pytest.CaptureFixture[str]):
    arguments = shlex.split(command)[3:]
    assert trainers.cli.main([*arguments, "--help"]) == 0
    named = arguments[1]
    if arguments[0] in ("train", "plan", "cache", "prior") and named != "RECIPE":
        assert named in trainers.recipes.presets()


def test_the_command_under_each_figure_is_the_one_that_draws_it():
    """Kind, what the field sees, target and scenes of `toy.gallery.README`, which `make figures` draws."""
    shown = re.findall(r"!\[[^\]]*\]\(assets/figures/([^)]+)\)", README)
    assert sorted(shown) == sorted(gallery.README)
    for name, (kind, sees, target, queries) in gallery.README.items():
        options = [
            *(["--target", target] if target != "ring-strips" else []),
            *(["--sees", sees] if sees != "position" else []),
            *(["--scene", *queries] if queries else []),
        ]
        assert " ".join(["python", "-m", "toy", "figure", kind, *options, "--out", f"assets/figures/{name}"]) in COMMANDS


@pytest.mark.parametrize(
    ("scene", "number"), [(Scene(), "0.886"), (Scene(prior="conditional"), "0.227"), (Scene(sees="class"), "0.245")], ids=str
)
def test_the_errors_that_the_readme_states_are_the_traces(scene: Scene, number: str):
    assert f"{trace(scene).global_error.rmse:.3f}" == number
    assert number in README
