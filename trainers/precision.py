"""What `training.precision=auto` comes to: bf16 where the device has instructions for it, else fp32. Emulated, bf16 is some twenty times slower than fp32."""

import torch

from trainers.recipes.schema import Recipe
from trainers.recipes.settings import apply

BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")  # of x86 and of Arm, as torch names them


def device_here() -> torch.device:
    """The kind of device that a training takes on this machine."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes bf16 itself. On a GPU of another make than CUDA's: no, autocast there is not at the same state everywhere."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        known = torch.cpu.get_capabilities()
        return any(known.get(name, False) for name in BF16_INSTRUCTIONS)
    return False


def settled(recipe: Recipe, begun: Recipe | None = None, *, bf16: bool | None = None) -> Recipe:
    """The recipe with a precision that is no longer `auto`: that of the run which it goes on with, where there is one, else what suits the device.

    bf16: whether the device computes it; None asks this machine.
    """
    if recipe.training.precision != "auto":
        return recipe
    if begun is not None and begun.training.precision != "auto":  # else nothing of it was trained yet
        return apply(recipe, {"training.precision": begun.training.precision})
    native = has_bf16(device_here()) if bf16 is None else bf16
    return apply(recipe, {"training.precision": "bf16" if native else "fp32"})


def note(recipe: Recipe) -> str | None:
    """A sentence where the precision asked for is emulated here."""
    if recipe.training.precision == "bf16" and not has_bf16(device_here()):
        return "this processor has no instructions for bf16 and emulates it, many times slower than fp32; training.precision=auto takes the faster"
    return None
