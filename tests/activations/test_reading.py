"""Reading many texts in batches: every row is what the model computes for its text alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from interp.activations import Places, Side, Texts, encode, gather, read
from interp.activations.reading import batches
from interp.errors import HookError, InputError
from interp.model.hook_points import NamesFilter
from interp.model.transformer import HookedTransformer
from tests.model.configurations import EACH_KIND, build, shared_model
from tests.model.texts import BOS, EOS, byte_tokenizer

LENGTHS = (5, 1, 9, 3, 9, 2, 7)


def some_texts(model: HookedTransformer, lengths: tuple[int, ...] = LENGTHS) -> Texts:
    random = np.random.default_rng(0)

    def side(lengths: list[int]) -> Side:
        return Side([random.integers(0, model.cfg.d_vocab, n).tolist() for n in lengths])

    if model.cfg.shape != "encoder_decoder":
        return Texts(side(list(lengths)))
    return Texts(side(list(lengths)), side([12 - n for n in lengths]))


def alone(
    model: HookedTransformer, texts: Texts, text: int, names: NamesFilter
) -> dict[str, Tensor]:
    """Activations of one text, without batch and padding: site -> [pos, d]."""
    inputs = {"tokens": torch.tensor([texts.source.tokens[text]])}
    if texts.target is not None:
        inputs["decoder_tokens"] = torch.tensor([texts.target.tokens[text]])
    with torch.no_grad():
        _, cache = model.run_with_cache(**inputs, names_filter=names)
    return {name: value[0].flatten(1) for name, value in cache.items()}


def by_side(model: HookedTransformer) -> list[list[str]]:
    """All points with a vector at each position, the source's and the target's apart."""
    sides: dict[bool, list[str]] = {}
    pair = model.cfg.shape == "encoder_decoder"
    for name, point in model.hook_points.items():
        dims = point.shape.split()
        if dims[1] in ("pos", "source_pos"):
            target = pair and name.startswith("decoder") and dims[1] == "pos"
            sides.setdefault(target, []).append(name)
    return list(sides.values())


@EACH_KIND
def test_rows_of_padded_batches_are_those_of_each_text_alone(name: str) -> None:
    model = shared_model(name, torch.float64)
    texts = some_texts(model)
    for names in by_side(model):
        together = gather(model, texts, names, tokens=30)
        assert list(together.values) == names
        for text in range(len(texts)):
            here = together.places.text == text
            for site, value in alone(model, texts, text, names).items():
                torch.testing.assert_close(together.values[site][here], value, rtol=0, atol=1e-8)


def test_a_row_of_several_tokens_is_their_mean() -> None:
    model = shared_model("decoder", torch.float64)
    texts = some_texts(model)
    site = "blocks.1.hook_resid_post"
    places = Places.of([[(1, 4), 0], [], [(0, 9)], [(1, 3), (0, 2)], [], [], [2]])
    rows = gather(model, texts, site, places).values[site]
    for i in range(len(places)):
        value = alone(model, texts, int(places.text[i]), site)[site]
        mean = value[places.start[i] : places.stop[i]].mean(0)
        torch.testing.assert_close(rows[i], mean, rtol=0, atol=1e-12)
    first = gather(model, texts, site, places.first()).values[site]
    last = gather(model, texts, site, places.last()).values[site]
    assert torch.equal(first[1], last[1]) and torch.equal(first[1], rows[1])
    value = alone(model, texts, int(places.text[3]), site)[site][places.stop[3] - 1]
    torch.testing.assert_close(last[3], value, rtol=0, atol=1e-12)


def test_one_vector_a_text_stands_in_each_of_its_rows() -> None:
    model = shared_model("encoder-bert-classification", torch.float64)
    texts = some_texts(model)
    site = "pooler.hook_pooler_out"
    rows = gather(model, texts, site, Places.whole(texts.source)).values[site]
    for text in range(len(texts)):
        _, cache = model.run_with_cache(
            torch.tensor([texts.source.tokens[text]]), names_filter=site
        )
        torch.testing.assert_close(rows[text], cache[site][0], rtol=0, atol=1e-8)


def test_every_row_comes_once_and_no_batch_is_too_large() -> None:
    model = shared_model("pair-original")
    texts = some_texts(model)
    assert texts.target is not None
    places = Places.tokens(texts.source)
    parts = batches(texts, places, 40)
    assert sorted(np.concatenate(parts)) == list(range(len(places)))
    of_text = [set(places.text[part].tolist()) for part in parts]
    assert sum(map(len, of_text)) == len(texts)  # no text is read twice
    for here in of_text:
        source = max(texts.source.lengths[list(here)])
        target = max(texts.target.lengths[list(here)])
        assert len(here) == 1 or len(here) * (source + target) <= 40
    assert len(parts) < len(texts)


def test_forwards_stop_after_the_last_site_and_leave_out_texts_without_a_row() -> None:
    model = build("decoder").requires_grad_(False)
    for parameter in model.blocks[1].parameters():
        parameter.fill_(torch.nan)  # whoever runs it, meets this
    texts = some_texts(model)
    rows = gather(model, texts, ["blocks.0.hook_resid_post", "hook_embed"], Places.of([[], [0]]))
    assert rows.values["blocks.0.hook_resid_post"].isfinite().all() and len(rows) == 1


def test_dropout_is_off_and_the_mode_stays() -> None:
    model = build("decoder", dropout=0.5)
    texts = some_texts(model)
    site = "blocks.2.hook_resid_post"
    quiet = gather(model, texts, site).values[site]
    model.train()
    assert torch.equal(gather(model, texts, site).values[site], quiet)
    assert model.training and model.blocks[0].training


def test_rows_can_be_trained_on() -> None:
    model = build("decoder")
    value = gather(model, some_texts(model), "hook_embed").values["hook_embed"]
    weight = torch.zeros(16, requires_grad=True)
    (value @ weight).sum().backward()
    assert weight.grad is not None and not value.requires_grad


@pytest.mark.parametrize("pooled", [False, True])
def test_what_is_not_finite_is_named_by_site_text_and_token(pooled: bool) -> None:
    model = build("decoder").requires_grad_(False)
    model.tokenizer = byte_tokenizer()
    texts = Texts(Side([[3, 4, 5], [6, 7, 8, 9]]))
    model.embed.weight[8] = torch.nan
    places = Places.whole(texts.source) if pooled else None
    token = "tokens 0 to 3" if pooled else "token 2"
    with pytest.raises(InputError, match=rf"hook_embed is NaN at {token} .* of text 1\."):
        gather(model, texts, "hook_embed", places)
    model.embed.weight[8] = torch.inf
    with pytest.raises(InputError, match="infinite"):
        gather(model, texts, "hook_embed", places)
    # What is finite passes, even where its sum overflows.
    model.embed.weight.fill_(3e38)
    assert gather(model, texts, "hook_embed").values["hook_embed"].isfinite().all()


@pytest.mark.parametrize(
    ("kind", "sites", "error", "words"),
    [
        ("decoder", "blocks.7.hook_resid_post", HookError, "layers 0 to 2"),
        ("decoder", "blocks.0.attn.hook_pattern", InputError, "vector at each position"),
        ("pair-original", ["hook_embed", "decoder.hook_embed"], InputError, "two calls"),
    ],
)
def test_sites_that_cannot_be_rows(
    kind: str, sites: NamesFilter, error: type[Exception], words: str
) -> None:
    model = shared_model(kind)
    with pytest.raises(error, match=words):
        next(read(model, some_texts(model), sites))


def test_a_decoder_needs_targets_and_an_encoder_none() -> None:
    model = shared_model("pair-original")
    texts = Texts(some_texts(model).source)
    assert len(gather(model, texts, "encoder.1.hook_resid_post")) == sum(LENGTHS)
    with pytest.raises(InputError, match="targets"):
        next(read(model, texts, "decoder.0.hook_resid_post"))


@pytest.mark.parametrize(
    "places", [[[9]], [[-1]], [[(2, 2)]], [[], [], [], [], [], [], [], [0]], []]
)
def test_rows_outside_the_texts_are_refused(places: list[list[int | tuple[int, int]]]) -> None:
    model = shared_model("decoder")
    with pytest.raises(InputError, match=r"asks for|nothing to read"):
        next(read(model, some_texts(model), "hook_embed", Places.of(places)))


# -- texts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["decoder", "encoder-bert", "pair-original"])
def test_texts_are_encoded_as_a_prompt_is(kind: str) -> None:
    model = build(kind, d_vocab=259, bos_token_id=BOS, decoder_start_token_id=EOS)
    model.tokenizer = byte_tokenizer()
    said = ["a cat", "eh? né", "b"]
    pair = kind.startswith("pair")
    texts = encode(model, said, said if pair else None)
    for i, text in enumerate(said):
        assert texts.source.tokens[i] == model.to_tokens(text)[0].tolist()
        if texts.target is not None:
            assert texts.target.tokens[i] == model.decoder_tokens_and_mask(text)[0][0].tolist()
    assert texts.source.offsets is not None
    framed = kind == "decoder"
    assert (texts.source.offsets[0][0] is None) == framed
    assert texts.source.offsets[0][framed:] == [(i, i + 1) for i in range(5)]
    every, whole = Places.tokens(texts.source), Places.whole(texts.source)
    assert every.start[every.text == 0].tolist() == list(range(framed, 5 + framed))
    assert (whole.start[0], whole.stop[0]) == (framed, 5 + framed)


def test_a_text_cannot_give_commands() -> None:
    model = build("decoder", d_vocab=259)
    model.tokenizer = byte_tokenizer()
    assert EOS not in encode(model, ["a<eos>b"]).source.tokens[0]


def test_texts_that_do_not_fit() -> None:
    model = build("decoder", d_vocab=259)
    model.tokenizer = byte_tokenizer()
    with pytest.raises(InputError, match=r"Text 1 has 41 tokens.*24"):
        encode(model, ["a", "b" * 40])
    cut = encode(model, ["a", "b" * 40], truncate=True)
    assert cut.source.n_truncated == 1 and cut.source.lengths.tolist() == [2, 24]
    with pytest.raises(InputError, match="empty"):
        encode(model, [])
    with pytest.raises(InputError, match="Only an encoder-decoder"):
        encode(model, ["a"], ["b"])
    with pytest.raises(InputError, match="each needs its other"):
        Texts(Side([[1]]), Side([[1], [2]]))
    with pytest.raises(InputError, match="Text 1 has no token"):
        Texts(Side([[1], []]))


def test_words_have_the_tokens_that_say_them() -> None:
    model = build("decoder", d_vocab=259)
    model.tokenizer = byte_tokenizer()
    texts = encode(model, ["a cat", "the very long one " * 2], truncate=True)
    places, kept = Places.words(texts.source, [[(0, 1), (2, 5)], [(0, 3), (4, 8), (30, 33)]])
    assert kept.tolist() == [0, 1, 2, 3]  # the last word was cut off
    assert places.text.tolist() == [0, 0, 1, 1]
    assert list(zip(places.start, places.stop, strict=True)) == [(1, 2), (3, 6), (1, 4), (5, 9)]
    with pytest.raises(InputError, match="given as ids"):
        Places.words(Side([[1]]), [[(0, 1)]])
    with pytest.raises(InputError, match="words of 1 texts"):
        Places.words(texts.source, [[]])
