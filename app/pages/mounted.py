"""A page that is one element which its own script fills, as Compare and Train are."""

import gradio as gr

from app.pages.header import header
from app.stage import fingerprint

# As on the Explore page: whichever comes last, the script or the element, mounts.
ON_LOAD = """
const mount = () => {{ window.{name} = FlowLab.{mount}(element); }};
if (globalThis.FlowLab) mount(); else globalThis.mountFlowLab = mount;
"""


def blocks(name: str, title: str, mount: str) -> gr.Blocks:
    """Of the page at /name; `mount` is the script's function that fills its element, whose page object `window.name` holds for tests."""
    with gr.Blocks(title=title, analytics_enabled=False, fill_width=True) as made:
        gr.HTML(header(f"/{name}"), elem_id="top", padding=False, apply_default_css=False)
        gr.HTML(html_template="", js_on_load=ON_LOAD.format(name=name, mount=mount), elem_id=name, padding=False, apply_default_css=False)
    return made


def loads(name: str) -> str:
    """What the page's <head> loads."""
    version = fingerprint()
    return f'<link rel="stylesheet" href="/stage/{name}.css?{version}"><script src="/stage/{name}.js?{version}"></script>'
