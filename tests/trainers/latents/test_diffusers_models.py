"""diffusers' autoencoders by folder: their own numbers, and nothing that is not whole."""

import json
from importlib import import_module
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from trainers.autoencoders import autoencoder_hash, load_autoencoder
from trainers.autoencoders.diffusers_models import WEIGHTS
from trainers.recipes.schema import AutoencoderOptions

DIFFUSERS: Any = import_module("diffusers")
PIXELS = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
X = PIXELS / 127.5 - 1
LEVELS = {"block_out_channels": (8, 8), "norm_num_groups": 4}
TWO = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}


def saved(kind, folder) -> Any:
    torch.manual_seed(2)
    if kind == "kl":
        model = DIFFUSERS.AutoencoderKL(latent_channels=3, scaling_factor=0.1, **LEVELS, **TWO)
    elif kind == "vq":
        model = DIFFUSERS.VQModel(latent_channels=3, num_vq_embeddings=16, vq_embed_dim=5, **LEVELS, **TWO)
    else:
        model = DIFFUSERS.AutoencoderTiny(
            latent_channels=3,
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            num_encoder_blocks=(1, 1),
            num_decoder_blocks=(1, 1),
        )
    model.save_pretrained(folder)
    return model.eval().requires_grad_(False)


def load(kind, folder):
    return load_autoencoder(AutoencoderOptions(kind, str(folder)))


def test_kl_gives_mean_and_std_before_any_scaling(tmp_path):
    model, own = saved("kl", tmp_path), load("kl", tmp_path)
    posterior = model.encode(X).latent_dist
    encoded = own.encode(PIXELS)
    assert (own.kind, own.channels, own.factor) == ("kl", 3, 2)
    assert torch.equal(encoded.mean, posterior.mean)
    assert encoded.std is not None
    assert torch.equal(encoded.std, posterior.std)
    assert torch.allclose(own.decode_float(posterior.mean), (model.decode(posterior.mean).sample + 1) / 2)


def test_vq_gives_latents_before_quantisation(tmp_path):
    model, own = saved("vq", tmp_path), load("vq", tmp_path)
    latents = own.encode(PIXELS).mean
    assert own.channels == 5
    assert torch.equal(latents, model.encode(X).latents)
    quantised = model.quantize(latents)[0]
    assert not torch.allclose(latents, quantised)
    assert torch.allclose(own.decode_float(latents), own.decode_float(quantised), atol=1e-5)
    assert torch.allclose(own.decode_float(latents), (model.decode(latents).sample + 1) / 2)


def test_tiny_gives_its_own_numbers_from_a_pipelines_folder_too(tmp_path):
    model, own = saved("tiny", tmp_path / "vae"), load("tiny", tmp_path)
    assert torch.equal(own.encode(PIXELS).mean, model.encode(X).latents)
    assert own.decode(own.encode(PIXELS).mean).dtype == torch.uint8


@pytest.mark.parametrize("kind", ["kl", "vq", "tiny"])
def test_the_hash_is_of_weights_and_configuration(kind, tmp_path):
    saved(kind, tmp_path)
    before = autoencoder_hash(AutoencoderOptions(kind, str(tmp_path)))
    assert before == load(kind, tmp_path).hash
    state = load_file(tmp_path / WEIGHTS)
    first = sorted(state)[0]
    save_file(state | {first: state[first] + 1e-3}, tmp_path / WEIGHTS)
    assert load(kind, tmp_path).hash != before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: {k: t for k, t in s.items() if k != "encoder.conv_in.bias"}, r"1 tensors missing \(encoder.conv_in.bias\)"),
        (lambda s: s | {"encoder.extra": torch.zeros(1)}, r"1 tensors unexpected \(encoder.extra\)"),
        (lambda s: s | {"encoder.conv_in.bias": torch.zeros(5)}, r"encoder.conv_in.bias is \(5,\), not \(8,\)"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, says, tmp_path):
    saved("kl", tmp_path)
    save_file(change(load_file(tmp_path / WEIGHTS)), tmp_path / WEIGHTS)
    with pytest.raises(ValueError, match=says):
        load("kl", tmp_path)


def test_attention_under_its_old_names_is_read(tmp_path):
    """As in the files of before diffusers 0.15, Stable Diffusion's among them."""
    model = saved("kl", tmp_path)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = load_file(tmp_path / WEIGHTS)
    for new, name in old.items():
        state = {key.replace(f".{new}.", f".{name}."): tensor for key, tensor in state.items()}
    assert any(".proj_attn." in key for key in state)
    save_file(state, tmp_path / WEIGHTS)
    assert torch.equal(load("kl", tmp_path).encode(PIXELS).mean, model.encode(X).latent_dist.mean)


def test_another_class_is_refused_with_its_kind(tmp_path):
    saved("vq", tmp_path)
    with pytest.raises(ValueError, match=r"holds VQModel, not AutoencoderKL; set autoencoder.kind=vq"):
        load("kl", tmp_path)


def test_a_setting_that_the_class_does_not_know_is_refused(tmp_path):
    saved("kl", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"rotates_latents": True}))
    with pytest.raises(ValueError, match=r"config.json sets rotates_latents, which AutoencoderKL does not know"):
        load("kl", tmp_path)


def test_a_pickle_is_never_loaded(tmp_path):
    model = saved("kl", tmp_path)
    (tmp_path / WEIGHTS).unlink()
    torch.save(model.state_dict(), tmp_path / "diffusion_pytorch_model.bin")
    with pytest.raises(ValueError, match=r"holds only diffusion_pytorch_model.bin, a pickle, which is never loaded"):
        load("kl", tmp_path)


def test_what_is_not_there_is_said_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"has no config.json"):
        load("kl", tmp_path)
    with pytest.raises(ValueError, match=r"there is no folder nobody/nothing, and the hub gives nothing under that name"):
        load("kl", "nobody/nothing")
    with pytest.raises(ValueError, match=r"cannot be a name on the hub"):
        load("kl", "/no/such/folder/at/all")
    with pytest.raises(ValueError, match=r"autoencoder.kind=vq needs autoencoder.path .--autoencoder of cache.: a folder"):
        load_autoencoder(AutoencoderOptions("vq"))


def test_pixels_go_through_exactly():
    own = load_autoencoder(AutoencoderOptions(), channels=1)
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    latents = own.encode(pixels).mean
    assert (latents.min(), latents.max()) == (-1, 1)
    assert torch.equal(own.decode(latents), pixels)
    assert torch.equal(
        own.decode(torch.tensor([[[[-3.0, 3.0]]]]).expand(1, 1, 2, 2)), torch.tensor([[[[0, 255], [0, 255]]]], dtype=torch.uint8)
    )
