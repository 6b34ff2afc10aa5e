"""Which scenes each figure compares, and where the pictures go."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from lab import random
from toy import figures, stages
from toy.drawn_pairs import draw_pairs
from toy.errors import unknown
from toy.report import short
from toy.scene import Scene
from toy.trace import Trace, nfe_ladder, trace
from toy.world import target_mixture

Say = Callable[[str], None]
SEES = ("position", "class")
FORMATS = (".png", ".svg", ".pdf")

SCALES = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0)
PAIRS = 64
MOST_IN_A_ROW = 4


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
    for i, scene in enumerate(scenes, 1):
        say(f"scene {i} of {len(scenes)}: {short(scene)}, field sees the {scene.sees}")
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
    for sees in SEES:
        row = [s for s in scenes if s.sees == sees]
        if row:
            panels.append((f"Field sees the {sees}", [(tr, nfe_ladder(tr)) for tr in _traces(row, say)]))
    return figures.error_against_nfe(panels)


def _straightness(scenes: Sequence[Scene], say: Say) -> Figure:
    rows = [[s for s in scenes if s.sees == sees] for sees in SEES]
    return figures.straightness_and_error([(f"Field sees the {row[0].sees}", _traces(row, say)) for row in rows if row])


def _local_error(scenes: Sequence[Scene], say: Say) -> Figure:
    return figures.local_error_and_acceleration(_traces([replace(s, nfe=16) for s in scenes], say))


def _prior_sweep(scenes: Sequence[Scene], say: Say) -> Figure:
    base = scenes[0]
    shapes = {"full covariance": "full", "isotropic": "isotropic"}
    curves = []
    for label, shape in shapes.items():
        swept = [replace(base, prior="conditional", prior_covariance=shape, scale=scale, coupling="independent") for scale in SCALES]
        curves.append((label, _traces(swept, say)))
    return figures.prior_sweep(SCALES, curves)


def _shares(scenes: Sequence[Scene], say: Say) -> Figure:
    return figures.error_shares(_traces([replace(s, path=path) for s in scenes for path in ("cond-ot", "vp")], say))


KINDS: dict[str, Callable[[Sequence[Scene], Say], Figure]] = {
    "trajectories": _trajectories,
    "coupling-lines": _coupling_lines,
    "error": _error,
    "straightness": _straightness,
    "local-error": _local_error,
    "prior-sweep": _prior_sweep,
    "shares": _shares,
}


def draw(kind: str, out: Path, sees: str, queries: Sequence[str], say: Say, target: str = "ring-strips") -> None:
    """Draws one figure into a file. `sees` is position, class or both; `queries` are scenes, the README's priors and couplings on `target` if there are none."""
    if kind not in KINDS:
        raise ValueError(unknown("figure", kind, KINDS))
    if sees not in (*SEES, "both"):
        raise ValueError(unknown("sees", sees, (*SEES, "both")))
    if out.suffix.lower() not in FORMATS:
        raise ValueError(f"--out {out} must end in {', '.join(FORMATS)}")
    if out.is_dir():
        raise ValueError(f"--out {out} is a folder; name a file in it")
    if not out.parent.is_dir():
        raise ValueError(f"--out {out}: the folder {out.parent} does not exist")
    scenes = []
    for query in queries:
        scene, notes = Scene.from_query(query)
        if notes:
            raise ValueError(f"--scene {query!r}: {notes[0].rpartition('; ')[0]}")  # a command refuses what an address clamps
        scenes.append(scene)
    if not scenes:
        scenes = [replace(scene, sees=which) for which in (SEES if sees == "both" else (sees,)) for scene in compared(target)]
    save(KINDS[kind](scenes, say), out)
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
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out {folder} is a file; with --all it must be a folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, (kind, sees, target, queries) in README.items():
        draw(kind, folder / name, sees, queries, say, target)


def save(drawn: Figure, out: Path) -> None:
    """Writes the figure under a temporary name first: what stands at `out` is always whole. Files carry no date, so that the same figure is the same file."""
    partial = out.with_name(f".{out.name}.partial")
    kind = out.suffix.lower().removeprefix(".")
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
    try:
        with mpl.rc_context(figures.STYLE):
            drawn.savefig(partial, format=kind, metadata=metadata)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
