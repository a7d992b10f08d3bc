"""The analyses of a cache: ours, TransformerLens's class on our activations, and its bridge's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.model.transformer_lens.models import CLEAN, N_VOCAB, Pair, close

transformer_lens = pytest.importorskip("transformer_lens")


ANALYSES: dict[str, dict[str, Any]] = {
    "accumulated": {"method": "accumulated_resid"},
    "accumulated-mid": {"method": "accumulated_resid", "incl_mid": True},
    "accumulated-ln": {"method": "accumulated_resid", "apply_ln": True},
    "accumulated-ln-1": {"method": "accumulated_resid", "layer": 1, "apply_ln": True},
    "accumulated-mlp-input": {"method": "accumulated_resid", "layer": 1, "mlp_input": True},
    "accumulated-pos": {"method": "accumulated_resid", "pos_slice": -1},
    "decompose": {"method": "decompose_resid"},
    "decompose-0": {"method": "decompose_resid", "layer": 0},
    "decompose-ln": {"method": "decompose_resid", "apply_ln": True},
    "decompose-ln-1": {"method": "decompose_resid", "layer": 1, "apply_ln": True},
    "decompose-mlp-input": {
        "method": "decompose_resid",
        "layer": 1,
        "mlp_input": True,
        "apply_ln": True,
    },
    "decompose-attn": {"method": "decompose_resid", "mode": "attn", "pos_slice": (1, 3)},
    "decompose-mlp": {"method": "decompose_resid", "mode": "mlp", "incl_embeds": False},
    "heads": {"method": "stack_head_results"},
    "heads-1": {"method": "stack_head_results", "layer": 1, "incl_remainder": True},
    "heads-ln": {"method": "stack_head_results", "apply_ln": True, "pos_slice": -1},
    "heads-0": {"method": "stack_head_results", "layer": 0},
    "neurons": {"method": "stack_neuron_results", "layer": -1},
    "neurons-1": {"method": "stack_neuron_results", "layer": 1, "incl_remainder": True},
    "neurons-some": {"method": "stack_neuron_results", "layer": 2, "neuron_slice": (0, 8, 3)},
    "neurons-one": {"method": "stack_neuron_results", "layer": 2, "neuron_slice": 5},
    "neurons-ln": {"method": "stack_neuron_results", "layer": 2, "apply_ln": True},
    "neurons-mlp-input": {
        "method": "stack_neuron_results",
        "layer": 1,
        "mlp_input": True,
        "incl_remainder": True,
        "apply_ln": True,
    },
    "full": {"method": "get_full_resid_decomposition"},
    "full-ln": {"method": "get_full_resid_decomposition", "apply_ln": True},
    "full-layers": {"method": "get_full_resid_decomposition", "expand_neurons": False},
    "full-1": {"method": "get_full_resid_decomposition", "layer": 1, "pos_slice": [0, 2]},
    "full-mlp-input": {
        "method": "get_full_resid_decomposition",
        "layer": 1,
        "mlp_input": True,
        "apply_ln": True,
    },
}
PROJECTED = ["neurons", "neurons-1", "neurons-ln", "neurons-mlp-input", "full", "full-ln", "full-1"]


def three_ways(models: Pair, call: Callable[[Any], Any]) -> list[Any]:
    """Our cache; TransformerLens's class on our activations and our model; the bridge's cache."""
    mine, theirs = models
    _, cache = mine.run_with_cache(CLEAN)
    adopted = transformer_lens.ActivationCache(dict(cache), mine)
    _, other = theirs.run_with_cache(CLEAN)
    return [call(cache), call(adopted), call(other)]


def same(results: list[Any]) -> None:
    for other in results[1:]:
        if isinstance(other, tuple):
            assert results[0][1] == other[1]
            close(results[0][0], other[0])
        else:
            close(results[0], other)


@pytest.mark.parametrize("analysis", ANALYSES)
def test_analyses_of_a_cache(analysis: str, folded: Pair) -> None:
    options = dict(ANALYSES[analysis])
    method = options.pop("method")
    same(three_ways(folded, lambda c: getattr(c, method)(return_labels=True, **options)))


@pytest.mark.parametrize("analysis", PROJECTED)
@pytest.mark.parametrize("shape", [(16,), (16, 3)])
def test_projected_analyses(analysis: str, shape: tuple[int, ...], folded: Pair) -> None:
    options = dict(ANALYSES[analysis])
    method = options.pop("method")
    onto = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    same(three_ways(folded, lambda c: getattr(c, method)(project_output_onto=onto, **options)))


TOKENS: dict[str, Any] = {
    "text": "w3",
    "id": 3,
    "per-row": torch.tensor([3, 5]),
    "per-position": torch.arange(6)[None],
    "each": torch.arange(12).reshape(2, 6),
}


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("difference", [False, True])
def test_logit_attributions(tokens: str, difference: bool, folded: Pair) -> None:
    right = TOKENS[tokens]
    wrong: Any = None
    if difference:
        wrong = "w4" if right == "w3" and isinstance(right, str) else (right + 7) % N_VOCAB
    same(three_ways(folded, lambda c: c.logit_attrs(c.decompose_resid(), right, wrong)))


@pytest.mark.parametrize("rows", [0, (0, 1), [1, 0]])
def test_logit_attributions_of_some_rows(rows: Any, folded: Pair) -> None:
    same(three_ways(folded, lambda c: c.logit_attrs(c.decompose_resid(), 3, batch_slice=rows)))


@pytest.mark.parametrize("pair", ["plain", "folded"])
def test_single_neurons_and_stacks(pair: str, request: pytest.FixtureRequest) -> None:
    models = request.getfixturevalue(pair)
    same(three_ways(models, lambda c: c.get_neuron_results(1, neuron_slice=(2, 5), pos_slice=-1)))
    same(three_ways(models, lambda c: c.stack_activation("pattern")))
    same(three_ways(models, lambda c: c.stack_activation("scale", 2, "ln2")))
    same(three_ways(models, lambda c: c["resid_post", -1]))


def test_where_transformer_lens_is_wrong(plain: Pair) -> None:
    """Without folding its sum of attributions misses the logit difference; ours does not."""
    mine, _ = plain
    logits, cache = mine.run_with_cache(CLEAN)
    difference = logits[..., 7] - logits[..., 8]
    adopted = transformer_lens.ActivationCache(dict(cache), mine)
    bias = cache.logit_bias(7, 8)
    exact = cache.logit_attrs(cache.decompose_resid(), 7, 8).sum(0) + bias
    close(exact, difference)
    other = adopted.logit_attrs(adopted.decompose_resid(), 7, 8).sum(0) + bias
    assert (other - difference).abs().max() > 0.1
