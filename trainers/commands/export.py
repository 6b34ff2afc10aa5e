"""python -m trainers export DIR --out DIR"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Export:
    """Write a checkpoint for others: averaged weights in float16, prior, normalisation, recipe and curves; no optimiser, so a training cannot go on from it."""

    folder: Annotated[Path, tyro.conf.Positional]
    """A run's folder (its newest sound checkpoint), or one checkpoint's."""
    out: Path
    """A new folder, which `sample`, `pairs` and `evaluate` take as they take a run's."""
    weights: str = "ema"
    """ema, ema-DECAY where there are several, or model (raw)."""

    def go(self) -> None:
        from trainers.exporting import export

        made = export(self.folder, self.out, self.weights)
        size = sum(path.stat().st_size for path in self.out.rglob("*") if path.is_file())
        print(f"{self.out}: step {made.step}, {size / 1e6:.1f} MB")
