"""Networks trained on one or two scenes in a process of their own, looked at while they learn.

Two scenes are trained in turns, a few iterations each, so that they are always at the same iteration of the same budget. What is said meanwhile goes through the pipe as
(name, numbers, grids): `started`, `progress`, `snapshot` (with the bytes of a grid for each side), `paused`, `resumed`, `measuring`, `report`,
`end`, `error`. The words "pause", "resume" and
"stop" come back. When the pipe is closed from the other end, the process ends.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, fields
from multiprocessing.connection import Connection
from typing import Any

import torch

from app.tasks.grids import FINAL_BYTES, LIVE_BYTES, pack_grid, sized
from app.tasks.learning_limits import LIMITS
from app.tasks.scenes import LONGEST, plain, scene_from
from lab.checks import unknown
from lab.losses import time_law
from toy.learning.grids import GridField, grid_error, on_grid
from toy.learning.learner import Learned, Learner
from toy.learning.options import LearningOptions
from toy.learning.pairs import LoomPairs
from toy.learning.report import measure_losses, report
from toy.scene import Scene
from toy.world import particles

SIDES = ("a", "b")
KEPT = 40  # snapshots; when there are more, every second one is let go
FIRST_EVERY, PROGRESS_EVERY = 1.0, 0.4  # seconds
TURN = 10  # iterations of one network before the other's turn: some 20 ms
LOOKED_AT = 2000  # pairs that a snapshot's losses are means over
FLOOR_PAIRS = 4096
ENDS = 1000  # particles that the last grid's ends are compared on


class Gone(Exception):
    """Nobody listens any more."""


def check(given: Mapping[str, Any]) -> dict[str, Any]:
    """{scenes, options}: whether they can be trained, the options as they will be used, and a sentence for each that was cut to a page's limits."""
    scenes = _scenes(given)
    wanted = {} if given.get("options") is None else given["options"]
    if not isinstance(wanted, Mapping):
        raise ValueError("options must be an object with the fields of toy's LearningOptions")
    kinds, notes = {f.name: f.type for f in fields(LearningOptions)}, []
    values: dict[str, Any] = {}
    for name, value in wanted.items():
        if name not in kinds:
            raise ValueError(unknown("option", str(name)[:100], kinds))
        values[name] = _option(name, value, kinds[name])
        if name in LIMITS and values[name] > LIMITS[name]:
            notes.append(f"{name}={values[name]} is more than a page may ask for; {LIMITS[name]} is used")
            values[name] = LIMITS[name]
    options = LearningOptions(**values)
    for scene in scenes:
        if scene.coupling != "independent" and options.method != "scene":
            raise ValueError(
                f"method={options.method!r} makes a coupling of its own and has no use for coupling={scene.coupling!r}; leave that independent"
            )
    return {"options": asdict(options), "notes": notes + options.idle()}


def _option(name: str, value: object, kind: object) -> Any:
    """The value as the option's own type; ValueError where it is of another. JavaScript has one kind of number: 3.0 is whole."""
    if kind is str:
        if isinstance(value, str) and len(value) <= LONGEST:
            return value
        raise ValueError(f"{name} must be a name of at most {LONGEST} characters")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number")
    if kind is int and value != int(value):
        raise ValueError(f"{name}={value} must be a whole number")
    return int(value) if kind is int else float(value)


def train(given: Mapping[str, Any], pipe: Connection) -> None:
    """Trains to the end of the budget, or until told to stop, then measures; everything is said through the pipe."""
    try:
        _Session(_scenes(given), LearningOptions(**given["options"]), pipe).run()
    except (Gone, BrokenPipeError, EOFError, ConnectionResetError):
        return
    except ValueError as error:
        pipe.send(("failed", {"error": str(error)}, []))


def _scenes(given: Mapping[str, Any]) -> list[Scene]:
    found = given.get("scenes")
    if not isinstance(found, list) or not 1 <= len(found) <= len(SIDES):
        raise ValueError("scenes must be a list of one scene or two")
    return [scene_from(scene) for scene in found]


class _Side:
    """One scene's network, and what is measured of it on the way."""

    def __init__(self, scene: Scene, options: LearningOptions) -> None:
        self.learner = Learner(scene, options)
        self._seen, self._round = 0, -1
        self._recent: float | None = None

    def loss(self) -> dict[str, Any]:
        """The mean training loss since it was last asked for, and its floor in the same units (those of a network's own targets); None where it is not known beforehand."""
        learner = self.learner
        if learner.round != self._round:
            self._measure_round()
        if learner.total > self._seen:
            self._recent = float(learner.losses[self._seen :].mean())
            self._seen = learner.total
        return {"loss": self._recent, "floor": self._floor}

    def look(self) -> dict[str, Any]:
        """`loss`, and the field error against the exact field: over all t, and at each of the times t. None for LOOM, whose own marginal velocity is
        fitted to the table at the end."""
        said = self.loss()
        if not self._known:
            return said | {"field_rms": None, "relative": None, "t": [], "rms": [], "measured_loss": None, "measured_floor": None}
        with torch.no_grad():
            found = measure_losses(self.learner.field(0, torch.float32).velocity, self._exact, self._pairs, self.learner.made, self._kind)
        return said | {
            "field_rms": found.field_rms,
            "relative": found.relative,
            "t": list(found.t),
            "rms": list(found.rms),
            "measured_loss": found.loss,
            "measured_floor": found.floor,
        }

    def grid(self, most_bytes: int) -> GridField:
        """The present velocity on as fine a grid as the bytes allow."""
        if self.learner.round != self._round:
            self._measure_round()
        learner = self.learner
        n, times = sized(max(1, learner.architecture.classes), most_bytes)
        velocity = learner.field(0, torch.float32).velocity
        classes, last = learner.architecture.classes, learner.made.last_time
        return on_grid(velocity, self._pairs, learner.made.path, classes=classes, last_time=last, nx=n, ny=n, times=times)

    def report(self, seconds: float, grid: GridField) -> dict[str, Any]:
        """toy's report of the network as it is, and the shares of its error: RMSE of ends for model and solver, the median of ends for the grid that was sent."""
        learner = self.learner
        rounds = learner.finished if learner.done else (*learner.finished, learner.now())
        found = report(Learned(learner.scene, learner.made, learner.options, rounds, seconds), grid=False)
        shown, path = particles(learner.made, ENDS), learner.made.path
        with torch.no_grad():
            lost = grid_error(
                grid,
                learner.field().velocity,
                self._pairs,
                path,
                path.start(shown.x_0),
                learner.made.condition(shown),
                last_time=learner.made.last_time,
            )
        shares = {"solver": found.solver.rmse, "model": found.model.rmse, "grid": lost.end_median}
        return {"shares": shares, "report": found.summary() | {"grid": asdict(lost)}}

    def _measure_round(self) -> None:
        learner, made = self.learner, self.learner.made
        self._round, stream = learner.round, learner.stream
        self._known = not isinstance(stream, LoomPairs)
        self._pairs = stream.fresh(0, LOOKED_AT)
        self._exact = None if stream.one_to_one or not self._known else made.field.velocity
        self._kind = "one-to-one" if stream.one_to_one else "exact" if made.fitted is None else "fitted"
        self._floor: float | None = 0.0 if stream.one_to_one else None
        if self._exact is None:
            return
        with torch.no_grad():
            pairs = stream.fresh(0, FLOOR_PAIRS)
            u = (torch.arange(len(pairs), dtype=torch.float64) + 0.5) / len(pairs)
            t = time_law(learner.options.time_law).from_uniforms(u[torch.arange(len(pairs)) * 1021 % len(pairs)]) * made.path.last_time
            s = made.path.sample(x_0=pairs.x_0, x_1=pairs.x_1, t=t)
            told = pairs.condition if made.sees_class else None
            left = (s.dx_t - self._exact(s.x_t, t, told)) / learner.scaling.at(t).residual
            self._floor = float(left.square().mean())


class _Session:
    """One or two networks in training, their snapshots, and the pipe."""

    def __init__(self, scenes: list[Scene], options: LearningOptions, pipe: Connection) -> None:
        self._pipe, self._options = pipe, options
        self._say("preparing", {"sides": len(scenes)})
        self._sides = [_Side(scene, options) for scene in scenes]
        self._first = self._sides[0].learner
        self._paused = self._stopped = False
        self._kept: list[int] = []
        self._every, self._taken = FIRST_EVERY, 0
        self._trained = 0.0  # seconds, pauses left out

    def run(self) -> None:
        first = self._first
        self._say(
            "started",
            {
                "budget": first.budget,
                "parameters": first.architecture.count,
                "seed": first.seeds[0],
                "classes": [side.learner.architecture.classes for side in self._sides],
                "options": asdict(self._options),
            },
        )
        self._snapshot(LIVE_BYTES)
        said = taken = time.perf_counter()
        while not first.done and not self._stopped:
            self._listen()
            began = time.perf_counter()
            for side in self._sides:
                side.learner.run(TURN)
            now = time.perf_counter()
            self._trained += now - began
            if now - said >= PROGRESS_EVERY or first.done:
                said = now
                self._say("progress", self._where() | {"sides": [side.loss() for side in self._sides]})
            if now - taken >= self._every and not first.done:
                self._snapshot(LIVE_BYTES)
                taken = time.perf_counter()
        grids = self._snapshot(FINAL_BYTES)
        for name, side, grid in zip(SIDES, self._sides, grids, strict=False):
            self._say("measuring", {"side": name})
            self._say("report", {"side": name} | side.report(self._trained, grid))
        self._say("end", self._where() | {"why": "stopped" if self._stopped else "done"})

    def _listen(self) -> None:
        while self._pipe.poll(None if self._paused else 0):
            word = self._pipe.recv()  # EOFError: the server has gone
            if word == "stop":
                self._stopped, self._paused = True, False
                return
            if (word == "pause") != self._paused:
                self._paused = word == "pause"
                if self._paused:
                    self._snapshot(LIVE_BYTES)
                self._say("paused" if self._paused else "resumed", self._where())
            if not self._paused:
                return

    def _snapshot(self, most_bytes: int) -> list[GridField]:
        """Says how the networks stand, with their grids. Of more than KEPT snapshots every second one is let go, and from then on they are taken half as often."""
        if len(self._kept) == KEPT:
            self._kept = self._kept[::2]
            self._every *= 2
        k, self._taken = self._taken, self._taken + 1
        self._kept.append(k)
        grids = [side.grid(most_bytes) for side in self._sides]
        numbers = self._where() | {"k": k, "kept": self._kept, "sides": [side.look() for side in self._sides]}
        packed = [
            pack_grid(grid, {"k": k, "side": name, "iteration": self._first.total, "round": self._first.round})
            for name, grid in zip(SIDES, grids, strict=False)
        ]
        self._say("snapshot", numbers, packed)
        return grids

    def _where(self) -> dict[str, Any]:
        first = self._first
        return {"iteration": first.total, "budget": first.budget, "round": first.round, "seconds": self._trained}

    def _say(self, name: str, numbers: dict[str, Any], grids: list[bytes] | None = None) -> None:
        self._pipe.send((name, plain(numbers), grids or []))
