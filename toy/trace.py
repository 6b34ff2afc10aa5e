"""trace(scene) -> Trace: a scene's particles sent through its solver, measured against its exact flow."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from lab.measures import ErrorSummary, LocalError, Reference
from toy.scene import Scene
from toy.world import World

NFE_LADDER = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
DRAWN_TIMES = 33  # states that an adaptive solver, whose own steps are no choice of ours, reports for drawing
W2_MOST = 2000  # exact assignment grows with n^3: 0.4 s at 2,000 (tests/bench/assignment.py); more particles are compared by their first 2,000


@dataclass(frozen=True)
class TransportCost:
    """E|x_1 - x_0|^2 over the coupling (closed form), and over the exact flow's own start and end points. Squared data units."""

    coupling: float
    flow: float


@dataclass(frozen=True)
class DistributionError:
    """Exact W2 of the solver's end points to fresh data, and between two fresh draws of data (the floor), all stratified, with n points each.

    Per class where the field sees it: the root of the class-weighted mean of squares.
    """

    value: float
    floor: float
    n: int


@dataclass(frozen=True)
class Shares:
    """Where the error of the shown scene comes from, RMSE of end points in data units; None where a share does not arise.

    start: the exact flow from sigma(0) x_0 against the exact flow from the path's own law at t = 0. solver: truncation. estimate: a fitted coupling's field against
    the field it stands for. coupling: what the exact flow lacks to the data (W2 above the floor), where the training coupling does not match sampling.
    """

    start: float | None
    solver: float
    estimate: float | None
    coupling: float | None


@dataclass(frozen=True)
class Trace:
    """Trajectories and measures of one scene.

    x (K + 1, N, 2): the solver's states at its times t (K + 1,); exact: the exact flow of the same particles at the same times. x_0 (N, 2) is the prior's sample, and
    condition (N,) each particle's class. nfe is counted at the field. `reference` is the exact flow on a fine grid, with its own error.
    """

    scene: Scene
    world: World
    x: Float[Tensor, "k n 2"]
    t: Float[Tensor, " k"]
    exact: Float[Tensor, "k n 2"]
    x_0: Float[Tensor, "n 2"]
    condition: Int[Tensor, " n"]
    nfe: int
    reference: Reference
    global_error: ErrorSummary
    local_error: LocalError | None
    straightness: float
    acceleration: float
    path_efficiency: float | None
    transport_cost: TransportCost
    w2: DistributionError
    wrong_class: float
    shares: Shares

    def summary(self) -> dict[str, Any]:
        """Plain numbers: what `python -m toy measure --json` prints."""
        scene = {f.name: getattr(self.scene, f.name) for f in fields(Scene) if f.name != "mixture"}
        return {
            "version": 1,
            "scene": scene | ({"mixture": self.scene.to_query()} if self.scene.mixture else {}),
            "nfe": self.nfe,
            "t_end": float(self.t[-1]),
            "global_error": asdict(self.global_error),
            "local_error": None if self.local_error is None else {"t": self.local_error.t.tolist(), "rmse": self.local_error.rmse.tolist()},
            "straightness": self.straightness,
            "acceleration": self.acceleration,
            "path_efficiency": self.path_efficiency,
            "transport_cost": asdict(self.transport_cost),
            "w2": asdict(self.w2),
            "wrong_class": self.wrong_class,
            "shares": asdict(self.shares),
        }
