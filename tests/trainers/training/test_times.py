"""Laws of time that trainers add, against scipy and their definitions."""

import pytest
import scipy.stats
import torch

from lab.paths import CondOT, Cosine, VariancePreserving
from trainers.recipes.schema import LossOptions
from trainers.times import Beta, NoiseLevels, Steps, time_law

U = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000


@pytest.mark.parametrize(
    "law",
    [
        Beta(0.5, 2.0),
        Beta(2.0, 2.0),
        NoiseLevels(CondOT(), -1.2, 1.2),
        NoiseLevels(Cosine(), 0.0, 1.0),
        NoiseLevels(VariancePreserving(), -1.2, 1.2),
    ],
    ids=str,
)
def test_times_follow_their_distribution_function(law):
    t = law.from_uniforms(U)
    assert bool((t.diff() >= 0).all() | (t.diff() <= 0).all())
    inside = (t > 1e-9) & (t < 1 - 1e-9)
    assert (law.cdf(t)[inside] - U[inside]).abs().max() < 1e-6


def test_beta_is_scipys():
    t = Beta(0.7, 1.9).from_uniforms(U)
    assert scipy.stats.kstest(t.numpy(), scipy.stats.beta(0.7, 1.9).cdf).statistic < 1e-3
    middle = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    assert torch.allclose(Beta(0.7, 1.9).density(middle), torch.as_tensor(scipy.stats.beta.pdf(middle.numpy(), 0.7, 1.9)))


@pytest.mark.parametrize("path", [CondOT(), Cosine()], ids=str)
def test_edm_draws_log_normal_noise_levels_on_any_path(path):
    """log(sigma / alpha) ~ N(-1.2, 1.2^2): Karras et al. 2022, table 1."""
    t = NoiseLevels(path, -1.2, 1.2).from_uniforms(U)
    level = torch.log(path.sigma(t) / path.alpha(t))
    assert level.mean().item() == pytest.approx(-1.2, abs=0.01)
    assert level.std().item() == pytest.approx(1.2, abs=0.01)


def test_ddpm_draws_its_thousand_steps_alike():
    t = Steps().from_uniforms((torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000)
    values, counts = t.unique(return_counts=True)
    assert torch.allclose(values, torch.arange(1000, dtype=torch.float64) / 1000)
    assert bool((counts == 10).all())
    n = 1000 * (1 - t) - 1
    assert n.min().item() == pytest.approx(0, abs=1e-9)
    assert n.max().item() == 999


def test_a_recipe_names_its_law():
    for name, kind in (
        ("uniform", "Uniform"),
        ("logit-normal", "LogitNormal"),
        ("u-shaped", "UShaped"),
        ("beta", "Beta"),
        ("edm", "NoiseLevels"),
        ("ddpm-1000", "Steps"),
    ):
        assert type(time_law(LossOptions(times=name), CondOT())).__name__ == kind
