"""What must hold between a recipe's values before anything starts, and what is worth a warning."""

from typing import Any

from lab.checks import check_name
from lab.grids import GRIDS
from lab.solvers import ADAPTIVE
from trainers.recipes import schema
from trainers.recipes.schema import Recipe
from trainers.recipes.settings import flatten

CHOICES = {
    "data.reader": schema.READERS,
    "data.preparation": ("centre-crop", "squash"),
    "data.condition": schema.CONDITIONS,
    "autoencoder.kind": schema.AUTOENCODERS,
    "autoencoder.posterior": ("mean", "sample"),
    "autoencoder.normalise": ("channel", "scale", "coordinate", "none"),
    "text.encoder": schema.ENCODERS,
    "network.kind": schema.NETWORKS,
    "network.resample": ("conv", "resnet"),
    "prior.kind": schema.PRIORS,
    "prior.covariance": schema.COVARIANCES,
    "coupling.kind": schema.COUPLINGS,
    "path.kind": schema.PATHS,
    "loss.target": schema.TARGETS,
    "loss.weighting": schema.WEIGHTINGS,
    "loss.times": schema.TIME_LAWS,
    "optimiser.kind": schema.OPTIMISERS,
    "optimiser.decay": ("constant", "linear"),
    "training.precision": schema.PRECISIONS,
    "training.mirror": ("none", "trackio"),
}
# Least and largest values; sampling's own are checked by the solvers.
RANGES: dict[str, tuple[float, float]] = {
    "data.size": (4, 1024),
    "data.channels": (1, 4),
    "data.limit": (1, 1 << 31),
    "text.max_tokens": (0, 512),
    "network.layers": (1, 16),
    "network.heads_of": (1, 1024),
    "network.heads": (1, 128),
    "network.cross_attention": (0, 8192),
    "network.dropout": (0, 0.99),
    "network.norm_groups": (1, 64),
    "network.time_scale": (1e-3, 1e6),
    "network.condition_dropout": (0, 1),
    "prior.rank": (1, 4096),
    "prior.shrinkage": (0, 1),
    "prior.mean": (0, 1),
    "prior.scale": (1e-6, 1e6),
    "prior.components": (1, 64),
    "prior.folds": (1, 16),
    "prior.sigma": (1e-6, 1e6),
    "prior.mapper_width": (1, 8192),
    "prior.mapper_steps": (1, 10_000_000),
    "prior.mapper_batch": (1, 65536),
    "prior.mapper_learning_rate": (1e-9, 1),
    "coupling.batch": (1, 65536),
    "coupling.caches": (1, 64),
    "coupling.refresh": (0, 1),
    "coupling.weight": (0, 1e12),
    "path.sigma_min": (0, 0.99),
    "loss.time_mean": (-100, 100),
    "loss.time_std": (1e-6, 100),
    "loss.time_steepness": (1e-6, 100),
    "loss.time_alpha": (1e-3, 1e3),
    "loss.time_beta": (1e-3, 1e3),
    "optimiser.learning_rate": (0, 10),
    "optimiser.eps": (0, 1),
    "optimiser.weight_decay": (0, 10),
    "optimiser.clip": (1e-9, 1e9),
    "optimiser.warmup": (0, 10_000_000),
    "training.batch": (1, 1 << 20),
    "training.steps": (1, 1 << 40),
    "training.accumulation": (1, 65536),
    "training.seed": (0, 2**64 - 1),
    "training.log_every": (1, 1 << 40),
    "training.checkpoint_every": (1, 1 << 40),
    "training.keep": (1, 1000),
    "training.preview_every": (0, 1 << 40),
    "training.preview_count": (1, 256),
    "training.threads": (1, 1024),
    "sampling.guidance": (-100, 100),
    "sampling.nfe": (1, 100_000),
    "sampling.count": (2, 1_000_000),
}
CLASSWISE = ("class-batch-ot", "class-loom")


def check(recipe: Recipe) -> None:
    """Raises ValueError naming the first value that is unknown, out of range, or does not go with another, and the cure."""
    values = flatten(recipe)
    for name, choices in CHOICES.items():
        check_name(name, values[name], choices)
    for name, (least, most) in RANGES.items():
        value = values[name]
        if value is not None and not least <= value <= most:
            raise ValueError(f"{name}={value} must lie in {_plain(least)} to {_plain(most)}")
    _check_network(recipe)
    _check_prior_and_coupling(recipe)
    _check_loss(recipe)
    _check_sampling(recipe)
    training = recipe.training
    if training.batch % training.accumulation:
        raise ValueError(f"training.batch={training.batch} must be a multiple of training.accumulation={training.accumulation}")
    if not training.ema or not all(0 <= decay < 1 for decay in training.ema) or len(set(training.ema)) < len(training.ema):
        raise ValueError(f"training.ema={training.ema} must be different decays in [0, 1), the first being the one to sample from")
    for beta in recipe.optimiser.betas:
        if not 0 <= beta < 1:
            raise ValueError(f"optimiser.betas={recipe.optimiser.betas} must lie in [0, 1)")
    if recipe.data.condition == "text" and recipe.text.encoder == "none":
        raise ValueError("data.condition='text' needs text.encoder: clip or sentence")
    if recipe.autoencoder.posterior == "sample" and recipe.autoencoder.kind != "kl":
        raise ValueError(
            f"autoencoder.posterior='sample' needs autoencoder.kind='kl', which alone has a posterior, not {recipe.autoencoder.kind!r}; leave it mean"
        )


def _plain(bound: float) -> str:
    """A bound as one would write it: whole numbers in full."""
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _check_network(recipe: Recipe) -> None:
    network, text = recipe.network, recipe.data.condition == "text"
    if not network.channels or min(network.channels) < 1:
        raise ValueError(f"network.channels={network.channels} must be positive whole numbers, one for each resolution")
    if text and network.kind != "unet-conditional":
        raise ValueError(f"network.kind={network.kind!r} cannot read text; use unet-conditional")
    if network.kind == "unet-conditional" and network.cross_attention == 0:
        raise ValueError("network.kind='unet-conditional' needs network.cross_attention, the width of its context")
    if network.kind != "mlp":
        for width in network.channels:
            if width % network.norm_groups:
                raise ValueError(f"network.channels={network.channels} must be multiples of network.norm_groups={network.norm_groups}")
    if network.kind == "unet-conditional" and network.resample != "conv":
        raise ValueError(f"network.resample={network.resample!r} is for network.kind='unet'; unet-conditional has conv alone")
    if network.kind == "mlp" and len(network.channels) != 1:
        raise ValueError(f"network.channels={network.channels}: an mlp has one width")


def _check_prior_and_coupling(recipe: Recipe) -> None:
    kind, condition = recipe.coupling.kind, recipe.data.condition
    needs_class = recipe.prior.kind in ("class-gaussian", "class-mixture")
    if needs_class and condition != "class":
        raise ValueError(f"prior.kind={recipe.prior.kind!r} needs data.condition='class', not {condition!r}")
    if recipe.prior.kind == "text-gaussian" and condition != "text":
        raise ValueError(f"prior.kind='text-gaussian' needs data.condition='text', not {condition!r}")
    if recipe.prior.kind == "text-gaussian" and recipe.prior.mean != 1:
        raise ValueError(
            f"prior.mean={recipe.prior.mean} is for priors of classes; a text prior is centred where its mapper says, so leave it 1"
        )
    if kind in CLASSWISE and condition != "class":
        raise ValueError(f"coupling.kind={kind!r} needs data.condition='class', not {condition!r}")
    if kind == "c2ot" and condition == "none":
        raise ValueError("coupling.kind='c2ot' needs a condition; without one use batch-ot")
    if kind in ("batch-ot", "loom") and (needs_class or recipe.prior.kind == "text-gaussian"):
        raise ValueError(
            f"coupling.kind={kind!r} is blind to the condition, on which prior.kind={recipe.prior.kind!r} depends: "
            f"a noise would leave its own {'class' if needs_class else 'text'}; "
            f"use {'class-batch-ot, class-loom or independent' if needs_class else 'independent'}"
        )
    if kind == "c2ot" and recipe.prior.kind == "text-gaussian":
        raise ValueError("coupling.kind='c2ot' with a text prior would give a text the noise of another; use independent")
    if kind in ("loom", "class-loom") and recipe.prior.kind == "class-mixture":
        raise ValueError(
            "LOOM-CFM's noises must follow from their numbers alone, which prior.kind='class-mixture' does not allow; use class-gaussian"
        )
    if kind == "pairs" and recipe.coupling.pairs is None:
        raise ValueError("coupling.kind='pairs' needs coupling.pairs, a folder that `python -m trainers pairs` wrote")
    size = recipe.coupling.batch
    if size is not None and recipe.training.batch % size:
        raise ValueError(f"coupling.batch={size} must divide training.batch={recipe.training.batch}")


def _check_loss(recipe: Recipe) -> None:
    loss, path = recipe.loss, recipe.path.kind
    if loss.target == "score" and recipe.coupling.kind != "independent":
        raise ValueError(
            f"loss.target='score' needs coupling.kind='independent', not {recipe.coupling.kind!r}: else the noise does not tell the score"
        )
    if loss.target == "score" and recipe.prior.kind not in ("standard", "scale-matched"):
        raise ValueError(
            f"loss.target='score' needs one Gaussian for all conditions, not prior.kind={recipe.prior.kind!r}; use standard or scale-matched"
        )
    if loss.times == "ddpm-1000" and (path != "vp" or loss.target != "noise"):
        raise ValueError("loss.times='ddpm-1000' is DDPM's: it needs path.kind='vp' and loss.target='noise'")
    if recipe.path.sigma_min and path != "cond-ot":
        raise ValueError(f"path.sigma_min={recipe.path.sigma_min} is CondOT's; leave it 0 on {path}")


def _check_sampling(recipe: Recipe) -> None:
    """Previews are made in the middle of a training, which a solver that cannot do what it is asked would end."""
    from trainers.diffusion import DIFFUSION
    from trainers.sampling import SOLVERS, budgets_near

    sampling, conditioned = recipe.sampling, recipe.data.condition != "none"
    check_name("sampling.solver", sampling.solver, SOLVERS)
    check_name("sampling.grid", sampling.grid, GRIDS)
    if sampling.solver in DIFFUSION and recipe.loss.times != "ddpm-1000":
        raise ValueError(f"sampling.solver={sampling.solver!r} is for loss.times='ddpm-1000'; take heun or another solver of the velocity")
    if sampling.solver in DIFFUSION and sampling.grid != "uniform":
        raise ValueError(
            f"sampling.grid={sampling.grid!r} is for solvers of the velocity; {sampling.solver} goes through DDPM's own steps: leave it uniform"
        )
    if sampling.solver in ADAPTIVE:
        return
    scale = sampling.guidance if conditioned else 1.0
    nearest = budgets_near(sampling.solver, sampling.nfe, scale)
    if nearest != (sampling.nfe,):
        told = " or ".join(map(str, nearest))
        raise ValueError(
            f"sampling.nfe={sampling.nfe} cannot be used exactly by {sampling.solver}{' under guidance' if scale != 1 else ''}; nearest: {told}"
        )


def warnings(recipe: Recipe) -> list[str]:
    """Sentences about settings that are allowed and probably not meant."""
    found = []
    if recipe.coupling.kind in ("batch-ot", "loom") and recipe.data.condition != "none":
        cure = "class-batch-ot or c2ot" if recipe.coupling.kind == "batch-ot" else "class-loom"
        if recipe.data.condition == "text":
            cure = "c2ot"
        found.append(
            f"coupling.kind={recipe.coupling.kind!r} does not see the condition, so the noise that the network is trained on tells the condition and the noise that "
            f"it is sampled from does not; per-class OT and C2OT (coupling.kind={cure}) keep the two alike"
        )
    if recipe.coupling.kind in ("loom", "class-loom") and recipe.autoencoder.posterior == "sample":
        found.append(
            "autoencoder.posterior='sample' moves a datum at each visit, so the cost of LOOM-CFM's table may rise; mean keeps it still"
        )
    return found


def described(value: Any) -> str:
    """A value as `--set` would take it."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
