"""Samples of a row, drawn in chunks, of which only features, moments and the first few are kept: any number of them fits in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from trainers.evaluation.conditions import Conditions
from trainers.evaluation.moments import Accumulator, Moments
from trainers.evaluation.options import Plan
from trainers.evaluation.subject import Subject
from trainers.features import Clip, Features
from trainers.sampling import sample, start

BATCH = 256
CHUNK = 4 * BATCH


@dataclass(frozen=True)
class Gathered:
    """features (n, D), float32; moments of the latents; CLIP features of pictures and of what they were told; nfe, evaluations for each sample, counted; and the first few
    samples x from x_0, with their conditions.
    """

    features: Tensor
    latents: Moments | None
    clip: Tensor | None
    texts: Tensor | None
    nfe: float
    x: Tensor
    x_0: Tensor
    condition: Tensor | None


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
        latents = Accumulator(int(torch.Size(self.subject.shape).numel())) if self.with_latents else None
        with tqdm(total=plan.count, desc=name, unit="sample", disable=None) as bar:
            for numbers in torch.arange(plan.count).split(CHUNK):
                told = self.conditions.of(numbers)
                x, x_0, evaluations = self._chunk(numbers, told.condition, nfe)
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
                firsts.append((x[:few], x_0[:few], None if told.condition is None else told.condition[:few]))
                bar.update(len(numbers))
        return Gathered(
            torch.cat(features),
            None if latents is None else latents.moments(),
            _joined(clip),
            _joined(texts),
            spent / plan.count,
            torch.cat([x for x, _, _ in firsts]),
            torch.cat([x_0 for _, x_0, _ in firsts]),
            _joined([condition for _, _, condition in firsts if condition is not None]),
        )

    def _chunk(self, numbers: Tensor, condition: Tensor | None, nfe: int | None) -> tuple[Tensor, Tensor, float]:
        """x, x_0 and evaluations for each sample."""
        plan, subject = self.plan, self.subject
        if nfe == 0:
            x_0 = start(subject, numbers, condition, plan.seed)
            return x_0, x_0, 0.0
        found = sample(
            subject,
            len(numbers),
            seed=plan.seed,
            solver="dopri5" if nfe is None else plan.solver,
            nfe=nfe,
            grid="uniform" if nfe is None else plan.grid,
            guidance=plan.guidance,
            condition=condition,
            batch=BATCH,
            first=int(numbers[0]),
            atol=self.tolerance,
            rtol=self.tolerance,
            device=subject.device,
        )
        return found.x, found.x_0, found.nfe


def _check(name: str, x: Tensor) -> None:
    bad = int((~torch.isfinite(x).flatten(1).all(1)).sum())
    if bad:
        raise ValueError(
            f"{name}: {bad} of {len(x)} samples are not finite; look for a diverged training, or take another solver or less guidance"
        )


def _joined(parts: Sequence[Tensor]) -> Tensor | None:
    return torch.cat(list(parts)) if parts else None
