"""A 2-D Gaussian mixture whose components carry classes: what every target and every prior of the toy world is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab.mixtures import GaussianMixture

ArrayLike = Tensor | np.ndarray | Sequence

FIELDS = ("weights", "means", "covariances", "classes")


def _tensor(name: str, value: object) -> Tensor:
    """A float64 copy: a mixture does not change when its caller's arrays do."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", torch.float64, copy=True)
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"it holds {array.dtype.name}")
        return torch.from_numpy(array.astype(np.float64))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers ({error})") from error


@dataclass(frozen=True, init=False, eq=False)
class Mixture(GaussianMixture):
    """Gaussian mixture in the plane: sum_k weights_k N(means_k, covariances_k), component k belonging to class classes_k.

    weights (K,), non-negative with sum 1 (to 1e-6, and then made exact); means (K, 2); covariances (K, 2, 2), symmetric and positive
    definite; classes (K,), whole numbers 0 to C - 1, each with some weight (all 0 if not given). Lists, numpy arrays and tensors are accepted and held
    as float64 tensors. Two mixtures are equal if all their numbers are. Raises ValueError naming the argument and component.
    """

    classes: Int[Tensor, " k"]

    def __init__(self, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike, classes: ArrayLike | None = None) -> None:
        w, m, s = _tensor("weights", weights), _tensor("means", means), _tensor("covariances", covariances)
        if w.ndim != 1 or len(w) == 0:
            raise ValueError(f"weights must be a list of at least one number, not of shape {tuple(w.shape)}")
        if m.shape != (len(w), 2):
            raise ValueError(f"means have shape {tuple(m.shape)}; for {len(w)} weights they must be ({len(w)}, 2)")
        if s.shape != (len(w), 2, 2):
            raise ValueError(f"covariances have shape {tuple(s.shape)}; for {len(w)} weights they must be ({len(w)}, 2, 2)")
        c = torch.zeros(len(w), dtype=torch.float64) if classes is None else _tensor("classes", classes)
        if c.shape != (len(w),) or bool((c != c.long()).any()):
            raise ValueError(f"classes must be one whole number per component ({len(w)}), not {_short(c)}")
        c = c.long()
        present = torch.unique(c).tolist()
        if present != list(range(len(present))):
            raise ValueError(f"classes must be numbered 0 to C - 1 with none left out, not {_short(torch.tensor(present))}")
        shares = torch.zeros(len(present), dtype=torch.float64).index_add(0, c, w)
        if bool((shares == 0).any()):
            raise ValueError(f"class {int(shares.argmin())} has weight 0, so there is no law given that class; leave its components out")
        total = w.sum()
        if 1e-12 < abs(total - 1) < 1e-6:  # decimals in a file; what has been made exact once stays bit-equal
            w = w / total
        for name, value in zip(FIELDS, (w, m, s, c), strict=True):
            object.__setattr__(self, name, value)
        self.__post_init__()
        # Exactly symmetric: rounding leaves products like A S A^T unsymmetric in the last bit, which three numbers in an address cannot carry.
        object.__setattr__(self, "covariances", symmetric(s))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mixture) and all(torch.equal(getattr(self, name), getattr(other, name)) for name in FIELDS)

    def __hash__(self) -> int:
        return hash(self.to_json())

    @property
    def class_count(self) -> int:
        return int(self.classes.max()) + 1

    @property
    def class_weights(self) -> Float[Tensor, " c"]:
        """Total weight of each class, (C,)."""
        return torch.zeros(self.class_count, dtype=torch.float64).index_add(0, self.classes, self.weights)

    def of_class(self, c: int) -> "Mixture":
        """The law of class c alone, as a mixture of one class. Raises ValueError if there is no such class."""
        inside = self.classes == c
        if not bool(inside.any()):
            raise ValueError(f"class {c} does not exist; classes run from 0 to {self.class_count - 1}")
        w = self.weights[inside]
        return Mixture(w / w.sum(), self.means[inside], self.covariances[inside])

    def class_log_prob(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, "n c"]:
        """log of p(x, class = c), (n, C): its argmax is the class that x most likely belongs to."""
        per_component = self.component_log_prob(x)
        return torch.stack([torch.logsumexp(per_component[:, self.classes == c], dim=1) for c in range(self.class_count)], dim=1)

    def transformed(self, matrix: ArrayLike, shift: ArrayLike = (0.0, 0.0)) -> "Mixture":
        """The law of `matrix` x + `shift` for x from this mixture; matrix (2, 2) must be invertible, shift is (2,)."""
        a, b = _tensor("matrix", matrix), _tensor("shift", shift)
        if a.shape != (2, 2) or not bool(torch.isfinite(a).all()) or bool(torch.linalg.matrix_rank(a) < 2):
            raise ValueError(f"matrix={a.tolist()} must be an invertible 2 x 2 matrix")
        if b.shape != (2,):
            raise ValueError(f"shift={b.tolist()} must be two numbers")
        return Mixture(self.weights, self.means @ a.T + b, symmetric(a @ self.covariances @ a.T), self.classes)

    def separated(self, factor: float) -> "Mixture":
        """Component means moved `factor` times as far from the mixture's mean; covariances stay."""
        if not 0 < factor < float("inf"):
            raise ValueError(f"separation={factor} must be positive and finite")
        return Mixture(self.weights, self.mean + factor * (self.means - self.mean), self.covariances, self.classes)

    def to_json(self) -> str:
        """JSON object with weights, means, covariances and classes; `from_json` gives the same mixture back, bit for bit."""
        return json.dumps({name: getattr(self, name).tolist() for name in FIELDS})

    @staticmethod
    def from_json(text: str) -> "Mixture":
        """Reads what `to_json` writes; `classes` may be left out. Raises ValueError naming what is wrong."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"a mixture must be a JSON object, but it does not parse: {error}") from error
        if not isinstance(data, dict):
            raise ValueError(f"a mixture must be a JSON object with weights, means and covariances, not a {type(data).__name__}")
        if missing := [name for name in FIELDS[:3] if name not in data]:
            raise ValueError(f"the mixture's JSON object lacks {', '.join(missing)}")
        if extra := sorted(data.keys() - set(FIELDS)):
            raise ValueError(f"the mixture's JSON object has unknown keys {', '.join(extra)}; it may have {', '.join(FIELDS)}")
        return Mixture(**{name: _tensor(name, value) for name, value in data.items()})


def symmetric(covariances: Float[Tensor, "*k 2 2"]) -> Float[Tensor, "*k 2 2"]:
    """The symmetric part: rounding leaves products like A S A^T unsymmetric in the last bit."""
    return 0.5 * (covariances + covariances.mT)


def moments(mixture: GaussianMixture) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """Mean (D,) and covariance (D, D) of the whole mixture."""
    return mixture.mean, mixture.covariance


def _short(values: Tensor) -> str:
    """The first few numbers, for a message of one line."""
    shown = ", ".join(f"{v:g}" for v in values.flatten()[:8].tolist())
    return f"[{shown}{', ...' if values.numel() > 8 else ''}]" + (f" of shape {tuple(values.shape)}" if values.ndim != 1 else "")
