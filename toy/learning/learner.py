"""Small networks trained on a scene while somebody watches: a `Learner` can be stepped, paused, looked at in between and set back to an earlier snapshot.

    learner = Learner(Scene(prior="conditional"), LearningOptions(iterations=3000))
    learner.run(500)
    early = learner.snapshot()
    learner.run()
    velocity = learner.field().velocity        # velocity(x, t, condition), as exact fields have it

Each network is a function of the scene, the options and its own seed: the same seed gives the same network bit for bit. Networks that train together share a
batched tensor and nothing else.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lab.losses import time_law
from lab.random import generator
from lab.solvers import solve
from toy.blocks import PairedField
from toy.drawn_pairs import LabelledPairs, draw_pairs
from toy.learning.networks import Architecture, LearnedField, Moments, Scaling, perceptron
from toy.learning.options import LearningOptions
from toy.learning.pairs import (
    FRESH_STREAM,
    REFLOW_STREAM,
    LoomPairs,
    PairPool,
    PairStream,
    draw_starts,
    scene_stream,
)
from toy.scene import Scene
from toy.world import World, world

TIME_STREAM, MOMENTS_STREAM = 0x4E4E20, 0x4E4E21
BLOCK = 32  # iterations whose pairs are drawn at once: a few large tensors cost a tenth of many small ones
MOMENTS_FROM = 2**14  # pairs whose moments scale a network's inputs and outputs
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # Adam's, Kingma & Ba 2015


@dataclass(frozen=True)
class Snapshot:
    """Everything that training goes on from, at `iteration` of `round`. Its tensors are copies, never changed."""

    round: int
    iteration: int
    parameters: Float[Tensor, "s p"]
    average: Float[Tensor, "s p"]
    first: Float[Tensor, "s p"]
    second: Float[Tensor, "s p"]
    stream: PairStream
    stream_state: Any
    finished: tuple["TrainedRound", ...]


@dataclass(frozen=True)
class TrainedRound:
    """Networks after a whole round: their averaged weights (S, P), the pairs that they were trained on, and the training loss (S,) of every iteration.

    The loss is that of F's unit targets (toy.learning.networks): mean squared error of the velocity over r(t)^2.
    """

    round: int
    architecture: Architecture
    parameters: Float[Tensor, "s p"]
    scaling: Scaling
    stream: PairStream
    losses: Float[Tensor, "k s"]

    def field(self, network: int = 0, dtype: torch.dtype = torch.float64) -> LearnedField:
        """The velocity of one network."""
        return LearnedField(self.architecture, self.parameters[network : network + 1], self.scaling, dtype=dtype)

    def fields(self, dtype: torch.dtype = torch.float32) -> LearnedField:
        """The velocities of all networks at once, on x (S, B, 2)."""
        return LearnedField(self.architecture, self.parameters, self.scaling, one=False, dtype=dtype)


class Learner:
    """Networks in training on a scene.

    t is drawn by the time law on [0, 1], on VP and VE on [0, 1 - 1e-5], in strata over each batch; the loss is that of the velocity over r(t)^2 (see networks), which weighs all
    times alike where the conditional velocity is unbounded. Adam, the learning rate falling to zero along a cosine; what is looked at is a moving average of the weights.
    """

    def __init__(self, scene: Scene, options: LearningOptions | None = None) -> None:
        self.scene, self.options = scene, options or LearningOptions()
        self.made: World = world(scene)
        self.seeds = self.options.seed_list
        classes = self.made.target.class_count if self.made.sees_class else 0
        self.architecture = Architecture(self.options.width, self.options.depth, classes)
        self.scaling = Scaling(_moments(self.made), self.made.path)
        self._law = time_law(self.options.time_law)
        self._block: tuple[int, Tensor, Tensor] | None = None
        self._losses: list[Tensor] = []
        self.finished: tuple[TrainedRound, ...] = ()
        self._begin(0, self._first_stream(), self.architecture.begin(self.seeds))

    @property
    def done(self) -> bool:
        """Whether every round is trained."""
        return self.total == self.budget

    @property
    def total(self) -> int:
        """Iterations so far, over all rounds."""
        return self.round * self.options.iterations + self.iteration

    @property
    def budget(self) -> int:
        """Iterations of all rounds."""
        return (self.options.reflow + 1) * self.options.iterations

    @property
    def losses(self) -> Float[Tensor, "k s"]:
        """The training loss of every network at every iteration so far."""
        return torch.stack(self._losses) if self._losses else torch.empty(0, len(self.seeds))

    def run(self, iterations: int | None = None, progress: Callable[["Learner"], None] | None = None) -> None:
        """Trains for so many iterations, or to the end of the budget; `progress` is called after each. Going on after a pause is as if there had been none, bit for bit."""
        if iterations is not None and iterations < 0:
            raise ValueError(f"iterations={iterations} must not be negative")
        left = self.budget - self.total
        for _ in range(left if iterations is None else min(iterations, left)):
            if self.iteration == self.options.iterations:
                self._next_round()
            self._step()
            if self.iteration == self.options.iterations:
                self.finished = (*self.finished, self.now())
            if progress is not None:
                progress(self)

    def now(self) -> TrainedRound:
        """The networks as they are, for a look in between."""
        start = self.round * self.options.iterations
        return TrainedRound(self.round, self.architecture, self.average.clone(), self.scaling, self.stream, self.losses[start:])

    def field(self, network: int = 0, dtype: torch.dtype = torch.float64) -> LearnedField:
        """The present velocity of one network (its averaged weights)."""
        return self.now().field(network, dtype)

    def snapshot(self) -> Snapshot:
        """A copy of everything, to go back to."""
        return Snapshot(
            self.round,
            self.iteration,
            self.parameters.clone(),
            self.average.clone(),
            self._first.clone(),
            self._second.clone(),
            self.stream,
            self.stream.state(),
            self.finished,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Goes back (or forth) to a snapshot of this learner, or of one with the same scene and options."""
        if snapshot.parameters.shape != self.parameters.shape:
            raise ValueError(
                f"snapshot holds networks {tuple(snapshot.parameters.shape)}, this learner {tuple(self.parameters.shape)}: it is of another one"
            )
        self._begin(snapshot.round, snapshot.stream, snapshot.parameters.clone())
        self.iteration = snapshot.iteration
        for mine, kept in ((self.average, snapshot.average), (self._first, snapshot.first), (self._second, snapshot.second)):
            mine.copy_(kept)
        self.stream.restore(snapshot.stream_state)
        self.finished = snapshot.finished
        del self._losses[self.total :]

    def _begin(self, round_: int, stream: PairStream, parameters: Float[Tensor, "s p"]) -> None:
        self.round, self.iteration, self.stream = round_, 0, stream
        self.parameters = parameters
        self.average, self._first, self._second = parameters.clone(), torch.zeros_like(parameters), torch.zeros_like(parameters)
        # Leaves that share the parameters' memory: one update moves all of them.
        self._leaves = [(m.detach().requires_grad_(), b.detach().requires_grad_()) for m, b in self.architecture.layers(parameters)]
        self._block = None

    def _first_stream(self) -> PairStream:
        o = self.options
        if o.method == "scene":
            return scene_stream(self.made, self.seeds)
        return LoomPairs(
            self.made,
            self.seeds,
            data=o.data,
            caches=o.caches,
            ot_batch=o.ot_batch,
            train_batch=o.train_batch,
            per_class=o.method == "class-loom",
        )

    def _next_round(self) -> None:
        stream = reflow_stream(self.made, self.finished[-1], self.options)
        anew = self.options.reflow_start == "scratch"
        start = self.architecture.begin(self.seeds, self.round + 1) if anew else self.average.clone()
        self._begin(self.round + 1, stream, start)

    def _step(self) -> None:
        inputs, targets = self._batch()
        o, flat = self.options, [tensor for layer in self._leaves for tensor in layer]
        losses = (perceptron(self._leaves, inputs) - targets).square().mean((1, 2))
        gradients = torch.autograd.grad(losses.sum(), flat)
        gradient = torch.cat([g.flatten(1) for g in gradients], dim=1)
        self.iteration += 1
        i = self.iteration
        rate = o.learning_rate * 0.5 * (1 + cos(pi * (i - 1) / o.iterations))
        self._first.lerp_(gradient, 1 - BETA_1)
        self._second.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
        step = rate * (1 - BETA_2**i) ** 0.5 / (1 - BETA_1**i)
        self.parameters.addcdiv_(self._first, self._second.sqrt().add_(EPSILON), value=-step)
        self.average.lerp_(self.parameters, 1 - min(o.average, i / (i + 9)))
        self._losses.append(losses.detach())

    def _batch(self) -> tuple[Float[Tensor, "s b features"], Float[Tensor, "s b 2"]]:
        """Inputs and targets of F at the present iteration, from the block of iterations that it lies in."""
        size = self.options.train_batch
        count = self.stream.block_size or BLOCK * size
        number, place = divmod(self.iteration, count // size)
        if self._block is None or self._block[0] != number:
            made = [self._made(network, number, count) for network in range(len(self.seeds))]
            inputs, targets = (torch.stack(parts) for parts in zip(*made, strict=True))
            self._block = (number, inputs, targets)
        rows = slice(place * size, (place + 1) * size)
        _, inputs, targets = self._block
        return inputs[:, rows], targets[:, rows]

    def _made(self, network: int, number: int, count: int) -> tuple[Float[Tensor, "n features"], Float[Tensor, "n 2"]]:
        number += self.round << 32
        pairs = self.stream.block(network, number, count)
        t = self._times(network, number, count)
        sample = self.made.path.sample(x_0=pairs.x_0, x_1=pairs.x_1, t=t)
        scaled = self.scaling.at(t)
        away = sample.x_t - scaled.centre
        target = (sample.dx_t - scaled.drift - scaled.slope * away) / scaled.residual
        return self.architecture.inputs(away / scaled.size, t, pairs.condition).float(), target.float()

    def _times(self, network: int, number: int, count: int) -> Float[Tensor, " n"]:
        """Times of a block: in every batch one in each of as many strata, in random order."""
        g, size = generator(self.seeds[network], number, TIME_STREAM), self.options.train_batch
        stratum = torch.rand(count // size, size, generator=g).argsort(1)
        u = (stratum + torch.rand(count // size, size, dtype=torch.float64, generator=g)) / size
        return self._law.from_uniforms(u.flatten()) * self.made.path.last_time


def _moments(made: World) -> Moments:
    """Of the scene's own pairs: the same for every network, method and round, so that networks do not depend on their company."""
    if isinstance(made.field, PairedField):
        return Moments.of(made.field.x_0, made.field.x_1)
    pairs = draw_pairs(made, MOMENTS_FROM, generator(made.scene.seed, 0, MOMENTS_STREAM))
    return Moments.of(pairs.x_0, pairs.x_1)


def reflow_stream(made: World, trained: TrainedRound, options: LearningOptions) -> PairPool:
    """Pairs for the next round: x_0 with its class as sampling draws them, x_1 where the trained network's flow takes it. The condition is kept. Source: Liu et al. 2022."""
    velocity = trained.fields().velocity
    seeds = options.seed_list

    def flow(networks: list[int], count: int, stream: int) -> list[LabelledPairs]:
        drawn = [draw_starts(made, count, generator(seeds[n], trained.round, stream)) for n in networks]
        x_0, condition = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        # All networks move, for they are one tensor; those not asked for move copies of the first.
        place = torch.zeros(len(seeds), dtype=torch.int64)
        place[networks] = torch.arange(len(networks))
        told = condition[place] if made.sees_class else None
        span = (0.0, made.path.last_time)
        with torch.no_grad():
            run = solve(
                velocity,
                made.path.start(x_0[place]),
                method=options.reflow_solver,
                nfe=options.reflow_nfe,
                condition=told,
                path=made.path,
                t_span=span,
            )
        return [LabelledPairs(x_0[i], run.end[n], condition[i]) for i, n in enumerate(networks)]

    name = f"{options.reflow_pairs} pairs of round {trained.round}'s flow ({options.reflow_solver}, {options.reflow_nfe} evaluations)"
    pools = flow(list(range(len(seeds))), options.reflow_pairs, REFLOW_STREAM)
    return PairPool(name, pools, seeds, one_to_one=True, measured=lambda network, count: flow([network], count, FRESH_STREAM)[0])


@dataclass(frozen=True)
class Learned:
    """A scene's trained networks, round by round, and the seconds that training took (making the pairs included)."""

    scene: Scene
    world: World
    options: LearningOptions
    rounds: tuple[TrainedRound, ...]
    seconds: float

    def field(self, network: int = 0) -> LearnedField:
        """The velocity of one network after the last round."""
        return self.rounds[-1].field(network)


def train(scene: Scene, options: LearningOptions | None = None, progress: Callable[[Learner], None] | None = None) -> Learned:
    """Trains the networks of a scene to the end of the budget: 3,000 iterations of a 3 x 128 network take about 5 s on one core (tests/bench/learning.py).

    Raises ValueError for scenes that cannot be built and options that do not fit together.
    """
    start = time.perf_counter()
    learner = Learner(scene, options)
    learner.run(progress=progress)
    return Learned(scene, learner.made, learner.options, learner.finished, time.perf_counter() - start)
