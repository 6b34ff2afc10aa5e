"""The networks behind one call: what reaches the body, the null condition, and folders that diffusers loads by itself."""

from typing import Any

import pytest
import torch

from tests.trainers.training.small import CLASSES, ROWS, WIDTH, shrunk
from trainers.networks import build, embedded_time, load_body, null_condition, parameters
from trainers.planning import meta_network
from trainers.recipes import apply, by_name

SHAPE = (2, 8, 8)
NAMES = ("digits-condot", "emoji-condot", "emoji-text-condot", "condot-imagenet64", "loom-cifar10")


def made(name: str):
    recipe = shrunk(by_name(name))
    torch.manual_seed(0)
    size = 8 << max(0, len(recipe.network.channels) - 3)
    shape = (2, size, size)
    width = WIDTH if recipe.data.condition == "text" else 0
    network = build(recipe, shape, CLASSES, width).eval()
    with torch.no_grad():
        for p in network.parameters():  # last layers begin at zero, and would hide everything
            p.add_(0.05 * torch.randn(p.shape))
    x = torch.randn(3, *shape)
    condition = {"none": None, "class": torch.tensor([0, 1, 2]), "text": torch.randn(3, ROWS, WIDTH)}[recipe.data.condition]
    return recipe, network, x, condition


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_has_the_samples_shape_and_depends_on_all_that_it_is_told(name: str):
    _, network, x, condition = made(name)
    t = torch.tensor([0.1, 0.5, 0.9])
    with torch.no_grad():
        out = network(x, t, condition)
        assert out.shape == x.shape
        assert not torch.allclose(out, network(x, t + 0.05, condition), atol=1e-4)
        if condition is not None:
            assert not torch.allclose(out, network(x, t, condition.flip(0)), atol=1e-5)
        alone = torch.cat([network(x[i : i + 1], t[i : i + 1], None if condition is None else condition[i : i + 1]) for i in range(3)])
    assert torch.allclose(out, alone, atol=1e-5)  # samples do not mix


def test_time_reaches_the_embedding_in_the_range_that_it_is_made_for():
    """Raw t in [0, 1] would leave the embedding nearly still (RMS change over the range .17 instead of .90): facts/conditional-prior.md."""
    t = torch.tensor([0.0, 0.25, 1.0])
    assert embedded_time(by_name("emoji-condot"), t).tolist() == [0, 250, 1000]
    # DDPM's body gets its step number, as diffusers' schedulers would give it.
    assert embedded_time(by_name("emoji-ddpm"), torch.tensor([0.0, 0.5, 0.999])).tolist() == pytest.approx([999, 499, 0], abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_body_is_the_same_network_for_diffusers_itself(name: str, tmp_path):
    recipe, network, x, condition = made(name)
    network.save(tmp_path / "model")
    body = load_body(tmp_path / "model")
    for a, b in zip(network.body.parameters(), body.parameters(), strict=True):
        assert torch.equal(a, b)
    if recipe.network.kind == "unet":
        from diffusers.models.unets.unet_2d import UNet2DModel

        plain = UNet2DModel.from_pretrained(tmp_path / "model").eval()
        with torch.no_grad():
            theirs = plain(x, 1000 * torch.tensor([0.1, 0.5, 0.9]), class_labels=condition).sample
            assert torch.equal(theirs, network(x, torch.tensor([0.1, 0.5, 0.9]), condition))


def test_padding_rows_of_a_text_do_not_count():
    """A row of zeros is masked: what stands in it cannot reach the answer, and a text of two tokens is the same whatever the padding."""
    _, network, x, condition = made("emoji-text-condot")
    t = torch.full((3,), 0.5)
    short = condition.clone()
    short[:, 2:] = 0
    with torch.no_grad():
        assert torch.allclose(network(x, t, short), network(x, t, short[:, :2]), atol=1e-5)


def test_a_class_is_one_row_of_context_and_moves_what_the_cross_attention_has_of_values():
    """The papers' class-conditional network: as diffusers itself computes it from the embedding, null class too; every weight but questions and keys learns from it."""
    _, network, x, _ = made("condot-imagenet64")
    t, condition = torch.tensor([0.1, 0.5, 0.9]), torch.tensor([0, CLASSES, 2])
    body: Any = network.body
    assert body.config.num_class_embeds is None
    assert tuple(body.encoder_hid_proj.weight.shape) == (body.config.cross_attention_dim, CLASSES + 1)
    embedding = body.encoder_hid_proj.weight.T[condition] + body.encoder_hid_proj.bias
    out = network(x, t, condition)
    out.square().sum().backward()
    gradients = {name: p.grad for name, p in body.named_parameters()}
    assert all(g is not None and g.abs().max() > 0 for name, g in gradients.items() if ".attn2.to_v" in name or ".attn2.to_out" in name)
    told = gradients["encoder_hid_proj.weight"].abs().sum(0) > 0
    assert told.nonzero()[:, 0].tolist() == [0, 2, CLASSES]
    body.encoder_hid_proj = None
    with torch.no_grad():
        body.config["encoder_hid_dim_type"] = None
        assert torch.allclose(body(x, 1000 * t, encoder_hidden_states=embedding[:, None]).sample, out, atol=1e-5)


def test_class_embeddings_begin_as_embeddings_do():
    torch.manual_seed(0)
    body: Any = build(shrunk(by_name("condot-imagenet64")), (2, 16, 16), 999).body
    assert body.encoder_hid_proj.weight.std().item() == pytest.approx(1, abs=0.05)


def test_the_null_condition_is_the_class_after_the_last_or_the_empty_text():
    empty = torch.zeros(ROWS, WIDTH)
    assert null_condition(by_name("emoji-condot"), 9, None) == 9
    assert null_condition(by_name("loom-cifar10"), 0, None) is None
    assert null_condition(by_name("emoji-text-condot"), 0, empty) is empty


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("config", "is missing|does not hold"),
        ("cut", "does not hold whole weights"),
        ("pickle", "does not hold whole weights"),
        ("class", "names a network of class 'Sequential'"),
        ("keys", "is missing, too many or of another shape"),
    ],
)
def test_a_folder_that_is_no_whole_network_is_refused(damage: str, words: str, tmp_path):
    _, network, _, _ = made("emoji-condot")
    folder = tmp_path / "model"
    network.save(folder)
    weights = folder / "diffusion_pytorch_model.safetensors"
    if damage == "config":
        (folder / "config.json").unlink()
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "pickle":
        weights.unlink()
        torch.save(network.body.state_dict(), folder / "diffusion_pytorch_model.bin")
    elif damage == "class":
        (folder / "config.json").write_text((folder / "config.json").read_text().replace("UNet2DModel", "Sequential"))
    else:
        from safetensors.torch import load_file, save_file

        tensors = load_file(weights)
        tensors.pop("conv_in.bias")
        save_file(tensors, weights)
    with pytest.raises(ValueError, match=words):
        load_body(folder)


def test_pictures_that_cannot_be_halved_so_often_are_refused():
    recipe = apply(by_name("emoji-condot"), {"network.channels": "32,32,32"})
    with pytest.raises(ValueError, match="halve 6 x 6 pictures 2 times"):
        build(recipe, (2, 6, 6), 3)


def test_a_network_without_memory_has_the_same_size():
    recipe = by_name("emoji-condot")
    assert parameters(meta_network(recipe, (32, 8, 8), 9)) == parameters(build(recipe, (32, 8, 8), 9)) == 4_581_536 - 0


def test_heads_wider_than_the_channels_that_they_share_are_refused():
    recipe = shrunk(by_name("fm-imagenet64"), **{"network.channels": "32,32,32,32", "network.heads_of": 64})
    with pytest.raises(ValueError, match=r"network.heads_of=64 is more than the 32 channels"):
        build(recipe, (3, 64, 64), 10)
