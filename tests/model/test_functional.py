"""A model is a function of its weights under `torch.func`: many at once are each as alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap

from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer


def tiny(seed: int, **changes: Any) -> HookedTransformer:
    cfg = TransformerConfig(d_model=8, n_layers=1, n_heads=2, d_vocab=11, n_ctx=8)
    return HookedTransformer(cfg.replace(**changes), seed=seed).double()


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"positional_embedding_type": "rotary", "normalization_type": "RMS", "gated_mlp": True},
        {"shape": "encoder", "head": "mlm"},
        {"shape": "encoder_decoder", "decoder_start_token_id": 0},
    ],
)
def test_models_and_batches_are_mapped_at_once(changes: dict[str, Any]) -> None:
    models = [tiny(seed, **changes) for seed in range(3)]
    weights, _ = stack_module_state(models)  # type: ignore[arg-type]
    tokens = torch.randint(11, (3, 2, 6), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(tokens)
    mask[1, 0, 4:] = 0
    names = {"tokens": tokens, "attention_mask": mask}
    if changes.get("shape") == "encoder_decoder":
        names["decoder_tokens"] = tokens

    def loss(weights: dict[str, Tensor], inputs: dict[str, Tensor]) -> Tensor:
        logits: Tensor = functional_call(models[0], weights, (), inputs)
        return logits.square().mean()

    found = vmap(grad(loss))(weights, names)
    for i, model in enumerate(models):
        one = model(**{name: value[i] for name, value in names.items()}).square().mean()
        slopes = torch.autograd.grad(
            one, list(model.parameters()), materialize_grads=True, allow_unused=True
        )
        for (name, _), slope in zip(model.named_parameters(), slopes, strict=True):
            assert torch.allclose(found[name][i], slope, atol=1e-12), name
