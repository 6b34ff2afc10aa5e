"""A view as a Python program that prints the numbers that the page shows."""

from collections.abc import Mapping
from dataclasses import fields
from pprint import pformat
from typing import Any

from toy.mixtures import Mixture
from toy.scene import Scene, View

WIDTH = 120
HEAD = '''"""Scenes A and B of a view of the flow-matching lab, measured in Python: one line of JSON each, the numbers that the page shows.

Run it in the lab's own folder, with the lab's Python:  .venv/bin/python view.py
"""

import json

import torch
{imports}
from toy.scene import Scene
from toy.trace import trace

torch.set_num_threads(1)  # on arrays of thousands a second thread costs far more than it gives
'''
TAIL = """
for name, scene in (("A", a), ("B", b)):
    traced = trace(scene)  # traced.x: the solver's states (K + 1, N, 2); traced.exact: the exact flow's at the same times; traced.world.field.velocity(x, t)
    print(json.dumps({"stage": name} | traced.summary()))
"""


def program(given: Mapping[str, Any]) -> str:
    """The program of the view in an address's {query}. Scenes of the named targets are written by what differs from the default scene, a mixture of
    one's own by its numbers, exactly."""
    view, notes = View.from_query(given["query"])
    scenes = {"a": view.a, "b": view.b}
    own = any(scene.mixture is not None for scene in scenes.values())
    lines = [HEAD.format(imports="\nfrom toy.mixtures import Mixture" if own else "")]
    lines += ["# " + " ".join(note.split()) for note in notes]  # a line each, whatever the address holds
    lines += [f"{name} = {_scene(scene)}" for name, scene in scenes.items()]
    return "\n".join(lines) + TAIL


def _scene(scene: Scene) -> str:
    usual = Scene()
    changed = {f.name: getattr(scene, f.name) for f in fields(Scene) if getattr(scene, f.name) != getattr(usual, f.name)}
    parts = [f"{name}={_mixture(value) if isinstance(value, Mixture) else repr(value)}" for name, value in changed.items()]
    return f"Scene({', '.join(parts)})"


def _mixture(mixture: Mixture) -> str:
    parts = {name: getattr(mixture, name).tolist() for name in ("weights", "means", "covariances", "classes")}
    rows = [f"    {name}={pformat(value, width=WIDTH, compact=True)}," for name, value in parts.items()]
    return "Mixture(\n" + "\n".join(rows) + "\n)"
