"""Priors: densities against scipy, fits against numpy, sample moments, affine maps, states through safetensors, and refusals."""

from dataclasses import replace
from math import prod

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from scipy import stats
from scipy.special import logsumexp
from torch import Tensor, nn

from lab.assignment import AssignmentTable
from lab.conversions import convert
from lab.couplings import PerClassOT
from lab.em import fit_em
from lab.mixtures import GaussianMixture
from lab.moments import DiagonalMoments, MomentAccumulator, PooledMoments, SketchedMoments
from lab.paths import CondOT
from lab.priors import COVARIANCES, ClassGaussian, ClassMixture, Gaussian, Prior, TextGaussian, mapper_loss, prior_from_state
from lab.priors.covariances import Diagonal, Full, LowRank

SHAPES = [(5,), (2, 1, 3), (1,)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def data(shape: tuple[int, ...], classes: int = 3, members: int = 40, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points of correlated classes, each with a mean and a covariance of its own, in random order."""
    d = prod(shape)
    mix, mean = torch.eye(d, dtype=torch.float64) + 0.5 * numbers(classes, d, d, seed=seed), 3 * numbers(classes, d, seed=seed + 1)
    labels = torch.arange(classes).repeat(members)[torch.randperm(classes * members, generator=generator(seed + 2))]
    x = mean[labels] + torch.einsum("nij,nj->ni", mix[labels], numbers(len(labels), d, seed=seed + 3))
    return x.reshape(-1, *shape), labels


def density(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """log N(x; mean, covariance) by scipy."""
    return stats.multivariate_normal.logpdf(x, mean, covariance)  # pyright: ignore[reportArgumentType]  # typed as a number


def full_moments(x: Tensor, labels: Tensor, classes: int) -> MomentAccumulator:
    moments = MomentAccumulator(classes, prod(x.shape[1:]))
    moments.update(x, labels)
    return moments


def wanted(x: Tensor, labels: Tensor, covariance: str, rank: int, shrinkage: float = 0.0) -> list[np.ndarray]:
    """Every class's covariance before `scale`, by numpy alone."""
    flat = x.reshape(len(x), -1).numpy()
    own = [flat[labels.numpy() == c] for c in range(int(labels.max()) + 1)]
    d = flat.shape[1]
    each = [np.cov(points.T).reshape(d, d) for points in own]
    within = sum((len(p) - 1) * s for p, s in zip(own, each, strict=True)) / sum(len(p) - 1 for p in own)
    result = []
    for s in each:
        values, vectors = np.linalg.eigh(s)
        leading = (vectors[:, -rank:] * values[-rank:]) @ vectors[:, -rank:].T
        form = {
            "none": np.eye(d),
            "isotropic": np.trace(s) / d * np.eye(d),
            "diagonal": np.diag(np.diag(s)),
            "full": s,
            "pooled": within,
            "low-rank": leading + np.diag(np.diag(s - leading)),
        }[covariance]
        result.append((1 - shrinkage) * form + shrinkage * np.trace(form) / d * np.eye(d))
    return result


def matrix(prior: Prior, d: int, shape: tuple[int, ...], c: int) -> Tensor:
    """The covariance that a prior's samples of class c have: L L^T, L's columns being what the unit vectors are sent to."""
    label = torch.full((d,), c)
    columns = prior.from_normals(torch.eye(d, dtype=torch.float64).reshape(d, *shape), label)
    factor = (columns - prior.from_normals(torch.zeros(d, *shape, dtype=torch.float64), label)).reshape(d, d)
    return factor.T @ factor


@pytest.mark.parametrize("shrinkage", [0.0, 0.3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_class_density_is_scipys(covariance, shape, shrinkage):
    if covariance == "low-rank" and prod(shape) == 1 and shrinkage == 0:
        shape = (2,)  # in one dimension rank 1 leaves nothing to the diagonal
    x, labels = data(shape, seed=10)
    rank = min(2, max(1, prod(shape) - 1))
    moments = full_moments(x, labels, 3)
    chosen = rank if covariance == "low-rank" else None
    prior = ClassGaussian.fit(moments, covariance=covariance, shape=shape, mean=0.6, scale=1.3, shrinkage=shrinkage, rank=chosen)
    got = prior.log_prob(x, labels)
    assert got.dtype == torch.float64
    for c, s in enumerate(wanted(x, labels, covariance, rank, shrinkage)):
        own = x[labels == c].reshape(-1, prod(shape)).numpy()
        truth = density(own, 0.6 * own.mean(0), 1.3**2 * s)
        assert np.abs(got[labels == c].numpy() - truth).max() < 1e-10


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_sample_moments_are_those_of_the_class_within_four_standard_errors(covariance):
    x, labels = data((2, 2), seed=20)
    prior = ClassGaussian.fit(
        full_moments(x, labels, 3), covariance=covariance, shape=(2, 2), scale=0.7, rank=2 if covariance == "low-rank" else None
    )
    n, c = 40_000, 1
    drawn = prior.sample((n, 2, 2), torch.full((n,), c), generator=generator(21), dtype=torch.float64).reshape(n, 4)
    mean, s = x[labels == c].reshape(-1, 4).mean(0), torch.from_numpy(0.7**2 * wanted(x, labels, covariance, 2)[c])
    centred = drawn - mean
    products = centred[:, :, None] * centred[:, None]
    assert (centred.mean(0).abs() < 4 * (s.diagonal() / n).sqrt()).all()
    assert ((products.mean(0) - s).abs() < 4 * ((s.square() + torch.outer(s.diagonal(), s.diagonal())) / n).sqrt()).all()
    assert (matrix(prior, 4, (2, 2), c) - s).abs().max() < 1e-12 * s.abs().max()


@pytest.mark.parametrize("size", [1, 7, 60, 500])
def test_one_pass_over_any_batches_is_numpys_fit_even_at_an_offset_of_a_hundred_million(size):
    """Doubles lie 1.5e-8 apart there; the covariance is exact to 1e-10 all the same, the mean to the spacing."""
    x, labels = data((3,), members=100, seed=30)
    x = x + 1e8
    every = [MomentAccumulator(3, 3), DiagonalMoments(3, 3), PooledMoments(3, 3), SketchedMoments(3, 3, rows=3)]
    for rows in torch.arange(300).split(size):
        for moments in every:
            moments.update(x[rows], labels[rows])
    full, diagonal, pooled, sketched = every
    within = 0
    for c in range(3):
        own = x[labels == c].numpy()
        s = np.cov(own.T)
        within = within + 99 * s / 297
        for moments in every:
            assert np.abs(moments.means[c].numpy() - (own - 1e8).mean(0) - 1e8).max() <= 3e-8
        assert np.abs(full.covariances[c].numpy() - s).max() < 1e-10
        assert np.abs(diagonal.variances[c].numpy() - np.diag(s)).max() < 1e-10
        assert np.abs((sketched.sketch[c].T @ sketched.sketch[c]).numpy() / 99 - s).max() < 1e-10
    assert np.abs(pooled.pooled.numpy() - within).max() < 1e-10
    assert np.abs(full.pooled.numpy() - within).max() < 1e-10
    assert np.abs(diagonal.pooled_variances.numpy() - np.diag(within)).max() < 1e-10


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_fitting_batches_is_fitting_their_accumulator(covariance):
    x, labels = data((2, 3), seed=40)
    rank = 3 if covariance == "low-rank" else None
    batches = [(x[rows].float(), labels[rows]) for rows in torch.arange(len(x)).split(17)]
    # As many sketch rows as dimensions lose nothing, so that the eigenpairs are exact.
    prior = ClassGaussian.fit_batches(batches, 3, covariance=covariance, rank=rank, sketch_rows=6)
    exact = ClassGaussian.fit(full_moments(x.float(), labels, 3), covariance=covariance, shape=(2, 3), rank=rank)
    for c in range(3):
        assert (matrix(prior, 6, (2, 3), c) - matrix(exact, 6, (2, 3), c)).abs().max() < 1e-10
    assert (prior.means - exact.means).abs().max() < 1e-12


def test_shrinkage_mixes_in_the_mean_variance_and_cures_singular_covariances():
    """(1 - l) S + l (tr S / D) I, with four members in five dimensions."""
    x, labels = data((5,), members=4, seed=50)
    prior = ClassGaussian.fit(full_moments(x, labels, 3), shrinkage=0.2)
    assert prior.fallbacks == ()
    for c in range(3):
        s = torch.from_numpy(np.cov(x[labels == c].numpy().T))
        expected = 0.8 * s + 0.2 * s.trace() / 5 * torch.eye(5, dtype=torch.float64)
        assert (matrix(prior, 5, (5,), c) - expected).abs().max() < 1e-12 * s.trace()
    assert torch.isfinite(prior.log_prob(x, labels)).all()


@pytest.mark.parametrize("covariance", ["isotropic", "diagonal", "full", "low-rank"])
def test_rare_classes_take_the_pooled_covariance_and_keep_their_mean(covariance):
    x, labels = data((3,), members=40, seed=60)
    kept = (labels != 1) | (torch.cumsum(labels == 1, 0) <= 5)  # five of class 1
    x, labels = x[kept], labels[kept]
    moments = full_moments(x, labels, 3)
    rank = 1 if covariance == "low-rank" else None
    prior = ClassGaussian.fit(moments, covariance=covariance, fallback_below=6, rank=rank)
    assert prior.fallbacks == (1,)
    assert ClassGaussian.fit(moments, covariance=covariance, fallback_below=5, rank=rank).fallbacks == ()
    within = wanted(x, labels, "pooled", 1)[0]
    values, vectors = np.linalg.eigh(within)
    leading = values[-1] * np.outer(vectors[:, -1], vectors[:, -1])
    form = {
        "isotropic": np.trace(within) / 3 * np.eye(3),
        "diagonal": np.diag(np.diag(within)),
        "full": within,
        "low-rank": leading + np.diag(np.diag(within - leading)),
    }[covariance]
    own = x[labels == 1].numpy()
    truth = density(own, own.mean(0), form)
    assert np.abs(prior.log_prob(x[labels == 1], labels[labels == 1]).numpy() - truth).max() < 1e-10
    assert np.abs(matrix(prior, 3, (3,), 0).numpy() - wanted(x, labels, covariance, 1)[0]).max() < 1e-10


def test_fewer_members_than_a_full_covariance_needs_fall_back_by_default():
    """The rank of a covariance is at most members - 1: in 4 dimensions 4 members are too few, 5 are enough."""
    x, labels = data((4,), classes=2, members=5, seed=70)
    more = torch.cat((x, numbers(4, 4, seed=71))), torch.cat((labels, torch.full((4,), 2)))
    prior = ClassGaussian.fit(full_moments(*more, 3))
    assert prior.fallbacks == (2,)
    assert torch.isfinite(prior.log_prob(*more)).all()


def test_low_rank_classes_need_two_members_more_than_the_rank():
    """Of rank + 1 members the covariance is of the rank itself, which leaves nothing to the diagonal; one member more is enough."""
    x, labels = numbers(20 + 3 + 4, 6, seed=72), torch.tensor([0] * 20 + [1] * 3 + [2] * 4)
    moments = full_moments(x, labels, 3)
    prior = ClassGaussian.fit(moments, covariance="low-rank", rank=2)
    assert prior.fallbacks == (1,)
    assert np.abs(matrix(prior, 6, (6,), 2).numpy() - wanted(x, labels, "low-rank", 2)[2]).max() < 1e-12
    with pytest.raises(ValueError, match="rank=2 leaves class 1 no variance"):
        ClassGaussian.fit(moments, covariance="low-rank", rank=2, fallback_below=3)


@pytest.mark.parametrize(("d", "rows"), [(12, 6), (5, 5)])
def test_low_rank_is_fitted_from_batches_by_a_sketch_of_twice_the_rank_or_the_dimension_if_less(d, rows):
    """Exact as long as the members vary in `rows` directions; in one more the sketch loses something, as one of that many rows does."""
    label = torch.zeros(40, dtype=torch.int64)
    for directions in {rows, min(rows + 1, d)}:
        x = numbers(40, directions, seed=73) @ numbers(directions, d, seed=74)
        batches = [(x[part], label[part]) for part in torch.arange(40).split(9)]
        found, same, more = (ClassGaussian.fit_batches(batches, 1, covariance="low-rank", rank=3, sketch_rows=r) for r in (None, rows, d))
        exact = torch.from_numpy(wanted(x, label, "low-rank", 3)[0])
        lost = [float((matrix(prior, d, (d,), 0) - exact).abs().max() / exact.diagonal().max()) for prior in (found, same, more)]
        assert lost[0] == lost[1]
        assert lost[2] < 1e-10
        assert (lost[0] < 1e-10) == (directions == rows)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("cause", ["few members", "a constant coordinate"])
def test_a_singular_covariance_gives_samples_but_no_density(covariance, cause):
    few = cause == "few members"
    x, labels = data((4,), members=4 if few and covariance == "full" else 1 if few else 30, seed=80)
    if few and covariance == "diagonal":
        x, labels = x.repeat(2, 1), labels.repeat(2)  # two equal members
    if not few:
        x[labels == 1, 2] = 5.0
    prior = ClassGaussian.fit(full_moments(x, labels, 3), covariance=covariance, fallback_below=2)
    s = wanted(x, labels, covariance, 1)[1]
    assert np.abs(matrix(prior, 4, (4,), 1).numpy() - s).max() < 1e-12 * (1 + np.trace(s))
    at = torch.tensor([1])
    with pytest.raises(ValueError, match=r"covariance of class 1 is singular.*shrinkage"):
        prior.log_prob(x[:1], at)
    with pytest.raises(ValueError, match=r"covariance of class 1 is singular.*shrinkage"):
        prior.gaussian_source(at)


@pytest.mark.parametrize(("n", "d"), [(2, 8), (7, 8), (8, 8), (32, 32), (40, 64)])
def test_every_covariance_of_too_few_members_is_found_singular(n, d):
    """Rank members - 1 at most; also where Cholesky's rounding lets it pass, as it does for many of rank d - 1."""
    for seed in range(30):
        moments = full_moments(numbers(n, d, seed=seed), torch.zeros(n, dtype=torch.int64), 1)
        with pytest.raises(ValueError, match=rf"class 0 is singular \(of {n} members in {d} dimensions\)"):
            ClassGaussian.fit(moments, fallback_below=2).log_prob(numbers(1, d), torch.tensor([0]))


def test_a_regular_covariance_of_unequal_units_is_not_called_singular():
    """Variances from 1e-12 to 1e12 are no want of rank."""
    units = torch.logspace(-6, 6, 4, dtype=torch.float64)
    x = numbers(100, 4, seed=81) * units
    got = ClassGaussian.fit(full_moments(x, torch.zeros(100, dtype=torch.int64), 1)).log_prob(x, torch.zeros(100, dtype=torch.int64))
    y = (x / units).numpy()
    truth = density(y, y.mean(0), np.cov(y.T)) - units.log().sum().item()
    assert np.abs(got.numpy() - truth).max() < 1e-9


def test_low_rank_density_in_dimensions_whose_matrix_would_take_a_terabyte():
    """One direction e with S = v I + w e e^T: log N = -(|y|^2 - w / (v + w) (e.y)^2) / (2 v) - D/2 log(2 pi v) - log(1 + w / v) / 2."""
    d, v, w = 400_000, 0.5, 30.0
    e = torch.nn.functional.normalize(numbers(d, seed=90), dim=0)
    prior = ClassGaussian.of(
        torch.zeros(1, d, dtype=torch.float64), LowRank.of(torch.full((1, d), v, dtype=torch.float64), w**0.5 * e[None, :, None])
    )
    z = numbers(3, d, seed=91)
    label = torch.zeros(3, dtype=torch.int64)
    y = prior.from_normals(z, label)
    along = y @ e
    truth = -(y.square().sum(1) - w / (v + w) * along**2) / (2 * v) - d / 2 * np.log(2 * np.pi * v) - np.log1p(w / v) / 2
    assert (prior.log_prob(y, label) - truth).abs().max() < 1e-13 * d  # a sum of d terms of order 1
    assert (along - (v + w) ** 0.5 * (z @ e)).abs().max() < 1e-9


def test_a_sketch_is_exact_up_to_its_rows_and_bounded_beyond():
    """Frequent Directions: 0 <= S - B^T B <= lost <= (eigenvalues past the k-th) / (rows + 1 - k), for every k."""
    d, n, rows = 20, 150, 8
    low = numbers(n, rows - 1, seed=100) @ numbers(rows - 1, d, seed=101)
    noisy = low + 0.5 * numbers(n, d, seed=102)
    label = torch.zeros(n, dtype=torch.int64)
    for x, exact in ((low, True), (noisy, False)):
        for size in (1, 40):
            moments = SketchedMoments(1, d, rows)
            for part in torch.arange(n).split(size):
                moments.update(x[part] + 5, label[part])
            b, s = moments.sketch[0], torch.from_numpy(np.cov(x.numpy().T)) * (n - 1)
            top = torch.linalg.eigvalsh(s)
            gap, lost = torch.linalg.eigvalsh(s - b.T @ b), moments.lost[0]
            rounding = 1e-12 * top[-1]
            assert -rounding < gap[0]
            assert gap[-1] < lost + rounding
            assert all(lost <= top[: d - k].clamp(min=0).sum() / (rows + 1 - k) + rounding for k in range(rows + 1))
            assert (gap[-1] < rounding) == exact


def test_pooled_sketches_bound_the_pooled_covariance_and_low_rank_keeps_every_variance():
    x, labels = data((12,), members=50, seed=105)
    x, labels = torch.cat((x, x[:2] + 1)), torch.cat((labels, torch.tensor([3, 3])))
    moments = SketchedMoments(4, 12, rows=6)
    for rows in torch.arange(len(x)).split(19):
        moments.update(x[rows], labels[rows])
    b, lost = moments.pooled_sketch
    within = torch.from_numpy(wanted(x, labels, "pooled", 1)[0])
    gap = torch.linalg.eigvalsh(within * moments.pooled_freedom - b.T @ b)
    assert gap[0] > -1e-9
    assert gap[-1] < lost + 1e-9
    prior = ClassGaussian.fit(moments, covariance="low-rank", rank=3)
    assert prior.fallbacks == (3,)
    for c in range(3):
        own = torch.from_numpy(wanted(x, labels, "full", 1)[c])
        assert (matrix(prior, 12, (12,), c).diagonal() - own.diagonal()).abs().max() < 1e-10
    assert (matrix(prior, 12, (12,), 3).diagonal() - within.diagonal()).abs().max() < 1e-10


def gaussians() -> list[tuple[Prior, Tensor | None]]:
    """Every Gaussian prior on samples (2, 2), with conditions for six of them."""
    x, labels = data((2, 2), seed=110)
    moments, six = full_moments(x, labels, 3), torch.tensor([2, 0, 1, 1, 0, 2])
    rank = {"low-rank": 2}
    classes = [ClassGaussian.fit(moments, covariance=c, shape=(2, 2), mean=0.5, scale=1.5, rank=rank.get(c)) for c in COVARIANCES]
    return [
        (Gaussian(2.0, numbers(2, 2, seed=111)), None),
        (Gaussian(0.5, -1.0), None),
        *((prior, six) for prior in classes),
        (TextGaussian(mapper(), 0.7), numbers(6, 3, seed=112)),
    ]


def mapper() -> nn.Sequential:
    torch_state = numbers(4, 3, seed=113)
    module = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Unflatten(1, (2, 2))).double()
    module.load_state_dict({"0.weight": torch_state, "0.bias": torch.arange(4.0)})
    return module


@pytest.mark.parametrize("prior_and_condition", gaussians(), ids=lambda pc: getattr(pc[0], "covariance", pc[0].kind))
def test_gaussian_priors_are_affine_in_the_normals_sample_by_sample_in_any_dtype(prior_and_condition):
    prior, condition = prior_and_condition
    a, b = numbers(6, 2, 2, seed=114), numbers(6, 2, 2, seed=115)
    at = lambda z: prior.from_normals(z, condition)  # noqa: E731
    assert (at(0.3 * a + 0.7 * b) - 0.3 * at(a) - 0.7 * at(b)).abs().max() < 1e-12
    assert (at(a) - at(b)).abs().max() > 0.1
    for dtype, bound in ((torch.float64, 0.0), (torch.float32, 1e-5), (torch.bfloat16, 0.2)):
        one = at(a.to(dtype))
        assert one.dtype == dtype
        assert torch.equal(one, at(a.to(dtype)))
        assert (one.double() - at(a)).abs().max() <= bound * (1 + at(a).abs().max())
    rows = torch.tensor([4, 1])
    alone = prior.from_normals(a[rows], None if condition is None else condition[rows])
    assert (alone - at(a)[rows]).abs().max() < 1e-13


@pytest.mark.parametrize("prior_and_condition", gaussians(), ids=lambda pc: getattr(pc[0], "covariance", pc[0].kind))
def test_the_gaussian_source_has_the_score_of_the_density(prior_and_condition):
    """At t = 0 of CondOT x_t = x_0, so the noise's score is the gradient of log p_0; scores also come from it through `convert`."""
    prior, condition = prior_and_condition
    x = numbers(6, 2, 2, seed=116).requires_grad_()
    (gradient,) = torch.autograd.grad(prior.log_prob(x, condition).sum(), x)
    source = prior.gaussian_source(condition)
    point = x.detach()
    score = convert(point, point, torch.zeros(6, dtype=torch.float64), path=CondOT(), given="noise", wanted="score", source=source)
    assert (score - gradient).abs().max() < 1e-10
    moved = prior.from_normals(point, condition)
    assert (source.times_covariance(source.over_covariance(moved)) - moved).abs().max() < 1e-10


def test_the_assignment_table_takes_a_class_prior_and_its_cost_falls():
    x, labels = data((2,), classes=2, members=16, seed=120)
    prior = ClassGaussian.fit(full_moments(x, labels, 2))
    table = AssignmentTable(32, seed=3)
    before = table.total_cost(x, labels, prior.from_normals)
    pairs = table.improve(torch.arange(32), x, epoch=0, condition=labels, coupling=PerClassOT(), prior=prior.from_normals)
    after = table.total_cost(x, labels, prior.from_normals)
    assert after < 0.8 * before
    assert after == pytest.approx((pairs.x_0 - x).square().sum().item(), rel=1e-12)


def test_mean_and_scale_can_be_changed_afterwards():
    x, labels = data((3,), seed=125)
    moments = full_moments(x, labels, 3)
    moved = replace(ClassGaussian.fit(moments), mean=0.25, scale=3.0)
    assert torch.equal(moved.log_prob(x, labels), ClassGaussian.fit(moments, mean=0.25, scale=3.0).log_prob(x, labels))
    zero = torch.zeros(3, 3, dtype=torch.float64)
    centre = torch.stack([x[labels == c].mean(0) for c in range(3)])
    assert (moved.from_normals(zero, torch.arange(3)) - 0.25 * centre).abs().max() < 1e-13


@pytest.mark.parametrize("shape", [(7,), (3, 2, 2)])
def test_gaussian_density_is_scipys(shape):
    mean, x = numbers(*shape, seed=130), numbers(9, *shape, seed=131)
    truth = density(x.reshape(9, -1).numpy(), mean.flatten().numpy(), 0.8**2 * np.eye(prod(shape)))
    assert np.abs(Gaussian(0.8, mean).log_prob(x, torch.arange(9)).numpy() - truth).max() < 1e-10


# Mixtures


def bimodal(n: int = 400, gap: float = 4.0) -> tuple[Tensor, Tensor]:
    """Class 0 of two modes, shares .7 and .3, class 1 of one."""
    x = numbers(2 * n, 2, seed=140)
    labels = torch.arange(2 * n) % 2
    second = (labels == 0) & (torch.rand(2 * n, generator=generator(141)) < 0.3)
    x[second, 0] += gap
    return x, labels


def test_held_out_likelihood_finds_two_modes_in_a_class_of_two_and_one_in_a_class_of_one():
    x, labels = bimodal(gap=8.0)
    prior = ClassMixture.fit(x, labels, 2, generator=generator(142), components=(1, 2, 3))
    assert prior.components.tolist() == [2, 1]
    second = (x[labels == 0, 0] > 4).double().mean()
    assert abs(float(prior.weights[:2].min()) - float(second)) < 0.01
    single = ClassGaussian.fit(full_moments(x, labels, 2))
    assert prior.log_prob(x, labels)[labels == 0].mean() > single.log_prob(x, labels)[labels == 0].mean() + 0.5


def test_components_need_members_enough_without_those_held_out():
    """Five components in one dimension need ten members; of ten, two are held out to choose among candidates, and of four, one."""

    def fit(members: int, components: int | tuple[int, ...]) -> ClassMixture:
        return ClassMixture.fit(numbers(members, 1, seed=144), torch.zeros(members).long(), 1, generator=generator(), components=components)

    assert fit(10, 5).components.tolist() == [5]
    with pytest.raises(ValueError, match="10 members, of which 8 to fit to"):
        fit(10, (5, 6))
    with pytest.raises(ValueError, match="4 members, of which 3 to fit to"):
        fit(4, (2, 3))


def test_em_never_lowers_the_likelihood_of_a_class():
    """Overlapping modes, so that it takes many steps; the floor's share is below 1e-6 nats."""
    x, labels = bimodal(gap=2.5)
    history = fit_em(x[labels == 0], 3, generator=generator(143), iterations=80, tolerance=0.0, floor=1e-9).history
    assert len(history) > 20
    assert min(np.diff(history)) > -1e-6
    prior = ClassMixture.fit(x, labels, 2, generator=generator(143), components=3, iterations=80)
    assert prior.components.tolist() == [3, 3]


def small_mixture(mean: float = 1.0, scale: float = 1.0) -> ClassMixture:
    a = numbers(5, 2, 2, seed=150)
    s = a @ a.mT + 0.3 * torch.eye(2, dtype=torch.float64)
    weights = torch.tensor([0.5, 0.0, 0.5, 0.25, 0.75], dtype=torch.float64)
    gaussians = ClassGaussian.of(3 * numbers(5, 1, 2, seed=151), Full.of(s), mean=mean, scale=scale)
    return ClassMixture(gaussians, weights, torch.tensor([0, 0, 0, 1, 1]))


def test_mixture_density_is_scipys():
    prior, x = small_mixture(0.5, 1.4), 2 * numbers(20, 1, 2, seed=152)
    labels, reference = torch.arange(20) % 2, small_mixture()
    means, covariances = reference.gaussians.means.numpy(), as_matrices(reference.gaussians).numpy()
    terms = np.stack([density(x[:, 0].numpy(), 0.5 * means[k, 0], 1.4**2 * covariances[k]) for k in range(5)], 1)
    for c, columns in ((0, [0, 1, 2]), (1, [3, 4])):
        truth = logsumexp(terms[:, columns], b=reference.weights[columns].numpy(), axis=1)
        assert np.abs((prior.log_prob(x, labels).numpy() - truth)[labels.numpy() == c]).max() < 1e-10


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_a_mixture_of_any_covariances_has_scipys_density_and_draws_what_its_components_draw(covariance):
    """Five components of two classes, the last too small for a covariance of its own; pooled and none share one among all."""
    x, owners = data((4,), classes=5, members=40, seed=155)
    kept = (owners < 4) | (torch.arange(len(owners)) < 12)
    x, owners = x[kept], owners[kept]
    moments = MomentAccumulator(5, 4)
    moments.update(x, owners)
    components = ClassGaussian.fit(moments, covariance=covariance, fallback_below=20, rank=2, mean=0.5, scale=1.4)
    prior = ClassMixture(components, small_mixture().weights, torch.tensor([0, 0, 0, 1, 1]))
    assert components.fallbacks == (() if covariance in ("none", "pooled") else (4,))
    points, labels = 2 * numbers(12, 4, seed=156), torch.arange(12) % 2
    covariances = 1.4**2 * as_matrices(components)
    terms = np.stack([density(points.numpy(), 0.5 * components.means[k].numpy(), covariances[k].numpy()) for k in range(5)], 1)
    for c, columns in ((0, [0, 1, 2]), (1, [3, 4])):
        truth = logsumexp(terms[:, columns], b=prior.weights[columns].numpy(), axis=1)
        assert np.abs((prior.log_prob(points, labels).numpy() - truth)[labels.numpy() == c]).max() < 1e-10
    z, component = numbers(12, 4, seed=157), torch.arange(12) % 2
    made = prior.from_normals(z, labels, component=component)
    assert torch.equal(made, components.from_normals(z, component + 3 * labels))
    again = prior_from_state(through_safetensors(prior))
    assert isinstance(again, ClassMixture)
    assert torch.equal(again.from_normals(z, labels, component=component), made)


def as_matrices(gaussians: ClassGaussian) -> Tensor:
    """Every class's covariance (D, D), scale aside."""
    found = gaussians.spread.source(gaussians.group)
    return found if found.ndim == 3 else torch.diag_embed(found.reshape(len(found), -1).expand(-1, gaussians.means[0].numel()))


def test_a_mixture_names_the_class_with_a_component_that_has_no_density():
    flat_one = Full.of(torch.diag_embed(torch.tensor([[1.0, 1], [1, 0]], dtype=torch.float64)))
    prior = ClassMixture(ClassGaussian.of(torch.zeros(2, 2), flat_one), torch.ones(2), torch.tensor([0, 1]))
    assert bool(torch.isfinite(prior.log_prob(torch.zeros(1, 2), torch.tensor([0]))).all())
    with pytest.raises(ValueError, match="class 1 has a component with a singular covariance"):
        prior.log_prob(torch.zeros(2, 2), torch.tensor([0, 1]))


def test_mixture_samples_have_the_classs_moments_within_four_standard_errors():
    prior, n = small_mixture(), 60_000
    drawn = prior.sample((n, 1, 2), torch.ones(n, dtype=torch.int64), generator=generator(153), dtype=torch.float64)[:, 0]
    law = GaussianMixture(prior.weights[3:], prior.gaussians.means[3:, 0], as_matrices(prior.gaussians)[3:])
    centred = drawn - law.mean
    products = centred[:, :, None] * centred[:, None]
    assert (centred.mean(0).abs() < 4 * (law.covariance.diagonal() / n).sqrt()).all()
    assert ((products.mean(0) - law.covariance).abs() < 4 * products.std(0) / n**0.5).all()


def test_uniform_numbers_choose_components_by_cumulative_weight():
    prior = small_mixture()
    u = torch.tensor([0.0, 0.49, 0.5, 0.99, 1.0, 0.0, 0.24, 0.25, 1.0], dtype=torch.float64)
    condition = torch.tensor([0] * 5 + [1] * 4)
    chosen = prior.choose(condition, u)
    assert chosen.tolist() == [0, 0, 2, 2, 2, 0, 0, 1, 1]  # component 1 of class 0 has weight zero
    z = numbers(9, 1, 2, seed=154)
    by_number = prior.from_normals(z, condition, uniforms=u)
    assert torch.equal(by_number, prior.from_normals(z, condition, component=chosen))
    row = chosen + 3 * condition
    expected = prior.gaussians.means[row, 0] + torch.einsum("nij,nj->ni", torch.linalg.cholesky(as_matrices(prior.gaussians))[row], z[:, 0])
    assert (by_number[:, 0] - expected).abs().max() < 1e-13
    assert prior.from_normals(z.float(), condition, uniforms=u).dtype == torch.float32


# Text


def test_text_density_is_scipys_about_the_mapped_embedding():
    prior, e, x = TextGaussian(mapper(), 0.7), numbers(5, 3, seed=160), numbers(5, 2, 2, seed=161)
    mean = (e @ numbers(4, 3, seed=113).T + torch.arange(4.0)).numpy()
    truth = [density(p, m, 0.49 * np.eye(4)) for m, p in zip(mean, x.reshape(5, 4).numpy(), strict=True)]
    assert np.abs(prior.log_prob(x, e).numpy() - truth).max() < 1e-10
    zero = torch.zeros(5, 2, 2, dtype=torch.float64)
    assert np.abs(prior.from_normals(zero, e).reshape(5, 4).numpy() - mean).max() < 1e-13


def test_the_mapper_is_evaluated_without_dropout_or_gradient_and_keeps_its_mode():
    module = mapper()
    module[0].eval()
    prior, e = TextGaussian(module, 0.7), numbers(4, 3, seed=162)
    z = numbers(4, 2, 2, seed=163)
    first = prior.from_normals(z, e)
    assert torch.equal(first, prior.from_normals(z, e))
    assert not first.requires_grad
    assert [m.training for m in module] == [False, True, True]


def test_mapper_loss_is_the_mean_squared_distance_and_reaches_the_weights():
    """Least squares: at the regression of x_1 on the embeddings the gradient is zero, and the loss is the residual's, summed over coordinates."""
    e, x_1 = numbers(50, 3, seed=164), numbers(50, 2, 2, seed=165)
    design = np.concatenate((e.numpy(), np.ones((50, 1))), 1)
    best, residual, _, _ = np.linalg.lstsq(design, x_1.reshape(50, 4).numpy(), rcond=None)
    module = mapper().eval()
    module.load_state_dict({"0.weight": torch.from_numpy(best[:3].T.copy()), "0.bias": torch.from_numpy(best[3])})
    loss = mapper_loss(module, e, x_1)
    loss.backward()
    assert loss.item() == pytest.approx(residual.sum() / 50, rel=1e-12)
    assert all(p.grad is not None and p.grad.abs().max() < 1e-12 for p in module.parameters())


# States


def through_safetensors(prior: Prior) -> dict[str, Tensor]:
    return load(save(prior.state()))


@pytest.mark.parametrize("prior_and_condition", gaussians()[:-1], ids=lambda pc: getattr(pc[0], "covariance", pc[0].kind))
def test_a_gaussian_prior_comes_back_bit_for_bit_from_safetensors(prior_and_condition):
    prior, condition = prior_and_condition
    again, z = prior_from_state(through_safetensors(prior)), numbers(6, 2, 2, seed=170)
    assert type(again) is type(prior)
    assert torch.equal(again.from_normals(z.float(), condition), prior.from_normals(z.float(), condition))
    assert torch.equal(again.from_normals(z, condition), prior.from_normals(z, condition))
    assert torch.equal(again.log_prob(z, condition), prior.log_prob(z, condition))
    assert again.state().keys() == prior.state().keys()
    assert all(torch.equal(value, prior.state()[name]) for name, value in again.state().items())


def test_what_a_fit_notes_comes_back_too():
    x, labels = data((4,), members=30, seed=171)
    x, labels = torch.cat((x, x[:3])), torch.cat((labels, torch.full((3,), 3)))
    prior = ClassGaussian.fit(full_moments(x, labels, 4), shrinkage=0.125, fallback_below=5, mean=0.3, scale=0.1)
    again = ClassGaussian.from_state(through_safetensors(prior))
    assert again.fallbacks == (3,)
    assert (again.covariance, again.shrinkage, again.mean, again.scale) == ("full", 0.125, 0.3, 0.1)
    assert again.counts.tolist() == [30, 30, 30, 3]


def test_a_mixture_comes_back_bit_for_bit():
    prior, z, condition = small_mixture(0.3, 0.1), numbers(6, 1, 2, seed=172), torch.arange(6) % 2
    again = prior_from_state(through_safetensors(prior))
    assert isinstance(again, ClassMixture)
    u = torch.rand(6, generator=generator(173), dtype=torch.float64)
    assert torch.equal(again.from_normals(z, condition, uniforms=u), prior.from_normals(z, condition, uniforms=u))
    assert torch.equal(again.log_prob(z, condition), prior.log_prob(z, condition))


def test_a_text_prior_comes_back_with_its_mappers_weights():
    prior, e, z = TextGaussian(mapper(), 0.7), numbers(4, 3, seed=174), numbers(4, 2, 2, seed=175)
    other = mapper()
    other.load_state_dict({name: torch.zeros_like(value) for name, value in other.state_dict().items()})
    again = prior_from_state(through_safetensors(prior), mapper=other)
    assert torch.equal(again.from_normals(z, e), prior.from_normals(z, e))
    plain = TextGaussian(lambda c: c[:, :1], 0.25)
    assert set(plain.state()) == {"kind", "version", "sigma"}
    assert TextGaussian.from_state(through_safetensors(plain), plain.mapper).sigma == 0.25


def test_a_state_does_not_change_with_the_prior_it_came_from():
    means = torch.zeros(1, 2, dtype=torch.float64)
    prior = ClassGaussian.of(means, Diagonal(torch.ones(1, 2, dtype=torch.float64)))
    state = prior.state()
    means += 1
    assert not state["means"].any()


# Refusals


def fitted(**settings: object) -> ClassGaussian:
    x, labels = data((3,), classes=2, members=5)
    return ClassGaussian.fit(full_moments(x, labels, 2), **settings)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (lambda: fitted(covariance="diagonl"), "covariance='diagonl' is unknown; did you mean 'diagonal'"),
        (lambda: fitted(scale=0.0), "scale=0.0 must be a positive number"),
        (lambda: fitted(scale=-1.0), "scale=-1.0"),
        (lambda: fitted(scale=float("nan")), "scale=nan"),
        (lambda: fitted(mean=1.5), r"mean=1.5 must lie in \[0, 1\]"),
        (lambda: fitted(shrinkage=-0.1), "shrinkage=-0.1"),
        (lambda: fitted(shape=(2, 2)), r"shape=\(2, 2\) has 4 numbers; the moments are of 3"),
        (lambda: fitted(fallback_below=1), "fallback_below=1"),
        (lambda: fitted(covariance="low-rank", rank=4), "rank=4 must lie in 1 to 3"),
        (lambda: fitted(covariance="low-rank", rank=3, fallback_below=6), "rank=3 leaves the pooled covariance no variance"),
        (lambda: fitted(covariance="low-rank", rank=3, fallback_below=2), "rank=3 leaves class 0 no variance"),
        (lambda: ClassGaussian.fit(MomentAccumulator(2, 2)), "class 0 has no members"),
        (lambda: ClassGaussian.fit(filled(DiagonalMoments(1, 2))), "'full' cannot be had from DiagonalMoments; accumulate with MomentAcc"),
        (lambda: ClassGaussian.fit(filled(PooledMoments(1, 2)), covariance="diagonal"), "accumulate with DiagonalMoments"),
        (lambda: ClassGaussian.fit(filled(DiagonalMoments(1, 2)), covariance="pooled"), "accumulate with PooledMoments"),
        (lambda: ClassGaussian.fit(filled(DiagonalMoments(1, 2)), covariance="low-rank"), "accumulate with SketchedMoments"),
        (lambda: ClassGaussian.fit_batches([], 2), "batches holds no batch"),
        (lambda: ClassGaussian.fit_batches([(torch.zeros(1, 4096), torch.zeros(1).long())], 1000), "134 GB; take 'diagonal'"),
        (lambda: ClassGaussian.fit_batches([(torch.full((2, 3), torch.nan), torch.tensor([0, 1]))], 2), "x must be finite"),
        (lambda: ClassGaussian.of(torch.full((1, 2), torch.nan), Diagonal(torch.ones(1, 2))), "means must be finite"),
        (lambda: ClassGaussian.of(torch.zeros(1, 3), Diagonal(torch.ones(1, 2))), "spread is of 2 dimensions"),
        (lambda: fitted().from_normals(torch.zeros(1, 3), torch.tensor([2])), "condition holds class 2; the prior knows classes 0 to 1"),
        (lambda: fitted().from_normals(torch.zeros(1, 3), torch.tensor([-1])), "class -1"),
        (lambda: fitted().from_normals(torch.zeros(1, 3)), "needs condition="),
        (lambda: fitted().log_prob(torch.zeros(1, 3), torch.tensor([0.0])), "whole number"),
        (lambda: fitted().from_normals(torch.zeros(1, 3), torch.tensor([0, 1])), "condition has 2 entries for 1 samples"),
        (lambda: fitted().from_normals(torch.zeros(1, 4), torch.tensor([0])), r"z has shape \(1, 4\)"),
        (lambda: Full.of(torch.tensor([[[1.0, 2.0], [2.0, 1.0]]])), r"covariances\[0\] has a negative eigenvalue"),
        (lambda: Full.of(torch.tensor([[[1.0, 0.5], [0.0, 1.0]]])), r"covariances\[0\] is not symmetric"),
        (lambda: Gaussian(0.0), "scale=0.0"),
        (lambda: Gaussian(1.0, torch.tensor([torch.nan])), "mean must be finite"),
        (lambda: Gaussian(1.0, torch.zeros(3)).from_normals(torch.zeros(2, 4)), r"mean has shape \(3,\)"),
        (lambda: TextGaussian(mapper(), 0.0), "sigma=0.0"),
        (lambda: TextGaussian(mapper(), 1.0).from_normals(numbers(2, 2, 2)), "one embedding per sample"),
        (lambda: TextGaussian(mapper(), 1.0).from_normals(numbers(2, 4), numbers(2, 3)), r"mapper returned means of shape \(2, 2, 2\)"),
        (lambda: TextGaussian(mapper(), 1.0).mean(torch.full((1, 3), torch.nan, dtype=torch.float64)), "finite embeddings"),
        (lambda: SketchedMoments(1, 4, rows=5), "rows=5"),
        (lambda: small_mixture(scale=0.0), "scale=0.0"),
        (lambda: small_mixture().from_normals(numbers(1, 1, 2), torch.tensor([0])), "either uniforms="),
        (
            lambda: small_mixture().from_normals(numbers(1, 1, 2), torch.tensor([1]), component=torch.tensor([2])),
            "does not exist in class 1",
        ),
        (lambda: small_mixture().choose(torch.tensor([0]), torch.tensor([1.5])), r"uniforms must lie in \[0, 1\]"),
        (lambda: small_mixture().gaussian_source(torch.tensor([0])), "not Gaussian"),
        (lambda: replace(small_mixture(), weights=torch.full((5,), 0.3)), "weights of class 0"),
        (lambda: ClassMixture.fit(numbers(9, 2), torch.zeros(9).long(), 2, generator=generator()), "class 1 has no members"),
        (lambda: ClassMixture.fit(numbers(2, 2), torch.zeros(2).long(), 1, generator=generator()), "class 0 has 2 members"),
        (lambda: ClassMixture.fit(numbers(9, 2) / 0, torch.zeros(9).long(), 1, generator=generator()), "x must be finite"),
    ],
)
def test_bad_input_names_the_culprit(attempt, words):
    with pytest.raises(ValueError, match=words):
        attempt()


def filled(moments: DiagonalMoments | PooledMoments) -> DiagonalMoments | PooledMoments:
    moments.update(numbers(9, 2), torch.zeros(9, dtype=torch.int64))
    return moments


def test_a_refused_batch_leaves_the_moments_as_they_were():
    moments = full_moments(*data((2,)), 3)
    before = (moments.counts.clone(), moments.means.clone(), moments.scatter.clone())
    for x, labels in (
        (torch.full((2, 2), torch.nan), [0, 0]),
        (torch.zeros(2, 3), [0, 0]),
        (torch.zeros(2, 2), [0, 3]),
        (torch.zeros(2, 2), [0]),
    ):
        with pytest.raises(ValueError, match=r"finite|numbers per point|labels"):
            moments.update(x, torch.tensor(labels))
    moments.update(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))
    assert all(torch.equal(a, b) for a, b in zip(before, (moments.counts, moments.means, moments.scatter), strict=True))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": torch.tensor(2)}, "version 2; this code reads version 1"),
        ({"kind": torch.tensor(list(b"gausian"), dtype=torch.uint8)}, "did you mean 'gaussian'"),
        ({"means": None}, "state lacks 'means'"),
        ({"kind": None}, "state lacks 'kind'"),
        ({"spread.factors": None}, r"state lacks 'spread\.factors'"),
    ],
)
def test_a_strange_or_partial_state_is_refused(change, words):
    state = fitted(shrinkage=0.1).state() | change
    with pytest.raises(ValueError, match=words):
        prior_from_state({name: value for name, value in state.items() if value is not None})


def test_states_and_mappers_that_do_not_belong_together_are_refused():
    text, plain = TextGaussian(mapper(), 0.7).state(), TextGaussian(lambda c: c, 0.7).state()
    for attempt, words in (
        (lambda: prior_from_state(text), "needs mapper="),
        (lambda: TextGaussian.from_state(text, lambda c: c), "mapper must be a module"),
        (lambda: prior_from_state(text, mapper=nn.Linear(3, 4)), "mapper does not fit"),
        (lambda: prior_from_state(plain, mapper=mapper()), "mapper does not fit"),
        (lambda: prior_from_state(Gaussian().state(), mapper=mapper()), "mapper= is for text priors"),
        (lambda: ClassMixture.from_state(Gaussian().state()), "that of a 'gaussian' prior, not of a 'class-mixture' one"),
    ):
        with pytest.raises(ValueError, match=words):
            attempt()


def test_an_empty_batch_has_an_empty_answer():
    for prior, condition in gaussians():
        none = None if condition is None else condition[:0]
        assert prior.from_normals(torch.zeros(0, 2, 2, dtype=torch.float64), none).shape == (0, 2, 2)
        assert prior.log_prob(torch.zeros(0, 2, 2, dtype=torch.float64), none).shape == (0,)


@pytest.mark.parametrize("seed", range(8))
def test_samples_of_a_singular_covariance_stay_in_its_plane_and_keep_their_least_variance(seed):
    """Rank 2 in 6 dimensions, variances 9 and 9e-10: rounding is no variance (its root would be 1e-8), and 9e-10 no rounding."""
    plane = torch.linalg.qr(numbers(6, 2, seed=seed)).Q
    spread = Full.of((plane * torch.tensor([9.0, 9e-10], dtype=torch.float64) @ plane.T)[None])
    factor = spread.times(torch.eye(6, dtype=torch.float64), torch.zeros(6, dtype=torch.int64)).T
    assert (factor - plane @ plane.T @ factor).abs().max() < 1e-9
    inner = plane.T @ factor
    assert (inner @ inner.T - torch.diag(torch.tensor([9.0, 9e-10], dtype=torch.float64))).abs().max() < 1e-13


def test_a_covariance_of_condition_a_million_has_a_density():
    """Correlation .999999 leaves an eigenvalue of 1e-6, far above rounding."""
    s = torch.tensor([[[1.0, 0.999999], [0.999999, 1.0]]], dtype=torch.float64)
    assert not bool(Full.of(s).singular.any())
    assert bool(Full.of(torch.ones(1, 2, 2, dtype=torch.float64)).singular.all())


@pytest.mark.parametrize("labels", [torch.tensor([0.0, 1.0]), torch.tensor([False, True]), torch.tensor([[0], [1]]), [0, 1]])
@pytest.mark.usefixtures("unchecked")
def test_labels_that_are_not_classes_are_refused(labels):
    with pytest.raises(ValueError, match="labels must be a tensor of whole numbers"):
        MomentAccumulator(2, 3).update(torch.zeros(2, 3), labels)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
@pytest.mark.usefixtures("unchecked")
def test_labels_of_any_whole_dtype_count_alike(dtype):
    x, labels = data((2,))
    for kind in (MomentAccumulator, PooledMoments):
        one, other = kind(3, 2), kind(3, 2)
        one.update(x, labels)
        other.update(x, labels.to(dtype))
        assert torch.equal(one.counts, other.counts)
        assert torch.equal(one.scatter, other.scatter)
