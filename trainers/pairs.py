"""Pairs for reflow: what a trained model makes of numbered noises, in shards that are written one by one, so that the same command goes on after a kill.

manifest.json             the teacher and the hash of its file, whose captions were told, how it was solved, how many are wanted and there, and the shards with their hashes
teacher.safetensors       the teacher's prior, normalisation, classes' shares and empty text: what training on the pairs needs of it
pairs-00000.safetensors   x_1 (k, c, h, w) float16 latents, condition (k,) classes or caption numbers; x_0 is a function of (seed, pair number, condition),
                          bit for bit (that of a text model, whose mapper rounds by the batch, to rounding)
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lab.couplings import Prior
from lab.priors import Gaussian
from lab.solvers import ADAPTIVE
from lab.stored_pairs import SeededNoise, StoredPairs
from trainers.autoencoders import autoencoder_hash
from trainers.checkpoints import part_of, read_tensors
from trainers.commands.pairs import Pairs
from trainers.files import is_partial, read_json, sha256_of, write_atomically, write_json
from trainers.hdf5_pairs import MANIFEST, pairs_files, read_pairs
from trainers.latents import Normalisation, open_cache
from trainers.order import CAPTION
from trainers.priors import FittedPrior
from trainers.recipes.schema import Recipe
from trainers.recipes.settings import flatten
from trainers.sampling import NOISE, labels, placed, sample
from trainers.sources import PairsSource, Source
from trainers.text import encoder_hash
from trainers.trained import Trained, load_trained

VERSION = 2
SHARD = 1024  # pairs
TEACHER = "teacher.safetensors"
HELD_OUT = 20  # every so manieth pair is held out


def make_pairs(wanted: Pairs, say: Callable[[str], None]) -> dict[str, Any]:
    """Makes the pairs that are missing or damaged; returns the manifest. Fewer than are there already take none away.

    Raises ValueError where the folder holds pairs that were made otherwise.
    """
    from tqdm import tqdm

    if wanted.n < 1:
        raise ValueError(f"--n {wanted.n} must be at least 1")
    trained = load_trained(wanted.folder, wanted.weights, wanted.device)
    if trained.prior.needs_uniforms:
        raise ValueError(
            f"{wanted.folder} has a mixture for its prior, whose noises do not follow from their numbers alone; reflow needs one Gaussian for each condition"
        )
    captions = _captions(trained)
    manifest = _begin(wanted, trained, captions)
    shards = manifest["shards"]
    with tqdm(total=wanted.n, unit="pair", disable=None) as bar:
        for number, first in enumerate(range(0, wanted.n, SHARD)):
            count = min(SHARD, wanted.n - first)
            if number < len(shards):
                count = max(count, shards[number]["count"])
                if shards[number]["count"] == count and _sound(wanted.out, shards[number]):
                    bar.update(count)
                    continue
            shards[number : number + 1] = [_shard(wanted, trained, captions, number, first, count, bar.update)]
            _note(wanted, manifest)
    _note(wanted, manifest)
    say(f"{manifest['n']} pairs of step {trained.step} in {wanted.out}, {manifest['nfe']:g} evaluations each")
    return manifest


def _note(wanted: Pairs, manifest: dict[str, Any]) -> None:
    """Writes the manifest, with its sums over the shards brought up to date."""
    shards = manifest["shards"]
    manifest["n"] = sum(shard["count"] for shard in shards)
    manifest["nfe"] = sum(shard["count"] * shard["nfe"] for shard in shards) / max(1, manifest["n"])
    manifest["wanted"] = max(wanted.n, manifest["n"])
    write_json(wanted.out / MANIFEST, manifest)


def _sound(folder: Path, shard: dict[str, Any]) -> bool:
    path = folder / shard["file"]
    return path.is_file() and sha256_of(path) == shard["sha256"]


def _captions(trained: Trained) -> Any:
    """The training captions that prompts are drawn from; None for models without text."""
    if trained.recipe.data.condition != "text":
        return None
    return open_cache(Path(trained.checkpoint.facts["cache"]), "train", trained.recipe).captions


def _begin(wanted: Pairs, trained: Trained, captions: Any) -> dict[str, Any]:
    """The manifest, new or of the pairs that are there already; a new one is written once the teacher is."""
    made = {
        "version": VERSION,
        "teacher_step": trained.step,
        "teacher_weights": trained.weights_hash,
        "solver": wanted.solver,
        "requested_nfe": None if wanted.solver in ADAPTIVE else wanted.nfe,
        "atol": wanted.atol if wanted.solver in ADAPTIVE else None,
        "rtol": wanted.rtol if wanted.solver in ADAPTIVE else None,
        "batch": wanted.batch if wanted.solver in ADAPTIVE else None,  # whose error an adaptive solver's steps follow
        "guidance": wanted.guidance,
        "seed": wanted.seed,
        "shape": list(trained.shape),
        "classes": list(trained.classes),
        "texts": captions is not None,
        "captions": None if captions is None else captions.hash,  # which the numbers in the shards count
        "text_encoder": None if captions is None else encoder_hash(trained.recipe.text),
        "autoencoder_hash": trained.checkpoint.facts["autoencoder_hash"],
    }
    path = wanted.out / MANIFEST
    if path.exists():
        found = _manifest(wanted.out)
        for name, value in made.items():
            if found.get(name) != value:
                raise ValueError(
                    f"{wanted.out} holds other pairs ({name} was {found.get(name)}, now {value}); give that, or name another --out"
                )
        _write_teacher(wanted.out, trained, found["teacher_sha256"])
        return found
    wanted.out.mkdir(parents=True, exist_ok=True)
    if any(p.name != TEACHER and not is_partial(p) for p in wanted.out.iterdir()):
        raise ValueError(f"{wanted.out} is not empty and holds no pairs; name another --out")
    manifest = made | {"teacher": str(trained.checkpoint.folder), "recipe": flatten(trained.recipe), "shards": []}
    manifest["teacher_sha256"] = _write_teacher(wanted.out, trained, None)
    _note(wanted, manifest)
    return manifest


def _write_teacher(folder: Path, trained: Trained, expected: str | None) -> str:
    """Writes the teacher's file unless the one that is there is as `expected`; returns its hash."""
    from safetensors.torch import save_file

    path = folder / TEACHER
    if expected is not None and path.is_file() and sha256_of(path) == expected:
        return expected
    tensors = {f"prior.{name}": value for name, value in trained.prior.state().items()}
    tensors |= {f"normalisation.{name}": value for name, value in trained.normalisation.state().items()}
    for name, value in (("label_law", trained.label_law), ("null_text", trained.null_text)):
        if value is not None:
            tensors[name] = value
    write_atomically(path, lambda partial: save_file(tensors, partial))
    return sha256_of(path)


def _manifest(folder: Path) -> dict[str, Any]:
    """Raises ValueError where it is missing, damaged or of another version."""
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("version") != VERSION:
        raise ValueError(f"{folder / MANIFEST} is not that of pairs of version {VERSION}; name another folder")
    return manifest


def _shard(
    wanted: Pairs, trained: Trained, captions: Any, number: int, first: int, count: int, progress: Callable[[int], object]
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
        device=trained.device,
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
    """The pairs of a recipe's coupling.pairs for training, and every twentieth of them held out; the teacher's prior. Pairs files of HDF5 are taken as they are stored.

    Raises ValueError where the folder holds no pairs or not all that were wanted, is damaged, or was made by a model of other latents or conditions.
    """
    assert recipe.coupling.pairs is not None
    folder = Path(recipe.coupling.pairs)
    if pairs_files(folder):
        plain = Normalisation(torch.zeros(1, 1, 1), torch.ones(1, 1, 1))
        return _split(read_pairs(recipe, folder), FittedPrior("standard", Gaussian(), {}), normalisation=plain)
    if not (folder / MANIFEST).is_file():
        raise ValueError(f"{folder} holds no pairs; `python -m trainers pairs RUN --out {folder}` makes them")
    manifest = _manifest(folder)
    if manifest["n"] < manifest["wanted"]:
        raise ValueError(
            f"{folder} holds {manifest['n']} of {manifest['wanted']} pairs; run the same `pairs` command to its end, or with a smaller --n"
        )
    _check_fits(recipe, folder, manifest)
    if not _sound(folder, {"file": TEACHER, "sha256": manifest["teacher_sha256"]}):
        raise ValueError(f"{folder / TEACHER} is missing or damaged; the same `pairs` command makes it again")
    teacher = read_tensors(folder / TEACHER)
    prior = FittedPrior.from_state(part_of(teacher, "prior"))
    shards = []
    for shard in manifest["shards"]:
        if not _sound(folder, shard):
            raise ValueError(f"{folder / shard['file']} is missing or damaged; the same `pairs` command makes it again")
        shards.append(read_tensors(folder / shard["file"]))
    x_1 = torch.cat([s["x_1"] for s in shards])
    condition = torch.cat([s["condition"] for s in shards]) if "condition" in shards[0] else None
    captions = open_cache(cache, "train", recipe).captions if manifest["texts"] else None
    if captions is not None and (captions.hash, encoder_hash(recipe.text)) != (manifest["captions"], manifest["text_encoder"]):
        raise ValueError(
            f"{folder} holds pairs that were told other captions, or by another text encoder, than those of {cache}; bring those back, or make the pairs anew"
        )
    stored = StoredPairs(SeededNoise(manifest["seed"], torch.arange(len(x_1)), NOISE, _prior(prior, captions)), x_1, condition)
    return _split(
        stored,
        prior,
        classes=tuple(manifest["classes"]),
        law=teacher.get("label_law"),
        normalisation=Normalisation.from_state(part_of(teacher, "normalisation")),
        captions=captions,
        null_text=teacher.get("null_text"),
    )


def _split(stored: StoredPairs, prior: FittedPrior, **told: Any) -> tuple[Source, Source, FittedPrior, Callable[[int], str]]:
    """Training pairs and held-out ones, the prior, and what a training pair is called."""
    held_out = torch.arange(len(stored)) % HELD_OUT == HELD_OUT - 1
    trained, other = (torch.nonzero(rows)[:, 0] for rows in (~held_out, held_out))
    told = {"classes": (), "law": None} | told
    return PairsSource(stored, trained, **told), PairsSource(stored, other, **told), prior, lambda i: f"pair {int(trained[i])}"


def _prior(fitted: FittedPrior, captions: Any) -> Prior:
    """The teacher's prior over what the pairs store of a condition."""
    if captions is None:
        return lambda z, condition: placed(fitted, z, condition)
    return lambda z, numbers: placed(fitted, z, captions.states(numbers))


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
    if manifest["autoencoder_hash"] and autoencoder_hash(recipe.autoencoder) != manifest["autoencoder_hash"]:
        raise ValueError(
            f"{folder} holds pairs in the latents of another autoencoder ({teacher['autoencoder.kind']}, {teacher['autoencoder.path'] or 'the one that ships'}); "
            "--set autoencoder.kind and autoencoder.path as they were"
        )
