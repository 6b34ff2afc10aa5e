"""Words for scenes and tables for traces."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import fields

import torch

from lab.measures import NO_ORDER, Ladder
from lab.solvers import ADAPTIVE
from toy.demands import target_of
from toy.scene import Scene
from toy.trace import Trace


def prior_label(scene: Scene) -> str:
    """The prior in a few words."""
    scaled = "" if scene.scale == 1 else f" × {scene.scale:g}"
    if scene.prior == "gaussian":
        return "N(0, I)" if scene.scale == 1 else f"N(0, {scene.scale:g}² I)"
    if scene.prior in ("ring", "mirrored"):
        return f"{scene.prior} prior{scaled}"
    shape = {"none": "I", "full": "full cov."}.get(scene.prior_covariance, f"{scene.prior_covariance} cov.")
    if scene.prior == "conditional":
        mean = {0.0: "origin", 1.0: "class mean"}.get(scene.prior_mean, f"{scene.prior_mean:g} × class mean")
    else:
        moved = "" if scene.prior_mean == 1 else f", means × {scene.prior_mean:g}"
        parts = torch.bincount(target_of(vars(scene)).classes)  # a class of fewer parts has a Gaussian for each
        count = min(scene.prior_components, int(parts.max()))
        mean = f"{count} {'Gaussians' if count > 1 else 'Gaussian'} per class{moved}"
    return f"{mean}, {shape}{scaled}"


def coupling_label(scene: Scene) -> str:
    """The coupling in a few words; empty where it is independent."""
    names = {
        "independent": "",
        "component-ot": "component OT",
        "batch-ot": f"batch OT of {scene.batch_size}",
        "class-batch-ot": f"batch OT of {scene.batch_size} per class",
        "full-ot": "full OT",
    }
    return names[scene.coupling]


def short(scene: Scene) -> str:
    """Prior and coupling: what is particular about a scene where all else is the same (`names` says the rest)."""
    return ", ".join(part for part in (prior_label(scene), coupling_label(scene)) if part)


def method_label(scene: Scene) -> str:
    """The solver, and its grid where that is not uniform."""
    grid = "" if scene.grid == "uniform" or scene.solver in ADAPTIVE else f" on the {scene.grid} grid"
    return f"{scene.solver}{grid}"


def budget_label(scene: Scene) -> str:
    """Evaluations of a fixed-step solver, tolerance of an adaptive one."""
    return f"tolerance {scene.tolerance:g}" if scene.solver in ADAPTIVE else f"NFE {scene.nfe}"


def path_label(scene: Scene) -> str:
    """The path, with its own parameter where that is not the usual one."""
    own = {"cond-ot": ("sigma_min", scene.sigma_min, 0), "polynomial": ("degree", scene.degree, 2)}
    name, value, usual = own.get(scene.path, ("", 0, 0))
    return scene.path if value == usual else f"{scene.path}, {name} {value:g}"


def target_label(scene: Scene) -> str:
    """The target, with what letters spell, what a mixture of one's own is made of, and a separation that is not 1."""
    name = f"letters {scene.letters}" if scene.target == "letters" else scene.target
    if scene.mixture is not None:
        name = f"{scene.target} of {len(scene.mixture.weights)} components"
    return name if scene.separation == 1 else f"{name}, {scene.separation:g} × apart"


PARTS: dict[str, Callable[[Scene], str]] = {
    "target": target_label,
    "path": path_label,
    "sees": lambda scene: f"sees {scene.sees}",
    "solver": method_label,
    "budget": budget_label,
    "fit": lambda scene: f"moments of {scene.fit_count} samples" if scene.fit_count else "exact moments",
    "n": lambda scene: f"n = {scene.count}",
    "seed": lambda scene: f"seed {scene.seed}",
}
PART_FIELDS = {"solver": ("solver", "grid"), "budget": ("nfe", "tolerance")}


def names(scenes: Sequence[Scene], but: Collection[str] = ()) -> list[str]:
    """A name for each of the scenes that are compared: prior and coupling, and whatever else is not the same in all of them.

    `but`: what the figure shows by other means, of `PARTS`. Scenes that are still called alike, and are not, get numbers.
    """
    varied = [label for part, label in PARTS.items() if part not in but and len(set(map(label, scenes))) > 1]
    found = ["; ".join([short(scene), *(label(scene) for label in varied)]) for scene in scenes]
    shown = {name for part in but for name in PART_FIELDS.get(part, (part,))}
    unshown = [tuple(getattr(scene, f.name) for f in fields(scene) if f.name not in shown) for scene in scenes]
    alike = {name: list(dict.fromkeys(rest for rest, own in zip(unshown, found, strict=True) if own == name)) for name in found}
    return [name if len(alike[name]) == 1 else f"{name} ({alike[name].index(rest) + 1})" for name, rest in zip(found, unshown, strict=True)]


def describe(scene: Scene) -> str:
    """A scene in one line: target, what the field sees, prior, coupling, path, solver."""
    parts = [target_label(scene), f"sees {scene.sees}", short(scene), path_label(scene), f"{method_label(scene)}, {budget_label(scene)}"]
    return "; ".join(parts)


def table(traced: Trace) -> str:
    """The measures of a trace for reading: one line each, with its meaning."""
    error, cost, w2 = traced.global_error, traced.transport_cost, traced.w2
    known = "" if error.resolved else ": no more can be told"
    still, bounded = traced.path_efficiency is None, float(traced.t[-1]) == 1
    rows = [
        ("function evaluations", f"{traced.nfe}", "counted at the field"),
        (
            "global truncation error",
            f"{error.rmse:.4g}",
            f"RMSE; median {error.median:.3g}, max {error.max:.3g}; reference off by {error.reference_error:.1g}{known}",
        ),
    ]
    if traced.local_error is not None:
        worst = int(traced.local_error.rmse.argmax())
        rows.append(
            (
                "local truncation error",
                f"{traced.local_error.rmse[worst]:.4g}",
                f"the worst step's RMSE, from t = {traced.local_error.t[worst]:.3g}",
            )
        )
    rows += [
        ("straightness", f"{traced.straightness:.4g}", "0 is straight; compares couplings, not priors"),
        (
            "acceleration",
            f"{traced.acceleration:.4g}",
            "what Euler's error follows" + ("" if bounded else "; nearly all of it next to the end"),
        ),
        (
            "path efficiency",
            "-" if still else f"{traced.path_efficiency:.3f}",
            "not shown: displacement under 5 % of the target's spread" if still else "displacement over length",
        ),
        ("transport cost, coupling", f"{cost.coupling:.4g}", "mean squared distance of the pairs"),
        ("transport cost, flow", f"{cost.flow:.4g}", "of the exact flow's ends; cheap is not accurate"),
        ("W2 to the target", f"{w2.value:.4g}", f"floor {w2.floor:.3g}, n = {w2.n}"),
        ("wrong class", f"{100 * traced.wrong_class:.3g} %", "particles that end in another class than by the exact flow"),
    ]
    shares = ((name, getattr(traced.shares, name)) for name in ("start", "coupling"))
    rows += [(f"{name} share", f"{value:.4g}", "RMSE of end points") for name, value in shares if value is not None]
    if (fitted := traced.world.fitted) is not None:
        fit = fitted.estimate
        rows += [
            (
                "estimate, end points",
                f"{fit.end_median:.4g}",
                f"median; {100 * fit.end_share_off:.2g} % of {fit.ends} are off by more than {fit.off:.2g}",
            ),
            (
                "estimate, field",
                f"{fit.field_rms:.4g}",
                f"RMS of velocities; bootstrap of {fitted.pairs} pairs, {fitted.sub_components} sub-components per component",
            ),
        ]
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    lines = [f"{name:<{widths[0]}}  {value:>{widths[1]}}  {note}" for name, value, note in rows]
    end = "" if bounded else f"; integrated to t = {float(traced.t[-1]):g}, where the velocity is still bounded"
    return "\n".join([f"{describe(traced.scene)}; n = {traced.scene.count}, seed {traced.scene.seed}{end}", *lines])


def ladder_table(ladder: Ladder) -> str:
    """Error over evaluations, and the order where there is a clean one."""
    head = f"{'NFE':>6}  {'RMSE':>9}  {'median':>9}  {'max':>9}"
    rows = [
        f"{n:>6}  {r:>9.3g}  {m:>9.3g}  {x:>9.3g}" for n, r, m, x in zip(ladder.nfe, ladder.rmse, ladder.median, ladder.max, strict=True)
    ]
    order = NO_ORDER if ladder.order is None else f"fitted order {ladder.order:.2f}"
    return "\n".join(["", head, *rows, f"{order}; reference off by {ladder.reference_error:.1g}"])
