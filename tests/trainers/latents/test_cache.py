"""What a cache holds and gives: every readable picture once, normalised, mirrored where allowed."""

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import trainers.latents.cache
import trainers.latents.encode
from tests.trainers.latents.gallery import CLASSES, picture, recipe, show
from trainers.autoencoders import load_autoencoder
from trainers.autoencoders.base import Autoencoder, Encoded
from trainers.latents import Normalisation, build_cache, open_cache
from trainers.latents.rows import Rows
from trainers.latents.tensors import mapped, write_tensors
from trainers.recipes import apply

DIFFUSERS: Any = import_module("diffusers")
READABLE = [i for i in range(50) if i not in (7, 33)]


def quiet(_line):
    return None


def build(made, folder, **options):
    build_cache(made, folder, say=quiet, items=16, **options)
    return open_cache(folder, "train", made)


def pixels_of(rows, size=16, channels=3):
    return torch.from_numpy(np.stack([picture(i, size, channels) for i in rows]))


@pytest.fixture(scope="module")
def taef2(tmp_path_factory):
    """A cache of the gallery in taef2's latents, and its recipe."""
    folder = tmp_path_factory.mktemp("taef2")
    with pytest.MonkeyPatch.context() as patch:
        show(patch)
        build_cache(recipe(), folder, say=quiet, items=16)
    return folder


def test_it_holds_every_readable_picture_once_and_names_the_others(taef2):
    cache = open_cache(taef2, "train", recipe())
    assert len(cache) == 48
    assert cache.index.tolist() == READABLE
    assert list(cache.names) == [f"train-{i:03d}.png" for i in READABLE]
    assert cache.names[-1] == "train-049.png"
    assert cache.labels is not None
    assert cache.labels.tolist() == [i % 3 for i in READABLE]
    assert cache.may_flip.tolist() == [i % 4 != 0 for i in READABLE]
    assert cache.classes == CLASSES
    assert cache.shape == (32, 2, 2)
    broken = [each for shard in cache.manifest["splits"]["train"]["shards"] for each in shard["broken"]]
    assert broken == [{"name": "train-007.png", "why": "cut short"}, {"name": "train-033.png", "why": "cut short"}]
    assert len(open_cache(taef2, "val", recipe())) == 19


def test_latents_are_those_of_the_autoencoder_in_fp16(taef2):
    made = apply(recipe(), {"autoencoder.normalise": "none"})
    cache = open_cache(taef2, "train", made)
    rows = torch.tensor([40, 3, 3, 17])
    expected = load_autoencoder(made.autoencoder).encode(pixels_of([READABLE[r] for r in rows])).mean
    assert torch.allclose(cache.read(rows), expected, atol=2e-3)
    assert torch.equal(cache.read(rows), cache.read(rows).half().float())
    assert load_file(taef2 / "train" / "shard-00000.safetensors")["latents"].dtype == torch.float16


def test_mirrored_latents_are_of_the_mirrored_picture_where_that_is_allowed(taef2):
    made = apply(recipe(), {"autoencoder.normalise": "none"})
    cache = open_cache(taef2, "train", made)
    rows = torch.tensor([4, 5, 6, 9])  # pictures 4, 5, 6 and 10: the first may not be mirrored
    assert cache.may_flip[rows].tolist() == [False, True, True, True]
    found = cache.read(rows, flip=torch.tensor([True, True, False, True]))
    pictures = pixels_of([READABLE[r] for r in rows])
    pictures[[1, 3]] = pictures[[1, 3]].flip(-1)
    assert torch.allclose(found, load_autoencoder(made.autoencoder).encode(pictures).mean, atol=2e-3)
    assert not torch.allclose(found[1], cache.read(rows)[1], atol=0.05)
    assert torch.equal(found[0], cache.read(rows)[0])


@pytest.mark.parametrize("kind", ["channel", "scale", "coordinate", "none"])
def test_normalisation_by_moments_of_the_training_split(taef2, kind):
    raw = open_cache(taef2, "train", apply(recipe(), {"autoencoder.normalise": "none"}))
    cache = open_cache(taef2, "train", apply(recipe(), {"autoencoder.normalise": kind}))
    x = torch.cat([x for x, _ in cache.batches(10)]).double()
    y = torch.cat([x for x, _ in raw.batches(7)])
    dims = {"channel": (0, 2, 3), "scale": (0, 1, 2, 3), "coordinate": (0,), "none": None}[kind]
    if dims is not None:
        assert x.mean(dims).abs().max() < 1e-5
        assert (x.var(dims, correction=0) - 1).abs().max() < 1e-5
    assert torch.allclose(cache.normalisation.undo(x.float()), y, atol=1e-5)
    assert torch.allclose(cache.normalisation.apply(y), x.float(), atol=1e-5)
    again = Normalisation.from_state(cache.normalisation.state())
    assert torch.equal(again.undo(x.float()), cache.normalisation.undo(x.float()))
    held_out = open_cache(taef2, "val", apply(recipe(), {"autoencoder.normalise": kind}))
    assert torch.equal(held_out.normalisation.center, cache.normalisation.center)


def test_the_manifest_tells_its_channels(taef2):
    raw = open_cache(taef2, "train", apply(recipe(), {"autoencoder.normalise": "none"}))
    y = torch.cat([x for x, _ in raw.batches(48)]).double()
    statistics = raw.manifest["statistics"]
    assert statistics["count"] == 48
    assert torch.allclose(torch.tensor(statistics["channel std"]).double(), y.var((0, 2, 3), correction=0).sqrt())
    assert statistics["mean"] == pytest.approx(float(y.mean()))
    assert statistics["std"] == pytest.approx(float(y.std(correction=0)))


def test_batches_are_all_rows_in_order(taef2):
    cache = open_cache(taef2)
    parts = list(cache.batches(20))
    assert [len(x) for x, _ in parts] == [20, 20, 8]
    assert torch.cat([index for _, index in parts]).tolist() == list(range(48))
    assert torch.equal(parts[1][0], cache.read(torch.arange(20, 40)))


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_kept_as_bytes_and_mirrored_as_they_are_read(channels, tmp_path, monkeypatch):
    show(monkeypatch)
    made = apply(recipe("none", normalise="none"), {"data.channels": channels})
    cache = build(made, tmp_path)
    rows, flip = torch.tensor([1, 4, 30]), torch.tensor([True, True, False])
    expected = pixels_of([READABLE[r] for r in rows], channels=channels).float() / 127.5 - 1
    expected[0] = expected[0].flip(-1)  # picture 4 may not be mirrored
    assert torch.equal(cache.read(rows, flip), expected)
    assert load_file(tmp_path / "train" / "shard-00000.safetensors")["latents"].dtype == torch.uint8
    assert "latents_flip" not in load_file(tmp_path / "train" / "shard-00000.safetensors")


def test_what_never_varies_keeps_its_scale(tmp_path):
    show_constant = torch.zeros(4, 1, 2, 2, dtype=torch.float64)
    show_constant[:, 0, 0, 0] = torch.tensor([1.0, 2, 3, 4])
    normalisation = Normalisation.by("coordinate", trainers.latents.Moments.of(show_constant))
    assert torch.isfinite(normalisation.apply(show_constant.float())).all()
    assert normalisation.spread[0, 1, 1] == 1


def test_a_kl_that_samples_keeps_mean_and_std(tmp_path, monkeypatch):
    show(monkeypatch)
    torch.manual_seed(3)
    model = DIFFUSERS.AutoencoderKL(
        latent_channels=2,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )
    model.save_pretrained(tmp_path / "kl")
    made = recipe("kl", path=str(tmp_path / "kl"), posterior="sample", normalise="none")
    cache = build(made, tmp_path / "cache")
    rows, flip = torch.tensor([2, 9]), torch.tensor([False, True])
    noise = torch.randn(2, *cache.shape)
    pictures = pixels_of([READABLE[r] for r in rows])
    pictures[1] = pictures[1].flip(-1)
    encoded = load_autoencoder(made.autoencoder).encode(pictures)
    assert encoded.std is not None
    assert torch.allclose(cache.read(rows, flip, noise), encoded.mean + encoded.std * noise, atol=5e-3)
    assert torch.allclose(cache.read(rows, flip), encoded.mean, atol=5e-3)
    draws = torch.cat([cache.read(torch.arange(48), None, torch.randn(48, *cache.shape)) for _ in range(40)]).double()
    by_channel = apply(made, {"autoencoder.normalise": "channel"})
    assert torch.allclose(
        open_cache(tmp_path / "cache", "train", by_channel).normalisation.spread.flatten().double(), draws.std((0, 2, 3)), rtol=0.02
    )


def test_without_a_posterior_none_can_be_drawn(taef2):
    cache = open_cache(taef2)
    with pytest.raises(ValueError, match="holds no posterior"):
        cache.read(torch.tensor([0]), None, torch.zeros(1, *cache.shape))


def test_mapped_shards_give_the_same_as_memory_and_keep_no_file_open(taef2, monkeypatch):
    inside = open_cache(taef2, "train", recipe())
    monkeypatch.setattr(trainers.latents.cache, "IN_MEMORY", 0)
    before = len(os.listdir("/proc/self/fd"))
    outside = open_cache(taef2, "train", recipe())
    assert len(os.listdir("/proc/self/fd")) == before
    rows = torch.tensor([47, 0, 15, 16, 31, 16, 5])
    flip = torch.arange(7) % 2 == 0
    assert torch.equal(inside.read(rows, flip), outside.read(rows, flip))
    for beyond in (48, -1):
        with pytest.raises(IndexError):
            outside.read(torch.tensor([0, beyond]))


class Large(Autoencoder):
    """Latents beyond what fp16 holds."""

    kind = "taef2"

    def __init__(self) -> None:
        super().__init__(name="large", channels=3, factor=1, picture_channels=3, hash="")

    def _encode(self, x):
        return Encoded(x * 1e5)

    def _decode(self, latents):
        return latents / 1e5


def test_latents_that_fp16_cannot_hold_are_refused(tmp_path, monkeypatch):
    show(monkeypatch)
    monkeypatch.setattr(trainers.latents.encode, "load_autoencoder", lambda options, channels: Large())
    with pytest.raises(ValueError, match=r"large gives latents as large as .*; fp16, in which they are kept, ends at 65504"):
        build(recipe(), tmp_path)
    assert not list((tmp_path / "train").glob("*"))


def test_a_batch_is_read_nearly_as_fast_as_from_one_tensor(tmp_path, unchecked):
    """128 latents of 32 x 8 x 8 from 40 mapped shards; the best of many, since others use this machine. A loop over the rows takes ten times as long."""
    from time import perf_counter

    for number in range(40):
        write_tensors(tmp_path / f"{number}.safetensors", {"latents": torch.randn(64, 32, 8, 8).half()})
    parts = [mapped(tmp_path / f"{number}.safetensors")["latents"] for number in range(40)]
    index = torch.randint(0, 40 * 64, (128,))
    whole = torch.cat(parts)

    def best(take: Callable[[torch.Tensor], torch.Tensor]) -> float:
        times = []
        for _ in range(100):
            start = perf_counter()
            take(index).float().sub_(0.1).div_(1.1)
            times.append(perf_counter() - start)
        return min(times)

    plain = best(lambda rows: whole[rows])
    for in_memory in (True, False):
        assert best(Rows(parts, in_memory).take) < 5 * plain
