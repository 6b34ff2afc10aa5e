"""What a visit sees of a cache: the class law of the data, the caption of the visit's own counter, the posterior's noise of its own stream."""

from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lab.random import normals, uniforms
from tests.trainers.latents.encoders import bert
from tests.trainers.latents.gallery import recipe, show
from trainers.latents import build_cache, open_cache
from trainers.order import Order
from trainers.recipes import apply
from trainers.recipes.schema import TextOptions
from trainers.sources import CacheSource

DIFFUSERS: Any = import_module("diffusers")
CAPTION, POSTERIOR = 0x54524E04, 0x54524E07  # streams of a training's seed, as every run so far has drawn from them
SEED = 11


def quiet(_line):
    return None


def source_of(made, folder) -> CacheSource:
    build_cache(made, folder, say=quiet, items=16)
    return CacheSource(open_cache(folder, "train", made), made)


def test_the_law_of_the_classes_is_that_of_the_data(tmp_path, monkeypatch):
    show(monkeypatch, broken=(1, 4, 7, 10, 13, 2))
    source = source_of(recipe("none"), tmp_path)
    assert source.law is not None
    assert source.law.tolist() == pytest.approx([17 / 44, 12 / 44, 15 / 44], abs=1e-15)
    _, condition, _ = source.read(torch.arange(5), torch.arange(5), Order(source.n, 4, SEED))
    assert condition is not None
    assert condition.tolist() == [0, 0, 2, 0, 2]  # pictures 0, 3, 5, 6, 8


@pytest.fixture
def told(tmp_path, monkeypatch) -> CacheSource:
    """A cache of captions: picture i has i mod 4 of them."""
    show(monkeypatch, broken=())
    bert(tmp_path / "bert")
    plain = recipe("none")
    made = replace(plain, data=replace(plain.data, condition="text"), text=TextOptions("sentence", str(tmp_path / "bert"), 3))
    return source_of(made, tmp_path / "cache")


def test_each_visit_draws_its_own_caption_by_its_counter(told):
    captions, order = told.cache.captions, Order(told.n, 8, SEED)
    assert captions is not None
    assert order.seed == SEED
    index, samples = torch.tensor([3] * 14 + [7, 2, 4, 11, 19, 47]), torch.arange(100, 120)
    drawn = uniforms(SEED, samples, 1, CAPTION)[:, 0]
    counts = index % 4
    before = torch.tensor([sum(j % 4 for j in range(int(i))) for i in index])
    expected = torch.where(counts > 0, before + (drawn * counts).long(), captions.null)
    assert len(set(expected[index == 3].tolist())) == 3  # three captions, and all of them come
    _, condition, _ = told.read(index, samples, order)
    assert condition is not None
    assert condition.equal(captions.states(expected))
    alone = [told.read(index[i : i + 1], samples[i : i + 1], order)[1] for i in range(len(index))]
    assert torch.cat([each for each in alone if each is not None]).equal(condition)
    assert told.null_text is not None
    assert told.null_text.equal(captions.states(torch.tensor([captions.null]))[0])


def test_each_visit_draws_from_the_posterior_with_noise_of_its_own(tmp_path, monkeypatch):
    """x = (mean + std z - centre) / spread with z by the visit's counter, of the mirrored posterior where the visit is mirrored."""
    show(monkeypatch, broken=())
    torch.manual_seed(3)
    DIFFUSERS.AutoencoderKL(
        latent_channels=3,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    ).save_pretrained(tmp_path / "kl")
    made = recipe("kl", path=str(tmp_path / "kl"), posterior="sample")
    source = source_of(made, tmp_path / "cache")
    order = Order(source.n, 8, SEED)
    index, samples = torch.tensor([1, 1, 4, 9, 13, 2, 3, 5]), torch.arange(60, 68)
    flips = source.flips(index, samples, order)
    assert flips is not None
    assert 0 < flips.sum() < len(index)
    assert not flips[2]  # whose mirror image means something else
    z = normals(SEED, samples, 3 * 8 * 8, POSTERIOR, torch.float32).reshape(-1, 3, 8, 8)
    shard = load_file(tmp_path / "cache" / "train" / "shard-00000.safetensors")
    mirror = flips[:, None, None, None]
    mean, std = (torch.where(mirror, shard[f"latents_flip{end}"][index], shard[f"latents{end}"][index]).float() for end in ("", "_std"))
    expected = (mean + std * z - source.normalisation.center) / source.normalisation.spread
    x, _, _ = source.read(index, samples, order)
    assert torch.allclose(x, expected, atol=1e-6)
    assert (x[0] - x[1]).abs().max() > 0.1  # one picture, two visits
    still = apply(made, {"autoencoder.posterior": "mean"})
    with pytest.raises(ValueError, match="posterior 'sample' in the cache, 'mean' now"):
        open_cache(tmp_path / "cache", "train", still)
