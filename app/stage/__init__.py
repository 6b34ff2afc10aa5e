"""The browser half of the lab: plain JavaScript files, joined in the order of the data. Scene to field, field to trajectories, trajectories to measures, measures to pixels.

Every file is top-level functions in one shared scope; `source` wraps them and gives `globalThis.FlowLab`. NUMERIC files touch no page and run in any JavaScript engine: the
parity tests run them in V8 against lab/ and toy/. DRAWING files take a canvas; EXPLORE, COMPARE and TRAIN files make the page of that name.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

HERE = Path(__file__).parent
NUMERIC = tuple(
    f"{name}.js"
    for name in (
        *("random", "schedule", "mixtures", "paths", "priors", "transport", "blocks"),  # scene to field
        *("field", "learned", "flows", "world"),
        *("grids", "solvers", "reference"),  # field to trajectories
        *("measures", "view", "settler"),  # trajectories to measures
    )
)
DRAWING = tuple(
    f"{name}.js"
    for name in (
        *("colours", "viewport", "words", "states", "probing", "words_of_scene"),
        *(
            "discs",
            "density",
            "heat",
            "marching",
            "contours",
            "arrows",
            "pairs",
            "traces",
            "ghosts",
            "collapsed",
            "rings",
            "hover",
            "probe",
            "labels",
        ),
        *("paint", "clock", "session", "ask", "elements", "pointing", "labelling", "linked"),
        *("png", "svg", "gif", "csv"),
        *("chart_frame", "line_chart", "bar_chart", "charts"),
    )
)
EXPLORE = tuple(
    f"page/{name}.js"
    for name in (
        "dom",
        "download",
        "presets",
        "numbers",
        "chart_tabs",
        "handling",
        "exporting",
        "drawing",
        "learning",
        "printing",
        "closer",
        "explore",
    )
)
COMPARE = (
    *("ask.js", "elements.js", "png_text.js", "page/dom.js", "page/download.js", "page/closer.js"),
    *(f"compare/{name}.js" for name in ("wish", "panels", "ladder", "opened", "voting", "boards", "quality", "export", "compare")),
)
TRAIN = ("ask.js", "elements.js", "page/dom.js", "page/closer.js", "train/form.js", "train/runs.js", "train/run.js", "train/train.js")
MOUNT = {"gradio": "mount_gradio.js", "streamlit": "mount_streamlit.js"}  # what ties the stage to a framework
STYLES = ("stage.css", "page/explore.css")
PAGES = {"compare": COMPARE, "train": TRAIN}
STYLES_OF = {"explore": STYLES, "compare": (*STYLES, "train/train.css", "compare/compare.css"), "train": (*STYLES, "train/train.css")}
TOP_LEVEL = re.compile(r"^(?:async )?(?:function\*?|const|let|class) (\w+)", re.MULTILINE)


def source(files: tuple[str, ...] = NUMERIC, constants: Mapping[str, str] | None = None) -> str:
    """The named files as one script that defines `globalThis.FlowLab`, an object of their top-level functions and constants; `constants` are texts that they find by name.

    Raises ValueError where two files define one name.
    """
    texts = [f"const {name} = {json.dumps(text)};" for name, text in (constants or {}).items()]
    texts += [(HERE / name).read_text(encoding="utf-8") for name in files]
    names = [found for text in texts for found in TOP_LEVEL.findall(text)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"the stage's files define {', '.join(twice)} more than once")
    return "globalThis.FlowLab = (() => {\n'use strict';\n" + "\n".join(texts) + f"\nreturn {{ {', '.join(names)} }};\n}})();\n"


@lru_cache(maxsize=1)
def explore_script() -> str:
    """Everything that the Explore page runs; its settling worker is made of the numeric files' text."""
    own = source((*NUMERIC, *DRAWING, *EXPLORE, MOUNT["gradio"]), {"NUMERIC_SOURCE": source(NUMERIC)})
    return f"{own}globalThis.mountFlowLab?.();\n"  # an element that waits for this script (app/pages/explore.py)


@lru_cache(maxsize=1)
def lesson_script() -> str:
    """What a lesson's stages run, as the ES module that Streamlit's components.v2 loads."""
    own = source((*NUMERIC, *DRAWING, "lesson.js", MOUNT["streamlit"]), {"NUMERIC_SOURCE": source(NUMERIC)})
    return f"{own}export default (component) => FlowLab.mountStreamlit(component);\n"


@lru_cache(maxsize=1)
def lesson_style() -> str:
    """A lesson's style sheet."""
    return (HERE / STYLES[0]).read_text(encoding="utf-8")


@lru_cache
def script(page: str) -> str:
    """Everything that a page runs: explore, compare or train."""
    return explore_script() if page == "explore" else f"{source(PAGES[page])}globalThis.mountFlowLab?.();\n"


@lru_cache
def style(page: str) -> str:
    """A page's style sheet."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in STYLES_OF[page])


@lru_cache(maxsize=1)
def fingerprint() -> str:
    """A name for this version of scripts and styles, so that a browser may keep them."""
    texts = (text for page in STYLES_OF for text in (script(page), style(page)))
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:12]
