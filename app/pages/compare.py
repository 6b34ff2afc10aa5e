"""The Compare page: checkpoints side by side from the same noise; drawn by app/stage/compare/ over app/endpoints/compare.py."""

import gradio as gr

from app.pages.header import header
from app.stage import fingerprint

TITLE = "Flow Lab: Compare"
# As on the Explore page: whichever comes last, the script or the element, mounts.
ON_LOAD = """
const mount = () => { window.compare = FlowLab.mountCompare(element); };
if (globalThis.FlowLab) mount(); else globalThis.mountFlowLab = mount;
"""


def build() -> gr.Blocks:
    """The page's blocks; `head` goes with them."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
        gr.HTML(header("/compare"), elem_id="top", padding=False, apply_default_css=False)
        gr.HTML(html_template="", js_on_load=ON_LOAD, elem_id="compare", padding=False, apply_default_css=False)
    return blocks


def head() -> str:
    """What the page's <head> loads."""
    name = fingerprint()
    return f'<link rel="stylesheet" href="/stage/compare.css?{name}"><script src="/stage/compare.js?{name}"></script>'
