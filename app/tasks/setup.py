"""What the page's JavaScript has to know before it can draw anything, and views read from an address."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from app.tasks.learning_limits import LIMITS
from app.tasks.scenes import FULL_OT_MOST, box, mixture_json, plain, scene_json, view_json
from toy.clouds import CLASS_LIMIT, COMPONENT_LIMIT, LEAST_ROWS, ROW_LIMIT
from toy.gallery import FORMATS, KINDS
from toy.learning.options import LEARNING_CONTROLS, LearningOptions
from toy.scene import CONTROLS, SHOWN, VERSION, VIEW_CONTROLS, WHOLE, Choice, Range, Scene, View
from toy.targets import LETTERS_LIMIT, NAMES, by_name

FITTED = ("digits", "letters")


def setup(given: Mapping[str, Any]) -> dict[str, Any]:
    """version; targets and boxes by name; controls of scene, view and learning; defaults; the opening view; limits; kinds and formats of figures.
    `later`: targets left out, none here."""
    return _setup(NAMES)


def first(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same without the targets that take seconds to fit, whose names are in `later`: enough to draw the opening view."""
    return _setup(tuple(name for name in NAMES if name not in FITTED))


def _setup(names: tuple[str, ...]) -> dict[str, Any]:
    targets = {name: by_name(name) for name in names}
    return {
        "version": VERSION,
        "later": [name for name in NAMES if name not in names],
        "targets": {name: mixture_json(target) for name, target in targets.items()},
        "boxes": {name: box(target) for name, target in targets.items()},
        "controls": {name: _control(name, control) for name, control in CONTROLS.items()},
        "view_controls": {name: _control(name, control) for name, control in VIEW_CONTROLS.items()},
        "shown": list(SHOWN),
        "defaults": scene_json(Scene()),
        "opening": view_json(View()),
        "learning": {
            "controls": {name: _control(name, control) for name, control in LEARNING_CONTROLS.items()},
            "defaults": asdict(LearningOptions()),
            "most": LIMITS,
        },
        "figures": {"kinds": list(KINDS), "formats": [ending.removeprefix(".") for ending in FORMATS]},
        "limits": {
            "count": _most("count"),
            "full_ot_count": FULL_OT_MOST,
            "components": COMPONENT_LIMIT,
            "letters": LETTERS_LIMIT,
            "rows": ROW_LIMIT,
            "least_rows": LEAST_ROWS,
            "classes": CLASS_LIMIT,
        },
    }


def view(given: Mapping[str, Any]) -> dict[str, Any]:
    """The view of an address's query, clamped, with a sentence for each value that was changed or ignored, and the boxes of both targets where they
    carry mixtures of their own."""
    found, notes = View.from_query(given["query"])
    boxes = {side: None if scene.mixture is None else box(scene.mixture) for side, scene in (("a", found.a), ("b", found.b))}
    return {"view": plain(view_json(found)), "notes": notes, "boxes": boxes}


def ready(given: Mapping[str, Any]) -> bool:
    """Nothing, but the worker has imported what its tasks need."""
    return True


def _most(name: str) -> float:
    control = CONTROLS[name]
    assert isinstance(control, Range)
    return control.most


def _control(name: str, control: Choice | Range) -> dict[str, Any]:
    if isinstance(control, Choice):
        return {"values": list(control.values), "about": control.about}
    found = {"least": control.least, "most": control.most, "about": control.about, "whole": name in WHOLE}
    return found if control.off is None else found | {"off": control.off}
