"""The batched perceptrons: their linear part is the least-squares one, and networks in one tensor share nothing."""

import pytest
import torch

from lab import paths
from tests.toy.scenes import each_path, generator, normal
from toy.learning.networks import Architecture, LearnedField, Moments, Scaling, perceptron

MIXED = torch.tensor([[0.8, 0.0, 0.6, 0.0], [0.0, 0.8, 0.0, 0.6]], dtype=torch.float64)


def some_pairs(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlated pairs with means of their own."""
    z = normal(n, 4, generator=generator(3))
    return z[:, :2] + 0.5, 2 * (z @ MIXED.T) - torch.tensor([1.0, 2.0], dtype=torch.float64)


@each_path
@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_the_linear_part_is_least_squares_and_what_is_left_has_unit_size(path: paths.Path, t: float):
    """The slope and the residual are those of a regression of dx_t on x_t over the same pairs, both coordinates together."""
    x_0, x_1 = some_pairs(5000)
    s = path.sample(x_0=x_0, x_1=x_1, t=torch.full((5000,), t, dtype=torch.float64))
    scaled = Scaling(Moments.of(x_0, x_1), path).at(torch.tensor([t], dtype=torch.float64))
    x, dx = s.x_t - s.x_t.mean(0), s.dx_t - s.dx_t.mean(0)
    slope = (x * dx).sum() / x.square().sum()
    torch.testing.assert_close(scaled.slope[0, 0], slope, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(scaled.centre[0], s.x_t.mean(0), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(scaled.drift[0], s.dx_t.mean(0), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(scaled.size[0, 0], x.square().mean().sqrt(), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(scaled.residual[0, 0], (dx - slope * x).square().mean().sqrt(), rtol=1e-6, atol=1e-6)


def test_pairs_that_are_a_shift_leave_finite_numbers():
    x_0, _ = some_pairs(100)
    scaled = Scaling(Moments.of(x_0, x_0 + 3), paths.CondOT()).at(torch.linspace(0, 1, 5).double())
    assert bool(torch.isfinite(torch.cat((scaled.slope, scaled.residual, scaled.size))).all())
    assert bool((scaled.residual > 0).all())


def test_a_network_is_the_perceptron_of_its_own_parameters():
    """Against torch.nn layers with the same numbers, for each of three networks in one tensor."""
    shape = Architecture(width=16, depth=2, classes=3)
    parameters = shape.begin((5, 6, 7))
    parameters += 0.1 * torch.randn(parameters.shape, generator=generator())
    h = torch.randn(3, 10, shape.shapes[0][0], generator=generator(1))
    together = perceptron(shape.layers(parameters), h)
    model = torch.nn.Sequential()
    for s in range(3):
        model = torch.nn.Sequential()
        for matrix, offset in shape.layers(parameters[s : s + 1]):
            layer = torch.nn.Linear(matrix.shape[1], matrix.shape[2])
            layer.weight.data, layer.bias.data = matrix[0].T.clone(), offset[0, 0].clone()
            model.extend([layer, torch.nn.SiLU()])
        torch.testing.assert_close(together[s], model[:-1](h[s]), rtol=1e-4, atol=1e-5)
    assert shape.count == sum(p.numel() for p in model.parameters())


def test_networks_begin_by_their_own_seed_alone_and_know_nothing():
    shape = Architecture(width=8, depth=2)
    among = shape.begin((4, 9))
    assert torch.equal(among[1], shape.begin((9,))[0])
    assert not torch.equal(among[0], among[1])
    assert not torch.equal(shape.begin((9,), round_=1)[0], among[1])
    h = torch.randn(2, 5, shape.shapes[0][0], generator=generator())
    assert not bool(perceptron(shape.layers(among), h).any())


def make_fields(classes: int) -> tuple[LearnedField, list[LearnedField]]:
    shape = Architecture(width=8, depth=2, classes=classes)
    parameters = shape.begin((0, 1))
    parameters += 0.1 * torch.randn(parameters.shape, generator=generator(2))
    scaling = Scaling(Moments.of(*some_pairs(500)), paths.CondOT())
    return LearnedField(shape, parameters, scaling, one=False, dtype=torch.float64), [
        LearnedField(shape, parameters[s : s + 1], scaling) for s in range(2)
    ]


@pytest.mark.parametrize("classes", [0, 3])
def test_all_networks_at_once_and_one_by_one_give_the_same_velocity(classes: int):
    every, each = make_fields(classes)
    x = normal(2, 6, 2, generator=generator(4))
    told = torch.arange(6).expand(2, 6) % 3 if classes else None
    at_once = every.velocity(x, torch.tensor([0.3, 0.3], dtype=torch.float64), told)
    for s, field in enumerate(each):
        c = None if told is None else told[s]
        for t in (0.3, torch.full((6,), 0.3, dtype=torch.float64), torch.full((), 0.3, dtype=torch.float64).expand(6)):
            torch.testing.assert_close(field.velocity(x[s], t, c), at_once[s], rtol=1e-9, atol=1e-9)
    mixed = torch.linspace(0, 1, 6).double()
    c = None if told is None else told[0]
    rows = torch.cat([each[0].velocity(x[0, i : i + 1], mixed[i : i + 1], None if c is None else c[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(each[0].velocity(x[0], mixed, c), rows, rtol=1e-9, atol=1e-9)


def test_what_does_not_fit_is_refused_by_name():
    every, (told, _) = make_fields(3)
    x = torch.zeros(4, 2)
    with pytest.raises(ValueError, match="condition must be given"):
        told.velocity(x, 0.5)
    with pytest.raises(ValueError, match="0 to 2"):
        told.velocity(x, 0.5, torch.full((4,), 3))
    with pytest.raises(ValueError, match="x has shape"):
        every.velocity(x, 0.5)
    with pytest.raises(ValueError, match="t has shape"):
        told.velocity(x, torch.zeros(3), torch.zeros(4).long())
    with pytest.raises(ValueError, match="one=False"):
        LearnedField(every.architecture, every.architecture.begin((0, 1)), every.scaling)
