"""Which scenes each figure compares, and where the pictures go."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from toy import figures
from toy.errors import unknown
from toy.report import short
from toy.scene import Scene
from toy.trace import Trace, nfe_ladder, trace

Say = Callable[[str], None]
SEES = ("position", "class")
FORMATS = (".png", ".svg", ".pdf")

COMPARED = (
    Scene(),
    Scene(prior="conditional"),
    Scene(prior="conditional", coupling="component-ot"),
    Scene(coupling="full-ot"),
)
SCALES = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0)


def _traces(scenes: Sequence[Scene], say: Say) -> list[Trace]:
    made = []
    for i, scene in enumerate(scenes, 1):
        say(f"scene {i} of {len(scenes)}: {short(scene)}, field sees the {scene.sees}")
        made.append(trace(scene))
    return made


def _trajectories(scenes: Sequence[Scene], say: Say) -> Figure:
    rows = [[s for s in scenes if s.sees == sees] for sees in SEES]
    return figures.trajectories([_traces(row, say) for row in rows if row], [f"field sees the {row[0].sees}" for row in rows if row])


def _error(scenes: Sequence[Scene], say: Say) -> Figure:
    panels = []
    for sees in SEES:
        # On straight lines at constant speed every solver is exact: there is no curve to draw.
        row = [replace(s, nfe=64) for s in scenes if s.sees == sees and s.coupling != "full-ot"]
        if row:
            panels.append((f"Field sees the {sees}", [(short(tr.scene), nfe_ladder(tr)) for tr in _traces(row, say)]))
    return figures.error_against_nfe(panels)


def _straightness(scenes: Sequence[Scene], say: Say) -> Figure:
    rows = [[s for s in scenes if s.sees == sees] for sees in SEES]
    return figures.straightness_and_error([(f"Field sees the {row[0].sees}", _traces(row, say)) for row in rows if row])


def _local_error(scenes: Sequence[Scene], say: Say) -> Figure:
    return figures.local_error_and_acceleration(_traces([replace(s, nfe=32) for s in scenes if s.coupling != "full-ot"], say))


def _prior_sweep(scenes: Sequence[Scene], say: Say) -> Figure:
    base = scenes[0]
    shapes = {"full covariance": "full", "isotropic": "isotropic"}
    curves = []
    for label, shape in shapes.items():
        swept = [replace(base, prior="conditional", prior_covariance=shape, scale=scale, coupling="independent") for scale in SCALES]
        curves.append((label, _traces(swept, say)))
    return figures.prior_sweep(SCALES, curves)


KINDS: dict[str, Callable[[Sequence[Scene], Say], Figure]] = {
    "trajectories": _trajectories,
    "error": _error,
    "straightness": _straightness,
    "local-error": _local_error,
    "prior-sweep": _prior_sweep,
}


def draw(kind: str, out: Path, sees: str, queries: Sequence[str], say: Say) -> None:
    """Draws one figure into a file. `sees` is position, class or both; `queries` are scenes, the README's priors and couplings if there are none."""
    if kind not in KINDS:
        raise ValueError(unknown("figure", kind, KINDS))
    if sees not in (*SEES, "both"):
        raise ValueError(unknown("sees", sees, (*SEES, "both")))
    if out.suffix.lower() not in FORMATS:
        raise ValueError(f"--out {out} must end in {', '.join(FORMATS)}")
    if not out.parent.is_dir():
        raise ValueError(f"--out {out}: the folder {out.parent} does not exist")
    scenes = []
    for query in queries:
        scene, notes = Scene.from_query(query)
        if notes:
            raise ValueError(f"--scene {query!r}: {notes[0]}")
        scenes.append(scene)
    if not scenes:
        scenes = [replace(scene, sees=which) for which in (SEES if sees == "both" else (sees,)) for scene in COMPARED]
    save(KINDS[kind](scenes, say), out)
    say(f"wrote {out}")


def draw_all(folder: Path, say: Say) -> None:
    """Every figure of the README."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, sees in (
        ("trajectories", "both"),
        ("error", "both"),
        ("straightness", "both"),
        ("local-error", "position"),
        ("prior-sweep", "class"),
    ):
        draw(kind, folder / f"{kind}.png", sees, (), say)


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
