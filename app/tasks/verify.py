"""The float64 numbers that a picture is held to: toy's own trace of the scene, its error over budgets, and how good the prior alone is."""

import importlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from app.tasks.scenes import plain, scene_from
from toy.trace import distribution_error, trace


def verify(given: Mapping[str, Any]) -> dict[str, Any]:
    """`Trace.summary()` of the scene, and `prior_alone`: W2 of x_0 itself to fresh data, with the floor: no step taken."""
    scene = scene_from(given.get("scene"))
    traced = trace(scene)
    with torch.no_grad():
        alone = distribution_error(traced.world, traced.condition, traced.x_0)
    return plain(traced.summary() | {"prior_alone": asdict(alone)})


def ready(given: Mapping[str, Any]) -> bool:
    """Nothing, but the worker has imported what it verifies with."""
    importlib.import_module("ot")
    return True
