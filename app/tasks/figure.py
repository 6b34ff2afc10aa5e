"""The figure of a view as matplotlib draws it, for paper and slide."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.tasks.scenes import scene_from
from lab.checks import check_name
from toy.gallery import FORMATS, KINDS, save
from toy.progress import silent
from toy.scene import Scene

KIND = "trajectories"
SWEPT = {name: getattr(Scene(), name) for name in ("prior", "prior_covariance", "scale", "coupling")}


def figure(given: Mapping[str, Any]) -> bytes:
    """{view: {a, b}, kind, format}: the file's bytes. kind of toy.gallery, `trajectories` if not given; format png, svg or pdf. Scenes A and B, one of them where they are alike;
    `prior-sweep` sweeps the prior of A."""
    kind, ending = given.get("kind", KIND), given.get("format", "png")
    check_name("kind", str(kind)[:100], KINDS)
    check_name("format", str(ending)[:100], [e.removeprefix(".") for e in FORMATS])
    view = given.get("view")
    if not isinstance(view, Mapping) or "a" not in view:
        raise ValueError("view must be an object with scenes a and b")
    scenes = list(dict.fromkeys(scene_from(view[side]) for side in ("a", "b") if side in view))
    if kind == "prior-sweep":
        scenes = [replace(scenes[0], **SWEPT)]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"figure.{ending}"
        save(KINDS[kind](scenes, silent), out)
        return out.read_bytes()
