"""DDPM: its betas, its steps and times, and three samplers on data whose noise prediction is known in closed form."""

import math
from typing import Any

import pytest
import torch

from lab.paths import VariancePreserving
from lab.random import normals
from tests.trainers.sampling.gaussians import GaussianData, M, S, ddpm
from trainers.diffusion import DIFFUSION, VARIANCE, betas, denoise, steps, time_of_step
from trainers.networks import embedded_time
from trainers.recipes import by_name
from trainers.sampling import sample
from trainers.times import Steps
from trainers.trained import load_trained

ALL = torch.arange(1000)


def test_betas_multiply_to_alpha_squared():
    found = betas()
    assert found.dtype == torch.float64
    alpha = VariancePreserving().alpha(time_of_step(ALL.double()))
    assert float(((1 - found).cumprod(0) - alpha**2).abs().max()) < 1e-12
    assert float(found[0]) == pytest.approx(1.1e-4, rel=0.01)
    assert float(found[-1]) == pytest.approx(0.0198, rel=0.01)


def test_how_steps_map_to_times():
    """n = 0 ... 999 is t = 1 - (n + 1) / 1000, in training, in the network's embedding and in sampling alike."""
    t = time_of_step(ALL.double())
    assert float(t[999]) == 0
    assert float(t[0]) == 0.999
    assert float(VariancePreserving().sigma(t[:1])) == pytest.approx(0.0105, abs=5e-5)
    drawn = Steps().from_uniforms((ALL.double() + 0.5) / 1000)
    assert torch.allclose(drawn.flip(0), t, atol=1e-12)
    assert torch.allclose(embedded_time(by_name("digits-ddpm"), t.float()), ALL.float(), atol=1e-4)


@pytest.mark.parametrize("solver", DIFFUSION)
def test_the_network_is_called_first_at_the_prior_and_then_at_rising_times(solver: str):
    model = ddpm()
    sample(model, 2, seed=0, solver=solver, nfe=7)
    expected = [float(time_of_step(torch.tensor(round(1000 * (7 - k) / 7) - 1.0))) for k in range(7)]
    assert model.seen == pytest.approx(expected, abs=1e-6)
    assert model.seen[0] == 0


@pytest.mark.parametrize(
    ("solver", "nfe", "mean", "std"), [("ddpm", 250, 0.01, 0.025), ("ddim-scheduler", 250, 0.01, 0.015), ("dpm-solver++", 60, 0.01, 0.01)]
)
def test_the_law_of_the_data_is_reached(solver: str, nfe: int, mean: float, std: float):
    """N(.5, .6^2): 40,000 numbers, whose own standard errors are .003 and .002."""
    made = sample(GaussianData(VariancePreserving(), ddpm=True, shape=(1, 10, 10)), 400, seed=1, solver=solver, nfe=nfe, batch=400)
    assert float(made.x.mean()) == pytest.approx(M, abs=mean)
    assert float(made.x.std()) == pytest.approx(S, abs=std)


def error(solver: str, nfe: int) -> float:
    """Of the exact flow map from the prior's time to the data's, the largest of 1,000 numbers."""
    model = ddpm()
    made = sample(model, 250, seed=0, solver=solver, nfe=nfe)
    return float((made.x.double() - model.flow(made.x_0, 0, 1)).abs().max())


@pytest.mark.parametrize(("solver", "steps", "order"), [("ddim-scheduler", (75, 300), 1), ("dpm-solver++", (80, 320), 2)])
def test_ddim_and_dpm_solver_converge_to_the_exact_flow_at_their_order(solver: str, steps: tuple[int, int], order: int):
    """75 does not divide 1000: the times are rounded, and the noise levels stepped to must be those that are called next."""
    few, many = (error(solver, n) for n in steps)
    assert math.log(few / many, steps[1] / steps[0]) > order - 0.1
    assert many < {1: 0.03, 2: 5e-4}[order]


@pytest.mark.parametrize("nfe", [7, 15, 300, 600])
def test_ddim_is_as_near_at_steps_that_do_not_divide_1000(nfe: int):
    """First order: the error times the steps hardly changes."""
    assert error("ddim-scheduler", nfe) * nfe < 1.25 * error("ddim-scheduler", 50) * 50


def test_any_number_of_steps_begins_at_the_prior_and_ends_where_the_network_was_trained():
    for count in range(1, 1001):
        found = steps(count)
        assert len(found) == len(set(found)) == count
        assert found[0] == 999
        assert found == sorted(found, reverse=True)
        assert found[-1] == round(1000 / count) - 1


@pytest.mark.parametrize("solver", DIFFUSION)
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("nfe", [61, 122, 206])
def test_any_number_of_steps_is_taken_exactly(solver: str, nfe: int):
    """Counts at which diffusers' own range has one step more, at pure noise; the law of the data is reached all the same."""
    model = ddpm()
    made = sample(model, 4000, seed=0, solver=solver, nfe=nfe, batch=4000)
    assert made.nfe == nfe
    near = sample(model, 4000, seed=0, solver=solver, nfe=nfe - 1, batch=4000)
    assert abs(made.x.std() / near.x.std() - 1) < 0.02


@pytest.mark.parametrize("nfe", [1, 7, 250])
def test_ancestral_steps_are_diffusers_own(nfe: int, monkeypatch: pytest.MonkeyPatch):
    """DDPMScheduler with these betas, given the same noise, ends where ours does; its noise comes as one draw for a step, and none after the last."""
    from diffusers.schedulers import scheduling_ddpm

    model, samples = ddpm(), torch.arange(5)
    x = torch.randn(5, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scheduler: Any = scheduling_ddpm.DDPMScheduler(1000, trained_betas=betas().tolist(), prediction_type="epsilon", clip_sample=False)
    scheduler.set_timesteps(timesteps=steps(nfe))
    other = x
    for n in scheduler.timesteps:
        z = normals(3, samples, 4, VARIANCE + int(n), torch.float32).reshape(x.shape).double()
        monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *_, z=z, **__: z)
        t = time_of_step(n.double())
        other = scheduler.step(model.predicted_noise(other, t.expand(5)), int(n), other).prev_sample
    found = denoise(model.predicted_noise, x, solver="ddpm", nfe=nfe, condition=None, seed=3, samples=samples).end
    assert float((found - other).abs().max()) < 1e-5  # its tables are float32


def test_ancestral_noise_is_a_function_of_seed_and_sample():
    model, numbers = ddpm(), torch.tensor([3, 4, 9])
    x = torch.zeros(3, 1, 2, 2)

    def run(rows: list[int], seed: int = 0):
        return denoise(model.predicted_noise, x[rows], solver="ddpm", nfe=5, condition=None, seed=seed, samples=numbers[rows]).end

    whole = run([0, 1, 2])
    assert run([2, 0]).equal(whole[[2, 0]])
    assert run([1]).equal(whole[[1]])
    assert not torch.isclose(whole[0], whole[1]).any()
    assert not torch.isclose(run([0], seed=1), whole[:1]).any()
    still = [
        denoise(model.predicted_noise, x, solver=s, nfe=5, condition=None, seed=k, samples=numbers).end
        for s in DIFFUSION[1:]
        for k in (0, 1)
    ]
    assert still[0].equal(still[1])
    assert still[2].equal(still[3])


def test_diffusers_own_samplers_make_the_same_of_a_saved_body(run_of, monkeypatch: pytest.MonkeyPatch):
    """The body of a checkpoint in diffusers' own schedulers, called with their own step numbers, from the same noise."""
    from diffusers.schedulers import scheduling_ddpm
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    from trainers.networks import load_body

    trained = load_trained(run_of("ddpm"))
    body = load_body(trained.checkpoint.folder / "ema").eval()
    condition = torch.arange(6)
    given = {"num_train_timesteps": 1000, "trained_betas": betas().tolist(), "clip_sample": False, "timestep_spacing": "trailing"}
    schedulers: dict[str, Any] = {"ddpm": DDPMScheduler(**given), "ddim-scheduler": DDIMScheduler(**given)}
    for solver, scheduler in schedulers.items():
        ours = sample(trained, 6, seed=4, solver=solver, nfe=20, condition=condition)
        x = ours.x_0
        scheduler.set_timesteps(20)
        with torch.no_grad():
            for n in scheduler.timesteps:
                z = normals(4, torch.arange(6), x[0].numel(), VARIANCE + int(n), torch.float32).reshape(x.shape)
                monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *_, z=z, **__: z)
                predicted = body(x, n.float().expand(6), class_labels=condition).sample
                x = scheduler.step(predicted, n, x).prev_sample
        assert torch.allclose(ours.x, x, atol=1e-3)
        assert float((ours.x - ours.x_0).abs().max()) > 0.1


def test_diffusers_pipeline_runs_a_saved_unet(tmp_path):
    """DDPMPipeline calls the body by itself, with whole step numbers; clipping and denormalising are its own."""
    from diffusers.pipelines.ddpm.pipeline_ddpm import DDPMPipeline
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    from tests.trainers.training.small import loop_for, shrunk

    recipe = shrunk(by_name("emoji-ddpm"), **{"data.condition": "none", "training.precision": "fp32", "data.channels": 3})
    loop, progress = loop_for(recipe, tmp_path / "run")
    loop.train(progress)
    trained = load_trained(tmp_path / "run", "model")
    scheduler = DDPMScheduler(num_train_timesteps=1000, trained_betas=betas().tolist(), clip_sample=False, timestep_spacing="trailing")

    class Still(DDPMScheduler):
        """Without its noise, so that both runs see the same."""

        def _get_variance(self, *args, **kwargs):
            return torch.zeros(())

    pipeline: Any = DDPMPipeline(trained.network.body, Still.from_config(scheduler.config))  # pyright: ignore[reportArgumentType]
    pipeline.set_progress_bar_config(disable=True)
    start = torch.Generator().manual_seed(11)
    pictures = torch.from_numpy(pipeline(batch_size=2, generator=start, num_inference_steps=10, output_type="np").images)
    x = torch.randn(2, *trained.shape, generator=torch.Generator().manual_seed(11))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainers.diffusion.normals", lambda seed, index, count, *_: torch.zeros(len(index), count))
        assert trained.noise is not None
        ours = denoise(trained.noise, x, solver="ddpm", nfe=10, condition=None, seed=0, samples=torch.arange(2)).end
    assert torch.allclose((ours / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1), pictures, atol=1e-3)


@pytest.mark.parametrize("solver", DIFFUSION)
def test_they_are_for_models_trained_as_ddpm_and_take_their_own_steps(solver: str):
    with pytest.raises(ValueError, match="is for models trained as DDPM"):
        sample(GaussianData(VariancePreserving()), 2, seed=0, solver=solver, nfe=4)
    with pytest.raises(ValueError, match="grid='edm' is for solvers of the velocity"):
        sample(ddpm(), 2, seed=0, solver=solver, nfe=4, grid="edm")
    for nfe, guidance in ((1001, 1.0), (5, 2.0), (None, 1.0)):
        model = ddpm()
        model.classes = 2
        with pytest.raises(ValueError, match=f"nfe={nfe} must be 1 to 1000 steps of"):
            sample(model, 2, seed=0, solver=solver, nfe=nfe, guidance=guidance)
