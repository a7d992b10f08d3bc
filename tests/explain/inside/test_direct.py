"""Direct logit attribution adds up to the logit, however finely the stream is split."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch

from interp import HookedTransformer, InputError, UnsupportedModelError
from interp.explain import Target
from interp.explain.inside.direct import direct_attribution
from tests.model.configurations import example, shared_model

LINEAR = [
    "decoder",
    "decoder-alibi",
    "decoder-parallel",
    "decoder-attn-only",
    "decoder-no-final-norm",
    "decoder-llama",
    "decoder-tied-scaled",
    "decoder-other-vocabulary",
    "decoder-classification",
    "encoder-mean-classification",
    "encoder-pre-norm",
    "pair-t5",
    "pair-pre-norm",
]


def read(name: str) -> tuple[HookedTransformer, torch.Tensor, dict[str, Any], torch.Tensor]:
    """A model, a text, and the logits at its last position."""
    model = shared_model(name, torch.float64)
    inputs: dict[str, Any] = dict(example(model.cfg, batch=1))
    logits = model(**inputs)
    return model, inputs.pop("tokens"), inputs, logits if logits.ndim == 2 else logits[:, -1]


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("by", ["layer", "head", "source", "neuron"])
def test_the_shares_add_up_to_the_target(name: str, by: Any) -> None:
    model, ids, inputs, (row,) = read(name)
    targets = [
        (Target.logit(1), row[1]),
        (Target.logit_difference(1, 0), row[1] - row[0]),
        (Target.centred_logit(1), row[1] - row.mean()),
    ]
    for target, value in targets:
        frame = direct_attribution(model, ids, target, by=by, inputs=inputs)
        assert frame["value"].sum() == pytest.approx(value.item(), abs=1e-8)
        assert not frame["component"].duplicated().any()
    some = direct_attribution(model, ids, target, by=by, inputs=inputs, top=3)
    assert some["value"].sum() == pytest.approx(value.item(), abs=1e-8)
    assert len(some) == 4 and some["component"].iloc[-1] == "others"


def test_the_default_is_what_the_model_predicts_and_a_position_may_be_given() -> None:
    model, ids, _, (row,) = read("decoder")
    frame = direct_attribution(model, ids)
    assert frame["value"].sum() == pytest.approx(row.max().item())
    assert set(frame["position"]) == {6}
    earlier = direct_attribution(model, ids, Target.logit(3, position=2), by="neuron")
    assert earlier["value"].sum() == pytest.approx(model(ids)[0, 2, 3].item(), abs=1e-8)
    assert len(earlier) == 2 + 3 * 4 + 3 * 20 + 1


def test_a_finer_split_adds_up_to_the_coarser_one() -> None:
    model, ids, inputs, _ = read("pair-pre-norm")
    target = Target.logit(4)
    heads, sources, neurons = (
        direct_attribution(model, ids, target, by=cast(Any, by), inputs=inputs)
        for by in ("head", "source", "neuron")
    )
    keys = ["part", "layer", "head"]
    by_head = heads.dropna(subset=["head"]).set_index(keys)["value"]
    by_source = sources.dropna(subset=["head"]).groupby(keys)["value"].sum()
    assert by_source[by_head.index].tolist() == pytest.approx(by_head.tolist(), abs=1e-10)
    assert set(sources["part"]) == {"embed", "attn", "cross_attn", "mlp", "bias"}
    # Cross-attention fetches from the 7 tokens of the source, self-attention from the 6 written.
    counts = sources.dropna(subset=["head"]).groupby("part")["source"].nunique()
    assert counts.to_dict() == {"attn": 6, "cross_attn": 7}
    together = neurons[neurons["part"].isin(["mlp", "bias"])]["value"].sum()
    apart = heads[heads["part"].isin(["mlp", "bias"])]["value"].sum()
    assert together == pytest.approx(apart, abs=1e-10)


def test_one_head_is_its_output_times_the_frozen_norm_times_the_unembedding() -> None:
    model, ids, _, _ = read("decoder-llama")
    frame = direct_attribution(model, ids, Target.logit(4), by="head").set_index("component")
    _, cache = model.run_with_cache(ids)
    written = cache["blocks.1.attn.hook_result"][0, -1, 2]
    normed = written / cache["ln_final.hook_scale"][0, -1] * model.ln_final.weight
    assert frame.loc["L1H2", "value"] == pytest.approx((normed @ model.W_U[:, 4]).item())


def test_shares_of_the_future_and_of_padding_are_zero() -> None:
    model, ids, _, _ = read("decoder-rotary")
    target = Target.logit(4, position=2)
    padded = torch.cat([torch.full((1, 2), 7), ids], 1)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1, 1]])
    plain = direct_attribution(model, ids, target, by="source")
    shifted = direct_attribution(
        model, padded, target, by="source", inputs={"attention_mask": mask}
    )
    assert (plain[plain["source"] > 2]["value"] == 0).all()
    assert (shifted[(shifted["source"] < 2) | (shifted["source"] > 4)]["value"] == 0).all()
    moved = shifted.assign(source=shifted["source"] - 2)
    keys = ["part", "layer", "head", "source"]
    both = plain.merge(moved, on=keys, suffixes=("", "_moved"))
    assert len(both) == len(plain)
    assert both["value_moved"].tolist() == pytest.approx(both["value"].tolist(), abs=1e-10)


def test_folding_the_norms_changes_no_share_of_a_difference() -> None:
    model, ids, _, _ = read("decoder")
    target = Target.logit_difference(3, 8)
    plain, folded = (direct_attribution(m, ids, target) for m in (model, model.folded()))
    layers = plain["layer"].notna()
    assert folded[layers]["value"].tolist() == pytest.approx(plain[layers]["value"].tolist())
    assert folded["value"].sum() == pytest.approx(plain["value"].sum(), abs=1e-8)


def test_a_soft_cap_is_named() -> None:
    model = shared_model("decoder-gemma", torch.float64)
    ids = example(model.cfg, batch=1)["tokens"]
    frame = direct_attribution(model, ids, Target.logit(4))
    assert set(frame["metric"]) == {"logit of token 4, before the soft cap"}
    capped = 5 * torch.tanh(torch.tensor(frame["value"].sum() / 5))
    assert capped.item() == pytest.approx(model(ids)[0, -1, 4].item(), abs=1e-8)


def test_refusals() -> None:
    model, ids, _, _ = read("decoder")
    with pytest.raises(InputError, match="not linear"):
        direct_attribution(model, ids, Target.log_prob(3))
    with pytest.raises(InputError, match="layer, head"):
        direct_attribution(model, ids, by=cast(Any, "token"))
    with pytest.raises(InputError, match="top is 0"):
        direct_attribution(model, ids, top=0)
    with pytest.raises(UnsupportedModelError, match="post-norm"):
        direct_attribution(shared_model("decoder-post-norm"), ids)
    with pytest.raises(UnsupportedModelError, match="mlm"):
        direct_attribution(shared_model("encoder-rotary"), ids)
    with (
        model.hooks(fwd_hooks=[("hook_embed", lambda value, hook: value)]),
        pytest.raises(UnsupportedModelError, match="without hooks"),
    ):
        direct_attribution(model, ids)
