"""What `python -m toy` can do. Bad input ends in one line on standard error and exit status 2."""

import contextlib
import gc
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from lab.command_line import INTERRUPTED, fail, one_line, say
from lab.solvers import check_fixed_step
from toy.demands import CUSTOM
from toy.files import check_writable
from toy.learning.options import LEARNING_CONTROLS, LearningOptions
from toy.progress import Heartbeat, Say
from toy.scene import CONTROLS, Scene


def _option(f: Field) -> tuple[str, Any, Field]:
    about = CONTROLS[f.name].about if f.name in CONTROLS else "the text that the target `letters` spells"
    choices = getattr(CONTROLS.get(f.name), "values", ())
    shown = ", ".join(c for c in choices if c != CUSTOM)
    kind = f.type if isinstance(f.type, type) else str
    assert f.default is not MISSING
    return f.name, Annotated[kind, tyro.conf.arg(help=f"{about}{f': {shown}' if shown else ''}")], field(default=f.default)


SceneOptions: Any = make_dataclass("SceneOptions", [_option(f) for f in fields(Scene) if f.name != "mixture"], frozen=True)


@dataclass(frozen=True)
class Files:
    """A target of your own."""

    mixture: Path | None = None
    """JSON file {weights, means, covariances, classes}: the target."""
    points: Path | None = None
    """CSV file with x, y and, if you like, class: a mixture of at most 64 components is fitted to it."""


@dataclass(frozen=True)
class Measure:
    """Measure one scene against its exact flow: truncation errors, straightness, acceleration, costs, W2."""

    scene: Annotated[SceneOptions, tyro.conf.arg(name="")] = SceneOptions()  # pyright: ignore[reportInvalidTypeForm]  # made from Scene's own fields
    files: Annotated[Files, tyro.conf.arg(name="")] = Files()
    ladder: bool = False
    """Add the error at 1, 2, 3, 4, 6, 8, 12, ... 64 evaluations, and the fitted order."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> None:
        from toy.report import ladder_table, table
        from toy.trace import nfe_ladder, trace

        if self.ladder:
            check_fixed_step(self.scene.solver, "--ladder")
        with Heartbeat(say) as stage:
            traced = trace(_scene(self.scene, self.files, stage), stage)
            stage("measuring at other budgets")
            ladder = nfe_ladder(traced) if self.ladder else None
        if self.json:
            print(json.dumps(traced.summary() | ({"ladder": ladder.summary()} if ladder else {})))
            return
        print(table(traced))
        if ladder:
            print(ladder_table(ladder))


@dataclass(frozen=True)
class Figure:
    """Draw a figure for a paper or a slide, as PNG, SVG or PDF by the file's ending."""

    kind: Annotated[str | None, tyro.conf.Positional] = None
    """trajectories (unless told otherwise), coupling-lines, error, straightness, local-error, prior-sweep, shares."""
    out: Path = Path("figure.png")
    """File to write; with --all, a folder."""
    sees: str | None = None
    """position (unless told otherwise), class or both: what the field sees in the scenes that are compared, where none are given."""
    target: str | None = None
    """Target on which priors and couplings are compared (ring-strips unless told otherwise), where no scenes are given."""
    scene: tuple[str, ...] = ()
    """Scenes to compare, as query strings: --scene "prior=gaussian" "prior=conditional&scale=0.5". Unless given: the priors and couplings of the README."""
    all: bool = False
    """Draw every figure of the README into the folder --out."""

    def run(self) -> None:
        from toy.gallery import draw, draw_all

        if not self.all:
            draw(self.kind or "trajectories", self.out, self.scene, say, sees=self.sees, target=self.target)
            return
        if self.kind or self.sees or self.target or self.scene:
            raise ValueError("--all draws every figure of the README as it is there; leave out the kind, --sees, --target and --scene")
        draw_all(self.out, say)


def _learning_option(f: Field) -> tuple[str, Any, Field]:
    control = LEARNING_CONTROLS[f.name]
    choices = ", ".join(getattr(control, "values", ()))
    assert f.default is not MISSING
    return f.name, Annotated[f.type, tyro.conf.arg(help=f"{control.about}{f': {choices}' if choices else ''}")], field(default=f.default)


LearningFlags: Any = make_dataclass("LearningFlags", [_learning_option(f) for f in fields(LearningOptions)], frozen=True)


@dataclass(frozen=True)
class Train:
    """Train small networks on one scene and measure them: loss by time against its floor, field error against the exact field, where particles end."""

    scene: Annotated[SceneOptions, tyro.conf.arg(name="")] = SceneOptions()  # pyright: ignore[reportInvalidTypeForm]  # made from Scene's own fields
    files: Annotated[Files, tyro.conf.arg(name="")] = Files()
    learning: Annotated[LearningFlags, tyro.conf.arg(name="")] = LearningFlags()  # pyright: ignore[reportInvalidTypeForm]  # from LearningOptions' fields
    out: Path | None = None
    """File ending in .npz to write the first network's velocity into, on a grid of 64 x 64 points and 32 times (one for each class that it is told)."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> None:
        from toy.learning.report import summary, table
        from toy.learning.run import run

        options = LearningOptions(**{f.name: getattr(self.learning, f.name) for f in fields(self.learning)})
        if self.out is not None:
            check_writable(self.out, (".npz",))
        for line in options.idle():
            say(f"note: {line}")
        with Heartbeat(say) as stage:
            scene = _scene(self.scene, self.files, stage)
        learned, reports = run(scene, options, say, self.out)
        print(json.dumps(summary(learned, reports)) if self.json else table(learned, reports))


def _scene(options: Any, files: Files, stage: Say) -> Scene:
    """The scene that the options name, its target read from a file where one is given. Says which options change nothing."""
    values = {f.name: getattr(options, f.name) for f in fields(options)}
    if files.mixture and files.points:
        raise ValueError("--mixture and --points are two targets; give one of them")
    if (files.mixture or files.points) and values["target"] not in (Scene.target, CUSTOM):
        raise ValueError(f"--target {values['target']} and a file are two targets; give one of them")
    if files.mixture:
        from toy.mixtures import Mixture

        text = _text(files.mixture)
        try:
            values |= {"target": CUSTOM, "mixture": Mixture.from_json(text)}
        except ValueError as error:
            raise ValueError(f"{files.mixture}: {error}") from error
    elif files.points:
        from toy.clouds import fit_cloud, read_points

        cloud = read_points(files.points)
        if cloud.unused:
            say(f"note: {files.points}: {', '.join(cloud.unused)} not used; a column of classes is called class")
        fit = fit_cloud(cloud.points, cloud.classes, say=stage)
        say(f"{files.points}: {fit}")
        values |= {"target": CUSTOM, "mixture": fit.mixture}
    elif values["target"] == CUSTOM:
        raise ValueError("--target custom needs its mixture: give --mixture FILE or --points FILE instead")
    scene = Scene(**values)
    for line in scene.idle():
        say(f"note: {line}")
    return scene


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ValueError(f"{path} cannot be read: {reason}") from error


def main(arguments: Sequence[str]) -> int:
    """Runs the command line; returns the exit status: 0, or 2 after one line that says what was wrong with the input."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            command = tyro.cli(
                Measure | Figure | Train,  # pyright: ignore[reportArgumentType]  # tyro reads unions of dataclasses as subcommands
                args=list(arguments),
                prog="python -m toy",
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
            )
    except SystemExit as ended:
        if ended.code in (0, None):
            return 0
        return fail(one_line(complaint.getvalue()))
    import torch

    torch.set_num_threads(1)  # on arrays of thousands a second thread costs far more than it gives
    if not isinstance(command, Measure):
        gc.enable()  # off until now (toy/__main__.py)
    try:
        command.run()
    except ValueError as error:
        return fail(str(error))
    except KeyboardInterrupt:
        say("stopped; nothing half-written is left")
        return INTERRUPTED
    except BrokenPipeError:  # `| head` has seen enough
        sys.stderr.close()
    return 0
