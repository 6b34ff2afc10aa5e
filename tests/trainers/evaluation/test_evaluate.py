"""Whole evaluations of a stand-in with a known flow, against real digits: rows, protocol, notes, refusals."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.trainers.evaluation.stand_in import Affine, affine
from trainers.data import open_images
from trainers.evaluation import Evaluation, Options, evaluate, protocol, table
from trainers.evaluation.forecast import PIECE
from trainers.evaluation.moments import moments_of
from trainers.evaluation.options import plan
from trainers.evaluation.scores import frechet
from trainers.sampling import labels, sample

SMALL = Options(nfe=(1, 4), count=200, flow_count=16, likelihood_count=4, adaptive=True)


@pytest.fixture(scope="module")
def subject() -> Affine:
    return affine()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def found(subject: Affine, cache: Path) -> Evaluation:
    return run(subject, SMALL, cache)


def run(subject: Affine, options: Options, cache: Path | None = None, **changes: Any) -> Evaluation:
    import dataclasses

    return evaluate(subject, dataclasses.replace(options, cache=cache, **changes), say=lambda line: None)


def row(found: Evaluation, name: str) -> protocol.Row:
    return next(r for r in found.rows if r.name.startswith(name))


def test_rows_are_real_prior_the_ladder_and_the_adaptive_solver_with_evaluations_counted(found: Evaluation):
    assert [r.name for r in found.rows] == ["real against real", "prior alone", "euler 1", "euler 4", "dopri5 at 1e-05"]
    assert [r.nfe for r in found.rows[:4]] == [None, 0, 1, 4]
    assert (found.rows[4].nfe or 0) > 10
    assert all(r.count == 200 for r in found.rows)


def test_one_euler_step_gives_class_means_which_are_easily_told_from_pictures(found: Evaluation):
    one, four, exact = (row(found, name).scores for name in ("euler 1", "euler 4", "dopri5"))
    assert one["recall"].value == 0
    assert one["one_nn"].value > 0.8
    assert one["frechet"].value > four["frechet"].value > exact["frechet"].value
    real = row(found, "real").scores["one_nn"]
    assert real.error is not None
    assert abs(real.value - 0.5) < 4 * real.error + 0.02
    assert row(found, "prior").scores["one_nn"].value > 0.95


def test_frechet_distances_are_those_of_the_pixels_themselves(subject: Affine, found: Evaluation):
    condition = labels(torch.full((10,), 0.1, dtype=torch.float64), torch.arange(200), 0)
    made = sample(subject, 200, seed=0, solver="euler", nfe=4, condition=condition)
    pixels = subject.decode(made.x).reshape(200, 64).double() / 255
    images = open_images(subject.recipe.data, "val")
    real = torch.from_numpy(images.read(range(len(images))).pixels).reshape(-1, 64).double() / 255
    assert abs(row(found, "euler 4").scores["frechet"].value - frechet(moments_of(pixels), moments_of(real))) < 1e-6
    latents = (
        moments_of(made.x.flatten(1)),
        moments_of(subject.encode((255 * real).round().to(torch.uint8).reshape(-1, 1, 8, 8)).flatten(1)),
    )
    assert abs(row(found, "euler 4").scores["latents_frechet"].value / frechet(*latents) - 1) < 1e-5


def test_solver_error_and_flow_are_the_closed_forms(subject: Affine, found: Evaluation):
    assert found.flow is not None
    condition = labels(torch.full((10,), 0.1, dtype=torch.float64), torch.arange(16), 0)
    x_0 = sample(subject, 16, seed=0, solver="euler", nfe=1, condition=condition).x_0
    one = row(found, "euler 1").solver_error
    assert one is not None
    assert abs(one["rmse"] - 0.4 * float(x_0.flatten(1).square().sum(1).mean().sqrt())) < 1e-3
    assert one["resolved"]
    assert row(found, "prior").solver_error is None
    assert (found.flow.summary()["n"], found.flow.summary()["dimension"]) == (16, 64)


def test_the_protocol_states_what_others_need(subject: Affine, found: Evaluation):
    told = json.loads(json.dumps(found.summary()))["protocol"]
    assert told["n"] == 200
    assert (told["split"], told["data"], told["size"]) == ("val", "digits", 8)
    assert told["features"] == {"name": "pixels", "hash": told["features"]["hash"], "dimension": 64, "size": 0, "resize": "none"}
    assert len(told["reference"]["hash"]) == len(told["features"]["hash"]) == len(told["weights_hash"]) == 64
    assert told["labels_law"] == "classes drawn from their shares in the training split"
    assert (told["seed"], told["solver"], told["budgets"]) == (0, "euler", [1, 4])
    assert told["guidance"] == {"scale": 1.0, "evaluations_per_call": 1}
    assert told["reference"]["pictures"] == len(open_images(subject.recipe.data, "val"))
    assert told["seconds"] > 0
    assert found.summary()["never_rank_by"] == ["latents_frechet"]


def without_times(found: Evaluation) -> dict[str, Any]:
    told = found.summary()
    del told["protocol"]["seconds"]
    for r in told["rows"]:
        del r["seconds"]
        if "latents_frechet" in r["scores"]:  # a sum over pieces, which rounds by where they end
            r["scores"]["latents_frechet"]["value"] = round(r["scores"]["latents_frechet"]["value"], 9)
    return told


def test_one_seed_gives_the_same_numbers_with_and_without_a_cache_and_in_other_chunks(
    subject: Affine, found: Evaluation, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("trainers.evaluation.samples.BATCH", {"cpu": 50})
    assert without_times(run(subject, SMALL)) == without_times(found)
    other = run(subject, SMALL, seed=1, measures=("one-nn",))
    assert row(other, "euler 4").scores["one_nn"] != row(found, "euler 4").scores["one_nn"]


def test_a_chunk_boundary_changes_nothing_but_rounding(subject: Affine, cache: Path, monkeypatch: pytest.MonkeyPatch):
    options = Options(nfe=(4,), count=150, measures=("frechet", "solver-error", "latents"), flow_count=70)
    whole = run(subject, options, cache)
    monkeypatch.setattr("trainers.evaluation.samples.BATCH", {"cpu": 40})
    cut = run(subject, options, cache)
    for name in ("frechet", "latents_frechet"):
        assert abs(row(cut, "euler 4").scores[name].value / row(whole, "euler 4").scores[name].value - 1) < 1e-6
    one, two = (row(f, "euler 4").solver_error for f in (cut, whole))
    assert one is not None
    assert two is not None
    assert abs(one["rmse"] - two["rmse"]) < 1e-5


def test_copied_training_pictures_are_found_and_named(subject: Affine, cache: Path):
    images = open_images(subject.recipe.data, "train")
    pixels = torch.from_numpy(images.read(range(60)).pixels)

    class Copying(Affine):
        """Every sample is a training picture."""

        def decode(self, x: torch.Tensor) -> torch.Tensor:
            return pixels[torch.arange(len(x)) % 60]

    found = run(Copying(subject.means, subject.normalisation), Options(nfe=(1,), count=60, measures=("nearest",)), cache)
    copied = row(found, "euler 1")
    assert copied.scores["memorisation_ratio"].value == 0
    assert copied.closest[0]["distance"] == 0
    assert {(c["picture"], c["name"]) for c in copied.closest} <= {(i, images.name(i)) for i in range(60)}
    honest = run(subject, Options(nfe=(4,), count=60, measures=("nearest",)), cache)
    assert row(honest, "euler 4").scores["memorisation_ratio"].value > 0.5


def test_compared_with_the_training_split_the_held_out_pictures_are_the_other_ones(subject: Affine, cache: Path):
    found = run(subject, Options(nfe=(4,), count=60, split="train", measures=("nearest", "real", "one-nn", "frechet")), cache)
    assert found.protocol["reference"]["pictures"] == len(open_images(subject.recipe.data, "train"))
    against_val = run(subject, Options(nfe=(4,), count=60, measures=("nearest",)), cache)
    assert row(found, "euler 4").scores["memorisation_ratio"] == row(against_val, "euler 4").scores["memorisation_ratio"]


def test_published_statistics_take_the_place_of_the_split_and_need_no_data(
    subject: Affine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    images = open_images(subject.recipe.data, "val")
    real = torch.from_numpy(images.read(range(len(images))).pixels).reshape(-1, 64).double() / 255
    np.savez(tmp_path / "digits.npz", mu=real.mean(0).numpy(), sigma=np.cov(real.numpy().T))
    options = Options(nfe=(4,), count=200, measures=("frechet",))
    known = row(run(subject, options), "euler 4").scores["frechet"]
    monkeypatch.setattr("trainers.evaluation.real_pictures.open_images", lambda *_: pytest.fail("data were opened"))
    found = run(subject, options, reference=tmp_path / "digits.npz")
    assert abs(row(found, "euler 4").scores["frechet"].value - known.value) < 1e-9
    assert found.protocol["reference"]["published"]["file"] == "digits.npz"
    assert len(found.protocol["reference"]["published"]["hash"]) == 64
    np.savez(tmp_path / "inception.npz", mu=np.zeros(2048), sigma=np.eye(2048))
    with pytest.raises(ValueError, match="of 2048 features and these are 64"):
        run(subject, options, reference=tmp_path / "inception.npz")


def test_the_clip_score_tells_pictures_from_their_class_names(subject: Affine, cache: Path, tmp_path: Path):
    from tests.trainers.evaluation.test_features import saved_clip

    clip = str(saved_clip(tmp_path))
    found = run(subject, Options(nfe=(4,), count=40, clip=clip, measures=("clip",)), cache)
    score = row(found, "euler 4").scores["clip"]
    assert 0 <= score.value <= 100
    assert score.error is not None
    assert found.protocol["clip"]["name"] == clip


class Encoder:
    """Each text to numbers of its own; remembers what it was told."""

    rows, width = 1, 4

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, texts: list[str]) -> torch.Tensor:
        self.texts += texts
        return torch.tensor([[[float(len(t)), float(sum(map(ord, t))), 1.0, 0.0]] for t in texts])


def telling(monkeypatch: pytest.MonkeyPatch) -> tuple[Affine, Encoder]:
    """A stand-in that is told captions, over the emoji at 8 px in grey."""
    import dataclasses

    blind, encoder = affine(told=False), Encoder()
    data = dataclasses.replace(blind.recipe.data, reader="emoji", condition="text")
    monkeypatch.setattr("trainers.text.load_encoder", lambda options: encoder)

    class Telling(Affine):
        """Checks that every sample has its caption."""

        def velocity(self, x: torch.Tensor, t: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
            assert condition is not None
            assert condition.shape == (len(x), 1, 4)
            return super().velocity(x, t)

    recipe = dataclasses.replace(blind.recipe, data=data)
    return Telling(blind.means, blind.normalisation, told=False, recipe=recipe), encoder


def test_a_text_model_is_told_captions_of_the_split_each_picture_once(monkeypatch: pytest.MonkeyPatch):
    subject, encoder = telling(monkeypatch)
    images = open_images(subject.recipe.data, "val")
    found = run(subject, Options(nfe=(1,), count=len(images), measures=("one-nn", "likelihood"), likelihood_count=3))
    captions = sorted(c for own in images.captions or () for c in own)
    told = encoder.texts[PIECE:]  # after those that the forecast is made with
    assert sorted(told[: len(images)]) == captions
    assert told[: len(images)] != [c for own in images.captions or () for c in own]
    assert len(told) == len(images) + 3  # and the first captions of the pictures whose likelihood is measured
    assert found.likelihood is not None
    assert found.protocol["labels_law"] == "one caption of each picture of split val, in random order"


def test_pictures_through_a_coarse_autoencoder_are_told_from_real_ones(subject: Affine, cache: Path):
    import dataclasses

    class Coarse(Affine):
        """Keeps two levels."""

        def encode(self, pixels: torch.Tensor) -> torch.Tensor:
            return super().encode((pixels > 127).to(torch.uint8) * 255)

    recipe = dataclasses.replace(subject.recipe, autoencoder=dataclasses.replace(subject.recipe.autoencoder, kind="taef2"))
    coarse = Coarse(subject.means, subject.normalisation, recipe=recipe)
    object.__setattr__(coarse, "autoencoder", subject.autoencoder)
    found = run(coarse, Options(nfe=(1,), count=200, measures=("one-nn", "frechet", "real", "round-trip")), cache)
    assert [r.name for r in found.rows][:2] == ["real against real", "round trip"]
    trip, real = (row(found, name).scores for name in ("round trip", "real"))
    assert trip["one_nn"].value > real["one_nn"].value + 0.1
    assert trip["frechet"].value > 3 * real["frechet"].value


def test_where_there_is_one_split_alone_its_halves_stand_for_real_against_real(subject: Affine, cache: Path):
    import dataclasses

    alone = dataclasses.replace(subject.recipe, data=dataclasses.replace(subject.recipe.data, held_out_split="train"))
    found = run(
        dataclasses.replace(subject, recipe=alone), Options(nfe=(1,), count=60, measures=("one-nn", "frechet", "real", "nearest")), cache
    )
    real = row(found, "real against real, halves")
    assert real.count == len(open_images(alone.data, "train")) // 2
    assert real.scores["frechet"].value < 0.2
    assert "memorisation_ratio" not in row(found, "euler 1").scores


def test_too_few_pictures_for_the_features_are_said(subject: Affine, cache: Path):
    found = run(subject, Options(nfe=(1,), count=60, measures=("frechet",)), cache)
    assert any("n = 60 is no more than the 64 dimensions" in note for note in found.notes)
    assert row(found, "euler 1").scores["frechet"].error is None
    enough = run(subject, Options(nfe=(4,), count=200, measures=("frechet",)), cache)
    assert not any("no more than" in note for note in enough.notes)
    assert row(enough, "euler 4").scores["frechet"].error is not None


def test_a_prior_without_density_leaves_a_note_and_no_likelihood(subject: Affine, cache: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: Any) -> None:
        raise ValueError("class 3 has a singular covariance")

    monkeypatch.setattr("lab.priors.Gaussian.log_prob", refuse)
    found = run(subject, Options(nfe=(1,), count=20, measures=("likelihood",), likelihood_count=2), cache)
    assert found.likelihood is None
    assert "no likelihood: class 3 has a singular covariance" in found.notes


def test_a_field_too_stiff_for_the_tolerance_leaves_a_note_and_no_solver_error(
    subject: Affine, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("dopri5 could not hold atol=1e-06")

    monkeypatch.setattr("trainers.evaluation.protocol.follow", refuse)
    found = run(subject, Options(nfe=(1, 4), count=20, measures=("solver-error", "flow")), cache)
    assert found.flow is None
    assert row(found, "euler 4").solver_error is None
    assert [note for note in found.notes if "exact" in note] == [
        "no exact end points, so no solver error and no measures of the flow: dopri5 could not hold atol=1e-06"
    ]


def test_samples_that_are_not_finite_are_an_error_that_names_the_row(subject: Affine):
    class Diverged(Affine):
        """NaN everywhere."""

        def velocity(self, x: torch.Tensor, t: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
            return x * torch.nan

    with pytest.raises(ValueError, match=r"euler 1: 20 of 20 samples are not finite"):
        run(Diverged(subject.means, subject.normalisation), Options(nfe=(1,), count=20, measures=("frechet",)))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"nfe": (3,), "solver": "heun"}, "nfe=3 cannot be used exactly by heun; nearest: 2 or 4"),
        ({"nfe": (2,), "solver": "heun", "guidance": 2.0}, "two a step for guidance, cannot be used exactly by heun; nearest: 4"),
        ({"solver": "dopri5"}, "give --adaptive"),
        ({"solver": "ddpm"}, "for models trained as DDPM"),
        ({"solver": "huen"}, "solver='huen' is unknown"),
        ({"measures": ("frechett",)}, "did you mean 'frechet'"),
        ({"measures": ("clip",)}, "--clip FOLDER"),
        ({"count": 5}, "n=5 must be a whole number of at least 20"),
        ({"keep": 0}, "keep=0 must be a whole number of at least 20"),
        ({"exact": 0.0}, "--exact 0 must be between 0 and 1"),
        ({"grid": "unifrom"}, "did you mean 'uniform'"),
        ({"split": "tset"}, "'tset' is neither train nor val"),
        ({"features": "efficientnet"}, "did you mean 'efficientnet-lite0'"),
        ({"reference": Path("absent.npz")}, "absent.npz is missing"),
    ],
)
def test_bad_options_are_refused_before_anything_slow(
    subject: Affine, changes: dict[str, Any], match: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("trainers.evaluation.samples.sample", lambda *_, **__: pytest.fail("samples were drawn"))
    with pytest.raises(ValueError, match=match):
        run(subject, Options(nfe=(1,), count=40), **changes)


def test_a_model_that_is_told_nothing_has_neither_guidance_nor_clip_score(cache: Path):
    import dataclasses

    blind = affine(told=False)
    recipe = dataclasses.replace(blind.recipe, data=dataclasses.replace(blind.recipe.data, condition="none"))
    blind = dataclasses.replace(blind, recipe=dataclasses.replace(recipe, sampling=dataclasses.replace(recipe.sampling, guidance=2.0)))
    with pytest.raises(ValueError, match="this one has none"):
        run(blind, Options(nfe=(1,), count=40, guidance=2.0))
    with pytest.raises(ValueError, match="leave --clip out"):
        run(blind, Options(nfe=(1,), count=40, clip="folder"))
    found = run(blind, Options(nfe=(4,), count=40, measures=("one-nn",)), cache)
    assert found.protocol["labels_law"].startswith("none")
    assert found.protocol["guidance"]["scale"] == 1


def test_as_many_samples_as_the_recipe_says_unless_given(subject: Affine):
    assert run(subject, Options(nfe=(1,), measures=("solver-error",), flow_count=2)).protocol["n"] == 100


def test_budgets_unless_given_are_those_that_the_solver_can_use(subject: Affine):
    found = run(subject, Options(count=20, solver="heun", guidance=2.0, measures=("solver-error",), flow_count=4))
    assert [r.nfe for r in found.rows] == [4, 8, 16, 32]


def test_exact_ends_are_ten_times_finer_than_the_adaptive_row_unless_told(subject: Affine):
    assert plan(subject, Options()).exact == 1e-5
    assert plan(subject, Options(adaptive=True)).exact == pytest.approx(1e-6)
    assert plan(subject, Options(adaptive=True, tolerance=1e-3)).exact == 1e-5
    assert plan(subject, Options(adaptive=True, exact=1e-4)).exact == 1e-4


def test_rows_are_told_as_they_come(subject: Affine, cache: Path):
    said: list[str] = []
    evaluate(subject, Options(nfe=(1, 2), count=30, measures=("frechet", "prior"), cache=cache), say=said.append)
    assert [line.partition(":")[0] for line in said if "frechet" in line] == ["prior alone", "euler 1", "euler 2"]


def test_a_recipe_that_samples_adaptively_has_that_row_and_a_ladder_of_eulers(subject: Affine):
    own = replace(subject, recipe=replace(subject.recipe, sampling=replace(subject.recipe.sampling, solver="dopri5")))
    found = run(own, Options(count=20, measures=("solver-error",), flow_count=2))
    assert [r.name for r in found.rows] == [*(f"euler {n}" for n in (1, 2, 4, 8, 16, 32)), "dopri5 at 1e-05"]
    assert found.protocol["adaptive"] == {"solver": "dopri5", "atol": 1e-5, "rtol": 1e-5}
    with pytest.raises(ValueError, match="dopri5 chooses its own evaluations"):
        run(own, Options(solver="dopri5"))


def test_the_table_has_every_row_the_protocol_and_the_warning(found: Evaluation):
    printed = table(found)
    lines = printed.splitlines()
    assert "digits-affine at step 7, weights ema (aaaaaaaaaaaa); n = 200, seed 0, guidance off" in lines[0]
    assert all(any(line.startswith(r.name) for line in lines) for r in found.rows)
    assert "1-NN (.5 is ideal)" in printed
    assert "* never to be ranked by" in printed
    assert "straightness" in printed
    assert "nats per dimension of the latent" in printed
    head = next(line for line in lines if "1-NN" in line)
    assert all(len(line) == len(head) for line in lines if line.startswith(("euler", "prior", "real", "dopri5")))
