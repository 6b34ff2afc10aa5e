"""Values of a recipe that change nothing, because what would read them is not chosen: the caches of LOOM-CFM under another coupling, and the like."""

from collections.abc import Callable
from dataclasses import dataclass

from lab.solvers import ADAPTIVE
from trainers.recipes.checks import described
from trainers.recipes.schema import Recipe
from trainers.recipes.settings import flatten

OT = ("batch-ot", "class-batch-ot", "c2ot", "loom", "class-loom")
MAPPER = ("prior.folds", "prior.sigma", "prior.mapper_width", "prior.mapper_steps", "prior.mapper_batch", "prior.mapper_learning_rate")
FITTED = ("pooled-gaussian", "class-gaussian", "class-mixture")


@dataclass(frozen=True)
class Use:
    """What reads these settings, in words and as a question to the recipe."""

    names: tuple[str, ...]
    by: str
    holds: Callable[[Recipe], bool]


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


# Of a setting that stands in several lines the first that does not hold is told.
USES = (
    Use(
        (*(name for name in flatten(Recipe()) if name.startswith("prior.")), "data.flip"),
        "a coupling.kind other than pairs, whose noises and pictures are stored",
        lambda r: r.coupling.kind != "pairs",
    ),
    Use(
        ("data.preparation",),
        "data.reader=emoji, folder, coco or hdf5; the other data sets come at their size",
        lambda r: r.data.reader in ("emoji", "folder", "coco", "hdf5"),
    ),
    Use(("autoencoder.path",), "an autoencoder.kind other than none", lambda r: r.autoencoder.kind != "none"),
    Use(("text.encoder", "text.path", "text.max_tokens"), "data.condition=text", lambda r: r.data.condition == "text"),
    Use(
        (
            "network.attention",
            "network.heads_of",
            "network.norm_groups",
            "network.scale_shift",
            "network.resample",
            "training.channels_last",
        ),
        "network.kind=unet or unet-conditional",
        lambda r: r.network.kind != "mlp",
    ),
    Use(("network.heads", "network.cross_attention"), "network.kind=unet-conditional", lambda r: r.network.kind == "unet-conditional"),
    Use(("network.heads_of",), "network.heads=none", lambda r: r.network.kind != "unet-conditional" or r.network.heads is None),
    Use(("network.time_scale",), "loss.times other than ddpm-1000, which counts steps", lambda r: r.loss.times != "ddpm-1000"),
    Use(("network.condition_dropout", "sampling.guidance"), "data.condition=class or text", lambda r: r.data.condition != "none"),
    Use(("prior.covariance", "prior.shrinkage"), f"prior.kind={_listed(FITTED)}", lambda r: r.prior.kind in FITTED),
    Use(("prior.mean",), f"prior.kind={_listed(FITTED)}", lambda r: r.prior.kind in (*FITTED, "text-gaussian")),
    Use(
        ("prior.rank",),
        f"prior.covariance=low-rank with prior.kind={_listed(FITTED)}",
        lambda r: r.prior.kind in FITTED and r.prior.covariance == "low-rank",
    ),
    Use(
        ("prior.shrinkage",),
        "prior.covariance=diagonal, full, pooled or low-rank",
        lambda r: r.prior.covariance not in ("none", "isotropic"),
    ),
    Use(("prior.components",), "prior.kind=class-mixture", lambda r: r.prior.kind == "class-mixture"),
    Use(
        MAPPER,
        "prior.kind=text-gaussian",
        lambda r: r.prior.kind == "text-gaussian",
    ),
    Use(("coupling.batch",), f"coupling.kind={_listed(OT)}", lambda r: r.coupling.kind in OT),
    Use(("coupling.caches", "coupling.refresh"), "coupling.kind=loom or class-loom", lambda r: r.coupling.kind in ("loom", "class-loom")),
    Use(
        ("coupling.weight",),
        "coupling.kind=c2ot with data.condition=text; with classes C2OT pairs within each class exactly",
        lambda r: r.coupling.kind == "c2ot" and r.data.condition == "text",
    ),
    Use(("coupling.pairs",), "coupling.kind=pairs", lambda r: r.coupling.kind == "pairs"),
    Use(("loss.time_mean", "loss.time_std"), "loss.times=logit-normal or edm", lambda r: r.loss.times in ("logit-normal", "edm")),
    Use(("loss.time_steepness",), "loss.times=u-shaped", lambda r: r.loss.times == "u-shaped"),
    Use(("loss.time_alpha", "loss.time_beta"), "loss.times=beta", lambda r: r.loss.times == "beta"),
    Use(
        ("sampling.nfe", "sampling.grid"),
        "a sampling.solver of fixed steps; an adaptive one chooses its own",
        lambda r: r.sampling.solver not in ADAPTIVE,
    ),
)


def idle(recipe: Recipe, preset: Recipe | None = None) -> list[str]:
    """A sentence for each reason why values that somebody set change nothing: those that differ from the schema's and, where given, from the preset's own."""
    values, usual = flatten(recipe), flatten(Recipe())
    own = usual if preset is None else flatten(preset)
    told: dict[str, list[str]] = {}
    seen = set()
    for use in USES:
        for name in use.names:
            if values[name] in (usual[name], own[name]) or name in seen or use.holds(recipe):
                continue
            seen.add(name)
            told.setdefault(use.by, []).append(f"{name}={described(values[name])}")
    return [
        f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} no effect here: {'it needs' if len(names) == 1 else 'they need'} {by}"
        for by, names in told.items()
    ]
