"""Checkpoints: everything that a training needs to go on bit-equal, and all that sampling needs, as safetensors and JSON; no pickle is read or written.

step-00001000/
  model/ ema/ [ema-0.9999/ ...]   diffusers folders: raw weights, and averages in fp32 (the first decay's is ema)
  optimizer.safetensors           Adam's moments by the parameters' names
  state.safetensors               the assignment table, the prior, the normalisation, the empty text's states, the classes' shares
  state.json                      counters, the recipe, conventions, and the hash of every file

Written under another name, synced, renamed: a folder of this name is whole, unless the disk lost it, which the hashes tell.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainers.ema import Average
from trainers.files import read_json, remove, sha256_of, write_atomically, write_json
from trainers.layout import STATE
from trainers.networks import Network
from trainers.pickles import refuse_pickle
from trainers.recipes.files import from_toml, to_toml
from trainers.recipes.schema import Recipe

VERSION = 1
CONVENTIONS = {"direction": "t = 0 is the prior, t = 1 the data", "velocity": "dx/dt, towards the data"}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's folder."""

    folder: Path

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What state.json says. Raises ValueError where it is missing, damaged or of another version."""
        facts = read_json(self.folder / STATE)
        if not isinstance(facts, dict) or facts.get("version") != VERSION:
            raise ValueError(f"{self.folder / STATE} is not that of a checkpoint of version {VERSION}")
        if facts.get("checksum") != _checksum(facts):
            raise ValueError(f"{self.folder / STATE} is damaged: its checksum is not that of its contents")
        return facts

    @property
    def step(self) -> int:
        return int(self.facts["step"])

    @cached_property
    def recipe(self) -> Recipe:
        return from_toml(self.facts["recipe"], str(self.folder / STATE))

    def check(self) -> None:
        """Raises ValueError naming the first file that is missing or not what was written."""
        for name, expected in self.facts["files"].items():
            path = self.folder / name
            if not path.is_file():
                raise ValueError(f"{path} is missing")
            if sha256_of(path) != expected:
                raise ValueError(f"{path} is damaged: its hash is not the one in {STATE}")

    def tensors(self, name: str) -> dict[str, Tensor]:
        """All of a safetensors file. Raises ValueError where it is missing or damaged."""
        return read_tensors(self.folder / name)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All of a safetensors file. Raises ValueError where it is missing, damaged, or another kind of file; a pickle is called one."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ValueError(f"{path} is missing")
    refuse_pickle(path, "what trains here writes safetensors: take a copy of the file that it wrote")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a sound safetensors file: {error}") from error


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with `prefix.`, without it."""
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}


def optimiser_tensors(optimiser: torch.optim.Optimizer, names: Sequence[str]) -> dict[str, Tensor]:
    """An optimiser's state by parameter: exp_avg.NAME, exp_avg_sq.NAME, step.NAME."""
    state = optimiser.state_dict()["state"]
    return {f"{kind}.{names[i]}": torch.as_tensor(value).contiguous() for i, each in state.items() for kind, value in each.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], names: Sequence[str]) -> None:
    """Puts `optimiser_tensors` back. Raises ValueError where they are not those of its parameters."""
    place = {name: i for i, name in enumerate(names)}
    weights = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        kind, _, name = key.partition(".")
        if name not in place:
            raise ValueError(f"optimizer.safetensors has a state for {name!r}, which the network does not have")
        weight = weights[place[name]]
        # A fused step goes through weights and moments in the order of their memory, which must be the same (channels_last).
        laid_out = torch.empty_like(weight, dtype=value.dtype, device=value.device).copy_(value) if value.shape == weight.shape else value
        state.setdefault(place[name], {})[kind] = laid_out
    lacking = [name for name, i in place.items() if len(state.get(i, {})) != 3]
    if tensors and lacking:
        raise ValueError(f"optimizer.safetensors lacks the state of {lacking[0]!r}")
    whole = optimiser.state_dict()
    whole["state"] = state
    optimiser.load_state_dict(whole)


def save(
    checkpoints: Path,
    *,
    step: int,
    recipe: Recipe,
    network: Network,
    averages: Sequence[Average],
    optimiser: torch.optim.Optimizer,
    tensors: Mapping[str, Tensor],
    facts: Mapping[str, Any],
) -> Checkpoint:
    """Writes a checkpoint, whole or not at all. `tensors` go to state.safetensors, `facts` to state.json. Raises OSError where the disk is full."""
    from safetensors.torch import save_file

    folder = checkpoints / f"step-{step:08d}"
    names = [name for name, _ in network.named_parameters()]

    def write(partial: Path) -> None:
        partial.mkdir()
        network.save(partial / "model")
        for average, name in zip(averages, average_names(recipe), strict=True):
            with average.swapped(network):
                network.save(partial / name)
        save_file(optimiser_tensors(optimiser, names), partial / "optimizer.safetensors")
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, partial / "state.safetensors")
        files = {str(p.relative_to(partial)): sha256_of(p) for p in sorted(partial.rglob("*")) if p.is_file()}
        state = {
            "version": VERSION,
            "step": step,
            "recipe": to_toml(recipe),
            "conventions": CONVENTIONS | {"target": recipe.loss.target},
            "files": files,
            **facts,
        }
        write_state(partial / STATE, state)

    if folder.exists():  # of a run that was resumed from an earlier one, this one being damaged
        remove(folder)
    write_atomically(folder, write)
    return Checkpoint(folder)


def write_state(path: Path, facts: Mapping[str, Any]) -> None:
    """state.json with the checksum of its own contents."""
    write_json(path, dict(facts) | {"checksum": _checksum(facts)})


def _checksum(facts: Mapping[str, Any]) -> str:
    import hashlib
    import json

    told = json.dumps({name: value for name, value in facts.items() if name != "checksum"}, sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def average_names(recipe: Recipe) -> list[str]:
    """The folders of the averages, in the order of the decays: ema, then ema-DECAY."""
    return [f"ema-{decay!r}" if i else "ema" for i, decay in enumerate(recipe.training.ema)]


def all_checkpoints(checkpoints: Path) -> list[Checkpoint]:
    """Those in a folder, oldest first; not looked into."""
    return [Checkpoint(p) for p in sorted(checkpoints.glob("step-*")) if p.is_dir()]


def newest(checkpoints: Path, say: Callable[[str], None]) -> Checkpoint | None:
    """The newest that is whole; damaged ones are named and passed over. None where there is none at all.

    Raises ValueError where there are some and all are damaged.
    """
    found = all_checkpoints(checkpoints)
    for checkpoint in reversed(found):
        try:
            checkpoint.check()
        except ValueError as error:
            say(f"{error}; going back to the checkpoint before it")
        else:
            return checkpoint
    if found:
        raise ValueError(f"every checkpoint in {checkpoints} is damaged; take them away to begin again")
    return None


def prune(checkpoints: Path, keep: int) -> None:
    """Takes away all but the last `keep` and the one of least held-out loss."""
    found = all_checkpoints(checkpoints)
    losses: dict[Path, float] = {}
    for checkpoint in found:
        try:
            loss = checkpoint.facts.get("held_out_loss")
            if loss is not None and isfinite(loss):
                losses[checkpoint.folder] = loss
        except ValueError:  # a damaged one has no say in which is best
            continue
    best = min(losses, key=lambda folder: losses[folder], default=None)
    for checkpoint in found[:-keep]:
        if checkpoint.folder != best:
            remove(checkpoint.folder)
