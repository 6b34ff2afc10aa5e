"""python -m trainers ship NAME ..."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Ship:
    """Train, score and export checkpoints that ship with the lab, by the commands that it prints. The same command again goes on.

    A digits checkpoint takes half a minute on two cores, an emoji one some ten.
    """

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Names in assets/checkpoints/; all unless given."""
    seeds: int = 1
    """Trainings of each, with seeds 0, 1, ...; the first is the one that ships, the others are for the table's intervals."""
    runs: Path = Path("runs/shipped")
    """Where the trainings lie."""
    out: Path = Path("assets/checkpoints")
    """Where the first seed's export goes."""
    scores: Path = Path("assets/scores")
    """Where every seed's scorecard goes, of which `table` is made."""
    again: bool = False
    """Export anew where an export is there."""

    def go(self) -> int:
        from trainers.cli import say
        from trainers.recipes.shipped import ALL
        from trainers.shipping import ship

        if not 1 <= self.seeds <= 10:
            raise ValueError(f"--seeds {self.seeds} must be 1 to 10, which the table has intervals for")
        return ship(self.names or tuple(ALL), range(self.seeds), self.runs, self.out, self.scores, again=self.again, say=say)
