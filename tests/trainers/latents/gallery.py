"""A small data set made here: smooth pictures in three classes with captions, some of which cannot be read."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

import trainers.latents.build
import trainers.latents.fidelity
from trainers.data.images import Batch, Broken, Images
from trainers.recipes.schema import AutoencoderOptions, DataOptions, Recipe

CLASSES = ("round", "square", "flat")


@dataclass
class Setting:
    """What the next gallery is like; tests change it."""

    counts: dict[str, int] = field(default_factory=lambda: {"train": 50, "val": 20})
    broken: tuple[int, ...] = (7, 33)
    fingerprint: str = "first"
    preparation: str = "drawn"
    pause: float = 0.0
    read: list[int] = field(default_factory=list)
    """Items that were decoded, in order."""


def picture(index: int, size: int, channels: int = 3) -> np.ndarray:
    """Smooth and lopsided, so that no picture is its own mirror image."""
    y, x = np.mgrid[0:size, 0:size] / size
    waves = [np.sin(2 * np.pi * ((1 + k) * x * (1 + index % 3) / 2 + y * (index % 5) / 3 + index * 0.37 + k)) for k in range(channels)]
    return np.round(127.5 + 100 * np.stack(waves)).astype(np.uint8)


class Gallery(Images):
    reader = "folder"

    def __init__(self, setting: Setting, options: DataOptions, split: str) -> None:
        super().__init__(source=None, split=split, size=options.size, channels=options.channels)
        self.setting = setting
        count = setting.counts[split]
        self.classes = CLASSES
        self.labels = np.arange(count) % 3
        self.may_flip = np.arange(count) % 4 != 0
        self.captions = [tuple(f"{split} picture {i}, take {j}" for j in range(i % 4)) for i in range(count)]
        self.fingerprint = f"{setting.fingerprint} {split}"
        self.preparation = setting.preparation

    def __len__(self) -> int:
        return self.setting.counts[self.split]

    def name(self, index: int) -> str:
        return f"{self.split}-{index:03d}.png"

    def batches(self, size: int = 64, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        stop = len(self) if stop is None else min(stop, len(self))
        for first in range(start, stop, size):
            listed = range(first, min(first + size, stop))
            whole = [i for i in listed if i not in self.setting.broken]
            self.setting.read += whole
            time.sleep(self.setting.pause)
            pixels = (
                np.stack([picture(i, self.size, self.channels) for i in whole])
                if whole
                else np.zeros((0, self.channels, self.size, self.size), np.uint8)
            )
            yield Batch(np.array(whole, dtype=np.int64), pixels, tuple(Broken(self.name(i), "cut short") for i in listed if i not in whole))


def show(monkeypatch: pytest.MonkeyPatch, **changes) -> Setting:
    """From now on caches are made from galleries of this setting."""
    setting = Setting(**changes)
    for module in (trainers.latents.build, trainers.latents.fidelity):
        monkeypatch.setattr(module, "open_images", lambda options, split: Gallery(setting, options, split))
    return setting


def recipe(kind: str = "taef2", size: int = 16, **autoencoder) -> Recipe:
    """Of the gallery, in the latents of an autoencoder."""
    return Recipe(name="gallery", data=DataOptions(reader="folder", size=size), autoencoder=AutoencoderOptions(kind, **autoencoder))
