"""What a recipe is made of: one schema for the command line, for the file in a run's folder and for the form of a page.

Every value is a plain number, text, truth value, tuple of those, or None. `trainers.recipes.files` reads and writes TOML, `trainers.recipes.settings` changes single
values by name ("network.channels=64,128"), `trainers.recipes.presets` has the recipes by name. Nothing here imports torch.
"""

from dataclasses import dataclass, field

VERSION = 1  # of the file

READERS = ("emoji", "digits", "imagenet64", "imagenet32", "folder", "coco", "cifar10", "hdf5")
CONDITIONS = ("none", "class", "text")
AUTOENCODERS = ("none", "taef2", "tiny", "kl", "vq")
ENCODERS = ("none", "clip", "sentence")
NETWORKS = ("mlp", "unet", "unet-conditional")
PRIORS = ("standard", "scale-matched", "pooled-gaussian", "class-gaussian", "class-mixture", "text-gaussian")
COVARIANCES = ("none", "isotropic", "diagonal", "full", "pooled", "low-rank")
COUPLINGS = ("independent", "batch-ot", "class-batch-ot", "c2ot", "loom", "class-loom", "pairs")
PATHS = ("cond-ot", "vp", "ve", "cosine", "polynomial")
TARGETS = ("velocity", "data", "noise", "score")
WEIGHTINGS = ("uniform", "velocity", "sigma-squared", "edm")
TIME_LAWS = ("uniform", "logit-normal", "u-shaped", "beta", "edm", "ddpm-1000")
OPTIMISERS = ("adam", "adamw")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


@dataclass(frozen=True)
class DataOptions:
    """Which pictures, at which size."""

    reader: str = "emoji"
    path: str | None = None
    """Folder or file; emoji and digits come with the project."""
    size: int = 64
    channels: int = 3
    preparation: str = "centre-crop"
    """How photographs come to `size`: centre-crop, or squash (both sides to `size`, as downsampled ImageNet was made)."""
    condition: str = "class"
    flip: bool = True
    """Mirror half of the visits, where a picture's mirror image means the same."""
    train_split: str = "train"
    held_out_split: str = "val"
    """The split that `evaluate` compares with and that shrinkage and early stops are chosen on."""
    limit: int | None = None
    """Take so many pictures of each split only, evenly spread over it (the first ones of npz, HDF5, CIFAR-10 and digits, whose order is random)."""


@dataclass(frozen=True)
class AutoencoderOptions:
    """What turns pictures into latents; none trains on pixels."""

    kind: str = "none"
    path: str | None = None
    """Folder or hub name; taef2 comes with the project."""
    posterior: str = "mean"
    """Of a KL autoencoder: mean, or sample, a fresh draw at each visit (then the latents of a datum move, and LOOM's cost may rise)."""
    normalise: str = "channel"
    """channel: each channel to mean 0 and deviation 1; scale: all to deviation 1; coordinate: every number of a latent; none."""


@dataclass(frozen=True)
class TextOptions:
    """What turns captions into embeddings, where the condition is text."""

    encoder: str = "none"
    path: str | None = None
    """Folder or hub name of a transformers model."""
    max_tokens: int = 0
    """Tokens that the network's cross-attention sees beside the pooled embedding."""


@dataclass(frozen=True)
class NetworkOptions:
    """The network; times in [0, 1] reach its embedding as time_scale t."""

    kind: str = "unet"
    channels: tuple[int, ...] = (128, 128)
    layers: int = 1
    """Residual blocks at each resolution of a U-Net, of an MLP in all."""
    attention: tuple[int, ...] = (4,)
    """Feature-map sizes with self-attention."""
    heads_of: int = 64
    """Channels of an attention head."""
    heads: int | None = None
    """Heads at every resolution instead; the papers' 872M network has 8."""
    cross_attention: int = 0
    """Width of the cross-attention's context; 0 for none. Embeddings of another width are projected."""
    dropout: float = 0.0
    norm_groups: int = 32
    scale_shift: bool = False
    """Let the time embedding scale and shift (ADM's way) rather than be added."""
    time_scale: float = 1000.0
    resample: str = "conv"
    """How feature maps change their size between resolutions: conv, or resnet (ADM's way)."""
    condition_dropout: float = 0.1
    """Share of visits whose condition is replaced by the null one, for guidance."""


@dataclass(frozen=True)
class PriorOptions:
    """The law of x_0."""

    kind: str = "standard"
    covariance: str = "low-rank"
    """Of class and pooled Gaussians: none, isotropic, diagonal, full, pooled, low-rank."""
    rank: int = 16
    shrinkage: float | None = None
    """None: chosen by held-out likelihood."""
    mean: float = 1.0
    scale: float = 1.0
    components: int = 1
    """Of a class-mixture, for each class."""
    folds: int = 2
    """Of a text mapper: each caption's training prior comes from a mapper that did not see it; 1 for none of that."""
    sigma: float | None = None
    """Of a text prior; None: from the mapper's residuals on captions that it did not see."""
    mapper_width: int = 512
    mapper_steps: int = 2000
    mapper_batch: int = 256
    mapper_learning_rate: float = 1e-3


@dataclass(frozen=True)
class CouplingOptions:
    """Which x_0 goes with which x_1."""

    kind: str = "independent"
    batch: int | None = None
    """Samples that are coupled together; None: the whole effective batch, over all processes."""
    caches: int = 1
    """LOOM-CFM: noises for each datum."""
    refresh: float = 0.0
    """LOOM-CFM: share of the noises replaced each epoch."""
    weight: float = 1.0
    """C2OT with continuous conditions: weight of their distance."""
    pairs: str | None = None
    """Folder that `python -m trainers pairs` wrote, for reflow."""


@dataclass(frozen=True)
class PathOptions:
    """x_t = alpha_t x_1 + sigma_t x_0."""

    kind: str = "cond-ot"
    sigma_min: float = 0.0


@dataclass(frozen=True)
class LossOptions:
    """What the network regresses on, how errors are weighted and which times are drawn."""

    target: str = "velocity"
    weighting: str = "uniform"
    times: str = "uniform"
    time_mean: float = 0.0
    time_std: float = 1.0
    """Of logit-normal; of edm, of log sigma (-1.2 and 1.2 in the paper)."""
    time_steepness: float = 4.0
    """Of u-shaped."""
    time_alpha: float = 1.0
    time_beta: float = 1.0
    """Of beta."""


@dataclass(frozen=True)
class OptimiserOptions:
    """Adam, and how it is held."""

    kind: str = "adam"
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip: float | None = 1.0
    """Largest norm of the gradient; it is measured and clipped before the step."""
    warmup: int = 0
    """Steps over which the learning rate rises from 0."""
    decay: str = "constant"
    """After that: constant, or linear to 0 at the last step."""


@dataclass(frozen=True)
class TrainingOptions:
    """The loop."""

    batch: int = 128
    """Effective batch: over all processes and accumulated micro-batches."""
    steps: int = 1000
    accumulation: int = 1
    precision: str = "fp32"
    """fp32, bf16, fp16 (GPUs only), or auto: bf16 where the device has instructions for it, else fp32; a run keeps what it began with."""
    ema: tuple[float, ...] = (0.999,)
    """Decays; the first is what is sampled from."""
    seed: int = 0
    log_every: int = 50
    checkpoint_every: int = 1000
    keep: int = 3
    """The last so many checkpoints are kept, and the one of least held-out loss."""
    preview_every: int = 0
    """0: with each checkpoint."""
    preview_count: int = 16
    channels_last: bool = False
    compile: bool = False
    threads: int | None = None
    """On a CPU; None: 1 for an mlp, which gains nothing from more, else torch's own choice."""
    mirror: str = "none"
    """Where records are shown beside metrics.jsonl: none, or trackio."""
    log_samples: bool = False
    """Write the number of every sample of every step to samples.log."""


@dataclass(frozen=True)
class SamplingOptions:
    """How the recipe's own previews and scores are made."""

    solver: str = "euler"
    nfe: int = 8
    grid: str = "uniform"
    guidance: float = 1.0
    """Scale s of u(null) + s (u(condition) - u(null)); 1 is off."""
    features: str = "efficientnet-lite0"
    split: str = "val"
    """The split that scores compare with."""
    count: int = 1000


@dataclass(frozen=True)
class Recipe:
    """A whole training set-up. `about` says what it is, `reported` what the paper reports for it: reported, not reproduced here."""

    name: str = "custom"
    about: str = ""
    reported: str = ""
    data: DataOptions = field(default_factory=DataOptions)
    autoencoder: AutoencoderOptions = field(default_factory=AutoencoderOptions)
    text: TextOptions = field(default_factory=TextOptions)
    network: NetworkOptions = field(default_factory=NetworkOptions)
    prior: PriorOptions = field(default_factory=PriorOptions)
    coupling: CouplingOptions = field(default_factory=CouplingOptions)
    path: PathOptions = field(default_factory=PathOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    optimiser: OptimiserOptions = field(default_factory=OptimiserOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
