"""A run goes on over the data that it began with, from checkpoints that are whole, whatever killed it before."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers import cli, runs
from trainers.checkpoints import all_checkpoints, write_state
from trainers.files import read_json
from trainers.identity import identity
from trainers.latents import build_cache, open_cache
from trainers.recipes import apply, by_name
from trainers.recipes.schema import Recipe
from trainers.runs import Run

SMALL = {
    "network.channels": "8",
    "training.batch": "8",
    "training.steps": "2",
    "training.checkpoint_every": "2",
    "training.preview_count": "2",
}


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def draw(folder: Path, count: int) -> None:
    """So many grey 8 x 8 pictures in each of two classes."""
    for kind in ("a", "b"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for k in range(count):
            pixels = np.random.default_rng([k, ord(kind)]).integers(0, 256, (8, 8), np.uint8)
            Image.fromarray(pixels).save(folder / kind / f"{k:03d}.png")


def train(capsys: pytest.CaptureFixture[str], *arguments: str, **changes: str) -> tuple[int, str]:
    settings = [part for name, value in (SMALL | changes).items() for part in ("--set", f"{name}={value}")]
    status = cli.main(("train", "digits-condot", "--run", "run", *settings, *arguments))
    return status, capsys.readouterr().err


def own(data: Path, **changes: str) -> Recipe:
    return apply(by_name("digits-condot"), SMALL | {"data.reader": "folder", "data.path": str(data)} | changes)


def test_a_run_is_not_gone_on_with_over_other_pictures(inside: Path, capsys: pytest.CaptureFixture[str]):
    draw(inside / "data", 20)
    given = {"data.reader": "folder", "data.path": str(inside / "data")}
    status, said = train(capsys, **given)
    assert status == 0, said
    before = {p: p.stat().st_mtime_ns for p in Path("run").rglob("*.safetensors")}
    draw(inside / "data", 30)
    for cache in Path("runs/cache").iterdir():
        shutil.rmtree(cache)
    status, said = train(capsys, **given | {"training.steps": "4"})
    assert status == 2
    assert "was trained on other data (train pictures 36, now 54; val pictures 4, now 6; train fingerprint" in said
    assert "name another --run" in said
    assert {p: p.stat().st_mtime_ns for p in Path("run").rglob("*.safetensors")} == before
    shutil.rmtree(inside / "data")
    draw(inside / "data", 20)
    for cache in Path("runs/cache").iterdir():
        shutil.rmtree(cache)
    status, said = train(capsys, **given | {"training.steps": "4"})
    assert status == 0, said
    assert "going on from step 2" in said


def test_pictures_that_moved_are_the_same(inside: Path):
    draw(inside / "data", 20)
    build_cache(own(inside / "data"), inside / "cache", say=lambda _: None)
    shards = {p: p.stat().st_mtime_ns for p in (inside / "cache").glob("*.safetensors")}
    (inside / "data").rename(inside / "moved")
    moved, said = own(inside / "moved"), []
    build_cache(moved, inside / "cache", say=said.append)
    assert f"train: the latents in {inside / 'cache'} were made from {inside / 'data'}; {inside / 'moved'} has the same pictures" in said[0]
    assert len(open_cache(inside / "cache", "train", moved)) == 36
    assert {p: p.stat().st_mtime_ns for p in (inside / "cache").glob("*.safetensors")} == shards
    assert {s["source"] for s in read_json(inside / "cache" / "manifest.json")["splits"].values()} == {str(inside / "moved")}


def test_a_start_that_was_killed_can_be_made_again(inside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    recipe, folder = apply(by_name("digits-condot"), SMALL), inside / "run"
    real = runs.write_recipe

    def killed(recipe: Recipe, path: Path) -> None:
        path.with_name(f".{path.name}.12345.partial").write_text("vers")
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "write_recipe", killed)
    with pytest.raises(KeyboardInterrupt):
        Run(folder).begin(recipe)
    assert not (folder / "recipe.toml").exists()
    monkeypatch.setattr(runs, "write_recipe", real)
    assert Run(folder).begin(recipe) == recipe
    (folder / "notes.txt").write_text("mine")
    (folder / "recipe.toml").unlink()
    with pytest.raises(ValueError, match="is not empty and not a run's folder"):
        Run(folder).begin(recipe)


def test_a_damaged_checkpoint_does_not_cost_a_sound_one(inside: Path, capsys: pytest.CaptureFixture[str]):
    status, said = train(capsys, **{"training.steps": "6", "training.checkpoint_every": "3"})
    assert status == 0, said
    newest = all_checkpoints(Path("run/checkpoints"))[-1].folder
    weights = next((newest / "model").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-8])
    status, said = train(capsys, **{"training.steps": "5", "training.checkpoint_every": "5", "training.keep": "1"})
    assert status == 0, said
    assert "going on from step 3" in said
    kept = all_checkpoints(Path("run/checkpoints"))
    assert kept[-1].step == 5
    for checkpoint in kept:
        checkpoint.check()


def digits_cache(inside: Path, name: str, **changes: str) -> tuple[Recipe, Path]:
    recipe = apply(by_name(name), SMALL | changes)
    build_cache(recipe, inside / "cache", say=lambda _: None)
    return recipe, inside / "cache"


def test_an_identity_knows_classes_and_autoencoder(inside: Path, monkeypatch: pytest.MonkeyPatch):
    recipe, cache = digits_cache(inside, "digits-condot")
    found = identity(recipe, cache)
    assert found["classes"] == [str(k) for k in range(10)]
    manifest = read_json(cache / "manifest.json")
    manifest["made"]["autoencoder hash"] = "another"
    monkeypatch.setattr("trainers.identity.read_manifest", lambda folder: manifest)
    assert {name for name, value in identity(recipe, cache).items() if value != found[name]} == {"autoencoder"}


def test_a_run_is_not_gone_on_with_in_the_latents_of_another_autoencoder(inside: Path, capsys: pytest.CaptureFixture[str]):
    status, said = train(capsys)
    assert status == 0, said
    (folder,) = all_checkpoints(inside / "run" / "checkpoints")
    facts = {name: value for name, value in folder.facts.items() if name != "checksum"}
    write_state(folder.folder / "state.json", facts | {"data": facts["data"] | {"autoencoder": "another"}})
    status, said = train(capsys, **{"training.steps": "4"})
    assert status == 2
    assert "was trained on other data (autoencoder another, now" in said


def test_a_checkpoint_that_does_not_say_its_data_is_not_gone_on_with(inside: Path, capsys: pytest.CaptureFixture[str]):
    train(capsys)
    (folder,) = all_checkpoints(inside / "run" / "checkpoints")
    write_state(folder.folder / "state.json", {name: value for name, value in folder.facts.items() if name not in ("checksum", "data")})
    status, said = train(capsys, **{"training.steps": "4"})
    assert status == 2
    assert "does not say which data it was trained on" in said
