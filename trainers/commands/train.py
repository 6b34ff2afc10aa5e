"""python -m trainers train RECIPE --run DIR"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Train:
    """Train a recipe. The same command again goes on where the last checkpoint is; Ctrl-C or SIGTERM writes one and ends with status 75."""

    recipe: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE")]
    """Name of a recipe (emoji-cpd, digits-condot, loom-cifar10, ...; `python -m trainers recipes` lists them) or a TOML file."""
    run: Path
    """Folder of the run: made, or gone on with."""
    steps: int | None = None
    """Steps in all, unless the recipe's."""
    checkpoint_every: int | None = None
    """Steps between checkpoints."""
    seed: int | None = None
    """Of weights, order, noise, times, everything."""
    data: str | None = None
    """Folder or file of the pictures, where the recipe has none of its own."""
    autoencoder: str | None = None
    """Folder or hub name of the autoencoder."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """KEY=VALUE, any value of the recipe: --set training.batch=64 --set network.channels=64,128."""
    cache: Path | None = None
    """Folder of the latents; made where it is missing. Unless given: runs/cache/NAME."""
    runs: Path = Path("runs")
    """Where caches are kept."""

    def go(self) -> int:
        from trainers.cli import say
        from trainers.recipes import load_recipe, with_paths
        from trainers.training import train

        extra = {
            "training.steps": self.steps,
            "training.checkpoint_every": self.checkpoint_every,
            "training.seed": self.seed,
        }
        settings = (
            *with_paths(self.set, self.data, self.autoencoder),
            *(f"{name}={value}" for name, value in extra.items() if value is not None),
        )
        return train(load_recipe(self.recipe, settings), self.run, cache=self.cache, runs=self.runs, say=say)
