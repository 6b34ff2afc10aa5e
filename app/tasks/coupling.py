"""Couplings that a page cannot make itself: batch OT fitted to sampled pairs, and full OT of the shown points."""

from collections.abc import Mapping
from typing import Any

from app.tasks.scenes import mixture_json, plain, scene_from
from lab.checks import unknown
from toy.blocks import full_ot
from toy.demands import FITTED
from toy.priors import prior_mixture
from toy.trace import ESTIMATE
from toy.world import TARGET_STREAM, draw_data, draw_particles, is_conditional, target_mixture, world


def fit(given: Mapping[str, Any]) -> dict[str, Any]:
    """The block coupling that stands for the scene's batch OT: `source` and `target` (L components each, paired in order: the plan is diagonal with
    the weights), `cross` (L rows
    c00, c01, c10, c11 of Cov(x_0, x_1) within each pair), `cost`, `pairs`, `sub_components` and the fit's own error as `estimate`."""
    scene = scene_from(given.get("scene"))
    fitted = world(scene).fitted
    if fitted is None:
        raise ValueError(f"{unknown('coupling', scene.coupling, FITTED)}: only these are fitted")
    error = fitted.estimate
    return plain(
        {
            "source": mixture_json(fitted.source),
            "target": mixture_json(fitted.target),
            "cross": fitted.mixture.covariances[:, :2, 2:].flatten(1).tolist(),
            "cost": fitted.transport_cost,
            "pairs": fitted.pairs,
            "sub_components": fitted.sub_components,
            "estimate": {
                "definition": ESTIMATE,
                "field_rms": error.field_rms,
                "t": list(error.t),
                "rms": list(error.rms),
                "end_median": error.end_median,
                "end_share_off": error.end_share_off,
                "off": error.off,
                "ends": error.ends,
            },
        }
    )


def pairing(given: Mapping[str, Any]) -> bytes:
    """Full OT of the scene's own particles: little-endian int32 `order` (N), x_0[i] going to x_1[order[i]], where x_1 are the scene's data
    (toy.world.draw_data, the same draws in the browser)."""
    scene = scene_from(given.get("scene"))
    if scene.coupling != "full-ot":
        raise ValueError(f"coupling={scene.coupling!r} has no pairing of the shown points; only 'full-ot' has")
    target = target_mixture(scene)
    shown = draw_particles(prior_mixture(scene, target), target, is_conditional(scene), scene.count, scene.seed)
    data = draw_data(target, shown.condition, scene.seed, TARGET_STREAM)
    order = full_ot(shown.x_0, data, shown.condition if scene.sees == "class" else None)
    return order.numpy().astype("<i4").tobytes()
