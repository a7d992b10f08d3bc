"""One set of weights as three models: ours, TransformerLens's bridge, and ours folded.

The oracle is a `TransformerBridge` around a tiny random GPT-2 of the transformers library. In
"compatibility mode" the bridge folds norms and centres weights, so it is compared with
`model.folded()`.
"""

from __future__ import annotations

from typing import Any

import tokenizers
import torch
import transformers
from tokenizers import models, pre_tokenizers
from torch import Tensor

from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.tokenizer import Tokenizer

Pair = tuple[HookedTransformer, Any]
"""Ours and theirs."""

N_VOCAB, N_CTX = 29, 16
CLEAN = torch.tensor([[0, 3, 7, 3, 9, 11], [0, 4, 8, 4, 10, 12]])
CORRUPTED = torch.tensor([[0, 5, 6, 5, 9, 11], [0, 1, 2, 1, 10, 12]])
SENTENCE = "w3 w7 w3 w9 w3 w7 w11"


def gpt2() -> transformers.GPT2LMHeadModel:
    """A fresh copy of the same random model: a bridge takes it over."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        n_embd=16,
        n_layer=2,
        n_head=4,
        vocab_size=N_VOCAB,
        n_positions=N_CTX,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=0,
        resid_pdrop=0.0,  # so that a training step is the same on both sides
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def words() -> transformers.PreTrainedTokenizerFast:
    """Token i is the word `wi`; token 0 begins a text."""
    vocabulary = {"<|endoftext|>": 0} | {f"w{i}": i for i in range(1, N_VOCAB)}
    backend = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="w1"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    role = {f"{name}_token": "<|endoftext|>" for name in ("bos", "eos", "pad")}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **role)


def ours() -> HookedTransformer:
    theirs = {name: value.clone() for name, value in gpt2().transformer.state_dict().items()}
    cfg = TransformerConfig(
        d_model=16,
        n_layers=2,
        n_heads=4,
        d_vocab=N_VOCAB,
        n_ctx=N_CTX,
        tie_word_embeddings=True,
        bos_token_id=0,
    )
    state = {
        "embed.weight": theirs["wte.weight"],
        "output.unembed.weight": theirs["wte.weight"],
        "input.positions.weight": theirs["wpe.weight"],
        "ln_final.weight": theirs["ln_f.weight"],
        "ln_final.bias": theirs["ln_f.bias"],
    }
    layers = {"attn.qkv": "attn.c_attn", "attn.out": "attn.c_proj"}
    layers |= {"mlp.up": "mlp.c_fc", "mlp.down": "mlp.c_proj", "ln1": "ln_1", "ln2": "ln_2"}
    for i in range(2):
        for mine, other in layers.items():
            weight = theirs[f"h.{i}.{other}.weight"]
            state[f"blocks.{i}.{mine}.weight"] = weight.t() if weight.ndim == 2 else weight
            state[f"blocks.{i}.{mine}.bias"] = theirs[f"h.{i}.{other}.bias"]
    model = HookedTransformer(cfg, Tokenizer.from_hf(words()))
    model.load_state_dict(state)
    return model.eval()


def bridge(compatible: bool = False) -> Any:
    # Importing it reads and patches much, so it is left to the tests that need it.
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    module = gpt2()
    built = build_bridge_from_module(module, "GPT2LMHeadModel", hf_config=module.config)
    # A bridge takes only tokenizers that were loaded from somewhere, so it borrows ours.
    text = ours()
    built.to_tokens, built.to_single_token = text.to_tokens, text.to_single_token
    if compatible:
        built.enable_compatibility_mode(disable_warnings=True)
    return built.eval()


def close(mine: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(mine, theirs.to(mine.dtype), atol=2e-5, rtol=2e-5)
