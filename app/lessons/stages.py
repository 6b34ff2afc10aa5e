"""Two linked stages in a Streamlit script: drawn, solved and measured in the reader's browser, so that no move of a slider runs the script again; what they measured comes back."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from streamlit.components.v2 import component
from streamlit.components.v2.types import ComponentRenderer

from app.stage import lesson_script, lesson_style

SLIDERS = ("nfe", "scale", "prior_mean", "separation", "batch_size")


def stages(shown: Mapping[str, Any], *, setup: str, key: str, sliders: Sequence[str] = ("nfe",)) -> dict[str, Any] | None:
    """Mounts two stages at this place of the script.

    shown: {view, boxes} as `app.tasks.setup.view` or GET /api/view gives it. setup: the text of GET /api/setup. key: one name for each place. sliders: which of SLIDERS stand
    under the stages; they move both scenes. Returns what the browser measured last, {"a": ..., "b": ...} with the names of `toy.trace` (global_error, straightness,
    transport_cost, wrong_class, n, nfe, ...), or None before it has. Raises ValueError where a slider is none of SLIDERS.
    """
    if unknown := sorted(set(sliders) - set(SLIDERS)):
        raise ValueError(f"sliders={unknown} are not known; there are {', '.join(SLIDERS)}")
    mount = _component()
    data = {"shown": {"view": shown["view"], "boxes": shown["boxes"]}, "setup": setup, "sliders": list(sliders)}
    found = mount(key=key, data=data, default={"measured": None}, on_measured_change=lambda: None)
    return found["measured"]


@lru_cache(maxsize=1)
def _component() -> ComponentRenderer:
    return component("flow_lab_stages", js=lesson_script(), css=lesson_style(), isolate_styles=False)
