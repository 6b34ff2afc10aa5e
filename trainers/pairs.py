"""Pairs for reflow: what a trained model makes of numbered noises, in shards that are written one by one, so that the same command goes on after a kill.

manifest.json             the teacher, how it was solved, how many, and the shards with their hashes
teacher.safetensors       the teacher's prior, normalisation, classes' shares and empty text: what training on the pairs needs of it
pairs-00000.safetensors   x_1 (k, c, h, w) float16 latents, condition (k,) classes or caption numbers; x_0 is a function of (seed, pair number)
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lab.couplings import Prior
from lab.solvers import ADAPTIVE
from lab.stored_pairs import SeededNoise, StoredPairs
from trainers.checkpoints import part_of, read_tensors
from trainers.commands.pairs import Pairs
from trainers.files import read_json, sha256_of, write_atomically, write_json
from trainers.latents import Normalisation, open_cache
from trainers.order import CAPTION
from trainers.priors import FittedPrior
from trainers.recipes.schema import Recipe
from trainers.recipes.settings import flatten
from trainers.sampling import NOISE, labels, sample
from trainers.sources import PairsSource, Source
from trainers.trained import Trained, load_trained

VERSION = 1
SHARD = 1024  # pairs
MANIFEST, TEACHER = "manifest.json", "teacher.safetensors"
HELD_OUT = 20  # every so manieth pair is held out


def make_pairs(wanted: Pairs, say: Callable[[str], None]) -> dict[str, Any]:
    """Makes the pairs that are missing; returns the manifest. Raises ValueError where the folder holds pairs that were made otherwise."""
    from tqdm import tqdm

    trained = load_trained(wanted.folder, wanted.weights)
    if trained.prior.needs_uniforms:
        raise ValueError(
            f"{wanted.folder} has a mixture for its prior, whose noises do not follow from their numbers alone; reflow needs one Gaussian for each condition"
        )
    captions = _captions(trained)
    manifest = _begin(wanted, trained, captions is not None)
    starts = range(0, wanted.n, SHARD)
    with tqdm(total=wanted.n, unit="pair", disable=None) as bar:
        for number, first in enumerate(starts):
            count = min(SHARD, wanted.n - first)
            if number >= len(manifest["shards"]) or manifest["shards"][number]["count"] != count:
                del manifest["shards"][number:]
                manifest["shards"].append(_shard(wanted, trained, captions, number, first, count, bar.update))
                manifest["n"] = first + count
                write_json(wanted.out / MANIFEST, manifest)
            else:
                bar.update(count)
    say(f"{wanted.n} pairs of step {trained.step} in {wanted.out}, {manifest['nfe']:g} evaluations each")
    return manifest


def _captions(trained: Trained) -> Any:
    """The training captions that prompts are drawn from; None for models without text."""
    if trained.recipe.data.condition != "text":
        return None
    return open_cache(Path(trained.checkpoint.facts["cache"]), "train", trained.recipe).captions


def _begin(wanted: Pairs, trained: Trained, texts: bool) -> dict[str, Any]:
    """The manifest, new or of the pairs that are there already. The teacher is written first."""
    made = {
        "version": VERSION,
        "teacher": str(trained.checkpoint.folder),
        "teacher_weights": trained.weights_hash,
        "teacher_step": trained.step,
        "solver": wanted.solver,
        "requested_nfe": None if wanted.solver in ADAPTIVE else wanted.nfe,
        "atol": wanted.atol if wanted.solver in ADAPTIVE else None,
        "rtol": wanted.rtol if wanted.solver in ADAPTIVE else None,
        "guidance": wanted.guidance,
        "seed": wanted.seed,
        "shape": list(trained.shape),
        "classes": list(trained.classes),
        "texts": texts,
        "autoencoder_hash": trained.checkpoint.facts["autoencoder_hash"],
    }
    path = wanted.out / MANIFEST
    if path.exists():
        found = read_json(path)
        for name, value in made.items():
            if found.get(name) != value:
                raise ValueError(
                    f"{wanted.out} holds other pairs ({name} was {found.get(name)}, now {value}); give that, or name another --out"
                )
        return found
    wanted.out.mkdir(parents=True, exist_ok=True)
    if any(wanted.out.iterdir()):
        raise ValueError(f"{wanted.out} is not empty and holds no pairs; name another --out")
    from safetensors.torch import save_file

    tensors = {f"prior.{name}": value for name, value in trained.prior.state().items()}
    tensors |= {f"normalisation.{name}": value for name, value in trained.normalisation.state().items()}
    for name, value in (("label_law", trained.label_law), ("null_text", trained.null_text)):
        if value is not None:
            tensors[name] = value
    write_atomically(wanted.out / TEACHER, lambda partial: save_file(tensors, partial))
    return made | {"recipe": flatten(trained.recipe), "n": 0, "nfe": 0.0, "shards": []}


def _shard(
    wanted: Pairs, trained: Trained, captions: Any, number: int, first: int, count: int, progress: Callable[[int], None]
) -> dict[str, Any]:
    from safetensors.torch import save_file

    from trainers.order import Order

    numbers = torch.arange(first, first + count)
    kept: Tensor | None = None
    told: Tensor | None = None
    if captions is not None:
        order = Order(len(captions.counts), 1, wanted.seed)
        kept = captions.pick(numbers % len(captions.counts), order.uniforms(numbers, CAPTION))
        told = captions.states(kept)
    elif trained.label_law is not None:
        kept = told = labels(trained.label_law, numbers, wanted.seed)
    adaptive = wanted.solver in ADAPTIVE
    made = sample(
        trained,
        count,
        seed=wanted.seed,
        solver=wanted.solver,
        nfe=None if adaptive else wanted.nfe,
        guidance=wanted.guidance,
        condition=told,
        batch=wanted.batch,
        first=first,
        atol=wanted.atol,
        rtol=wanted.rtol,
        progress=progress,
    )
    tensors = {"x_1": made.x.half()}
    if not bool(torch.isfinite(tensors["x_1"]).all()):
        raise ValueError(f"the teacher {wanted.folder} made samples that are not finite; train it longer, or use more evaluations")
    if kept is not None:
        tensors["condition"] = kept
    path = wanted.out / f"pairs-{number:05d}.safetensors"
    write_atomically(path, lambda partial: save_file(tensors, partial))
    return {"file": path.name, "count": count, "nfe": made.nfe, "sha256": sha256_of(path)}


def open_pairs(recipe: Recipe, cache: Path) -> tuple[Source, Source, FittedPrior, Callable[[int], str]]:
    """The pairs of a recipe's coupling.pairs for training, and every twentieth of them held out; the teacher's prior.

    Raises ValueError where the folder holds no pairs, is damaged, or was made by a model of other latents or conditions.
    """
    assert recipe.coupling.pairs is not None
    folder = Path(recipe.coupling.pairs)
    manifest = read_json(folder / MANIFEST)
    if manifest.get("version") != VERSION or not manifest["shards"]:
        raise ValueError(f"{folder} holds no pairs of version {VERSION}; `python -m trainers pairs RUN --out {folder}` makes them")
    _check_fits(recipe, folder, manifest)
    teacher = read_tensors(folder / TEACHER)
    prior = FittedPrior.from_state(part_of(teacher, "prior"))
    shards = []
    for shard in manifest["shards"]:
        path = folder / shard["file"]
        if not path.is_file() or sha256_of(path) != shard["sha256"]:
            raise ValueError(f"{path} is missing or damaged; take it and {MANIFEST} away and make the pairs again")
        shards.append(read_tensors(path))
    x_1 = torch.cat([s["x_1"] for s in shards])
    condition = torch.cat([s["condition"] for s in shards]) if "condition" in shards[0] else None
    captions = open_cache(cache, "train", recipe).captions if manifest["texts"] else None
    stored = StoredPairs(SeededNoise(manifest["seed"], torch.arange(len(x_1)), NOISE, _prior(prior, captions)), x_1, condition)
    held_out = torch.arange(len(x_1)) % HELD_OUT == HELD_OUT - 1

    def source(rows: Tensor) -> PairsSource:
        return PairsSource(
            stored,
            torch.nonzero(rows)[:, 0],
            classes=tuple(manifest["classes"]),
            law=teacher.get("label_law"),
            normalisation=Normalisation.from_state(part_of(teacher, "normalisation")),
            captions=captions,
            null_text=teacher.get("null_text"),
        )

    rows = torch.nonzero(~held_out)[:, 0]
    return source(~held_out), source(held_out), prior, lambda i: f"pair {int(rows[i])}"


def _prior(fitted: FittedPrior, captions: Any) -> Prior | None:
    """The teacher's prior over what the pairs store of a condition; None for N(0, I)."""
    if fitted.kind == "standard":
        return None
    if captions is None:
        return fitted.from_normals
    return lambda z, numbers: fitted.from_normals(z, captions.states(numbers))


def _check_fits(recipe: Recipe, folder: Path, manifest: dict[str, Any]) -> None:
    """ValueError where the teacher's data were others than the recipe's."""
    own, teacher = flatten(recipe), manifest["recipe"]
    for name in (
        "data.reader",
        "data.size",
        "data.channels",
        "data.condition",
        "autoencoder.kind",
        "autoencoder.normalise",
        "text.path",
        "text.max_tokens",
    ):
        if own[name] != teacher[name]:
            raise ValueError(
                f"{folder} holds pairs of another model ({name} was {teacher[name]}, the recipe says {own[name]}); --set {name}={teacher[name]}"
            )
