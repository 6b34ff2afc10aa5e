"""The stage's numeric files in V8, without a browser, and the same scenes on both sides."""

import json
import random as chance
from functools import lru_cache
from typing import Any

import torch
from py_mini_racer import MiniRacer

from app.stage import NUMERIC, source
from toy import targets
from toy.demands import CUSTOM, FITTED
from toy.mixtures import Mixture
from toy.packing import pack
from toy.scene import CONTROLS, Choice, Scene
from toy.world import World


@lru_cache(maxsize=1)
def engine() -> MiniRacer:
    """V8 with `FlowLab` and the named targets in `targets`."""
    made = MiniRacer()
    made.eval(source(NUMERIC))
    known = {name: plain(targets.by_name(name)) for name in targets.SHAPES} | {"letters:FLOW": plain(targets.by_name("letters"))}
    made.eval(
        f"globalThis.targets = {{}}; for (const [name, m] of Object.entries({json.dumps(known)})) targets[name] = FlowLab.makeMixture(m);"
    )
    made.eval(HELPERS)
    return made


HELPERS = """
globalThis.plain = (value) => JSON.stringify(value, (key, v) => (ArrayBuffer.isView(v) ? Array.from(v) : v instanceof Map ? undefined : v));
globalThis.worldOf = ({ scene, fitted, order }) => {
  const own = scene.mixture ? { ...scene, mixture: FlowLab.makeMixture(scene.mixture) } : scene;
  const fit = fitted && { source: FlowLab.makeMixture(fitted.source), target: FlowLab.makeMixture(fitted.target), cross: Float64Array.from(fitted.cross), cost: fitted.cost };
  return FlowLab.makeWorld(own, { targets, fitted: fit, order });
};
"""


def call(script: str, **given: Any) -> Any:
    """Runs the body of a function of `given`, which travels as JSON, and returns what it returns."""
    return json.loads(str(engine().eval(f"plain(((given) => {{ {script} }})({json.dumps(given)}))")))


def plain(mixture: Mixture) -> dict[str, list]:
    """A mixture as the browser takes it."""
    s = mixture.covariances
    return {
        "weights": mixture.weights.tolist(),
        "means": mixture.means.flatten().tolist(),
        "covariances": torch.stack((s[:, 0, 0], s[:, 0, 1], s[:, 1, 1]), dim=1).flatten().tolist(),
        "classes": mixture.classes.tolist(),
    }


def described(scene: Scene) -> dict[str, Any]:
    """A scene as the browser takes it."""
    return vars(scene) | {"mixture": None if scene.mixture is None else plain(scene.mixture)}


def handed(made: World) -> dict[str, Any]:
    """What the browser needs of Python for a world: the scene, and the fit or the order of the coupling where it has no closed form."""
    found: dict[str, Any] = {"scene": described(made.scene)}
    if made.fitted is not None:
        cross = made.fitted.cross.diagonal(dim1=0, dim2=1).permute(2, 0, 1)
        found["fitted"] = {
            "source": plain(made.fitted.source),
            "target": plain(made.fitted.target),
            "cross": cross.flatten().tolist(),
            "cost": made.fitted.transport_cost,
        }
    return found


def random_scene(number: int) -> Scene:
    """A scene with everything left to chance but fitted couplings, which take seconds, full OT and adaptive solvers, which the browser leaves to Python."""
    dice = chance.Random(number)
    values: dict[str, Any] = {"count": 40, "seed": dice.randrange(2**32), "nfe": dice.choice((1, 2, 4, 5, 8, 12, 24))}
    for name in ("target", "sees", "prior", "prior_covariance", "path", "grid"):
        control = CONTROLS[name]
        assert isinstance(control, Choice)
        values[name] = dice.choice(control.values)
    values["solver"] = dice.choice(("euler", "midpoint", "heun", "ralston", "kutta3", "rk4", "rk4-38", "ab2", "ddim"))
    values["coupling"] = dice.choice(("independent", "component-ot"))
    values["prior_components"] = dice.randint(1, 4)
    values["prior_mean"] = dice.choice((0.0, 1.0, dice.random()))
    values["scale"] = dice.choice((1.0, dice.uniform(0.2, 2)))
    values["separation"] = dice.choice((1.0, dice.uniform(0.5, 2)))
    values["fit_count"] = dice.choice((0, 0, 0, dice.randint(200, 2000)))
    values["sigma_min"] = dice.choice((0.0, dice.uniform(0, 0.3)))
    values["degree"] = dice.choice((2.0, dice.uniform(1, 4)))
    if values["target"] == CUSTOM:
        values["mixture"] = pack(_random_mixture(dice))
    scene, _ = Scene.from_query("&".join(f"{name}={value}" for name, value in values.items()))
    assert scene.coupling not in FITTED
    return scene


def _random_mixture(dice: chance.Random) -> Mixture:
    count = dice.randint(1, 8)
    raw = [dice.uniform(0.2, 1) for _ in range(count)]
    covariances = []
    for _ in range(count):
        a, b, c = dice.uniform(0.2, 1), dice.uniform(-0.5, 0.5), dice.uniform(0.2, 1)
        covariances.append([[a * a, a * b], [a * b, b * b + c * c]])
    means = [[dice.uniform(-5, 5), dice.uniform(-5, 5)] for _ in range(count)]
    classes = [k % dice.choice((1, 2, 3)) if k else 0 for k in range(count)]
    return Mixture([w / sum(raw) for w in raw], means, covariances, sorted(_numbered(classes)))


def _numbered(classes: list[int]) -> list[int]:
    present = sorted(set(classes))
    return [present.index(c) for c in classes]
