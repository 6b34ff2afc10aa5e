"""Makes the checkpoints that ship: for each, the commands that anyone could type, one after the other, each in a process of its own.

RUNS/NAME-SEED is the run, RUNS/NAME-SEED-pairs what a reflow is trained on. A command whose result is there is not run again, so that a call that was stopped goes on.
What is left of every training is its scorecard (trainers.scorecards), of the first seed's also its export.
"""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from trainers import layout
from trainers.recipes.shipped import BUDGETS, Shipped, by_name
from trainers.scorecards import card_of, evaluation_of, keep, pairs_of, run_of


def commands(name: str, seed: int, runs: Path, out: Path | None) -> list[list[str]]:
    """What is still to be done, in order, as arguments of `python -m trainers`. out: where the export goes; None: nowhere. Raises ValueError for an unknown name."""
    shipped, run, found = by_name(name), run_of(runs, name, seed), []
    if not _finished(run):
        if shipped.teacher is not None:
            found += [command for command in commands(shipped.teacher, seed, runs, None) if command[0] == "train"]
            found.append(_pairs(shipped, run_of(runs, shipped.teacher, seed), pairs_of(runs, name, seed), seed))
        found.append(_train(shipped, name, run, seed, runs))
    scoring = ["evaluate", str(run), "--nfe", *map(str, BUDGETS), "--n", str(shipped.count), *shipped.scoring]
    if evaluation_of(run, None) is None:
        found.append([*scoring, "--adaptive", *shipped.flow_solver])
    for sampler in shipped.samplers:
        if evaluation_of(run, sampler) is None:
            found.append([*scoring, "--solver", sampler, "--out", str(run / layout.EVALUATIONS / f"sampler-{sampler}.json")])
    if out is not None and not (out / name).exists():
        found.append(["export", str(run), "--out", str(out / name)])
    return found


def _train(shipped: Shipped, name: str, run: Path, seed: int, runs: Path) -> list[str]:
    settings = dict(shipped.settings) | ({} if shipped.teacher is None else {"coupling.pairs": str(pairs_of(runs, name, seed))})
    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    return ["train", shipped.recipe, "--run", str(run), "--seed", str(seed), *changes]


def _pairs(shipped: Shipped, teacher: Path, pairs: Path, seed: int) -> list[str]:
    return ["pairs", str(teacher), "--n", str(shipped.pairs), "--seed", str(seed), *shipped.pair_options, "--out", str(pairs)]


def _finished(run: Path) -> bool:
    """Whether a training has come to its last step."""
    from trainers.recipes.files import read_recipe

    steps = layout.steps_of(run)
    return bool(steps) and (run / layout.RECIPE).is_file() and steps[0] >= read_recipe(run / layout.RECIPE).training.steps


def _run(command: Sequence[str]) -> int:
    """A command's status. Where this process is told to stop, so is the command, and it is waited for: it has things to write."""
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise


def ship(
    names: Sequence[str], seeds: Sequence[int], runs: Path, out: Path | None, scores: Path, *, again: bool, say: Callable[[str], None]
) -> int:
    """Runs every command that is still to be done; the status of the first that does not end well, else 0.

    out gets the first seed's export, scores every seed's scorecard. again: exports are made anew.
    """
    for name in names:
        by_name(name)
    for name in names:
        for seed in seeds:
            place = out if seed == seeds[0] else None
            anew = again and place is not None and (place / name).exists()
            target = None if place is None else place / f".{name}-anew" if anew else place
            for command in commands(name, seed, runs, target):
                say(f"python -m trainers {shlex.join(command)}")
                if status := _run([sys.executable, "-m", "trainers", *command]):
                    return status
            for sampler in (None, *by_name(name).samplers):
                keep(card_of(runs, name, seed, sampler), scores)
            if anew:  # what was there goes once what takes its place is whole
                assert place is not None
                assert target is not None
                shutil.rmtree(place / name)
                (target / name).rename(place / name)
                target.rmdir()
    return 0
