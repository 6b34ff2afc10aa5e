"""A training's records shown elsewhere too. metrics.jsonl stays the truth: a mirror can be lost, and made again from it."""

import contextlib
import sys
from pathlib import Path
from typing import Any

from trainers.recipes.schema import Recipe


class Mirror:
    """Shows nothing anywhere."""

    def log(self, line: dict[str, Any]) -> None:
        """Takes one record of the metrics."""

    def close(self) -> None:
        """After the last record."""


class Trackio(Mirror):
    """Records in trackio's database on this machine (`trackio show --project flow-matching-lab`), one run for each run folder; nothing is sent anywhere."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        try:
            import trackio
        except ImportError:
            raise ValueError("training.mirror=trackio needs the package: pip install --no-deps trackio, or leave the mirror none") from None
        from trainers.recipes.settings import flatten

        self._trackio = trackio
        with contextlib.redirect_stdout(sys.stderr):
            trackio.init(
                project="flow-matching-lab",
                name=folder.name,
                config=flatten(recipe),
                resume="allow",
                embed=False,
                auto_log_cpu=False,
                auto_log_gpu=False,
            )

    def log(self, line: dict[str, Any]) -> None:
        numbers = {name: value for name, value in line.items() if isinstance(value, int | float) and name != "step"}
        bins = {
            f"loss at t {k / 10:.1f} to {(k + 1) / 10:.1f}": loss for k, loss in enumerate(line.get("loss_by_time", ())) if loss is not None
        }
        self._trackio.log(numbers | bins, step=line["step"])

    def close(self) -> None:
        with contextlib.redirect_stdout(sys.stderr):
            self._trackio.finish()


def mirror_of(recipe: Recipe, folder: Path) -> Mirror:
    """The mirror that a recipe names. Raises ValueError where its package is missing."""
    return Trackio(recipe, folder) if recipe.training.mirror == "trackio" else Mirror()
