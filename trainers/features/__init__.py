"""Feature networks, in which pictures are compared: pluggable, named, and pinned by the hash of their weights.

| name                                     | features                                     | resize                                       |
|------------------------------------------|----------------------------------------------|----------------------------------------------|
| efficientnet-lite0, efficientnet-lite0-224 | 1,280, pooled, of two PyPI packages          | bicubic, antialiased, to 128 or 224          |
| a folder or hub name, DINOv2             | of the class token, through transformers     | bicubic, antialiased, to what the model asks |
| a folder or hub name, CLIP               | of the image tower, projected                | likewise                                     |
| a file ending in .pt, Inception          | 2,048, TorchScript, from a command line only | TensorFlow 1's bilinear to 299, inside       |
| pixels                                   | the pictures themselves, in [0, 1]           | none                                         |

    features = load_features("efficientnet-lite0")
    features(pixels)                                   # uint8 (b, c, S, S) to Float64 (b, D)

Scores over different feature networks, or after different resizing, do not compare: `features.about()` goes into every result.
"""

from pathlib import Path

from lab.checks import unknown
from trainers.features.base import Features
from trainers.features.efficientnet import NAMES, EfficientNetLite
from trainers.features.inception import Inception
from trainers.features.pixels import Pixels
from trainers.features.transformers_models import Clip, load_transformers

__all__ = ["Clip", "EfficientNetLite", "Features", "Inception", "Pixels", "load_features"]


def load_features(
    name: str, *, channels: int = 3, size: int = 64, device: str = "cpu", torchscript: bool = False, sha256: str | None = None
) -> Features:
    """Features by name, folder, file or hub name. channels and size: of the pictures, for `pixels`. sha256: of a TorchScript file that is not the known one.

    torchscript: whether a file may be loaded that holds a program; a command line that a person typed may, a recipe or a page may not. Raises ValueError for an unknown
    name, a package or folder that is missing, and weights that do not fit.
    """
    if name in NAMES:
        return EfficientNetLite(name, device)
    if name == "pixels":
        return Pixels(channels, size)
    path = Path(name)
    if path.is_file():
        if not torchscript:
            raise ValueError(
                f"features={name!r} is a file with a program in it (TorchScript); name it on the command line: --features {name}"
            )
        return Inception(path, sha256, device)
    if path.is_dir() or "/" in name:
        return load_transformers(name, device)
    raise ValueError(
        unknown("features", name, [*NAMES, "pixels"], ", a folder or hub name of DINOv2 or CLIP, an Inception file ending in .pt")
    )
