"""A velocity on a grid, as a learned field reaches the browser: slow to compute once, free to scrub after, and off by an error that is measured.

At each of T times the plane is cut into nx x ny points over that time's own box, which holds the particles there. Between points the velocity is bilinear in x, between
times linear in t; outside the box it is that of the nearest point on its edge. Functions that are bilinear in x and linear in t are reproduced to rounding.

VP's velocity may grow without bound at t = 1. There the grid holds the velocity per angle, u dt/d(angle) with the angle atan2(alpha, sigma) of lab.measures, which stays
bounded, and is linear in the angle between times: dt/d(angle) = (alpha^2 + sigma^2) sigma / (d_alpha sigma^2 - alpha sigma d_sigma).
"""

import json
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab.paths import Path, VariancePreserving, by_name
from lab.reference import distance, exact_flow, exact_flow_in_angle, refined
from lab.solvers import Field
from toy.drawn_pairs import LabelledPairs
from toy.files import beside

VERSION = 1
NX, NY, TIMES = 64, 64, 32  # 1 MB of float32 a class
MARGIN = 0.1  # of its width that the box reaches beyond the particles, on either side
LEAST_WIDTH = 1e-3
ERROR_TIMES = 33  # no multiple of the grid's own
END_STEPS = 64  # RK4 steps of both flows
OFF = 0.1  # an end point is off by more than this share of the data's standard deviation per coordinate


@dataclass(frozen=True)
class GridField:
    """Velocities (C, T, ny, nx, 2) float32 at times t (T,) over boxes (T, 4): least x, greatest x, least y, greatest y. C is 1 where the field sees
    the position alone, else one a class.

    path is given where values are velocities per angle (the module's text): VP. VE's, which span four decades early on, are better interpolated in t.
    """

    values: Float[Tensor, "c t y x 2"]
    t: Float[Tensor, " t"]
    boxes: Float[Tensor, "t 4"]
    path: Path | None = None

    @property
    def nbytes(self) -> int:
        """Of the velocities, as they travel."""
        return self.values.numel() * self.values.element_size()

    def velocity(self, x: Float[Tensor, "b 2"], t: Tensor | float, condition: Int[Tensor, " b"] | None = None) -> Float[Tensor, "b 2"]:
        """The interpolated velocity, (B, 2), in the dtype of x. t a number or (B,); condition (B,) where there is a grid for each class.

        Raises ValueError for a class that is missing or has no grid, and times of another shape.
        """
        classes = len(self.values)
        if classes > 1 and condition is None:
            raise ValueError(f"condition must be given: this grid holds {classes} classes")
        if classes > 1 and condition is not None and len(condition) and not 0 <= int(condition.min()) <= int(condition.max()) < classes:
            raise ValueError(f"condition must lie in 0 to {classes - 1}, the classes of the grid")
        time = torch.as_tensor(t, dtype=torch.float64)
        if time.ndim and time.shape not in ((1,), (len(x),)):
            raise ValueError(f"t has shape {tuple(time.shape)}; it must be a number or one time per particle, ({len(x)},)")
        time = time.expand(len(x)).clamp(float(self.t[0]), float(self.t[-1])).contiguous()
        clock = self.t if self.path is None else _angle(self.path, self.t)
        now = time if self.path is None else _angle(self.path, time)
        earlier = (torch.searchsorted(clock, now, right=True) - 1).clamp(0, len(clock) - 2)
        share = ((now - clock[earlier]) / (clock[earlier + 1] - clock[earlier]))[:, None]
        own = torch.zeros_like(earlier) if classes == 1 or condition is None else condition
        point = x.double()
        found = torch.lerp(self._at(point, earlier, own), self._at(point, earlier + 1, own), share)
        return (found if self.path is None else found / _rate(self.path, time)[:, None]).to(x.dtype)

    def _at(self, x: Float[Tensor, "b 2"], k: Int[Tensor, " b"], own: Int[Tensor, " b"]) -> Float[Tensor, "b 2"]:
        """Bilinear in x at the grid's time k of each point."""
        size = torch.tensor(self.values.shape[2:4][::-1])  # nx, ny
        box = self.boxes[k]
        place = (x - box[:, ::2]) / (box[:, 1::2] - box[:, ::2]) * (size - 1)
        place = place.clamp(min=0).minimum((size - 1).to(place.dtype))
        low = place.long().minimum(size - 2)
        (a, b), (i, j) = (place - low)[..., None].unbind(1), low.unbind(1)

        def corner(right: int, up: int) -> Tensor:
            return self.values[own, k, j + up, i + right].double()

        return torch.lerp(torch.lerp(corner(0, 0), corner(1, 0), a), torch.lerp(corner(0, 1), corner(1, 1), a), b)

    def save(self, file: File, about: dict[str, Any] | None = None) -> None:
        """Writes one .npz: values, t, boxes, and `about` as JSON text. `load` gives the same grid back."""
        if file.suffix != ".npz":
            raise ValueError(f"{file} must end in .npz")
        text = json.dumps({"version": VERSION, "path": None if self.path is None else self.path.name} | (about or {}))
        partial = beside(file)
        try:
            with partial.open("wb") as held:
                np.savez(held, values=self.values.numpy(), t=self.t.numpy(), boxes=self.boxes.numpy(), about=np.array(text))
            partial.replace(file)
        except OSError as error:
            raise ValueError(f"{file} cannot be written: {error.strerror}") from error
        finally:
            partial.unlink(missing_ok=True)

    @staticmethod
    def load(file: File) -> tuple["GridField", dict[str, Any]]:
        """The grid that `save` wrote, and what it says about itself. Raises ValueError for a version that this lab does not know."""
        with np.load(file, allow_pickle=False) as held:
            about = json.loads(str(held["about"]))
            if about.get("version") != VERSION:
                raise ValueError(f"{file} is of version {about.get('version')}; this lab knows {VERSION}")
            path = None if about["path"] is None else by_name(about["path"])
            values, t, boxes = (torch.from_numpy(held[name]) for name in ("values", "t", "boxes"))
            return GridField(values, t, boxes, path), about


def grid_times(path: Path, count: int = TIMES, last_time: float = 1.0) -> Float[Tensor, " t"]:
    """`count` times from 0 to last_time: uniform; on VP and VE equal steps of the angle atan2(alpha, sigma), in which their flows are smooth."""
    if path.last_time == 1.0:
        return torch.linspace(0, last_time, count, dtype=torch.float64)
    ends = torch.tensor([0.0, last_time], dtype=torch.float64)
    first, last = _angle(path, ends)
    tangent = torch.linspace(float(first), float(last), count, dtype=torch.float64).tan()
    t = path.time_of_ratio(tangent / (1 + tangent))
    t[0], t[-1] = ends
    return t


def _angle(path: Path, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    return torch.atan2(path.alpha(t), path.sigma(t))


def _rate(path: Path, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """dt / d(angle)."""
    alpha, sigma = path.alpha(t), path.sigma(t)
    return (alpha**2 + sigma**2) * sigma / (path.d_alpha(t) * sigma**2 - alpha * path.sigma_d_sigma(t))


def on_grid(
    velocity: Field,
    pairs: LabelledPairs,
    path: Path,
    *,
    classes: int = 0,
    last_time: float = 1.0,
    nx: int = NX,
    ny: int = NY,
    times: int = TIMES,
    box: tuple[float, float, float, float] | None = None,
) -> GridField:
    """A velocity on a grid. pairs (of the training coupling) say where the particles are: the box of each time holds their x_t and a tenth of its width more, unless `box` is
    given for all times. classes: how many the field sees; 0 where it sees the position alone.

    Raises ValueError for fewer than two points along an axis.
    """
    for name, count in (("nx", nx), ("ny", ny), ("times", times)):
        if count < 2:
            raise ValueError(f"{name}={count} must be at least 2")
    per_angle = isinstance(path, VariancePreserving)
    t = grid_times(path, times, min(last_time, path.last_time))
    boxes = torch.stack([_box(pairs, path, float(moment)) for moment in t]) if box is None else torch.tensor(box).double().expand(times, 4)
    across, up = (torch.linspace(0, 1, n, dtype=torch.float64) for n in (nx, ny))
    values = torch.empty(max(1, classes), times, ny, nx, 2)
    with torch.no_grad():
        for k in range(times):
            left, right, low, high = boxes[k]
            y, x = torch.meshgrid(low + (high - low) * up, left + (right - left) * across, indexing="ij")
            points = torch.stack((x, y), dim=-1).reshape(-1, 2)
            factor = float(_rate(path, t[k])) if per_angle else 1.0
            for c in range(len(values)):
                told = torch.full((len(points),), c) if classes else None
                values[c, k] = factor * velocity(points, t[k].expand(len(points)), told).reshape(ny, nx, 2)
    return GridField(values, t, boxes.contiguous(), path if per_angle else None)


def _box(pairs: LabelledPairs, path: Path, t: float) -> Float[Tensor, " 4"]:
    x = _law_at(pairs, path, t)
    low, high = x.amin(0), x.amax(0)
    width = (high - low).clamp(min=LEAST_WIDTH)
    low, high = low - MARGIN * width, high + MARGIN * width
    return torch.stack((low[0], high[0], low[1], high[1]))


def _law_at(pairs: LabelledPairs, path: Path, t: float) -> Float[Tensor, "n 2"]:
    time = torch.full((len(pairs),), t, dtype=torch.float64)
    return path.sample(x_0=pairs.x_0, x_1=pairs.x_1, t=time).x_t


@dataclass(frozen=True)
class GridError:
    """How far a field on a grid is from the field itself.

    rms: root mean square of the difference of velocities over the times t and x ~ p_t, data units; by_time: the same at each t. Of the distances between
    the ends of the two exact flows from the same x_0, end_median is the median and end_share_off the share above `off` (a tenth of the data's standard deviation per coordinate);
    `ends` particles.
    """

    rms: float
    t: tuple[float, ...]
    by_time: tuple[float, ...]
    end_median: float
    end_share_off: float
    off: float
    ends: int
    nbytes: int


def grid_error(
    grid: GridField,
    velocity: Field,
    pairs: LabelledPairs,
    path: Path,
    start: Float[Tensor, "n 2"],
    told: Int[Tensor, " n"] | None,
    *,
    last_time: float = 1.0,
    end: Float[Tensor, "n 2"] | None = None,
) -> GridError:
    """Measures a grid against the velocity that it holds: at x_t of `pairs`, at times between the grid's, and by the ends of both flows from `start` (RK4 with 64 steps).

    end: the velocity's own ends, where they are known already.
    """
    moments = (torch.arange(ERROR_TIMES, dtype=torch.float64) + 0.5) / ERROR_TIMES * last_time
    known = pairs.condition if told is not None else None
    squares = []
    with torch.no_grad():
        for t in moments.tolist():
            x = _law_at(pairs, path, t)
            time = torch.full((), t, dtype=torch.float64).expand(len(x))
            squares.append((grid.velocity(x, time, known) - velocity(x, time, known)).square().sum(1).mean())
        if end is None:
            end = flow_end(velocity, start, told, path, last_time)
        apart = distance(flow_end(grid.velocity, start, told, path, last_time), end)
    mean = torch.stack(squares)
    off = OFF * float(pairs.x_1.var(0).mean()) ** 0.5
    return GridError(
        rms=float(mean.mean().sqrt()),
        t=tuple(moments.tolist()),
        by_time=tuple(mean.sqrt().tolist()),
        end_median=float(apart.quantile(0.5)),
        end_share_off=float((apart > off).double().mean()),
        off=off,
        ends=len(start),
        nbytes=grid.nbytes,
    )


def flow_end(velocity: Field, start: Tensor, told: Tensor | None, path: Path, last_time: float, steps: int = END_STEPS) -> Tensor:
    """Where a field's own flow takes particles: RK4, in the angle on VP and VE."""
    times = refined(torch.tensor([0.0, last_time], dtype=torch.float64), steps, path)
    integrate = exact_flow if path.last_time == 1.0 else exact_flow_in_angle
    return integrate(velocity, start, times, told, path).end
