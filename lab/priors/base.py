"""What all priors share: the interface, the checks of conditions and settings, and states made of plain tensors."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from lab.checks import one_class_each
from lab.conversions import GaussianSource

VERSION = 1  # of the states

State = dict[str, Tensor]


class Prior(ABC):
    """A law of x_0 given a condition: None, one class (a whole number) per sample, or one embedding per sample.

    Parameters are float64 on the CPU; what comes out has the dtype and the device of what goes in, but densities are float64. A prior never changes.
    """

    kind: ClassVar[str]

    @abstractmethod
    def from_normals(self, z: Float[Tensor, "b *shape"], condition: Shaped[Tensor, "k *c"] | None = None) -> Float[Tensor, "b *shape"]:
        """x_0 made of given standard normal numbers: deterministic, in z's dtype and on its device (computed in float32 at least)."""

    @abstractmethod
    def log_prob(self, x: Float[Tensor, "b *shape"], condition: Shaped[Tensor, "k *c"] | None = None) -> Float[Tensor, " b"]:
        """log density at x in nats, computed in float64; differentiable in x. Raises ValueError where a singular covariance leaves no density."""

    @abstractmethod
    def gaussian_source(self, condition: Shaped[Tensor, "k *c"] | None = None) -> GaussianSource:
        """The same law for lab.conversions, one mean and covariance per entry of the condition. Raises ValueError for a law that is not Gaussian, or singular."""

    @abstractmethod
    def state(self) -> State:
        """Everything as plain tensors that share no memory (safetensors takes them), settings and a version included."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: State) -> "Prior":
        """The prior that `state` describes, bit for bit. Raises ValueError for a state of another kind or version, or with parts missing."""

    def sample(
        self,
        shape: tuple[int, ...],
        condition: Shaped[Tensor, "k *c"] | None = None,
        *,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Float[Tensor, "b *shape"]:
        """Independent draws, on the generator's device. shape: that of the batch, (B, *shape)."""
        return self.from_normals(torch.randn(shape, generator=generator, dtype=dtype, device=generator.device), condition)


def classes_of(condition: Tensor | None, count: int, classes: int, name: str) -> Int[Tensor, " b"]:
    """The condition as int64 classes on the CPU. Raises ValueError unless it is one whole number in 0 to classes - 1 for each of `count` samples."""
    if condition is None or not one_class_each(condition):
        raise ValueError(f"{name} needs condition=, one whole number (a class) per sample")
    if len(condition) != count:
        raise ValueError(f"condition has {len(condition)} entries for {count} samples")
    label = condition.detach().cpu().long()
    strange = label[(label < 0) | (label >= classes)]
    if len(strange):
        raise ValueError(f"condition holds class {int(strange[0])}; the prior knows classes 0 to {classes - 1}")
    return label


def check_shape(x: Tensor, shape: tuple[int, ...], argument: str) -> None:
    """ValueError unless x is a batch of samples of this shape."""
    if tuple(x.shape[1:]) != shape:
        raise ValueError(f"{argument} has shape {tuple(x.shape)}; samples of this prior are (B, {', '.join(map(str, shape))})")


def check_positive(name: str, value: float) -> None:
    if not 0 < value < float("inf"):
        raise ValueError(f"{name}={value} must be a positive number: it multiplies the standard deviations")


def check_share(name: str, value: float, meaning: str) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name}={value} must lie in [0, 1]: {meaning}")


def pack(kind: str, numbers: dict[str, float], **tensors: Tensor) -> State:
    """A state: kind and version, float64 numbers, and copies of the tensors."""
    state = {"kind": to_bytes(kind), "version": torch.tensor(VERSION)}
    state |= {name: torch.tensor(value, dtype=torch.float64) for name, value in numbers.items()}
    return state | {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}


def kind_of(state: State) -> str:
    """The kind of prior that a state describes. Raises ValueError for one of another version or without a kind."""
    version = int(part(state, "version"))
    if version != VERSION:
        raise ValueError(f"state has version {version}; this code reads version {VERSION}")
    return to_text(part(state, "kind"))


def check_kind(state: State, kind: str) -> None:
    if kind_of(state) != kind:
        raise ValueError(f"state is that of a {kind_of(state)!r} prior, not of a {kind!r} one; prior_from_state reads every kind")


def part(state: State, name: str) -> Tensor:
    """A part of the state. Raises ValueError where it is missing."""
    if name not in state:
        raise ValueError(f"state lacks {name!r}: it is not, or not all of, what a prior's state() returned")
    return state[name]


def to_bytes(text: str) -> Tensor:
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


def to_text(codes: Tensor) -> str:
    return bytes(codes.tolist()).decode()
