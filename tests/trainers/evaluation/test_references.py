"""Features of real pictures: computed once, kept in files that say what they are of, made again where they would not fit."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainers.data.images import Batch, Broken, Images
from trainers.evaluation import references
from trainers.evaluation.moments import moments_of
from trainers.evaluation.references import real_features
from trainers.features import Features, Pixels

SHAPE = (1, 4, 4)


class Made(Images):
    """Random pictures, of which some may be broken; counts how many were read."""

    reader = "folder"

    def __init__(self, count: int = 150, split: str = "val", seed: int = 0, broken: tuple[int, ...] = ()) -> None:
        super().__init__(source=None, split=split, size=4, channels=1)
        self.pixels = np.random.default_rng(seed).integers(0, 256, (count, *SHAPE)).astype(np.uint8)
        self.fingerprint, self.broken, self.decoded = f"seed {seed}", broken, 0

    def __len__(self) -> int:
        return len(self.pixels)

    def name(self, index: int) -> str:
        return str(index)

    def read(self, index: Sequence[int]) -> Batch:
        there = [i for i in index if i not in self.broken]
        self.decoded += len(index)
        lost = tuple(Broken(str(i), "cut off") for i in index if i in self.broken)
        return Batch(np.array(there, dtype=np.int64), self.pixels[there], lost)

    def batches(self, size: int = 64, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        for first in range(start, len(self), size):
            yield self.read(list(range(first, min(first + size, len(self)))))


def real(
    images: Made, folder: Path | None = None, features: Features | None = None, said: list[str] | None = None, **options: Any
) -> references.Real:
    return real_features(images, features or Pixels(1, 4), folder, say=(said if said is not None else []).append, **options)


def test_moments_are_of_all_pictures_and_kept_features_a_random_part():
    images = Made()
    found = real(images, keep=40)
    every = torch.from_numpy(images.pixels).reshape(150, 16).double() / 255
    known = moments_of(every)
    assert found.moments is not None
    assert torch.allclose(found.moments.mean, known.mean, rtol=1e-12)
    assert torch.allclose(found.moments.covariance, known.covariance, rtol=1e-9)
    assert (found.total, found.read, found.broken, found.features.shape) == (150, 150, 0, (40, 16))
    assert torch.equal(found.features, every[found.index].float())
    assert len(found.index.unique()) == 40
    assert found.index.tolist() != sorted(found.index.tolist())


def test_without_moments_only_the_kept_pictures_are_read():
    images = Made()
    part = real(images, keep=40, whole=False)
    assert images.decoded == 40
    assert part.read == 40
    assert torch.equal(part.features, real(Made(), keep=40).features)
    assert part.moments is not None
    assert torch.allclose(part.moments.mean, part.features.double().mean(0), atol=1e-7)


def test_broken_pictures_are_counted_and_leave_no_gap():
    images = Made(broken=(3, 77))
    found = real(images)
    assert (found.read, found.broken, len(found.features)) == (148, 2, 148)
    assert not {3, 77} & set(found.index.tolist())
    assert torch.equal(found.features, torch.from_numpy(images.pixels[found.index.numpy()]).reshape(-1, 16) / 255)
    with pytest.raises(ValueError, match="1 pictures of split val can be read"):
        real(Made(3, broken=(0, 2)))


def test_a_file_is_written_once_and_read_after_that(tmp_path: Path):
    first = real(Made(), tmp_path)
    images = Made()
    again = real(images, tmp_path)
    assert images.decoded == 0
    assert again.hash == first.hash
    assert torch.equal(again.features, first.features)
    assert again.moments is not None
    assert first.moments is not None
    assert torch.equal(again.moments.covariance, first.moments.covariance)
    assert again.moments.count == 150
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("pixels-val-")


def test_other_pictures_splits_features_and_numbers_of_kept_ones_have_files_of_their_own(tmp_path: Path):
    class Other(Pixels):
        """Another network of the same name and shape."""

        def __init__(self) -> None:
            super().__init__(1, 4)
            self.hash = "0" * 64

    every: list[tuple[Made, Features | None, dict[str, Any]]] = [
        (Made(), None, {}),
        (Made(seed=1), None, {}),
        (Made(split="train"), None, {}),
        (Made(), Other(), {}),
        (Made(), None, {"keep": 10}),
        (Made(), None, {"keep": 10, "whole": False}),
    ]
    for images, features, options in every:
        before = images.decoded
        real(images, tmp_path, features, **options)
        assert images.decoded > before
    assert len(list(tmp_path.iterdir())) == 6


def test_a_damaged_file_is_named_and_made_again(tmp_path: Path):
    first = real(Made(), tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damage in (whole[: len(whole) // 2], whole[:-1] + bytes([whole[-1] ^ 1]), b"nothing"):
        path.write_bytes(damage)
        said: list[str] = []
        again = real(Made(), tmp_path, said=said)
        assert again.hash == first.hash
        assert said == [f"{path} is damaged; its statistics are computed again"]
        assert real(Made(), tmp_path, said=said).hash == first.hash
        assert len(said) == 1


def test_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(tensors: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", fail)
    with pytest.raises(OSError, match="No space left"):
        real(Made(), tmp_path)
    assert not list(tmp_path.iterdir())
