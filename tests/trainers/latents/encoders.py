"""Small text encoders with random weights, as folders of transformers' own layout."""

from importlib import import_module
from pathlib import Path
from typing import Any

import torch

TRANSFORMERS: Any = import_module("transformers")
TOKENIZERS: Any = import_module("tokenizers")
WORDS = ("a", "red", "green", "round", "square", "picture", "of", "thing", "train", "val", "take", ",", *(str(i) for i in range(50)))
START, END, PAD, UNKNOWN = "<start>", "<end>", "<pad>", "<unknown>"
VOCABULARY = {word: i for i, word in enumerate((PAD, UNKNOWN, *WORDS, START, END))}  # the end has the largest number, as in CLIP
LENGTH = 12


def _tokenizer(folder: Path) -> None:
    made = TOKENIZERS.Tokenizer(TOKENIZERS.models.WordLevel(VOCABULARY, unk_token=UNKNOWN))
    made.pre_tokenizer = TOKENIZERS.pre_tokenizers.Whitespace()
    made.post_processor = TOKENIZERS.processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, VOCABULARY[START]), (END, VOCABULARY[END])]
    )
    special = {"bos_token": START, "eos_token": END, "pad_token": PAD, "unk_token": UNKNOWN}
    TRANSFORMERS.PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=LENGTH, **special).save_pretrained(folder)


def clip(folder: Path, *, projection: int = 16, whole: bool = False) -> Any:
    """A CLIP text model; with `whole`, CLIP with its vision tower, of which the text model is returned."""
    torch.manual_seed(4)
    common = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "projection_dim": projection}
    text = common | {
        "vocab_size": len(VOCABULARY),
        "max_position_embeddings": LENGTH,
        "eos_token_id": VOCABULARY[END],
        "bos_token_id": VOCABULARY[START],
    }
    if whole:
        vision = common | {"image_size": 8, "patch_size": 4}
        TRANSFORMERS.CLIPModel(TRANSFORMERS.CLIPConfig(text_config=text, vision_config=vision, projection_dim=projection)).save_pretrained(
            folder
        )
    else:
        TRANSFORMERS.CLIPTextModelWithProjection(TRANSFORMERS.CLIPTextConfig(**text)).save_pretrained(folder)
    _tokenizer(folder)
    return TRANSFORMERS.CLIPTextModelWithProjection.from_pretrained(folder).eval()


def bert(folder: Path) -> Any:
    torch.manual_seed(5)
    config = TRANSFORMERS.BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=LENGTH,
    )
    TRANSFORMERS.BertModel(config).save_pretrained(folder)
    _tokenizer(folder)
    return TRANSFORMERS.BertModel.from_pretrained(folder).eval()


def ids(text: str) -> torch.Tensor:
    return torch.tensor([[VOCABULARY[word] for word in (START, *text.split(), END)]])
