"""Which scenes each figure compares, and where the pictures go."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from lab import random
from lab.checks import unknown
from lab.solvers import check_fixed_step
from toy import figures, stages
from toy.drawn_pairs import draw_pairs
from toy.files import beside, check_writable
from toy.progress import Heartbeat, Say
from toy.report import names
from toy.scene import Scene
from toy.trace import Trace, nfe_ladder, trace
from toy.world import target_mixture

SEES = ("position", "class")
FORMATS = (".png", ".svg", ".pdf")

SCALES = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0)
PAIRS = 64
MOST_IN_A_ROW = 4
MOST_STAGES = 12  # evaluations that every fixed-step solver can use exactly


def compared(target: str) -> tuple[Scene, ...]:
    """What the README compares on a target: the Gaussian prior, a Gaussian for each class, several for each class where classes have parts, and the couplings."""
    target_mixture(Scene(target=target))  # a wrong name is said at once
    plain, by_class = Scene(target=target), Scene(target=target, prior="conditional")
    batch, full = replace(plain, coupling="batch-ot"), replace(plain, coupling="full-ot")
    if target == "ring-strips":  # one Gaussian for each class is already the target's own mixture
        return plain, by_class, batch, full
    several = replace(plain, prior="conditional-mixture", prior_components=4)
    return plain, by_class, several, replace(several, coupling="component-ot"), batch, full


def _traces(scenes: Sequence[Scene], say: Say) -> list[Trace]:
    made = []
    for i, (scene, name) in enumerate(zip(scenes, names(scenes, ("sees",)), strict=True), 1):
        say(f"scene {i} of {len(scenes)}: {name}, field sees the {scene.sees}")
        made.append(trace(scene))
    return made


def _rows(scenes: Sequence[Scene]) -> list[list[Scene]]:
    """Scenes by what their field sees, at most four in a row: more would be too small to read on a page."""
    rows = []
    for sees in SEES:
        own = [s for s in scenes if s.sees == sees]
        lines = math.ceil(len(own) / MOST_IN_A_ROW)
        size = math.ceil(len(own) / lines) if lines else 1
        rows += [own[i : i + size] for i in range(0, len(own), size)]
    return rows


def _row_labels(rows: Sequence[Sequence[Scene]]) -> list[str]:
    return [f"field sees the {row[0].sees}" for row in rows]


def _trajectories(scenes: Sequence[Scene], say: Say) -> Figure:
    rows = _rows(scenes)
    return stages.trajectories([_traces(row, say) for row in rows], _row_labels(rows))


def _coupling_lines(scenes: Sequence[Scene], say: Say) -> Figure:
    rows, drawn = _rows(scenes), []
    for row in rows:
        traced = _traces(row, say)
        drawn.append([(tr, draw_pairs(tr.world, PAIRS, random.generator(tr.scene.seed))) for tr in traced])
    return stages.coupling_lines(drawn, _row_labels(rows))


def _error(scenes: Sequence[Scene], say: Say) -> Figure:
    panels = []
    for scene in scenes:
        check_fixed_step(scene.solver, "error")
    if len(set(scenes)) > len({replace(s, nfe=MOST_STAGES) for s in scenes}):
        say("note: nfe changes nothing in an error figure, which runs over it: scenes that differ in nfe alone are one curve")
    for sees in SEES:
        row = [s for s in scenes if s.sees == sees]
        if row:
            panels.append((f"Field sees the {sees}", [(tr, nfe_ladder(tr)) for tr in _traces(row, say)]))
    return figures.error_against_nfe(panels)


def _straightness(scenes: Sequence[Scene], say: Say) -> Figure:
    rows = [[s for s in scenes if s.sees == sees] for sees in SEES]
    return figures.straightness_and_error([(f"Field sees the {row[0].sees}", _traces(row, say)) for row in rows if row])


def _local_error(scenes: Sequence[Scene], say: Say) -> Figure:
    for scene in scenes:
        check_fixed_step(scene.solver, "local-error")
    return figures.local_error_and_acceleration(_traces(scenes, say))


def _prior_sweep(scenes: Sequence[Scene], say: Say) -> Figure:
    if len(scenes) > 1:
        raise ValueError(f"prior-sweep shows one scene under priors of many scales, not {len(scenes)}; give it one --scene")
    base = scenes[0]
    for name in ("prior", "prior_covariance", "scale", "coupling"):
        if getattr(base, name) != getattr(Scene(), name):
            raise ValueError(f"prior-sweep chooses {name} itself; leave {name}={getattr(base, name)} out of --scene")
    shapes = {"full covariance": "full", "isotropic": "isotropic"}
    curves = []
    for label, shape in shapes.items():
        swept = [replace(base, prior="conditional", prior_covariance=shape, scale=scale, coupling="independent") for scale in SCALES]
        curves.append((label, _traces(swept, say)))
    return figures.prior_sweep(SCALES, curves)


def _shares(scenes: Sequence[Scene], say: Say) -> Figure:
    return figures.error_shares(_traces(scenes, say))


KINDS: dict[str, Callable[[Sequence[Scene], Say], Figure]] = {
    "trajectories": _trajectories,
    "coupling-lines": _coupling_lines,
    "error": _error,
    "straightness": _straightness,
    "local-error": _local_error,
    "prior-sweep": _prior_sweep,
    "shares": _shares,
}


def standard(kind: str, target: str, sees: str) -> list[Scene]:
    """The scenes of a figure where none are given: what `compared` holds, as the kind needs it."""
    both = [replace(scene, sees=which) for which in (SEES if sees == "both" else (sees,)) for scene in compared(target)]
    if kind == "local-error":
        return [replace(s, nfe=16) for s in both]
    if kind == "shares":
        return [replace(s, path=path) for s in both for path in ("cond-ot", "vp")]
    return both[:1] if kind == "prior-sweep" else both


def draw(kind: str, out: Path, queries: Sequence[str], say: Say, *, sees: str | None = None, target: str | None = None) -> None:
    """Draws one figure into a file. `queries` are scenes; without any, the README's priors and couplings on `target`, for fields that see the position, the class or both."""
    if kind not in KINDS:
        raise ValueError(unknown("figure", kind, KINDS))
    if sees not in (None, *SEES, "both"):
        raise ValueError(unknown("sees", sees, (*SEES, "both")))
    if kind == "prior-sweep" and sees == "both":
        raise ValueError("prior-sweep shows one scene: --sees position or --sees class")
    check_writable(out, FORMATS)
    scenes = []
    for query in queries:
        scene, notes = Scene.from_query(query)
        if notes:
            raise ValueError(f"--scene {query!r}: {notes[0].rpartition('; ')[0]}")  # a command refuses what an address clamps
        scenes.append(scene)
    for name, value in (("sees", sees), ("target", target)):
        if scenes and value is not None:
            raise ValueError(f"--{name} is for the scenes that are compared where none are given; write {name}={value} into each --scene")
    for line in dict.fromkeys(line for scene in scenes for line in scene.idle()):
        say(f"note: {line}")
    scenes = scenes or standard(kind, target or Scene.target, sees or "position")
    with Heartbeat(say) as stage:

        def say_and_keep(line: str) -> None:
            say(line)
            stage(line)

        save(KINDS[kind](scenes, say_and_keep), out)
    say(f"wrote {out}")


README: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "hero.png": ("trajectories", "position", "ring-strips", ("prior=gaussian", "prior=conditional", "coupling=full-ot")),
    "trajectories.png": ("trajectories", "both", "ring-strips", ()),
    "trajectories-moons.png": ("trajectories", "both", "moons", ()),
    "coupling-lines.png": ("coupling-lines", "position", "ring-strips", ()),
    "error.png": ("error", "both", "ring-strips", ()),
    "error-moons.png": ("error", "both", "moons", ()),
    "straightness.png": ("straightness", "both", "ring-strips", ()),
    "straightness-moons.png": ("straightness", "both", "moons", ()),
    "local-error.png": ("local-error", "position", "ring-strips", ()),
    "prior-sweep.png": ("prior-sweep", "class", "bimodal", ()),
    "shares.png": ("shares", "both", "ring-strips", ()),
}


def draw_all(folder: Path, say: Say) -> None:
    """Every figure of the README."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ValueError(f"--out {folder} is a file; with --all it must be a folder") from error
    except OSError as error:
        raise ValueError(f"--out {folder} cannot be made: {error.strerror}; choose another place") from error
    for name, (kind, sees, target, queries) in README.items():
        draw(kind, folder / name, queries, say, **({} if queries else {"sees": sees, "target": target}))


def save(drawn: Figure, out: Path) -> None:
    """Writes the figure under a temporary name first: what stands at `out` is always whole. Files carry no date, so that the same figure is the same file."""
    partial = beside(out)
    kind = out.suffix.lower().removeprefix(".")
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
    try:
        with mpl.rc_context(figures.STYLE):
            drawn.savefig(partial, format=kind, metadata=metadata)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
