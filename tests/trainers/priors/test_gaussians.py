"""Gaussian priors over a cache: densities against scipy, moments against numpy, shrinkage against the truth, and what happens to classes with few members or none."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from lab.moments import SketchedMoments
from lab.priors import ClassGaussian, Gaussian
from tests.trainers.priors.caches import MemoryCache, gaussian_cache, numbers, recipe
from trainers.priors import fit_prior
from trainers.priors.class_statistics import Statistics
from trainers.priors.shrinkage import GRID
from trainers.priors.visits import fifth
from trainers.recipes.schema import DataOptions

SHAPE = (2, 2, 2)
TRAIN, HELD_OUT = gaussian_cache(SHAPE, split=1), gaussian_cache(SHAPE, split=2)


def fit(cache: MemoryCache = TRAIN, held_out: MemoryCache | None = HELD_OUT, **options: Any) -> Any:
    return fit_prior(recipe(**options), cache, held_out)


def normal(points: np.ndarray, shrinkage: float = 0.0) -> Any:
    """scipy's law with the moments of points."""
    return stats.multivariate_normal(points.mean(0), shrunk(np.cov(points.T), shrinkage))  # pyright: ignore[reportArgumentType]  # typed as a number


def flat(cache: MemoryCache) -> np.ndarray:
    return cache.x.float().double().flatten(1).numpy()  # as the cache gives them


def shrunk(s: np.ndarray, share: float) -> np.ndarray:
    return (1 - share) * s + share * np.trace(s) / len(s) * np.eye(len(s))


@pytest.mark.parametrize("flip", [False, True])
def test_a_class_gaussian_is_scipys_normal_of_numpys_moments(flip):
    fitted = fit(kind="class-gaussian", covariance="full", shrinkage=0.2, flip=flip)
    x = flat(TRAIN)
    mirrored = TRAIN.x.flip(-1).float().double().flatten(1).numpy()
    for c in range(3):
        own = (TRAIN.labels == c).numpy()
        visits = np.concatenate((x[own], mirrored[own])) if flip else x[own]
        law = normal(visits, 0.2)
        found = fitted.log_prob(HELD_OUT.x, torch.full((len(HELD_OUT),), c))
        assert np.abs(found.numpy() - law.logpdf(HELD_OUT.x.flatten(1).numpy())).max() < 1e-8
    assert fitted.report["members"] == [60, 60, 60]


def test_the_report_gives_the_held_out_density_of_the_prior_of_the_normal_law_and_of_one_gaussian():
    fitted = fit(kind="class-gaussian", covariance="full")
    found = fitted.report["held_out"]["nats_per_dimension"]
    pooled = fit(kind="pooled-gaussian", covariance="full")
    x = torch.from_numpy(flat(HELD_OUT)).reshape(-1, *SHAPE)
    assert found["prior"] == pytest.approx(float(fitted.log_prob(x, HELD_OUT.labels).mean()) / 8, abs=1e-12)
    assert found["pooled_gaussian"] == pytest.approx(float(pooled.log_prob(x).mean()) / 8, abs=1e-12)
    assert found["standard"] == pytest.approx(float(stats.norm.logpdf(x.numpy()).mean()), abs=1e-12)
    assert found["standard"] < found["pooled_gaussian"] - 0.5 < found["prior"] - 0.5
    assert dict(map(tuple, fitted.report["shrinkage"]["curve"]))[fitted.prior.shrinkage] == found["prior"]


FORMS = ("none", "isotropic", "diagonal", "full", "pooled", "low-rank")


def closed_form(covariance: str, points: np.ndarray, labels: np.ndarray, share: float = 0.0) -> np.ndarray:
    """(C, D, D): covariances in this form of all classes from numpy's of each; those of rank D are the full ones."""
    own = np.stack([np.cov(points[labels == c].T) for c in np.unique(labels)])
    freedom = np.bincount(labels) - 1
    pooled = np.tensordot(freedom, own, 1) / freedom.sum()
    d = points.shape[1]
    of = {
        "none": lambda s: np.eye(d),
        "isotropic": lambda s: np.trace(s) / d * np.eye(d),
        "diagonal": lambda s: np.diag(np.diag(s)),
        "pooled": lambda s: pooled,
    }
    return np.stack([shrunk(of.get(covariance, lambda s: s)(s), share) for s in own])


def matrices(prior: Any) -> np.ndarray:
    """L L^T of every class from the affine map that draws its samples."""
    d = prior.prior.means[0].numel()
    eye, zero = torch.eye(d, dtype=torch.float64).reshape(d, *SHAPE), torch.zeros(d, *SHAPE, dtype=torch.float64)
    found = []
    for c in range(prior.prior.classes):
        label = torch.full((d,), c)
        root = (prior.from_normals(eye, label) - prior.from_normals(zero, label)).flatten(1)
        found.append((root.T @ root).numpy())
    return np.stack(found)


def unequal() -> MemoryCache:
    """Classes of 60, 40 and 20 members."""
    rank = torch.zeros(len(TRAIN), dtype=torch.int64)
    for c in range(3):
        rank[TRAIN.labels == c] = torch.arange(60)
    kept = rank < torch.tensor([60, 40, 20])[TRAIN.labels]
    return MemoryCache(TRAIN.x[kept], TRAIN.labels[kept], TRAIN.classes)


@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize("covariance", FORMS)
def test_the_samples_covariance_is_the_forms_closed_form(covariance, share):
    """Pooled is the mean of the classes' covariances by their degrees of freedom, n_c - 1; low rank of rank D, which needs some shrinkage, is full."""
    cache = unequal()
    fitted = fit(cache, kind="class-gaussian", covariance=covariance, shrinkage=max(share, 1e-9 * (covariance == "low-rank")), rank=8)
    wanted = closed_form(covariance, flat(cache), cache.labels.numpy(), 0 if covariance in ("none", "isotropic") else share)
    assert np.abs(matrices(fitted) - wanted).max() < 1e-7
    means = np.stack([flat(cache)[cache.labels.numpy() == c].mean(0) for c in range(3)])
    assert np.abs(fitted.prior.means.flatten(1).numpy() - means).max() < 1e-12


def test_a_small_class_takes_the_weighted_mean_of_all_classes_covariances_its_own_included():
    few = torch.cat((torch.nonzero(TRAIN.labels != 2)[:, 0], torch.nonzero(TRAIN.labels == 2)[:5, 0]))
    cache = MemoryCache(TRAIN.x[few], TRAIN.labels[few], TRAIN.classes)
    fitted = fit(cache, kind="class-gaussian", covariance="full", shrinkage=0.0)
    assert fitted.report["fell_back"] == [2]
    own, pooled = (closed_form(c, flat(cache), cache.labels.numpy()) for c in ("full", "pooled"))
    assert np.abs(matrices(fitted)[:2] - own[:2]).max() < 1e-9
    assert np.abs(matrices(fitted)[2] - pooled[2]).max() < 1e-9
    assert np.abs(fitted.prior.means[2].flatten().numpy() - flat(cache)[cache.labels.numpy() == 2].mean(0)).max() < 1e-12


@pytest.mark.parametrize("covariance", ["diagonal", "full", "low-rank"])
def test_one_pass_in_float64_is_two_passes_even_far_from_the_origin(covariance, monkeypatch):
    """Sums of squares of float32 latents at 1e4 would lose the variance of 1e-2; batches of seven."""
    x = (1e4 + 0.1 * TRAIN.x).float()
    far = MemoryCache(x, TRAIN.labels, TRAIN.classes)
    monkeypatch.setattr("trainers.priors.visits.BYTES", 7 * 8 * 4)
    fitted = fit(far, replace(HELD_OUT, x=1e4 + 0.1 * HELD_OUT.x), kind="class-gaussian", covariance=covariance, shrinkage=1e-9, rank=8)
    wanted = closed_form(covariance, flat(far), TRAIN.labels.numpy())
    assert np.abs(matrices(fitted) - wanted).max() < 1e-6 * np.abs(wanted).max()


def test_the_chosen_shrinkage_is_the_grids_own_argmax_of_the_held_out_likelihood():
    train, held = gaussian_cache(SHAPE, members=12, split=1), flat(HELD_OUT)
    found = fit(train, kind="class-gaussian", covariance="full").report["shrinkage"]
    x, labels, own = flat(train), train.labels.numpy(), HELD_OUT.labels.numpy()
    nats = []
    for share in GRID:
        laws = [normal(x[labels == c], share) for c in range(3)]
        nats.append(float(np.mean([laws[c].logpdf(p) for p, c in zip(held, own, strict=True)])) / 8)
    assert [value for value, _ in found["curve"]] == list(GRID)
    assert [density for _, density in found["curve"]] == pytest.approx(nats, abs=1e-6)
    assert found["value"] == GRID[int(np.argmax(nats))]
    assert 0 < found["value"] < 1


@pytest.mark.parametrize("members", [15, 40, 400])
def test_shrinkage_is_near_the_best_that_knowing_the_truth_would_choose(members):
    """E log N(x; m, S_l) over x ~ N(mu, Sigma) is -(tr S_l^-1 (Sigma + (m - mu)(m - mu)^T) + log det S_l) / 2, up to a constant."""
    d = 12
    mix = numbers(d, d, seed=3) / d**0.5 + torch.diag(torch.linspace(0.2, 2, d, dtype=torch.float64))
    truth = (mix @ mix.T).numpy()
    train, held_out = (
        MemoryCache(numbers(n, d, seed=s) @ mix.T, torch.zeros(n, dtype=torch.int64), ("a",)) for n, s in ((members, 1), (4000, 2))
    )
    chosen = fit(train, held_out, kind="class-gaussian", covariance="full").prior.shrinkage
    s, m = np.cov(flat(train).T), flat(train).mean(0)

    def expected(share: float) -> float:
        return -0.5 * (np.trace(np.linalg.solve(shrunk(s, share), truth + np.outer(m, m))) + np.linalg.slogdet(shrunk(s, share))[1])

    best = max(GRID[1:], key=expected)
    assert abs(GRID.index(chosen) - GRID.index(best)) <= 1
    assert expected(best) - expected(chosen) < 0.02


def test_more_members_need_less_shrinkage():
    found = [
        fit(
            gaussian_cache((12,), members=n), gaussian_cache((12,), members=500, split=9), kind="class-gaussian", covariance="full"
        ).prior.shrinkage
        for n in (15, 60, 1000)
    ]
    assert found[0] > found[1] > found[2]


@pytest.mark.parametrize("covariance", ["none", "isotropic", "diagonal", "full", "pooled", "low-rank"])
def test_given_shrinkage_is_taken_and_held_out_data_then_change_nothing_of_the_prior(covariance):
    options = {"kind": "class-gaussian", "covariance": covariance, "shrinkage": 0.3, "rank": 3}
    one, other = (fit(held_out=h, **options).prior.state() for h in (HELD_OUT, replace(HELD_OUT, x=100 * HELD_OUT.x)))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert float(one["shrinkage"]) == (0 if covariance in ("none", "isotropic") else 0.3)


@pytest.mark.parametrize("shrinkage", [0.001, 0.2, 0.5, 0.9, 1.0])
def test_low_rank_at_any_shrinkage_is_the_fit_at_that_shrinkage(shrinkage):
    """The directions are found once; the lab's own fit finds them for each."""
    moments = SketchedMoments(3, 8, 8)
    moments.update(TRAIN.x.float(), TRAIN.labels)
    direct = ClassGaussian.fit(moments, covariance="low-rank", shape=SHAPE, shrinkage=shrinkage, rank=3)
    found = fit(kind="class-gaussian", covariance="low-rank", rank=3, shrinkage=shrinkage)
    assert (found.log_prob(HELD_OUT.x, HELD_OUT.labels) - direct.log_prob(HELD_OUT.x, HELD_OUT.labels)).abs().max() < 1e-9


def test_one_pass_over_the_training_split_and_no_more():
    cache = replace(TRAIN, seen=[])
    fit(cache, kind="class-gaussian", covariance="low-rank", rank=2)
    assert cache.seen == list(range(len(cache)))


def test_without_a_held_out_split_a_fifth_is_kept_for_the_choice_and_then_fitted_to_as_well():
    fitted = fit(held_out=None, kind="class-gaussian", covariance="full")
    kept = fifth(0, len(TRAIN))
    assert 0.1 < kept.double().mean() < 0.3
    part = MemoryCache(TRAIN.x[~kept], TRAIN.labels[~kept], TRAIN.classes)
    rest = MemoryCache(TRAIN.x[kept], TRAIN.labels[kept], TRAIN.classes)
    before = fit(part, rest, kind="class-gaussian", covariance="full")
    assert fitted.report["held_out"]["nats_per_dimension"] == pytest.approx(before.report["held_out"]["nats_per_dimension"], abs=1e-9)
    assert fitted.report["held_out"]["on"] == "a fifth of the training split"
    after = fit(kind="class-gaussian", covariance="full", shrinkage=before.prior.shrinkage)
    assert (fitted.prior.means - after.prior.means).abs().max() < 1e-12
    assert (fitted.prior.spread.factors - after.prior.spread.factors).abs().max() < 1e-12


def test_a_held_out_split_that_is_the_training_split_holds_nothing_out():
    """Chosen on what was fitted to, shrinkage would be none."""
    same = replace(recipe(kind="class-gaussian", covariance="full"), data=DataOptions(flip=False, held_out_split="train"))
    found = fit_prior(same, TRAIN, TRAIN)
    assert found.report["held_out"] == fit(held_out=None, kind="class-gaussian", covariance="full").report["held_out"]
    assert found.report["shrinkage"]["value"] > 0


def test_mirrored_data_make_a_mirrored_prior_except_of_items_that_may_not_be_mirrored():
    fitted = fit(kind="class-gaussian", covariance="full", flip=True)
    mean = fitted.prior.means
    assert (mean - mean.flip(-1)).abs().max() < 1e-6
    still = fit(replace(TRAIN, mirrors=torch.zeros(len(TRAIN), dtype=torch.bool)), kind="class-gaussian", covariance="full", flip=True)
    assert (still.prior.means - still.prior.means.flip(-1)).abs().max() > 0.1
    half = fit(replace(TRAIN, mirrors=TRAIN.labels == 0), kind="class-gaussian", covariance="full", flip=True).prior
    assert (half.means[0] - mean[0]).abs().max() < 1e-12
    assert (half.means[1:] - still.prior.means[1:]).abs().max() < 1e-12
    assert half.counts.tolist() == [60, 60, 60]


@pytest.mark.parametrize("covariance", ["none", "isotropic", "diagonal", "full", "pooled", "low-rank"])
def test_a_class_without_members_takes_the_mean_of_all_and_the_pooled_covariance(covariance):
    some = TRAIN.labels != 1
    cache = MemoryCache(TRAIN.x[some], TRAIN.labels[some], TRAIN.classes)
    fitted = fit(cache, kind="class-gaussian", covariance=covariance, rank=2, shrinkage=0.1)
    x = torch.from_numpy(flat(cache)).reshape(-1, *SHAPE)
    assert (fitted.prior.means[1] - x.mean(0)).abs().max() < 1e-12
    assert fitted.report["missing"] == [1]
    assert fitted.report["fell_back"] == []
    assert fitted.report["members"] == [60, 0, 60]
    assert fitted.prior.counts.tolist() == [60, 0, 60]
    basis = torch.eye(8).reshape(8, *SHAPE)
    root = fitted.from_normals(basis, torch.ones(8, dtype=torch.int64)).double() - fitted.prior.means[1]
    within = (np.cov(flat(cache)[cache.labels == 0].T) + np.cov(flat(cache)[cache.labels == 2].T)) / 2
    assert float(root.square().sum()) == pytest.approx(
        8 if covariance == "none" else np.trace(within), rel=1e-5
    )  # every form has its trace


def test_classes_with_few_members_take_the_pooled_covariance_and_are_named():
    few = torch.cat((torch.nonzero(TRAIN.labels != 2)[:, 0], torch.nonzero(TRAIN.labels == 2)[:5, 0]))
    cache = MemoryCache(TRAIN.x[few], TRAIN.labels[few], TRAIN.classes)
    for flip in (False, True):  # a mirror image is no further member
        low = fit(cache, kind="class-gaussian", covariance="low-rank", rank=4, flip=flip)
        assert low.report["fell_back"] == [2]
        assert low.report["members"] == [60, 60, 5]
    assert fit(cache, kind="class-gaussian", covariance="low-rank", rank=3).report["fell_back"] == []
    assert fit(cache, kind="class-gaussian", covariance="diagonal").report["fell_back"] == []


@pytest.mark.parametrize("covariance", ["diagonal", "full", "pooled", "low-rank"])
def test_fewer_members_than_dimensions_have_a_density_all_the_same(covariance):
    train, held_out = gaussian_cache((4, 5, 5), members=20, split=1), gaussian_cache((4, 5, 5), members=30, split=2)
    found = fit(train, held_out, kind="class-gaussian", covariance=covariance, rank=5).report["held_out"]["nats_per_dimension"]
    assert found["prior"] > found["pooled_gaussian"] > found["standard"]


def test_a_pooled_gaussian_has_the_moments_of_all_data_and_ignores_the_condition():
    fitted = fit(kind="pooled-gaussian", covariance="full", shrinkage=0.0)
    law = normal(flat(TRAIN))
    assert np.abs(fitted.log_prob(HELD_OUT.x).numpy() - law.logpdf(HELD_OUT.x.flatten(1).numpy())).max() < 1e-9
    z = numbers(5, *SHAPE).float()
    blind = fitted.from_normals(z)
    for condition in (torch.tensor([0, 2, 1, 3, 9]), torch.randn(5, 3, 7)):
        assert torch.equal(fitted.from_normals(z, condition), blind)
        assert torch.equal(fitted.for_training(z, condition, torch.arange(5)), blind)
    source = fitted.gaussian_source()
    assert np.abs(source.covariance[0].numpy() - np.cov(flat(TRAIN).T)).max() < 1e-9


def test_the_scale_matched_prior_has_the_mean_variance_of_a_latents_numbers():
    fitted = fit(kind="scale-matched", scale=2.0)
    assert isinstance(fitted.prior, Gaussian)
    assert fitted.prior.scale == pytest.approx(2 * flat(TRAIN).var(0, ddof=1).mean() ** 0.5, rel=1e-12)
    assert fitted.prior.scale == fitted.report["deviation"]
    wanted = stats.norm.logpdf(flat(HELD_OUT), scale=fitted.prior.scale).mean()
    assert fitted.report["held_out"]["nats_per_dimension"]["prior"] == pytest.approx(wanted, rel=1e-9)


def test_the_standard_prior_reads_nothing():
    cache = replace(TRAIN, seen=[])
    fitted = fit(cache, kind="standard")
    z = numbers(4, *SHAPE).float()
    assert cache.seen == []
    assert torch.equal(fitted.from_normals(z, torch.arange(4)), z)
    assert "held_out" not in fitted.report


def test_mean_and_scale_move_and_stretch_the_prior_but_not_the_choice_of_shrinkage():
    plain, moved = (fit(kind="class-gaussian", covariance="full", mean=m, scale=s) for m, s in ((1.0, 1.0), (0.5, 2.0)))
    z, c = torch.zeros(3, *SHAPE, dtype=torch.float64), torch.arange(3)
    assert torch.allclose(moved.from_normals(z, c), 0.5 * plain.from_normals(z, c), atol=1e-12)
    z = numbers(3, *SHAPE)
    spread = [f.from_normals(z, c) - f.from_normals(0 * z, c) for f in (plain, moved)]
    assert torch.allclose(spread[1], 2 * spread[0], atol=1e-12)
    assert moved.prior.shrinkage == plain.prior.shrinkage
    assert moved.report["held_out"]["nats_per_dimension"]["prior"] < plain.report["held_out"]["nats_per_dimension"]["prior"]


def test_latents_are_drawn_from_the_posterior_where_the_recipe_draws_them():
    cache = MemoryCache(numbers(2000, 8), std=2.0)
    still, drawn = (fit(cache, kind="scale-matched", posterior=p).prior.scale for p in ("mean", "sample"))
    assert drawn**2 - still**2 == pytest.approx(4, rel=0.05)


def test_counts_of_classes_do_not_depend_on_how_the_pass_is_cut(monkeypatch):
    whole = fit(kind="class-gaussian", covariance="full").prior
    monkeypatch.setattr("trainers.priors.visits.BYTES", 7 * 8 * 4)
    pieces = fit(kind="class-gaussian", covariance="full").prior
    assert (whole.means - pieces.means).abs().max() < 1e-12
    assert (whole.spread.factors - pieces.spread.factors).abs().max() < 1e-12


def test_at_most_so_many_held_out_items_are_looked_at(monkeypatch):
    monkeypatch.setattr("trainers.priors.parts.MOST", 50)
    found = fit(kind="class-gaussian", covariance="full").report["held_out"]
    assert found["items"] == 45  # every fourth of 180
    assert fit(kind="pooled-gaussian", covariance="full").report["held_out"]["items"] == 45


@pytest.mark.parametrize(
    ("cache", "options", "message"),
    [
        (replace(TRAIN, labels=None), {"kind": "class-gaussian"}, "needs classes, and this cache has none; take pooled-gaussian"),
        (TRAIN, {"kind": "gauss"}, "prior.kind='gauss' is unknown"),
        (TRAIN, {"kind": "class-gaussian", "covariance": "fuller"}, "prior.covariance='fuller' is unknown; did you mean 'full'"),
        (
            TRAIN,
            {"kind": "class-gaussian", "covariance": "low-rank", "rank": 9},
            r"prior.rank=9 must lie in 1 to 8, the numbers of a latent \(2, 2, 2\)",
        ),
        (TRAIN, {"kind": "text-gaussian"}, "needs captions, and this cache has none"),
        (replace(TRAIN, x=TRAIN.x * torch.nan), {"kind": "scale-matched"}, "x must be finite"),
        (
            replace(TRAIN, x=TRAIN.x * 0),
            {"kind": "class-gaussian", "covariance": "full"},
            "members of some class are all alike; take prior.covariance=pooled",
        ),
    ],
)
def test_refusals(cache, options, message):
    with pytest.raises(ValueError, match=message):
        fit(cache, **options)


def test_too_few_items_to_hold_a_fifth_out_are_refused():
    with pytest.raises(ValueError, match="a cache of 1 items is too small to hold a fifth of them out; give it a held-out split"):
        fit(MemoryCache(TRAIN.x[:1], TRAIN.labels[:1], TRAIN.classes), None, kind="scale-matched")


@pytest.mark.parametrize(
    ("rank", "memory", "rows"),
    [(16, 2**30, 128), (40, 2**30, 160), (16, 8 * 10 * 512 * 40, 40), (30, 8 * 10 * 512 * 40, 60), (300, 2**30, 512)],
)
def test_sketches_have_as_many_rows_as_fit_but_twice_the_rank_and_no_more_than_dimensions(monkeypatch, rank, memory, rows):
    monkeypatch.setattr("trainers.priors.class_statistics.SKETCHES", memory)
    moments = Statistics(recipe(covariance="low-rank", rank=rank).prior, 10, (512,), 1).moments
    assert isinstance(moments, SketchedMoments)
    assert moments.sketch.shape == (10, rows, 512)


def test_a_fit_says_how_long_it_took_and_which_classes_fell_back():
    some = TRAIN.labels != 1
    said = []
    fit_prior(
        recipe(kind="class-gaussian", covariance="full"),
        MemoryCache(TRAIN.x[some], TRAIN.labels[some], TRAIN.classes),
        HELD_OUT,
        say=said.append,
    )
    assert len(said) == 1
    assert said[0].startswith("class-gaussian prior: fitted to 120 items in ")
    assert said[0].endswith("1 of 3 classes have no members: class 1")
