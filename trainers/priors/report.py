"""The report of a fit in lines."""

from collections.abc import Mapping, Sequence
from typing import Any

SHOWN = 5  # classes by number


def table(found: Mapping[str, Any]) -> str:
    """What `python -m trainers prior` prints."""
    lines = [f"{found['recipe']}: {_what(found)}, {found['items']:,} training items{', mirrored ones too' if found['flips'] else ''}"]
    if len(found.get("members", ())) > 1:
        lines.append(_line("members", f"{_span(found['members'])} for each of {len(found['members'])} classes"))
    for name, about in (("fell_back", "too few members for a covariance of their own"), ("missing", "no members, so the mean of all")):
        if found.get(name):
            lines.append(_line("pooled", f"{_numbers(found[name])} ({about}; the pooled covariance)"))
    if "shares" in found:
        lines.append(_line("components", f"{_span([len(shares) for shares in found['shares']])} for each class"))
    if "shrinkage" in found:
        shrinkage = found["shrinkage"]
        tried = f", of {len(shrinkage['curve'])} tried" if shrinkage["curve"] else ""
        lines.append(_line("shrinkage", f"{shrinkage['value']:g} ({shrinkage['chosen_on']}{tried})"))
    lines += _mapper(found)
    if "held_out" in found:
        lines += _held_out(found["held_out"])
    lines.append(_line("size", f"{found['bytes']:,} bytes, {found['bytes_per_condition']:,} for each condition"))
    lines.append(_line("time", f"{found['seconds']:.1f} s"))
    if "file" in found:
        lines += [_line("written", found["file"]), _line("alone", _drawing(found))]
    return "\n".join([*lines, *_pictures(found)])


def _what(found: Mapping[str, Any]) -> str:
    form = f", {found['covariance']} covariances" if "covariance" in found else ""
    rank = f" of rank {found['rank']}" if "rank" in found else ""
    spread = f" of deviation {found['deviation']:.4f}" if "deviation" in found else ""
    return f"{found['kind']} prior{form}{rank}{spread}"


def _mapper(found: Mapping[str, Any]) -> list[str]:
    """A text mapper's lines."""
    if "mappers" not in found:
        return []
    lines = [_line("mapper", f"{found['parameters']:,} parameters in {found['folds']} folds, stopped by the {found['held_out']['on']}")]
    for fold, mapper in enumerate(found["mappers"]):
        curve, best = mapper["curve"], mapper["best_step"]
        shown = curve[:: -(-len(curve) // 8)]
        lines.append(
            _line(f"fold {fold}", f"{mapper['items']:,} items, best after {best} of {curve[-1][0]} steps; held-out loss for each number:")
        )
        lines.append(_line("", "  ".join(f"{step}: {loss:.3f}" for step, loss in shown)))
    explained = found["explained_variance"]
    crossed = f", {explained['cross_fitted']:.1%} of training items that the mapper did not see" if "cross_fitted" in explained else ""
    worse = " (below 0: worse than the mean alone)" if min(explained.values()) < 0 else ""
    lines.append(_line("explained", f"{explained['held_out']:.1%} of the variance of held-out latents{crossed}{worse}"))
    return [*lines, _line("sigma", f"{found['sigma']['value']:.4f} ({found['sigma']['from']})")]


def _held_out(held_out: Mapping[str, Any]) -> list[str]:
    """Densities, with the two that they are compared with."""
    names = {"prior": "this prior", "pooled_gaussian": "one Gaussian for all", "standard": "N(0, I)"}
    lines = [_line("log-density", f"in nats for each number, of {held_out['items']:,} items ({held_out['on']}), more is better:")]
    for name, about in names.items():
        if name in held_out["nats_per_dimension"]:
            nats = held_out["nats_per_dimension"][name]
            lines.append(_line("", f"{about:<22}{'none: a covariance is singular' if nats is None else f'{nats:.4f}'}"))
    return [*lines, *_worse(held_out["nats_per_dimension"])]


def _worse(nats: Mapping[str, float | None]) -> list[str]:
    """A line where the prior knows less of held-out data than one that knows nothing."""
    own, standard = nats.get("prior"), nats.get("standard")
    if own is None or standard is None or own >= standard:
        return []
    return [_line("", "worse than N(0, I): too few items for what it fits; fewer parameters (prior.covariance, prior.rank), or more data")]


def _drawing(found: Mapping[str, Any]) -> str:
    """How x_0 is had from the file without any flow."""
    condition = {"class-gaussian": "classes", "class-mixture": "classes", "text-gaussian": "embeddings"}.get(found["kind"])
    arguments = ["normals", *([condition] if condition else []), *(["uniforms=numbers_0_to_1"] if found["kind"] == "class-mixture" else [])]
    return f"x_0 without a flow: trainers.priors.FittedPrior.load(PATH).from_normals({', '.join(arguments)})"


def _pictures(found: Mapping[str, Any]) -> list[str]:
    if "pictures" not in found:
        return []
    return [_line("pictures", f"{found['pictures']['file']}, rows: {'; '.join(found['pictures']['rows'])}")]


def _span(counts: Sequence[int]) -> str:
    return f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"


def _numbers(classes: Sequence[int]) -> str:
    shown = ", ".join(map(str, classes[:SHOWN]))
    return f"class{'es' if len(classes) > 1 else ''} {shown}{f' and {len(classes) - SHOWN} more' if len(classes) > SHOWN else ''}"


def _line(name: str, text: str) -> str:
    return f"  {name:<13}{text}"
