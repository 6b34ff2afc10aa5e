"""What samples are told: every picture's captions and every class come up, as often as they should."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

import trainers.text
from tests.trainers.latents.gallery import Gallery, Setting
from trainers.evaluation.conditions import Captions, Classes
from trainers.recipes.schema import DataOptions, TextOptions


@pytest.fixture
def gallery(monkeypatch: pytest.MonkeyPatch) -> Gallery:
    """Twenty pictures of which the i-th has i % 4 captions; a text's state is its length."""
    encoder = SimpleNamespace(encode=lambda texts: torch.tensor([float(len(text)) for text in texts]))
    monkeypatch.setattr(trainers.text, "load_encoder", lambda options: encoder)
    return Gallery(Setting(), DataOptions(reader="folder", size=8), "val")


def owner(gallery: Gallery, text: str) -> int:
    """The picture that a caption is of."""
    return next(i for i, own in enumerate(gallery.captions or ()) if text in own)


def told(conditions: Any, numbers: torch.Tensor) -> list[str]:
    found = conditions.of(numbers)
    assert found.texts is not None
    return found.texts


def test_as_many_samples_as_pictures_with_captions_are_told_one_caption_of_each(gallery: Gallery):
    conditions = Captions(gallery, TextOptions(), seed=3)
    spoken = [i for i in range(20) if i % 4]
    texts = told(conditions, torch.arange(15))
    owners = [owner(gallery, text) for text in texts]
    assert sorted(owners) == spoken  # the last picture among them, none twice
    assert owners != spoken  # in random order
    again = told(conditions, torch.arange(15, 30))
    assert [owner(gallery, text) for text in again] == owners  # and from the start again
    assert again != texts  # with captions drawn anew
    state = conditions.of(torch.arange(15)).condition
    assert state is not None
    assert state.tolist() == [len(text) for text in texts]


def test_every_caption_of_a_picture_is_as_likely(gallery: Gallery):
    """The last one too. 6,000 draws of three: each within five deviations of a third."""
    conditions = Captions(gallery, TextOptions(), seed=0)
    texts = told(conditions, torch.arange(15 * 6000))
    for i in (3, 18, 19):
        own = [f"val picture {i}, take {j}" for j in range(i % 4)]
        counts = [texts.count(caption) for caption in own]
        assert sum(counts) == 6000
        assert counts == pytest.approx([6000 / len(own)] * len(own), abs=200)


def test_part_of_the_samples_is_told_what_it_is_told_among_all(gallery: Gallery):
    conditions = Captions(gallery, TextOptions(), seed=3)
    assert told(conditions, torch.arange(7, 19)) == told(conditions, torch.arange(40))[7:19]
    assert told(Captions(gallery, TextOptions(), seed=4), torch.arange(15)) != told(conditions, torch.arange(15))


def test_real_pictures_are_told_their_own_first_caption_or_the_empty_text(gallery: Gallery):
    conditions = Captions(gallery, TextOptions(), seed=3)
    found = conditions.of_real(gallery, [4, 19, 2])
    assert found is not None
    assert found.tolist() == [0, len("val picture 19, take 0"), len("val picture 2, take 0")]


def test_classes_come_up_by_their_shares_to_the_last_one(gallery: Gallery):
    shares = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    conditions = Classes(shares, gallery.classes, seed=1)
    found = conditions.of(torch.arange(5000))
    assert found.condition is not None
    counts = torch.bincount(found.condition, minlength=3)
    assert counts.tolist() == pytest.approx((5000 * shares).tolist(), abs=175)  # five deviations
    assert found.texts == [gallery.classes[c] for c in found.condition.tolist()]
    pictures = [19, 4, 8, 3]  # by their number in the data set, not by their place here
    real = conditions.of_real(gallery, pictures)
    assert real is not None
    assert real.tolist() == [i % 3 for i in pictures]
