"""The latents themselves as features."""

import hashlib

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from trainers.evaluation.subject import Subject
from trainers.features.base import Features


class Latents(Features):
    """Normalised latents, flattened. A Gaussian prior that was fitted to them wins their Frechet distance without any flow, so it ranks nothing."""

    def __init__(self, subject: Subject) -> None:
        center, spread = subject.normalisation.center, subject.normalisation.spread
        numbers = torch.cat((center.flatten(), spread.flatten())).double().cpu().numpy().tobytes()
        self.subject, self.name, self.size, self.resize = subject, "latents", 0, "none"
        self.dimension, self.device = int(torch.Size(subject.shape).numel()), torch.device("cpu")
        self.hash = hashlib.sha256(subject.autoencoder.hash.encode() + numbers).hexdigest()

    def prepare(self, pixels: UInt8[Tensor, "b c s s"]) -> UInt8[Tensor, "b c s s"]:
        return pixels

    def of(self, pixels: UInt8[Tensor, "b c s s"]) -> Float[Tensor, "b d"]:
        return self.subject.encode(pixels).flatten(1)
