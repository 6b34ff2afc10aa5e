"""conventions.json: what the numbers of a checkpoint made elsewhere mean. Nothing heavy is imported.

| field       | what it says                                                                                                                           |
|-------------|----------------------------------------------------------------------------------------------------------------------------------------|
| direction   | noise-to-data: the network's own time s is 0 at the noise and 1 at the data, as here (s = t); data-to-noise: the other way (s = 1 - t)  |
| time_scale  | what s in [0, 1] is multiplied with before it reaches the network: 1, 999, 1000                                                         |
| time_offset | what is added after that; 0 unless given; -1 for DDPM's step numbers, 1000 s - 1                                                        |
| prediction  | velocity (dx/ds, so along its own direction), data (expected x_1), noise (expected x_0) or score; diffusers' v_prediction is none of them |
| path        | the law of x_t = alpha x_1 + sigma x_0 in t: cond-ot, cosine, vp (DDPM's schedule of betas .1 to 20), ve, polynomial                    |
| sigma_min   | of cond-ot; 0 unless given                                                                                                              |
| classes     | how many, or their names in order; left out: none                                                                                      |
| null_class  | the class that means none, for guidance; left out: there is none                                                                       |
| shape       | [channels, height, width] of a sample, where config.json has no sample_size                                                            |
| autoencoder | {kind, path, scaling, shift}: kl, vq, tiny or taef2 as recipes name them, a path inside the folder or elsewhere, and what raw latents are |
|             | brought to before the network sees them, (raw - shift) scaling (diffusers' scaling_factor, shift_factor); left out: pixels in [-1, 1]    |
| about       | a line for people                                                                                                                      |

The first five but time_offset must be given: a wrong guess would make samples that look like a bad model. The prior is N(0, I), sigma(0) times that on ve.
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from lab.checks import check_name, unknown, whole_number
from trainers.files import read_json
from trainers.layout import CONVENTIONS
from trainers.recipes.schema import AUTOENCODERS, PATHS, TARGETS

NAME = CONVENTIONS
DIRECTIONS = ("noise-to-data", "data-to-noise")
EXAMPLE = '{"direction": "data-to-noise", "time_scale": 1000, "prediction": "velocity", "path": "cond-ot"}'


@dataclass(frozen=True)
class Latents:
    """Whose latents the network works on. path: inside the checkpoint's folder where there is one of that name, else as recipes have it."""

    kind: str
    scaling: float
    path: str | None = None
    shift: float = 0.0


@dataclass(frozen=True)
class Conventions:
    """What conventions.json says, checked. classes: their names."""

    direction: str
    time_scale: float
    prediction: str
    path: str
    time_offset: float = 0.0
    sigma_min: float = 0.0
    classes: tuple[str, ...] = ()
    null_class: int | None = None
    shape: tuple[int, int, int] | None = None
    autoencoder: Latents | None = None
    about: str = ""

    @property
    def reverses(self) -> bool:
        """Whether its time runs from data to noise."""
        return self.direction == "data-to-noise"


def read_conventions(file: Path) -> Conventions:
    """Of a file. Raises ValueError, naming file and field, for what is missing, unknown or cannot be."""
    given = read_json(file)
    try:
        return conventions(given)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def conventions(given: Any) -> Conventions:
    """Of the object in the file. Raises ValueError naming the field."""
    _check_fields("conventions", given, Conventions, EXAMPLE)
    for name, known in (("direction", DIRECTIONS), ("prediction", TARGETS), ("path", PATHS)):
        check_name(name, given[name], known)
    scale = _number("time_scale", given["time_scale"])
    if scale <= 0:
        raise ValueError(f"time_scale={scale:g} must be above 0; a time that runs the other way is said by direction")
    sigma_min = _number("sigma_min", given.get("sigma_min", 0.0))
    if not 0 <= sigma_min < 1 or (sigma_min and given["path"] != "cond-ot"):
        raise ValueError(f"sigma_min={sigma_min:g} must lie in [0, 1), and is of path='cond-ot' alone")
    classes = _classes(given.get("classes"))
    null = given.get("null_class")
    if null is not None:
        null = whole_number("null_class", null, 0)
        if not classes:
            raise ValueError(f"null_class={null} is of a network that is told classes, and classes says of none")
    shape, latents, about = given.get("shape"), given.get("autoencoder"), given.get("about", "")
    if not isinstance(about, str):
        raise ValueError("about must be a text")
    return Conventions(
        given["direction"],
        scale,
        given["prediction"],
        given["path"],
        _number("time_offset", given.get("time_offset", 0.0)),
        sigma_min,
        classes,
        null,
        None if shape is None else _shape(shape),
        None if latents is None else _latents(latents),
        about,
    )


def _check_fields(what: str, given: Any, kind: type, example: str) -> None:
    """ValueError unless `given` is an object with all fields that `kind` needs, and no other."""
    if not isinstance(given, Mapping):
        raise ValueError(f"{what} must be an object, such as {example}")
    known = [field.name for field in fields(kind)]
    for name in given:
        if name not in known:
            raise ValueError(unknown("field", name, known))
    missing = [field.name for field in fields(kind) if field.default is MISSING and field.name not in given]
    if missing:
        raise ValueError(f"{what} must say {missing[0]} too, such as in {example}")


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name}={value!r} must be a number")
    return float(value)


def _classes(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, list):
        if not given or not all(isinstance(name, str) for name in given) or len(set(given)) < len(given):
            raise ValueError("classes must be a number, or a list of different names")
        return tuple(given)
    return tuple(map(str, range(whole_number("classes", given, 1))))


def _shape(given: Any) -> tuple[int, int, int]:
    if not isinstance(given, list) or len(given) != 3:
        raise ValueError(f"shape={given!r} must be [channels, height, width]")
    channels, height, width = (whole_number("shape", each, 1) for each in given)
    return channels, height, width


def _latents(given: Any) -> Latents:
    _check_fields("autoencoder", given, Latents, '{"kind": "kl", "path": "vae", "scaling": 0.18215}')
    check_name("autoencoder.kind", given["kind"], [kind for kind in AUTOENCODERS if kind != "none"])
    scaling, path = _number("autoencoder.scaling", given["scaling"]), given.get("path")
    if scaling == 0:
        raise ValueError("autoencoder.scaling must not be 0")
    if path is not None and not isinstance(path, str):
        raise ValueError("autoencoder.path must be a text")
    return Latents(given["kind"], scaling, path, _number("autoencoder.shift", given.get("shift", 0.0)))
