"""The papers' set-ups as reported, and every preset's first step, at a shrunken size, through its real code."""

import pytest
import torch

from tests.trainers.training.small import one_step, shrunk
from trainers.networks import parameters
from trainers.planning import meta_network
from trainers.recipes import METHODS, by_name, presets

LOOM = {
    "loom-cifar10": ((128, 256, 256, 256), 2, (16,), 128, 391_000, 2e-4, 5_000, 4),
    "loom-imagenet32": ((128, 256, 256, 256), 3, (16, 8), 512, 500_000, 1e-4, 20_000, 1),
    "loom-imagenet64": ((192, 384, 576, 768), 2, (16,), 96, 1_334_000, 1e-4, 20_000, 1),
    "loom-ffhq256-latent": ((256, 512, 768, 1024), 2, (16, 8, 4), 128, 273_000, 2e-5, 3_500, 4),
}


@pytest.mark.parametrize("name", LOOM)
def test_loom_is_set_up_as_reported(name: str):
    r = by_name(name)
    training, optimiser, network = r.training, r.optimiser, r.network
    assert (
        network.channels,
        network.layers,
        network.attention,
        training.batch,
        training.steps,
        optimiser.learning_rate,
        optimiser.warmup,
        r.coupling.caches,
    ) == LOOM[name]
    assert (network.heads_of, network.dropout, optimiser.kind, optimiser.clip, training.ema, r.path.sigma_min) == (
        64,
        0.1,
        "adam",
        1.0,
        (0.9999,),
        1e-7,
    )
    assert (r.coupling.kind, r.data.condition, optimiser.decay) == ("loom", "none", "constant")


@pytest.mark.parametrize("method", ["cpd", "condot", "batchot", "ddpm"])
@pytest.mark.parametrize(("data", "batch", "steps"), [("imagenet64", 2048, 62_500), ("coco", 128, 46_200)])
def test_cpd_and_its_baselines_are_set_up_as_reported(method: str, data: str, batch: int, steps: int):
    r = by_name(f"{method}-{data}")
    images = {"imagenet64": 1_281_167, "coco": 118_287}[data]
    epochs = {"imagenet64": 100, "coco": 50}[data]
    assert (r.training.batch, r.training.steps) == (batch, steps)
    assert steps == images // batch * epochs
    o = r.optimiser
    assert (o.kind, o.learning_rate, o.betas, o.eps, o.weight_decay, o.decay, r.network.dropout) == (
        "adam",
        1e-4,
        (0.9, 0.999),
        1e-8,
        0.0,
        "constant",
        0.0,
    )
    assert r.network == by_name(f"condot-{data}").network  # one network for all four
    assert o.clip is None
    assert (r.autoencoder.kind, r.autoencoder.normalise) == ("vq", "none")
    assert r.sampling.solver == (
        "ddpm" if method == "ddpm" else "dopri5"
    )  # at 1e-5, which is what `sample` and `evaluate` take unless told otherwise
    kinds = {"cpd": ("class-gaussian" if data == "imagenet64" else "text-gaussian", "independent"), "batchot": ("standard", "batch-ot")}
    assert (r.prior.kind, r.coupling.kind) == kinds.get(method, ("standard", "independent"))
    assert r.coupling.batch == (512 if (method, data) == ("batchot", "imagenet64") else None)


FLOW_MATCHING = {
    "fm-cifar10": ((256, 512, 512, 512), 2, (16,), 256, 391_000, 5e-4, 45_000, "linear"),
    "fm-imagenet32": ((256, 512, 512, 512), 3, (16, 8), 1024, 250_000, 1e-4, 20_000, "linear"),
    "fm-imagenet64": ((192, 384, 576, 768), 3, (32, 16, 8), 2048, 157_000, 1e-4, 0, "constant"),
}


@pytest.mark.parametrize("name", FLOW_MATCHING)
@pytest.mark.parametrize(
    ("ending", "path", "target"), [("", "cond-ot", "velocity"), ("-diffusion", "vp", "velocity"), ("-score", "vp", "score")]
)
def test_flow_matching_is_set_up_as_reported(name: str, ending: str, path: str, target: str):
    r = by_name(name + ending)
    network, training, o = r.network, r.training, r.optimiser
    found = (network.channels, network.layers, network.attention, training.batch, training.steps, o.learning_rate, o.warmup, o.decay)
    assert found == FLOW_MATCHING[name]
    assert (r.path.kind, r.loss.target, r.data.condition, network.heads_of, network.dropout) == (path, target, "none", 64, 0.0)
    assert (r.sampling.solver, r.sampling.split) == ("dopri5", "train")


def test_the_networks_have_the_papers_sizes():
    """872.30M is diffusers' default with cross-attention 1280; tables of classes and of texts' embeddings, with a bias, come on top."""
    imagenet = meta_network(by_name("cpd-imagenet64"), (4, 8, 8))
    assert parameters(imagenet) == 872_300_484 + 1_001 * 1_280 + 1_280
    coco = meta_network(by_name("cpd-coco"), (4, 32, 32), text_width=512)
    assert parameters(coco) == 872_300_484 + 512 * 1_280 + 1_280


def test_laptop_networks_are_as_small_as_promised():
    assert parameters(meta_network(by_name("digits-condot"), (1, 8, 8), 10)) < 1e6
    assert parameters(meta_network(by_name("emoji-condot"), (32, 8, 8), 9)) == pytest.approx(4.6e6, rel=0.02)


def test_every_method_has_its_laptop_recipes():
    for method in METHODS:
        assert {f"digits-{method}", f"emoji-{method}"} <= set(presets())


@pytest.mark.parametrize("name", sorted(presets()))
def test_a_recipe_takes_a_step_at_shrunken_size(name: str, tmp_path):
    """The recipe's own method, prior, coupling, path, loss, kind of network and optimiser, on random latents of its kind: weights move, and the loss is finite."""
    before, after, loss = one_step(shrunk(by_name(name)), tmp_path)
    assert torch.isfinite(loss)
    moved = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert sum(moved) > 0.5 * len(moved)
