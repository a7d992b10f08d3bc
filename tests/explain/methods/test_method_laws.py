"""What every explainer of the input keeps: padding, the future, batches and fixed tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from interp.explain import Baseline, Target, attribute
from tests.model.configurations import build, example

OPTIONS: dict[str, dict[str, Any]] = {
    "saliency": {},
    "gradient_x_input": {},
    "smoothgrad": {"noise": 1e-9, "draws": 2},  # other lengths draw other noise
    "expected_gradients": {"draws": 2000},
    "cp_lrp": {},
    "attn_lrp": {},
    "gim": {},
    "frozen_decomposition": {},
    "attention_rollout": {},
    "attention_relevance": {},
    "attention_attribution": {},
    "value_zeroing": {},
    "value_weighted_attention": {},
    "leave_one_out": {},
    "occlusion": {},
    "exact_shapley": {},
    "permutation_shapley": {"tolerance": 1.0},
    "kernel_shap": {"max_evaluations": 40},
    "owen": {},
    "lime": {"max_evaluations": 60},
    "captum": {"algorithm": "FeatureAblation"},
}
PLAYERS = [  # a unit is one player of theirs, and not its tokens together
    "leave_one_out",
    "occlusion",
    "exact_shapley",
    "permutation_shapley",
    "kernel_shap",
    "owen",
    "lime",
    "captum",
]
EXACT = [name for name in OPTIONS if name != "expected_gradients"]


def tolerance(method: str) -> float:
    return 1e-5 if method == "smoothgrad" else 1e-8


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    "name", ["decoder", "decoder-gemma", "encoder-bert", "encoder-mean-classification", "pair-t5"]
)
def test_padding_has_no_score_and_changes_none(method: str, side: str, name: str) -> None:
    model = build(name, dtype=torch.float64)
    inputs: dict[str, Any] = dict(example(model.cfg, batch=1, pos=6))
    ids = inputs.pop("tokens")
    inputs.pop("token_type_ids", None)
    target = Target.logit(1)
    alone = attribute(model, ids, method, target, inputs=inputs, **OPTIONS[method])
    pad = torch.full((1, 3), 9)
    real = slice(3, None) if side == "left" else slice(0, ids.shape[1])
    padded = torch.cat([pad, ids] if side == "left" else [ids, pad], 1)
    mask = torch.zeros_like(padded)
    mask[:, real] = 1
    inputs["attention_mask"] = mask
    found = attribute(model, padded, method, target, inputs=inputs, **OPTIONS[method])
    n = padded.shape[1]
    scores = list(found.scores)
    target_side = scores[n:]
    assert scores[:n][real] + target_side == pytest.approx(
        list(alone.scores), abs=tolerance(method)
    )
    assert [s for i, s in enumerate(scores[:n]) if not mask[0, i]] == [0.0] * 3
    assert any(alone.scores)


@pytest.mark.parametrize("method", OPTIONS)
@pytest.mark.parametrize("name", ["decoder", "decoder-gemma", "pair-t5"])
def test_tokens_after_the_target_have_no_score(method: str, name: str) -> None:
    model = build(name, dtype=torch.float64)
    inputs: dict[str, Any] = dict(example(model.cfg, batch=1))
    ids = inputs.pop("tokens")
    found = attribute(
        model, ids, method, Target.logit(1, position=3), inputs=inputs, **OPTIONS[method]
    )
    written = [i for i, side in enumerate(found.side) if side != "source"]
    assert all(found.scores[i] == 0 for i in written[4:])
    assert any(found.scores[i] != 0 for i in written[:4])


@pytest.mark.parametrize("method", OPTIONS)
@pytest.mark.parametrize("batch_size", [1, 5])
def test_the_batch_size_changes_nothing(method: str, batch_size: int) -> None:
    model = build("decoder-gemma", dtype=torch.float64)
    ids = example(model.cfg, batch=1)["tokens"]
    options = {**OPTIONS[method], **({"draws": 7} if "draws" in OPTIONS[method] else {})}
    one = attribute(model, ids, method, **options)
    other = attribute(model, ids, method, batch_size=batch_size, **options)
    assert one.scores == pytest.approx(other.scores, abs=1e-9)


@pytest.mark.parametrize("method", OPTIONS)
def test_tokens_that_the_baseline_keeps_have_no_score(method: str) -> None:
    model = build("decoder", dtype=torch.float64, bos_token_id=0)
    ids = example(model.cfg, batch=1)["tokens"]
    ids[0, 0] = 0
    kept = attribute(model, ids, method, **OPTIONS[method])
    moved = attribute(
        model, ids, method, None, Baseline("mean", keep_special=False), **OPTIONS[method]
    )
    assert kept.scores[0] == 0 and moved.scores[0] != 0


@pytest.mark.parametrize("method", [name for name in OPTIONS if name not in PLAYERS])
def test_units_add_up_their_tokens(method: str) -> None:
    model = build("decoder", dtype=torch.float64)
    ids = example(model.cfg, batch=1)["tokens"]
    tokens = attribute(model, ids, method, **OPTIONS[method]).scores
    spans = attribute(model, ids, method, units=[(1, 4)], **OPTIONS[method]).scores
    assert spans[1] == pytest.approx(sum(tokens[1:4]), abs=1e-9)
    assert len(spans) == len(tokens) - 2


@pytest.mark.parametrize("method", PLAYERS)
def test_a_unit_is_one_player(method: str) -> None:
    """Of a text of which only one unit can move, it has the whole difference."""
    model = build("decoder", dtype=torch.float64)
    ids = example(model.cfg, batch=1)["tokens"]
    other = ids.clone()
    other[0, 1:4] = (other[0, 1:4] + 1) % model.cfg.d_vocab
    options = {**OPTIONS[method], **({"ridge": 0.0} if method == "lime" else {})}
    found = attribute(model, ids, method, None, Baseline.text(other), units=[(1, 4)], **options)
    expected = [found.difference if group == (1, 2, 3) else 0.0 for group in found.groups]
    assert found.scores == pytest.approx(expected, abs=1e-6) and found.difference != 0
