"""What a run that is taken up again must have from its checkpoint and from nowhere else: the prior that it began with, the scaler of fp16, the layout of memory."""

from pathlib import Path
from typing import Any

import accelerate
import pytest
import torch
from safetensors.torch import load_file

from tests.trainers.training.small import loop_for, shrunk, weights
from trainers.checkpoints import Checkpoint, all_checkpoints
from trainers.loop import resumed
from trainers.priors import fit_prior
from trainers.recipes import Recipe, apply, by_name
from trainers.training import open_cache, prior_file, train

SMALL = {
    "network.channels": "24",
    "optimiser.warmup": 0,
    "training.batch": 64,
    "training.checkpoint_every": 3,
    "training.preview_every": 1000,
}


def trained(recipe: Recipe, folder: Path, cache: Path, steps: int) -> Checkpoint:
    """The last checkpoint after so many steps of the run in `folder`, begun or gone on with."""
    accelerate.state.AcceleratorState._reset_state()
    assert train(apply(recipe, {"training.steps": steps}), folder, cache=cache, say=lambda line: None) == 0
    return all_checkpoints(folder / "checkpoints")[-1]


def equal(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether weights, averages, optimisers and priors are equal bit by bit."""
    weights = "diffusion_pytorch_model.safetensors"
    for file in (f"model/{weights}", f"ema/{weights}", "optimizer.safetensors", "state.safetensors"):
        a, b = (load_file(checkpoint.folder / file) for checkpoint in (one, other))
        if a.keys() != b.keys() or not all(torch.equal(a[name], b[name]) for name in a):
            return False
    return True


def test_a_run_goes_on_with_the_prior_that_it_began_with(tmp_path):
    """Whatever the cache holds by then: the prior is the checkpoint's."""
    recipe, cache = apply(by_name("digits-cpd"), SMALL | {"prior.covariance": "isotropic"}), tmp_path / "cache"
    straight = trained(recipe, tmp_path / "straight", cache, 6)
    trained(recipe, tmp_path / "run", cache, 3)
    other = fit_prior(
        apply(recipe, {"prior.scale": 3.0}), *(open_cache(cache, split, recipe) for split in ("train", "val")), say=lambda line: None
    )
    other.save(prior_file(recipe, cache))
    assert equal(trained(recipe, tmp_path / "run", cache, 6), straight)
    assert not equal(trained(recipe, tmp_path / "anew", cache, 6), straight)  # the cache's prior is another one by now


class Scaled(accelerate.Accelerator):
    """With fp16's scaler, on a CPU: one that grows after every second step that it takes, and was set to an odd scale."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=96.0, growth_interval=2)


def test_the_scaler_of_fp16_is_in_the_checkpoint_and_goes_on_from_there(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(accelerate, "Accelerator", Scaled)
    recipe, cache = apply(by_name("digits-condot"), SMALL), tmp_path / "cache"
    straight = trained(recipe, tmp_path / "straight", cache, 6)
    half = trained(recipe, tmp_path / "run", cache, 3)
    assert (half.facts["scaler"]["scale"], half.facts["scaler"]["_growth_tracker"]) == (192.0, 1)
    whole = trained(recipe, tmp_path / "run", cache, 6)
    assert whole.facts["scaler"] == straight.facts["scaler"]
    assert whole.facts["scaler"]["scale"] == 96.0 * 2**3
    assert equal(whole, straight)


def test_a_run_in_channels_last_goes_on_bit_equal(tmp_path):
    """The moments are read as they were written and must lie in memory as the weights do, since the fused step goes through both in the order of their memory."""
    changes = {"training.precision": "fp32", "training.steps": 6, "training.checkpoint_every": 3, "training.channels_last": True}
    recipe = shrunk(by_name("emoji-condot"), **changes)
    loop, straight = loop_for(recipe, tmp_path / "a")
    assert any(
        p.is_contiguous(memory_format=torch.channels_last) and not p.is_contiguous() for p in weights(straight.network) if p.ndim == 4
    )
    assert loop.train(straight) == 0
    first, last = all_checkpoints(tmp_path / "a" / "checkpoints")
    loop, progress = loop_for(recipe, tmp_path / "b")
    assert loop.train(resumed(recipe, first, progress)) == 0
    assert equal(all_checkpoints(tmp_path / "b" / "checkpoints")[-1], last)
