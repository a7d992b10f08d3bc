"""A reading is what a loop over single texts gives, for every shape, and counts each token once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from interp.data.records import Example, Pair
from interp.errors import ConfigError, InputError, InterpError, UnsupportedModelError
from interp.train.heads import with_head
from probes.privacy.likelihood import TURNS, moments, read, require_same_tokenizer
from tests.train.tasks.small import examples, model, pairs, sentences


def test_moments_are_those_of_the_distribution() -> None:
    random = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(5, 7, generator=random, dtype=torch.float64)
    logits[0, 3] = -torch.inf  # what cannot be counts nothing
    labels = torch.tensor([0, 1, 2, 3, 4])
    own, mean, std = moments(logits, labels).T
    for i, row in enumerate(logits):
        p = row.softmax(0)
        log_p = torch.where(p > 0, p.log(), 0.0)
        assert own[i] == pytest.approx(float(row.log_softmax(0)[labels[i]]), abs=1e-12)
        assert mean[i] == pytest.approx(float((p * log_p).sum()), abs=1e-12)
        spread = (p * (log_p - (p * log_p).sum()) ** 2).sum().sqrt()
        assert std[i] == pytest.approx(float(spread), abs=1e-10)


@torch.no_grad()
def test_a_decoder_reads_each_token_after_the_ones_before() -> None:
    reader = model().double()
    texts = sentences(7)
    reading = read(reader, texts)
    tokenizer = reader.require_tokenizer()
    for i, text in enumerate(texts):
        ids = tokenizer.encode(text)
        whole = torch.tensor([[tokenizer.bos_token_id, *ids]])
        log_p = reader(whole)[0].log_softmax(-1)
        own = [float(log_p[t, token]) for t, token in enumerate(ids)]
        assert reading.log_prob[reading.unit == i] == pytest.approx(own, abs=1e-9)
    assert reading.total == pytest.approx(
        [reading.log_prob[reading.unit == i].sum() for i in range(7)], abs=1e-9
    )
    assert reading.lengths.tolist() == [len(tokenizer.encode(text)) for text in texts]


def test_a_text_longer_than_the_context_is_read_whole() -> None:
    reader = model()
    text = " ".join(sentences(20))
    ids = reader.require_tokenizer().encode(text)
    assert len(ids) > 2 * reader.cfg.n_ctx
    assert read(reader, ["cat", text]).lengths[1] == len(ids)


@torch.no_grad()
def test_an_encoder_guesses_each_token_once_with_a_seventh_masked() -> None:
    reader = model("encoder").double()
    texts = sentences(3)
    reading = read(reader, texts)
    tokenizer = reader.require_tokenizer()
    for i, text in enumerate(texts):
        ids = tokenizer.encode(text)
        expected = []
        for place, token in enumerate(ids):
            shown = [
                tokenizer.mask_token_id if t % TURNS == place % TURNS else one
                for t, one in enumerate(ids)
            ]
            framed = [tokenizer.token_id("[CLS]"), *shown, tokenizer.token_id("[SEP]")]
            logits = reader(torch.tensor([framed]))[0, place + 1]
            expected.append(float(logits.log_softmax(-1)[token]))
        found = reading.log_prob[reading.unit == i]
        assert sorted(found) == pytest.approx(sorted(expected), abs=1e-9)


@torch.no_grad()
def test_an_encoder_decoder_reads_the_target_given_the_source() -> None:
    reader = model("encoder_decoder").double()
    units = pairs(5)
    reading = read(reader, units)
    tokenizer = reader.require_tokenizer()
    for i, pair in enumerate(units):
        target = tokenizer.encode(pair.references[0], add_special_tokens=True)
        start = reader.cfg.decoder_start_token_id
        source = torch.tensor([tokenizer.encode(pair.source, add_special_tokens=True)])
        logits = reader(source, decoder_tokens=torch.tensor([[start, *target[:-1]]]))[0]
        own = logits.log_softmax(-1).gather(1, torch.tensor(target)[:, None])
        assert reading.total[i] == pytest.approx(float(own.sum()), abs=1e-9)


@torch.no_grad()
def test_a_classifier_has_the_probability_of_its_label() -> None:
    reader = with_head(model("encoder"), "classification", ("neg", "pos")).eval().double()
    units = examples(6)
    reading = read(reader, units)
    assert reading.lengths.tolist() == [1] * 6
    for i, example in enumerate(units):
        log_p = reader(example.text)[0].log_softmax(-1)
        wanted = float(log_p[("neg", "pos").index(example.label)])
        assert reading.log_prob[i] == pytest.approx(wanted, abs=1e-9)


def test_what_a_model_does_not_read_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to read"):
        read(model(), [])
    with pytest.raises(InputError, match=r"Unit 1 is a Pair; .* reads str units"):
        read(model(), ["cat", Pair("a", ("b",))])
    with pytest.raises(InputError, match="Unit 0 is a Example; an encoder-decoder reads Pair"):
        read(model("encoder_decoder"), [Example("a", "b")])
    with pytest.raises(InputError, match="Unit 1 has no token to predict"):
        read(model(), ["cat", ""])
    with pytest.raises(ConfigError, match="the labels 'a', 'b', 'c'"):
        read(with_head(model("encoder"), "classification", "ab"), examples(2), labels="abc")
    with pytest.raises(UnsupportedModelError, match="gives no probability to a whole unit"):
        read(with_head(model("encoder"), "span"), ["cat"])
    with pytest.raises(InputError, match="reads other tokens"):
        require_same_tokenizer(model(), model("encoder"))


def test_lost_weights_are_named_not_scored() -> None:
    broken = model()
    with torch.no_grad():
        broken.embed.weight[broken.require_tokenizer().encode("dogs")[0]] = np.nan
    with pytest.raises(InterpError, match="in unit 1 are not finite"):
        read(broken, ["cat", "dogs ran fast"])
