"""The Train page: a recipe's form, what it would cost, and the runs with previews and curves; drawn by app/stage/train/ over app/endpoints/jobs.py."""

import gradio as gr

from app.pages.mounted import blocks, loads


def build() -> gr.Blocks:
    """The page's blocks; `head` goes with them."""
    return blocks("train", "Flow Lab: Train", "mountTrain")


def head() -> str:
    """What the page's <head> loads."""
    return loads("train")
