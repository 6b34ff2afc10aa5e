"""What a recipe would cost, counted before anything starts: parameters, operations, memory, disk, and time on a device."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from lab.checks import check_name
from lab.command_line import duration
from trainers.networks import Network, build
from trainers.precision import settled
from trainers.recipes.schema import DataOptions, NetworkOptions, Recipe

if TYPE_CHECKING:
    from trainers.pairing import Pairing


@dataclass(frozen=True)
class Device:
    """A kind of GPU: its name, peak of dense matrix products in operations a second by precision, and memory in bytes. Makers' data sheets."""

    name: str
    peak: Mapping[str, float]
    memory: int


GB = 10**9
DEVICES = {
    d.name: d
    for d in (
        Device("h200", {"bf16": 989e12, "fp16": 989e12, "fp32": 494e12}, 141 * GB),  # fp32 as TF32
        Device("h100", {"bf16": 989e12, "fp16": 989e12, "fp32": 494e12}, 80 * GB),
        Device("a100", {"bf16": 312e12, "fp16": 312e12, "fp32": 156e12}, 80 * GB),
        Device("l40s", {"bf16": 362e12, "fp16": 362e12, "fp32": 183e12}, 48 * GB),
        Device("rtx4090", {"bf16": 165e12, "fp16": 165e12, "fp32": 83e12}, 24 * GB),
        Device("rtx3090", {"bf16": 71e12, "fp16": 71e12, "fp32": 36e12}, 24 * GB),
        Device("v100", {"fp16": 125e12, "fp32": 15.7e12}, 32 * GB),
    )
}
LONGEST = 1e12  # operations of a step that is timed: some ten seconds of two cores
SLOW = 20  # seconds: a step that takes longer is timed once
USE = 0.25  # of the peak: published U-Nets reach .24 to .28; .40 is optimistic, and 8 x 8 latents shrink to 1 x 1 inside
LATENT = {"none": (1, None), "taef2": (8, 32), "tiny": (8, 4), "kl": (8, 4), "vq": (8, 4)}  # downsampling factor and channels
CLASSES = {
    "emoji": 9,
    "digits": 10,
    "cifar10": 10,
}  # of a data set that has others than ImageNet's thousand; a folder's are counted when it is read
TEXT_WIDTH = {"clip": 512, "sentence": 384}  # of CLIP ViT-B/32 and MiniLM, where no other encoder is at hand


def latent_shape(recipe: Recipe) -> tuple[int, int, int]:
    """Of a sample, by the autoencoder's usual factor and channels; a cache knows its own."""
    factor, channels = LATENT[recipe.autoencoder.kind]
    size = recipe.data.size // factor
    return channels or recipe.data.channels, size, size


def meta_network(recipe: Recipe, shape: tuple[int, int, int] | None = None, classes: int = 1000, text_width: int | None = None) -> Network:
    """The recipe's network without memory for its weights."""
    width = TEXT_WIDTH.get(recipe.text.encoder, 0) if text_width is None else text_width
    with torch.device("meta"):
        return build(recipe, shape or latent_shape(recipe), classes, width)


def size_of(recipe: Recipe) -> int:
    """Parameters of a recipe's network, for a list: with the data's usual classes, and each network counted once."""
    classes = CLASSES.get(recipe.data.reader, 1000)
    return _size(recipe.network, recipe.data.condition, latent_shape(recipe), classes, TEXT_WIDTH.get(recipe.text.encoder, 0))


@cache
def _size(network: NetworkOptions, condition: str, shape: tuple[int, int, int], classes: int, width: int) -> int:
    recipe = Recipe(network=network, data=DataOptions(condition=condition))
    return sum(p.numel() for p in meta_network(recipe, shape, classes, width).parameters())


@dataclass(frozen=True)
class Counts:
    """What a recipe's data have: classes (0 without), and pictures to train on."""

    classes: int
    pictures: int


def count_data(recipe: Recipe) -> Counts:
    """Lists the training split at the recipe's data.path without decoding pictures.

    Raises ValueError as open_images, and where a batch is larger than the split.
    """
    from trainers.data import open_images
    from trainers.order import Order

    images = open_images(recipe.data, recipe.data.train_split)
    Order(len(images), recipe.training.batch, recipe.training.seed)
    return Counts(len(images.classes), len(images))


def operations(network: Network, recipe: Recipe, shape: tuple[int, int, int], text_width: int) -> tuple[float, float]:
    """Floating-point operations for one image, forwards and in all of a training step, two for a multiply-add; counted by torch on the operators themselves."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        x, t = torch.empty(1, *shape), torch.empty(1)
        condition = None
        if recipe.data.condition == "class":
            condition = torch.zeros(1, dtype=torch.int64)
        elif recipe.data.condition == "text":
            condition = torch.empty(1, 1 + recipe.text.max_tokens, text_width)
    counter = FlopCounterMode(display=False)
    with counter:
        out = network(x, t, condition)
        forward = counter.get_total_flops()
        out.sum().backward()
    return float(forward), float(counter.get_total_flops())


@dataclass(frozen=True)
class Plan:
    """parameters; operations for one image (forward, and forward with backward); bytes in memory for weights, gradients, Adam and averages (activations come on top); bytes of a
    checkpoint; images to be seen; seconds of a step of the network alone, on the device with `use` of its peak; pairing, always of this machine's CPU; images a second and hours
    with it. classes and pictures are None where nothing was counted."""

    recipe: str
    shape: tuple[int, int, int]
    parameters: int
    forward: float
    step: float
    memory: int
    checkpoint: int
    images: int
    device: str
    processes: int
    use: float | None
    network_seconds: float
    pairing: "Pairing | None"
    images_per_second: float
    hours: float
    measured: bool
    classes: int | None = None
    pictures: int | None = None
    batch: int = 1

    def as_dict(self) -> dict[str, Any]:
        from dataclasses import asdict

        return asdict(self)


def plan(recipe: Recipe, device: str | None = None, processes: int = 1, use: float = USE, counts: Counts | None = None) -> Plan:
    """Counts what a recipe costs. device: a name of DEVICES, or None for this machine, whose speed is measured with the real network where it fits in memory.

    counts: of its data; else the usual number of classes is taken. Pairing goes on in a thread beside the network, so that training waits where it takes longer than
    the network's step; on a CPU both want the same cores, and their times add up.

    Raises ValueError for an unknown device, a precision that it does not have, several processes on this machine, and a share of the peak outside (0, 1].
    """
    if processes < 1 or not 0 < use <= 1:
        raise ValueError(f"--processes {processes} must be at least 1, and --use {use} a share of the peak in (0, 1]")
    if device is None and processes > 1:
        raise ValueError(f"--processes {processes} needs a --device: {', '.join(DEVICES)}; this machine is timed with one")
    if device is None:
        recipe = settled(recipe)
    else:
        check_name("device", device, DEVICES)
        recipe = settled(recipe, bf16="bf16" in DEVICES[device].peak)
        _peak(device, recipe)  # what is wrong is said before anything is counted
    classes = CLASSES.get(recipe.data.reader, 1000) if counts is None else counts.classes
    shape, width = latent_shape(recipe), TEXT_WIDTH.get(recipe.text.encoder, 0)
    network = meta_network(recipe, shape, classes, width)
    count = sum(p.numel() for p in network.parameters())
    forward, step = operations(network, recipe, shape, width)
    averages = len(recipe.training.ema)
    memory, checkpoint = 4 * count * (4 + averages), 4 * count * (3 + averages)
    images = recipe.training.batch * recipe.training.steps
    if device is None:
        rate, used, measured, name = _measured(recipe, shape, classes, width, memory, step), None, True, "this machine"
        if rate is None:
            raise ValueError(
                f"the network of {recipe.name} takes {memory / 1e9:.1f} GB before activations, more than this machine has free; name a --device: {', '.join(DEVICES)}"
            )
    else:
        rate, used, measured, name = processes * _peak(device, recipe) * use / step, use, False, device
    from trainers.pairing import time_pairing

    pairing = time_pairing(recipe, shape, classes, width)
    seconds = recipe.training.batch / rate
    beside = device is not None or torch.cuda.is_available()
    waited = 0.0 if pairing is None else pairing.seconds
    whole = max(seconds, waited) if beside else seconds + waited
    return Plan(
        recipe=recipe.name,
        shape=shape,
        parameters=count,
        forward=forward,
        step=step,
        memory=memory,
        checkpoint=checkpoint,
        images=images,
        device=name,
        processes=processes,
        use=used,
        network_seconds=seconds,
        pairing=pairing,
        images_per_second=recipe.training.batch / whole,
        hours=recipe.training.steps * whole / 3600,
        measured=measured,
        classes=None if counts is None else counts.classes,
        pictures=None if counts is None else counts.pictures,
        batch=recipe.training.batch,
    )


def _peak(device: str, recipe: Recipe) -> float:
    peak = DEVICES[device].peak.get(recipe.training.precision)
    if peak is None:
        raise ValueError(
            f"training.precision={recipe.training.precision} is not to be had on {device}, which has {', '.join(DEVICES[device].peak)}: "
            f"--set training.precision={next(iter(DEVICES[device].peak))}"
        )
    return peak


def _measured(recipe: Recipe, shape: tuple[int, int, int], classes: int, width: int, memory: int, step: float) -> float | None:
    """Images a second of whole steps here, by the best of a few, on as many threads as training takes; None where weights would not fit.

    step: operations for one image.
    """
    if not torch.cuda.is_available() and memory > 0.8 * _free_memory():
        return None
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = build(recipe, shape, classes, width).to(device)
    optimiser = torch.optim.Adam(network.parameters(), fused=True)
    # As much of a micro-batch as a step of some ten seconds can be of.
    micro = max(1, min(recipe.training.batch // recipe.training.accumulation, int(LONGEST // step)))
    x, t = torch.randn(micro, *shape, device=device), torch.rand(micro, device=device)
    condition = None
    if recipe.data.condition == "class":
        condition = torch.zeros(micro, dtype=torch.int64, device=device)
    elif recipe.data.condition == "text":
        condition = torch.randn(micro, 1 + recipe.text.max_tokens, width, device=device)
    before = torch.get_num_threads()
    torch.set_num_threads(recipe.training.threads or (1 if recipe.network.kind == "mlp" else before))
    try:
        return micro / _seconds_of_a_step(network, optimiser, recipe, x, t, condition)
    finally:
        torch.set_num_threads(before)


def _seconds_of_a_step(
    network: Network, optimiser: torch.optim.Optimizer, recipe: Recipe, x: torch.Tensor, t: torch.Tensor, condition: torch.Tensor | None
) -> float:
    import time

    device = x.device
    kind = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[recipe.training.precision]
    best = float("inf")
    for _ in range(4):
        began = time.perf_counter()
        with torch.autocast(device.type, dtype=kind, enabled=kind is not None):
            loss = (network(x, t, condition).float() - x).square().mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
        if best > SLOW:
            break
    return best


def _free_memory() -> int:
    import psutil

    return psutil.virtual_memory().available


def peak_of(device: torch.device, precision: str, processes: int = 1) -> float | None:
    """The peak of `processes` GPUs like the one at hand, where it is one of DEVICES; None on a CPU, whose peak is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device).lower().replace(" ", "")
    peak = next((d.peak.get(precision) for key, d in DEVICES.items() if key in name), None)
    return None if peak is None else processes * peak


def table(plan: Plan) -> str:
    """For people."""
    speed = "measured here" if plan.measured else f"computed, at {plan.use:.0%} of the peak of {plan.processes} x {plan.device}"
    rows = [
        ("sample", f"{' x '.join(map(str, plan.shape))}"),
        *_data_rows(plan),
        ("parameters", f"{plan.parameters / 1e6:.2f} M"),
        ("operations for an image", f"{_counted(plan.forward)} forward, {_counted(plan.step)} with backward (counted)"),
        ("memory", f"{_bytes(plan.memory)} for weights, gradients, Adam and averages; activations come on top{_too_much(plan)}"),
        ("checkpoint", _bytes(plan.checkpoint)),
        ("images to see", f"{plan.images:,}"),
        *_pairing_rows(plan),
        ("images a second", f"{_few_digits(plan.images_per_second)} ({speed})"),
        ("time", duration(3600 * plan.hours) + _waits(plan)),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join([plan.recipe, *(f"  {name:<{width}}  {value}" for name, value in rows)])


def _data_rows(plan: Plan) -> list[tuple[str, str]]:
    if plan.pictures is None:
        return []
    epochs = plan.images / (plan.pictures // plan.batch * plan.batch)  # whole batches alone
    classes = f", {plan.classes:,} classes" if plan.classes else ""
    return [("data", f"{plan.pictures:,} pictures to train on{classes}; each is seen {_few_digits(epochs)} times")]


def _pairing_rows(plan: Plan) -> list[tuple[str, str]]:
    pairing = plan.pairing
    if pairing is None:
        return []
    what = f"{pairing.groups:,} x {pairing.size:,} samples" if pairing.groups > 1 else f"{pairing.size:,} samples"
    how = "timed once" if pairing.timed == pairing.size else f"as the cube of {pairing.timed:,}, which were timed"
    share = f"{pairing.seconds / plan.network_seconds:.0%} of the network's {duration(plan.network_seconds)}"
    return [("pairing", f"{duration(pairing.seconds)} of CPU time here for a step's {what}, {share} ({how})")]


def _waits(plan: Plan) -> str:
    alone = plan.network_seconds * plan.images / plan.batch
    return "" if 3600 * plan.hours <= 1.01 * alone else f", with pairing; the network alone would take {duration(alone)}"


def _too_much(plan: Plan) -> str:
    device = DEVICES.get(plan.device)
    return "" if device is None or plan.memory < device.memory else f"; more than the {_bytes(device.memory)} of a {plan.device}"


def _counted(number: float) -> str:
    return f"{number / 1e9:.3g} G" if number >= 1e9 else f"{number / 1e6:.3g} M"


def _bytes(number: float) -> str:
    return f"{number / 1e9:.2f} GB" if number >= GB else f"{number / 1e6:.0f} MB"


def _few_digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"
