"""A run for others: one checkpoint's averaged weights in half precision and all that sampling and scoring need, about an eighth of its checkpoint. A training cannot go on from it.

NAME/
  recipe.toml   metrics.jsonl   evaluations/, those of these weights
  checkpoints/step-00001000/   ema/, state.safetensors, state.json: `sample`, `pairs` and `evaluate` take it as they take a run
"""

import shutil
from pathlib import Path
from typing import Any

import torch

from trainers import layout
from trainers.checkpoints import STATE, Checkpoint, average_names, read_tensors, write_state
from trainers.files import sha256_of, write_atomically
from trainers.recipes.files import to_toml
from trainers.trained import find_checkpoint

LARGEST = 65_504.0  # that float16 holds
WEIGHTS = "diffusion_pytorch_model.safetensors"
OWN = ("cache", "window", "scaler", "checksum")  # facts of this machine, or of a training on its way


def export(run: Path, out: Path, weights: str = "ema") -> Checkpoint:
    """Writes a run's newest sound checkpoint (or the one whose folder is given) to `out`, whole or not at all; returns the new one.

    Raises ValueError where there is no checkpoint, for weights that it does not have or that float16 cannot hold, and where `out` exists.
    """
    if out.exists():
        raise ValueError(f"{out} exists already; name a new folder with --out")
    checkpoint = find_checkpoint(run)
    if not (checkpoint.folder / weights).is_dir():
        there = [name for name in (*average_names(checkpoint.recipe), "model") if (checkpoint.folder / name).is_dir()]
        raise ValueError(f"weights={weights!r} are not in {checkpoint.folder}; it has {', '.join(there)}")
    halved = {name: _half(name, value, checkpoint) for name, value in read_tensors(checkpoint.folder / weights / WEIGHTS).items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, lambda partial: _write(partial, checkpoint, weights, halved))
    return find_checkpoint(out)


def _half(name: str, value: torch.Tensor, checkpoint: Checkpoint) -> torch.Tensor:
    if not bool((value.abs() <= LARGEST).all()):  # NaN is not either
        raise ValueError(f"{name} of {checkpoint.folder} holds numbers that float16 cannot; take another checkpoint")
    return value.half().contiguous()


def _write(folder: Path, checkpoint: Checkpoint, weights: str, halved: dict[str, torch.Tensor]) -> None:
    from safetensors.torch import save_file

    place = folder / layout.CHECKPOINTS / checkpoint.folder.name
    (place / "ema").mkdir(parents=True)
    shutil.copyfile(checkpoint.folder / weights / "config.json", place / "ema" / "config.json")
    save_file(halved, place / "ema" / WEIGHTS, metadata={"format": "pt"})
    tensors = {name: value for name, value in checkpoint.tensors("state.safetensors").items() if name != "table"}
    save_file(tensors, place / "state.safetensors")
    facts: dict[str, Any] = {name: value for name, value in checkpoint.facts.items() if name not in OWN}
    facts |= {
        "files": {str(p.relative_to(place)): sha256_of(p) for p in sorted(place.rglob("*")) if p.is_file()},
        "exported": {"weights": weights, "dtype": "float16"},
    }
    write_state(place / STATE, facts)
    (folder / layout.RECIPE).write_text(to_toml(checkpoint.recipe), encoding="utf-8")
    run = checkpoint.folder.parent.parent
    if (run / layout.METRICS).is_file():
        shutil.copyfile(run / layout.METRICS, folder / layout.METRICS)
    for file in sorted((run / layout.EVALUATIONS).glob(f"{checkpoint.folder.name}-{weights}-*.json")):
        (folder / layout.EVALUATIONS).mkdir(exist_ok=True)
        shutil.copyfile(file, folder / layout.EVALUATIONS / file.name)
