"""Explainers on models that have no table here, against the library they come from."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

import interp
from interp.explain import Baseline, Target, attribute, logit_lens

IDS, OTHER = torch.tensor([[5, 9, 3, 17, 4, 8]]), torch.tensor([[2, 9, 11, 17, 6, 1]])


@pytest.fixture(scope="module", params=["gemma", "gpt_bigcode"])
def pair(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """A tiny model of the library, and the same opened here; Gemma scales its embeddings."""
    torch.manual_seed(0)
    small = {"vocab_size": 40, "initializer_range": 0.3}
    if request.param == "gemma":
        config: Any = transformers.GemmaConfig(
            **small,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            intermediate_size=32,
        )
        theirs: Any = transformers.GemmaForCausalLM(config)
    else:
        config = transformers.GPTBigCodeConfig(**small, n_embd=16, n_layer=2, n_head=2)
        theirs = transformers.GPTBigCodeForCausalLM(config)
    return theirs.eval(), interp.load(theirs.eval())


def test_scores_add_up_between_two_texts(pair: tuple[Any, Any]) -> None:
    theirs, ours = pair
    found = attribute(ours, IDS, target=Target.logit(3), baseline=Baseline.text(OTHER))
    with torch.no_grad():
        value, start = (theirs(ids).logits[0, -1, 3].item() for ids in (IDS, OTHER))
    assert found.value == pytest.approx(value, abs=1e-5)
    assert found.baseline_value == pytest.approx(start, abs=1e-5)
    assert found.converged and sum(found.scores) == pytest.approx(value - start, rel=0.01)
    assert found.scores[1] == found.scores[3] == 0  # the same token in both texts


def test_the_lens_ends_at_the_prediction(pair: tuple[Any, Any]) -> None:
    theirs, ours = pair
    _, cache = ours.run_with_cache(IDS)
    frame = logit_lens(ours, cache, IDS)
    predicted = theirs(IDS).logits[0].argmax(-1).tolist()
    assert frame[frame["layer"] == 2]["top_id"].tolist() == predicted
