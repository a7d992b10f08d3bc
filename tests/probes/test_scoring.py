"""Scores of texts are sums of the model's own log-probabilities, however they are batched."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from interp.errors import ConfigError, InputError
from interp.model.transformer import HookedTransformer
from probes.scoring import owners, score
from tests.model.texts import byte_tokenizer
from tests.train.tasks.small import model, sentences, tokenizer

TEXTS = [*sentences(12), "the", "the cat sat"]
SHAPES = ["decoder", "encoder", "encoder_decoder"]


def posed(shape: str, **changes: Any) -> tuple[HookedTransformer, dict[str, Any]]:
    sources = {"sources": sentences(14, 1)} if shape == "encoder_decoder" else {}
    return model(shape, **changes).double(), sources


@pytest.mark.parametrize("shape", SHAPES)
def test_a_text_has_the_same_score_alone_and_in_any_company(shape: str) -> None:
    speaker, sources = posed(shape)
    together = score(speaker, TEXTS, **sources)
    order = np.random.default_rng(0).permutation(len(TEXTS)).tolist()
    shuffled = score(
        speaker,
        [TEXTS[i] for i in order],
        **({"sources": [sources["sources"][i] for i in order]} if sources else {}),
    )
    for place, i in enumerate(order):
        source = {"sources": sources["sources"][i]} if sources else {}
        alone = score(speaker, [TEXTS[i]], **source)[0]
        assert alone.ids == together[i].ids == shuffled[place].ids
        np.testing.assert_allclose(alone.log_probs, together[i].log_probs, atol=1e-10)
        np.testing.assert_allclose(alone.log_probs, shuffled[place].log_probs, atol=1e-10)


def test_a_decoder_sums_what_its_loss_sums() -> None:
    speaker, _ = posed("decoder")
    for text, scored in zip(TEXTS, score(speaker, TEXTS), strict=True):
        tokens = speaker.to_tokens(text)
        losses = speaker(tokens, return_type="loss", loss_per_token=True)[0]
        assert scored.n == tokens.shape[1] - 1 == len(scored.ids)
        np.testing.assert_allclose(scored.log_probs, -losses.detach().numpy(), atol=1e-5)


def test_a_bridged_model_says_what_ours_says() -> None:
    pytest.importorskip("transformer_lens", reason="it has the bridge")
    import transformers

    import interp

    words = tokenizer("decoder", marks=False)
    cfg = transformers.GPT2Config(
        vocab_size=len(words), n_positions=64, n_embd=16, n_layer=1, n_head=2,
        bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id, initializer_range=0.3,
    )  # fmt: skip
    theirs = transformers.GPT2LMHeadModel(cfg).eval()
    ours, bridged = (
        score(interp.load(theirs, tokenizer=words, bridge=bridge), TEXTS) for bridge in (None, True)
    )
    for one, other in zip(ours, bridged, strict=True):
        assert one.ids == other.ids and one.n == other.n == len(one.ids)
        np.testing.assert_allclose(one.log_probs, other.log_probs, atol=1e-4)


def test_without_a_begin_token_the_first_one_has_no_number() -> None:
    speaker, _ = posed("decoder", default_prepend_bos=False)
    for scored in score(speaker, TEXTS):
        assert math.isnan(scored.log_probs[0]) and scored.n == len(scored.ids) - 1
        logits = speaker(torch.tensor([scored.ids])).log_softmax(-1)[0]
        expected = [logits[i, token].item() for i, token in enumerate(scored.ids[1:])]
        assert scored.total == pytest.approx(sum(expected), abs=1e-10)


def test_an_encoder_sums_over_masked_tokens_one_by_one() -> None:
    speaker, _ = posed("encoder")
    mask = speaker.require_tokenizer().mask_token_id
    for text, scored in zip(TEXTS, score(speaker, TEXTS), strict=True):
        tokens = speaker.to_tokens(text)
        for i, token in enumerate(scored.ids, start=1):
            masked = tokens.clone()
            assert masked[0, i] == token
            masked[0, i] = mask
            expected = speaker(masked).log_softmax(-1)[0, i, token].item()
            assert scored.log_probs[i - 1] == pytest.approx(expected, abs=1e-10)


def test_an_encoder_decoder_sums_over_the_target() -> None:
    speaker, sources = posed("encoder_decoder")
    for text, source, scored in zip(
        TEXTS, sources["sources"], score(speaker, TEXTS, **sources), strict=True
    ):
        target, _ = speaker.decoder_tokens_and_mask(text)
        logits = speaker(speaker.to_tokens(source), decoder_tokens=target).log_softmax(-1)[0]
        expected = [logits[i, token].item() for i, token in enumerate(scored.ids)]
        assert target[0, 1 : 1 + len(expected)].tolist() == list(scored.ids)
        np.testing.assert_allclose(scored.log_probs, expected, atol=1e-10)


def test_a_text_beyond_the_context_is_read_in_windows() -> None:
    long = " ".join(sentences(20))
    for shape in ("decoder", "encoder"):
        scored = score(posed(shape)[0], [long])[0]
        assert scored.n == len(scored.ids) > 48
    with pytest.raises(InputError, match="context holds 48"):
        score(posed("encoder_decoder")[0], [long], sources="the cat")


def test_special_tokens_in_a_text_are_letters_and_spans_are_those_of_the_text() -> None:
    speaker, _ = posed("decoder")
    text = f"the {speaker.require_tokenizer().special['eos']} cat"
    scored = score(speaker, [text])[0]
    assert speaker.require_tokenizer().eos_token_id not in scored.ids
    assert "".join(text[a:b] for a, b in scored.spans) == text


def test_a_space_belongs_to_the_word_behind_it() -> None:
    text = " ab  c\nd "
    tokenizer = byte_tokenizer()
    spans = np.array(tokenizer.offsets(text))
    found = owners(text, spans, [1, 5, 7])
    assert found.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_a_model_without_weights_finds_all_tokens_alike() -> None:
    speaker, _ = posed("decoder")
    with torch.no_grad():
        for parameter in speaker.parameters():
            parameter.zero_()
    for scored in score(speaker, TEXTS):
        np.testing.assert_allclose(scored.log_probs, -math.log(speaker.cfg.d_vocab), atol=1e-12)


def test_what_cannot_be_scored_is_refused() -> None:
    speaker, _ = posed("decoder")
    with pytest.raises(InputError, match="'' has no token"):
        score(speaker, ["the", ""])
    with pytest.raises(InputError, match="one string"):
        score(speaker, "the")
    with pytest.raises(ConfigError, match="Only an encoder-decoder has sources"):
        score(speaker, ["the"], sources="cat")
    with pytest.raises(ConfigError, match="give its sources"):
        score(posed("encoder_decoder")[0], ["the"])
    with pytest.raises(InputError, match="1 texts and 2 sources"):
        score(posed("encoder_decoder")[0], ["the"], sources=["a", "b"])
    with pytest.raises(ConfigError, match="predicts no tokens"):
        score(model("encoder", head="classification", n_classes=2), ["the"])
    with torch.no_grad():
        speaker.W_E.fill_(math.nan)
    with pytest.raises(InputError, match=r"not finite on texts such as 'the"):
        score(speaker, ["the cat"])
