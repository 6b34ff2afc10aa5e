"""The Train page: a recipe's form, what it would cost, and the runs with previews and curves; drawn by app/stage/train/ over app/endpoints/jobs.py."""

import gradio as gr

from app.pages.header import header
from app.stage import fingerprint

TITLE = "Flow Lab: Train"
# As on the Explore page: whichever comes last, the script or the element, mounts.
ON_LOAD = """
const mount = () => { window.train = FlowLab.mountTrain(element); };
if (globalThis.FlowLab) mount(); else globalThis.mountFlowLab = mount;
"""


def build() -> gr.Blocks:
    """The page's blocks; `head` goes with them."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
        gr.HTML(header("/train"), elem_id="top", padding=False, apply_default_css=False)
        gr.HTML(html_template="", js_on_load=ON_LOAD, elem_id="train", padding=False, apply_default_css=False)
    return blocks


def head() -> str:
    """What the page's <head> loads."""
    name = fingerprint()
    return f'<link rel="stylesheet" href="/stage/train.css?{name}"><script src="/stage/train.js?{name}"></script>'
