"""python -m trainers evaluate: scores of a checkpoint."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Options:
    """What to measure, and how. Left out, as the recipe says."""

    nfe: tuple[int, ...] = ()
    """Budgets of network evaluations for each sample; guidance takes two at a time. Unless given: those of 1, 2, 4, 8, 16, 32 that the solver can use exactly.
    Each is a row, which costs so many evaluations of each of n samples, and n pictures decoded and seen by the feature network."""
    count: Annotated[int | None, tyro.conf.arg(name="n")] = None
    """Samples in each row. The recipe's number unless given."""
    solver: str | None = None
    """The recipe's unless given."""
    grid: str | None = None
    """The recipe's unless given."""
    adaptive: bool = False
    """Add a row of dopri5, which takes a hundred evaluations or several for each sample, and exact ends ten times finer than it."""
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
    split: str | None = None
    """train or val: the real pictures to compare with. The recipe's sampling.split unless given."""
    reference: Path | None = None
    """Published statistics for the Frechet distance, an npz file with mu and sigma."""
    measures: tuple[str, ...] = ()
    """All but clip unless given.
    frechet, kernel, one-nn, precision-recall, coverage: seconds, once the features of the split are there (20 ms a picture on one core, kept in --cache).
    latents: the same over latents (35 ms a picture, once). real, nearest: the features of the other split too.
    prior: n pictures decoded (35 ms each) and seen by the feature network. round-trip: n encoded, decoded and seen. clip: each row's n seen by that model too.
    solver-error, flow: one adaptive run of flow-n samples for both, a hundred evaluations each or several.
    likelihood: two adaptive runs of likelihood-n pictures, with gradients: five times a sample's cost."""
    seed: int = 0
    cache: Path | None = None
    """Folder in which statistics of real pictures are kept (references/). Unless given: cache/ beside the run."""
    keep: int = 20_000
    """Real pictures of each split whose features are kept, for all scores but the Frechet distance."""
    flow_count: Annotated[int, tyro.conf.arg(name="flow-n")] = 32
    """Samples along which straightness and solver errors are measured."""
    exact: float | None = None
    """atol = rtol of the end points that solver errors are against, at the finest: from 1e-4 down to this until every row's error is told to a tenth.
    How far off these ends are is measured and printed. Unless given: 1e-5, or, with --adaptive, a tenth of that row's tolerance. A tenth takes up to four times as long."""
    likelihood_count: Annotated[int, tyro.conf.arg(name="likelihood-n")] = 16
    """Real pictures whose likelihood is measured."""
    likelihood_tolerance: float = 1e-3
    """atol = rtol of its integral. How far the likelihoods lie from those at ten times the tolerance is printed."""


@dataclass(frozen=True)
class Evaluate:
    """Score a checkpoint over a ladder of evaluations: distances to real pictures in a feature network, copies, solver error, straightness, likelihood.

    It first says what it measures and about how long that takes here. Shorter: fewer samples (--n), fewer budgets (--nfe), fewer --measures.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """A run's folder (its newest sound checkpoint), or one checkpoint's."""
    measuring: Options = Options()
    weights: str = "ema"
    """ema, ema-DECAY or model (raw)."""
    device: str = "cpu"
    out: Path | None = None
    """JSON file for the result. Unless given: DIR/evaluations/STEP-WEIGHTS-FEATURES-SPLIT.json."""
    json: bool = False
    """Print one JSON object."""

    def go(self) -> None:
        from trainers.cli import say
        from trainers.evaluation import evaluate, table
        from trainers.files import write_json
        from trainers.layout import EVALUATIONS
        from trainers.trained import load_trained

        trained = load_trained(self.folder, self.weights, self.device)
        runs = self.folder if trained.checkpoint.folder != self.folder else self.folder.parent.parent
        found = evaluate(trained, replace(self.measuring, cache=self.measuring.cache or runs.absolute().parent / "cache"), say=say)
        protocol = found.protocol
        name = f"{trained.checkpoint.folder.name}-{self.weights}-{Path(protocol['features']['name']).stem}-{protocol['split']}.json"
        out = self.out or runs / EVALUATIONS / name
        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(out, found.summary())
        print(json.dumps(found.summary()) if self.json else table(found))
        say(f"written to {out}")
