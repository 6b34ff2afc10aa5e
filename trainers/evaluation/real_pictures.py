"""The real pictures that an evaluation needs: those of the split, those of the other one, and published statistics in their place."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trainers.data import Images, open_images
from trainers.evaluation.latents import Latents
from trainers.evaluation.moments import LARGEST, Moments, published_moments
from trainers.evaluation.options import Options, Plan
from trainers.evaluation.references import Real, real_features
from trainers.evaluation.subject import Subject
from trainers.features import Features

NEED_FEATURES = {"frechet", "kernel", "one-nn", "precision-recall", "coverage", "nearest", "real", "round-trip"}


@dataclass(frozen=True)
class Pictures:
    """A split: the pictures themselves, and their features."""

    images: Images
    features: Real


@dataclass(frozen=True)
class RealPictures:
    """split: what is compared with; images: its pictures, also where no features of them are needed; other: training pictures where `split` is held out, and the other way
    round; published: moments from a file; latents: of the split.
    """

    images: Images | None
    split: Pictures | None
    other: Pictures | None
    published: Moments | None
    latents: Real | None
    notes: tuple[str, ...]

    @property
    def moments(self) -> Moments | None:
        """What Frechet distances are to."""
        return self.published or (None if self.split is None else self.split.features.moments)

    def training(self, train_split: str) -> tuple[Pictures, Pictures] | None:
        """Training pictures, and real ones that were not trained on."""
        if self.split is None or self.other is None:
            return None
        return (self.split, self.other) if self.split.images.split == train_split else (self.other, self.split)


def real_pictures(subject: Subject, plan: Plan, options: Options, features: Features, say: Callable[[str], None]) -> RealPictures:
    """Opens, reads and computes what the measures need, and no more. Raises ValueError for data or files that are not there."""
    data, notes, needed = subject.recipe.data, list[str](), set(plan.measures)
    published = None if options.reference is None else published_moments(options.reference, features.dimension)
    folder = None if options.cache is None else Path(options.cache) / "references"

    def read(images: Images, with_features: Features, whole: bool) -> Real:
        real = real_features(images, with_features, folder, whole=whole, keep=options.keep, say=say)
        if real.broken:
            notes.append(f"{real.broken} of {real.total} pictures of split {images.split} are broken and left out")
        return real

    compared = bool(needed & (NEED_FEATURES - {"frechet"})) or ("frechet" in needed and published is None)
    if not (compared or needed & {"latents", "likelihood"} or data.condition == "text"):
        return RealPictures(None, None, None, published, None, ())
    images = open_images(data, plan.split)
    split = Pictures(images, read(images, features, "frechet" in needed and published is None)) if compared else None
    other = None
    if needed & {"nearest", "real", "round-trip"} and data.train_split != data.held_out_split:
        others = open_images(data, data.held_out_split if plan.split == data.train_split else data.train_split)
        other = Pictures(others, read(others, features, False))
    latents, over = None, Latents(subject) if "latents" in needed else None
    if over is not None and over.dimension <= LARGEST:
        latents = read(images, over, False)
    elif over is not None:
        notes.append(f"the Frechet distance of latents is left out: their covariance would be of {over.dimension} dimensions")
    return RealPictures(images, split, other, published, latents, tuple(dict.fromkeys(notes)))
