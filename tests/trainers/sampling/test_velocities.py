"""What a network's prediction means: the velocity that each target implies, and EDM's weights in the loss."""

import pytest
import torch
from torch import Tensor, nn

from lab.priors import Gaussian
from lab.random import normals
from tests.trainers.sampling.gaussians import GaussianData
from trainers.methods import EDGE, Method
from trainers.priors import FittedPrior
from trainers.recipes import Recipe, apply

STANDARD = FittedPrior("standard", Gaussian(), {})


def method(**changes) -> Method:
    return Method(apply(Recipe(), changes), STANDARD)


class Exact(nn.Module):
    """Predicts the conditional expectation of one quantity."""

    def __init__(self, model: GaussianData, quantity: str) -> None:
        super().__init__()
        self.model, self.quantity = model, quantity

    def forward(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.model.expected(x, t, condition)[self.quantity].to(x.dtype)


@pytest.mark.parametrize("path", ["cond-ot", "vp", "cosine"])
@pytest.mark.parametrize("target", ["velocity", "data", "noise", "score"])
def test_the_exact_prediction_of_any_target_implies_the_exact_field(target: str, path: str):
    """In float64, at times from the edge to .99."""
    made = method(**{"loss.target": target, "path.kind": path})
    model = GaussianData(made.path, shape=(1, 2, 2))
    t = torch.linspace(EDGE, 0.99, 60, dtype=torch.float64)
    x = normals(0, torch.arange(60), 4).reshape(60, 1, 2, 2)
    found = made.velocity(Exact(model, target), x, t, None)
    exact = model.expected(x, t)["velocity"]
    assert float(((found - exact).abs() / (1 + exact.abs())).max()) < 1e-9


@pytest.mark.parametrize("path", ["cond-ot", "vp"])
@pytest.mark.parametrize("target", ["velocity", "data", "noise", "score"])
def test_at_the_ends_the_velocity_is_finite_and_near_the_exact_one(target: str, path: str):
    """Held to [EDGE, 1 - EDGE] where the prediction determines nothing."""
    made = method(**{"loss.target": target, "path.kind": path})
    model = GaussianData(made.path, shape=(1, 2, 2))
    t = torch.tensor([0.0, made.last_time], dtype=torch.float64)
    x = normals(0, torch.arange(2), 4).reshape(2, 1, 2, 2)
    found, exact = made.velocity(Exact(model, target), x, t, None), model.expected(x, t)["velocity"]
    assert bool(torch.isfinite(found).all())
    # The velocities of the diffusion path change quickly near the data.
    assert float((found - exact).abs().max()) < (0.02 if path == "cond-ot" else 0.2) * (1 + float(exact.abs().max()))


@pytest.mark.parametrize("target", ["velocity", "data", "noise"])
@pytest.mark.parametrize("path", ["cond-ot", "vp", "cosine"])
def test_edm_weights_are_those_of_its_table_1(target: str, path: str):
    """(sigma^2 + s^2) / (sigma s)^2 |D(x_1 + sigma n; sigma) - x_1|^2 with s = 1, by hand: EDM's noise level is sigma_t / alpha_t, its input x_t / alpha_t."""
    made = method(**{"loss.target": target, "loss.weighting": "edm", "path.kind": path})
    t = torch.linspace(0.05, 0.95, 30, dtype=torch.float64)
    x_0, x_1, off = (normals(k, torch.arange(30), 8).reshape(30, 2, 2, 2) for k in range(3))
    a, s, da, ds = (f(t)[:, None, None, None] for f in (made.path.alpha, made.path.sigma, made.path.d_alpha, made.path.d_sigma))
    x_t, denoised = a * x_1 + s * x_0, x_1 + 0.3 * off
    noise = (x_t - a * denoised) / s
    prediction = {"data": denoised, "noise": noise, "velocity": da * denoised + ds * noise}[target]
    level = (s / a).flatten()
    expected = (level**2 + 1) / level**2 * (denoised - x_1).square().flatten(1).mean(1)

    class Constant(nn.Module):
        def forward(self, x: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
            assert torch.allclose(x, x_t)
            return prediction

    assert torch.allclose(made.losses(Constant(), x_0, x_1, t, None), expected, rtol=1e-9)
