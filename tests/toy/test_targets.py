"""The named targets, and clouds that become mixtures."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

from lab import random
from lab.mixtures import schedule
from toy.clouds import fit_cloud, parse_points, read_points
from toy.mixtures import Mixture
from toy.targets import NAMES, by_name


@pytest.mark.parametrize("name", NAMES)
def test_every_target_has_at_most_64_components_and_fits_the_stage(name):
    target = by_name(name)
    assert len(target.weights) <= 64
    assert abs(float(target.weights.sum()) - 1) < 1e-12
    x = target.sample(2000, torch.Generator().manual_seed(0))
    assert float((x.abs().amax(1) < 6.5).double().mean()) > 0.98
    again = by_name(name)
    assert torch.equal(target.means, again.means)


def test_ring_strips_are_as_specified():
    target = by_name("ring-strips")
    assert target.class_count == 8
    assert target.means[0].tolist() == [4, 0]
    assert (target.means.norm(dim=1) - 4).abs().max() < 1e-12
    angles = torch.atan2(target.means[:, 1], target.means[:, 0]) % (2 * torch.pi)
    assert (angles - torch.arange(8, dtype=torch.float64) * torch.pi / 4).abs().max() < 1e-12
    assert (target.covariances - torch.diag(torch.tensor([0.15**2, 0.8**2], dtype=torch.float64))).abs().max() < 1e-15


def test_the_targets_show_what_their_names_say():
    two, bimodal, rare, mixed = (by_name(n) for n in ("two-modes", "bimodal", "rare-class", "interleaved"))
    assert two.means.tolist() == [[4, 1.5], [4, -1.5]]
    assert two.class_count == 1
    assert torch.bincount(bimodal.classes).tolist() == [2, 2, 2, 2]
    assert float(rare.class_weights.min()) == pytest.approx(0.01)
    # Class 0's mean lies among class 1: the likeliest class there is not 0.
    assert int(mixed.class_log_prob(mixed.of_class(0).mean[None]).argmax()) != 0
    assert by_name("moons").class_count == 2
    assert by_name("smiley").class_count == 3


def test_curves_are_even_along_their_length():
    """Density along the moons' middle: the ripple between the components stays below two per cent of its mean."""
    moons = by_name("moons")
    angle = torch.linspace(0.2 * torch.pi, 0.8 * torch.pi, 400, dtype=torch.float64)
    middle = torch.stack((2.6 * angle.cos() - 1.3, 2.6 * angle.sin() - 0.65), 1)
    density = moons.of_class(0).log_prob(middle).exp()
    assert float(density.std() / density.mean()) < 0.02


def test_digits_are_scikit_learns():
    """Within two per cent of quadratic discriminant analysis on the same two components; the data lie where the mixture says."""
    pixels, labels = load_digits(return_X_y=True)
    points = PCA(2, svd_solver="full").fit_transform(pixels)
    points *= 3.5 / np.sqrt((points**2).sum(1).mean())
    target = by_name("digits")
    assert target.class_count == 10
    assert np.allclose(target.class_weights.numpy(), np.bincount(labels) / len(labels))
    guessed = target.class_log_prob(torch.from_numpy(points)).argmax(1).numpy()
    assert (guessed == labels).mean() > QuadraticDiscriminantAnalysis().fit(points, labels).score(points, labels) - 0.02
    assert np.allclose(target.mean.numpy(), points.mean(0), atol=1e-6)


def test_letters_lie_inside_their_glyphs_and_o_has_a_hole():
    target = by_name("letters", letters="IO")
    assert target.class_count == 2
    o = target.of_class(1)
    hole, rim = o.mean[None], o.means[:1]
    assert float(o.log_prob(hole)) < float(o.log_prob(rim)) - 3
    for bad in ("", "   ", "ABCDEFGHI"):
        with pytest.raises(ValueError, match="letters"):
            by_name("letters", letters=bad)


def test_a_wrong_name_gets_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'spiral'"):
        by_name("spirals")


def drawn(mixture: Mixture, n: int, stream: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    component = schedule(mixture.weights, n)
    return mixture.from_normals(random.normals(0, torch.arange(n), 2, stream), component), mixture.classes[component]


def test_a_cloud_of_a_known_mixture_is_fitted_as_well_as_the_mixture_itself():
    """2,000 points of eight-gaussians: log-likelihood on fresh points within .05 nats of the truth; W2 to the cloud within twice the floor."""
    truth = by_name("eight-gaussians")
    points, classes = drawn(truth, 2000)
    fit = fit_cloud(points, classes)
    fresh, _ = drawn(truth, 2000, stream=5)
    assert float(truth.log_prob(fresh).mean() - fit.mixture.log_prob(fresh).mean()) < 0.05
    assert fit.w2 < 2 * fit.w2_floor
    assert fit.mixture.class_count == 8
    assert (fit.scale, fit.shift) == (1.0, (0.0, 0.0))
    assert "held-out log-likelihood" in str(fit)


def test_a_far_cloud_is_brought_onto_the_stage_and_says_so():
    points, _ = drawn(by_name("two-modes"), 500)
    fit = fit_cloud(100 * points + 700)
    assert float(fit.mixture.mean.norm()) < 0.1
    assert abs(float((fit.mixture.covariance.trace() + fit.mixture.mean.square().sum()).sqrt()) - 3.5) < 0.1
    assert "scaled by" in str(fit)


def scipys_w2(a: np.ndarray, b: np.ndarray) -> float:
    cost = cdist(a, b, "sqeuclidean")
    return float(np.sqrt(cost[linear_sum_assignment(cost)].mean()))


@pytest.mark.parametrize("classes", [1, 2])
def test_w2_and_its_floor_are_those_of_independent_samples_as_many_as_the_cloud(classes):
    """Means over twelve seeds against numpy's own draws, to four standard errors.

    One Gaussian for four points: W2 is far above the floor. One for each class: the floor is mostly that two samples hold unequally many of each.
    """
    n = 60
    points = torch.tensor([[-4.0, -1.0], [-4.0, 1.0], [4.0, -1.0], [4.0, 1.0]], dtype=torch.float64).repeat(n // 4, 1)
    fits = [fit_cloud(points, (points[:, 0] > 0).long() * (classes - 1), seed=seed) for seed in range(12)]
    mixture, rng = fits[0].mixture, np.random.default_rng(0)

    def draw() -> np.ndarray:
        component = rng.choice(len(mixture.weights), n, p=mixture.weights.numpy())
        return np.stack([rng.multivariate_normal(mixture.means[k].numpy(), mixture.covariances[k].numpy()) for k in component])

    pairs = [(draw(), draw()) for _ in range(40)]
    assert len(mixture.weights) == classes
    for found, wanted in (
        ([fit.w2 for fit in fits], [scipys_w2(points.numpy(), a) for a, _ in pairs]),
        ([fit.w2_floor for fit in fits], [scipys_w2(a, b) for a, b in pairs]),
    ):
        error = np.std(wanted) * (1 / len(found) + 1 / len(wanted)) ** 0.5
        assert abs(np.mean(found) - np.mean(wanted)) < 4 * error


def test_the_held_out_likelihood_is_of_points_not_fitted():
    """One Gaussian for eight of ten points: the score is scipy's for one of the 45 ways to hold out two, and the seed says which."""
    points = torch.randn(10, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    scores = []
    for held in combinations(range(10), 2):
        kept = np.delete(points.numpy(), held, 0)
        s = np.cov(kept.T, bias=True)
        law = multivariate_normal(kept.mean(0), s + 1e-4 * np.trace(s) / 2 * np.eye(2))
        scores.append(law.logpdf(points.numpy()[list(held)]).mean())
    found = {fit_cloud(points, seed=seed).held_out_log_likelihood for seed in range(5)}
    assert all(np.abs(np.array(scores) - score).min() < 1e-10 for score in found)
    assert len(found) > 1


def test_points_on_a_line_are_fitted_and_points_in_one_place_are_refused():
    line = torch.stack((torch.linspace(-3, 3, 200, dtype=torch.float64), torch.zeros(200, dtype=torch.float64)), 1)
    assert bool(torch.isfinite(fit_cloud(line).mixture.log_prob(line)).all())
    with pytest.raises(ValueError, match="coincide"):
        fit_cloud(torch.ones(50, 2, dtype=torch.float64))


TEN = [f"{i},{i * i}" for i in range(10)]


@pytest.mark.parametrize(
    "text",
    [
        "x,y\n" + "\n".join(TEN),
        "\n".join(TEN),
        "\ufeffX ; Y\n".lstrip("\ufeff") + "\n".join(TEN).replace(",", ";"),
        "Y\tX\n" + "\n".join(TEN).replace(",", "\t"),
    ],
)
def test_csv_is_read_with_and_without_header_and_by_any_delimiter(text):
    cloud = parse_points(text)
    assert cloud.points.shape == (10, 2)
    assert float(cloud.points.sum()) == 45 + 285


def test_classes_are_read_by_name():
    cloud = parse_points("x,class,y\n" + "\n".join(f"{i},{'cat' if i % 2 else 'dog'},{-i}" for i in range(10)))
    assert cloud.class_names == ("dog", "cat")
    assert cloud.classes.tolist() == [0, 1] * 5
    assert cloud.points[3].tolist() == [3, -3]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("x,y\n1,2\n", "has 1 points"),
        ("a,b\n" + "\n".join(TEN), "no columns x and y"),
        ("x,y\n" + "\n".join([*TEN, "3,three"]), "line 12: x and y must be finite numbers, not '3,three'"),
        ("x,y\n" + "\n".join([*TEN, "3,nan"]), "line 12"),
        ("x,y\n" + "\n".join([*TEN, "inf,3"]), "line 12"),
        ("x,y\n" + "\n".join([*TEN, "3"]), "line 12"),
        ("x,y\n" + "1,2\n" * 100_001, "100,000"),
        ("x,y,class\n" + "\n".join(f"{i},{i},c{i}" for i in range(40)), "40 classes"),
        ("x,y,class\n" + "\n".join(f"{line},a" for line in TEN) + "\n3,4,", "line 12: the class is missing"),
        ("x,y\n" + "\n".join([*TEN, "3,4,5"]), "line 12: 3 cells for 2 columns"),
        ("\n".join(f"{line},{i}.5" for i, line in enumerate(TEN)), "third column is no class"),
        ("x,y\n\n" + "\n\n".join([*TEN, "1_0,3"]), "line 23"),
        ("x,y\n" + "\n".join([*TEN, '"3,4']), "no CSV file"),
        ("x,y\n" + "\n".join([*TEN, "1e9,4"]), "line 12: the point"),
    ],
)
def test_bad_csv_gets_one_sentence(text, words):
    with pytest.raises(ValueError, match=words) as caught:
        parse_points(text)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path):
    with pytest.raises(ValueError, match="cannot be read"):
        read_points(tmp_path / "missing.csv")
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(ValueError, match="is not text"):
        read_points(tmp_path / "picture.csv")
