"""python -m trainers pairs DIR --n 50000 --out DIR"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Pairs:
    """Make pairs of noise and sample with a trained model, for reflow: `train digits-reflow --set coupling.pairs=DIR` then trains on them. The same command again goes on."""

    folder: Annotated[Path, tyro.conf.Positional]
    """A run's folder, or one checkpoint's: the teacher."""
    out: Path
    """Folder for the pairs: made, or gone on with."""
    n: int = 10_000
    """How many."""
    solver: str = "heun"
    """Any solver; dopri5 for pairs close to the exact flow's."""
    nfe: int = 32
    """Evaluations for each pair, counted. Adaptive solvers choose their own."""
    seed: int = 0
    guidance: float = 1.0
    weights: str = "ema"
    atol: float = 1e-5
    rtol: float = 1e-5
    batch: int = 256
    """Pairs that are made at a time."""
    device: str = "cpu"
    json: bool = False
    """Print what the manifest says."""

    def go(self) -> None:
        from trainers.cli import say
        from trainers.pairs import make_pairs

        manifest = make_pairs(self, say)
        if self.json:
            import json

            print(json.dumps(manifest))
