"""The flow of a MixtureField's velocity: it carries the density along, and particles to the target."""

import numpy as np
import ot
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from tests.toy.scenes import PATHS, gaussian, generator, normal, random_coupling, ring_strips, stratified
from toy.field import MixtureField

pytestmark = pytest.mark.usefixtures("unchecked")  # shapes are checked where each function is tested; here they would take half of the time


@pytest.mark.parametrize(("name", "sees_class"), [("cond-ot", False), ("cond-ot", True), ("cosine", False), ("vp", True)])
def test_log_density_carried_along_the_exact_flow_is_the_closed_form(name: str, sees_class: bool):
    """d/dt log p_t(x_t) = - div u(x_t, t): integrated with the exact divergence for 500 points, it ends at the closed form to 1e-6 nats."""
    coupled, path, draws = random_coupling(32, spread=1.0), PATHS[name], generator()
    field = coupled.field(path)
    x_0, x_1, c = coupled.draw(500, draws)
    condition = c if sees_class else None
    start = path.sample(x_0=x_0, x_1=x_1, t=torch.zeros(500, dtype=torch.float64)).x_t

    # In the time s with t = end (1 - (1 - s)^2) everything is smooth at the end: with a prior mean VP's velocity grows like (1 - t)^(-1/2).
    end = 0.9999 if name == "vp" else 1.0

    def augmented(s: float, state: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(state.reshape(500, 3)[:, :2].copy()).requires_grad_()
        u = field.velocity(x, end * (1 - (1 - s) ** 2), condition)
        divergence = torch.stack([torch.autograd.grad(u[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(2)]).sum(0)
        return 2 * end * (1 - s) * torch.cat((u.detach(), -divergence[:, None]), 1).numpy().ravel()

    first = field.log_prob(start, 0.0, condition)
    state = torch.cat((start, first[:, None]), 1).numpy().ravel()
    solution = solve_ivp(augmented, (0.0, 1.0), state, method="DOP853", rtol=1e-8, atol=1e-8)
    ended = torch.from_numpy(solution.y[:, -1].reshape(500, 3))
    assert float((ended[:, 2] - field.log_prob(ended[:, :2], end, condition)).abs().max()) < 1e-6
    assert float((ended[:, 2] - first).abs().median()) > 0.1


def w2(a: Tensor, b: Tensor) -> float:
    cost = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square().numpy()
    weights = np.full(len(a), 1 / len(a))
    return float(np.sqrt(ot.emd2(weights, weights, cost, numItermax=10_000_000)))


def test_end_points_of_the_exact_flow_are_as_near_to_the_target_as_the_target_to_itself():
    """W2 of 2,000 end points to fresh data, less that of other data to the same: over ten seeds the mean is within two standard errors.

    Both samples have every class in equal shares. Twice the solver error of the flow (RK4 at 32 steps) is far below the standard error.
    """
    target = ring_strips()
    field = MixtureField(gaussian(), target)
    differences = []
    for seed in range(10):
        draws = generator(seed)
        fresh, c = stratified(target, 2000, draws)
        second, _ = stratified(target, 2000, draws)
        x = normal(2000, 2, generator=draws)
        for i in range(32):
            x = rk4(field, x, i / 32, 1 / 32, c)
        differences.append(w2(x, fresh) - w2(second, fresh))
    values = np.array(differences)
    assert abs(values.mean()) < 2 * values.std(ddof=1) / len(values) ** 0.5


def rk4(field: MixtureField, x: Tensor, t: float, h: float, condition: Tensor | None) -> Tensor:
    a = field.velocity(x, t, condition)
    b = field.velocity(x + h / 2 * a, t + h / 2, condition)
    c = field.velocity(x + h / 2 * b, t + h / 2, condition)
    d = field.velocity(x + h * c, min(t + h, 1.0), condition)
    return x + h / 6 * (a + 2 * b + 2 * c + d)


def test_one_gaussian_to_another_is_an_affine_flow():
    """Independent N(m, s^2 I) to N(mu, r^2 I) on CondOT: the flow is x_t = M_t + sqrt(V_t) (x_0 - m) / s, and u is its derivative."""
    m, mu, s, r = torch.tensor([0.3, -1.0], dtype=torch.float64), torch.tensor([2.0, 1.0], dtype=torch.float64), 0.7, 1.9
    field = MixtureField(gaussian(s, (0.3, -1.0)), gaussian(r, (2.0, 1.0)))
    t = torch.tensor(0.35, dtype=torch.float64)
    std = ((1 - t) ** 2 * s**2 + t**2 * r**2).sqrt()
    d_std = (-(1 - t) * s**2 + t * r**2) / std
    z = normal(50, 2, generator=generator())
    x = (1 - t) * m + t * mu + std * z
    torch.testing.assert_close(field.velocity(x, t), mu - m + d_std * z, rtol=1e-12, atol=1e-12)
