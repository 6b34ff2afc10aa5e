"""A run for others: half the precision, nothing of the training, the same samples up to that precision."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.trainers.sampling.conftest import digits
from trainers import cli
from trainers.checkpoints import write_state
from trainers.exporting import WEIGHTS, export
from trainers.files import read_json, sha256_of
from trainers.recipes import read_recipe
from trainers.sampling import sample
from trainers.trained import find_checkpoint, load_trained
from trainers.training import train


@pytest.mark.parametrize("method", ["loom", "cpd", "ddpm"])
def test_an_export_draws_the_runs_samples_up_to_half_precision(method: str, run_of: Callable[[str], Path], tmp_path: Path):
    run = run_of(method)
    made = export(run, tmp_path / "out")
    own, other = load_trained(run), load_trained(tmp_path / "out")
    for name, value in own.network.state_dict().items():
        theirs = other.network.state_dict()[name]
        assert theirs.dtype == torch.float32
        assert torch.equal(theirs, value.half().float())
    x, y = (sample(each, 8, seed=3, solver="heun", nfe=8) for each in (own, other))
    assert torch.equal(x.x_0, y.x_0)  # the prior is whole
    assert torch.equal(own.normalisation.undo(x.x), other.normalisation.undo(x.x))
    assert float((x.x - y.x).square().mean().sqrt()) < 2e-3 * float(x.x.std())
    assert (made.step, other.classes) == (own.step, own.classes)
    assert read_recipe(tmp_path / "out" / "recipe.toml") == own.recipe
    assert (tmp_path / "out" / "metrics.jsonl").read_text() == (run / "metrics.jsonl").read_text()


def test_it_holds_no_optimiser_no_table_and_no_place_of_this_machine(run_of: Callable[[str], Path], tmp_path: Path):
    run = run_of("loom")
    made = export(run, tmp_path / "out")
    assert {p.name for p in made.folder.iterdir()} == {"ema", "state.safetensors", "state.json"}
    assert "table" in load_file(find_checkpoint(run).folder / "state.safetensors")
    assert "table" not in load_file(made.folder / "state.safetensors")
    assert str(run.parent) not in (made.folder / "state.json").read_text()
    size = [sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) for folder in (made.folder, find_checkpoint(run).folder)]
    assert size[0] < 0.2 * size[1]


def test_raw_weights_can_be_exported_too(run_of: Callable[[str], Path], tmp_path: Path):
    run = run_of("condot")
    export(run, tmp_path / "out", "model")
    raw = load_trained(run, "model").network.state_dict()
    assert all(torch.equal(value, raw[name].half().float()) for name, value in load_trained(tmp_path / "out").network.state_dict().items())


def test_the_command_says_where_and_how_large(run_of: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["export", str(run_of("condot")), "--out", str(tmp_path / "deep" / "out")]) == 0
    assert "step 20, 0." in capsys.readouterr().out
    assert cli.main(["export", str(run_of("condot")), "--out", str(tmp_path / "deep" / "out")]) == 2
    assert "exists already; name a new folder with --out" in capsys.readouterr().err


def test_what_cannot_be_exported_is_said_and_leaves_nothing(run_of: Callable[[str], Path], tmp_path: Path):
    with pytest.raises(ValueError, match=r"weights='ema-0.5' are not in .*; it has ema, model"):
        export(run_of("condot"), tmp_path / "out", "ema-0.5")
    with pytest.raises(ValueError, match="does not exist; name a run's folder"):
        export(tmp_path / "nothing", tmp_path / "out")
    copy = tmp_path / "run"
    shutil.copytree(run_of("condot"), copy)
    folder = find_checkpoint(copy).folder
    weights = load_file(folder / "ema" / WEIGHTS)
    name = sorted(weights)[0]
    weights[name] = weights[name] + 1e6
    save_file(weights, folder / "ema" / WEIGHTS)
    facts = read_json(folder / "state.json")
    facts["files"][f"ema/{WEIGHTS}"] = sha256_of(folder / "ema" / WEIGHTS)
    write_state(folder / "state.json", {key: value for key, value in facts.items() if key != "checksum"})
    with pytest.raises(ValueError, match=f"{name} of .* holds numbers that float16 cannot"):
        export(copy, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_a_training_does_not_go_on_from_an_export(run_of: Callable[[str], Path], home: Path, tmp_path: Path):
    export(run_of("condot"), tmp_path / "out")
    with pytest.raises(ValueError, match="was exported, without the optimiser"):
        train(digits("condot"), tmp_path / "out", runs=home, say=lambda line: None)


def test_a_damaged_export_is_named(run_of: Callable[[str], Path], tmp_path: Path):
    made = export(run_of("condot"), tmp_path / "out")
    assert json.loads((made.folder / "state.json").read_text())["exported"] == {"weights": "ema", "dtype": "float16"}
    file = made.folder / "ema" / WEIGHTS
    file.write_bytes(file.read_bytes()[:-1] + b"\x00\x01")
    with pytest.raises(ValueError, match="every checkpoint in"):
        load_trained(tmp_path / "out")
