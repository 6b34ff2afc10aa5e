"""A closer look at samples: what the network expects along the way, the nearest training pictures, and prompts beside the captions that a text model knows."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from app.tasks import looks
from tests.trainers.latents.gallery import Gallery, Setting
from tests.trainers.sampling.conftest import home, run_of, text_run  # noqa: F401  # fixtures
from trainers.data import open_images
from trainers.grids import grid, shape_of
from trainers.sampling import sample
from trainers.text import load_encoder
from trainers.trained import load_trained


def sheet(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("L"), dtype=int)


def cells(text: str, count: int, size: int, rows: int | None = None) -> np.ndarray:
    """The pictures of a sheet, (n, size, size)."""
    at, pixels = shape_of(count, size, rows), sheet(text)
    factor = at.side // size
    corners = [(at.gap + i // at.columns * at.cell, at.gap + i % at.columns * at.cell) for i in range(count)]
    return np.stack([pixels[y : y + at.side : factor, x : x + at.side : factor] for y, x in corners])


def grey(pixels: Tensor) -> np.ndarray:
    return np.stack([np.asarray(grid(p[None]).convert("L"), dtype=int) for p in pixels])


@pytest.mark.parametrize(("method", "solver"), [("condot", "euler"), ("ddpm", "ddim-scheduler")])
def test_a_film_shows_what_the_network_expects_of_the_end_and_ends_with_the_sample(method: str, solver: str, run_of):  # noqa: F811
    model, told = load_trained(run_of(method)), torch.tensor([1, 2, 3])
    made = sample(model, 3, seed=4, solver=solver, nfe=20, condition=told, states=True)
    found = looks.film(model, made, 1.0)
    assert len(found["times"]) == looks.FRAMES
    assert found["times"][0] == pytest.approx(0, abs=1e-3)
    assert found["times"] == sorted(found["times"])
    frames = cells(found["picture"], 3 * looks.FRAMES, 8, rows=3).reshape(3, looks.FRAMES, 8, 8)
    last = cells(looks.picture(model.decode(made.x)), 3, 8)
    assert np.array_equal(frames[:, -1], last)
    if method == "condot":  # there the end is expected at x + (1 - t) u
        k = round(float(found["times"][3]) * 20)
        assert made.states is not None
        t = torch.full((3,), k / 20)
        with torch.no_grad():
            expected = made.states[k] + (1 - k / 20) * model.velocity(made.states[k], t, told)
        assert np.abs(frames[:, 3] - cells(looks.picture(model.decode(expected)), 3, 8)).mean() < 0.02


def test_a_film_of_more_rows_than_a_sheet_holds_shows_the_first(run_of, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    model = load_trained(run_of("condot"))
    made = sample(model, 5, seed=4, solver="euler", nfe=4, states=True)
    monkeypatch.setattr(looks, "TALLEST", 2 + 3 * shape_of(1, 8).cell)
    found = looks.film(model, made, 1.0)
    assert found["rows"] == 3
    frames = cells(found["picture"], 3 * len(found["times"]), 8, rows=3).reshape(3, -1, 8, 8)
    assert np.array_equal(frames[:, -1], cells(looks.picture(model.decode(made.x[:3])), 3, 8))


def test_the_nearest_training_picture_is_found_by_pixels_and_held_out_ones_say_what_is_usual(run_of):  # noqa: F811
    model = load_trained(run_of("condot"))
    known, held = open_images(model.recipe.data, "train"), open_images(model.recipe.data, "val")
    copied = torch.from_numpy(known.read([77]).pixels)
    made = sample(model, 2, seed=0, solver="euler", nfe=4)
    x = torch.cat((made.x, model.encode(copied)))
    found = looks.nearest_pictures(model, x)
    own, among = model.decode(x).double() / 255, torch.cat([torch.from_numpy(b.pixels) for b in known.batches()]).double() / 255
    away = (own[:, None] - among[None]).square().flatten(2).mean(2).sqrt()
    assert found["distances"] == pytest.approx(away.amin(1).tolist(), abs=1e-6)
    assert found["names"] == [known.name(int(i)) for i in away.argmin(1)]
    assert found["names"][2] == known.name(77)
    assert found["distances"][2] < 1e-6
    assert found["among"] == found["of"] == len(known)
    others = torch.cat([torch.from_numpy(b.pixels) for b in held.batches()]).double() / 255
    usual = (others[:, None] - among[None]).square().flatten(2).mean(2).sqrt().amin(1).median()
    assert found["usual"] == pytest.approx(float(usual), rel=1e-5)
    shown = cells(found["picture"], 3, 8)
    assert np.array_equal(shown[2], cells(looks.picture(copied), 1, 8)[0])


def test_of_many_training_pictures_an_even_part_is_looked_through_and_broken_ones_are_left_out(
    text_run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
):
    model = load_trained(text_run)
    monkeypatch.setattr(looks, "open_images", lambda options, split: Gallery(Setting(broken=(0, 10)), options, split))
    monkeypatch.setattr(looks, "MOST_NUMBERS", 10 * 3 * 8 * 8)
    found = looks.nearest_pictures(model, torch.zeros(1, *model.shape))
    assert (found["among"], found["of"]) == (8, 50)  # items 0, 5, ... 45, of which two cannot be read
    gallery = Gallery(Setting(), model.recipe.data, "train")
    own, looked_at = model.decode(torch.zeros(1, *model.shape)).double(), [i for i in range(0, 50, 5) if i not in (0, 10)]
    away = [(torch.from_numpy(gallery.read([i]).pixels).double() - own).norm() for i in looked_at]
    assert gallery.captions is not None
    item = looked_at[int(torch.stack(away).argmin())]
    assert found["names"] == [gallery.captions[item][0] if gallery.captions[item] else gallery.name(item)]


def test_data_that_are_not_here_are_said(run_of, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    model = load_trained(run_of("condot"))

    def gone(*_):
        raise ValueError("/data/pictures is not there")

    monkeypatch.setattr(looks, "open_images", gone)
    words = {"error": "the training pictures are not here: /data/pictures is not there"}
    assert looks.nearest_pictures(model, torch.zeros(1, *model.shape)) == words
    assert looks.known_captions(model, ["a"])["error"].startswith("the training captions are not here")


def test_prompts_are_set_beside_the_captions_that_the_model_knows(text_run, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    monkeypatch.setattr(looks, "open_images", lambda options, split: Gallery(Setting(), options, split))
    model = load_trained(text_run)
    asked = ["train picture 3, take 0", "a red thing", "a red thing"]
    found = looks.known_captions(model, asked)
    assert [each["prompt"] for each in found["prompts"]] == asked[:2]
    same, other = found["prompts"]
    assert (same["nearest"], same["distance"], same["farther"]) == (asked[0], pytest.approx(0, abs=1e-6), 0)
    captions = [f"train picture {i}, take {j}" for i in range(50) for j in range(i % 4)]
    assert found["among"] == len(captions)
    states = load_encoder(model.recipe.text).encode([*captions, asked[1]])[:, 0].double()
    units = states / states.norm(dim=1, keepdim=True)
    away = 1 - units[:-1] @ units[-1]
    assert other["distance"] == pytest.approx(float(away.min()), abs=1e-5)
    assert other["nearest"] == captions[int(away.argmin())]
    assert 0 <= other["farther"] <= 1
