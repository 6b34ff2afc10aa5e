"""The `sample` command's work: conditions from texts, samples, pictures on disk."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lab.checks import check_name, unknown
from lab.solvers import ADAPTIVE
from trainers.bars import QUIET, bar
from trainers.commands.sample import Sample
from trainers.files import read_json, write_atomically, write_json
from trainers.grids import grid, save_png, to_image
from trainers.sampling import SOLVERS, Samples, budgets_near, labels, sample, start
from trainers.trained import Trained, load_trained

ABOUT = "samples.json"
MOST = 65_536  # pictures of one call, which are held in memory


def conditions(trained: Trained, texts: Sequence[str], count: int, seed: int) -> tuple[Tensor | None, list[str]]:
    """The condition of each of `count` samples and its name: the texts in turn, or, without any, drawn as in the training data.

    Raises ValueError for a class that does not exist, for texts that a model without conditions is told, and for a text model without any.
    """
    kind = trained.recipe.data.condition
    if kind == "none":
        if texts:
            raise ValueError(f"{trained.checkpoint.folder} was trained without conditions; leave --condition out")
        return None, [""] * count
    if kind == "class":
        if texts:
            chosen = torch.tensor([_class(trained.classes, text) for text in texts])[torch.arange(count) % len(texts)]
        else:
            assert trained.label_law is not None
            chosen = labels(trained.label_law, torch.arange(count), seed)
        return chosen, [trained.classes[int(c)] for c in chosen]
    if not texts:
        raise ValueError("this model is told a text: give prompts with --condition")
    from trainers.text import load_encoder

    encoder = load_encoder(trained.recipe.text)
    states = encoder.encode(list(texts))
    _check_encoder(trained, encoder.encode([""])[0])
    turn = torch.arange(count) % len(texts)
    return states[turn], [texts[int(i)] for i in turn]


def _check_encoder(trained: Trained, empty: Tensor) -> None:
    """ValueError unless the empty text has the states that it had in training, up to the half precision of its cache."""
    known = trained.null_text
    if known is None or known.shape != empty.shape or not torch.allclose(empty.cpu(), known, rtol=1e-2, atol=1e-2):
        raise ValueError(
            f'{trained.recipe.text.path} is not the text encoder that {trained.checkpoint.folder} was trained with: the states of "" differ'
        )


def _class(classes: Sequence[str], text: str) -> int:
    if text in classes:
        return list(classes).index(text)
    if text.isdecimal() and int(text) < len(classes):
        return int(text)
    shown = classes if len(classes) <= 20 else (*classes[:20], "...")
    raise ValueError(unknown("condition", text, shown, f"; or a number from 0 to {len(classes) - 1}"))


def make(wanted: Sample, say: Callable[[str], None]) -> dict[str, Any]:
    """Samples as wanted, in wanted.out; returns what samples.json says. Raises ValueError for what the checkpoint cannot do."""
    if wanted.n > MOST:
        raise ValueError(f"--n {wanted.n} must be at most {MOST}; `python -m trainers pairs` makes more, shard by shard")
    for name, value in (("n", wanted.n), ("rows", wanted.rows)):
        if value is not None and value < 1:
            raise ValueError(f"--{name} {value} must be at least 1")
    if wanted.rows is not None and wanted.rows > wanted.n:
        raise ValueError(f"--rows {wanted.rows} must be at most --n {wanted.n}")
    if wanted.out.exists() and not wanted.out.is_dir():
        raise ValueError(f"--out {wanted.out} is a file; name a folder")
    check_name("solver", wanted.solver, SOLVERS)
    if wanted.nfe < 1:
        raise ValueError(f"--nfe {wanted.nfe} must be at least 1")
    if wanted.prior and wanted.trajectories:
        raise ValueError("--trajectories needs steps, and --prior takes none; leave one of them out")
    trained = load_trained(wanted.folder, wanted.weights, wanted.device)
    told = trained.recipe.data.condition != "none"
    guidance = wanted.guidance if wanted.guidance is not None else (trained.recipe.sampling.guidance if told else 1.0)
    _check_budget(wanted, guidance)
    condition, names = conditions(trained, wanted.condition, wanted.n, wanted.seed)
    with bar(wanted.n, "sampling", "samples", wait=QUIET if wanted.prior else 0) as shown:
        made = (
            _prior_alone(trained, wanted, condition)
            if wanted.prior
            else sample(
                trained,
                wanted.n,
                seed=wanted.seed,
                solver=wanted.solver,
                nfe=None if wanted.solver in ADAPTIVE else wanted.nfe,
                grid=wanted.grid,
                guidance=guidance,
                condition=condition,
                atol=wanted.atol,
                rtol=wanted.rtol,
                states=wanted.trajectories,
                device=trained.device,
                progress=shown.update,
            )
        )
    wanted.out.mkdir(parents=True, exist_ok=True)
    about = {
        "checkpoint": str(trained.checkpoint.folder),
        "weights": wanted.weights,
        "weights_hash": trained.weights_hash,
        "step": trained.step,
        "n": wanted.n,
        "seed": wanted.seed,
        "solver": "none: the prior alone" if wanted.prior else wanted.solver,
        "grid": wanted.grid,
        "nfe": made.nfe,
        "guidance": guidance,
        "conditions": names,
    }
    if wanted.trajectories:
        about["states"] = _told(wanted.solver)
    pixels = trained.decode(made.x)
    if _clear(wanted.out):
        say(f"those of an earlier `sample` in {wanted.out} are replaced")
    texts = {name: str(value) for name, value in about.items() if name != "conditions"}
    save_png(grid(pixels, wanted.rows), wanted.out / "grid.png", texts)
    for i, picture in enumerate(pixels):
        save_png(to_image(picture), wanted.out / f"{i:05d}.png", texts | {"condition": names[i]})
    if wanted.trajectories:
        _film(trained, made, wanted.out, texts)
    write_json(wanted.out / ABOUT, about)
    say(f"{wanted.n} samples of step {trained.step} in {wanted.out}, {about['nfe']:g} evaluations each")
    return about


def _check_budget(wanted: Sample, scale: float) -> None:
    """ValueError, before anything slow, for evaluations that the solver cannot use exactly, guidance counted."""
    if wanted.prior or wanted.solver in ADAPTIVE:
        return
    nearest = budgets_near(wanted.solver, wanted.nfe, scale)
    if nearest != (wanted.nfe,):
        why = f" under guidance {scale:g}, which takes two evaluations at a time" if scale != 1 else ""
        raise ValueError(f"--nfe {wanted.nfe} cannot be used exactly by {wanted.solver}{why}; nearest: {' or '.join(map(str, nearest))}")


def _clear(out: Path) -> bool:
    """Takes away the pictures of an earlier `sample`, which would pass for these; whether there were any."""
    earlier = (out / ABOUT).exists()
    if earlier:
        for name in ("grid.png", "film.png", "states.safetensors", *(f"{i:05d}.png" for i in range(read_json(out / ABOUT)["n"]))):
            (out / name).unlink(missing_ok=True)
    return earlier


def _prior_alone(trained: Trained, wanted: Sample, condition: Tensor | None) -> Samples:
    """x_0 of the same seed and conditions, not a step taken."""
    x_0 = start(trained, torch.arange(wanted.n), condition, wanted.seed)
    return Samples(x_0, x_0, condition, 0.0)


def _told(solver: str) -> str:
    """What the states of a trajectory are."""
    return "at regular times, interpolated between the solver's own steps" if solver in ADAPTIVE else "after every step"


def _film(trained: Trained, made: Samples, out: Path, about: dict[str, str]) -> None:
    """film.png: of each sample a row, of up to nine of its times a picture; states.safetensors: all states, latents, and their times.

    An adaptive solver's states are those at regular times, interpolated between its own steps.
    """
    from safetensors.torch import save_file

    assert made.states is not None
    assert made.times is not None
    states, times = made.states, made.times
    chosen = torch.linspace(0, len(states) - 1, min(9, len(states))).round().long()
    frames = states[chosen].transpose(0, 1).flatten(0, 1)
    shown = {"times": str([round(float(t), 4) for t in times[chosen]]), "states": _told(about["solver"])}
    save_png(grid(trained.decode(frames), len(made.x)), out / "film.png", about | shown)
    tensors = {"states": states.contiguous(), "times": times.contiguous()}
    write_atomically(out / "states.safetensors", lambda partial: save_file(tensors, partial))
