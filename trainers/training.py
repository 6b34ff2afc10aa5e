"""From a recipe to a run: latents and prior made where they are missing, the run's folder begun or taken up again, then the loop."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

from lab.command_line import STOPPED
from trainers import checkpoints
from trainers.autoencoders import load_autoencoder
from trainers.files import read_json, remove
from trainers.gauges import Gauges, Window
from trainers.identity import check_same_data, identity
from trainers.latents import build_cache, default_folder, open_cache
from trainers.loop import Loop, Progress, fresh, method_of, resumed
from trainers.methods import Method
from trainers.mirror import Mirror, mirror_of
from trainers.order import Order
from trainers.planning import operations, peak_of
from trainers.precision import note, settled
from trainers.previews import preview
from trainers.priors import FittedPrior, fit_prior
from trainers.recipes import Recipe, apply, check, flatten, warnings, write_recipe
from trainers.runs import PATHS, Run
from trainers.sources import CacheSource, Source
from trainers.stopping import Terminated, stoppable

Say = Callable[[str], None]
PATIENCE = timedelta(hours=24)  # of processes that wait for one another


def prior_file(recipe: Recipe, cache: Path) -> Path:
    """Where the prior that a recipe names is kept, beside the latents that it is fitted to: one file for each set of options, and for these very latents."""
    autoencoder, data = recipe.autoencoder, recipe.data
    seen = [autoencoder.normalise, autoencoder.posterior, data.condition, data.flip, asdict(recipe.text), recipe.training.seed]
    latents = read_json(cache / "manifest.json")["statistics"]["sha256"]
    told = json.dumps([asdict(recipe.prior), *seen, latents])
    return cache / f"prior-{recipe.prior.kind}-{hashlib.sha256(told.encode()).hexdigest()[:10]}.safetensors"


def prepare(recipe: Recipe, cache: Path, *, say: Say) -> None:
    """Makes the latents and the prior that are missing. Raises ValueError as build_cache and fit_prior do."""
    if recipe.coupling.kind == "pairs":
        return
    if recipe.autoencoder.kind in (
        "none",
        "taef2",
    ):  # whose latents' shape is known: a network that cannot be is refused before hours of encoding
        from trainers.planning import meta_network

        meta_network(recipe)
    build_cache(recipe, cache, say=say, fits=lambda count: Order(count, recipe.training.batch, recipe.training.seed))
    latents = open_cache(cache, "train", recipe)
    Order(len(latents), recipe.training.batch, recipe.training.seed)  # again: broken pictures are out
    path = prior_file(recipe, cache)
    if not path.exists():
        fit_prior(recipe, latents, open_cache(cache, "val", recipe), say=say).save(path)


def sources(recipe: Recipe, cache: Path) -> tuple[Source, Source | None, FittedPrior, Callable[[int], str]]:
    """Training data, held-out data, the prior, and what a datum is called."""
    if recipe.coupling.kind == "pairs":
        from trainers.pairs import open_pairs

        return open_pairs(recipe, cache)
    train, held_out = (open_cache(cache, split, recipe) for split in ("train", "val"))
    names = train.names
    return CacheSource(train, recipe), CacheSource(held_out, recipe), FittedPrior.load(prior_file(recipe, cache)), lambda i: names[i]


def train(recipe: Recipe, folder: Path, *, cache: Path | None = None, runs: Path = Path("runs"), say: Say = print) -> int:
    """Trains a recipe in a run's folder, from the beginning or from its last sound checkpoint. Returns 0, or 75 where a signal stopped it.

    Raises ValueError for recipes, data and folders that do not fit; Diverged; OSError where the disk is full.
    """
    from accelerate import Accelerator
    from accelerate.utils import InitProcessGroupKwargs

    check(recipe)
    run = Run(folder)
    recipe = settled(recipe, run.recipe() if run.exists else None)
    if recipe.training.precision == "fp16" and not torch.cuda.is_available():
        raise ValueError("training.precision=fp16 needs a GPU; on a CPU take bf16 or fp32")
    threads = recipe.training.threads or (1 if recipe.network.kind == "mlp" else None)
    if threads is not None:
        torch.set_num_threads(threads)
    mixed = {"fp32": "no"}.get(recipe.training.precision, recipe.training.precision)
    # The first process may encode a whole data set while the others wait for it.
    accelerator = Accelerator(mixed_precision=mixed, kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)])
    if not accelerator.is_main_process:
        accelerator.wait_for_everyone()
        recipe = apply(recipe, {name: value for name, value in flatten(run.recipe()).items() if name in PATHS})
        return _train(recipe, run, cache or default_folder(recipe, runs), accelerator, _silent)
    existed = folder.exists()
    try:
        with run.locked(), stoppable():
            recipe = run.begin(recipe)
            cache = cache or default_folder(recipe, runs)
            for sentence in (*warnings(recipe), *filter(None, (note(recipe),))):
                say(f"note: {sentence}")
            prepare(recipe, cache, say=say)
            accelerator.wait_for_everyone()
            return _train(recipe, run, cache, accelerator, say)
    except Terminated:
        say("stopped before the first step; the same command goes on from what is made")
        return STOPPED
    except ValueError:
        if not existed and not run.metrics.exists():  # nothing was trained: leave no folder behind
            remove(folder)
        raise


def _silent(_: str) -> None:
    return


def _train(recipe: Recipe, run: Run, cache: Path, accelerator: Any, say: Say) -> int:
    source, held_out, prior, name_of = sources(recipe, cache)
    checkpoint = checkpoints.newest(run.checkpoints, say) if run.checkpoints.is_dir() else None
    data = identity(recipe, cache)
    if checkpoint is not None:
        if "exported" in checkpoint.facts:
            raise ValueError(
                f"{run.folder} was exported, without the optimiser: it can be sampled and scored, not gone on with; name another --run"
            )
        check_same_data(checkpoint, data)
    # A run goes on with the prior that it began with, whatever the cache holds now.
    method = Method(recipe, prior) if checkpoint is None else method_of(checkpoint, recipe)
    text_width = 0 if source.null_text is None else source.null_text.shape[-1]
    progress = fresh(recipe, source, method, text_width)
    seconds = 0.0
    if checkpoint is not None:
        progress, seconds = resumed(recipe, checkpoint, progress), float(checkpoint.facts["seconds"])
        if not accelerator.is_main_process:
            progress.window = Window()  # the stored one is that of all processes together
        say(f"going on from step {progress.step} of {recipe.training.steps}")
    if accelerator.is_main_process:
        run.rewind(progress.step, say)
        for left in run.checkpoints.glob(".step-*.partial"):  # of a process that was killed while it wrote
            remove(left)
        for damaged in checkpoints.all_checkpoints(run.checkpoints):
            if (
                checkpoint is not None and damaged.folder.name > checkpoint.folder.name
            ):  # else `prune` would count it, and let a sound one go
                remove(damaged.folder)
    if progress.step >= recipe.training.steps:
        if accelerator.is_main_process:  # what the run says of itself stays true where fewer steps were asked for than are done
            write_recipe(apply(recipe, {"training.steps": progress.step}), run.recipe_file)
        say(f"{run.folder} is trained: {progress.step} steps; --steps N for more")
        return 0
    autoencoder = load_autoencoder(recipe.autoencoder, recipe.data.channels)
    facts = {"autoencoder_hash": autoencoder.hash, "cache": str(cache), "data": data, "torch": torch.__version__}
    gauges = Gauges(
        batch=recipe.training.batch,
        steps=recipe.training.steps,
        device=accelerator.device,
        flops=_operations(recipe, source, text_width),
        peak=peak_of(accelerator.device, recipe.training.precision, accelerator.num_processes),
        bar=accelerator.is_main_process,
        before=seconds,
    )
    mirror = mirror_of(recipe, run.folder) if accelerator.is_main_process else Mirror()
    progress = _on_device(progress, accelerator, recipe)
    _restore_scaler(accelerator, checkpoint)
    loop = Loop(
        recipe=recipe,
        method=method,
        source=source,
        held_out=held_out,
        run=run,
        accelerator=accelerator,
        facts=facts,
        preview=lambda network, step: preview(network, step, run, recipe, method, source, autoencoder, accelerator.device),
        gauges=gauges,
        name_of=name_of,
        say=say,
        mirror=mirror,
    )
    try:
        status = loop.train(progress)
        if status == 0:
            say(f"trained; previews lie in {run.samples}; python -m trainers sample {run.folder} --out samples")
        return status
    finally:
        gauges.close()
        mirror.close()


def _on_device(progress: Progress, accelerator: Any, recipe: Recipe) -> Progress:
    """Network, averages and optimiser on the training's device."""
    device = accelerator.device
    if device.type == "cpu":
        return progress
    from trainers.loop import prepared_optimiser

    state = progress.optimiser.state_dict()
    progress.network.to(device)
    for average in progress.averages:
        average.shadow = [s.to(device) for s in average.shadow]
    progress.optimiser = prepared_optimiser(recipe, progress.network, device)
    progress.optimiser.load_state_dict(state)
    return progress


def _restore_scaler(accelerator: Any, checkpoint: checkpoints.Checkpoint | None) -> None:
    if accelerator.scaler is not None and checkpoint is not None and checkpoint.facts.get("scaler"):
        accelerator.scaler.load_state_dict(checkpoint.facts["scaler"])


def _operations(recipe: Recipe, source: Source, text_width: int) -> float:
    from trainers.planning import meta_network

    network = meta_network(recipe, source.shape, len(source.classes), text_width)
    return operations(network, recipe, source.shape, text_width)[1]
