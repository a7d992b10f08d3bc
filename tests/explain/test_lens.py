"""The logit lens: its last layer is the model, and each row is what a resumed forward gives."""

from __future__ import annotations

import pytest
import torch

from interp import HookedTransformer, InputError, TransformerConfig, UnsupportedModelError
from interp.explain import logit_lens


def model(**changes: object) -> HookedTransformer:
    settings = {"d_model": 16, "n_layers": 3, "n_heads": 2, "d_vocab": 20, "n_ctx": 8} | changes
    return HookedTransformer(TransformerConfig(initializer_range=0.3, **settings)).eval()  # type: ignore[arg-type]


def test_every_cell_is_the_model_stopped_there() -> None:
    m, ids = model(), torch.randint(0, 20, (1, 6))
    logits, cache = m.run_with_cache(ids)
    frame = logit_lens(m, cache)
    assert len(frame) == 4 * 6
    for layer in range(4):
        stopped = m.finish(m(ids, stop_at_layer=layer))[0].detach()
        rows = frame[frame["layer"] == layer]
        assert rows["top_id"].tolist() == stopped.argmax(-1).tolist()
        probability = stopped.softmax(-1)
        assert rows["probability"].tolist() == pytest.approx(probability.max(-1).values.tolist())
        entropy = torch.distributions.Categorical(logits=stopped).entropy()
        assert rows["entropy"].tolist() == pytest.approx(entropy.tolist(), rel=1e-5)
        order = stopped.argsort(-1, descending=True)
        final = logits[0].argmax(-1)
        ranks = [(order[i] == final[i]).nonzero().item() + 1 for i in range(6)]
        assert rows["rank"].tolist() == ranks
    assert set(frame[frame["layer"] == 3]["rank"]) == {1}


def test_input_tokens_are_those_of_the_run() -> None:
    m, ids = model(), torch.tensor([[3, 1, 4]])
    frame = logit_lens(m, m.run_with_cache(ids)[1])
    assert frame[frame["layer"] == 0]["token_id"].tolist() == [3, 1, 4]


def test_the_last_layer_has_the_bits_of_the_prediction() -> None:
    m, ids = model(), torch.randint(0, 20, (1, 6))
    logits, cache = m.run_with_cache(ids)
    last = logit_lens(m, cache).query("layer == 3")
    log_p = logits[0].detach().log_softmax(-1)
    assert last["probability"].tolist() == log_p.max(-1).values.exp().tolist()


def test_of_an_encoder_decoder_the_decoder_is_read() -> None:
    m = model(shape="encoder_decoder", n_decoder_layers=2, decoder_start_token_id=0)
    source, target = torch.randint(0, 20, (1, 6)), torch.randint(0, 20, (1, 4))
    logits, cache = m.run_with_cache(source, decoder_tokens=target)
    frame = logit_lens(m, cache)
    assert len(frame) == 3 * 4
    assert frame[frame["layer"] == 0]["token_id"].tolist() == target[0].tolist()
    assert frame[frame["layer"] == 2]["top_id"].tolist() == logits[0].argmax(-1).tolist()


def test_an_edited_run_is_read_as_it_was() -> None:
    m, ids = model(), torch.randint(0, 20, (1, 6))
    edit = ("blocks.1.hook_mlp_out", lambda value, hook: value * -3)
    with m.hooks(fwd_hooks=[edit]):
        logits, cache = m.run_with_cache(ids)
    frame = logit_lens(m, cache, ids)
    assert frame[frame["layer"] == 3]["top_id"].tolist() == logits[0].argmax(-1).tolist()
    plain = logit_lens(m, m.run_with_cache(ids)[1])
    before, after = frame["layer"] < 2, frame["layer"] >= 2
    assert frame[before]["entropy"].tolist() == pytest.approx(plain[before]["entropy"].tolist())
    assert frame[after]["entropy"].tolist() != pytest.approx(plain[after]["entropy"].tolist())


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_has_no_rows_and_changes_none(side: str) -> None:
    m, ids, pad = model(), torch.randint(0, 20, (1, 5)), torch.full((1, 2), 7)
    ones, zeros = torch.ones_like(ids), torch.zeros_like(pad)
    left = side == "left"
    padded = torch.cat([pad, ids] if left else [ids, pad], 1)
    mask = torch.cat([zeros, ones] if left else [ones, zeros], 1)
    alone = logit_lens(m, m.run_with_cache(ids)[1])
    found = logit_lens(m, m.run_with_cache(padded, attention_mask=mask)[1])
    assert found["entropy"].tolist() == pytest.approx(alone["entropy"].tolist(), rel=1e-4)
    assert (found["position"] - (2 if left else 0)).tolist() == alone["position"].tolist()


def test_refusals() -> None:
    m = model()
    _, two = m.run_with_cache(torch.zeros(2, 3, dtype=torch.long))
    with pytest.raises(InputError, match="one text"):
        logit_lens(m, two)
    names = [f"blocks.{i}.hook_resid_pre" for i in range(3)] + ["blocks.2.hook_resid_post"]
    _, part = m.run_with_cache(torch.zeros(1, 3, dtype=torch.long), names_filter=names)
    with pytest.raises(InputError, match="tokens"):
        logit_lens(m, part)
    assert len(logit_lens(m, part, torch.zeros(3, dtype=torch.long))) == 12
    with pytest.raises(InputError, match="positions"):
        logit_lens(m, part, torch.zeros(5, dtype=torch.long))
    classifier = model(shape="encoder", head="classification", n_classes=2)
    _, cache = classifier.run_with_cache(torch.zeros(1, 3, dtype=torch.long))
    with pytest.raises(UnsupportedModelError, match="predict tokens"):
        logit_lens(classifier, cache)
