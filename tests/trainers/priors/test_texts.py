"""CPD's text prior: what the mapper explains, what it has not seen, where sigma comes from, and that a seed gives the same bytes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lab.priors import TextGaussian
from tests.trainers.priors.caches import Captions, MemoryCache, text_cache, text_recipe
from trainers.priors import fit_prior
from trainers.priors.cross_fitting import FoldMappers, fold_of
from trainers.priors.mapper import TextMapper
from trainers.priors.mapper_training import Embeddings, Texts, residual
from trainers.priors.visits import Visits

TRAIN, HELD_OUT = text_cache(300, 1), text_cache(150, 2)


@pytest.fixture(scope="module")
def fitted():
    return fit_prior(text_recipe(), TRAIN, HELD_OUT)


def states(cache: MemoryCache, index: torch.Tensor) -> torch.Tensor:
    """Of the first caption of each item."""
    assert cache.captions is not None
    return cache.captions.states(cache.captions.pick(index, torch.zeros(len(index))))


def centres(prior, cache: MemoryCache, index: torch.Tensor, training: bool) -> torch.Tensor:
    z = torch.zeros(len(index), *cache.shape)
    return prior.for_training(z, states(cache, index), index) if training else prior.from_normals(z, states(cache, index))


def test_the_mapper_explains_most_of_what_captions_tell(fitted):
    """Captions tell the whole latent but for noise of variance 1/4, which is all that may be left."""
    most = 1 - 0.25 / float(HELD_OUT.x.flatten(1).var(0).mean())
    found = fitted.report["explained_variance"]
    assert 0.7 * most < found["cross_fitted"] < most
    assert 0.7 * most < found["held_out"] < most + 0.03
    nats = fitted.report["held_out"]["nats_per_dimension"]
    assert nats["prior"] > nats["pooled_gaussian"] + 0.2


def test_captions_that_tell_nothing_explain_nothing():
    found = fit_prior(text_recipe(), text_cache(300, 1, informed=0), text_cache(150, 2, informed=0)).report
    assert -0.05 < found["explained_variance"]["cross_fitted"] < 0.02
    assert abs(found["held_out"]["nats_per_dimension"]["prior"] - found["held_out"]["nats_per_dimension"]["pooled_gaussian"]) < 0.02


@pytest.mark.parametrize("folds", [2, 3])
def test_an_items_training_prior_does_not_move_whatever_its_latent_is(folds):
    """The theorem of cross-fitting: its mapper never saw it, so that an outlier leaves its own prior where it was, bit for bit, and moves those of others."""
    recipe, odd = text_recipe(folds=folds, mapper_steps=40), 17
    x = TRAIN.x.clone()
    x[odd] += 1000
    one, other = (fit_prior(recipe, cache, HELD_OUT) for cache in (TRAIN, replace(TRAIN, x=x)))
    index = torch.tensor([odd])
    assert torch.equal(centres(one, TRAIN, index, True), centres(other, TRAIN, index, True))
    fold = fold_of(0, torch.arange(len(TRAIN)), folds)
    same, others = torch.nonzero(fold == fold[odd])[:, 0], torch.nonzero(fold != fold[odd])[:, 0]
    assert torch.equal(centres(one, TRAIN, same, True), centres(other, TRAIN, same, True))
    moved = (centres(other, TRAIN, others, True) - centres(one, TRAIN, others, True)).flatten(1).norm(dim=1)
    assert moved.min() > 0.1
    assert (centres(other, TRAIN, index, False) - centres(one, TRAIN, index, False)).norm() > 0.1


def test_items_are_in_folds_by_the_counter_with_all_their_captions():
    index = torch.arange(3000)
    folds = fold_of(5, index, 3)
    assert torch.equal(fold_of(5, index[[7, 2999]], 3), folds[[7, 2999]])
    assert torch.bincount(folds).tolist() == pytest.approx([1000] * 3, abs=100)
    assert not torch.equal(folds, fold_of(6, index, 3))


def test_training_takes_the_folds_own_mapper_and_sampling_the_mean_of_all(fitted):
    mappers, sigma, index = fitted.mappers, fitted.report["sigma"]["value"], torch.arange(20)
    e, z = states(TRAIN, index), torch.randn(20, 2, 3, 3)
    with torch.no_grad():
        each = torch.stack([mapper(e[:, 0]) for mapper in mappers.mappers])
    fold = fold_of(0, index, 2)
    assert 0 < int(fold.sum()) < 20
    assert torch.allclose(fitted.for_training(z, e, index), each[fold, index] + sigma * z, atol=1e-6)
    assert torch.allclose(fitted.from_normals(z, e), each.mean(0) + sigma * z, atol=1e-6)
    assert torch.equal(fitted.from_normals(z, e), fitted.from_normals(z, e[:, 0]))


def test_sigma_is_the_root_mean_squared_residual_of_items_under_mappers_that_did_not_see_them():
    train, held_out = text_cache(300, 1, captions=1), text_cache(150, 2, captions=1)
    fitted = fit_prior(text_recipe(), train, held_out)
    index = torch.arange(len(train))
    residuals = (centres(fitted, train, index, True) - train.x).double()
    assert fitted.report["sigma"]["value"] == pytest.approx(float(residuals.square().mean().sqrt()), rel=1e-5)
    one = fit_prior(text_recipe(folds=1), train, held_out)
    residuals = (centres(one, held_out, torch.arange(len(held_out)), False) - held_out.x).double()
    assert one.report["sigma"]["value"] == pytest.approx(float(residuals.square().mean().sqrt()), rel=1e-5)
    assert "cross_fitted" not in one.report["explained_variance"]
    assert torch.equal(centres(one, train, index, True), centres(one, train, index, False))


def test_a_given_sigma_is_taken_and_scale_multiplies_it():
    recipe = text_recipe(sigma=0.7, scale=2.0, mapper_steps=5)
    fitted = fit_prior(recipe, TRAIN, HELD_OUT)
    assert fitted.report["sigma"] == {"value": 1.4, "from": "given"}
    assert isinstance(fitted.prior, TextGaussian)
    assert fitted.prior.sigma == 1.4


def test_a_seed_gives_the_same_bytes_and_another_seed_others(fitted, tmp_path):
    state = torch.get_rng_state()
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        torch.randn(7)  # torch's own numbers play no part
        fit_prior(text_recipe(seed=seed), TRAIN, HELD_OUT).save(tmp_path / name)
    one, two, three = ((tmp_path / name).read_bytes() for name in ("one", "two", "three"))
    assert one == two != three
    fitted.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == one
    torch.set_rng_state(state)
    fit_prior(text_recipe(mapper_steps=3), TRAIN, HELD_OUT)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_weights_of_least_held_out_loss_are_kept(fitted):
    captions = HELD_OUT.captions
    texts = Texts(Visits(HELD_OUT, text_recipe()), Embeddings(captions))
    for mapper, found in zip(fitted.mappers.mappers, fitted.report["mappers"], strict=True):
        losses = dict(map(tuple, found["curve"]))
        held = texts.all("held out", torch.ones(len(HELD_OUT), dtype=torch.bool))
        loss = residual(lambda e, index, mapper=mapper: mapper(e), held)
        assert loss == pytest.approx(min(losses.values()), rel=1e-6)
        assert losses[found["best_step"]] == min(losses.values())
        assert next(iter(losses)) == 0


def test_a_fit_says_what_it_is_about_to_do_and_how_each_mapper_went():
    said: list[str] = []
    fitted = fit_prior(text_recipe(mapper_steps=30), TRAIN, HELD_OUT, say=said.append)
    assert said[0] == "text mappers: 2 to train on 300 items with captions, each in at most 30 steps of 64"
    for f, (line, mapper) in enumerate(zip(said[1:3], fitted.report["mappers"], strict=True)):
        losses = dict(map(tuple, mapper["curve"]))
        assert line.startswith(f"text mapper {f + 1} of 2: held-out loss {losses[0]:.4f} at first, {min(losses.values()):.4f} after ")
    assert said[3].startswith("text-gaussian prior: fitted to 300 items in ")


def test_training_ends_early_where_held_out_items_gain_nothing():
    recipe = text_recipe(mapper_steps=4000, mapper_batch=16)
    found = fit_prior(recipe, text_cache(60, 1, noise=2.0, informed=0), HELD_OUT).report["mappers"]
    assert all(mapper["curve"][-1][0] <= 1000 for mapper in found)


def test_the_loss_before_the_first_step_is_the_variance_about_the_mean_of_the_mappers_own_items(fitted):
    fold = fold_of(0, torch.arange(len(TRAIN)), 2)
    for f, found in enumerate(fitted.report["mappers"]):
        own = TRAIN.x[fold != f]
        assert found["items"] == len(own)
        assert found["curve"][0][1] == pytest.approx(float((HELD_OUT.x - own.mean(0)).square().mean()), rel=1e-5)


def test_a_fresh_mapper_is_constant_and_drops_numbers_in_training_alone():
    mapper = TextMapper(6, 8, (2, 3), torch.Generator().manual_seed(0))
    mapper.start_from(torch.arange(6.0))
    e = torch.randn(5, 6)
    assert torch.equal(mapper(e), torch.arange(6.0).reshape(2, 3).expand(5, 2, 3))
    with torch.no_grad():
        mapper.last.weight.normal_()
    assert not torch.equal(mapper.train()(e), mapper(e))
    assert torch.equal(mapper.eval()(e), mapper(e))
    assert torch.allclose(
        mapper(100 * e + 3), mapper(e), atol=1e-3
    )  # embeddings are standardised: CLIP's are ten times as long as a sentence encoder's


def test_items_without_captions_are_not_learned_from():
    captions = TRAIN.captions
    counts = torch.where(torch.arange(300) < 200, 2, 0)
    cache = replace(TRAIN, captions=Captions(counts, torch.cat((captions.embeddings[:400], captions.embeddings[-1:]))))
    odd = replace(cache, x=torch.where((torch.arange(300) < 200).reshape(-1, 1, 1, 1), cache.x, 1000.0))
    one, other = (fit_prior(text_recipe(mapper_steps=20), c, HELD_OUT) for c in (cache, odd))
    assert sum(m["items"] for m in one.report["mappers"]) == 200
    assert all(torch.equal(a, b) for a, b in zip(one.prior.state().values(), other.prior.state().values(), strict=True))


def test_every_caption_is_drawn_and_each_is_read_once():
    train = replace(TRAIN, captions=Captions(TRAIN.captions.counts, TRAIN.captions.embeddings))
    fit_prior(text_recipe(mapper_steps=60), train, HELD_OUT)
    asked = torch.cat(train.captions.asked)
    assert len(asked) == len(asked.unique())
    assert len(asked) > 0.95 * 600


def test_mirrored_latents_are_learned_where_the_recipe_mirrors():
    """A mapper's constant start, which is the mean of what it is trained on, is then its own mirror image."""
    flipped = fit_prior(text_recipe(flip=True, mapper_steps=1, mapper_learning_rate=1e-9), TRAIN, HELD_OUT)
    still = fit_prior(text_recipe(mapper_steps=1, mapper_learning_rate=1e-9), TRAIN, HELD_OUT)
    x, y = (centres(f, TRAIN, torch.arange(1), False) for f in (flipped, still))
    assert (x - x.flip(-1)).abs().max() < 1e-5
    assert (y - y.flip(-1)).abs().max() > 0.01
    texts = Texts(Visits(TRAIN, text_recipe(flip=True)), Embeddings(TRAIN.captions))
    seen, _ = texts.draw(0, torch.tensor([3]), 0, 400)
    mirrored = (seen - TRAIN.x[3].flip(-1)).abs().flatten(1).amax(1) == 0
    assert 150 < int(mirrored.sum()) < 250
    assert bool(((seen - TRAIN.x[3]).abs().flatten(1).amax(1) == 0)[~mirrored].all())


@pytest.mark.parametrize("folds", [1, 2])
def test_without_a_held_out_split_a_fifth_stops_the_mappers_and_none_learns_from_it(folds):
    from trainers.priors.visits import fifth

    kept = fifth(0, len(TRAIN))
    fitted = fit_prior(text_recipe(folds=folds, mapper_steps=30), TRAIN, None)
    assert fitted.report["held_out"]["on"] == "a fifth of the training split"
    assert sum(m["items"] for m in fitted.report["mappers"]) == int((~kept).sum())
    assert fitted.report["held_out"]["items"] == int(kept.sum())


def test_the_density_is_that_of_the_law(fitted):
    index = torch.arange(10)
    e, x = states(HELD_OUT, index), HELD_OUT.x[index]
    mean, sigma = centres(fitted, HELD_OUT, index, False).double(), fitted.report["sigma"]["value"]
    wanted = -0.5 * ((x.double() - mean) / sigma).square().flatten(1).sum(1) - 18 * np.log(sigma * np.sqrt(2 * np.pi))
    assert (fitted.log_prob(x, e) - wanted).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("train", "options", "message"),
    [
        (TRAIN, {"mean": 0.5}, "prior.mean=0.5 is for priors of classes"),
        (
            MemoryCache(TRAIN.x[:2], captions=Captions(torch.tensor([1, 1]), TRAIN.captions.embeddings[:3])),
            {"folds": 9},
            "prior.folds=9 leaves a fold of the 2 items with captions empty",
        ),
        (TRAIN, {"mapper_learning_rate": 1e30}, "held-out loss is (nan|inf) after 2 steps; lower prior.mapper_learning_rate"),
    ],
)
def test_refusals(train, options, message):
    with pytest.raises(ValueError, match=message):
        fit_prior(text_recipe(**options), train, HELD_OUT)


def test_held_out_items_without_any_caption_are_refused():
    silent = replace(HELD_OUT, captions=Captions(torch.zeros(150, dtype=torch.int64), torch.zeros(1, 2, 16)))
    with pytest.raises(ValueError, match="no held-out item has a caption"):
        fit_prior(text_recipe(), TRAIN, silent)


def test_mappers_of_an_architecture_are_alike():
    architecture = FoldMappers([TextMapper(4, 8, (2, 3)) for _ in range(3)], 5).architecture()
    again = FoldMappers.of(architecture)
    assert again.architecture() == architecture
    assert len(again.mappers) == 3
