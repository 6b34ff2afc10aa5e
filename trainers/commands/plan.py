"""python -m trainers plan RECIPE"""

from dataclasses import dataclass
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Plan:
    """What a recipe would cost: parameters, operations, memory, checkpoint size, pairing, images a second and hours. Nothing is started."""

    recipe: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE")]
    """Name of a recipe (`python -m trainers recipes` lists them) or a TOML file."""
    data: str | None = None
    """Folder or file of the pictures, whose training split is listed: classes make the network larger, and pictures tell how often each is seen."""
    device: str | None = None
    """h200, h100, a100, l40s, rtx4090, rtx3090, v100; unless given, a few steps are timed on this machine."""
    processes: int = 1
    """How many such devices."""
    use: float = 0.25
    """Share of the device's peak that is reached; published U-Nets reach .24 to .28."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """KEY=VALUE, any value of the recipe."""
    json: bool = False
    """Print one JSON object."""

    def go(self) -> None:
        from trainers.cli import say
        from trainers.planning import count_data, plan, table
        from trainers.recipes import load_recipe, warnings, with_paths

        recipe = load_recipe(self.recipe, with_paths(self.set, self.data, None))
        for sentence in warnings(recipe):
            say(f"note: {sentence}")
        counts = None if recipe.data.path is None else count_data(recipe)
        if counts is None and recipe.data.condition == "class" and recipe.data.reader in ("folder", "hdf5"):
            say("note: a network for 1,000 classes is counted; --data PATH counts those of your pictures")
        if self.device is None:
            say("timing a few steps of the network on this machine; --device NAME computes instead")
        found = plan(recipe, self.device, self.processes, self.use, counts)
        if self.json:
            import json

            print(json.dumps(found.as_dict()))
        else:
            print(table(found))
