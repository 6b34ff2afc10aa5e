"""A scene made real: its mixtures, its coupling, its exact field, and its particles."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab import paths, random
from lab.mixtures import schedule
from lab.paths import Path
from toy import targets
from toy.blocks import PairedField, class_plan, component_ot, full_ot, independent_plan
from toy.demands import CONDITIONAL, CUSTOM, FITTED
from toy.field import MixtureField
from toy.fitted import FittedCoupling, batch_ot
from toy.mixtures import Mixture
from toy.priors import prior_mixture
from toy.scene import Scene

# Independent normal numbers for x_0, for paired or compared data, and for a second draw of data; CHANCE apart, the uniform numbers of each.
SOURCE_STREAM, TARGET_STREAM, FLOOR_STREAM, CHANCE = 0, 1, 2, 100
# A fit is of the coupling alone: with these at their defaults, scenes that share it are one scene.
NOT_IN_A_FIT: dict[str, Any] = {
    name: getattr(Scene(), name) for name in ("path", "sigma_min", "degree", "solver", "grid", "nfe", "tolerance", "count")
}


@dataclass(frozen=True)
class Particles:
    """x_0 (N, 2) float64 and each particle's class (N,): what the seed fixes. `component` (N,) is the prior's component."""

    x_0: Float[Tensor, "n 2"]
    condition: Int[Tensor, " n"]
    component: Int[Tensor, " n"]


@dataclass(frozen=True)
class World:
    """What a scene stands for. `plan` (J, K) is how the prior's components go with the target's when x_0 and x_1 are drawn, before any optimal transport.

    `field` is the exact marginal velocity of the scene's coupling; for full OT that of the shown pairs themselves (then it knows only the scene's own particles). `cross` holds
    the covariances of x_0 with x_1 within each pair of components, where they are not zero. Batch OT has no closed form: its field is that of `fitted`, whose own
    source and target are close to the world's and not the same.
    """

    scene: Scene
    source: Mixture
    target: Mixture
    plan: Float[Tensor, "j k"]
    path: Path
    field: MixtureField | PairedField
    cross: Float[Tensor, "j k 2 2"] | None = None
    fitted: FittedCoupling | None = None

    @property
    def sees_class(self) -> bool:
        return self.scene.sees == "class"

    @property
    def last_time(self) -> float:
        """Where flows end: 1, but 1 - 1e-5 where the velocity grows without bound there (VP and VE, unless the prior's means and the cross-covariances are zero)."""
        independent = isinstance(self.field, MixtureField) and self.cross is None and self.fitted is None
        bounded = self.path.last_time == 1 or (independent and not bool(self.source.means.any()))
        return 1.0 if bounded else self.path.last_time

    def condition(self, particles: Particles) -> Int[Tensor, " n"] | None:
        """What the field is told: each particle's class where it sees the class, nothing where it sees the position."""
        return particles.condition if self.sees_class else None


def target_mixture(scene: Scene) -> Mixture:
    """The law of the data, modes moved apart by the scene's separation."""
    if scene.target == CUSTOM:
        assert scene.mixture is not None  # Scene checks it
        base = scene.mixture
    else:
        base = targets.by_name(scene.target, letters=scene.letters)
    return base if scene.separation == 1 else base.separated(scene.separation)


def scene_path(scene: Scene) -> Path:
    """The scene's path with its own parameters."""
    if scene.path == "cond-ot":
        return paths.CondOT(scene.sigma_min)
    if scene.path == "polynomial":
        return paths.Polynomial(scene.degree)
    return paths.by_name(scene.path)


def is_conditional(scene: Scene) -> bool:
    """Whether x_0 depends on the class."""
    return scene.prior in CONDITIONAL


def world(scene: Scene) -> World:
    """Builds the world of a scene. Everything is closed form but full OT, which pairs the shown points, and batch OT, which is fitted (and remembered)."""
    target = target_mixture(scene)
    source = prior_mixture(scene, target)
    path = scene_path(scene)
    plan = class_plan(source, target) if is_conditional(scene) else independent_plan(source, target)
    if scene.coupling == "independent":
        return World(scene, source, target, plan, path, MixtureField(source, target, plan, path=path))
    if scene.coupling == "component-ot":
        # An optimal plan between the laws given the class where the field sees it, else between the whole laws.
        block = component_ot(source, target, per_class=scene.sees == "class" and is_conditional(scene))
        return World(scene, source, target, plan, path, MixtureField(source, target, block.plan, block.cross, path), block.cross)
    if scene.coupling in FITTED:
        fitted = _fitted(replace(scene, **NOT_IN_A_FIT))
        return World(scene, source, target, plan, path, fitted.field(path), fitted=fitted)
    shown = draw_particles(source, target, is_conditional(scene), scene.count, scene.seed)
    data = draw_data(target, shown.condition, scene.seed, TARGET_STREAM)
    order = full_ot(shown.x_0, data, shown.condition if scene.sees == "class" else None)
    return World(scene, source, target, plan, path, PairedField(shown.x_0, data[order], shown.condition[order], path))


@lru_cache(maxsize=16)
def _fitted(scene: Scene) -> FittedCoupling:
    """The fit of a scene's batch coupling: about 4 s once, nothing when only path, solver or particles change afterwards."""
    target = target_mixture(scene)
    source = prior_mixture(scene, target)
    plan = class_plan(source, target) if is_conditional(scene) else independent_plan(source, target)
    return batch_ot(
        source,
        target,
        plan,
        batch_size=scene.batch_size,
        per_class=scene.coupling == "class-batch-ot",
        sees_class=scene.sees == "class",
        seed=scene.seed,
    )


def particles(made: World, count: int | None = None, seed: int | None = None) -> Particles:
    """The scene's particles. The same seed gives the same classes and the same normal numbers under every prior; any first n of them are stratified."""
    scene = made.scene
    return draw_particles(
        made.source, made.target, is_conditional(scene), scene.count if count is None else count, scene.seed if seed is None else seed
    )


def draw_particles(source: Mixture, target: Mixture, conditional: bool, count: int, seed: int) -> Particles:
    """Classes by `schedule` of the target's class weights; within each class the prior's components by `schedule` of theirs; x_0 = m_j + chol(S_j) z_i."""
    condition = schedule(target.class_weights, count)
    weights = source.weights
    component = torch.zeros(count, dtype=torch.int64)
    for c in range(target.class_count):
        rows = torch.nonzero(condition == c)[:, 0]
        # Ranked within the class, so that a class's components are in proportion too, and do not lock step with the classes' own order.
        component[rows] = schedule(weights * (source.classes == c) / target.class_weights[c] if conditional else weights, len(rows))
    normals = random.normals(seed, torch.arange(count), 2, stream=SOURCE_STREAM)
    return Particles(source.from_normals(normals, component), condition, component)


def draw_data(target: Mixture, condition: Int[Tensor, " n"], seed: int, stream: int, *, stratified: bool = True) -> Float[Tensor, "n 2"]:
    """Fresh data of the given classes; components within each class by `schedule`, or independent draws."""
    component = torch.zeros_like(condition)
    chance = random.uniforms(seed, torch.arange(len(condition)), 1, stream + CHANCE)[:, 0]
    for c in range(target.class_count):
        rows = torch.nonzero(condition == c)[:, 0]
        within = target.weights * (target.classes == c) / target.class_weights[c]
        component[rows] = schedule(within, len(rows)) if stratified else _drawn(within, chance[rows])
    return target.from_normals(random.normals(seed, torch.arange(len(condition)), 2, stream=stream), component)


def draw_data_like_ends(made: World, condition: Int[Tensor, " n"], seed: int, stream: int) -> Float[Tensor, "n 2"]:
    """Data about as random as the end points of an exact flow: stratified by class where the prior or the field knows it, else left to chance, as components are.

    A Gaussian x_0 does not tell where it will end: end points fall into the target's components as independent draws do, and 2,000 of them miss the weights by more than
    W2 forgives. Where x_0 is stratified by components of its own, end points are less random than this.
    """
    if not (is_conditional(made.scene) or made.sees_class):
        chance = random.uniforms(seed, torch.arange(len(condition)), 1, stream + 2 * CHANCE)[:, 0]
        condition = _drawn(made.target.class_weights, chance)
    return draw_data(made.target, condition, seed, stream, stratified=False)


def _drawn(weights: Float[Tensor, " k"], chance: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Independent draws from the weights by uniform numbers; none of weight zero."""
    present = torch.nonzero(weights > 0)[:, 0]
    return present[torch.searchsorted(weights[present].cumsum(0), chance.contiguous()).clamp(max=len(present) - 1)]
