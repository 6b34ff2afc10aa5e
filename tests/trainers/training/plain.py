"""Every method once more, as a plain PyTorch loop with its formulas by hand: what the trainers' first losses are held to.

Nothing of trainers.methods, batches, loop or lab's paths, losses and couplings is used: the counters' numbers (lab.random), the network and the fitted prior alone.
"""

import math
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.special import ndtri
from torch import Tensor

from lab.random import normals, uniforms
from tests.trainers.training.small import CLASSES
from trainers.order import CAPTION, COMPONENT, EPOCH, FLIP, NOISE, NULL, TIME
from trainers.priors.cross_fitting import FOLD

LOOM_NOISE, LOOM_CACHE = 0x4C4F4F4D, 0x4C4F4F4D + 1


def vp(t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """alpha, sigma and their derivatives of the diffusion path, in float64."""
    s = 1 - t.double()
    big_t = 0.1 * s + 0.5 * 19.9 * s**2
    alpha = torch.exp(-0.5 * big_t)
    sigma = torch.sqrt(-torch.expm1(-big_t))
    d_alpha = 0.5 * (0.1 + 19.9 * s) * alpha
    return alpha, sigma, d_alpha, -alpha * d_alpha / sigma


def assignment(x_0: Tensor, x_1: Tensor) -> Tensor:
    """Which noise each datum gets, at least total squared distance."""
    cost = ((x_1[:, None].flatten(2) - x_0[None].flatten(2)).double() ** 2).sum(-1)
    return torch.as_tensor(linear_sum_assignment(cost.numpy())[1])


class PlainLoom:
    """The table as two dictionaries: each slot's noise, by LOOM-CFM's rule."""

    def __init__(self, rows: int, caches: int, seed: int, table: Any) -> None:
        self.caches, self.seed = caches, seed
        self.noise = {slot: int(table.noises(torch.tensor([slot]))) for slot in range(rows * caches)}

    def visit(self, datum: Tensor, x_1: Tensor, epoch: int, classes: Tensor | None) -> Tensor:
        first = (self.caches * uniforms(self.seed, datum + (epoch // self.caches << 32), 1, LOOM_CACHE)[:, 0]).long()
        slots = (datum * self.caches + (0 if self.caches == 1 else (first + epoch) % self.caches)).tolist()
        numbers = torch.tensor([self.noise[s] for s in slots])
        z = normals(self.seed, numbers, x_1[0].numel(), LOOM_NOISE, torch.float32).reshape(x_1.shape)
        got = torch.arange(len(slots))
        groups = [torch.arange(len(slots))] if classes is None else [torch.nonzero(classes == c)[:, 0] for c in classes.unique()]
        for rows in groups:
            got[rows] = rows[assignment(z[rows], x_1[rows])]
        for slot, number in zip(slots, numbers[got].tolist(), strict=True):
            self.noise[slot] = number
        return z[got]


def caption_states(cache: Any, seed: int, index: Tensor, samples: Tensor) -> Tensor:
    """States of one caption of each item, each as likely; of the empty text, the last, for items without."""
    numbers, u = [], uniforms(seed, samples, 1, CAPTION)[:, 0].tolist()
    for i, share in zip(index.tolist(), u, strict=True):
        count = int(cache.captions.counts[i])
        before = int(cache.captions.counts[:i].sum())
        numbers.append(before + int(share * count) if count else int(cache.captions.counts.sum()))
    return cache.captions.states(torch.tensor(numbers))


def around_what_a_text_says(prior: Any, seed: int, index: Tensor, states: Tensor, z: Tensor) -> Tensor:
    """CPD's x_0 for texts: the mapper of the datum's fold, which never saw it, on the pooled embedding, and sigma times the noise."""
    mappers = prior.mappers.mappers
    fold = (uniforms(seed, index, 1, FOLD)[:, 0] * len(mappers)).long().tolist()
    with torch.no_grad():
        said = torch.cat([mappers[f](e[:1]) for f, e in zip(fold, states, strict=True)])
    return said + prior.report["sigma"]["value"] * z


def plain_losses(recipe: Any, source: Any, prior: Any, network: torch.nn.Module, steps: int, table: Any = None) -> list[float]:
    """The losses of the first steps."""
    seed, batch, n = recipe.training.seed, recipe.training.batch, source.n
    kind, target, path = recipe.coupling.kind, recipe.loss.target, recipe.path.kind
    optimiser = torch.optim.Adam(
        network.parameters(), lr=recipe.optimiser.learning_rate, betas=recipe.optimiser.betas, eps=recipe.optimiser.eps
    )
    if recipe.optimiser.kind == "adamw":
        optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.optimiser.learning_rate, weight_decay=recipe.optimiser.weight_decay)
    per_epoch = n // batch
    loom = None if table is None else PlainLoom(source.table_rows, recipe.coupling.caches, seed, table)
    found = []
    for step in range(steps):
        condition: Any
        epoch, place = divmod(step, per_epoch)
        order = uniforms(seed, torch.arange(n) + (epoch << 32), 1, EPOCH)[:, 0].argsort()
        index = order[place * batch : (place + 1) * batch]
        samples = torch.arange(step * batch, (step + 1) * batch)
        if kind == "pairs":
            x_1, x_0, condition = source.stored.x_1[index], source.stored.x_0[index], source.stored.condition[index]
        else:
            data = source.cache if recipe.data.condition == "text" else source
            flip = (uniforms(seed, samples, 1, FLIP)[:, 0] < 0.5) & recipe.data.flip
            if recipe.data.condition == "text":
                flip &= data.may_flip[index]
            x_1 = torch.where(flip[:, None, None, None], data.x[index].flip(-1), data.x[index])
            condition = data.labels[index] if source.classes else None
            if recipe.data.condition == "text":
                condition = caption_states(data, seed, index, samples)
            z = normals(seed, samples, x_1[0].numel(), NOISE, torch.float32).reshape(x_1.shape)
            extra = {"uniforms": uniforms(seed, samples, 1, COMPONENT)[:, 0]} if recipe.prior.kind == "class-mixture" else {}
            if recipe.prior.kind == "text-gaussian":
                x_0 = around_what_a_text_says(prior, seed, index, condition, z)
            else:
                x_0 = z if recipe.prior.kind == "standard" else prior.from_normals(z, condition, **extra)
            if kind == "batch-ot":
                x_0 = x_0[assignment(x_0, x_1)]
            elif kind in ("class-batch-ot", "c2ot"):
                got = torch.arange(batch)
                for c in range(CLASSES):
                    rows = torch.nonzero(condition == c)[:, 0]
                    got[rows] = rows[assignment(x_0[rows], x_1[rows])]
                x_0 = x_0[got]
            elif loom is not None:
                x_0 = loom.visit(index + n * flip.long(), x_1, epoch, condition if kind == "class-loom" else None)
        u = uniforms(seed, samples, 1, TIME)[:, 0]
        if recipe.loss.times == "logit-normal":
            t = torch.as_tensor(1 / (1 + np.exp(-ndtri(u.numpy()))))
        elif recipe.loss.times == "u-shaped":
            t = (0.5 + torch.asinh((2 * u - 1) * math.sinh(2.0)) / 4.0).clamp(0, 1)
        else:
            t = (1000 * u).floor() / 1000 if recipe.loss.times == "ddpm-1000" else u
        t = t.float()
        alpha, sigma, d_alpha, d_sigma = (
            vp(t) if path == "vp" else (t.double(), 1 - t.double(), torch.ones_like(t.double()), -torch.ones_like(t.double()))
        )
        a, s, da, ds = (v.float()[:, None, None, None] for v in (alpha, sigma, d_alpha, d_sigma))
        x_t = a * x_1 + s * x_0
        wanted = {"velocity": da * x_1 + ds * x_0, "noise": x_0, "data": x_1, "score": -x_0 / s}[target]
        told = condition
        if condition is not None:
            dropped = uniforms(seed, samples, 1, NULL)[:, 0] < recipe.network.condition_dropout
            if recipe.data.condition == "text":
                nothing = source.cache.captions.states(source.cache.captions.counts.sum()[None])
                told = torch.where(dropped[:, None, None], nothing, condition)
            else:
                told = torch.where(dropped, torch.full_like(condition, CLASSES), condition)
        error = (network(x_t, t, told) - wanted).square().flatten(1).mean(1)
        loss = (sigma.float() ** 2 * error if recipe.loss.weighting == "sigma-squared" else error).mean()
        optimiser.zero_grad()
        loss.backward()
        if recipe.optimiser.clip:
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.optimiser.clip)
        optimiser.step()
        found.append(loss.item())
    return found
