"""Checkpoints side by side over a real connection: the list of models, pictures that are `sample`'s own, exact ends, refusals, and what happens when a process goes away."""

import base64
import io
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from app.tasks.compare import LADDER
from tests.server.conftest import Lab, eventually
from tests.trainers.checkup.nets import sent, unet
from tests.trainers.sampling.conftest import digits, trained
from trainers.checkup import load_foreign
from trainers.exporting import export
from trainers.grids import grid
from trainers.sampling import sample
from trainers.trained import load_trained

SESSION = "compare-1"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """condot, cpd and ddpm on digits, and an export of the first."""
    folder = tmp_path_factory.mktemp("runs")
    for method in ("condot", "cpd", "ddpm"):
        trained(digits(method), folder / method, folder)
    export(folder / "condot", folder / "export")
    return folder


@pytest.fixture(autouse=True)
def _runs(lab: Lab, runs: Path) -> Iterator[None]:
    before, lab.services.runs = lab.services.runs, runs
    yield
    lab.services.comparisons.close()
    assert eventually(lambda: lab.services.comparisons.running == 0)
    lab.services.runs = before


def begin(lab: Lab, *panels: dict[str, Any], **wish: Any) -> httpx.Response:
    return lab.client.post("/api/compare", json={"panels": list(panels), "session": SESSION} | wish)


def heard(lab: Lab, id_: str) -> list[tuple[str, dict[str, Any]]]:
    found, held = [], {}
    with lab.client.stream("GET", f"/api/compare/{id_}/events") as reply:
        for line in reply.iter_lines():
            name, _, value = line.partition(": ")
            if line and not line.startswith(":"):
                held[name] = value
            elif held:
                found.append((held["event"], json.loads(held["data"])))
                held = {}
    return found


def picture(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))


def apart(shown: str, pixels: torch.Tensor) -> float:
    return float(np.abs(picture(shown).astype(int) - np.asarray(grid(pixels).convert("RGB")).astype(int)).mean())


def test_runs_and_exports_with_a_checkpoint_are_listed_by_themselves(lab: Lab, runs: Path):
    (runs / "empty").mkdir(exist_ok=True)
    (runs / "empty" / "recipe.toml").write_text("name = 'x'")
    found = {model["id"]: model for model in lab.client.get("/api/models").json()["models"] if model["place"] == "runs"}
    assert set(found) == {"runs/condot", "runs/cpd", "runs/ddpm", "runs/export"}
    assert found["runs/condot"]["steps"] == [20, 10]
    assert found["runs/condot"]["weights"] == ["ema", "model"]
    assert found["runs/export"]["weights"] == ["ema"]
    assert found["runs/ddpm"]["ddpm"]
    assert (found["runs/cpd"]["condition"], len(found["runs/cpd"]["classes"]), found["runs/cpd"]["images"]) == ("class", 10, 20 * 64)


def test_panels_have_the_same_numbers_and_their_pictures_are_samples_own(lab: Lab, runs: Path):
    begun = begin(
        lab,
        {"model": "runs/condot", "solver": "euler"},
        {"model": "runs/cpd", "solver": "heun", "guidance": 2, "step": 10, "weights": "model"},
        n=6,
        seed=5,
        nfe=8,
        told=["3", "7"],
    )
    assert begun.status_code == 200, begun.text
    events = heard(lab, begun.json()["id"])
    assert events[-1][0] == "end", events[-1]
    loaded = [numbers for name, numbers in events if name == "loaded"]
    assert [each["names"] for each in loaded] == [["3", "7"] * 3] * 2
    assert loaded[0]["budgets"] == list(LADDER)
    assert loaded[1]["budgets"] == [4, 8, 12, 16, 24, 32, 48, 64]  # two evaluations a step, and two for guidance
    rungs = [numbers for name, numbers in events if name == "rung"]
    assert [(r["panel"], r["nfe"]) for r in rungs[:4]] == [(0, 0), (1, 0), (0, 8), (1, 8)]  # the zeroth steps, then the wished budget
    assert [r["nfe"] for r in rungs if r["panel"] == 0][1:] == sorted(LADDER, key=lambda n: (abs(n - 8), n))
    assert all(r["evaluations"] == r["nfe"] for r in rungs)
    for k, (place, weights, solver, guidance) in enumerate(
        [("condot/checkpoints/step-00000020", "ema", "euler", 1.0), ("cpd/checkpoints/step-00000010", "model", "heun", 2.0)]
    ):
        model = load_trained(runs / place, weights)
        condition = torch.tensor([3, 7] * 3)
        made = sample(model, 6, seed=5, solver=solver, nfe=8, guidance=guidance, condition=condition)
        shown = next(r for r in rungs if (r["panel"], r["nfe"]) == (k, 8))["picture"]
        assert apart(shown, model.decode(made.x)) < 2e-3  # in levels of 255, on average: a number that is rounded up here and down there
        plain = sample(model, 6, seed=5, solver=solver, nfe=8, condition=condition)
        other = sample(load_trained(runs / place), 6, seed=5, solver=solver, nfe=8, guidance=guidance, condition=condition)
        assert guidance == 1 or apart(shown, model.decode(plain.x)) > 0.02
        assert weights == "ema" or apart(shown, model.decode(other.x)) > 0.02
        zeroth = next(r for r in rungs if (r["panel"], r["nfe"]) == (k, 0))["picture"]
        assert np.array_equal(picture(zeroth), np.asarray(grid(model.decode(made.x_0)).convert("RGB")))


def test_solver_errors_are_against_the_checkpoints_own_exact_ends(lab: Lab, runs: Path):
    begun = begin(lab, {"model": "runs/condot", "solver": "midpoint"}, n=4, seed=1, nfe=2)
    events = heard(lab, begun.json()["id"])
    (exact,) = [numbers for name, numbers in events if name == "exact"]
    assert list(exact["errors"]) == [str(n) for n in LADDER if n % 2 == 0]
    assert exact["flow"]["n"] == 4
    errors = [each["rmse"] for each in exact["errors"].values()]
    assert errors[-1] < errors[0]
    model = load_trained(runs / "condot")
    few, many = (sample(model, 4, seed=1, solver="midpoint", nfe=n) for n in (2, 512))
    off = (few.x - many.x).flatten(1).double().square().sum(1).mean().sqrt()
    assert exact["errors"]["2"]["rmse"] == pytest.approx(float(off), rel=0.01)
    dots = (model.decode(few.x).double() - model.decode(many.x).double()).square().mean().sqrt() / 255
    assert exact["errors"]["2"]["pixels"] == pytest.approx(float(dots), rel=0.02)


def test_ddpm_has_its_own_samplers_and_others_do_not(lab: Lab):
    events = heard(lab, begin(lab, {"model": "runs/ddpm", "solver": "dpm-solver++"}, n=2, nfe=4, exact=False).json()["id"])
    assert events[-1][0] == "end"
    assert not [name for name, _ in events if name == "exact"]
    events = heard(lab, begin(lab, {"model": "runs/ddpm", "solver": "ddpm"}, n=2, nfe=4).json()["id"])
    (exact,) = [numbers for name, numbers in events if name == "exact"]
    assert exact.get("errors") == {}  # random steps follow no flow
    (name, numbers) = heard(lab, begin(lab, {"model": "runs/condot", "solver": "ddpm"}, n=2).json()["id"])[-1]
    assert (name, numbers["error"]) == (
        "failed",
        "panel 1: ddpm is for models trained as DDPM; take heun or another solver of the velocity",
    )


def test_the_table_and_the_opening_that_ship_are_told(lab: Lab):
    opening = lab.client.get("/api/compare/opening").json()
    assert [name for name, _ in opening["events"]][-1] == "end"
    (board, *_) = lab.client.get("/api/table").json()["boards"]
    assert (board["base"], len(board["lines"])) == ("digits", 16)
    assert all(line["seeds"] == 5 for line in board["lines"])
    assert set(board["ties"]["one_nn"]) == {"prior", "1", "2", "4", "8", "16", "32", "adaptive"}
    scores = lab.client.get("/api/scores", params={"model": "shipped/digits-cpd"}).json()["evaluation"]
    assert scores["protocol"]["recipe"] == "digits-cpd"
    assert lab.client.get("/api/scores", params={"model": "shipped/../x"}).status_code == 400


def test_a_checkpoint_made_elsewhere_is_sampled_beside_ours(lab: Lab, runs: Path):
    """Its time runs the other way, in thousandths; no other name and no link leads to it."""
    told = {"direction": "data-to-noise", "time_scale": 1000, "classes": 10, "about": "a U-Net from afar"}
    network = unet(sample_size=8, num_class_embeds=11)
    for name, more in (("afar", {"null_class": 10}), ("without-null", {}), ("latents", {})):
        sent(
            network if name != "latents" else unet(in_channels=4, out_channels=4), runs / name, **(told | more if name != "latents" else {})
        )
    (runs / "link").symlink_to(runs / "afar")
    for name, text in (("list", "[]"), ("short", json.dumps(told | {"shape": [3]}))):  # left out, as every folder that cannot be read
        sent(network, runs / name)
        (runs / name / "conventions.json").write_text(text)
    try:
        found = {model["id"]: model for model in lab.client.get("/api/models").json()["models"]}
        assert not {"runs/link", "runs/list", "runs/short"} & set(found)
        model = found["runs/afar"]
        assert (model["about"], model["shape"], model["steps"], model["condition"]) == ("a U-Net from afar", [1, 8, 8], [0], "class")
        afar = {"model": "runs/afar", "solver": "heun", "weights": "as they are", "guidance": 2}
        events = heard(lab, begin(lab, afar, {"model": "runs/condot", "solver": "euler"}, n=4, seed=3, told=["3", "7"]).json()["id"])
        assert events[-1][0] == "end", events[-1]
        rung = next(n for name, n in events if name == "rung" and (n["panel"], n["nfe"]) == (0, 8))
        own = load_foreign(runs / "afar")
        made = sample(own, 4, seed=3, solver="heun", nfe=8, guidance=2, condition=torch.tensor([3, 7] * 2))
        assert apart(rung["picture"], own.decode(made.x)) < 2e-3
        (nearest,) = [n for name, n in events if name == "nearest" and n["panel"] == 0]
        assert nearest["error"].startswith("the training pictures are not here")
        assert {n["panel"] for name, n in events if name == "exact" and n["errors"]} == {0, 1}
        for panel, words in (
            (
                {"model": "runs/without-null", "weights": "as they are", "guidance": 2},
                "panel 1: guidance needs a condition that means none",
            ),
            ({"model": "runs/latents", "weights": "as they are"}, "panel 1: latents works on latents and names no autoencoder"),
        ):
            (name, numbers) = heard(lab, begin(lab, panel, n=2, exact=False).json()["id"])[-1]
            assert (name, numbers["error"][: len(words)]) == ("failed", words)
        late = begin(lab, {"model": "runs/afar", "step": 7, "weights": "as they are"})
        assert (late.status_code, late.json()["error"]) == (400, "runs/afar was made elsewhere and has one checkpoint alone, step 0")
        assert lab.client.get("/api/scores", params={"model": "runs/afar"}).json() == {"evaluation": None}
    finally:
        for name in ("afar", "without-null", "latents", "list", "short"):
            shutil.rmtree(runs / name)
        (runs / "link").unlink()


BAD = [
    ({"panels": []}, "panels must be a list of 1 to 4 objects"),
    ({"panels": [{"model": "runs/condot"}] * 5}, "panels must be a list of 1 to 4 objects"),
    ({"panels": [{"model": "runs/../condot"}]}, "the name '../condot' of a run must begin"),
    ({"panels": [{"model": "elsewhere/condot"}]}, "there is no model 'elsewhere/condot'"),
    ({"panels": [{"model": "runs/condot", "step": 7}]}, "runs/condot has no checkpoint of step 7; it has 20, 10"),
    ({"panels": [{"step": 7}]}, "a panel needs the id of a model"),
    ({"panels": [{"model": "runs/condot", "solver": "dopri5"}]}, "solver='dopri5' is unknown"),
    ({"panels": [{"model": "runs/condot", "grid": "none"}]}, "grid='none' is unknown"),
    ({"panels": [{"model": "runs/condot", "guidance": 1000}]}, "guidance=1000 must be a number from 0 to 20"),
    ({"panels": [{"model": "runs/condot"}], "nfe": 10_000}, "nfe=10000 is too many; at most 64"),
    ({"panels": [{"model": "runs/condot"}], "n": 0}, "n=0 must be a whole number of at least 1"),
    ({"panels": [{"model": "runs/condot"}], "told": ["x" * 10_000]}, "a prompt of 10,000 characters is too long; at most 300 are read"),
    ({"panels": [{"model": "runs/condot"}], "exact": "no"}, "exact must be true or false"),
    ({"panels": [{"model": "runs/condot"}], "told": "seven"}, "told must be a list of at most 64 texts"),
]


@pytest.mark.parametrize(("body", "words"), BAD, ids=[words[:40] for _, words in BAD])
def test_what_cannot_be_is_one_sentence(body: dict[str, Any], words: str, lab: Lab):
    reply = lab.client.post("/api/compare", json=body)
    assert (reply.status_code, reply.json()["error"][: len(words)]) == (400, words)


LATE = [
    ({"model": "runs/condot", "weights": "ema-0.5"}, {}, "weights='ema-0.5' are not in"),
    ({"model": "runs/condot"}, {"told": ["eleven"]}, "condition='eleven' is unknown"),
]


@pytest.mark.parametrize(("panel", "wish", "words"), LATE, ids=[words for _, _, words in LATE])
def test_what_a_model_cannot_do_ends_the_comparison_with_a_sentence(panel: dict[str, Any], wish: dict[str, Any], words: str, lab: Lab):
    (name, numbers) = heard(lab, begin(lab, panel, **wish).json()["id"])[-1]
    assert name == "failed"
    assert words in numbers["error"]


def test_a_killed_process_is_said_and_the_next_wish_is_worked_on(lab: Lab):
    id_ = begin(lab, {"model": "runs/condot"}, n=64).json()["id"]
    comparison = lab.services.comparisons.get(id_)
    assert comparison is not None
    assert comparison.process_id is not None
    os.kill(comparison.process_id, signal.SIGKILL)
    (name, numbers) = heard(lab, id_)[-1]
    assert (name, numbers["error"]) == (
        "lost",
        "the comparison's process was lost; what was received stays, and a new comparison can begin",
    )
    assert heard(lab, begin(lab, {"model": "runs/condot"}, n=2, exact=False).json()["id"])[-1][0] == "end"


def test_a_new_wish_of_a_page_takes_the_place_of_its_last_one(lab: Lab):
    first = begin(lab, {"model": "runs/condot"}, n=64).json()["id"]
    second = begin(lab, {"model": "runs/cpd"}, n=2, exact=False).json()["id"]
    assert heard(lab, first)[-1] == (
        "end",
        {"why": "another comparison of this page began", "error": "another comparison of this page began"},
    )
    assert heard(lab, second)[-1][0] == "end"
    assert lab.client.post(f"/api/compare/{second}/stop", json={}).json() == {"ok": True}
    assert lab.client.post("/api/compare/nothing/stop", json={}).status_code == 404


def test_two_people_sample_at_once_and_a_third_is_told_to_wait(lab: Lab):
    ids = [begin(lab, {"model": "runs/condot"}, n=64, session=f"person-{k}-x").json()["id"] for k in range(2)]
    with lab.client.stream("GET", f"/api/compare/{ids[0]}/events") as a, lab.client.stream("GET", f"/api/compare/{ids[1]}/events") as b:
        assert next(a.iter_lines())
        assert next(b.iter_lines())
        third = begin(lab, {"model": "runs/condot"}, session="person-3-x")
        assert (third.status_code, third.json()["error"]) == (
            429,
            "2 comparisons are running on this server, which is the most; try again when one has ended",
        )
