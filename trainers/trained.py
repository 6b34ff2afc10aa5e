"""A checkpoint ready to be sampled: network, path, prior, decoder and the data's facts, from a run's folder or one checkpoint's."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lab.paths import Path as AffinePath
from lab.solvers import Field
from trainers.autoencoders import Autoencoder, load_autoencoder
from trainers.checkpoints import STATE, Checkpoint, average_names, newest, part_of
from trainers.latents import Normalisation
from trainers.methods import Method
from trainers.networks import Network, load_body, null_condition, parameters
from trainers.priors import FittedPrior
from trainers.recipes.schema import Recipe


@dataclass(frozen=True, eq=False)
class Trained:
    """Everything about one checkpoint's weights. Latents are normalised; `decode` and `encode` lead to pictures and back."""

    checkpoint: Checkpoint
    weights: str
    network: Network
    method: Method
    normalisation: Normalisation
    label_law: Float[Tensor, " c"] | None
    null_text: Float[Tensor, "rows e"] | None
    device: torch.device

    @property
    def recipe(self) -> Recipe:
        return self.method.recipe

    @property
    def prior(self) -> FittedPrior:
        return self.method.prior

    @property
    def path(self) -> AffinePath:
        return self.method.path

    @property
    def last_time(self) -> float:
        """Where sampling stops."""
        return self.method.last_time

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, height, width = self.checkpoint.facts["shape"]
        return channels, height, width

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.checkpoint.facts["classes"])

    @property
    def null(self) -> int | Tensor | None:
        """The condition that means none."""
        return null_condition(self.recipe, len(self.classes), self.null_text)

    @property
    def step(self) -> int:
        return self.checkpoint.step

    @property
    def parameters(self) -> int:
        return parameters(self.network)

    @cached_property
    def weights_hash(self) -> str:
        """Of the weights' file."""
        files: dict[str, str] = self.checkpoint.facts["files"]
        return next(value for name, value in files.items() if name.startswith(f"{self.weights}/") and name.endswith(".safetensors"))

    def velocity(self, x: Float[Tensor, "b c h w"], t: Float[Tensor, " b"], condition: Any = None) -> Float[Tensor, "b c h w"]:
        """dx/dt at (x, t), differentiable in x."""
        return self.method.velocity(self.network, x, t, condition)

    @property
    def noise(self) -> Field | None:
        """The predicted noise, of a network trained as DDPM; None of others."""
        return self.network if self.recipe.loss.times == "ddpm-1000" else None

    @cached_property
    def autoencoder(self) -> Autoencoder:
        """Raises ValueError where it is not the one that the latents were made with."""
        found = load_autoencoder(self.recipe.autoencoder, self.recipe.data.channels)
        expected = self.checkpoint.facts["autoencoder_hash"]
        if expected and found.hash != expected:
            raise ValueError(f"{found.name} is not the autoencoder that {self.checkpoint.folder} was trained with: their hashes differ")
        return found

    def decode(self, x: Float[Tensor, "b c h w"], batch: int = 64) -> UInt8[Tensor, "b k s s"]:
        """Pictures of normalised latents."""
        return torch.cat([self.autoencoder.decode(self.normalisation.undo(part.float().cpu())) for part in x.split(batch)])

    def encode(self, pixels: UInt8[Tensor, "b k s s"], batch: int = 64) -> Float[Tensor, "b c h w"]:
        """Normalised latents of pictures, the mean of an autoencoder's posterior."""
        return torch.cat([self.normalisation.apply(self.autoencoder.encode(part).mean) for part in pixels.split(batch)])


def find_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint at `path`, or the newest sound one of the run there. Raises ValueError where there is none, or it is damaged."""
    if (path / STATE).is_file():
        checkpoint = Checkpoint(path)
        checkpoint.check()
        return checkpoint
    if not path.exists():
        raise ValueError(f"{path} does not exist; name a run's folder or one of its checkpoints")
    found = newest(path / "checkpoints", say=_warn) if (path / "checkpoints").is_dir() else None
    if found is None:
        raise ValueError(f"{path} holds no checkpoint; name a run's folder or one of its checkpoints")
    return found


def load_trained(path: Path, weights: str = "ema", device: torch.device | str = "cpu") -> Trained:
    """A run's newest sound checkpoint, or the one whose folder is given. weights: ema (averaged), ema-DECAY or model (raw).

    Raises ValueError where there is none, where it is damaged or from elsewhere, for weights that it does not have, and for a device that is not here.
    """
    device = _device(device)
    checkpoint = find_checkpoint(path)
    recipe = checkpoint.recipe
    known = [name for name in (*average_names(recipe), "model") if (checkpoint.folder / name).is_dir()]
    if weights not in known:
        raise ValueError(f"weights={weights!r} are not in {checkpoint.folder}; it has {', '.join(known)}")
    tensors = checkpoint.tensors("state.safetensors")
    prior = FittedPrior.from_state(part_of(tensors, "prior"))
    network = Network(load_body(checkpoint.folder / weights), recipe).to(device).eval().requires_grad_(False)
    return Trained(
        checkpoint,
        weights,
        network,
        Method(recipe, prior),
        Normalisation.from_state(part_of(tensors, "normalisation")),
        tensors.get("label_law"),
        tensors.get("null_text"),
        device,
    )


def _device(name: torch.device | str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device={name!r} is unknown; cpu, cuda and cuda:1 are names of devices") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device={str(name)!r} is not in this machine, which has {torch.cuda.device_count()} GPUs; take cpu")
    try:
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:  # torch raises the latter for a device that it was not built for, such as xpu
        raise ValueError(f"device={str(name)!r} cannot be used here ({str(error).splitlines()[0]}); take cpu") from error
    return device


def _warn(message: str) -> None:
    import sys

    print(message, file=sys.stderr)
