"""python -m trainers prior, on what comes with the project."""

import json

import pytest
import torch
from PIL import Image

from trainers.commands.prior import Prior
from trainers.latents import build_cache, default_folder, open_cache
from trainers.priors import FittedPrior
from trainers.priors.report import _held_out
from trainers.recipes import load_recipe
from trainers.training import prior_file


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the digits' cache."""
    folder = tmp_path_factory.mktemp("runs")
    recipe = load_recipe("digits-cpd")
    build_cache(recipe, default_folder(recipe, folder), say=lambda line: None)
    return folder


def run(capsys, *arguments, **options):
    Prior(*arguments, **options, json=True).go()
    return json.loads(capsys.readouterr().out)


def test_digits_priors_know_digits_and_lie_where_training_looks_for_them(runs, capsys):
    found = run(capsys, "digits-cpd", runs=runs)
    recipe = load_recipe("digits-cpd")
    assert found["file"] == str(prior_file(recipe, default_folder(recipe, runs)))
    nats = found["held_out"]["nats_per_dimension"]
    assert nats["prior"] > nats["pooled_gaussian"] + 0.3 > nats["standard"] + 1.5
    assert sum(found["members"]) == 1621
    assert found["held_out"]["items"] == 176
    assert found["seconds"] < 30


def test_samples_of_the_prior_alone_are_digits_of_their_class(runs, capsys, tmp_path):
    """Of digits by nearest class mean, nine in ten are what they were drawn as; facts/small-training.md has 98 % by neighbours."""
    found = run(capsys, "digits-cpd", runs=runs, out=tmp_path / "prior", pictures=tmp_path / "digits.png")
    assert found["pictures"]["rows"] == [str(d) for d in range(10)]
    with Image.open(tmp_path / "digits.png") as picture:
        assert picture.size == (8 * 50 + 2, 10 * 50 + 2)
    prior, recipe = FittedPrior.load(tmp_path / "prior"), load_recipe("digits-cpd")
    cache = open_cache(default_folder(recipe, runs), "train", recipe)
    labels = torch.arange(10).repeat(50)
    x = prior.from_normals(torch.randn(500, 1, 8, 8, generator=torch.Generator().manual_seed(0)), labels)
    data = torch.cat([batch for batch, _ in cache.batches(512)])
    assert cache.labels is not None
    nearest = cache.labels[torch.cdist(x.flatten(1), data.flatten(1)).argmin(1)]
    assert float((nearest == labels).double().mean()) > 0.93


def test_options_reach_the_prior_and_another_out_is_written(runs, capsys, tmp_path):
    found = run(capsys, "digits-cpd", runs=runs, set=("prior.covariance=diagonal", "prior.shrinkage=0.1"), out=tmp_path / "d.safetensors")
    prior = FittedPrior.load(tmp_path / "d.safetensors")
    assert (prior.report["covariance"], prior.report["shrinkage"]["value"]) == ("diagonal", 0.1)
    assert found["file"] == str(tmp_path / "d.safetensors")


@pytest.mark.parametrize("method", ["pooled", "scale-matched", "condot", "cpd-mixture"])
def test_every_method_on_digits_has_a_report_in_words(runs, capsys, tmp_path, method):
    Prior(f"digits-{method}", runs=runs, out=tmp_path / "prior", pictures=tmp_path / "prior.png").go()
    shown = capsys.readouterr().out
    assert shown.startswith(f"digits-{method}: ")
    drawing = {"cpd-mixture": "from_normals(normals, classes, uniforms=numbers_0_to_1)"}.get(method, "from_normals(normals)")
    assert shown.count(drawing) == 1
    assert ("components   2 for each class\n" in shown) == (method == "cpd-mixture")
    assert str(tmp_path / "prior.png") in shown


def test_a_prior_that_knows_less_than_none_says_so():
    def lines(own: float | None, standard: float = -1.4) -> str:
        return "\n".join(_held_out({"items": 9, "on": "val", "nats_per_dimension": {"prior": own, "standard": standard}}))

    assert "worse than N(0, I)" in lines(-1.5)
    assert "worse" not in lines(-1.3) + lines(None)


def test_refusals(runs, tmp_path):
    with pytest.raises(ValueError, match=r"--pictures x.jpg must end in .png"):
        Prior("digits-cpd", runs=runs, pictures=tmp_path.relative_to(tmp_path) / "x.jpg").go()
    with pytest.raises(ValueError, match=r"is no cache; `python -m trainers cache digits-cpd"):
        Prior("digits-cpd", runs=tmp_path).go()
    with pytest.raises(ValueError, match="recipe='digits-cdp' is unknown"):
        Prior("digits-cdp", runs=runs).go()
