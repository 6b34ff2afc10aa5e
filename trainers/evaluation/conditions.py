"""What samples are told while a model is evaluated: classes by their shares in the training split, or captions of the split that is compared with."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab.random import permutation, uniforms
from trainers.data.images import Images
from trainers.evaluation.subject import Subject
from trainers.recipes.schema import TextOptions
from trainers.sampling import labels

PICTURES, CAPTION = 0x45564C10, 0x45564C11  # streams of an evaluation's seed


@dataclass(frozen=True)
class Told:
    """Conditions of some samples as the network takes them, and the text that says the same: captions, or names of classes; None where nothing is told."""

    condition: Tensor | None
    texts: list[str] | None


class Conditions:
    """Conditions of sample numbers under a seed, and of real pictures. `law`: how they are drawn, in words."""

    law = "none: the model is told nothing"

    def of(self, numbers: Int[Tensor, " n"]) -> Told:
        """Of these samples."""
        return Told(None, None)

    def of_real(self, images: Images, index: Sequence[int]) -> Tensor | None:
        """Of these pictures: their own classes, or first captions."""
        return None


class Classes(Conditions):
    """Each class as often as in the training split."""

    law = "classes drawn from their shares in the training split"

    def __init__(self, shares: Float[Tensor, " c"], names: tuple[str, ...], seed: int) -> None:
        self.shares, self.names, self.seed = shares, names, seed

    def of(self, numbers: Int[Tensor, " n"]) -> Told:
        drawn = labels(self.shares, numbers, self.seed)
        return Told(drawn, [self.names[c] for c in drawn.tolist()])

    def of_real(self, images: Images, index: Sequence[int]) -> Tensor | None:
        assert images.labels is not None  # the reader has refused it otherwise
        return torch.from_numpy(images.labels)[list(index)].long()


class Captions(Conditions):
    """One caption of each picture, pictures in random order and again from the start where there are more samples."""

    def __init__(self, images: Images, options: TextOptions, seed: int) -> None:
        from trainers.text import load_encoder

        captions = [tuple(own) for own in images.captions or ()]
        self.captions = [own for own in captions if own]
        if not self.captions:
            raise ValueError(f"split {images.split} has no captions to sample from; name another --split")
        self.encoder, self.seed = load_encoder(options), seed
        self.law = f"one caption of each picture of split {images.split}, in random order"

    def of(self, numbers: Int[Tensor, " n"]) -> Told:
        order = permutation(self.seed, len(self.captions), PICTURES)
        pictures = [self.captions[i] for i in order[numbers % len(self.captions)].tolist()]
        shares = uniforms(self.seed, numbers, 1, CAPTION)[:, 0].tolist()
        texts = [own[int(share * len(own))] for own, share in zip(pictures, shares, strict=True)]
        return Told(self.encoder.encode(texts), texts)

    def of_real(self, images: Images, index: Sequence[int]) -> Tensor | None:
        captions = images.captions or ()
        return self.encoder.encode([(*captions[i], "")[0] for i in index])


def conditions(subject: Subject, images: Images | None, seed: int) -> Conditions:
    """As the recipe's condition asks. Raises ValueError where captions are needed and the data set has none."""
    if subject.label_law is not None:
        return Classes(subject.label_law, subject.classes, seed)
    if subject.recipe.data.condition == "text":
        if images is None:
            raise ValueError("a text model is sampled with the data set's captions, and the data set is not there; give data.path")
        return Captions(images, subject.recipe.text, seed)
    return Conditions()
