"""`sample` on disk: conditions by name, number and prompt, the grid and the separate pictures, what they say of themselves, the prior alone, trajectories."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.trainers.latents.encoders import bert
from trainers.cli import main
from trainers.commands.sample import Sample
from trainers.files import read_json
from trainers.galleries import conditions, make
from trainers.grids import GAP, grid, save_png, to_image
from trainers.sampling import labels, sample, start
from trainers.trained import Trained, load_trained


@pytest.fixture
def run(run_of: Callable[[str], Path]) -> Path:
    return run_of("cpd")


def made(run: Path, out: Path, **given: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"n": 6, "nfe": 4, "seed": 5} | given
    return make(Sample(run, out, **settings), lambda line: None)


def picture(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_classes_by_name_and_number_in_turn(run: Path):
    trained = load_trained(run)
    chosen, names = conditions(trained, ["3", "7"], 5, 0)
    assert chosen is not None
    assert chosen.tolist() == [3, 7, 3, 7, 3]
    assert names == ["3", "7", "3", "7", "3"]
    named = _with_classes(trained, (*tuple("abcdefghi"), "0"))
    assert [int(c) for c in conditions(named, ["c", "1", "0"], 3, 0)[0]] == [2, 1, 9]  # pyright: ignore[reportOptionalIterable]  # a name goes before a number
    drawn, names = conditions(trained, [], 40, 5)
    assert drawn is not None
    assert trained.label_law is not None
    assert drawn.equal(labels(trained.label_law, torch.arange(40), 5))
    assert names == [str(int(c)) for c in drawn]


def _with_classes(trained: Trained, classes: tuple[str, ...]) -> Trained:
    checkpoint = replace(trained.checkpoint)
    checkpoint.__dict__["facts"] = trained.checkpoint.facts | {"classes": list(classes)}
    return replace(trained, checkpoint=checkpoint)


@pytest.mark.parametrize("text", ["cat", "10", "-1", "1.5"])
def test_a_class_that_is_not_there_is_named(run: Path, text: str):
    with pytest.raises(ValueError, match=rf"condition='{text}' is unknown.*or a number from 0 to 9"):
        conditions(load_trained(run), [text], 2, 0)


def test_a_model_without_conditions_takes_none(home: Path):
    from tests.trainers.sampling.conftest import digits, trained

    run = trained(digits("condot", **{"data.condition": "none", "training.steps": 2}), home / "blind", home)
    found = load_trained(run)
    assert conditions(found, [], 2, 0) == (None, ["", ""])
    assert found.null is None
    with pytest.raises(ValueError, match="was trained without conditions; leave --condition out"):
        conditions(found, ["3"], 2, 0)


def test_prompts_are_encoded_in_turn_and_the_encoder_must_be_the_trainings(text_run: Path, tmp_path: Path):
    trained = load_trained(text_run)
    with pytest.raises(ValueError, match="is told a text: give prompts with --condition"):
        conditions(trained, [], 2, 0)
    states, names = conditions(trained, ["a red square", "a green picture", ""], 4, 0)
    assert states is not None
    assert trained.null_text is not None
    assert names == ["a red square", "a green picture", "", "a red square"]
    assert states[0].equal(states[3])
    assert not torch.allclose(states[0], states[1])
    assert torch.allclose(states[2], trained.null_text, atol=2e-3)
    about = made(text_run, tmp_path / "out", condition=("a red square",), guidance=2.0, nfe=4)
    assert about["conditions"] == ["a red square"] * 6
    assert about["nfe"] == 4
    folder = Path(shutil.copytree(trained.recipe.text.path or "", tmp_path / "other"))
    model = bert(folder)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.mul_(1.5)
    model.save_pretrained(folder)
    recipe = replace(trained.recipe, text=replace(trained.recipe.text, path=str(folder)))
    with pytest.raises(ValueError, match=r"other is not the text encoder that .* was trained with"):
        conditions(replace(trained, method=replace(trained.method, recipe=recipe)), ["a red square"], 1, 0)


def test_separate_pictures_are_the_grids_cells_and_say_what_they_are(run: Path, tmp_path: Path):
    about = made(run, tmp_path, rows=2, condition=("3", "7"), solver="euler", guidance=2.0)
    trained = load_trained(run)
    expected = trained.decode(sample(trained, 6, seed=5, solver="euler", nfe=4, guidance=2.0, condition=torch.tensor([3, 7] * 3)).x)
    whole = picture(tmp_path / "grid.png")
    cell = 48 + GAP
    assert whole.shape == (2 * cell + GAP, 3 * cell + GAP)
    for i in range(6):
        single = picture(tmp_path / f"{i:05d}.png")
        assert (single == expected[i, 0].numpy()).all()
        top, left = GAP + i // 3 * cell, GAP + i % 3 * cell
        assert (whole[top : top + 48, left : left + 48] == single.repeat(6, 0).repeat(6, 1)).all()
    told = Image.open(tmp_path / "00001.png").text  # pyright: ignore[reportAttributeAccessIssue]
    assert told | {"condition": "7", "solver": "euler", "nfe": "4.0", "seed": "5", "step": "20", "guidance": "2.0"} == told
    assert told["weights_hash"] == trained.weights_hash
    assert Image.open(tmp_path / "grid.png").text["checkpoint"] == str(trained.checkpoint.folder)  # pyright: ignore[reportAttributeAccessIssue]
    assert read_json(tmp_path / "samples.json") == about
    assert about["conditions"] == ["3", "7"] * 3
    assert sorted(p.name for p in tmp_path.iterdir()) == [*(f"{i:05d}.png" for i in range(6)), "grid.png", "samples.json"]


@pytest.mark.parametrize(
    ("count", "rows", "cells"), [(6, 1, (1, 6)), (6, 2, (2, 3)), (7, 2, (2, 4)), (5, 9, (5, 1)), (16, None, (4, 4)), (1, None, (1, 1))]
)
def test_rows_of_the_grid(count: int, rows: int | None, cells: tuple[int, int]):
    pixels = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 3, 64, 64)
    sheet = np.asarray(grid(pixels, rows))
    assert sheet.shape == (cells[0] * 66 + 2, cells[1] * 66 + 2, 3)
    seen = [sheet[2 + i // cells[1] * 66, 2 + i % cells[1] * 66, 0] for i in range(count)]
    assert seen == list(range(count))
    if count < cells[0] * cells[1]:
        assert (sheet[-60:, -60:] == 255).all()


def test_no_picture_of_earlier_samples_is_left(run: Path, tmp_path: Path):
    (tmp_path / "00007.png").write_bytes(b"not of a sample")
    made(run, tmp_path, n=5, trajectories=True)
    (tmp_path / "notes.txt").write_text("mine")
    made(run, tmp_path, n=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["00000.png", "00001.png", "00007.png", "grid.png", "notes.txt", "samples.json"]


def test_png_chunks_take_any_text(tmp_path: Path):
    save_png(to_image(torch.zeros(3, 4, 4, dtype=torch.uint8)), tmp_path / "a.png", {"condition": "héros 😀"})
    assert Image.open(tmp_path / "a.png").text["condition"] == "héros 😀"  # pyright: ignore[reportAttributeAccessIssue]


def test_the_prior_alone_takes_no_step(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Trained, "velocity", None)
    about = made(run, tmp_path, prior=True)
    assert about["nfe"] == 0
    assert about["solver"] == "none: the prior alone"
    trained = load_trained(run)
    condition, names = conditions(trained, [], 6, 5)
    pixels = trained.decode(start(trained, torch.arange(6), condition, 5))
    assert about["conditions"] == names
    assert all((picture(tmp_path / f"{i:05d}.png") == pixels[i, 0].numpy()).all() for i in range(6))


@pytest.mark.parametrize("method", ["cpd", "fm-diffusion"])
def test_trajectories_go_from_the_paths_start_to_the_sample(method: str, run_of: Callable[[str], Path], tmp_path: Path):
    made(run_of(method), tmp_path, trajectories=True, n=3, nfe=24, solver="euler")
    trained = load_trained(run_of(method))
    found = load_file(tmp_path / "states.safetensors")
    expected = sample(trained, 3, seed=5, solver="euler", nfe=24)
    assert found["states"].shape == (25, 3, 1, 8, 8)
    assert found["states"][0].equal(trained.path.start(expected.x_0))
    assert found["states"][-1].equal(expected.x)
    assert found["times"].tolist() == pytest.approx([k * trained.last_time / 24 for k in range(25)], abs=1e-12)
    film, cell = picture(tmp_path / "film.png"), 48 + GAP
    assert film.shape == (3 * cell + GAP, 9 * cell + GAP)
    shown = json.loads(Image.open(tmp_path / "film.png").text["times"])  # pyright: ignore[reportAttributeAccessIssue]
    assert shown == [round(t, 4) for t in found["times"][::3].tolist()]
    for row in range(3):
        last = film[GAP + row * cell : (row + 1) * cell, GAP + 8 * cell : 9 * cell]
        assert (last == picture(tmp_path / f"{row:05d}.png").repeat(6, 0).repeat(6, 1)).all()


def test_the_film_of_an_adaptive_solver_goes_through_regular_times_and_says_so(run: Path, tmp_path: Path):
    about = made(run, tmp_path, trajectories=True, n=2, solver="dopri5", atol=1e-3, rtol=1e-3)
    assert load_file(tmp_path / "states.safetensors")["states"].shape == (17, 2, 1, 8, 8)
    film = Image.open(tmp_path / "film.png")
    assert film.size == (9 * (48 + GAP) + GAP, 2 * (48 + GAP) + GAP)
    said: dict[str, str] = film.text  # pyright: ignore[reportAttributeAccessIssue]
    assert json.loads(said["times"]) == [k / 8 for k in range(9)]
    assert said["states"] == about["states"] == "at regular times, interpolated between the solver's own steps"
    assert made(run, tmp_path, trajectories=True, n=2, solver="euler", nfe=8)["states"] == "after every step"


def test_guidance_is_the_recipes_unless_given(run: Path, tmp_path: Path):
    assert made(run, tmp_path / "a")["guidance"] == 1.0
    changed = Path(shutil.copytree(run, tmp_path / "run"))
    with pytest.MonkeyPatch.context() as patch:
        found = load_trained(changed)
        recipe = replace(found.recipe, sampling=replace(found.recipe.sampling, guidance=2.0))
        patch.setattr("trainers.galleries.load_trained", lambda *_: replace(found, method=replace(found.method, recipe=recipe)))
        assert made(changed, tmp_path / "b")["guidance"] == 2.0


def test_from_the_command_line(run: Path, run_of: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    given = ["sample", str(run), "--out", str(tmp_path / "out"), "--n", "4", "--solver", "dopri5", "--atol", "1e-3", "--rtol", "1e-3"]
    assert main([*given, "--condition", "3", "7", "--json"]) == 0
    out, said = capsys.readouterr()
    about = json.loads(out)
    assert about["conditions"] == ["3", "7", "3", "7"]
    assert "4 samples of step 20 in" in said
    assert f"{about['nfe']:g} evaluations each" in said
    ddpm = ["sample", str(run_of("ddpm")), "--out", str(tmp_path / "ddpm"), "--n", "2", "--nfe", "15", "--json"]
    for solver in ("ddpm", "ddim-scheduler", "dpm-solver++"):
        assert main([*ddpm, "--solver", solver]) == 0
        assert json.loads(capsys.readouterr().out)["nfe"] == 15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--solver", "ddpm"], "solver='ddpm' is for models trained as DDPM"),
        (["--solver", "hein"], "solver='hein' is unknown; did you mean 'heun'?"),
        (["--nfe", "15"], "--nfe 15 cannot be used exactly by heun; nearest: 14 or 16"),
        (["--condition", "cat"], "condition='cat' is unknown"),
        (
            ["--nfe", "6", "--guidance", "2"],
            "--nfe 6 cannot be used exactly by heun under guidance 2, which takes two evaluations at a time; nearest: 4 or 8",
        ),
        (["--rows", "9", "--n", "4"], "--rows 9 must be at most --n 4"),
        (["--solver", "hern"], "did you mean 'heun'"),
        (["--rows", "-1"], "--rows -1 must be at least 1"),
        (["--n", "0"], "--n 0 must be at least 1"),
        (["--prior", "--trajectories"], "--trajectories needs steps"),
        (["--weights", "emma"], "weights='emma' are not in"),
        (["--device", "gpu"], "device='gpu' is unknown"),
        (["--seed", "-1"], "seed=-1 must lie in"),
    ],
)
def test_what_cannot_be_sampled_is_one_line_and_status_2(
    run: Path, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["sample", str(run), "--out", str(tmp_path / "out"), *arguments]) == 2
    out, said = capsys.readouterr()
    assert out == ""
    line = said.strip().splitlines()[-1]
    assert line.startswith("error: ")
    assert message in line
