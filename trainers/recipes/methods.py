"""The methods: what each changes in a recipe, as a table. A method is a combination of prior, coupling, path, target and times, not a class of its own."""

from collections.abc import Mapping
from typing import Any

from trainers.recipes.schema import Recipe
from trainers.recipes.settings import apply

# Sources: CondOT, diffusion and score rows, Lipman et al. 2022; batch OT, Pooladian et al. and Tong et al. 2023; C2OT, Cheng & Schwing 2025; LOOM-CFM, Davtyan et al. 2025;
# CPD, Issachar et al. 2025; DDPM, Ho et al. 2020; reflow, Liu et al. 2022.
METHODS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "condot": ("N(0, I), independent pairs, straight paths", {}),
    "fm-diffusion": ("velocity on the diffusion path", {"path.kind": "vp"}),
    "score": (
        "score on the diffusion path, weighted by sigma^2",
        {"path.kind": "vp", "loss.target": "score", "loss.weighting": "sigma-squared"},
    ),
    "batchot": ("optimal transport within the batch, blind to the condition", {"coupling.kind": "batch-ot"}),
    "class-batchot": ("optimal transport within each class of the batch", {"coupling.kind": "class-batch-ot"}),
    "c2ot": ("optimal transport that counts the conditions' distance", {"coupling.kind": "c2ot"}),
    "loom": ("LOOM-CFM: an assignment kept across batches, blind to the condition", {"coupling.kind": "loom", "coupling.caches": 4}),
    "class-loom": ("LOOM-CFM within each class", {"coupling.kind": "class-loom", "coupling.caches": 4}),
    "cpd": ("CPD: each class's own Gaussian as its prior, independent pairs", {"prior.kind": "class-gaussian"}),
    "cpd-ot": ("CPD with optimal transport within each class", {"prior.kind": "class-gaussian", "coupling.kind": "class-batch-ot"}),
    "cpd-mixture": ("CPD with several Gaussians for each class", {"prior.kind": "class-mixture", "prior.components": 2}),
    "ddpm": ("DDPM: noise on the diffusion path at 1,000 times", {"path.kind": "vp", "loss.target": "noise", "loss.times": "ddpm-1000"}),
    "reflow": ("reflow: pairs that a trained model made (set coupling.pairs)", {"coupling.kind": "pairs", "loss.times": "u-shaped"}),
    # controls
    "standardised": (
        "control: CondOT on latents of which every number has mean 0 and deviation 1",
        {"autoencoder.normalise": "coordinate"},
    ),
    "scale-matched": ("control: N(0, s^2 I) with the data's own s", {"prior.kind": "scale-matched"}),
    "pooled": ("control: one Gaussian with all data's mean and covariance", {"prior.kind": "pooled-gaussian"}),
}
TEXT: Mapping[str, Mapping[str, Any]] = {  # what differs where the condition is text
    "cpd": {"prior.kind": "text-gaussian"},
}
NEEDS_CLASSES = ("class-batchot", "class-loom", "cpd-ot", "cpd-mixture")


def with_method(base: Recipe, method: str) -> Recipe:
    """The recipe with the settings of a method of METHODS."""
    about, changes = METHODS[method]
    if base.data.condition == "text":
        changes = TEXT.get(method, changes)
    return apply(base, dict(changes) | {"about": f"{base.about}; {about}" if base.about else about})
