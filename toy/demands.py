"""What a scene's settings ask of one another, beyond each one's own range: where they do not fit, one sentence says why, and a value that does is at hand."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from lab.mixtures import schedule
from lab.solvers import ADAPTIVE, FIXED_STEP, nearest_nfe
from toy.mixtures import Mixture
from toy.packing import MOST
from toy.sampled_pairs import pair_count
from toy.targets import LETTERS_LIMIT, by_name, outlines

CUSTOM = "custom"  # the target's name where a scene carries a mixture of its own
CONDITIONAL = ("conditional", "conditional-mixture")  # priors that depend on the class
FITTED = ("batch-ot", "class-batch-ot")  # couplings without a closed form of their own
LEAST_MEMBERS, MOST_FITTED = 4, 100_000  # samples from which a covariance in the plane is taken, and for all of a prior's moments
LEAST_PAIRS = 50  # expected of a component, so that it is sure to have the 13 that the fit of a batch coupling needs (toy/fitted.py)
LEAST_WEIGHT, MOST_MEAN, LEAST_DEVIATION, MOST_DEVIATION, MOST_SPAN = 1e-12, 1e6, 1e-5, 1e4, 1e5


class Unmet(NamedTuple):
    """A setting that cannot stay beside the others: its name, a value that can, and why."""

    name: str
    cure: Any
    why: str


# What matters only beside other settings: whose values make it matter, and those values.
BELONGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "letters": ("target", ("letters",)),
    "prior_components": ("prior", ("conditional-mixture",)),
    "prior_mean": ("prior", CONDITIONAL),
    "prior_covariance": ("prior", CONDITIONAL),
    "fit_count": ("prior", CONDITIONAL),
    "batch_size": ("coupling", FITTED),
    "sigma_min": ("path", ("cond-ot",)),
    "degree": ("path", ("polynomial",)),
    "grid": ("solver", FIXED_STEP),
    "nfe": ("solver", FIXED_STEP),
    "tolerance": ("solver", ADAPTIVE),
}


def idle(scene: Mapping[str, Any], usual: Mapping[str, Any]) -> list[str]:
    """One sentence for each setting that differs from the usual one and changes nothing, beside the others."""
    said = []
    for name, (other, values) in BELONGS.items():
        if scene[name] != usual[name] and scene[other] not in values:
            wanted = "a fixed-step solver" if values is FIXED_STEP else f"{other}={' or '.join(values)}"
            said.append(f"{name}={scene[name]} changes nothing beside {other}={scene[other]}: it belongs to {wanted}")
    return said


def unmet(scene: Mapping[str, Any], usual: Mapping[str, Any]) -> Unmet | None:
    """The first setting of a scene that does not fit the others, None where all do. `usual` are the values to fall back to.

    Takes settings that are each in range. Builds the target where the prior's components depend on it, which is remembered for those that take long.
    """
    if (scene["target"] == CUSTOM) != (scene["mixture"] is not None):
        why = "target='custom' and a mixture go together: give both or neither"
        return Unmet("target", usual["target"], why) if scene["mixture"] is None else Unmet("mixture", None, why)
    if scene["mixture"] is not None and (beyond := out_of_bounds(scene["mixture"])):
        return Unmet("mixture", None, f"the mixture {beyond}")
    if not scene["letters"] or len(scene["letters"]) > LETTERS_LIMIT:
        why = f"letters={scene['letters']!r} must be 1 to {LETTERS_LIMIT} characters"
        return Unmet("letters", scene["letters"][:LETTERS_LIMIT] or usual["letters"], why)
    if scene["target"] == "letters":
        try:
            outlines(scene["letters"])
        except ValueError as error:
            return Unmet("letters", usual["letters"], str(error))
    solver, nfe = scene["solver"], scene["nfe"]
    if solver in FIXED_STEP and nfe not in (usable := nearest_nfe(solver, nfe)):
        return Unmet("nfe", usable[0], f"nfe={nfe} cannot be used exactly by {solver}; nearest: {' or '.join(map(str, usable))}")
    if scene["coupling"] == "component-ot" and _one_gaussian(scene):
        why = f"coupling='component-ot' needs a prior of several components, and prior={scene['prior']!r} on this target is one Gaussian: choose another prior"
        return Unmet("coupling", usual["coupling"], why)
    if scene["fit_count"] and scene["prior"] in CONDITIONAL and (few := _too_few_samples(scene)) is not None:
        return few
    if scene["coupling"] in FITTED:
        weights = target_of(scene).weights
        least = LEAST_PAIRS / pair_count(scene["batch_size"])
        if (rare := float(weights[weights > 0].min())) < least:
            why = f"coupling={scene['coupling']!r} is fitted to sampled pairs, too few in batches of {scene['batch_size']} for the target's component of weight {rare:.2g}"
            return Unmet("coupling", usual["coupling"], f"{why}: it needs a weight of {least:.2g}, or smaller batches")
    return None


def out_of_bounds(mixture: Mixture) -> str | None:
    """What float64, the fits and an address cannot carry of a mixture that is a scene's target; None where there is nothing."""
    if (count := len(mixture.weights)) > MOST:
        return f"has {count} components; at most {MOST} are possible"
    small = torch.nonzero((mixture.weights > 0) & (mixture.weights < LEAST_WEIGHT))[:, 0]
    if len(small):
        return f"has a component of weight {float(mixture.weights[small[0]]):.2g}; give it 0, or at least {LEAST_WEIGHT:g}"
    if float(mixture.means.abs().max()) > MOST_MEAN:
        return f"has a mean at {float(mixture.means.abs().max()):.2g}; at most {MOST_MEAN:g} is possible: change the unit"
    values = torch.linalg.eigvalsh(mixture.covariances)
    least, most = float(values.min()) ** 0.5, float(values.max()) ** 0.5
    if least < LEAST_DEVIATION or most > MOST_DEVIATION or most > MOST_SPAN * least:
        return (
            f"has standard deviations from {least:.2g} to {most:.2g} along its axes; they must lie in {LEAST_DEVIATION:g} to {MOST_DEVIATION:g}, "
            f"within a factor of {MOST_SPAN:g}: change the unit"
        )
    return None


def target_of(scene: Mapping[str, Any]) -> Mixture:
    """The target, modes not moved apart."""
    return scene["mixture"] if scene["target"] == CUSTOM else by_name(scene["target"], letters=scene["letters"])


def _one_gaussian(scene: Mapping[str, Any]) -> bool:
    if scene["prior"] in ("gaussian", "ring"):
        return scene["prior"] == "gaussian"
    target = target_of(scene)
    if scene["prior"] == "mirrored":
        return len(target.weights) == 1
    several = 1 if scene["prior"] == "conditional" else min(scene["prior_components"], len(target.weights))
    return target.class_count * several == 1


def _too_few_samples(scene: Mapping[str, Any]) -> Unmet | None:
    target, count = target_of(scene), scene["fit_count"]
    if scene["prior"] == "conditional":
        groups, label = target.class_weights, target.classes
    else:
        groups, label = target.weights, torch.arange(len(target.weights))

    if int(torch.bincount(label[schedule(target.weights, count)], minlength=len(groups)).min()) >= LEAST_MEMBERS:
        return None
    why = f"fit_count={count} leaves a part of the target fewer than the {LEAST_MEMBERS} samples that a covariance needs"
    longest = label[schedule(target.weights, MOST_FITTED)]  # it begins with every shorter one
    places = [torch.nonzero(longest == g)[:, 0] for g in range(len(groups))]
    if min(map(len, places)) < LEAST_MEMBERS:
        return Unmet("fit_count", 0, f"{why}, and so does the most, {MOST_FITTED:,}: take 0, for exact moments")
    least = 1 + max(int(place[LEAST_MEMBERS - 1]) for place in places)
    return Unmet("fit_count", least, f"{why}: take at least {least}, or 0 for exact moments")
