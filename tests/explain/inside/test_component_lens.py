"""The lens on components: rows are what each wrote, and together they are the prediction."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch

from interp import InputError, UnsupportedModelError
from interp.explain.inside.component_lens import component_lens
from tests.model.configurations import example, shared_model

NAMES = [
    "decoder",
    "decoder-alibi",
    "decoder-parallel",
    "decoder-attn-only",
    "decoder-llama",
    "decoder-tied-scaled",
    "decoder-other-vocabulary",
    "pair-pre-norm",
    "pair-t5",
]


def run(name: str, pos: int = 7) -> tuple[Any, torch.Tensor, Any]:
    model = shared_model(name, torch.float64)
    logits, cache = model.run_with_cache(**example(model.cfg, batch=1, pos=pos))
    return model, logits[0], cache


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("by", ["layer", "head"])
def test_shares_add_up_to_the_prediction_at_every_position(name: str, by: Any) -> None:
    model, logits, cache = run(name)
    frame = component_lens(model, cache, by=by)
    prediction = (logits - logits.mean(-1, keepdim=True)).max(-1).values
    sums = frame.groupby("position")["logit"].sum()
    assert sums.tolist() == pytest.approx(prediction.tolist(), abs=1e-8)
    assert frame["component"].iloc[0].endswith("embed") and frame["component"].iloc[-1] == "bias"
    layers = frame["layer"].dropna()
    assert layers.is_monotonic_increasing


@pytest.mark.parametrize("pos", [7, 24])
def test_a_row_is_the_unembedding_of_what_the_head_wrote(pos: int) -> None:
    """Of a long text, the rows do not fit into one part."""
    model, logits, cache = run("decoder", pos)
    frame = component_lens(model, cache, by="head")
    rows = frame[frame["component"] == "L1H2"]
    written = cache["blocks.1.attn.hook_result"][0, :, 2]
    normed = (written - written.mean(-1, keepdim=True)) / cache["ln_final.hook_scale"][0]
    expected = (normed * model.ln_final.weight) @ model.W_U
    expected = expected - expected.mean(-1, keepdim=True)
    final = logits.argmax(-1)
    assert rows["top_id"].tolist() == expected.argmax(-1).tolist()
    assert rows["top_logit"].tolist() == pytest.approx(expected.max(-1).values.tolist())
    assert rows["low_id"].tolist() == expected.argmin(-1).tolist()
    assert rows["low_logit"].tolist() == pytest.approx(expected.min(-1).values.tolist())
    order = expected.argsort(-1, descending=True)
    ranks = [order[i].tolist().index(final[i]) + 1 for i in range(pos)]
    assert rows["rank"].tolist() == ranks
    assert rows["token_id"].tolist() == cache.replay.batch.tokens[0].tolist()


def test_padding_has_no_rows_and_an_edited_run_is_read_as_it_was() -> None:
    model = shared_model("decoder-rotary", torch.float64)
    ids = example(model.cfg, batch=1)["tokens"]
    padded = torch.cat([torch.full((1, 2), 7), ids], 1)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1, 1]])
    alone = component_lens(model, model.run_with_cache(ids)[1])
    found = component_lens(model, model.run_with_cache(padded, attention_mask=mask)[1])
    assert (found["position"] - 2).tolist() == alone["position"].tolist()
    assert found["logit"].tolist() == pytest.approx(alone["logit"].tolist(), abs=1e-10)
    with model.hooks(fwd_hooks=[("blocks.1.hook_mlp_out", lambda value, hook: value * -3)]):
        logits, cache = model.run_with_cache(ids)
    edited = component_lens(model, cache, ids)
    prediction = (logits[0] - logits[0].mean(-1, keepdim=True)).max(-1).values
    sums = edited.groupby("position")["logit"].sum()
    assert sums.tolist() == pytest.approx(prediction.tolist(), abs=1e-8)


def test_refusals() -> None:
    model, _, cache = run("decoder")
    with pytest.raises(InputError, match="layer, head"):
        component_lens(model, cache, by=cast(Any, "neuron"))
    with pytest.raises(InputError, match="one text"):
        component_lens(model, model.run_with_cache(torch.zeros(2, 3, dtype=torch.long))[1])
    with pytest.raises(InputError, match="tokens are 4"):
        component_lens(model, cache, torch.zeros(1, 4, dtype=torch.long))
    for name, message in [
        ("decoder-post-norm", "post-norm"),
        ("encoder-rotary", "linear map"),
        ("encoder-pre-norm", "predicts tokens"),
    ]:
        other = shared_model(name)
        _, cache = other.run_with_cache(**example(other.cfg, batch=1))
        with pytest.raises(UnsupportedModelError, match=message):
            component_lens(other, cache)
