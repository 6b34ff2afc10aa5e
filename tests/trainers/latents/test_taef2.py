"""The autoencoder that ships: what it keeps of pictures, and that it is diffusers' AutoencoderTiny but for its middle blocks."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tests.trainers import data_folder
from trainers.autoencoders import autoencoder_hash, load_autoencoder
from trainers.autoencoders.convert import convert
from trainers.autoencoders.strict import load_strictly, read_safetensors
from trainers.autoencoders.taef2 import FOLDER, Taef2
from trainers.data import open_images
from trainers.latents.fidelity import psnr
from trainers.recipes.schema import AutoencoderOptions, DataOptions

DIFFUSERS: Any = import_module("diffusers")


@pytest.fixture(scope="module")
def taef2() -> Taef2:
    return Taef2()


def round_trip(taef2, pixels):
    return torch.cat([psnr(some, taef2.decode(taef2.encode(some).mean)) for some in pixels.split(8)])


@pytest.fixture(scope="module")
def emoji() -> torch.Tensor:
    """Every sixteenth of the training emoji."""
    images = open_images(DataOptions(), "train")
    return torch.from_numpy(images.read(range(0, len(images), 16)).pixels)


def test_emoji_survive_the_round_trip(taef2, emoji):
    found = round_trip(taef2, emoji[::3])
    assert found.mean() > 28
    assert found.min() > 20


@pytest.mark.skipif(data_folder() is None, reason="needs the photographs of FLOWLAB_DATA")
def test_photographs_survive_the_round_trip(taef2):
    """These are every twentieth of the piece of val2017. With the pool added after the block, not before, it is 25.8."""
    folder = data_folder()
    assert folder is not None
    pictures = []
    for path in sorted((folder / "coco2017" / "val2017").glob("*.jpg"))[::20]:
        photo = Image.open(path).convert("RGB")
        side = min(photo.size)
        left, top = (photo.width - side) // 2, (photo.height - side) // 2
        pictures.append(np.array(photo.crop((left, top, left + side, top + side)).resize((256, 256), Image.Resampling.LANCZOS)))
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    assert round_trip(taef2, pixels).mean() > 28


def test_channels_of_emoji_have_the_deviations_of_the_facts(taef2, emoji):
    latents = torch.cat([taef2.encode(some).mean for some in emoji.split(32)])
    std = latents.std((0, 2, 3))
    assert latents.shape[1:] == (32, 8, 8)
    assert std.min() == pytest.approx(0.47, abs=0.03)
    assert std.max() == pytest.approx(1.07, abs=0.05)


def test_a_plain_autoencoder_tiny_refuses_its_weights():
    """diffusers would drop 24 tensors with a warning, and reconstruct at 16 dB."""
    plain = DIFFUSERS.AutoencoderTiny(latent_channels=32)
    weights = read_safetensors(FOLDER / "encoder.safetensors")
    before = {name: tensor.clone() for name, tensor in plain.encoder.layers.state_dict().items()}
    with pytest.raises(ValueError, match=r"12 tensors unexpected \(11.pool.0.weight, 11.pool.1.bias, 11.pool.1.weight and 9 more\)"):
        load_strictly(plain.encoder.layers, weights, "encoder.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in plain.encoder.layers.state_dict().items())


def test_in_a_folder_that_says_autoencoder_tiny_it_is_refused(taef2, tmp_path):
    DIFFUSERS.AutoencoderTiny(latent_channels=32).save_config(tmp_path)
    state = {f"encoder.layers.{name}": tensor.contiguous() for name, tensor in taef2.parts["encoder"].state_dict().items()}
    for name, tensor in taef2.parts["decoder"].state_dict().items():
        place, rest = name.split(".", 1)
        state[f"decoder.layers.{int(place) - 1}.{rest}"] = tensor.contiguous()
    save_file(state, tmp_path / "diffusion_pytorch_model.safetensors")
    with pytest.raises(ValueError, match=r"does not fit AutoencoderTiny: 24 tensors unexpected \(.*pool"):
        load_autoencoder(AutoencoderOptions("tiny", str(tmp_path)))


def test_without_its_pools_it_is_an_autoencoder_tiny(taef2):
    plain = DIFFUSERS.AutoencoderTiny(latent_channels=32).eval()
    own = Taef2()
    for name, part, theirs in (("encoder", own.parts["encoder"], plain.encoder), ("decoder", own.parts["decoder"], plain.decoder)):
        weights = {key: tensor for key, tensor in part.state_dict().items() if ".pool." not in key}
        shift = 0 if name == "encoder" else 1  # diffusers clamps outside its layers
        theirs.layers.load_state_dict({f"{int(key.split('.')[0]) - shift}.{key.split('.', 1)[1]}": t for key, t in weights.items()})
        for key, tensor in part.state_dict().items():
            if key.endswith("pool.3.weight"):
                tensor.zero_()
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    latents = own.encode(pixels).mean
    x = pixels.double() / 255
    with torch.no_grad():  # in float64, since kernels for float32 round by how memory is laid out
        exact = own.parts.double()["encoder"](x)
        assert torch.allclose(plain.double().encode(2 * x - 1).latents, exact, atol=1e-10)
        assert torch.allclose((plain.decode(3 * exact).sample + 1) / 2, own.parts["decoder"](3 * exact), atol=1e-10)
    assert torch.allclose(latents.double(), exact, atol=1e-4)
    assert (taef2.encode(pixels).mean - latents).abs().max() > 0.1


def test_its_hash_is_known_without_loading_it(taef2):
    assert taef2.hash == autoencoder_hash(AutoencoderOptions("taef2"))
    assert len(taef2.hash) == 64


@pytest.mark.skipif(data_folder() is None, reason="needs the original weights in FLOWLAB_DATA")
@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_the_shipped_weights_are_the_original_ones_converted(part, tmp_path):
    folder = data_folder()
    assert folder is not None
    assert convert(folder / "taef2" / f"taef2_{part}.pth", tmp_path / "converted.safetensors") == 79
    assert (tmp_path / "converted.safetensors").read_bytes() == (FOLDER / f"{part}.safetensors").read_bytes()


def test_missing_and_damaged_weights_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"encoder.safetensors is missing; taef2 is two files"):
        load_autoencoder(AutoencoderOptions("taef2", str(tmp_path)))
    for part in ("encoder", "decoder"):
        contents = (FOLDER / f"{part}.safetensors").read_bytes()
        (tmp_path / f"{part}.safetensors").write_bytes(contents[: len(contents) // 2])
    with pytest.raises(ValueError, match=r"encoder.safetensors is damaged"):
        load_autoencoder(AutoencoderOptions("taef2", str(tmp_path)))


def test_pictures_that_do_not_fit_are_refused(taef2):
    with pytest.raises(ValueError, match="3 x 20 x 20; taef2 takes 3 channels and sizes divisible by 8"):
        taef2.encode(torch.zeros(1, 3, 20, 20, dtype=torch.uint8))
    with pytest.raises(ValueError, match="pictures are 1 x 16 x 16"):
        taef2.encode(torch.zeros(1, 1, 16, 16, dtype=torch.uint8))
