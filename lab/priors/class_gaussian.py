"""One Gaussian per class, its mean and covariance those of the class's data: fitted in one pass, its covariance in one of six forms."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from math import log, prod
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from lab.checks import check_name
from lab.conversions import GaussianSource
from lab.paths import flat
from lab.priors.base import (
    Prior,
    State,
    check_kind,
    check_positive,
    check_shape,
    check_share,
    classes_of,
    pack,
    part,
    to_bytes,
    to_text,
)
from lab.priors.class_covariances import COVARIANCES, Form, Moments, accumulator, checked_rank, spread_of
from lab.priors.covariances import FORMS, Diagonal, Isotropic


@dataclass(frozen=True, eq=False)
class ClassGaussian(Prior):
    """N(mean mu_c, scale^2 S_c) for samples of class c.

    means: mu_c, (C, *shape). spread: covariances of the flattened samples, in a form of lab.priors.covariances; group (C,): which of them is whose. mean in [0, 1] moves the
    centre from the origin to mu_c; scale multiplies the standard deviations; `dataclasses.replace(prior, scale=2.0)` changes either. `of` makes one of known moments.

    What `fit` notes: counts (C,), members; fell_back (C,), the classes that take the pooled covariance for want of members (`fallbacks` lists them); covariance, the
    name of the form; shrinkage.

    Raises ValueError for scale <= 0, mean outside [0, 1], means that are not finite, and shapes that do not fit one another.
    """

    means: Float[Tensor, "c *shape"]
    spread: Form
    group: Int[Tensor, " c"]
    counts: Int[Tensor, " c"]
    fell_back: Bool[Tensor, " c"]
    covariance: str
    shrinkage: float = 0.0
    mean: float = 1.0
    scale: float = 1.0
    kind: ClassVar[str] = "class-gaussian"

    def __post_init__(self) -> None:
        check_positive("scale", self.scale)
        check_share("mean", self.mean, "0 puts every class at the origin, 1 at its own mean")
        if not bool(torch.isfinite(self.means).all()):
            raise ValueError("means must be finite, without NaN")
        object.__setattr__(self, "means", self.means.detach().double().cpu())
        if not len(self.means) == len(self.group) == len(self.counts) == len(self.fell_back) > 0:
            raise ValueError("means, group, counts and fell_back must have one entry per class")
        if not 0 <= int(self.group.min()) <= int(self.group.max()) < len(self.spread):
            raise ValueError(f"group must name, for each class, one of the {len(self.spread)} covariances of spread, from 0 on")
        if not isinstance(self.spread, Isotropic) and self.spread.dimension != prod(self.shape):
            raise ValueError(f"spread is of {self.spread.dimension} dimensions; samples of shape {self.shape} have {prod(self.shape)}")

    @classmethod
    def of(cls, means: Float[Tensor, "c *shape"], spread: Form, *, mean: float = 1.0, scale: float = 1.0) -> "ClassGaussian":
        """From known means and covariances, one for each class or one for all, such as Full.of(matrices)."""
        classes = len(means)
        group = torch.zeros(classes, dtype=torch.int64) if len(spread) == 1 else torch.arange(classes)
        nobody = torch.zeros(classes, dtype=torch.int64)
        form = next((name for name, form in FORMS.items() if isinstance(spread, form)), None)
        if form is None:
            raise ValueError(
                f"spread is a {type(spread).__name__}; it must be covariances in one of the forms of lab.priors, such as Full.of(matrices)"
            )
        return cls(means, spread, group, nobody, nobody.bool(), form, mean=mean, scale=scale)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a sample."""
        return tuple(self.means.shape[1:])

    @property
    def classes(self) -> int:
        return len(self.means)

    @property
    def fallbacks(self) -> tuple[int, ...]:
        """The classes whose covariance is the pooled one for want of members."""
        return tuple(torch.nonzero(self.fell_back)[:, 0].tolist())

    def from_normals(self, z: Float[Tensor, "b *shape"], condition: Shaped[Tensor, "k *c"] | None = None) -> Float[Tensor, "b *shape"]:
        """mean mu_c + scale L_c z with L_c L_c^T = S_c: affine in z. Takes singular covariances too."""
        label, group = self._labels(z, condition, "z")
        spread = self.spread.times(flat(z), group)
        centre = self._centre(label).to(dtype=spread.dtype, device=z.device)
        return (centre + self.scale * spread.reshape(z.shape)).to(z.dtype)

    def log_prob(self, x: Float[Tensor, "b *shape"], condition: Shaped[Tensor, "k *c"] | None = None) -> Float[Tensor, " b"]:
        """log N(x; mean mu_c, scale^2 S_c), nats, float64. Raises ValueError naming a class whose covariance is singular."""
        label, group = self._labels(x, condition, "x")
        self._check_regular(label, group)
        white = flat(x.double() - self._centre(label).to(x.device)) / self.scale
        return self.spread.log_prob(white, group) - white.shape[1] * log(self.scale)

    def gaussian_source(self, condition: Shaped[Tensor, "k *c"] | None = None) -> GaussianSource:
        """Means and covariances per sample: variances (B,) or (B, *shape) for none, isotropic and diagonal, matrices (B, D, D) for the others, low rank too.

        Raises ValueError naming a class whose covariance is singular.
        """
        label = classes_of(condition, 0 if condition is None else len(condition), self.classes, "ClassGaussian")
        group = self.group[label]
        self._check_regular(label, group)
        covariance = self.scale**2 * self.spread.source(group)
        if isinstance(self.spread, Diagonal):
            covariance = covariance.reshape(-1, *self.shape)
        return GaussianSource(self._centre(label), covariance, per_sample=True)

    def state(self) -> State:
        """kind, version, mean, scale, shrinkage, the names of the covariance and its form, means, group, counts, fell_back, and the form's tensors as "spread." + name."""
        form = next(name for name, form in FORMS.items() if isinstance(self.spread, form))
        return pack(
            self.kind,
            {"mean": self.mean, "scale": self.scale, "shrinkage": self.shrinkage},
            covariance=to_bytes(self.covariance),
            form=to_bytes(form),
            means=self.means,
            group=self.group,
            counts=self.counts,
            fell_back=self.fell_back,
            **{f"spread.{f.name}": getattr(self.spread, f.name) for f in fields(self.spread) if f.init},
        )

    @classmethod
    def from_state(cls, state: State) -> "ClassGaussian":
        check_kind(state, cls.kind)
        name = to_text(part(state, "form"))
        check_name("form of the state", name, tuple(FORMS))
        form = FORMS[name]
        means, group, counts, fell_back, covariance = (part(state, n) for n in ("means", "group", "counts", "fell_back", "covariance"))
        shrinkage, mean, scale = (float(part(state, n)) for n in ("shrinkage", "mean", "scale"))
        spread = form(**{f.name: part(state, f"spread.{f.name}") for f in fields(form) if f.init})
        return cls(means, spread, group, counts, fell_back, to_text(covariance), shrinkage, mean, scale)

    @classmethod
    def fit(
        cls,
        moments: Moments,
        *,
        covariance: str = "full",
        shape: tuple[int, ...] | None = None,
        mean: float = 1.0,
        scale: float = 1.0,
        shrinkage: float = 0.0,
        fallback_below: int | None = None,
        rank: int | None = None,
    ) -> "ClassGaussian":
        """The prior with the means and covariances of an accumulator.

        | covariance | S_c before shrinkage, S the class's unbiased covariance                   | from                               |
        |------------|----------------------------------------------------------------------------|------------------------------------|
        | none       | I                                                                          | any accumulator                    |
        | isotropic  | (tr S / D) I                                                               | all but PooledMoments              |
        | diagonal   | diag(S)                                                                    | all but PooledMoments              |
        | full       | S, of rank members - 1 at most                                             | MomentAccumulator                  |
        | pooled     | the within-class covariance of all classes, the same for each              | MomentAccumulator, PooledMoments   |
        | low-rank   | W W^T + diag(S - W W^T), W W^T = the `rank` leading eigenpairs of S        | MomentAccumulator, SketchedMoments |

        Low rank keeps the variances exactly and covariances as far as the leading principal directions make them; it is not the factor analysis of greatest likelihood.
        From SketchedMoments the eigenpairs are those of the sketch, whose error `SketchedMoments.lost` bounds. rank: at most the sketch's rows; half of them, or 16
        (or D - 1 if less) without a sketch, if None.

        shrinkage l in [0, 1] makes (1 - l) S_c + l (tr S_c / D) I of each (of "none" nothing new): with l > 0 full covariances of few members are regular. Classes with fewer
        members than fallback_below take the pooled covariance, in the same form, and keep their own mean. None: as few as make S_c regular, 2, but without
        shrinkage D + 1 for full and rank + 2 for low-rank. "none" and "pooled" have nothing to fall back from.

        shape: of a sample, (D,) if None. Raises ValueError for an unknown covariance, one that the accumulator does not hold, a class without members, settings out of range,
        and a low-rank diagonal that is left without variance.
        """
        check_name("covariance", covariance, COVARIANCES)
        check_share("shrinkage", shrinkage, "0 keeps the covariance, 1 leaves its mean variance in every direction")
        means = moments.means
        dimension = means.shape[1]
        shape = (dimension,) if shape is None else tuple(shape)
        if prod(shape) != dimension:
            raise ValueError(f"shape={shape} has {prod(shape)} numbers; the moments are of {dimension}")
        empty = torch.nonzero(moments.counts == 0)[:, 0].tolist()
        if empty:
            raise ValueError(f"class {empty[0]} has no members, so no mean; number the classes without gaps or fit to data that has it")
        rank = checked_rank(rank, moments, dimension) if covariance == "low-rank" else 0
        if fallback_below is None:
            regular = {"full": dimension + 1, "low-rank": rank + 2}.get(covariance, 2)
            fallback_below = 2 if shrinkage > 0 else regular
        if fallback_below < 2:
            raise ValueError(f"fallback_below={fallback_below} must be at least 2: one member has no covariance")
        alone = covariance in ("none", "pooled")
        fell_back = torch.zeros_like(moments.counts, dtype=torch.bool) if alone else moments.counts < fallback_below
        own = torch.nonzero(~fell_back)[:, 0]
        group = torch.full_like(moments.counts, 0 if alone else len(own))  # the pooled one comes last
        if not alone:
            group[own] = torch.arange(len(own))
        spread = spread_of(moments, covariance, own, bool(fell_back.any()), shrinkage, rank)
        return cls(
            means.reshape(-1, *shape),
            spread,
            group,
            moments.counts.clone(),
            fell_back,
            covariance,
            shrinkage=shrinkage,
            mean=mean,
            scale=scale,
        )

    @classmethod
    def fit_batches(
        cls,
        batches: Iterable[tuple[Tensor, Tensor]],
        classes: int,
        *,
        covariance: str = "full",
        mean: float = 1.0,
        scale: float = 1.0,
        shrinkage: float = 0.0,
        fallback_below: int | None = None,
        rank: int | None = None,
        sketch_rows: int | None = None,
    ) -> "ClassGaussian":
        """`fit` in one pass over batches (x (n, *shape), labels (n,)), with the accumulator that keeps no more than the covariance needs.

        sketch_rows: low rank comes from sketches of so many rows (SketchedMoments); None: of 2 rank, or D if less. For exact eigenpairs fill a MomentAccumulator and call `fit`.
        Raises ValueError as `fit` does, without batches, for batches of unequal shapes, and for full covariances that would take more than 34 GB.
        """
        check_name("covariance", covariance, COVARIANCES)
        moments: Moments | None = None
        shape: tuple[int, ...] = ()
        for x, labels in batches:
            if moments is None:
                shape = tuple(x.shape[1:])
                moments = accumulator(covariance, classes, prod(shape), 16 if rank is None else rank, sketch_rows)
            check_shape(x, shape, "x")
            moments.update(x, labels)
        if moments is None:
            raise ValueError("batches holds no batch to fit to")
        return cls.fit(
            moments,
            covariance=covariance,
            shape=shape,
            mean=mean,
            scale=scale,
            shrinkage=shrinkage,
            fallback_below=fallback_below,
            rank=rank,
        )

    def _labels(self, x: Tensor, condition: Tensor | None, argument: str) -> tuple[Tensor, Tensor]:
        """The samples' classes and which covariance is theirs, checked."""
        check_shape(x, self.shape, argument)
        label = classes_of(condition, len(x), self.classes, "ClassGaussian")
        return label, self.group[label]

    def _centre(self, label: Tensor) -> Tensor:
        return self.mean * self.means[label]

    def _check_regular(self, label: Tensor, group: Tensor) -> None:
        bad = label[self.spread.singular[group]]
        if len(bad):
            c = int(bad[0])
            members = f" (of {int(self.counts[c])} members in {prod(self.shape)} dimensions)" if self.counts[c] else ""
            raise ValueError(
                f"the covariance of class {c} is singular{members}, so it has no density; fit with shrinkage > 0, or with a higher fallback_below"
            )
