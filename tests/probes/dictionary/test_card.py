from __future__ import annotations

import pytest
import torch

from interp.errors import InputError
from probes.dictionary.card import card, strongest
from probes.dictionary.stream import activations
from tests.probes.dictionary.planted import identity, random_coder
from tests.probes.dictionary.test_metrics import SITE, examples, small


def test_contexts_are_where_each_latent_is_strongest() -> None:
    model, coder = small(), random_coder(k=3, d_in=16, d_out=16, latents=24)
    texts = examples(model)
    where = strongest(model, coder, texts, k=3)
    each = []
    for i in range(len(texts)):
        x = activations(model, texts.collate([i]), [SITE])[SITE][0]
        z = coder.encode(x)
        z[0] = 0  # the special token
        each.append(z)
    for latent in range(24):
        expected = sorted((-z[:, latent].max().item(), i) for i, z in enumerate(each))[:3]
        found = card(model, coder, texts, where, latent, before=2, after=1)
        active = [(-value, text) for value, text in expected if value < 0]
        assert [(c.value, c.text) for c in found.contexts] == [
            (pytest.approx(value), text) for value, text in active
        ]
        for shown in found.contexts:
            place = int(each[shown.text][:, latent].argmax())
            first = max(0, place - 2)
            assert shown.position == place - first
            values = each[shown.text][first : place + 2, latent]
            assert shown.activations == pytest.approx(values.tolist())
        frame = found.to_frame()
        assert len(frame) == sum(len(c.tokens) for c in found.contexts)
        assert (frame[frame["place"] == 0]["value"] > 0).all()


def test_a_latent_writes_the_tokens_along_its_direction() -> None:
    model = small()
    unembed = model.W_U.detach()
    weight = model.ln_final.w.detach()
    coder = identity(16, SITE)
    found = card(model, coder, examples(model), strongest(model, coder, examples(model)), 5)
    direction = coder.W_dec[5]
    logits = (weight * (direction - direction.mean())) @ unembed
    logits = logits - logits.mean()
    first = found.writes.query("side == 'promoted' and rank == 1").iloc[0]
    assert first["token_id"] == int(logits.argmax())
    assert first["value"] == pytest.approx(logits.max().item())
    last = found.writes.query("side == 'suppressed' and rank == 1").iloc[0]
    assert last["token_id"] == int(logits.argmin())


def test_a_latent_that_is_never_active_has_no_contexts() -> None:
    model, coder = small(), identity(16, SITE, torch.ones(16))
    texts = examples(model)
    where = strongest(model, coder, texts)
    nothing = type(where)(-where.value.abs(), where.text, where.position)
    found = card(model, coder, texts, nothing, 0)
    assert found.contexts == [] and len(found.to_frame()) == 0
    with pytest.raises(InputError, match="no latent 99"):
        card(model, coder, texts, where, 99)
