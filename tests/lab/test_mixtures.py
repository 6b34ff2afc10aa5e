"""Mixtures against scipy, the schedule's proportions, EM against scikit-learn, and one-pass moments."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp
from sklearn.mixture import GaussianMixture as SklearnMixture

from lab.em import EMResult, choose_components, fit_em
from lab.mixtures import GaussianMixture, schedule
from lab.moments import MomentAccumulator


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_mixture(k: int, d: int, seed: int = 0) -> GaussianMixture:
    g = generator(seed)
    a = torch.randn(k, d, d, dtype=torch.float64, generator=g)
    weights = torch.rand(k, dtype=torch.float64, generator=g) + 0.2
    means = 3 * torch.randn(k, d, dtype=torch.float64, generator=g)
    return GaussianMixture(weights / weights.sum(), means, a @ a.mT + 0.1 * torch.eye(d, dtype=torch.float64))


@pytest.mark.parametrize("d", [1, 2, 5])
def test_density_and_posterior_are_scipys(d):
    mixture, x = random_mixture(4, d), torch.randn(50, d, dtype=torch.float64, generator=generator(1))
    columns = [
        np.log(w) + stats.multivariate_normal(m, s).logpdf(x.numpy()).reshape(-1)
        for w, m, s in zip(mixture.weights.numpy(), mixture.means.numpy(), mixture.covariances.numpy(), strict=True)
    ]
    joint = np.stack(columns, 1)
    assert np.abs(mixture.log_prob(x).numpy() - logsumexp(joint, axis=1)).max() < 1e-10
    assert np.abs(mixture.responsibilities(x).numpy() - np.exp(joint - logsumexp(joint, axis=1, keepdims=True))).max() < 1e-10


def test_moments_are_those_of_a_large_sample_within_five_standard_errors():
    mixture, n = random_mixture(3, 2), 200_000
    x = mixture.sample(n, generator(2))
    assert ((x.mean(0) - mixture.mean).abs() < 5 * (mixture.covariance.diagonal() / n).sqrt()).all()
    centred = x - mixture.mean
    products = centred[:, :, None] * centred[:, None, :]
    assert ((products.mean(0) - mixture.covariance).abs() < 5 * products.std(0) / n**0.5).all()


def test_given_normals_are_placed_by_the_cholesky_factor():
    mixture, z = random_mixture(2, 3), torch.randn(4, 3, dtype=torch.float64, generator=generator(3))
    expected = mixture.means[1] + z @ torch.linalg.cholesky(mixture.covariances[1]).T
    assert (mixture.from_normals(z, torch.ones(4, dtype=torch.int64)) - expected).abs().max() < 1e-14


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights": torch.tensor([0.5, 0.6])}, "sum to 1"),
        ({"weights": torch.tensor([1.5, -0.5])}, r"weights\[1\]"),
        ({"means": torch.full((2, 2), torch.nan)}, "means"),
        (
            {"covariances": torch.stack((torch.eye(2), torch.tensor([[1.0, 2.0], [2.0, 1.0]])))},
            r"covariances\[1\] is not positive definite",
        ),
        ({"covariances": torch.stack((torch.eye(2), torch.tensor([[1.0, 0.1], [0.0, 1.0]])))}, r"covariances\[1\] is not symmetric"),
    ],
)
def test_a_bad_mixture_names_the_culprit(change, words):
    good = {"weights": torch.tensor([0.5, 0.5]), "means": torch.zeros(2, 2), "covariances": torch.eye(2).expand(2, 2, 2)}
    with pytest.raises(ValueError, match=words):
        GaussianMixture(**{name: value.double() for name, value in (good | change).items()})


def geometric(count: int) -> list[float]:
    return [0.5 ** (k + 1) / (1 - 0.5**count) for k in range(count)]


SHARES = np.random.default_rng(0).dirichlet([0.7] * 40).tolist()


@pytest.mark.parametrize(
    "weights",
    [
        [0.125] * 8,
        [0.7, 0.2, 0.1],
        [0.9, 0.099, 0.001],
        [0.0, 0.5, 0.5],
        [0.5] + [0.5 / 63] * 63,
        [0.98] + [0.02 / 20] * 20,
        geometric(12),
        SHARES,
    ],
    ids=["equal", "three", "rare", "absent", "one and many", "one and few", "geometric", "random"],
)
def test_every_prefix_of_the_schedule_is_in_proportion(weights):
    w = torch.tensor(weights, dtype=torch.float64)
    drawn = schedule(w, 3000)
    counts = torch.nn.functional.one_hot(drawn, len(w)).cumsum(0)
    wanted = torch.arange(1, 3001)[:, None] * w
    assert (counts - wanted).abs().max() <= (1.0 if len(w) < 12 else 1.5) + 1e-9
    assert not (drawn == 0).any() if weights[0] == 0 else True


def test_weights_that_are_none_have_no_schedule():
    for weights, words in (([0.5, -0.5], "negative"), ([0.0, 0.0], "zero")):
        with pytest.raises(ValueError, match=words):
            schedule(torch.tensor(weights), 4)


def test_a_longer_schedule_begins_with_the_shorter_one():
    w = torch.tensor(SHARES)
    assert torch.equal(schedule(w, 300), schedule(w, 1000)[:300])


@pytest.mark.usefixtures("unchecked")
def test_shapes_of_a_mixture_and_its_points_are_checked():
    one, eye = torch.ones(1, dtype=torch.float64), torch.eye(2, dtype=torch.float64)[None]
    for means, covariances in ((torch.zeros(1, 1), eye), (torch.zeros(2, 2), eye), (torch.zeros(1, 2), eye.repeat(2, 1, 1))):
        with pytest.raises(ValueError, match=r"must be \(K,\), \(K, D\) and \(K, D, D\)"):
            GaussianMixture(one, means.double(), covariances)
    with pytest.raises(ValueError, match="float64"):
        GaussianMixture(one, torch.zeros(1, 2), eye)
    for x in (torch.zeros(3, 1), torch.zeros(2)):
        with pytest.raises(ValueError, match=r"points of this mixture are \(n, 2\)"):
            GaussianMixture(one, torch.zeros(1, 2).double(), eye).log_prob(x.double())


def test_em_does_not_depend_on_the_unit():
    x = torch.randn(90, 2, dtype=torch.float64, generator=generator(4)) + 6 * torch.arange(3).repeat(30)[:, None]
    same, small = (fit_em(scale * x, 3, generator=generator(1)) for scale in (1.0, 1e-9))
    assert small.log_likelihood - same.log_likelihood == pytest.approx(2 * math.log(1e9), abs=1e-6)
    torch.testing.assert_close(small.mixture.covariances * 1e18, same.mixture.covariances)


def test_em_stops_when_a_step_gains_less_than_the_tolerance():
    x = torch.randn(400, 2, dtype=torch.float64, generator=generator(6))
    found = fit_em(x, 3, generator=generator(1), iterations=500, tolerance=1e-5)
    gains = np.diff(found.history)
    assert found.converged
    assert (gains[:-1] >= 1e-5).all()
    assert gains[-1] < 1e-5


def test_equal_weights_take_turns():
    equal, *nearly = ([0.3, 0.3, 0.4], [0.1 + 0.2, 0.3, 0.4], [0.3, 0.1 + 0.2, 0.4])  # .1 + .2 is .30000000000000004
    for weights in nearly:
        assert torch.equal(
            schedule(torch.tensor(weights, dtype=torch.float64), 100), schedule(torch.tensor(equal, dtype=torch.float64), 100)
        )
    assert schedule(torch.full((3,), 1 / 3, dtype=torch.float64), 7).tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_em_finds_scikit_learns_optimum_from_separated_clusters():
    """Three far clusters have one sensible optimum: weights, means and covariances agree with scikit-learn's EM."""
    truth = GaussianMixture(
        torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64),
        torch.tensor([[-6.0, 0.0], [6.0, 0.0], [0.0, 8.0]], dtype=torch.float64),
        torch.eye(2, dtype=torch.float64).expand(3, 2, 2),
    )
    x = truth.sample(3000, generator(4))
    ours = fit_em(x, 3, generator=generator(5), tolerance=1e-12, iterations=500, floor=1e-9)
    theirs = SklearnMixture(3, tol=1e-12, max_iter=500, reg_covar=1e-9, random_state=0).fit(x.numpy())
    assert theirs.means_ is not None
    assert theirs.covariances_ is not None
    a, b = ours.mixture.means[:, 0].argsort(), np.argsort(theirs.means_[:, 0])
    assert np.abs(ours.mixture.means[a].numpy() - theirs.means_[b]).max() < 1e-6
    assert np.abs(ours.mixture.covariances[a].numpy() - theirs.covariances_[b]).max() < 1e-6
    assert abs(ours.mixture.log_prob(x).mean() - theirs.score(x.numpy())) < 1e-9
    assert ours.converged


def test_the_likelihood_never_falls_during_em():
    x = random_mixture(5, 3, seed=6).sample(2000, generator(7))
    history = fit_em(x, 5, generator=generator(8), floor=1e-12, tolerance=0, iterations=80).history
    assert min(b - a for a, b in pairwise(history)) > -1e-10


def test_held_out_likelihood_finds_the_number_of_far_clusters():
    means = torch.tensor([[-8.0, 0.0], [8.0, 0.0], [0.0, 8.0], [0.0, -8.0]], dtype=torch.float64)
    truth = GaussianMixture(torch.full((4,), 0.25, dtype=torch.float64), means, torch.eye(2, dtype=torch.float64).expand(4, 2, 2))
    choice = choose_components(truth.sample(2000, generator(9)), (1, 2, 4), generator=generator(10))
    assert choice.components == 4
    assert choice.held_out[1] < choice.held_out[2] < choice.held_out[4]


def test_one_component_has_the_points_moments_and_the_floor():
    """floor times the data's mean variance, on the diagonal alone."""
    x = torch.randn(50, 3, dtype=torch.float64, generator=generator(12)) * torch.tensor([1.0, 2.0, 3.0]) + 5
    fitted = fit_em(x, 1, generator=generator(), floor=0.1).mixture
    s = np.cov(x.numpy().T, bias=True)
    assert np.abs(fitted.covariances[0].numpy() - s - 0.1 * np.trace(s) / 3 * np.eye(3)).max() < 1e-12
    assert np.abs(fitted.means[0].numpy() - x.numpy().mean(0)).max() < 1e-12


def test_a_component_without_points_is_restarted_on_the_point_explained_worst():
    """A floor as wide as the data lets one of three components die out; where the likelihood then leaps, it has just been given one point of the twelve."""
    x = torch.randn(12, 1, dtype=torch.float64, generator=generator(18))
    x[0] = 8

    def after(iterations: int) -> EMResult:
        return fit_em(x, 3, generator=generator(18), iterations=iterations, tolerance=-math.inf, floor=1.0)

    leap = int(np.diff(after(50).history)[5:].argmax()) + 5
    before, restarted = after(leap).mixture, after(leap + 1).mixture
    empty, worst = int(before.weights.argmin()), int(before.log_prob(x).argmin())
    assert before.weights[empty] * 12 < 2e-3
    assert restarted.weights[empty] * 12 == pytest.approx(1, abs=2e-3)
    assert float(restarted.means[empty]) == pytest.approx(float(x[worst]), abs=0.01)


def test_the_number_of_components_is_scored_on_points_not_fitted():
    """One Gaussian for ten points of which two are held out: the score is that of one of the 45 ways to hold out two, by scipy."""
    x = torch.randn(10, 2, dtype=torch.float64, generator=generator(19))
    scores = []
    for held in combinations(range(10), 2):
        kept = np.delete(x.numpy(), held, 0)
        s = np.cov(kept.T, bias=True)
        law = stats.multivariate_normal(kept.mean(0), s + 1e-6 * np.trace(s) / 2 * np.eye(2))  # 1e-6 is fit_em's floor
        scores.append(law.logpdf(x.numpy()[list(held)]).mean())
    found = {choose_components(x, (1,), generator=generator(seed)).held_out[1] for seed in range(5)}
    assert all(np.abs(np.array(scores) - score).min() < 1e-10 for score in found)
    assert len(found) > 1


@pytest.mark.parametrize("x", [torch.zeros(10, 2), torch.full((10, 2), torch.nan)])
def test_em_refuses_too_few_distinct_or_nan_points(x):
    with pytest.raises(ValueError, match=r"distinct|finite"):
        fit_em(x, 2, generator=generator())


def test_one_pass_moments_are_numpys_even_far_from_the_origin():
    """At an offset of 10^6 naive sums of squares keep four digits of a unit variance; merging keeps ten."""
    x = torch.randn(1000, 3, dtype=torch.float64, generator=generator(11)) + 1e6
    labels = torch.arange(1000) % 2
    moments = MomentAccumulator(3, 3)
    for rows in torch.arange(1000).split(77):
        moments.update(x[rows], labels[rows])
    for c in (0, 1):
        own = x[labels == c].numpy()
        assert np.abs(moments.means[c].numpy() - own.mean(0)).max() < 1e-8
        assert np.abs(moments.covariances[c].numpy() - np.cov(own.T)).max() < 1e-8
    assert moments.counts.tolist() == [500, 500, 0]
    assert not moments.covariances[2].any()


def test_moments_refuse_nan_and_strange_labels():
    moments = MomentAccumulator(2, 1)
    with pytest.raises(ValueError, match="finite"):
        moments.update(torch.full((2, 1), torch.nan), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="labels"):
        moments.update(torch.zeros(2, 1), torch.tensor([0, 2]))
