"""A fitted prior: what training and sampling draw x_0 from, with the report of its fit, as plain tensors and as a file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from lab.checks import check_name
from lab.conversions import GaussianSource
from lab.priors import ClassGaussian, ClassMixture, Gaussian, Prior, TextGaussian, prior_from_state
from trainers.files import write_atomically
from trainers.priors.cross_fitting import FoldMappers
from trainers.recipes.schema import PRIORS

VERSION = 1  # of the states
ABOUT, PRIOR = "about", "prior."  # in a state: a JSON document as bytes, and the names of the prior's own tensors
OWN = {  # the kind of the lab's prior that one of a recipe's is
    "standard": Gaussian.kind,
    "scale-matched": Gaussian.kind,
    "pooled-gaussian": ClassGaussian.kind,
    "class-gaussian": ClassGaussian.kind,
    "class-mixture": ClassMixture.kind,
    "text-gaussian": TextGaussian.kind,
}
BLIND = ("standard", "scale-matched", "pooled-gaussian")


@dataclass(frozen=True, eq=False)
class FittedPrior:
    """A prior of one of the kinds of a recipe (trainers.recipes.schema.PRIORS), and how it came about.

    Conditions are those of the recipe: None, classes (b,), or text states (b, rows, e), of which row 0, the pooled embedding, is taken ((b, e) does too). Standard,
    scale-matched and pooled Gaussians ignore them. `report` is what `python -m trainers prior` prints.
    """

    kind: str
    prior: Prior
    report: Mapping[str, Any]

    @property
    def mappers(self) -> FoldMappers | None:
        """Of a text prior."""
        mapper = self.prior.mapper if isinstance(self.prior, TextGaussian) else None
        return mapper if isinstance(mapper, FoldMappers) else None

    @property
    def needs_uniforms(self) -> bool:
        """Whether drawing takes a uniform number per sample beside the normal ones."""
        return isinstance(self.prior, ClassMixture)

    def from_normals(
        self,
        z: Float[Tensor, "b *shape"],
        condition: Shaped[Tensor, "b *c"] | None = None,
        *,
        uniforms: Float[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b *shape"]:
        """x_0 for sampling, made of standard normal numbers; a class-mixture chooses its components by uniforms (b,)."""
        own = self._own(condition, len(z))
        if isinstance(self.prior, ClassMixture):
            return self.prior.from_normals(z, own, uniforms=uniforms)
        if uniforms is not None:
            raise ValueError(f"uniforms= is for class mixtures; a {self.kind} prior needs normal numbers alone")
        return self.prior.from_normals(z, own)

    def for_training(
        self,
        z: Float[Tensor, "b *shape"],
        condition: Shaped[Tensor, "b *c"] | None,
        index: Int[Tensor, " b"],
        *,
        uniforms: Float[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b *shape"]:
        """x_0 for the training items of these numbers: of a text prior from the mapper that did not see the item, else `from_normals`."""
        mappers = self.mappers
        if mappers is not None and isinstance(self.prior, TextGaussian):
            return TextGaussian(lambda e: mappers.unseen(e, index), self.prior.sigma).from_normals(z, self._own(condition, len(z)))
        return self.from_normals(z, condition, uniforms=uniforms)

    def log_prob(self, x: Float[Tensor, "b *shape"], condition: Shaped[Tensor, "b *c"] | None = None) -> Float[Tensor, " b"]:
        """log density in nats, float64, as lab.priors."""
        return self.prior.log_prob(x, self._own(condition, len(x)))

    def gaussian_source(self, condition: Shaped[Tensor, "b *c"] | None = None) -> GaussianSource:
        """The law for lab.conversions, as lab.priors; a classless one needs no condition."""
        return self.prior.gaussian_source(self._own(condition, 1 if condition is None else len(condition)))

    def _own(self, condition: Tensor | None, count: int) -> Tensor | None:
        """The condition as the prior itself takes it."""
        if self.kind in BLIND:
            return torch.zeros(count, dtype=torch.int64) if self.kind == "pooled-gaussian" else None
        if isinstance(self.prior, TextGaussian) and condition is not None:
            return condition[:, 0] if condition.ndim == 3 else condition
        return condition

    def state(self) -> dict[str, Tensor]:
        """Plain tensors that safetensors takes, and all that `from_state` needs: the prior's own, and the rest as JSON bytes.

        Of the report, seconds are left out, since they differ between two fits that are alike.
        """
        report = {name: value for name, value in self.report.items() if name != "seconds"}
        mapper = None if self.mappers is None else self.mappers.architecture()
        about = {"version": VERSION, "kind": self.kind, "report": report, "mapper": mapper}
        return {ABOUT: _to_bytes(about)} | {PRIOR + name: value for name, value in self.prior.state().items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "FittedPrior":
        """The prior that a state describes, bit for bit. Raises ValueError for one that is not a fitted prior's, is damaged, or is of another version."""
        about = _from_bytes(state.get(ABOUT))
        if about.get("version") != VERSION:
            raise ValueError(f"the prior's state has version {about.get('version')}; this code reads version {VERSION}")
        kind, report, architecture = str(about.get("kind")), about.get("report"), about.get("mapper")
        check_name("kind of the prior's state", kind, PRIORS)
        if not isinstance(report, dict):
            raise ValueError("the prior's state is damaged: its report is missing")
        # Copies, since products round differently where numbers lie elsewhere than torch itself puts them, as in a mapped file.
        own = {name.removeprefix(PRIOR): value.clone() for name, value in state.items() if name.startswith(PRIOR)}
        try:
            prior = prior_from_state(own, mapper=FoldMappers.of(architecture) if architecture else None)
        except (RuntimeError, TypeError, IndexError, KeyError) as error:
            raise ValueError(f"the prior's state is damaged: {str(error).splitlines()[0]}") from error
        if prior.kind != OWN[kind]:
            raise ValueError(
                f"the prior's state is damaged: its numbers are those of a {prior.kind!r} prior, its description is of {kind!r}"
            )
        return cls(kind, prior, report)

    def save(self, path: Path) -> None:
        """Writes the state as safetensors, the report in its metadata too; the same fit gives the same bytes."""
        from safetensors.torch import save_file

        metadata = {"report": json.dumps(_from_bytes(self.state()[ABOUT])["report"], ensure_ascii=False)}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda partial: save_file(self.state(), partial, metadata))

    @classmethod
    def load(cls, path: Path) -> "FittedPrior":
        """Raises ValueError, naming the file, for one that is missing, damaged or not a prior's."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        if not path.is_file():
            raise ValueError(f"{path} is no file; python -m trainers prior writes one")
        try:
            return cls.from_state(load_file(path))
        except SafetensorError as error:
            raise ValueError(f"{path} is damaged or no safetensors file: {str(error).splitlines()[0]}") from error
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _to_bytes(value: dict[str, Any]) -> Tensor:
    return torch.frombuffer(bytearray(json.dumps(value, ensure_ascii=False).encode()), dtype=torch.uint8).clone()


def _from_bytes(codes: Tensor | None) -> dict[str, Any]:
    if codes is None or codes.dtype != torch.uint8:
        raise ValueError("this is not the state of a fitted prior: it has no description of one")
    try:
        value = json.loads(bytes(codes.numpy()).decode())
    except ValueError as error:  # of the decoder or of JSON
        raise ValueError(f"the prior's state is damaged: its description cannot be read ({error})") from error
    if not isinstance(value, dict):
        raise ValueError("the prior's state is damaged: its description is no JSON object")
    return value
