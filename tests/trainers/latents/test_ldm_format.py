"""Checkpoints in the layout of latent-diffusion give the numbers that their own definition gives."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.trainers.latents.ldm import Ldm
from trainers.autoencoders import load_autoencoder
from trainers.autoencoders.convert import convert
from trainers.recipes.schema import AutoencoderOptions

PIXELS = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def made(**options) -> Ldm:
    torch.manual_seed(1)
    model = Ldm(**options).eval().requires_grad_(False)
    for module in model.modules():  # untrained codes are too close together to tell apart
        if isinstance(module, nn.Embedding):
            module.weight.mul_(0.3)
    return model


def loaded(kind, state, tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return load_autoencoder(AutoencoderOptions(kind, str(path)))


@pytest.mark.parametrize("attends", [(), (2,), (1, 2)], ids=["f8", "f16", "two levels"])
@pytest.mark.parametrize("prefix", ["", "first_stage_model."])
def test_kl_gives_the_numbers_of_its_own_definition(attends, prefix, tmp_path):
    """f8 attends in the middle only; f16 in its last level too, which diffusers' converter leaves as it is."""
    model = made(attends=attends)
    rest = {"loss.logvar": torch.zeros(1)} if not prefix else {"model.diffusion_model.out.weight": torch.zeros(1)}
    own = loaded("kl", {prefix + name: t for name, t in model.state_dict().items()} | rest, tmp_path)
    mean, logvar = model.encode(PIXELS / 127.5 - 1).chunk(2, dim=1)
    encoded = own.encode(PIXELS)
    assert (own.channels, own.factor) == (4, 4)
    assert torch.allclose(encoded.mean, mean, atol=1e-5)
    assert encoded.std is not None
    assert torch.allclose(encoded.std, (0.5 * logvar).exp(), atol=1e-5)
    assert torch.allclose(own.decode_float(mean), (model.decode(mean) + 1) / 2, atol=1e-5)


@pytest.mark.parametrize("attends", [(), (2,)])
@pytest.mark.parametrize("embedded", [4, 6])
def test_vq_gives_latents_before_quantisation_and_quantises_as_it_decodes(attends, embedded, tmp_path):
    model = made(codes=32, attends=attends, embedded=embedded)
    own = loaded("vq", model.state_dict(), tmp_path)
    latents = model.encode(PIXELS / 127.5 - 1)
    assert own.channels == embedded
    assert torch.allclose(own.encode(PIXELS).mean, latents, atol=1e-5)
    assert own.encode(PIXELS).std is None
    assert torch.allclose(own.decode_float(latents), (model.decode(latents) + 1) / 2, atol=1e-5)
    assert (model.decode(latents) - model.decoder(model.post_quant_conv(latents))).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("options", "kind", "change", "says"),
    [
        ({}, "vq", {}, "has no codebook: set autoencoder.kind=kl"),
        ({"codes": 8}, "kl", {}, "has a codebook: set autoencoder.kind=vq"),
        ({"embedded": 3}, "kl", {}, "embeds 4 channels into 3; .* unsupported"),
        ({}, "kl", {"encoder.conv_in.weight": None}, "no autoencoder in LDM's layout"),
        ({}, "kl", {"temporal.weight": torch.zeros(1)}, "1 tensors that LDM's .* do not have .temporal.weight.; unsupported"),
        ({}, "kl", {"encoder.down.1.block.0.norm2.bias": None}, "1 tensors missing .encoder.down_blocks.1.resnets.0.norm2.bias."),
        ({}, "kl", {"quantize.embed": torch.zeros(1)}, "other means than a codebook .* unsupported"),
        ({}, "kl", {"post_quant_conv.weight": None}, "lacks parts .* unsupported"),
    ],
)
def test_what_is_unsupported_is_named(options, kind, change, says, tmp_path):
    state = made(**options).state_dict() | change
    with pytest.raises(ValueError, match=says):
        loaded(kind, {name: t for name, t in state.items() if t is not None}, tmp_path)


def test_a_pickle_is_refused_and_converted_only_by_hand(tmp_path):
    model = made()
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, tmp_path / "model.ckpt")
    with pytest.raises(
        ValueError,
        match=r"is a pickle, .* never loaded here; `python -m trainers.autoencoders.convert .*model.ckpt OUT.safetensors` converts",
    ):
        load_autoencoder(AutoencoderOptions("kl", str(tmp_path / "model.ckpt")))
    convert(tmp_path / "model.ckpt", tmp_path / "model.safetensors")
    mean = load_autoencoder(AutoencoderOptions("kl", str(tmp_path / "model.safetensors"))).encode(PIXELS).mean
    assert torch.allclose(mean, model.encode(PIXELS / 127.5 - 1)[:, :4], atol=1e-5)


class Trap:
    def __reduce__(self):
        return (print, ("sprung",))


def test_a_checkpoint_with_objects_is_not_converted(tmp_path, capsys):
    torch.save({"state_dict": {"a": torch.zeros(1)}, "callback": Trap()}, tmp_path / "model.ckpt")
    with pytest.raises(ValueError, match="holds objects beside its tensors, which are never unpickled"):
        convert(tmp_path / "model.ckpt", tmp_path / "out.safetensors")
    assert "sprung" not in capsys.readouterr().out
    assert not (tmp_path / "out.safetensors").exists()
