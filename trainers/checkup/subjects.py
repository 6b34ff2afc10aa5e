"""A folder of any kind opened: a checkpoint from elsewhere with its conventions.json, or a run, an export or a checkpoint of our own."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from trainers.checkup.conventions import EXAMPLE, NAME
from trainers.checkup.foreign import Foreign, load_foreign
from trainers.evaluation.subject import Subject
from trainers.galleries import conditions
from trainers.layout import INSIDE
from trainers.trained import Trained, load_trained


def open_subject(folder: Path, weights: str = "ema", device: torch.device | str = "cpu") -> Subject:
    """The checkpoint there. weights: ema, ema-DECAY or model, of our own alone.

    Raises ValueError where there is none, and for a network without conventions, which nobody can guess.
    """
    if (folder / NAME).exists():
        return load_foreign(folder, device)
    if any((folder / inside / "config.json").is_file() for inside in INSIDE):
        raise ValueError(
            f"{folder} holds a network but no {NAME}, which says what its numbers mean, such as {EXAMPLE} (README, Check any checkpoint)"
        )
    return load_trained(folder, weights, device)


def told(subject: Subject, texts: Sequence[str], count: int, seed: int) -> tuple[Tensor | None, list[str]]:
    """The condition of each of `count` samples and its name. Raises ValueError for what the checkpoint cannot be told."""
    if isinstance(subject, Foreign):
        return subject.told(texts, count, seed)
    assert isinstance(subject, Trained)
    return conditions(subject, texts, count, seed)


def draws(subject: Subject) -> bool:
    """Whether its samples can be shown as pictures."""
    return not isinstance(subject, Foreign) or subject.draws
