"""A cloud of points becomes a Mixture of at most 64 components, by a fit that says how good it is."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab import random
from lab.distances import wasserstein2
from lab.em import choose_components, fit_em
from toy.mixtures import Mixture
from toy.progress import Say, silent

ROW_LIMIT, LEAST_ROWS, CLASS_LIMIT, COMPONENT_LIMIT = 100_000, 8, 32, 64
BOX = 6.0  # clouds that reach further than this are moved and scaled into the stage
RMS_RADIUS = 3.5
OUTLIER = 1000  # times the median distance from the middle
# Points of a class that its number of Gaussians is judged by: 100,000 would take minutes; of fewer than 16 it is one.
JUDGED, LEAST_JUDGED = 20_000, 16
COUNT_STREAM, FIT_STREAM = 0x434E54, 0x464954
COMPARED = 1000  # points of cloud and mixture that W2 compares


@dataclass(frozen=True)
class Cloud:
    """points (N, 2) and the class of each (N,), numbered in the order of `class_names`. `unused`: columns of the file that are neither x nor y nor class."""

    points: Float[Tensor, "n 2"]
    classes: Int[Tensor, " n"]
    class_names: tuple[str, ...]
    unused: tuple[str, ...] = ()


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
    opening = next((line for line in text.splitlines() if line.strip()), "")
    if not opening:
        raise ValueError(f"{name} is empty; a CSV file with columns x, y and perhaps class is needed")
    delimiter = max(",;\t", key=opening.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    rows, places = [], []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append([cell.strip() for cell in row])
                places.append(reader.line_num)
    except csv.Error as error:
        raise ValueError(f"{name} is no CSV file with columns x, y and perhaps class: line {reader.line_num}: {error}") from error
    header = [cell.lower() for cell in rows[0]]
    if "x" in header and "y" in header:
        columns = header.index("x"), header.index("y"), header.index("class") if "class" in header else None
        unused = tuple(repr(title) for i, title in enumerate(rows[0]) if i not in columns)
        rows, places, unnamed = rows[1:], places[1:], False
    elif len(header) in (2, 3) and _number(rows[0][0]) is not None:
        columns, unused, unnamed = (0, 1, 2 if len(header) == 3 else None), (), len(header) == 3
    else:
        raise ValueError(f"{name} has no columns x and y; its first line reads {opening[:60]!r}")
    if not LEAST_ROWS <= len(rows) <= ROW_LIMIT:
        raise ValueError(f"{name} has {len(rows)} points; between {LEAST_ROWS} and {ROW_LIMIT:,} are needed")
    points, labels = [], []
    for line, row in zip(places, rows, strict=True):
        pair = [_number(row[c]) if c < len(row) else None for c in columns[:2]]
        if None in pair:
            raise ValueError(f"{name}, line {line}: x and y must be finite numbers, not {delimiter.join(row)[:60]!r}")
        if len(row) > len(header):
            raise ValueError(f"{name}, line {line}: {len(row)} cells for {len(header)} columns")
        label = "" if columns[2] is None else (row[columns[2]] if columns[2] < len(row) else "")
        if columns[2] is not None and not label:
            raise ValueError(f"{name}, line {line}: the class is missing; give every point one, or leave the column out")
        points.append(pair)
        labels.append(label)
    names = tuple(dict.fromkeys(labels))
    if unnamed and any((number := _number(label)) is not None and number != int(number) for label in names):
        raise ValueError(f"{name} has no header, and its third column is no class: write x,y,class or the columns' own names over it")
    if len(names) > CLASS_LIMIT:
        raise ValueError(f"{name} has {len(names)} classes; at most {CLASS_LIMIT} can be told apart")
    index = {label: c for c, label in enumerate(names)}
    cloud = torch.tensor(points, dtype=torch.float64)
    _check_outliers(cloud, places, name)
    return Cloud(cloud, torch.tensor([index[label] for label in labels]), names, unused)


def _check_outliers(points: Float[Tensor, "n 2"], places: list[int], name: str) -> None:
    """One point far out would decide the scale, and the rest be fitted as one spot."""
    away = (points - points.median(0).values).norm(dim=1)
    usual = float(away.median())
    if usual > 0 and float(away.max()) > OUTLIER * usual:
        worst = int(away.argmax())
        raise ValueError(
            f"{name}, line {places[worst]}: the point {tuple(points[worst].tolist())} lies more than {OUTLIER:,} times as far out as half of the points; take it out"
        )


def _number(text: str) -> float | None:
    if "_" in text:  # 1_000 is a number to Python alone
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e12 else None  # infinity and NaN fail the comparison


def fit_cloud(points: Float[Tensor, "n 2"], classes: Int[Tensor, " n"] | None = None, *, seed: int = 0, say: Say = silent) -> CloudFit:
    """A mixture for the cloud, its components per class chosen by held-out log-likelihood, at most 64 in all.

    A cloud that reaches beyond 6 in x or y is centred and scaled to an RMS radius of 3.5 first. `say` hears what is being done. Raises ValueError where all points coincide.
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
    counts = component_counts(cloud[train], classes[train], most=most, seed=seed, say=say)
    say(f"fitting Gaussians to {len(train):,} points")
    score = float(mixture_of_classes(cloud[train], classes[train], counts, seed=seed).log_prob(cloud[test]).mean())
    say(f"fitting Gaussians to {len(cloud):,} points")
    mixture = mixture_of_classes(cloud, classes, counts, seed=seed)
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


def component_counts(
    points: Float[Tensor, "n 2"], classes: Int[Tensor, " n"], *, most: int, seed: int, say: Say = silent
) -> dict[int, int]:
    """For each class the number of Gaussians, up to `most`, with the highest held-out log-likelihood; judged by 20,000 of its points at most."""
    counts = {}
    present = classes.unique().tolist()
    for place, c in enumerate(present, 1):
        say(f"choosing the number of Gaussians for class {place} of {len(present)}")
        own = points[classes == c]
        generator = random.generator(seed, c, COUNT_STREAM)
        own = own[torch.randperm(len(own), generator=generator)[:JUDGED]]
        distinct = len(torch.unique(own, dim=0))
        candidates = tuple(n for n in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64) if n <= min(most, distinct // 4)) or (1,)
        counts[c] = choose_components(own, candidates, generator=generator).components if distinct >= LEAST_JUDGED else 1
    return counts


def mixture_of_classes(points: Float[Tensor, "n 2"], classes: Int[Tensor, " n"], counts: Mapping[int, int], *, seed: int) -> Mixture:
    """Gaussians for each class: counts[class] of them (1 for a class that it does not name), at most as many as the class has distinct points."""
    weights, means, covariances, labels = [], [], [], []
    for c in classes.unique().tolist():
        own = points[classes == c]
        k = min(counts.get(c, 1), len(torch.unique(own, dim=0)))
        # A floor of 1e-4 keeps points on a line, or a class of one point, from a singular covariance.
        fitted = fit_em(own, k, generator=random.generator(seed, c, FIT_STREAM), floor=1e-4).mixture
        weights.append(fitted.weights * len(own) / len(points))
        means.append(fitted.means)
        covariances.append(fitted.covariances)
        labels += [c] * k
    renumbered = torch.unique(torch.tensor(labels), return_inverse=True)[1]
    w = torch.cat(weights)
    return Mixture(w / w.sum(), torch.cat(means), torch.cat(covariances), renumbered)
