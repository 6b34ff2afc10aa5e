"""Mixtures for each class: densities against scipy, clusters that are there, dimensions in which no covariance could be inverted."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp

from lab.priors import ClassGaussian, ClassMixture
from lab.priors.covariances import Full
from lab.random import generator
from tests.trainers.priors.caches import MemoryCache, gaussian_cache, numbers, recipe
from trainers.priors import fit_prior
from trainers.priors.clustering import k_means


def blobs(d: int, members: int, split: int = 0) -> MemoryCache:
    """Two classes: the first of two blobs, three members in four being in the one at +4, the second of one blob."""
    draw = generator(split, 5)
    where = torch.zeros(2 * members, d)
    labels = torch.arange(2).repeat_interleave(members)
    where[:members, 0] = torch.where(torch.arange(members) % 4 == 0, -4.0, 4.0)
    return MemoryCache(where + torch.randn(2 * members, d, generator=draw) / d**0.5, labels, ("two", "one"))


def fit(train: MemoryCache, held_out: MemoryCache | None, **options: Any) -> Any:
    return fit_prior(recipe(**{"kind": "class-mixture", "covariance": "low-rank", "rank": 2, "components": 2} | options), train, held_out)


def mixture(d: int = 4) -> ClassMixture:
    """Three components of class 0, one of class 1, two of class 2."""
    roots = torch.eye(d, dtype=torch.float64) + numbers(6, d, d, seed=7) / 3
    weights = torch.tensor([0.2, 0.5, 0.3, 1.0, 0.9, 0.1], dtype=torch.float64)
    return ClassMixture(ClassGaussian.of(numbers(6, d, seed=8), Full.of(roots @ roots.mT)), weights, torch.tensor([0, 0, 0, 1, 2, 2]))


def normal(mean: torch.Tensor, covariance: torch.Tensor) -> Any:
    return stats.multivariate_normal(mean.numpy(), covariance.numpy())  # pyright: ignore[reportArgumentType]  # typed as a number


def test_the_density_is_scipys():
    prior, x = mixture(), numbers(7, 4, seed=9)
    covariances = prior.gaussians.spread.source(torch.arange(6))
    for c, components in enumerate(([0, 1, 2], [3], [4, 5])):
        laws = [normal(prior.gaussians.means[k], covariances[k]) for k in components]
        wanted = logsumexp(
            [law.logpdf(x.numpy()) + np.log(float(prior.weights[k])) for k, law in zip(components, laws, strict=True)], axis=0
        )
        assert np.abs(prior.log_prob(x, torch.full((7,), c)).numpy() - wanted).max() < 1e-10


def test_uniform_numbers_choose_components_by_their_weights_within_the_class():
    prior = mixture()
    u = torch.tensor([0.0, 0.199, 0.201, 0.699, 0.701, 1.0], dtype=torch.float64)
    assert prior.choose(torch.zeros(6, dtype=torch.int64), u).tolist() == [0, 0, 1, 1, 2, 2]
    assert prior.choose(torch.ones(6, dtype=torch.int64), u).tolist() == [0] * 6
    assert prior.choose(torch.full((6,), 2), u).tolist() == [0, 0, 0, 0, 0, 1]
    z = numbers(6, 4)
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    wanted = prior.gaussians.from_normals(z, prior.choose(labels, u) + torch.tensor([0, 3, 4])[labels])
    assert torch.equal(prior.from_normals(z, labels, uniforms=u), wanted)


def test_two_clusters_of_a_class_become_two_components_with_their_shares():
    train, held_out = blobs(6, 200, 1), blobs(6, 200, 2)
    fitted = fit(train, held_out)
    assert fitted.report["members"] == [200, 200]
    assert sorted(fitted.report["shares"][0]) == pytest.approx([0.25, 0.75])
    own = fitted.prior.gaussians.means[:2, 0]
    assert own.sort().values.tolist() == pytest.approx([-4, 4], abs=0.2)
    one = fit(train, held_out, kind="class-gaussian")
    nats = [f.report["held_out"]["nats_per_dimension"]["prior"] for f in (fitted, one)]
    assert nats[0] > nats[1] + 0.1
    x = fitted.from_normals(numbers(400, 6).float(), torch.zeros(400, dtype=torch.int64), uniforms=(torch.arange(400) + 0.5) / 400)
    assert float((x[:, 0] > 0).double().mean()) == pytest.approx(0.75, abs=0.01)
    assert float((x[:, 0].abs() < 2).double().mean()) < 0.01


@pytest.mark.parametrize("held", [True, False])
def test_in_thousands_of_dimensions_with_few_members(held):
    train = blobs(2048, 60, 1)
    fitted = fit(train, blobs(2048, 60, 2) if held else None)
    found = fitted.report["held_out"]["nats_per_dimension"]
    assert found["prior"] > found["standard"] + 2
    assert sorted(fitted.report["shares"][0]) == pytest.approx([0.25, 0.75])
    assert fitted.report["members"] == [60, 60]
    x = fitted.from_normals(numbers(40, 2048).float(), torch.zeros(40, dtype=torch.int64), uniforms=(torch.arange(40) + 0.5) / 40)
    assert int((x[:, 0] > 3).sum()) == 30
    assert int((x[:, 0] < -3).sum()) == 10
    assert bool(torch.isfinite(fitted.log_prob(train.x, train.labels)).all())


def test_a_mirrored_visit_belongs_to_the_cluster_that_it_is_nearest_to():
    """Blobs at -4 and 4 of the last axis, in which a mirror image is the other one: both clusters get half of the visits."""
    x = torch.zeros(200, 1, 2) + 0.1 * numbers(200, 1, 2).float()
    x[:, 0, 0] += torch.where(torch.arange(200) % 4 == 0, -4.0, 4.0)
    cache = MemoryCache(x, torch.zeros(200, dtype=torch.int64), ("a",))
    shares = [
        fit_prior(recipe(kind="class-mixture", covariance="full", components=4, rank=2, flip=flip), cache, cache).report["shares"][0]
        for flip in (True, False)
    ]
    assert sorted(shares[0]) == pytest.approx([0.125, 0.125, 0.375, 0.375])
    assert len(shares[1]) == 4


def test_one_component_is_the_class_gaussian():
    train, held_out = gaussian_cache((6,), split=1), gaussian_cache((6,), split=2)
    options = {"components": 1, "covariance": "full"}
    one, same = fit(train, held_out, **options), fit(train, held_out, kind="class-gaussian", covariance="full")
    assert (one.log_prob(held_out.x, held_out.labels) - same.log_prob(held_out.x, held_out.labels)).abs().max() < 1e-12
    assert one.report["held_out"] == same.report["held_out"]


def test_small_and_empty_classes_get_fewer_components():
    train = gaussian_cache((6,), classes=3, members=60, split=1)
    kept = torch.nonzero((train.labels == 0) | ((train.labels == 1) & (torch.arange(180) < 60)))[:, 0]
    cache = MemoryCache(train.x[kept], train.labels[kept], train.classes)
    fitted = fit(cache, gaussian_cache((6,), split=2), components=4)
    members = fitted.report["members"]
    assert [len(shares) for shares in fitted.report["shares"]] == [4, max(1, members[1] // 10), 1]
    assert fitted.report["missing"] == [2]
    assert members[2] == 0
    assert (fitted.prior.gaussians.means[-1] - cache.x.float().double().mean(0)).abs().max() < 1e-9


@pytest.mark.parametrize("clusters", [1, 2, 5])
def test_k_means_finds_separated_clusters_and_leaves_none_empty(clusters):
    truth = torch.arange(100) % clusters
    points = 10 * torch.nn.functional.one_hot(truth, 5).double() + numbers(100, 5)
    found = k_means(points, clusters, generator(0))
    assert len({(int(a), int(b)) for a, b in zip(truth, found, strict=True)}) == clusters
    crowded = torch.cat((torch.zeros(50, 2), torch.tensor([[1.0, 0], [0, 1], [1, 1], [9, 9]]))).double()
    assert torch.bincount(k_means(crowded, 5, generator(0)), minlength=5).min() > 0


def test_k_means_is_as_tight_as_scikit_learns():
    from sklearn.cluster import KMeans

    points = numbers(300, 3, seed=4)
    found = k_means(points, 6, generator(1))
    spread = sum(float((points[found == k] - points[found == k].mean(0)).square().sum()) for k in range(6))
    theirs: Any = KMeans
    assert spread < 1.02 * theirs(6, n_init=20, random_state=0).fit(points.numpy()).inertia_


def test_refusals():
    prior, z = mixture(), numbers(3, 4)
    labels = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match="needs either uniforms= "):
        prior.from_normals(z, labels)
    with pytest.raises(ValueError, match=r"uniforms must lie in \[0, 1\]"):
        prior.from_normals(z, labels, uniforms=torch.tensor([0.1, 0.2, 1.1]))
    with pytest.raises(ValueError, match="holds class 3; the prior knows classes 0 to 2"):
        prior.from_normals(z, labels + 3, uniforms=torch.rand(3))
    with pytest.raises(ValueError, match="not Gaussian"):
        prior.gaussian_source(labels)
    with pytest.raises(ValueError, match=r"weights of class 0 must be non-negative and sum to 1, not to 0\.5"):
        ClassMixture(prior.gaussians, prior.weights / 2, prior.owner)
    with pytest.raises(ValueError, match="2 clusters cannot be made of 1 distinct points"):
        k_means(torch.ones(9, 2, dtype=torch.float64), 2, generator(0))
    fitted = fit_prior(recipe(kind="class-gaussian", covariance="full"), gaussian_cache((4,)), gaussian_cache((4,), split=1))
    with pytest.raises(ValueError, match="uniforms= is for class mixtures; a class-gaussian prior needs normal numbers alone"):
        fitted.from_normals(z, labels, uniforms=torch.rand(3))
