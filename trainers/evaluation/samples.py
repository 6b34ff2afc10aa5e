"""Samples of a row, drawn in chunks, of which only features, moments and the first few are kept: any number of them fits in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.bars import bar
from trainers.evaluation.conditions import Conditions
from trainers.evaluation.moments import Accumulator, Moments, moments_of
from trainers.evaluation.options import Plan
from trainers.evaluation.subject import Subject
from trainers.features import Clip, Features
from trainers.sampling import sample, start

BATCH = {"cpu": 64, "cuda": 256}  # samples at a time, solved, decoded and seen: on a CPU more are no faster, and fewer show how far it is
ADAPTIVE_BATCH = 256  # the same everywhere, for an adaptive solver's steps follow the error of all of them


@dataclass(frozen=True)
class Gathered:
    """features (n, D), float32; moments of the latents; CLIP features of pictures and of what they were told; nfe, evaluations for each sample, counted; and the first few
    samples x.
    """

    features: Tensor
    latents: Moments | None
    clip: Tensor | None
    texts: Tensor | None
    nfe: float
    x: Tensor


@dataclass(frozen=True)
class Sampler:
    """Draws the samples of a seed, the same x_0 and conditions whatever the budget."""

    subject: Subject
    plan: Plan
    conditions: Conditions
    features: Features
    clip: Clip | None
    tolerance: float
    with_latents: bool

    def draw(self, name: str, nfe: int | None) -> Gathered:
        """At a budget; nfe 0: x_0 itself; None: dopri5. Raises ValueError where samples are not finite."""
        plan, spent = self.plan, 0.0
        features, clip, texts, firsts = [], [], [], []
        latents = LatentMoments(int(torch.Size(self.subject.shape).numel()), plan.count) if self.with_latents else None
        with bar(plan.count, name, "samples") as shown:
            for numbers in torch.arange(plan.count).split(
                ADAPTIVE_BATCH if nfe is None else BATCH.get(self.subject.device.type, BATCH["cpu"])
            ):
                told = self.conditions.of(numbers)
                x, evaluations = self._chunk(numbers, told.condition, nfe)
                spent += evaluations * len(numbers)
                _check(name, x)
                pixels = self.subject.decode(x)
                features.append(self.features(pixels).float())
                if latents is not None:
                    latents.update(x.flatten(1))
                if self.clip is not None and told.texts is not None:
                    clip.append(self.clip(pixels))
                    texts.append(self.clip.texts(told.texts))
                few = max(0, plan.flow_count - int(numbers[0]))
                firsts.append(x[:few])
                shown.update(len(numbers))
        return Gathered(
            torch.cat(features),
            None if latents is None else latents.moments(),
            _joined(clip),
            _joined(texts),
            spent / plan.count,
            torch.cat(firsts),
        )

    def _chunk(self, numbers: Tensor, condition: Tensor | None, nfe: int | None) -> tuple[Tensor, float]:
        """x, and evaluations for each sample."""
        plan, subject = self.plan, self.subject
        if nfe == 0:
            return start(subject, numbers, condition, plan.seed), 0.0
        found = sample(
            subject,
            len(numbers),
            seed=plan.seed,
            solver="dopri5" if nfe is None else plan.solver,
            nfe=nfe,
            grid="uniform" if nfe is None else plan.grid,
            guidance=plan.guidance,
            condition=condition,
            batch=len(numbers),
            first=int(numbers[0]),
            atol=self.tolerance,
            rtol=self.tolerance,
            device=subject.device,
        )
        return found.x, found.nfe


class LatentMoments:
    """Moments of latents that come piece by piece, few of which are kept themselves: that makes a distance quick."""

    def __init__(self, dimension: int, count: int) -> None:
        self.sums = None if count <= dimension else Accumulator(dimension)
        self.kept: list[Tensor] = []

    def update(self, x: Tensor) -> None:
        if self.sums is None:
            self.kept.append(x)
        else:
            self.sums.update(x)

    def moments(self) -> Moments:
        return moments_of(torch.cat(self.kept)) if self.sums is None else self.sums.moments()


def _check(name: str, x: Tensor) -> None:
    bad = int((~torch.isfinite(x).flatten(1).all(1)).sum())
    if bad:
        raise ValueError(
            f"{name}: {bad} of {len(x)} samples are not finite; look for a diverged training, or take another solver or less guidance"
        )


def _joined(parts: Sequence[Tensor]) -> Tensor | None:
    return torch.cat(list(parts)) if parts else None
