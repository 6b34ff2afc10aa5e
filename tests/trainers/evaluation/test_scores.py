"""Scores against closed forms, scipy and plain loops over tiny sets; standard errors against the spread over many draws."""

import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import torch

from lab.distances import frechet_distance, precision_recall
from trainers.evaluation import scores
from trainers.evaluation.moments import Accumulator, Moments, moments_of


def draws(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def covariance(seed: int, dimension: int) -> torch.Tensor:
    root = draws(seed, dimension, dimension)
    return root @ root.T / dimension + 0.1 * torch.eye(dimension, dtype=torch.float64)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def test_moments_in_one_pass_are_those_of_all_features_and_of_numpy():
    x = 1e4 + draws(0, 500, 6) @ draws(1, 6, 6)
    sums = Accumulator(6)
    for piece in x.split(37):
        sums.update(piece)
    for moments in (sums.moments(), moments_of(x)):
        assert moments.count == 500
        assert np.allclose(moments.mean, np.mean(x.numpy(), 0), rtol=1e-13)
        assert np.allclose(moments.covariance, np.cov(x.numpy().T), rtol=1e-9)


def test_frechet_distance_is_that_of_scipy():
    a, b = (Moments(100, draws(s, 12), covariance(s, 12)) for s in (1, 2))
    root = np.real(scipy.linalg.sqrtm(a.covariance.numpy() @ b.covariance.numpy()))
    known = float((a.mean - b.mean).square().sum() + a.covariance.trace() + b.covariance.trace() - 2 * np.trace(root))
    assert abs(scores.frechet(a, b) - known) < 1e-6


def test_frechet_distance_of_commuting_gaussians_is_the_closed_form():
    a, b = torch.tensor([4.0, 1.0, 0.25], dtype=torch.float64), torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    mean = torch.tensor([3.0, 0.0, 4.0], dtype=torch.float64)
    one, two = Moments(9, torch.zeros(3, dtype=torch.float64), torch.diag(a)), Moments(9, mean, torch.diag(b))
    assert abs(scores.frechet(one, two) - (25 + 1 + 0 + 0.25)) < 1e-6  # |gap|^2 and the differences of deviations, squared


def test_no_covariance_of_one_picture_and_none_of_too_many_dimensions():
    with pytest.raises(ValueError, match="at least two"):
        moments_of(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="leave frechet out of --measures"):
        Accumulator(12288)


def cubic(a: torch.Tensor, b: torch.Tensor) -> float:
    return (float(a @ b) / len(a) + 1) ** 3


def plain_kernel_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    n = len(a)
    within = sum(cubic(u[i], u[j]) for u in (a, b) for i, j in itertools.permutations(range(n), 2)) / (n * (n - 1))
    return within - 2 * sum(cubic(p, q) for p in a for q in b) / n**2


def test_the_kernel_distance_of_whole_halves_is_a_plain_loop():
    x, y, plain = draws(3, 8, 4), draws(4, 8, 4) + 0.5, plain_kernel_distance
    drawn = generator()
    known = [plain(x[torch.randperm(8, generator=drawn)[:4]], y[torch.randperm(8, generator=drawn)[:4]]) for _ in range(5)]
    found = scores.kernel(x, y, generator=generator(), subsets=5)
    assert abs(found.value - np.mean(known)) < 1e-9
    assert found.error is not None
    assert (
        abs(found.error - math.sqrt(1 + 1 / 5) * np.std(known, ddof=1)) < 1e-9
    )  # of halves the spread itself, and a fifth of its variance for a mean over five


def test_the_error_of_a_kernel_distance_shrinks_with_the_whole_sample_not_with_its_subsets():
    """v (1/s - 1/n) is the variance of a subset of s without replacement where v / n is that of all n: here s = 5 of n = 21 and of 30 of the other set."""
    x, y, drawn = draws(3, 21, 4), draws(4, 30, 4) + 0.5, generator()
    known = [
        plain_kernel_distance(x[torch.randperm(21, generator=drawn)[:5]], y[torch.randperm(30, generator=drawn)[:5]]) for _ in range(6)
    ]
    found = scores.kernel(x, y, generator=generator(), subset=5, subsets=6)
    assert abs(found.value - np.mean(known)) < 1e-9
    assert found.error is not None
    of_a_subset = np.std(known, ddof=1) ** 2
    v = of_a_subset / (1 / 5 - 1 / 21)
    assert (
        abs(found.error - math.sqrt(v / 21 + of_a_subset / 6)) < 1e-9
    )  # six subsets' mean varies about the whole sample's by a sixth of their spread


def test_the_error_of_a_kernel_distance_is_the_spread_over_samples_also_where_subsets_are_small():
    found = [
        scores.kernel(
            draws(2 * k, 600, 3), draws(2 * k + 1, 600, 3) + 0.3, generator=torch.Generator().manual_seed(k), subset=30, subsets=4
        )
        for k in range(80)
    ]
    spread = np.std([each.value for each in found], ddof=1)
    stated = np.sqrt(np.mean([each.error**2 for each in found if each.error is not None]))
    assert 0.8 < stated / spread < 1.25  # 80 repetitions tell a spread to 8 %; without the subsets' own share it is .42


def test_coverage_is_a_plain_loop_in_pieces_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scores, "ROWS", 7)
    real, generated = draws(5, 30, 3), 0.7 * draws(6, 20, 3) + 0.4
    covered = 0
    for i, r in enumerate(real):
        radius = sorted(float((r - other).norm()) for j, other in enumerate(real) if j != i)[2]
        covered += min(float((r - g).norm()) for g in generated) <= radius
    assert scores.coverage(real, generated, 3) == covered / 30
    assert 0 < covered < 30


def test_coverage_of_the_real_pictures_themselves_is_whole_and_of_far_ones_nothing():
    real = draws(5, 30, 3)
    assert scores.coverage(real, real) == 1
    assert scores.coverage(real, real + 100) == 0


def test_precision_and_recall_are_plain_loops():
    real, generated = draws(5, 30, 3), 0.7 * draws(6, 30, 3) + 0.4

    def inside(points: torch.Tensor, manifold: torch.Tensor) -> float:
        radii = [sorted(float((m - o).norm()) for j, o in enumerate(manifold) if j != i)[2] for i, m in enumerate(manifold)]
        return sum(any(float((p - m).norm()) <= r for m, r in zip(manifold, radii, strict=True)) for p in points) / len(points)

    precision, recall = scores.precision_recall_of(generated, real, generator=generator())
    assert (precision.value, recall.value) == (inside(generated, real), inside(real, generated))
    assert precision.value == precision_recall(real, generated).precision


def test_one_nn_accuracy_is_a_half_for_one_law_one_for_laws_apart_and_none_for_copies():
    x, y = draws(8, 400, 5), draws(9, 400, 5)
    same = scores.one_nn(x, y, generator=generator())
    assert same.error is not None
    assert abs(same.value - 0.5) < 4 * same.error
    assert scores.one_nn(x, y + 50, generator=generator()) == scores.Score(1.0, 0.0)
    assert scores.one_nn(x, x + 1e-6, generator=generator()).value == 0


def test_standard_errors_are_the_spread_over_draws():
    """Of 60 independent pairs of samples; a spread over 60 is known to 9 %, so a half or a double would be seen at once. Shares near 0 or 1 are left out: their
    halves spread more."""
    real = moments_of(draws(10, 5000, 4))
    values, errors = [], []
    for seed in range(60):
        x, y = 0.8 * draws(1000 + seed, 120, 4) + 0.8, draws(2000 + seed, 120, 4)
        moments, drawn = moments_of(x), generator()
        error = scores.frechet_error(x, moments, real)
        assert error is not None
        found = [score(x, y, generator=drawn) for score in (scores.kernel, scores.one_nn, scores.coverage_of)]
        found += scores.precision_recall_of(x, y, generator=drawn)
        values.append([scores.frechet(moments, real), *(f.value for f in found)])
        errors.append([error, *(f.error for f in found)])
    ratio = torch.tensor(errors).mean(0) / torch.tensor(values).std(0)
    assert bool(((ratio > 0.7) & (ratio < 1.5)).all()), ratio


def test_the_frechet_error_in_one_dimension_is_the_closed_form():
    """(m - m_r)^2 + (s - s_r)^2: a picture x moves it by 2 (m - m_r) (x - m) + (1 - s_r / s) (x - m)^2."""
    x, real = 1.5 * draws(3, 80, 1) + 2, Moments(9, torch.ones(1, dtype=torch.float64), torch.full((1, 1), 0.49, dtype=torch.float64))
    gap, s = x[:, 0] - x.mean(), x[:, 0].std()
    known = (2 * (x.mean() - 1) * gap + (1 - 0.7 / s) * gap**2).std() / math.sqrt(80)
    found = scores.frechet_error(x, moments_of(x), real)
    assert found is not None
    assert abs(found - float(known)) < 1e-6


def test_there_is_no_frechet_error_where_pictures_are_fewer_than_dimensions():
    x = draws(0, 10, 20)
    assert scores.frechet_error(x, moments_of(x), moments_of(draws(1, 50, 20))) is None


def test_nearest_is_a_plain_loop_exact_where_pictures_are_copied_and_cut_in_pieces(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scores, "ROWS", 4)
    among = draws(11, 60, 40) + 1000
    x = torch.cat((draws(12, 9, 40) + 1000, among[17:18]))
    found = scores.nearest(x, among)
    for i, point in enumerate(x):
        distances = [float((point - other).norm()) for other in among]
        assert int(found.which[i]) == int(np.argmin(distances))
        assert abs(float(found.distance[i]) - min(distances)) < 1e-9
    assert float(found.distance[-1]) == 0
    assert int(found.which[-1]) == 17


def test_copies_show_in_the_memorisation_ratio_and_new_pictures_do_not():
    train, held_out, fresh = draws(13, 300, 6), draws(14, 200, 6), draws(15, 200, 6)
    usual = scores.nearest(held_out, train).distance
    honest = scores.memorisation_ratio(scores.nearest(fresh, train).distance, usual)
    copied = scores.memorisation_ratio(scores.nearest(train[:200] + 0.01 * fresh, train).distance, usual)
    assert honest is not None
    assert copied is not None
    assert 0.9 < honest < 1.1
    assert copied < 0.05
    assert scores.memorisation_ratio(usual, torch.zeros(3)) is None


def test_the_clip_score_is_a_hundred_times_the_cosine_and_never_negative():
    images = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    texts = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, -3.0]], dtype=torch.float64)
    each = [100, 100 / math.sqrt(2), 0]
    found = scores.clip_score(images, texts)
    assert abs(found.value - np.mean(each)) < 1e-9
    assert found.error is not None
    assert abs(found.error - np.std(each, ddof=1) / math.sqrt(3)) < 1e-9


def test_one_seed_gives_the_same_scores():
    x, y = draws(1, 60, 4), draws(2, 60, 4)
    for score in (scores.kernel, scores.one_nn, scores.precision_recall_of, scores.coverage_of):
        assert score(x, y, generator=generator()) == score(x, y, generator=generator())


@pytest.mark.parametrize("count", [9, 40])
def test_frechet_distance_by_the_pictures_own_rows_is_that_of_scipy_and_lab(count: int):
    """Fewer pictures than dimensions and more; the real ones by their covariance."""
    x, y = draws(11, count, 12) @ draws(12, 12, 12), 1 + draws(13, 500, 12) @ draws(14, 12, 12)
    generated, real = moments_of(x), moments_of(y)
    assert (generated.rows is None) == (count > 12)
    known = frechet_distance(generated.mean, generated.covariance, real.mean, real.covariance)
    assert abs(scores.frechet(generated, real) / known - 1) < 1e-9
    a, b = np.cov(x.numpy().T), np.cov(y.numpy().T)
    root = scipy.linalg.sqrtm(b)
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ a @ root), 0, None)).sum()
    assert (
        abs(scores.frechet(generated, real) / (float(((x.mean(0) - y.mean(0)) ** 2).sum()) + np.trace(a) + np.trace(b) - 2 * cross) - 1)
        < 1e-6
    )


def test_what_is_no_covariance_has_no_frechet_distance():
    bad = Moments(0, torch.zeros(2, dtype=torch.float64), torch.diag(torch.tensor([1.0, -0.5], dtype=torch.float64)))
    with pytest.raises(ValueError, match=r"negative eigenvalue, -0\.5"):
        scores.frechet(moments_of(draws(1, 9, 2)), bad)


def test_one_nearest_neighbour_accuracy_is_that_of_scikit_learn():
    from sklearn.model_selection import LeaveOneOut, cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    x, y = draws(21, 30, 5), draws(22, 30, 5) + 0.4
    both, which = np.concatenate((x.numpy(), y.numpy())), np.repeat((0, 1), 30)
    known = cross_val_score(KNeighborsClassifier(1), both, which, cv=LeaveOneOut()).mean()
    assert abs(scores.one_nn(x, y, generator=generator()).value - known) < 1e-12
