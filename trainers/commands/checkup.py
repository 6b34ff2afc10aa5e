"""python -m trainers checkup FOLDER: the lab's instruments on any checkpoint."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from lab.command_line import say


@dataclass(frozen=True)
class Checkup:
    """What a checkpoint's flow asks of a solver: evaluations needed for a wished error, where along t it is made, how the flow bends, what guidance has to work with.

    Takes runs, exports and checkpoints of this project, and checkpoints made elsewhere: a folder in diffusers' format (UNet2DModel, UNet2DConditionModel, DiT) with a
    conventions.json that says what its numbers mean (README, Check any checkpoint).
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """A diffusers folder with conventions.json, a run's folder (its newest sound checkpoint), or one checkpoint's."""
    n: int = 16
    """Samples that are followed, all at once."""
    seed: int = 0
    error: float = 0.05
    """The solver error wished for: RMSE of the end points, as a share of the samples' spread."""
    solvers: tuple[str, ...] = ("euler", "midpoint", "heun", "rk4")
    """Solvers of fixed steps that are tried."""
    nfe: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
    """Budgets that are tried: evaluations of the network for each sample, guidance's two included. Each solver takes those that it can use exactly."""
    local_steps: int = 16
    """Equal steps of Euler whose local errors are measured."""
    guidance: float = 1.0
    """Scale s of u(null) + s (u(condition) - u(null)); 1 is off."""
    condition: tuple[str, ...] = ()
    """Classes (names or numbers), or prompts of a text model of our own, in turn; unless given, classes as often as in the training data, or evenly where that is not known."""
    tolerance: float = 1e-6
    """atol = rtol of the exact flow, at the finest: from 1e-5 down to this until its ends are off by a tenth of the wished error."""
    weights: str = "ema"
    """ema, ema-DECAY or model (raw), of checkpoints of our own."""
    device: str = "cpu"
    page: Path | None = None
    """HTML file to write: everything as curves, and the samples; needs nothing beside it."""
    out: Path | None = None
    """JSON file to write."""
    json: bool = False
    """Print one JSON object instead of the table."""

    def go(self) -> None:
        from trainers.checkup import Asked, check_up, open_subject, page, table
        from trainers.checkup.subjects import draws, told
        from trainers.files import write_atomically, write_json

        asked = Asked(self.n, self.seed, self.error, self.solvers, self.nfe, self.local_steps, self.guidance, self.tolerance)
        subject = open_subject(self.folder, self.weights, self.device)
        condition, _ = told(subject, self.condition, asked.n, asked.seed)
        found = check_up(subject, asked, condition, say=say)
        for path in (self.page, self.out):
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
        if self.page is not None:
            text = page(found, subject if draws(subject) else None)
            write_atomically(self.page, lambda partial: partial.write_text(text, encoding="utf-8"))
            say(f"page written to {self.page}")
        if self.out is not None:
            write_json(self.out, found.summary())
            say(f"numbers written to {self.out}")
        print(json.dumps(found.summary()) if self.json else table(found))
