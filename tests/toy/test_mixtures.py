"""Mixture: classes, transformations, JSON and refusals. Density and sampling are lab.mixtures' own tests."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from tests.toy.scenes import class_prior, generator, normal, random_covariances, ring_strips, uniform
from toy.mixtures import Mixture, moments, symmetric

EYE = [[1.0, 0.0], [0.0, 1.0]]


def random_mixture(seed: int = 0, k: int = 6, classes: int = 3) -> Mixture:
    g = generator(seed)
    weights = uniform(k, generator=g) + 0.1
    return Mixture(weights / weights.sum(), 3 * normal(k, 2, generator=g), random_covariances(k, 0.7, g), torch.arange(k) % classes)


def test_lists_arrays_and_tensors_make_the_same_mixture():
    m = random_mixture()
    lists = Mixture(m.weights.tolist(), m.means.tolist(), m.covariances.tolist(), m.classes.tolist())
    arrays = Mixture(m.weights.numpy(), m.means.numpy(), m.covariances.numpy(), m.classes.numpy().astype(np.uint8))
    assert lists == m == arrays
    assert hash(lists) == hash(m)
    assert m.weights.dtype == m.means.dtype == m.covariances.dtype == torch.float64
    assert m.classes.dtype == torch.int64
    assert bool((Mixture([0.5, 0.5], [[0, 0], [1, 1]], [EYE] * 2).classes == 0).all())


def test_mixtures_that_differ_in_one_number_differ():
    m = random_mixture()
    assert m != Mixture(m.weights, m.means + torch.tensor([1e-15, 0.0]) * (m.means.abs() + 1), m.covariances, m.classes)
    assert m != Mixture(m.weights, m.means, m.covariances, m.classes.flip(0))
    assert m != "a mixture"


def test_a_mixture_does_not_change_with_its_callers_arrays():
    means, covariances = torch.zeros(1, 2, dtype=torch.float64), np.eye(2)[None]
    m = Mixture([1.0], means, covariances)
    means += 5
    covariances *= 5
    assert m.means.tolist() == [[0.0, 0.0]]
    assert m.covariances.tolist() == [EYE]
    with pytest.raises(AttributeError):
        m.weights = torch.ones(1)  # pyright: ignore[reportAttributeAccessIssue]


def test_weights_rounded_in_a_file_are_made_exact():
    """Thirds written with seven digits sum to .9999999, which is no law; further off is an error, not a rounding."""
    m = Mixture([0.3333333] * 3, [[0, 0], [1, 1], [2, 2]], [EYE] * 3)
    torch.testing.assert_close(m.weights, torch.full((3,), 1 / 3, dtype=torch.float64), rtol=0, atol=1e-15)
    with pytest.raises(ValueError, match="weights"):
        Mixture([0.33333] * 3, [[0, 0], [1, 1], [2, 2]], [EYE] * 3)


def test_class_weights_and_class_laws_add_up_to_the_mixture():
    """p(x) = sum_c p(c) p(x | c), and p(x, c) is each of its terms; against scipy's normal density."""
    m, x = random_mixture(), 3 * normal(50, 2, generator=generator(1))
    assert m.class_count == 3
    torch.testing.assert_close(m.class_weights, torch.stack([m.weights[m.classes == c].sum() for c in range(3)]))
    truth = np.zeros((50, 3))
    for w, mean, covariance, c in zip(m.weights.tolist(), m.means.numpy(), m.covariances.numpy(), m.classes.tolist(), strict=True):
        truth[:, c] += w * multivariate_normal.pdf(x.numpy(), mean, covariance)
    np.testing.assert_allclose(m.class_log_prob(x).numpy(), np.log(truth), rtol=1e-10, atol=1e-10)
    for c in range(3):
        law = m.of_class(c)
        assert law.class_count == 1
        np.testing.assert_allclose(law.log_prob(x).numpy(), np.log(truth[:, c] / float(m.class_weights[c])), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(torch.logsumexp(m.class_log_prob(x), 1).numpy(), m.log_prob(x).numpy(), rtol=1e-10, atol=1e-10)


def test_the_likeliest_class_of_a_class_mean_is_that_class():
    m = ring_strips()
    assert m.class_log_prob(m.means).argmax(1).tolist() == list(range(8))


def test_moments_are_those_of_a_large_sample():
    """Mean within 5 standard errors; covariance too, whose standard error for n draws is sqrt(var(product) / n)."""
    m, n = random_mixture(2), 200_000
    x = m.sample(n, generator=generator(3))
    mean, covariance = moments(m)
    centred = x - mean
    assert bool((centred.mean(0).abs() < 5 * centred.std(0) / n**0.5).all())
    products = centred[:, :, None] * centred[:, None, :]
    assert bool(((products.mean(0) - covariance).abs() < 5 * products.std(0) / n**0.5).all())


def test_a_transformed_mixture_is_the_law_of_the_transformed_variable():
    """p'(A x + b) |det A| = p(x), classes kept; a rotation there and back changes nothing."""
    m, x = random_mixture(4), normal(40, 2, generator=generator(5))
    a, b = torch.tensor([[0.5, -2.0], [1.0, 1.0]], dtype=torch.float64), torch.tensor([3.0, -1.0], dtype=torch.float64)
    moved = m.transformed(a, b)
    torch.testing.assert_close(moved.log_prob(x @ a.T + b) + torch.linalg.det(a).abs().log(), m.log_prob(x), rtol=1e-10, atol=1e-10)
    assert torch.equal(moved.classes, m.classes)
    assert torch.equal(moved.covariances, moved.covariances.mT)
    back = moved.transformed(torch.linalg.inv(a)).transformed(np.eye(2), -torch.linalg.inv(a) @ b)
    torch.testing.assert_close(back.means, m.means)
    torch.testing.assert_close(back.covariances, m.covariances)


def test_separation_scales_the_distance_of_the_modes_about_the_mean():
    m = random_mixture(6)
    apart = m.separated(2.5)
    torch.testing.assert_close(apart.mean, m.mean)
    torch.testing.assert_close(apart.means[0] - apart.means[1], 2.5 * (m.means[0] - m.means[1]))
    assert torch.equal(apart.covariances, m.covariances)
    assert torch.equal(apart.classes, m.classes)
    for factor in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="separation"):
            m.separated(factor)


def test_json_gives_the_same_mixture_back_bit_for_bit():
    for seed in range(20):
        m = random_mixture(seed, k=1 + seed, classes=1 + seed // 4)
        again = Mixture.from_json(m.to_json())
        assert all(torch.equal(getattr(m, f), getattr(again, f)) for f in ("weights", "means", "covariances", "classes"))
        assert again.to_json() == m.to_json()
    extreme = Mixture([1.0], [[1e300, -5e-324]], [[[1e-200, 0.0], [0.0, 1e-200]]])
    assert Mixture.from_json(extreme.to_json()) == extreme


def test_json_without_classes_has_one_class():
    assert Mixture.from_json(json.dumps({"weights": [1], "means": [[0, 0]], "covariances": [EYE]})).class_count == 1


GOOD = {"weights": [0.5, 0.5], "means": [[0, 0], [1, 1]], "covariances": [EYE, EYE], "classes": [0, 1]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights": [0.7, 0.7]}, "weights"),
        ({"weights": [1.5, -0.5]}, "weights"),
        ({"weights": [float("nan"), 1.0]}, "weights"),
        ({"weights": []}, "weights must be a list of at least one number"),
        ({"weights": 1.0}, "weights must be a list"),
        ({"weights": [[0.5, 0.5]]}, "weights must be a list"),
        ({"weights": ["a", "b"]}, "weights must be an array of numbers"),
        ({"weights": [0.5, None]}, "weights must be an array of numbers"),
        ({"weights": {"a": 1}}, "weights must be an array of numbers"),
        ({"means": [[0, 0]]}, "means have shape"),
        ({"means": [[0, 0, 0], [1, 1, 1]]}, "means have shape"),
        ({"means": [[0, 0], [1]]}, "means must be an array of numbers"),
        ({"means": [[0, 0], [float("nan"), 1]]}, "means"),
        ({"means": [[0, 0], [float("inf"), 1]]}, "means"),
        ({"means": [[0, 0], [10**400, 1]]}, "means"),
        ({"covariances": [EYE]}, "covariances have shape"),
        ({"covariances": [1.0, 1.0]}, "covariances have shape"),
        ({"covariances": [EYE, [[1, 2], [2, 1]]]}, "covariances.*1"),
        ({"covariances": [EYE, [[1, 0.5], [0, 1]]]}, "covariances.*1"),
        ({"covariances": [EYE, [[1, 0], [0, 0]]]}, "covariances.*1"),
        ({"covariances": [EYE, [[1, 0], [0, float("nan")]]]}, "covariances"),
        ({"classes": [0, 2]}, "classes must be numbered 0 to C - 1"),
        ({"classes": [1, 2]}, "classes must be numbered 0 to C - 1"),
        ({"classes": [-1, 0]}, "classes must be numbered 0 to C - 1"),
        ({"classes": [0, 0.5]}, "classes must be one whole number"),
        ({"classes": [0, float("nan")]}, "classes must be one whole number"),
        ({"classes": [0]}, "classes must be one whole number"),
        ({"classes": ["a", "b"]}, "classes must be an array of numbers"),
        ({"colour": "red"}, "unknown keys colour"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_mixture_names_the_culprit(change: dict, words: str):
    """From JSON, where anything may stand; in one line of a readable length."""
    with pytest.raises(ValueError, match=words) as caught:
        Mixture.from_json(json.dumps(GOOD | change))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text", ["", "{", "[1, 2]", "3", "null", '"weights"', '{"weights": [1]}', "[" * 100_000, "9" * 5000, "\x00"], ids=lambda t: t[:12]
)
def test_what_is_no_mixture_is_refused(text: str):
    with pytest.raises(ValueError, match="mixture"):
        Mixture.from_json(text)


def test_classes_that_do_not_exist_or_have_no_weight_are_refused():
    m = Mixture([0.0, 0.4, 0.6], [[0, 0], [1, 1], [2, 2]], [EYE] * 3, [0, 0, 1])  # a component may be without weight, its class not
    with pytest.raises(ValueError, match="class 2 does not exist; classes run from 0 to 1"):
        m.of_class(2)
    with pytest.raises(ValueError, match="class 0 has weight 0"):
        Mixture([0.0, 1.0], [[0, 0], [1, 1]], [EYE] * 2, [0, 1])


def test_a_matrix_that_flattens_the_plane_is_refused():
    m = random_mixture()
    for matrix in ([[1, 2], [2, 4]], [[0, 0], [0, 0]], [[1, 0, 0], [0, 1, 0]], [[float("nan"), 0], [0, 1]]):
        with pytest.raises(ValueError, match="matrix"):
            m.transformed(matrix)
    with pytest.raises(ValueError, match="shift"):
        m.transformed(np.eye(2), [1.0, 2.0, 3.0])


def test_a_class_prior_has_the_moments_of_its_class():
    """The helper that other tests rely on: mean and covariance of the class's own law, weights those of the classes."""
    target = random_mixture(7)
    prior = class_prior(target)
    assert prior.class_count == target.class_count
    torch.testing.assert_close(prior.mean, target.mean)
    torch.testing.assert_close(prior.of_class(1).covariance, target.of_class(1).covariance)


def test_symmetric_removes_what_rounding_left():
    a = normal(4, 2, 2, generator=generator())
    assert torch.equal(symmetric(a), symmetric(a).mT)
    torch.testing.assert_close(symmetric(a) + 0.5 * (a - a.mT), a)
