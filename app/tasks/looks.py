"""A closer look at samples: what the network expects of each along the way, which training pictures lie nearest, and how far a prompt is from the captions it was trained on."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lab.conversions import convert
from trainers.data import Images, open_images
from trainers.evaluation.flow_measures import field_of
from trainers.evaluation.scores import nearest
from trainers.evaluation.subject import Subject
from trainers.grids import GAP, grid, shape_of
from trainers.sampling import Samples
from trainers.text import load_encoder

FRAMES = 8
TALLEST = 16_383  # pixels that a WebP may measure
MOST_NUMBERS = 60_000_000  # of training pictures held in memory: 4,900 of 3 x 64 x 64
MOST_CAPTIONS = 3_000


def picture(pixels: UInt8[Tensor, "n c s s"], rows: int | None = None) -> str:
    """All in one sheet, as base64 of a lossless WebP; the page enlarges small ones."""
    file = io.BytesIO()
    grid(pixels, rows).save(file, format="WEBP", lossless=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


@torch.no_grad()
def film(model: Subject, made: Samples, guidance: float) -> dict[str, Any]:
    """{times, rows, picture}: of each sample a row (of the first ones, where a sheet cannot hold all), in it
    E[x_1 | x_t] as the network has it at up to eight of the solver's times, the sample itself last."""
    assert made.states is not None
    assert made.times is not None
    rows = min(len(made.x), (TALLEST - GAP) // shape_of(1, model.recipe.data.size).cell)
    last = len(made.states) - 1
    chosen = torch.linspace(0, last, min(FRAMES, last + 1)).round().long().tolist()
    field, frames = field_of(model.velocity, model, guidance), []
    for k in chosen[:-1]:
        x, t = made.states[k, :rows].double(), made.times[k].double().expand(rows)
        u = field(x, t, None if made.condition is None else made.condition[:rows])
        frames.append(convert(u, x, t, path=model.path, given="velocity", wanted="data", coupling="other").float())
    expected = torch.stack([*frames, made.x[:rows]], 1).flatten(0, 1)
    return {
        "times": [round(float(made.times[k]), 4) for k in chosen],
        "rows": rows,
        "picture": picture(model.decode(expected), rows),
    }


def nearest_pictures(model: Subject, x: Float[Tensor, "n c h w"]) -> dict[str, Any]:
    """Of every sample the nearest training picture, by root mean squared difference of pixels in [0, 1]: {picture, names, distances, usual, among, of}.

    usual: the median of the same distance for pictures that were held out; a sample far nearer than that is a copy. Where the training pictures are not here, {error} says so.
    """
    data = model.recipe.data
    try:
        known, held = open_images(data, data.train_split), open_images(data, data.held_out_split)
    except (ValueError, OSError) as error:
        return {"error": f"the training pictures are not here: {error}"}
    pictures, index = _some(known, MOST_NUMBERS // (data.channels * data.size**2))
    own = model.decode(x)
    found = nearest(own.flatten(1).float(), pictures.flatten(1).float())
    others, _ = _some(held, 256)
    usual = nearest(others.flatten(1).float(), pictures.flatten(1).float()).distance
    scale = 255 * math.sqrt(own[0].numel())
    return {
        "picture": picture(pictures[found.which]),
        "names": [_called(known, int(index[i])) for i in found.which],
        "distances": (found.distance / scale).tolist(),
        "usual": float(usual.median()) / scale,
        "among": len(pictures),
        "of": len(known),
    }


def _some(images: Images, most: int) -> tuple[UInt8[Tensor, "n c s s"], Tensor]:
    """Pictures and their numbers; evenly spread where there are more than `most`."""
    if len(images) <= most:
        batches = list(images.batches(256))
    else:
        batches = [images.read([k * len(images) // most for k in range(most)])]
    return torch.cat([torch.from_numpy(b.pixels) for b in batches]), torch.cat([torch.from_numpy(b.index) for b in batches])


def _called(images: Images, i: int) -> str:
    """By its caption, or its source's name."""
    captions = images.captions[i] if images.captions is not None else ()
    return captions[0] if captions else images.name(i)


def known_captions(model: Subject, prompts: Sequence[str]) -> dict[str, Any]:
    """How far each prompt is from the captions that the text model was trained on: {prompts: [{prompt, nearest, distance, farther}], among, usual}.

    distance: 1 - cosine of the text encoder's embeddings, to the nearest caption. usual: the median
    of that for held-out captions; farther: share of these that are nearer than the prompt.
    """
    data = model.recipe.data
    try:
        known, held = (_captions(open_images(data, split)) for split in (data.train_split, data.held_out_split))
    except (ValueError, OSError) as error:
        return {"error": f"the training captions are not here: {error}"}
    encoder = load_encoder(model.recipe.text)
    among = _units(encoder.encode(known)[:, 0])
    asked = list(dict.fromkeys(prompts))
    close = _units(encoder.encode(asked)[:, 0]) @ among.T
    usual = 1 - (_units(encoder.encode(held)[:, 0]) @ among.T).amax(1)
    found = []
    for prompt, row in zip(asked, close, strict=True):
        distance = 1 - float(row.max())
        nearer = float((usual < distance).double().mean())
        found.append({"prompt": prompt, "nearest": known[int(row.argmax())], "distance": max(0.0, distance), "farther": nearer})
    return {"prompts": found, "among": len(known), "usual": float(usual.median())}


def _captions(images: Images) -> list[str]:
    """Each once, at most so many, evenly spread."""
    told = list(dict.fromkeys(text for each in images.captions or () for text in each))
    return told if len(told) <= MOST_CAPTIONS else [told[k * len(told) // MOST_CAPTIONS] for k in range(MOST_CAPTIONS)]


def _units(x: Float[Tensor, "n e"]) -> Float[Tensor, "n e"]:
    return torch.nn.functional.normalize(x, dim=1)
