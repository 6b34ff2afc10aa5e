"""The Compare page: checkpoints side by side from the same noise; drawn by app/stage/compare/ over app/endpoints/compare.py."""

import gradio as gr

from app.pages.mounted import blocks, loads


def build() -> gr.Blocks:
    """The page's blocks; `head` goes with them."""
    return blocks("compare", "Flow Lab: Compare", "mountCompare")


def head() -> str:
    """What the page's <head> loads."""
    return loads("compare")
