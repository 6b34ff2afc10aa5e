"""An evaluation: which rows there are, and all that has to be stated about them for somebody else to get the same numbers.

Rows: "real against real" (other real pictures in the place of generated ones: what a perfect model would get), "round trip" (the same through the autoencoder: what a
perfect model of the latents would get), "prior alone" (x_0 decoded, zero evaluations), the solver at each budget, and the adaptive solver. All samples of a seed start
from the same x_0 and are told the same, whatever the row.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lab.command_line import duration
from lab.random import generator
from trainers.bars import bar
from trainers.diffusion import DIFFUSION, RANDOM
from trainers.evaluation import scores
from trainers.evaluation.conditions import conditions
from trainers.evaluation.flow_measures import Flow, Likelihood, follow, likelihood, solver_error
from trainers.evaluation.forecast import forecast
from trainers.evaluation.moments import LARGEST, Moments, moments_of
from trainers.evaluation.options import Options, plan, with_recipe
from trainers.evaluation.real_pictures import Pictures, real_pictures
from trainers.evaluation.references import READ
from trainers.evaluation.samples import Sampler
from trainers.evaluation.scores import Score
from trainers.evaluation.subject import Subject
from trainers.features import Clip, Features, load_features
from trainers.files import sha256_of
from trainers.sampling import start

VERSION = 1
SOON = ("one_nn", "frechet", "kernel")  # scores that a row is announced with, before the table
CLOSEST = 8
SUBSETS, PROBES = 0x45564C20, 0x45564C21  # streams of an evaluation's seed


@dataclass(frozen=True)
class Row:
    """One set of pictures and its scores. nfe: evaluations of the network for each sample, counted; None for real pictures. closest: to training pictures."""

    name: str
    nfe: float | None
    count: int
    scores: dict[str, Score]
    solver_error: dict[str, Any] | None = None
    closest: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class Evaluation:
    """Protocol, rows, and what was measured of the flow; `notes` are sentences that a reader of the numbers needs."""

    protocol: dict[str, Any]
    rows: list[Row]
    flow: Flow | None
    likelihood: Likelihood | None
    notes: list[str]

    def summary(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "version": VERSION,
            "protocol": self.protocol,
            "rank_by": "one_nn",
            "never_rank_by": ["latents_frechet"],
            "rows": [asdict(row) for row in self.rows],
            "flow": None if self.flow is None else self.flow.summary(),
            "likelihood": None if self.likelihood is None else self.likelihood.summary(),
            "notes": self.notes,
        }


def evaluate(subject: Subject, options: Options, say: Callable[[str], None] = print) -> Evaluation:
    """Evaluates a checkpoint. Raises ValueError, before anything slow, for options that do not go together and files that are not there."""
    started = time.perf_counter()
    study = Study(subject, options, say)
    say(forecast(subject, study.plan, study.options, study.conditions, study.features))
    rows = study.with_errors(study.rows())
    flow, found = study.followed(), study.likelihood()
    return Evaluation(study.protocol(time.perf_counter() - started), rows, flow, found, study.notes())


class Study:
    """One evaluation while it goes on."""

    def __init__(self, subject: Subject, options: Options, say: Callable[[str], None]) -> None:
        options = with_recipe(subject, options)
        self.say = say
        self.subject, self.options, self.plan = subject, options, plan(subject, options)
        recipe, device = subject.recipe, str(subject.device)
        self.features: Features = load_features(
            options.features or recipe.sampling.features,
            channels=recipe.data.channels,
            size=recipe.data.size,
            device=device,
            torchscript=options.features is not None,
            sha256=options.features_sha256,
        )
        self.clip = _clip(options.clip, device) if "clip" in self.plan.measures and options.clip is not None else None
        self.real = real_pictures(subject, self.plan, options, self.features, say)
        self.conditions = conditions(subject, self.real.images, self.plan.seed)
        self.sampler = Sampler(
            subject, self.plan, self.conditions, self.features, self.clip, options.tolerance, with_latents=self.real.latents is not None
        )
        self.failed: list[str] = []
        self.unresolved: list[str] = []
        self.ends: dict[str, Tensor] = {}  # of the first samples of the rows whose solver errors are measured

    def wants(self, measure: str) -> bool:
        return measure in self.plan.measures

    def rows(self) -> list[Row]:
        """All of them, in order."""
        found = []
        for row in self._rows():
            told = ", ".join(f"{name} {row.scores[name].value:.3g}" for name in SOON if name in row.scores)
            self.say(f"{row.name}: {told or 'drawn'} ({duration(row.seconds)})")
            found.append(row)
        return found

    def _rows(self) -> Iterator[Row]:
        if self.wants("real"):
            yield self._real()
        if self.wants("round-trip") and self.subject.recipe.autoencoder.kind != "none":
            yield self._round_trip()
        if self.wants("prior"):
            yield self._generated("prior alone", 0)
        for n in self.plan.budgets:
            yield self._generated(f"{self.plan.solver} {n}", n)
        if self.options.adaptive:
            yield self._generated(f"dopri5 at {self.options.tolerance:g}", None)

    @cached_property
    def _swap(self) -> tuple[Pictures, int, Tensor, Moments | None]:
        """Real pictures in the place of generated ones: whose, and the first how many. And what they are compared with: the split, or its other half where it is all there is."""
        split, other = self.real.split, self.real.other
        assert split is not None
        y, moments = split.features.features, self.real.moments
        if other is not None:
            return other, min(self.plan.count, len(other.features.features)), y.double(), moments
        half = len(y) // 2
        return split, half, y[half:].double(), moments_of(y[half:]) if y.shape[1] <= LARGEST else None

    def _real(self) -> Row:
        """What pictures that nobody made would get."""
        pictures, count, y, moments = self._swap
        x = pictures.features.features[:count].double()
        return Row(
            "real against real" if self.real.other is not None else "real against real, halves", None, count, self._against(x, y, moments)
        )

    def _round_trip(self) -> Row:
        """The same pictures through the autoencoder and back: what a perfect model of the latents would get."""
        started = time.perf_counter()
        pictures, count, y, moments = self._swap
        found = []
        with bar(count, "round trip", "pictures") as shown:
            for rows in pictures.features.index[:count].split(READ):
                pixels = torch.from_numpy(pictures.images.read(rows.tolist()).pixels)
                found.append(self.features(self.subject.decode(self.subject.encode(pixels))))
                shown.update(len(rows))
        scored = self._against(torch.cat(found).float().double(), y, moments)
        return Row("round trip", None, count, scored, seconds=time.perf_counter() - started)

    def _generated(self, name: str, nfe: int | None) -> Row:
        """Samples at a budget; nfe 0: x_0 itself; None: the adaptive solver."""
        started = time.perf_counter()
        drawn = self.sampler.draw(name, nfe)
        x, real = drawn.features.double(), self.real
        found = self._against(x, None if real.split is None else real.split.features.features.double(), real.moments)
        if drawn.clip is not None and drawn.texts is not None:
            found["clip"] = scores.clip_score(drawn.clip, drawn.texts)
        if drawn.latents is not None and real.latents is not None and real.latents.moments is not None:
            found["latents_frechet"] = Score(scores.frechet(drawn.latents, real.latents.moments))
        closest = self._nearest(x, found)
        if nfe != 0 and (self.plan.solver not in RANDOM or nfe is None):  # none for x_0, and none where steps are random
            self.ends[name] = drawn.x
        return Row(name, drawn.nfe, self.plan.count, found, None, closest, time.perf_counter() - started)

    def _against(self, x: Tensor, real: Tensor | None, moments: Moments | None) -> dict[str, Score]:
        """Scores of features x, equal n where a score needs it. Every row draws the same subsets."""
        found: dict[str, Score] = {}
        if moments is not None and self.wants("frechet"):
            own = moments_of(x)
            found["frechet"] = Score(scores.frechet(own, moments), scores.frechet_error(x, own, moments))
        if real is None:
            return found
        n = min(len(x), len(real))
        a, b, drawing = x[:n], real[:n], generator(self.plan.seed, 0, SUBSETS)
        if self.wants("kernel") and n >= 4:
            found["kernel"] = scores.kernel(x, real, generator=drawing)
        if self.wants("one-nn") and n >= 2:
            found["one_nn"] = scores.one_nn(a, b, generator=drawing)
        if self.wants("precision-recall") and n > scores.NEAREST:
            found["precision"], found["recall"] = scores.precision_recall_of(a, b, generator=drawing)
        if self.wants("coverage") and n > scores.NEAREST_REAL:
            found["coverage"] = scores.coverage_of(a, b, generator=drawing)
        return found

    def _nearest(self, x: Tensor, found: dict[str, Score]) -> list[dict[str, Any]]:
        """How far training pictures are, into `found`; and the generated pictures that lie closest to one."""
        pictures = self.real.training(self.subject.recipe.data.train_split) if self.wants("nearest") else None
        if pictures is None:
            return []
        training, held_out = pictures
        among = training.features.features
        near = scores.nearest(x, among)
        usual = scores.nearest(held_out.features.features[: self.plan.count], among).distance
        ratio = scores.memorisation_ratio(near.distance, usual)
        if ratio is not None:
            found["memorisation_ratio"] = Score(ratio)
        found["nearest_distance"] = Score(float(near.distance.median()))
        found["nearest_distance_of_held_out"] = Score(float(usual.median()))
        order = near.distance.argsort()[:CLOSEST].tolist()
        which = [int(training.features.index[near.which[i]]) for i in order]
        return [
            {"sample": i, "picture": picture, "name": training.images.name(picture), "distance": float(near.distance[i])}
            for i, picture in zip(order, which, strict=True)
        ]

    def with_errors(self, rows: list[Row]) -> list[Row]:
        """The rows with their solvers' errors, against ends that are exact enough for all of them."""
        if not self.wants("solver-error") or not self.ends or self._flow is None:
            return rows
        flow = self._flow
        errors = {name: solver_error(ends, flow) for name, ends in self.ends.items()}
        self.unresolved = [name for name, error in errors.items() if not error.resolved]
        found = {name: asdict(error) | {"resolved": error.resolved, "n": len(self.ends[name])} for name, error in errors.items()}
        return [replace(row, solver_error=found.get(row.name)) for row in rows]

    @cached_property
    def _flow(self) -> Flow | None:
        """The exact flow from the first samples' x_0, which are the same in every row; none, with a note, where the adaptive solver cannot hold its tolerance."""
        few = torch.arange(self.plan.flow_count)
        told = self.conditions.of(few).condition
        x_0 = start(self.subject, few, told, self.plan.seed)
        judged = list(self.ends.values()) if self.wants("solver-error") else []
        try:
            return follow(self.subject, x_0, told, guidance=self.plan.guidance, finest=self.plan.exact, judged=judged)
        except ValueError as error:
            self.failed.append(f"no exact end points, so no solver error and no measures of the flow: {error}")
            return None

    def followed(self) -> Flow | None:
        """What the flow is like."""
        return self._flow if self.wants("flow") or self.wants("solver-error") else None

    def likelihood(self) -> Likelihood | None:
        """Of pictures of the split; none, with a note, where the prior has no density."""
        images = self.real.images
        if not self.wants("likelihood") or images is None:
            return None
        index = torch.arange(len(images)) if self.real.split is None else self.real.split.features.index
        batch = images.read(index[: self.options.likelihood_count].tolist())
        told = self.conditions.of_real(images, batch.index.tolist())
        try:
            return likelihood(
                self.subject,
                torch.from_numpy(batch.pixels),
                told,
                generator=generator(self.plan.seed, 0, PROBES),
                tolerance=self.options.likelihood_tolerance,
            )
        except ValueError as error:
            self.failed.append(f"no likelihood: {error}")
            return None

    def notes(self) -> list[str]:
        """Sentences that a reader of the numbers needs."""
        count, dimension, found = self.plan.count, self.features.dimension, [*self.real.notes, *self.failed]
        if self.unresolved:
            found.append(
                f"the exact ends are too coarse to tell the solver error of {', '.join(self.unresolved)} to a tenth; finer, and slower: --exact {self.plan.exact / 10:g}"
            )
        if self.plan.solver in DIFFUSION and self.plan.solver not in RANDOM and self.ends:
            found.append(
                f"{self.plan.solver} ends with the data that its last step predicts, the exact flow at t = {self.subject.last_time:g} with the noise that is left there: "
                "its solver error holds that difference at every budget, and does not fall to zero"
            )
        if self.wants("frechet") and count <= dimension:
            found.append(
                f"n = {count} is no more than the {dimension} dimensions of the features: the Frechet distance is biased upwards by much, has no standard error, "
                "and compares at equal n only"
            )
        if self.wants("frechet") and self.real.moments is not None and 0 < self.real.moments.count <= dimension:
            found.append(
                f"the reference has {self.real.moments.count} pictures for {dimension} dimensions, which biases the Frechet distance too"
            )
        if self.wants("frechet") and dimension > LARGEST:
            found.append(f"the Frechet distance is left out: a covariance would be of {dimension} dimensions")
        kept = None if self.real.split is None else len(self.real.split.features.features)
        if kept is not None and kept < count and any(map(self.wants, ("one-nn", "precision-recall", "coverage"))):
            found.append(
                f"1-NN accuracy, precision, recall and coverage are of {kept} pictures of each kind, as many as there are real ones"
            )
        training = self.real.training(self.subject.recipe.data.train_split)
        if self.wants("nearest") and training is not None and len(training[0].features.features) < training[0].features.total:
            found.append(f"nearest training pictures are sought among {len(training[0].features.features)} of {training[0].features.total}")
        return found

    def protocol(self, seconds: float) -> dict[str, Any]:
        """Everything that has to be stated."""
        subject, recipe, chosen, images = self.subject, self.subject.recipe, self.plan, self.real.images
        return {
            "recipe": recipe.name,
            "step": subject.step,
            "weights": subject.weights,
            "weights_hash": subject.weights_hash,
            "parameters": subject.parameters,
            "n": chosen.count,
            "seed": chosen.seed,
            "data": recipe.data.reader,
            "split": chosen.split,
            "size": recipe.data.size,
            "preparation": None if images is None else images.preparation,
            "data_fingerprint": None if images is None else images.fingerprint,
            "reference": self._reference(),
            "features": self.features.about(),
            "clip": None if self.clip is None else self.clip.about(),
            "condition": recipe.data.condition,
            "labels_law": self.conditions.law,
            "solver": chosen.solver,
            "grid": chosen.grid,
            "budgets": list(chosen.budgets),
            "adaptive": {"solver": "dopri5", "atol": self.options.tolerance, "rtol": self.options.tolerance}
            if self.options.adaptive
            else None,
            "last_time": subject.last_time,
            "guidance": {"scale": chosen.guidance, "evaluations_per_call": chosen.per_call},
            "measures": list(chosen.measures),
            "pixels": "latents decoded, rounded to 8 bits",
            "seconds": round(seconds, 3),
        }

    def _reference(self) -> dict[str, Any]:
        """What the scores are against; `hash` is that of the statistics, or of the published file."""
        found: dict[str, Any] = {}
        if self.real.split is not None:
            real = self.real.split.features
            found = {"hash": real.hash, "pictures": real.read, "of": real.total, "broken": real.broken, "kept": len(real.features)}
        if self.options.reference is not None:
            found["published"] = {"file": self.options.reference.name, "hash": sha256_of(self.options.reference)}
        return found


def _clip(name: str, device: str) -> Clip:
    found = load_features(name, device=device)
    if not isinstance(found, Clip):
        raise ValueError(f"--clip {name} is not a CLIP model")
    return found
