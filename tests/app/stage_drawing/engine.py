"""The stage's drawing files in V8, without a browser: what of them is pure."""

import json
from functools import lru_cache
from typing import Any

from py_mini_racer import MiniRacer

from app.stage import DRAWING, NUMERIC, source

PLAIN = "globalThis.plain = (value) => JSON.stringify(value, (key, v) => (ArrayBuffer.isView(v) ? Array.from(v) : v));"


@lru_cache(maxsize=1)
def engine() -> MiniRacer:
    """V8 with `FlowLab`, numeric and drawing files."""
    made = MiniRacer()
    made.eval(source((*NUMERIC, *DRAWING)))
    made.eval(PLAIN)
    return made


def value(expression: str) -> Any:
    """The value of a JavaScript expression in which `L` is FlowLab; typed arrays come as lists."""
    return json.loads(str(engine().eval(f"(() => {{ const L = FlowLab; return plain({expression}); }})()")))
