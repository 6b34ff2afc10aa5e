"""Scenes and mixtures as the page's JavaScript holds them: plain numbers under Python's field names, matrices flattened row by row."""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch

from lab.checks import unknown
from toy.mixtures import Mixture
from toy.packing import MOST
from toy.scene import CONTROLS, WHOLE, Range, Scene, View
from toy.world import prior_mixture

DEFAULTS = {f.name: f.default for f in fields(Scene)}
LONGEST = 100  # characters of a name or of letters
FULL_OT_MOST = 3000  # pairing n points holds several n x n tables of costs: 5,000 took 1.5 GB
REACH, REGION = 3.0, 2.15  # standard deviations that a stage's box holds, and those of a 90 % region in the plane
WIDER = 4 / 3
MIXTURE_KEYS = ("weights", "means", "covariances", "classes", "classCount")


def mixture_json(mixture: Mixture) -> dict[str, Any]:
    """weights (K), means (2K: x, y, ...), covariances (3K: xx, xy, yy, ...), classes (K), classCount."""
    s = mixture.covariances
    return {
        "weights": mixture.weights.tolist(),
        "means": mixture.means.flatten().tolist(),
        "covariances": [value for k in s.tolist() for value in (k[0][0], k[0][1], k[1][1])],
        "classes": mixture.classes.tolist(),
        "classCount": mixture.class_count,
    }


def mixture_from(given: object) -> Mixture:
    """The mixture that `mixture_json` wrote; ValueError, in one sentence, for anything else."""
    if not isinstance(given, Mapping):
        raise ValueError(f"mixture must be an object with {', '.join(MIXTURE_KEYS[:4])}, not {_kind(given)}")
    if extra := sorted(map(str, given.keys() - set(MIXTURE_KEYS))):
        raise ValueError(f"mixture has unknown keys {', '.join(extra)[:LONGEST]}; it may have {', '.join(MIXTURE_KEYS)}")
    lists = {}
    for name, each in (("weights", 1), ("means", 2), ("covariances", 3), ("classes", 1)):
        values = given.get(name)
        if not isinstance(values, list) or not all(type(v) in (int, float) for v in values):
            raise ValueError(f"mixture's {name} must be a flat list of numbers")
        count = len(lists["weights"]) if lists else len(values)
        if len(values) != each * count or not 1 <= count <= MOST:
            raise ValueError(
                f"mixture's {name} are {len(values)} numbers for {count} components; {each} for each of 1 to {MOST} components are needed"
            )
        lists[name] = values
    m, s = lists["means"], lists["covariances"]
    means = [m[i : i + 2] for i in range(0, len(m), 2)]
    covariances = [[[s[i], s[i + 1]], [s[i + 1], s[i + 2]]] for i in range(0, len(s), 3)]
    return Mixture(lists["weights"], means, covariances, lists["classes"])


def scene_json(scene: Scene) -> dict[str, Any]:
    """Every field under its name; the mixture as `mixture_json`, or None."""
    held = {f.name: getattr(scene, f.name) for f in fields(Scene)}
    return held | {"mixture": None if scene.mixture is None else mixture_json(scene.mixture)}


def scene_from(given: object) -> Scene:
    """The scene of an object with any of a scene's fields, `count` cut to what a page may ask for; ValueError, in toy's own sentences, for values that cannot be used."""
    if not isinstance(given, Mapping):
        raise ValueError(f"scene must be an object with the fields of a scene, not {_kind(given)}")
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in DEFAULTS:
            raise ValueError(unknown("scene's field", str(name)[:LONGEST], DEFAULTS))
        if name == "mixture":
            values[name] = None if value is None else mixture_from(value)
        elif isinstance(DEFAULTS[name], str):
            if not isinstance(value, str) or len(value) > LONGEST:
                raise ValueError(f"{name} must be a text of at most {LONGEST} characters, not {_kind(value)}")
            values[name] = value
        else:
            values[name] = _number(name, value)
    scene = Scene(**values)
    if scene.coupling == "full-ot" and scene.count > FULL_OT_MOST:
        raise ValueError(
            f"count={scene.count} is too many for full OT on a page, which pairs every point; at most {FULL_OT_MOST} are possible"
        )
    return scene


def view_json(view: View) -> dict[str, Any]:
    """a, b (scenes), time, show, playback, layout, probe_x, probe_y."""
    return {
        "a": scene_json(view.a),
        "b": scene_json(view.b),
        "time": view.time,
        "show": list(view.show),
        "playback": view.playback,
        "layout": view.layout,
        "probe_x": view.probe_x,
        "probe_y": view.probe_y,
    }


def box(target: Mixture) -> dict[str, float]:
    """The stage's square {left, right, bottom, top}: N(0, I), the target and its mirror image to three standard deviations of their components, edges on multiples of a half;
    wider, by at most a third, where one Gaussian per class reaches further (its 90 % region)."""
    usual, mirrored, wide = (prior_mixture(Scene(prior=prior), target) for prior in ("gaussian", "mirrored", "conditional"))
    (left, bottom), (right, top) = _edges(REACH, usual, target, mirrored)
    x, y = round(left + right) / 2, round(bottom + top) / 2

    def half(left: float, right: float, bottom: float, top: float) -> float:
        return max(x - left, right - x, y - bottom, top - y)

    needed = half(left, right, bottom, top)
    (left, bottom), (right, top) = _edges(REGION, wide)
    side = math.ceil(2 * max(needed, min(half(left, right, bottom, top), WIDER * needed))) / 2
    return {"left": x - side, "right": x + side, "bottom": y - side, "top": y + side}


def _edges(reach: float, *mixtures: Mixture) -> tuple[list[float], list[float]]:
    """Lower left and upper right corner of what `reach` standard deviations of all components hold."""
    away = [reach * m.covariances.diagonal(dim1=-2, dim2=-1).sqrt() for m in mixtures]
    low = torch.cat([m.means - d for m, d in zip(mixtures, away, strict=True)]).amin(0)
    high = torch.cat([m.means + d for m, d in zip(mixtures, away, strict=True)]).amax(0)
    return low.tolist(), high.tolist()


def plain(value: Any) -> Any:
    """The same numbers as JSON can carry: None in the place of NaN and infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def _number(name: str, value: object) -> float | int:
    if type(value) not in (int, float):
        raise ValueError(f"{name} must be a number, not {_kind(value)}")
    assert isinstance(value, int | float)
    if name in WHOLE:
        if value != int(value):
            raise ValueError(f"{name}={value} must be a whole number")
        number = int(value)
        control = CONTROLS[name]
        return min(number, int(control.most)) if name == "count" and isinstance(control, Range) else number
    return float(value)


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return repr(value) if len(value) <= 40 else f"a text of {len(value)} characters"
    return {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}.get(
        type(value), type(value).__name__
    )
