"""What ships: the commands that make a checkpoint, in order and no more than are still to be done; fair comparisons; what lies in assets/checkpoints/ is what the recipes say."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainers.sampling.conftest import SMALL
from trainers.catalogue import SHIPPED, evaluation, read_model
from trainers.checkpoints import newest
from trainers.layout import EVALUATIONS
from trainers.recipes import apply, by_name, shipped
from trainers.recipes.files import read_recipe
from trainers.scorecards import run_of
from trainers.shipping import commands, ship

LIMIT = 64e6  # bytes that a clone may hold of them
THERE = sorted(folder.name for folder in SHIPPED.iterdir() if folder.is_dir()) if SHIPPED.is_dir() else []


def test_a_checkpoint_is_trained_scored_and_exported(tmp_path):
    found = commands("digits-cpd", 3, tmp_path, tmp_path / "out")
    run = str(run_of(tmp_path, "digits-cpd", 3))
    assert [command[0] for command in found] == ["train", "evaluate", "export"]
    assert found[0][:6] == ["train", "digits-cpd", "--run", run, "--seed", "3"]
    assert found[0][6:] == ["--set", "network.channels=208", "--set", "optimiser.learning_rate=2e-3"]
    assert found[1][:2] == ["evaluate", run]
    assert "--adaptive" in found[1]
    assert found[2] == ["export", run, "--out", str(tmp_path / "out" / "digits-cpd")]


def test_a_reflow_is_preceded_by_its_teacher_and_pairs(tmp_path):
    found = commands("digits-reflow", 0, tmp_path, None)
    assert [command[:2] for command in found[:2]] == [["train", "digits-condot"], ["pairs", str(run_of(tmp_path, "digits-condot", 0))]]
    pairs = found[1][found[1].index("--out") + 1]
    assert f"coupling.pairs={pairs}" in found[2]
    assert [command[0] for command in found[2:]] == ["train", "evaluate"]


def test_what_is_there_is_not_made_again(tmp_path, monkeypatch: pytest.MonkeyPatch):
    small = {name: value for name, value in SMALL.items() if name != "network.channels"}
    one = replace(shipped.by_name("digits-condot"), settings=small | {"network.channels": "24"}, count=40)
    monkeypatch.setattr(shipped, "ALL", {"digits-condot": one})
    said: list[str] = []
    assert ship(["digits-condot"], range(1), tmp_path / "runs", tmp_path / "out", tmp_path / "scores", again=False, say=said.append) == 0
    assert [line.split()[3] for line in said] == ["train", "evaluate", "export"]
    assert commands("digits-condot", 0, tmp_path / "runs", tmp_path / "out") == []
    assert [file.name for file in (tmp_path / "scores").iterdir()] == ["digits-condot-0.json"]
    assert ship(["digits-condot"], range(1), tmp_path / "runs", tmp_path / "out", tmp_path / "scores", again=True, say=said.append) == 0
    assert [line.split()[3] for line in said[3:]] == ["export"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["digits-condot"]
    before = sorted((tmp_path / "out").rglob("*"))
    monkeypatch.setattr("trainers.shipping._run", lambda command: 1)
    assert ship(["digits-condot"], range(1), tmp_path / "runs", tmp_path / "out", tmp_path / "scores", again=True, say=said.append) == 1
    assert sorted((tmp_path / "out").rglob("*")) == before  # what was there stays until what takes its place is whole
    assert list((tmp_path / "out" / "digits-condot" / EVALUATIONS).glob("*.json"))
    with pytest.raises(ValueError, match="checkpoint='nothing' is unknown"):
        ship(["nothing"], range(1), tmp_path / "runs", None, tmp_path / "scores", again=False, say=said.append)


@pytest.mark.parametrize(("base", "least"), [("digits", 16), ("emoji", 11), ("emoji-text", 2)])
def test_methods_are_compared_at_equal_network_data_pictures_and_learning_rate(base: str, least: int):
    """Method and prior may differ; nothing else that a score depends on."""
    recipes = [apply(by_name(one.recipe), dict(one.settings)) for name, one in shipped.ALL.items() if shipped.base_of(name) == base]
    assert len(recipes) == least
    for recipe in recipes[1:]:
        for part in ("data", "network", "optimiser", "training", "sampling"):
            assert getattr(recipe, part) == getattr(recipes[0], part), (recipe.name, part)


@pytest.mark.parametrize("name", THERE)
def test_what_ships_is_whole_and_made_by_its_recipe(name: str):
    folder, one = SHIPPED / name, shipped.by_name(name)
    checkpoint = newest(folder / "checkpoints", print)
    assert checkpoint is not None  # the hashes of its files are right
    own, wanted = read_recipe(folder / "recipe.toml"), apply(by_name(one.recipe), dict(one.settings))
    assert replace(own, coupling=replace(own.coupling, pairs=None)) == replace(wanted, coupling=replace(wanted.coupling, pairs=None))
    assert checkpoint.step == wanted.training.steps
    assert not any(
        str(Path.home()) in text or "/work" in text
        for text in ((folder / "recipe.toml").read_text(), (checkpoint.folder / "state.json").read_text())
    )
    model = read_model("shipped", folder)
    assert model is not None
    scores = evaluation(Path("runs"), model.id)
    assert scores is not None
    assert scores["protocol"]["weights_hash"] != ""
    assert {row["nfe"] for row in scores["rows"]} >= {float(n) for n in shipped.BUDGETS}


def test_all_of_it_fits():
    assert sum(file.stat().st_size for file in SHIPPED.rglob("*") if file.is_file()) < LIMIT
