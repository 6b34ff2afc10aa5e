"""python -m trainers sample DIR --n 16 --solver heun --nfe 16 --seed 0 --out DIR"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Sample:
    """Sample a checkpoint: a grid, each picture by itself, and what they are of."""

    folder: Annotated[Path, tyro.conf.Positional]
    """A run's folder (its newest sound checkpoint), or one checkpoint's."""
    out: Path
    """Folder to write grid.png, 00000.png, ... and samples.json into."""
    n: int = 16
    """How many."""
    solver: str = "heun"
    """euler, midpoint, heun, rk4, ab2, ddim, dopri5, ...; of a DDPM also ddpm, ddim-scheduler and dpm-solver++."""
    nfe: int = 16
    """Evaluations of the network for each sample, counted (guidance costs two). Adaptive solvers choose their own."""
    grid: str = "uniform"
    """Times of a fixed-step solver: uniform, cosine, edm, shifted, snr."""
    seed: int = 0
    condition: tuple[str, ...] = ()
    """Classes (names or numbers) or prompts, in turn; unless given, classes as often as in the training data. A text model needs prompts."""
    guidance: float | None = None
    """Scale s of u(null) + s (u(condition) - u(null)); 1 is off. Unless given: the recipe's."""
    weights: str = "ema"
    """ema (averaged), ema-DECAY where there are several, or model (raw)."""
    rows: int | None = None
    """Rows of the grid; unless given, near a square."""
    prior: bool = False
    """The prior alone: the samples' x_0, decoded, without a step."""
    trajectories: bool = False
    """Write the states too: film.png, a row for each sample, and states.safetensors. Of adaptive solvers: at 17 regular times, interpolated between their steps."""
    atol: float = 1e-5
    rtol: float = 1e-5
    device: str = "cpu"
    json: bool = False
    """Print what samples.json says."""

    def go(self) -> None:
        from trainers.cli import say
        from trainers.galleries import make

        about = make(self, say)
        if self.json:
            import json

            print(json.dumps(about))
