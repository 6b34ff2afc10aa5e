"""A checkpoint made elsewhere in the lab's conventions: velocity(x, t, condition), t from 0 (prior) to 1 (data), dx/dt towards data. Converted here and nowhere else.

    s = t or 1 - t,   the network is asked at (x, time_scale s + time_offset),   dx/dt = (ds/dt) dx/ds for a velocity, lab.conversions for all else.

Data, noise and score are the same whichever way time runs; a velocity changes its sign with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from lab.checks import unknown
from lab.paths import Path as AffinePath
from lab.priors import Gaussian
from trainers.autoencoders import Autoencoder, load_autoencoder
from trainers.checkup.bodies import Body, load, read_text
from trainers.checkup.conventions import NAME, Conventions, read_conventions
from trainers.latents import Normalisation
from trainers.methods import Method
from trainers.networks import parameters
from trainers.priors import FittedPrior
from trainers.recipes.schema import AutoencoderOptions, DataOptions, LossOptions, NetworkOptions, PathOptions, Recipe
from trainers.sampling import labels


class Border(nn.Module):
    """The network asked at our time t in [0, 1]: what it predicts, a velocity along our direction."""

    def __init__(self, body: Body, told: Conventions) -> None:
        super().__init__()
        self.body, self.told = body, told
        self.network = body.network  # registered, so that the border has its weights

    def forward(self, x: Float[Tensor, "b c h w"], t: Float[Tensor, " b"], condition: Tensor | None = None) -> Float[Tensor, "b c h w"]:
        told = self.told
        s = 1 - t if told.reverses else t
        value = self.body(x, told.time_scale * s + told.time_offset, condition)
        return -value if told.reverses and told.prediction == "velocity" else value


@dataclass(frozen=True, eq=False)
class Foreign:
    """What trainers.sampling and trainers.evaluation need of a checkpoint, of one from elsewhere. texts: states (n, rows, e) that samples are told in turn, and the null ones."""

    folder: Path
    conventions: Conventions
    body: Body
    shape: tuple[int, int, int]
    texts: tuple[Float[Tensor, "n rows e"], Float[Tensor, "rows e"] | None] | None
    device: torch.device
    step: int = 0
    weights: str = "as they are"
    noise: None = None  # DDPM's random samplers are for checkpoints of our own

    @property
    def recipe(self) -> Recipe:
        """The training as far as it is known: data's shape and condition, autoencoder, path and what is predicted."""
        told, latents = self.conventions, self.conventions.autoencoder
        factor = 1 if latents is None else self.autoencoder.factor
        return Recipe(
            name=self.folder.name,
            about=told.about,
            data=DataOptions(
                reader="folder",
                size=self.shape[1] * factor,
                channels=self.shape[0] if latents is None else self.autoencoder.picture_channels,
                condition="class" if told.classes else "none",
                flip=False,
            ),
            autoencoder=self._autoencoder_options,
            network=NetworkOptions(time_scale=told.time_scale),
            path=PathOptions(told.path, told.sigma_min),
            loss=LossOptions(target=told.prediction),
        )

    @cached_property
    def method(self) -> Method:
        """Path, and how what is predicted becomes a velocity."""
        told = self.conventions
        recipe = Recipe(path=PathOptions(told.path, told.sigma_min), loss=LossOptions(target=told.prediction))
        return Method(recipe, self.prior)

    @property
    def prior(self) -> FittedPrior:
        return FittedPrior("standard", Gaussian(), {})

    @property
    def path(self) -> AffinePath:
        return self.method.path

    @property
    def last_time(self) -> float:
        """Where sampling stops: the path's last time, but no later than where a time_offset below 0 brings the network's time to 0 (DDPM: 1 - 1/1000)."""
        told = self.conventions
        unseen = max(0.0, -told.time_offset / told.time_scale) if told.reverses else 0.0
        return min(self.method.last_time, 1 - unseen)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.conventions.classes

    @property
    def label_law(self) -> Float[Tensor, " c"] | None:
        """Every class as often as any other: how often they were in training is not known."""
        count = len(self.classes)
        return torch.full((count,), 1 / count, dtype=torch.float64) if count else None

    @property
    def null(self) -> int | Tensor | None:
        """The condition that means none."""
        return self.conventions.null_class if self.texts is None else self.texts[1]

    @property
    def weights_hash(self) -> str:
        return self.body.hash

    @property
    def parameters(self) -> int:
        return parameters(self.body.network)

    @cached_property
    def predicted(self) -> Border:
        """What the network predicts at (x, t, condition)."""
        return Border(self.body, self.conventions)

    def velocity(self, x: Float[Tensor, "b c h w"], t: Float[Tensor, " b"], condition: Any = None) -> Float[Tensor, "b c h w"]:
        """dx/dt towards the data."""
        return self.method.velocity(self.predicted, x, t, condition)

    def told(self, texts: Sequence[str], count: int, seed: int) -> tuple[Tensor | None, list[str]]:
        """The condition of each of `count` samples and its name: the classes in turn, or drawn evenly; text states in turn. Raises ValueError for a class that does not exist."""
        if texts and not self.classes:
            raise ValueError(f"{self.folder} is told no classes by name; leave --condition out")
        if self.texts is not None:
            turn = torch.arange(count) % len(self.texts[0])
            return self.texts[0][turn], [f"text {int(i)}" for i in turn]
        if not self.classes:
            return None, [""] * count
        if texts:
            chosen = torch.tensor([self._class(text) for text in texts])[torch.arange(count) % len(texts)]
        else:
            assert self.label_law is not None
            chosen = labels(self.label_law, torch.arange(count), seed)
        return chosen, [self.classes[int(c)] for c in chosen]

    def _class(self, text: str) -> int:
        if text in self.classes:
            return self.classes.index(text)
        if text.isdecimal() and int(text) < len(self.classes):
            return int(text)
        raise ValueError(unknown("condition", text, self.classes[:20], f"; or a number from 0 to {len(self.classes) - 1}"))

    @property
    def _autoencoder_options(self) -> AutoencoderOptions:
        latents = self.conventions.autoencoder
        if latents is None:
            return AutoencoderOptions(normalise="none")
        inside = latents.path is not None and (self.folder / latents.path).exists()
        return AutoencoderOptions(latents.kind, str(self.folder / str(latents.path)) if inside else latents.path, normalise="none")

    @cached_property
    def autoencoder(self) -> Autoencoder:
        """Loaded at first use. Raises ValueError where it cannot be, or its latents are not what the network takes."""
        found = load_autoencoder(self._autoencoder_options, self.shape[0])
        if found.channels != self.shape[0]:
            raise ValueError(
                f"{found.name} makes latents of {found.channels} channels, and the network of {self.folder} takes {self.shape[0]}"
            )
        return found

    @property
    def normalisation(self) -> Normalisation:
        """x = (raw - shift) scaling."""
        latents = self.conventions.autoencoder
        shift, scaling = (0.0, 1.0) if latents is None else (latents.shift, latents.scaling)
        return Normalisation(torch.full((1, 1, 1), shift), torch.full((1, 1, 1), 1 / scaling))

    @property
    def draws(self) -> bool:
        """Whether samples can be shown: latents without their autoencoder cannot."""
        return self.conventions.autoencoder is not None or self.shape[0] in (1, 3)

    def decode(self, x: Float[Tensor, "b c h w"], batch: int = 64) -> UInt8[Tensor, "b k s s"]:
        """Pictures of what the network works on."""
        return torch.cat([self.autoencoder.decode(self.normalisation.undo(part.float().cpu())) for part in x.split(batch)])

    def encode(self, pixels: UInt8[Tensor, "b k s s"], batch: int = 64) -> Float[Tensor, "b c h w"]:
        """What the network works on, of pictures."""
        return torch.cat([self.normalisation.apply(self.autoencoder.encode(part).mean) for part in pixels.split(batch)])


def load_foreign(folder: Path, device: torch.device | str = "cpu") -> Foreign:
    """The checkpoint of a diffusers folder with a conventions.json.

    Raises ValueError, in one sentence, for all that `read_conventions` and `bodies.load` refuse, and where the two do not fit each other.
    """
    told, body = read_conventions(folder / NAME), load(folder)
    shape = _shape(folder, told, body)
    _check_classes(folder, told, body)
    texts = read_text(folder, body.width) if body.width else None
    try:
        body.network.to(device)
    except (RuntimeError, AssertionError) as error:  # torch raises the latter for a device that it was not built for
        raise ValueError(f"device={str(device)!r} cannot be used here ({str(error).splitlines()[0]}); take cpu") from error
    return Foreign(folder, told, body, shape, texts, torch.device(device))


def _shape(folder: Path, told: Conventions, body: Body) -> tuple[int, int, int]:
    if told.shape is None and body.size is None:
        raise ValueError(
            f"{folder} does not say how large samples are: its config has no sample_size; add shape, [channels, height, width], to {NAME}"
        )
    if told.shape is None:
        assert body.size is not None
        shape = (body.channels, *body.size)
    else:
        shape = told.shape
    if shape[0] != body.channels:
        raise ValueError(f"{folder / NAME}: shape={list(shape)} has {shape[0]} channels, and the network takes {body.channels}")
    if shape[1] != shape[2]:
        raise ValueError(f"{folder} makes samples of {shape[1]} x {shape[2]}; the lab draws square ones alone")
    return shape


def _check_classes(folder: Path, told: Conventions, body: Body) -> None:
    file, count = folder / NAME, len(told.classes)
    if body.table and not count:
        raise ValueError(f"{file} must say classes: the network of {folder} is told one of {body.table}, the null class included")
    if count and not body.table:
        raise ValueError(f"{file} says {count} classes, but the network of {folder} is told none")
    if max(count - 1, -1 if told.null_class is None else told.null_class) >= max(body.table, 1):
        raise ValueError(
            f"{file}: classes 0 to {count - 1} and null_class={told.null_class} must be below the {body.table} that the network has"
        )
