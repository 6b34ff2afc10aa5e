"""python -m trainers plan RECIPE"""

from dataclasses import dataclass
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Plan:
    """What a recipe would cost: parameters, operations, memory, checkpoint size, images a second and hours. Nothing is started."""

    recipe: Annotated[str, tyro.conf.Positional]
    """Name of a recipe or a TOML file."""
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
        from trainers.planning import plan, table
        from trainers.recipes import load_recipe

        found = plan(load_recipe(self.recipe, self.set), self.device, self.processes, self.use)
        if self.json:
            import json

            print(json.dumps(found.as_dict()))
        else:
            print(table(found))
