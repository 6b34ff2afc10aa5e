"""python -m trainers evaluate: scores of a checkpoint."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Evaluate:
    """Score a checkpoint over a ladder of evaluations: distances to real pictures in a feature network, copies, solver error, straightness, likelihood."""

    folder: Annotated[Path, tyro.conf.Positional]
    """A run's folder (its newest sound checkpoint), or one checkpoint's."""
    nfe: tuple[int, ...] = ()
    """Budgets of network evaluations for each sample; guidance takes two at a time. Unless given: those of 1, 2, 4, 8, 16, 32 that the solver can use exactly."""
    n: int | None = None
    """Samples in each row. The recipe's number unless given."""
    solver: str | None = None
    """The recipe's unless given."""
    grid: str | None = None
    """The recipe's unless given."""
    adaptive: bool = False
    """Add a row of dopri5."""
    tolerance: float = 1e-5
    """atol = rtol of that row."""
    guidance: float | None = None
    """Scale s of u(null) + s (u(condition) - u(null)); 1 is off. The recipe's unless given."""
    features: str | None = None
    """efficientnet-lite0, efficientnet-lite0-224, pixels, a folder or hub name of DINOv2 or CLIP, or the TorchScript file inception-2015-12-05.pt. The recipe's unless given."""
    features_sha256: str | None = None
    """Of a TorchScript file that is not the known one, and that you trust: it holds a program."""
    clip: str | None = None
    """Folder or hub name of a CLIP model, for the CLIP score of captions or of classes' names."""
    weights: str = "ema"
    """ema, ema-DECAY or model (raw)."""
    split: str | None = None
    """train or val: the real pictures to compare with. The recipe's sampling.split unless given."""
    reference: Path | None = None
    """Published statistics for the Frechet distance, an npz file with mu and sigma."""
    measures: tuple[str, ...] = ()
    """frechet, kernel, one-nn, precision-recall, coverage, nearest, clip, solver-error, flow, likelihood, latents, prior, real, round-trip; all but clip unless given."""
    seed: int = 0
    cache: Path | None = None
    """Folder in which statistics of real pictures are kept (references/). Unless given: cache/ beside the run."""
    keep: int = 20_000
    """Real pictures of each split whose features are kept, for all scores but the Frechet distance."""
    flow_n: int = 32
    """Samples along which straightness and solver errors are measured."""
    exact: float = 1e-6
    """atol = rtol of the end points that solver errors are against."""
    likelihood_n: int = 16
    """Real pictures whose likelihood is measured."""
    device: str = "cpu"
    out: Path | None = None
    """JSON file for the result. Unless given: DIR/evaluations/STEP-WEIGHTS-FEATURES-SPLIT.json."""
    json: bool = False
    """Print one JSON object."""

    def go(self) -> None:
        from trainers.cli import say
        from trainers.evaluation import Options, evaluate, table
        from trainers.files import write_json
        from trainers.trained import load_trained

        trained = load_trained(self.folder, self.weights, self.device)
        runs = self.folder if trained.checkpoint.folder != self.folder else self.folder.parent.parent
        options = Options(
            nfe=self.nfe or None,
            count=self.n,
            solver=self.solver,
            grid=self.grid,
            adaptive=self.adaptive,
            tolerance=self.tolerance,
            guidance=self.guidance,
            features=self.features,
            features_sha256=self.features_sha256,
            clip=self.clip,
            split=self.split,
            reference=self.reference,
            measures=self.measures or None,
            seed=self.seed,
            cache=self.cache or runs.absolute().parent / "cache",
            keep=self.keep,
            flow_count=self.flow_n,
            exact=self.exact,
            likelihood_count=self.likelihood_n,
        )
        found = evaluate(trained, options, say=say)
        protocol = found.protocol
        name = f"{trained.checkpoint.folder.name}-{self.weights}-{Path(protocol['features']['name']).stem}-{protocol['split']}.json"
        out = self.out or runs / "evaluations" / name
        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(out, found.summary())
        print(json.dumps(found.summary()) if self.json else table(found))
        say(f"written to {out}")
