"""One training step of the papers' 872M network on this machine's CPU: weights, average and checkpoint. Twenty gigabytes of memory, fourteen of disk, some minutes."""

import json
import shutil
from pathlib import Path

import psutil
import pytest
import torch
from safetensors import safe_open

from tests.trainers.priors.caches import MemoryCache
from tests.trainers.training.small import CLASSES, Latents, loop_for
from trainers.checkpoints import all_checkpoints
from trainers.networks import parameters
from trainers.priors import fit_prior
from trainers.recipes import apply, by_name

NEEDED, DISK = 19 * 2**30, 16 * 2**30


@pytest.mark.slow
def test_a_step_of_the_872m_network_updates_weights_average_and_checkpoint(tmp_path: Path):
    free = psutil.virtual_memory().available
    if free < NEEDED or shutil.disk_usage(tmp_path).free < DISK:
        pytest.skip(f"needs {NEEDED >> 30} GiB of memory ({free >> 30} free) and {DISK >> 30} of disk")
    small = {
        "training.batch": 2,
        "training.steps": 1,
        "training.log_every": 1,
        "training.preview_every": 100,
        "optimiser.learning_rate": 1e-3,
    }
    recipe = apply(by_name("cpd-imagenet64"), small)
    latents = Latents(recipe, 48, (4, 8, 8))
    prior = fit_prior(recipe, MemoryCache(latents.x, latents.labels, latents.classes), None, say=print)  # pyright: ignore[reportArgumentType]
    loop, progress = loop_for(recipe, tmp_path, source=latents, prior=prior)
    assert parameters(progress.network) == 872_300_484 + (CLASSES + 1) * 1_280 + 1_280
    before = {name: p.detach().flatten()[:64].clone() for name, p in progress.network.named_parameters()}
    assert loop.train(progress) == 0
    (line,) = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert 0.1 < line["loss"] < 10
    print(f"872M: loss {line['loss']:.4f}, {line['seconds']:.0f} s, peak memory {line['memory'] / 2**30:.1f} GiB")
    moved = [name for name, p in progress.network.named_parameters() if not torch.equal(before[name], p.detach().flatten()[:64])]
    # What a single place leaves without a gradient: questions and keys of cross-attention to one row of context, and those of the 1 x 1 middle.
    middle = "mid_block.attentions.0.transformer_blocks.0.attn1.to_"
    without = (".attn2.to_q", ".attn2.to_k", ".norm2.", f"{middle}q", f"{middle}k")
    assert [name for name in before if name not in moved and not any(part in name for part in without)] == []
    (checkpoint,) = all_checkpoints(tmp_path / "checkpoints")
    checkpoint.check()
    total = sum(p.stat().st_size for p in checkpoint.folder.rglob("*") if p.is_file())
    print(f"checkpoint {total / 1e9:.2f} GB")
    assert total == pytest.approx(4 * 4 * parameters(progress.network), rel=0.01)
    # The first step of the average: d = min(.9999, 1 / 10), so theta = .1 old + .9 new.
    for part, weight in (("model", 1.0), ("ema", 0.9)):
        with safe_open(checkpoint.folder / part / "diffusion_pytorch_model.safetensors", "pt") as stored:
            for name in moved[::40]:
                now = dict(progress.network.named_parameters())[name].detach().flatten()[:64]
                found = stored.get_tensor(name.removeprefix("body.")).flatten()[:64]
                assert torch.allclose(found, before[name] + weight * (now - before[name]), atol=1e-6)
