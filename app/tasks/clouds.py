"""Targets of a reader's own: points drawn or uploaded, and typed letters."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from app.tasks.scenes import LONGEST, box, mixture_json, plain
from toy.clouds import ROW_LIMIT, fit_cloud, parse_points
from toy.scene import Scene
from toy.targets import by_name


def cloud(given: Mapping[str, Any]) -> dict[str, Any]:
    """A mixture fitted to points: {text} of a CSV file, or {points, classes}. With it `box`, `note` (one sentence), `w2` and its `w2_floor`,
    `held_out_log_likelihood` in nats a point, `rows`,
    `components`, `class_names`, `unused` columns, and `shift` and `scale`: the mixture's coordinates are (points - shift) * scale."""
    if "text" in given:
        read = parse_points(given["text"], "the file")
    else:
        read = parse_points(_table(given.get("points"), given.get("classes")), "the drawing")
    fit = fit_cloud(read.points, read.classes)
    Scene(target="custom", mixture=fit.mixture)  # what a scene cannot carry is said here, not later
    return plain(
        {
            "mixture": mixture_json(fit.mixture),
            "box": box(fit.mixture),
            "note": str(fit),
            "w2": fit.w2,
            "w2_floor": fit.w2_floor,
            "held_out_log_likelihood": fit.held_out_log_likelihood,
            "rows": len(read.points),
            "components": len(fit.mixture.weights),
            "class_names": list(read.class_names),
            "unused": list(read.unused),
            "shift": list(fit.shift),
            "scale": fit.scale,
        }
    )


def letters(given: Mapping[str, Any]) -> dict[str, Any]:
    """The target `letters` spelling {letters}: the mixture's own keys and its `box`."""
    text = given.get("letters")
    if not isinstance(text, str) or len(text) > LONGEST:
        raise ValueError(f"letters must be a text of at most {LONGEST} characters")
    made = by_name("letters", letters=text)
    return mixture_json(made) | {"box": box(made)}


def _table(points: object, classes: object) -> str:
    """Points as a CSV text, so that drawings and files go through one set of checks."""
    if not isinstance(points, list) or len(points) > ROW_LIMIT:
        raise ValueError(f"points must be a list of at most {ROW_LIMIT:,} pairs of numbers")
    if not all(isinstance(p, list) and len(p) == 2 and all(type(v) in (int, float) for v in p) for p in points):
        raise ValueError("points must be pairs of numbers, [x, y]")
    if classes is not None and (
        not isinstance(classes, list) or len(classes) != len(points) or any(type(c) not in (int, str) for c in classes)
    ):
        raise ValueError(f"classes must be a list of whole numbers or names, one for each of the {len(points)} points")
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(("x", "y") if classes is None else ("x", "y", "class"))
    if classes is None:
        writer.writerows((repr(x), repr(y)) for x, y in points)
    else:
        writer.writerows((repr(x), repr(y), c) for (x, y), c in zip(points, classes, strict=True))
    return table.getvalue()
