"""Every token is predicted once, its loss is the model's, and bytes are counted exactly."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.data.batch import IGNORED
from interp.errors import ConfigError, InputError
from interp.model.transformer import HookedTransformer
from interp.train.tasks.language_modelling import LanguageModelling, MaskedLM, windows
from tests.train.tasks.small import model, sentences


@given(n=st.integers(0, 60), length=st.integers(1, 20))
def test_windows_predict_each_token_once_and_from_half_a_context(n: int, length: int) -> None:
    ids = list(range(100, 100 + n))
    predicted = []
    for read, labels in windows(ids, length):
        assert 1 <= len(read) == len(labels) <= length
        for place, label in enumerate(labels):
            if label != IGNORED:
                assert label == read[place] + 1  # the token that follows
                predicted.append(label)
                assert place + 1 >= min(label - 100, length - max(1, length // 2))
    assert predicted == ids[1:]


def flat(shape: str) -> HookedTransformer:
    """A model that finds all tokens equally likely."""
    one = model(shape)
    with torch.no_grad():
        one.unembed.weight.zero_()
        if one.unembed.bias is not None:
            one.unembed.bias.zero_()
    return one


@pytest.mark.parametrize(
    ("task", "shape"), [(LanguageModelling(), "decoder"), (MaskedLM(), "encoder")]
)
def test_a_model_without_a_clue_has_the_perplexity_of_its_vocabulary(
    task: LanguageModelling | MaskedLM, shape: str
) -> None:
    one = flat(shape)
    texts = sentences(20)
    found = {m.metric: m for m in task.measure(texts, task.answer(one, texts))}
    assert found["perplexity"].value == pytest.approx(one.cfg.d_vocab)
    assert found["perplexity"].n == 20


def test_the_loss_of_a_short_text_is_the_models_own() -> None:
    one, text = model(), "the cat sat on a mat"
    (surprise,) = LanguageModelling().answer(one, [text])
    expected = one(text, return_type="loss", loss_per_token=True)
    assert surprise.nats == pytest.approx(float(expected.detach().sum()), rel=1e-5)
    assert surprise.tokens == expected.numel() and surprise.n_bytes == len(text)


def test_a_long_text_is_predicted_as_if_each_window_stood_alone() -> None:
    one = model()
    text = " ".join(sentences(40))
    (surprise,) = LanguageModelling().answer(one, [text])
    ids = one.to_tokens(text, truncate=False)[0]
    assert len(ids) > 3 * one.cfg.n_ctx
    total = 0.0
    for read, labels in windows(ids.tolist(), one.cfg.n_ctx):
        log_p = one(torch.tensor([read]))[0].log_softmax(-1).detach()
        total -= sum(float(log_p[t, k]) for t, k in enumerate(labels) if k != IGNORED)
    assert surprise.nats == pytest.approx(total, rel=1e-5)
    assert surprise.tokens == len(ids) - 1


def test_bytes_are_those_of_the_predicted_text() -> None:
    text = "ünö 漢字 cat"
    (with_bos,) = LanguageModelling().answer(model(), [text])
    assert with_bos.n_bytes == len(text.encode())
    (without,) = LanguageModelling().answer(model(default_prepend_bos=False), ["cat sat"])
    first = model().require_tokenizer().offsets("cat sat")[0][1]
    assert without.n_bytes == len("cat sat") - first
    masked = MaskedLM().answer(model("encoder"), [text, "cat"])
    assert 0 < masked[0].n_bytes < len(text.encode()) and masked[1].n_bytes <= 3


def test_marks_of_special_tokens_in_a_text_are_letters() -> None:
    (surprise,) = LanguageModelling().answer(model(), ["a<|endoftext|>b"])
    assert surprise.tokens > 5


def test_masked_tokens_are_a_fixed_share_and_predicted_from_both_sides() -> None:
    one, texts = model("encoder"), [" ".join(sentences(30))]
    (surprise,) = MaskedLM().answer(one, texts)
    n = len(one.require_tokenizer().encode(texts[0]))
    assert surprise.tokens == pytest.approx(0.15 * n, abs=n / (one.cfg.n_ctx - 2))
    assert MaskedLM().answer(one, texts) == [surprise]


def test_accuracy_counts_best_guesses(tmp_path: Path) -> None:
    one = flat("decoder")
    with torch.no_grad():  # always says the token "the", or what begins it
        best = one.require_tokenizer().encode("the the")[1]
        one.unembed.weight[best] = 1.0
        one.ln_final.weight.zero_()  # type: ignore[union-attr]
        one.ln_final.bias.fill_(1.0)  # type: ignore[union-attr]
    (tmp_path / "a.txt").write_text("the the the the")
    texts = LanguageModelling.read(tmp_path / "a.txt")
    found = {
        m.metric: m
        for m in LanguageModelling().measure(texts, LanguageModelling().answer(one, texts))
    }
    ids = one.require_tokenizer().encode(texts[0])
    assert found["accuracy"].value == pytest.approx(np.mean([i == best for i in ids]))
    assert found["accuracy"].value > 0
    assert math.isnan(found["accuracy"].ci_low)  # one text says nothing of others


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="of the shape decoder"):
        LanguageModelling().answer(model("encoder"), ["a"])
    with pytest.raises(ConfigError, match="of the shape encoder"):
        MaskedLM().answer(model(), ["a"])
    with pytest.raises(InputError, match="no token to predict"):
        LanguageModelling().measure([""], LanguageModelling().answer(model(), [""]))
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(InputError, match="no text"):
        LanguageModelling.read(tmp_path / "a.txt")
