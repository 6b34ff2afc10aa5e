"""The Explore page: two linked stages, few controls, three numbers, one chart."""

import json

import gradio as gr

from app.pages.controls import WORDS, main_controls, more_controls, wire
from app.pages.header import header
from app.stage import fingerprint

TITLE = "Flow Lab"
# Gradio puts what `head` returns into the page from a script of its own, so the stage's script may come before this element or after it: whichever is last mounts.
ON_LOAD = """
const mount = () => FlowLab.mountGradio(element, FLOWLAB_SETUP, () => trigger('wish', {}));
if (globalThis.FlowLab && globalThis.FLOWLAB_SETUP) mount(); else globalThis.mountFlowLab = mount;
"""


def build() -> gr.Blocks:
    """The page's blocks; `head` goes with them."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
        gr.HTML(top(), elem_id="top", padding=False, apply_default_css=False)
        with gr.Row(elem_id="lab", equal_height=False):
            with gr.Column(elem_id="rail", scale=0, min_width=280):
                controls = main_controls()
                with gr.Accordion("More", open=False, elem_id="more"):
                    controls |= more_controls()
            with gr.Column(elem_id="main"):
                stage = gr.HTML(
                    html_template="",
                    js_on_load=ON_LOAD,
                    elem_id="stages",
                    padding=False,
                    apply_default_css=False,
                )
        wire(controls, stage)
    return blocks


def head() -> str:
    """What the page's <head> loads before anything else: the stage's style and script. The server says FLOWLAB_SETUP (GET /api/setup) before it."""
    name, words = fingerprint(), json.dumps(WORDS)
    return f'<script>FLOWLAB_SETUP.words = {words};</script><link rel="stylesheet" href="/stage/explore.css?{name}"><script src="/stage/explore.js?{name}"></script>'


def top() -> str:
    """The header with this page's buttons, presets and caption."""
    buttons = "".join(
        f'<button type="button" id="do-{name.lower()}">{name}</button>'
        for name in ("Undo", "Reset", "Share", "Export", "Python", "Draw", "Learn", "Lecture")
    )
    controls = '<button type="button" id="do-controls" aria-controls="rail" aria-expanded="false">Controls</button>'
    actions = f'<div class="fl-actions" role="toolbar" aria-label="This picture">{buttons}<button type="button" id="do-help" aria-label="Help">?</button></div>'
    return f"""
{header("/", controls, actions)}
<div class="fl-presets" role="toolbar" aria-label="Presets"></div>
<p class="fl-caption" id="caption"></p>
"""
