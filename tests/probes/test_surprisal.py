"""Surprisal: what words have is what their tokens have, and a peer library says the same."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import interp
from interp.errors import InputError
from interp.figures.surprisal import surprisal_chart
from probes.frames import tidy
from probes.surprisal import SCRIPT, surprisal
from tests.figures.spec import drawn
from tests.train.tasks.small import model, sentences, tokenizer

TEXTS = [*sentences(5), "  two   spaces ", "one"]


@pytest.mark.parametrize("shape", ["decoder", "encoder", "encoder_decoder"])
def test_words_and_texts_add_up_their_tokens(shape: str) -> None:
    speaker = model(shape).double()
    source = "the cat" if shape == "encoder_decoder" else None
    by = {unit: surprisal(speaker, TEXTS, by=unit, sources=source) for unit in _UNITS}
    sums = {unit: frame.groupby("text")[["value", "n"]].sum() for unit, frame in by.items()}
    for unit in ("word", "text"):
        np.testing.assert_allclose(sums[unit]["value"], sums["token"]["value"], atol=1e-10)
        assert (sums[unit]["n"] == sums["token"]["n"]).all()
    for i, text in enumerate(TEXTS):
        words = by["word"][by["word"]["text"] == i]
        assert words["token"].tolist() == text.split()
        assert [
            text[a:b] for a, b in zip(words["start"], words["stop"], strict=True)
        ] == text.split()
    assert (by["token"]["value"] > 0).all()


_UNITS: tuple[Any, ...] = ("token", "word", "text")


def test_a_first_token_that_nothing_predicts_stays_and_has_no_number() -> None:
    frame = surprisal(model(default_prepend_bos=False), ["the cat"])
    assert math.isnan(frame["value"][0]) and frame["n"][0] == 0
    assert frame["value"][1:].notna().all()


def _theirs(kind: str) -> tuple[Any, Any]:
    """A tiny model of the transformers library, and its tokenizer."""
    import transformers

    ours = tokenizer("encoder" if kind == "encoder" else "decoder", marks=False)
    special = {f"{role}_token": token for role, token in ours.special.items()}
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=ours.backend, **special)
    if kind == "encoder":
        cfg = transformers.BertConfig(
            vocab_size=len(ours), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=64, pad_token_id=ours.pad_token_id,
            initializer_range=0.3,
        )  # fmt: skip
        return transformers.BertForMaskedLM(cfg).eval(), fast
    cfg = transformers.GPT2Config(
        vocab_size=len(ours), n_positions=64, n_embd=16, n_layer=2, n_head=2,
        bos_token_id=ours.bos_token_id, eos_token_id=ours.eos_token_id, initializer_range=0.3,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(cfg).eval(), fast


@pytest.mark.parametrize("kind", ["decoder", "encoder"])
def test_minicons_says_the_same(kind: str) -> None:
    pytest.importorskip("minicons", reason="minicons is the peer")
    from minicons import scorer

    theirs, fast = _theirs(kind)
    texts = sentences(6)
    ours = interp.load(theirs, tokenizer=fast)
    if kind == "encoder":
        fast.batch_encode_plus = fast  # which transformers dropped and the peer still calls
        peer = scorer.MaskedLMScorer(theirs, "cpu", tokenizer=fast)
        said = peer.token_score(texts, surprisal=True, base_two=True, PLL_metric="original")
    else:
        peer = scorer.IncrementalLMScorer(theirs, "cpu", tokenizer=fast)
        said = peer.token_score(texts, surprisal=True, base_two=True, bos_token=True)
    frame = surprisal(ours, texts)
    for i in range(len(texts)):
        mine = frame[frame["text"] == i]["value"].to_numpy()
        expected = [value for _, value in said[i]][-len(mine) :]
        np.testing.assert_allclose(mine, expected, atol=2e-4)


def test_the_chart_shows_the_first_text_in_the_order_of_reading() -> None:
    speaker = model()
    frame = tidy(surprisal(speaker, TEXTS, by="word"), run="tiny", step=None)
    figure = surprisal_chart(frame)
    top = frame[frame["text"] == 0].sort_values("value")["token"].iloc[-1]
    assert f"most at “{top}”" in figure.alt
    assert all(word in drawn(figure.chart) for word in TEXTS[0].split())


def test_nothing_to_score_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert SCRIPT.main(["--run", "stories"]) == 2
    assert "no text to score" in capsys.readouterr().err
    with pytest.raises(InputError, match="by is 'letter'"):
        surprisal(model(), ["a"], by="letter")  # type: ignore[arg-type]
