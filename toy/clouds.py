"""A cloud of points becomes a Mixture of at most 64 components, by a fit that says how good it is."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab import random
from lab.distances import wasserstein2
from lab.em import choose_components, fit_em
from toy.mixtures import Mixture

ROW_LIMIT, LEAST_ROWS, CLASS_LIMIT, COMPONENT_LIMIT = 100_000, 8, 32, 64
BOX = 6.0  # clouds that reach further than this are moved and scaled into the stage
RMS_RADIUS = 3.5
COMPARED = 1000  # points of cloud and mixture that W2 compares


@dataclass(frozen=True)
class Cloud:
    """points (N, 2) and the class of each (N,), numbered in the order of `class_names`."""

    points: Float[Tensor, "n 2"]
    classes: Int[Tensor, " n"]
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class CloudFit:
    """The mixture and how good it is: log-likelihood per held-out point (nats, in the mixture's coordinates), W2 between the cloud and as many samples of the mixture, and
    W2 between two such sets of samples (the floor). The mixture's coordinates are (points - shift) * scale."""

    mixture: Mixture
    held_out_log_likelihood: float
    w2: float
    w2_floor: float
    shift: tuple[float, float]
    scale: float

    def __str__(self) -> str:
        moved = (
            "" if self.scale == 1 and self.shift == (0.0, 0.0) else f"; moved by {self.shift} and scaled by {self.scale:.3g} into the stage"
        )
        return (
            f"{len(self.mixture.weights)} components, {self.mixture.class_count} classes; held-out log-likelihood {self.held_out_log_likelihood:.3f} nats a point; "
            f"W2 to the cloud {self.w2:.3f} (floor {self.w2_floor:.3f}){moved}"
        )


def read_points(path: Path) -> Cloud:
    """Reads a CSV file with columns x, y and, if it likes, class; two or three columns without a header are taken as these.

    Between 8 and 100,000 rows, at most 32 classes; commas, semicolons or tabs. Raises ValueError with one sentence that names the file, the line and the cure.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text; a CSV file with columns x, y and perhaps class is needed") from error
    return parse_points(text, str(path))


def parse_points(text: str, name: str = "the file") -> Cloud:
    """`read_points` of a text."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError(f"{name} is empty; a CSV file with columns x, y and perhaps class is needed")
    delimiter = max(",;\t", key=lines[0].count)
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter)]
    except csv.Error as error:
        raise ValueError(f"{name} is no CSV file with columns x, y and perhaps class: {error}") from error
    header = [cell.lower() for cell in rows[0]]
    if "x" in header and "y" in header:
        columns = header.index("x"), header.index("y"), header.index("class") if "class" in header else None
        rows, first = rows[1:], 2
    elif len(header) in (2, 3) and _number(rows[0][0]) is not None:
        columns, first = (0, 1, 2 if len(header) == 3 else None), 1
    else:
        raise ValueError(f"{name} has no columns x and y; its first line reads {lines[0][:60]!r}")
    if not LEAST_ROWS <= len(rows) <= ROW_LIMIT:
        raise ValueError(f"{name} has {len(rows)} points; between {LEAST_ROWS} and {ROW_LIMIT:,} are needed")
    points, labels = [], []
    for number, row in enumerate(rows, first):
        pair = [_number(row[c]) if c < len(row) else None for c in columns[:2]]
        if None in pair:
            raise ValueError(f"{name}, line {number}: x and y must be finite numbers, not {delimiter.join(row)[:60]!r}")
        points.append(pair)
        labels.append(row[columns[2]] if columns[2] is not None and columns[2] < len(row) else "")
    names = tuple(dict.fromkeys(labels))
    if len(names) > CLASS_LIMIT:
        raise ValueError(f"{name} has {len(names)} classes; at most {CLASS_LIMIT} can be told apart")
    index = {label: c for c, label in enumerate(names)}
    return Cloud(torch.tensor(points, dtype=torch.float64), torch.tensor([index[label] for label in labels]), names)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e12 else None  # infinity and NaN fail the comparison


def fit_cloud(points: Float[Tensor, "n 2"], classes: Int[Tensor, " n"] | None = None, *, seed: int = 0) -> CloudFit:
    """A mixture for the cloud, its components per class chosen by held-out log-likelihood, at most 64 in all.

    A cloud that reaches beyond 6 in x or y is centred and scaled to an RMS radius of 3.5 first. Raises ValueError where all points coincide.
    """
    classes = torch.zeros(len(points), dtype=torch.int64) if classes is None else classes
    if float(points.var(0).sum()) == 0:
        raise ValueError("all points of the cloud coincide; a mixture needs some spread")
    shift, scale = torch.zeros(2, dtype=torch.float64), 1.0
    if float(points.abs().max()) > BOX:
        shift = points.mean(0)
        scale = RMS_RADIUS / float((points - shift).square().sum(1).mean().sqrt())
    cloud = (points - shift) * scale
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(cloud), generator=generator)
    held = max(1, len(cloud) // 5)
    test, train = order[:held], order[held:]
    most = max(1, COMPONENT_LIMIT // int(classes.max() + 1))
    partial = mixture_of_classes(cloud[train], classes[train], most=most, seed=seed)
    score = float(partial.log_prob(cloud[test]).mean())
    mixture = mixture_of_classes(cloud, classes, most=most, seed=seed)
    shown = cloud[order[:COMPARED]]
    drawn = [_independent_draws(mixture, len(shown), seed, stream) for stream in (11, 12)]
    return CloudFit(
        mixture, score, wasserstein2(shown, drawn[0]), wasserstein2(drawn[0], drawn[1]), (float(shift[0]), float(shift[1])), scale
    )


def _independent_draws(mixture: Mixture, count: int, seed: int, stream: int) -> Float[Tensor, "n 2"]:
    """Components drawn independently too, as a cloud's are: stratified draws would make the floor kinder than the comparison."""
    rows = torch.arange(count)
    component = torch.searchsorted(mixture.weights.cumsum(0), random.uniforms(seed, rows, 1, stream)[:, 0].contiguous()).clamp(
        max=len(mixture.weights) - 1
    )
    return mixture.from_normals(random.normals(seed, rows, 2, stream + 100), component)


def mixture_of_classes(
    points: Float[Tensor, "n 2"], classes: Int[Tensor, " n"], *, seed: int, most: int = 8, exactly: int | None = None
) -> Mixture:
    """Gaussians for each class: `exactly` so many, or the number up to `most` with the highest held-out log-likelihood."""
    weights, means, covariances, labels = [], [], [], []
    for c in classes.unique().tolist():
        own = points[classes == c]
        generator = torch.Generator().manual_seed(seed)
        distinct = len(torch.unique(own, dim=0))
        if exactly is not None:
            k = min(exactly, distinct)
        elif distinct < 16:
            k = 1
        else:
            candidates = tuple(n for n in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64) if n <= min(most, distinct // 4))
            k = choose_components(own, candidates or (1,), generator=generator).components
        # A floor of 1e-4 keeps points on a line, or a class of one point, from a singular covariance.
        fitted = fit_em(own, k, generator=generator, floor=1e-4).mixture
        weights.append(fitted.weights * len(own) / len(points))
        means.append(fitted.means)
        covariances.append(fitted.covariances)
        labels += [c] * k
    renumbered = torch.unique(torch.tensor(labels), return_inverse=True)[1]
    w = torch.cat(weights)
    return Mixture(w / w.sum(), torch.cat(means), torch.cat(covariances), renumbered)
