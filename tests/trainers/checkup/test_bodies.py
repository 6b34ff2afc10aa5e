"""What a diffusers folder may hold; whatever else it holds is refused in one sentence that names the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.trainers.checkup.nets import WEIGHTS, dit, sent, told_by_text, unet
from trainers.checkup import load_foreign, open_subject


def edited(folder: Path, **changes: Any) -> Path:
    """The folder with other values in its config."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return folder


def rewritten(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    """The folder with other tensors in its weights."""
    held = load_file(folder / WEIGHTS)
    change(held)
    save_file(held, folder / WEIGHTS)
    return folder


def refused(folder: Path, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        load_foreign(folder)
    assert "\n" not in str(caught.value)


def test_weights_must_be_whole(tmp_path: Path):
    name = "conv_in.weight"
    refused(rewritten(sent(unet(), tmp_path / "a"), lambda held: held.pop(name)), f"{name} is missing$")
    refused(rewritten(sent(unet(), tmp_path / "b"), lambda held: held.update(more=torch.zeros(1))), "more has no place in it$")
    refused(
        rewritten(sent(unet(), tmp_path / "c"), lambda held: held.update({name: torch.zeros(8, 2, 3, 3)})),
        rf"{name} is \(8, 2, 3, 3\), not \(8, 1, 3, 3\)$",
    )

    def several(held: dict[str, torch.Tensor]) -> None:
        del held["conv_in.weight"], held["conv_in.bias"]

    refused(rewritten(sent(unet(), tmp_path / "d"), several), "is missing, and 1 more$")


def test_pickles_are_refused_by_whatever_name(tmp_path: Path):
    folder = sent(unet(), tmp_path)
    (folder / WEIGHTS).unlink()
    refused(folder, "holds no diffusion_pytorch_model.safetensors$")
    torch.save({"a": torch.zeros(1)}, folder / "diffusion_pytorch_model.bin")
    refused(folder, r"holds only diffusion_pytorch_model\.bin, a pickle, which is never loaded")
    (folder / "diffusion_pytorch_model.bin").rename(folder / WEIGHTS)
    refused(folder, "is a pickle, which can run code")
    (folder / WEIGHTS).write_bytes(b"nothing")
    refused(folder, "is damaged")


def test_configs_must_name_a_known_class_and_make_it(tmp_path: Path):
    folder = sent(unet(), tmp_path)
    refused(edited(folder, _class_name="FluxTransformer2DModel"), r"config\.json: _class_name='FluxTransformer2DModel' is unknown")
    refused(edited(folder, _class_name="UNet2DModel", colour="blue"), "sets colour, which UNet2DModel does not know")
    folder = sent(unet(), tmp_path / "b")
    refused(edited(folder, block_out_channels=[8, 8]), "makes no UNet2DModel: ")
    (folder / "config.json").write_text("{")
    refused(folder, "is damaged")
    (folder / "config.json").write_text("[]")
    refused(folder, "is not the config of a network")
    (folder / "config.json").unlink()
    refused(folder, "has no config.json, nor have unet/ and transformer/ in it")


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (lambda: unet(time_embedding_type="fourier"), "time_embedding_type='fourier'; a check-up needs positional"),
        (lambda: unet(class_embed_type="timestep"), "class_embed_type='timestep': such a network is given more"),
        (lambda: unet(out_channels=3), "takes 1 channels and gives 3"),
        (lambda: told_by_text(num_class_embeds=3), "num_class_embeds=3: such a network is given more"),
        (lambda: told_by_text(addition_embed_type="text", addition_embed_type_num_heads=2), "addition_embed_type='text': such a network"),
        (lambda: told_by_text(time_cond_proj_dim=4), "time_cond_proj_dim=4: such a network"),
        (lambda: unet(num_class_embeds=4), "must say classes: the network of .* is told one of 4"),
        (dit, "must say classes: the network of .* is told one of 4"),
    ],
)
def test_what_a_checkup_cannot_give_is_refused(network: Callable[[], Any], sentence: str, tmp_path: Path):
    refused(sent(network(), tmp_path), sentence)


def test_classes_must_fit_the_table(tmp_path: Path):
    refused(sent(unet(), tmp_path / "a", classes=3), "says 3 classes, but the network of .* is told none")
    refused(sent(unet(num_class_embeds=4), tmp_path / "b", classes=5), "must be below the 4 that the network has")
    refused(sent(unet(num_class_embeds=4), tmp_path / "c", classes=3, null_class=4), "null_class=4 must be below the 4")
    assert load_foreign(sent(unet(num_class_embeds=4), tmp_path / "d", classes=4)).null is None


def test_a_transformer_that_is_no_dit_is_refused(tmp_path: Path):
    from diffusers.models.transformers.transformer_2d import Transformer2DModel

    network = Transformer2DModel(num_attention_heads=1, attention_head_dim=8, in_channels=8, norm_num_groups=4, sample_size=4)
    refused(sent(network, tmp_path), "is of a Transformer2DModel that is no DiT")


def test_text_states_must_fit(tmp_path: Path):
    folder = sent(told_by_text(), tmp_path)
    file = folder / "text.safetensors"
    for held in (
        {"states": torch.zeros(2, 3, 5)},
        {"other": torch.zeros(1)},
        {"states": torch.zeros(0, 3, 6)},
        {"states": torch.zeros(2, 6)},
    ):
        save_file(held, file)
        refused(folder, r"must hold states \(n, rows, 6\)")
    save_file({"states": torch.zeros(2, 3, 6), "null": torch.zeros(4, 6)}, file)
    refused(folder, r"null is \(4, 6\), and must be \(3, 6\)")
    save_file({"states": torch.full((2, 3, 6), torch.nan)}, file)
    refused(folder, "not finite")


def test_a_network_without_conventions_is_not_guessed_at(tmp_path: Path):
    folder = sent(unet(), tmp_path)
    (folder / "conventions.json").unlink()
    with pytest.raises(ValueError, match=r"holds a network but no conventions\.json, which says what its numbers mean, such as \{"):
        open_subject(folder)
    with pytest.raises(ValueError, match="does not exist; name a run's folder"):
        open_subject(tmp_path / "nothing")


def test_a_device_that_is_not_here_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match="device='nonsense' cannot be used here"):
        load_foreign(sent(unet(), tmp_path), "nonsense")
