"""AutoencoderKL, VQModel and AutoencoderTiny of diffusers, from a folder or the hub, or KL and VQ from a file in LDM's layout."""

import hashlib
import json
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from trainers.autoencoders.base import Autoencoder, Encoded
from trainers.autoencoders.ldm_format import converted
from trainers.autoencoders.strict import load_strictly, read_safetensors
from trainers.files import read_json, sha256_of
from trainers.hub import fetch

CLASSES = {"kl": "AutoencoderKL", "vq": "VQModel", "tiny": "AutoencoderTiny"}
WEIGHTS = "diffusion_pytorch_model.safetensors"
INSIDE = ("", "vae", "vqvae")  # where a pipeline's folder keeps its autoencoder


class _Diffusers(Autoencoder):
    """Weights loaded strictly into the class that the kind names; diffusers itself would only warn."""

    def __init__(self, path: str) -> None:
        if Path(path).is_file():
            self._model = _from_ldm(self.kind, Path(path))
        else:
            self._model = _from_folder(self.kind, find_folder(path))
        config = self._config = dict(self._model.config)
        blocks = config["encoder_block_out_channels"] if self.kind == "tiny" else config["block_out_channels"]
        channels = config["vq_embed_dim"] or config["latent_channels"] if self.kind == "vq" else config["latent_channels"]
        super().__init__(
            name=path, channels=channels, factor=2 ** (len(blocks) - 1), picture_channels=config["in_channels"], hash=diffusers_hash(path)
        )
        self.network = self._model.eval().requires_grad_(False)


class KL(_Diffusers):
    """Mean and std of the posterior, before the model's own scaling factor."""

    kind = "kl"

    def _encode(self, x: Float[Tensor, "b c s s"]) -> Encoded:
        posterior = self._model.encode(x).latent_dist
        return Encoded(posterior.mean, posterior.std)

    def _decode(self, latents: Float[Tensor, "b k h w"]) -> Float[Tensor, "b c s s"]:
        return self._model.decode(latents).sample


class VQ(_Diffusers):
    """Latents before quantisation; the decoder takes each to its nearest code first."""

    kind = "vq"

    def _encode(self, x: Float[Tensor, "b c s s"]) -> Encoded:
        return Encoded(self._model.encode(x).latents)

    def _decode(self, latents: Float[Tensor, "b k h w"]) -> Float[Tensor, "b c s s"]:
        return self._model.decode(latents, force_not_quantize=False).sample


class Tiny(_Diffusers):
    """AutoencoderTiny, without a posterior."""

    kind = "tiny"

    def _encode(self, x: Float[Tensor, "b c s s"]) -> Encoded:
        return Encoded(self._model.encode(x).latents)

    def _decode(self, latents: Float[Tensor, "b k h w"]) -> Float[Tensor, "b c s s"]:
        return self._model.decode(latents).sample


def find_folder(path: str) -> Path:
    """The folder that holds config.json and weights: `path`, a pipeline's vae/ or vqvae/ in it, or what the hub has under that name (its cache first).

    Raises ValueError where there is none.
    """
    root = Path(path)
    if not root.is_dir():
        root = fetch(path, [str(Path(inside) / file) for inside in INSIDE for file in ("config.json", WEIGHTS)])
    for inside in INSIDE:
        if (root / inside / "config.json").is_file():
            return root / inside
    raise ValueError(f"{path} has no config.json, nor have vae/ and vqvae/ in it; give the folder of a diffusers autoencoder")


def _from_folder(kind: str, folder: Path) -> Any:
    config = read_json(folder / "config.json")
    named = config.get("_class_name", CLASSES[kind])
    if named != CLASSES[kind]:
        fitting = [each for each, name in CLASSES.items() if name == named]
        cure = f"set autoencoder.kind={fitting[0]}" if fitting else f"kinds are {', '.join(CLASSES)}"
        raise ValueError(f"{folder} holds {named}, not {CLASSES[kind]}; {cure}")
    model = _made(kind, config, str(folder / "config.json"))
    weights = weights_in(folder)
    state = model._fix_state_dict_keys_on_load(read_safetensors(weights))  # attention's names of before diffusers 0.15
    load_strictly(model, state, str(weights))
    return model


def _made(kind: str, config: dict[str, Any], source: str) -> Any:
    """The model of a configuration, whose every value must be one that its class knows."""
    import inspect

    import diffusers

    made = getattr(diffusers, CLASSES[kind])
    own = {name: value for name, value in config.items() if not name.startswith("_")}
    known = set(inspect.signature(made.__init__).parameters) | (
        {"block_out_channels"} if kind == "tiny" else set()
    )  # which it writes, but never reads
    unknown = sorted(set(own) - known)
    if unknown:
        raise ValueError(f"{source} sets {', '.join(unknown)}, which {CLASSES[kind]} does not know")
    try:
        return made(**{name: value for name, value in own.items() if kind != "tiny" or name != "block_out_channels"})
    except (TypeError, ValueError, KeyError, IndexError, RuntimeError) as error:
        raise ValueError(f"{source} makes no {CLASSES[kind]}: {str(error).splitlines()[0]}") from error


def _from_ldm(kind: str, path: Path) -> Any:
    if kind == "tiny":
        raise ValueError(f"{path} is a file; AutoencoderTiny is loaded from a folder with config.json")
    config, state = converted(kind, read_safetensors(path), str(path))
    model: nn.Module = _made(kind, config, str(path))
    load_strictly(model, state, str(path))
    return model


def weights_in(folder: Path) -> Path:
    """The one safetensors file of a folder. Raises ValueError where there is none, only a pickle, or several."""
    if (folder / WEIGHTS).is_file():
        return folder / WEIGHTS
    found = sorted(folder.glob("*.safetensors"))
    if len(found) == 1:
        return found[0]
    pickles = sorted(p.name for suffix in ("bin", "ckpt", "pt", "pth") for p in folder.glob(f"*.{suffix}"))
    if found:
        raise ValueError(f"{folder} holds {len(found)} safetensors files and none called {WEIGHTS}; one is needed")
    if pickles:
        cure = f"`python -m trainers.autoencoders.convert {pickles[0]} {WEIGHTS}` converts one you trust"
        raise ValueError(f"{folder} holds only {', '.join(pickles)}, a pickle, which is never loaded, since it can run code; {cure}")
    raise ValueError(f"{folder} holds no {WEIGHTS}")


def diffusers_hash(path: str) -> str:
    """Of configuration and weights, without loading them."""
    if Path(path).is_file():
        return sha256_of(Path(path))
    folder = find_folder(path)
    config = {name: value for name, value in read_json(folder / "config.json").items() if not name.startswith("_")}
    return hashlib.sha256((json.dumps(config, sort_keys=True) + sha256_of(weights_in(folder))).encode()).hexdigest()
