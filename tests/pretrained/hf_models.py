"""Tiny random models of the transformers library, in several configurations a family."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import transformers
from torch import Tensor
from torch.overrides import TorchFunctionMode

VOCABULARY = 61
PAD = 1

_WIDE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 48,
    "pad_token_id": PAD,
    "bos_token_id": 2,
    "eos_token_id": 3,
}


def _gpt2(**changes: Any) -> Any:
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 48, "vocab_size": VOCABULARY}
    tokens = {"pad_token_id": PAD, "bos_token_id": 2, "eos_token_id": 3}
    return transformers.GPT2Config(**{**sizes, **tokens, **changes})


def _wide(kind: Any, **changes: Any) -> Any:
    return kind(**{**_WIDE, **changes})


def _neox(**changes: Any) -> Any:
    return _wide(transformers.GPTNeoXConfig, **changes)


def _llama(**changes: Any) -> Any:
    return _wide(transformers.LlamaConfig, **{"num_key_value_heads": 4, **changes})


def _mistral(**changes: Any) -> Any:
    return _wide(transformers.MistralConfig, **{"num_key_value_heads": 2, **changes})


def _qwen2(**changes: Any) -> Any:
    return _wide(transformers.Qwen2Config, **{"num_key_value_heads": 2, **changes})


def _qwen3(**changes: Any) -> Any:
    return _wide(transformers.Qwen3Config, **{"num_key_value_heads": 2, "head_dim": 16, **changes})


def _bert(**changes: Any) -> Any:
    return _wide(transformers.BertConfig, **changes)


def _roberta(**changes: Any) -> Any:
    return _wide(transformers.RobertaConfig, **{"type_vocab_size": 1, **changes})


def _distilbert(**changes: Any) -> Any:
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 40, "vocab_size": VOCABULARY}
    return transformers.DistilBertConfig(
        **{**sizes, "max_position_embeddings": 48, "pad_token_id": PAD, **changes}
    )


def _marian(**changes: Any) -> Any:
    both = {
        f"{half}_{name}": n
        for half in ("encoder", "decoder")
        for name, n in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 40))
    }
    more = {"d_model": 32, "vocab_size": VOCABULARY, "max_position_embeddings": 48}
    tokens = {"pad_token_id": PAD, "decoder_start_token_id": PAD, "eos_token_id": 3}
    tokens["forced_eos_token_id"] = 3
    return transformers.MarianConfig(
        **{**both, **more, **tokens, "activation_function": "swish", **changes}
    )


def _t5(**changes: Any) -> Any:
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 40, "num_heads": 4, "num_layers": 2}
    buckets = {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 12}
    return transformers.T5Config(
        **{
            **sizes,
            **buckets,
            "vocab_size": VOCABULARY,
            "pad_token_id": PAD,
            "eos_token_id": 3,
            "decoder_start_token_id": PAD,
            **changes,
        }
    )


def _rope(kind: str, **fields: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **fields}}


_LLAMA3 = _rope(
    "llama3",
    factor=4.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=16,
)
_YARN = _rope("yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=8.0)

# Name -> class of the transformers library, maker of its configuration.
CASES: dict[str, tuple[str, Callable[[], Any]]] = {
    "gpt2": ("GPT2LMHeadModel", _gpt2),
    "gpt2-untied": ("GPT2LMHeadModel", lambda: _gpt2(tie_word_embeddings=False, n_inner=24)),
    "gpt2-unscaled": ("GPT2LMHeadModel", lambda: _gpt2(scale_attn_weights=False)),
    "gpt2-base": ("GPT2Model", _gpt2),
    "gpt2-classes": ("GPT2ForSequenceClassification", lambda: _gpt2(num_labels=3)),
    "gpt2-token-classes": ("GPT2ForTokenClassification", lambda: _gpt2(num_labels=3)),
    "neox": ("GPTNeoXForCausalLM", _neox),
    "neox-sequential": (
        "GPTNeoXForCausalLM",
        lambda: _neox(use_parallel_residual=False, attention_bias=False),
    ),
    "neox-tied": ("GPTNeoXForCausalLM", lambda: _neox(tie_word_embeddings=True)),
    "neox-half-rotary": (
        "GPTNeoXForCausalLM",
        lambda: _neox(**_rope("default", partial_rotary_factor=0.5)),
    ),
    "neox-linear": (
        "GPTNeoXForCausalLM",
        lambda: _neox(**_rope("linear", factor=2.0, partial_rotary_factor=0.5)),
    ),
    "llama": ("LlamaForCausalLM", _llama),
    "llama-grouped": ("LlamaForCausalLM", lambda: _llama(num_key_value_heads=2)),
    "llama-tied-biased": (
        "LlamaForCausalLM",
        lambda: _llama(tie_word_embeddings=True, attention_bias=True, mlp_bias=True),
    ),
    "llama-head-width": ("LlamaForCausalLM", lambda: _llama(head_dim=12)),
    "llama-base": ("LlamaForCausalLM", lambda: _llama(**_rope("default", rope_theta=500.0))),
    "llama-linear": ("LlamaForCausalLM", lambda: _llama(**_rope("linear", factor=4.0))),
    "llama-llama3": ("LlamaForCausalLM", lambda: _llama(**_LLAMA3)),
    "llama-yarn": ("LlamaForCausalLM", lambda: _llama(**_YARN)),
    "llama-classes": ("LlamaForSequenceClassification", lambda: _llama(num_labels=3)),
    "llama-questions": ("LlamaForQuestionAnswering", _llama),
    "mistral": ("MistralForCausalLM", lambda: _mistral(sliding_window=None)),
    "mistral-window": ("MistralForCausalLM", lambda: _mistral(sliding_window=3)),
    "mistral-token-classes": ("MistralForTokenClassification", lambda: _mistral(num_labels=3)),
    "qwen2": ("Qwen2ForCausalLM", _qwen2),
    "qwen2-window-tied": (
        "Qwen2ForCausalLM",
        lambda: _qwen2(
            use_sliding_window=True,
            sliding_window=3,
            max_window_layers=1,
            tie_word_embeddings=True,
        ),
    ),
    "qwen3": ("Qwen3ForCausalLM", _qwen3),
    "qwen3-biased": ("Qwen3ForCausalLM", lambda: _qwen3(attention_bias=True, **_YARN)),
    "bert": ("BertForMaskedLM", _bert),
    "bert-untied-gelu-new": (
        "BertForMaskedLM",
        lambda: _bert(tie_word_embeddings=False, hidden_act="gelu_new", type_vocab_size=3),
    ),
    "bert-pretraining": ("BertForPreTraining", _bert),
    "bert-base": ("BertModel", _bert),
    "bert-classes": ("BertForSequenceClassification", lambda: _bert(num_labels=3)),
    "bert-token-classes": ("BertForTokenClassification", lambda: _bert(num_labels=5)),
    "bert-questions": ("BertForQuestionAnswering", _bert),
    "roberta": ("RobertaForMaskedLM", _roberta),
    "roberta-base": ("RobertaModel", lambda: _roberta(type_vocab_size=2)),
    "roberta-classes": ("RobertaForSequenceClassification", lambda: _roberta(num_labels=3)),
    "roberta-token-classes": ("RobertaForTokenClassification", lambda: _roberta(num_labels=3)),
    "roberta-questions": ("RobertaForQuestionAnswering", _roberta),
    "distilbert": ("DistilBertForMaskedLM", _distilbert),
    "distilbert-base": ("DistilBertModel", lambda: _distilbert(activation="relu")),
    "distilbert-classes": (
        "DistilBertForSequenceClassification",
        lambda: _distilbert(num_labels=3),
    ),
    "distilbert-token-classes": (
        "DistilBertForTokenClassification",
        lambda: _distilbert(num_labels=3),
    ),
    "distilbert-questions": ("DistilBertForQuestionAnswering", _distilbert),
    "marian": ("MarianMTModel", lambda: _marian(scale_embedding=True)),
    "marian-relu": (
        "MarianMTModel",
        lambda: _marian(activation_function="relu", encoder_layers=1, decoder_layers=3),
    ),
    "t5": ("T5ForConditionalGeneration", _t5),
    "t5-gated": (
        "T5ForConditionalGeneration",
        lambda: _t5(feed_forward_proj="gated-gelu", num_decoder_layers=3),
    ),
    "t5-untied": (
        "T5ForConditionalGeneration",
        lambda: _t5(tie_word_embeddings=False, feed_forward_proj="gated-silu"),
    ),
}


def make(name: str, dtype: torch.dtype = torch.float32) -> Any:
    """A model whose every weight is far from zero and from one, so that none goes unnoticed."""
    architecture, config = CASES[name]
    torch.manual_seed(0)
    model = getattr(transformers, architecture)(config()).eval()
    if name == "t5-untied":  # the library ties what its own first checkpoints do not
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if not tensor.is_floating_point() or "embed_positions" in key:
                continue
            gain = tensor.ndim == 1 and key.endswith("weight")
            noise = torch.randn(tensor.shape, generator=generator) * (0.3 if gain else 0.2)
            tensor.copy_(noise + gain)
        if name == "bert-untied-gelu-new":  # a copy of the bias that this model does not use
            model.cls.predictions.bias.copy_(model.cls.predictions.decoder.bias)
    model.set_attn_implementation("eager")
    return model.to(dtype)


@cache
def shared(name: str, dtype: torch.dtype = torch.float32) -> Any:
    """`make(name)`, made once; for tests that only read it."""
    return make(name, dtype).requires_grad_(False)


def family(name: str) -> str:
    """`gpt2-untied` is of the family `gpt2`."""
    return name.split("-", maxsplit=1)[0]


def output(result: Any) -> Tensor:
    """What our model calls its output."""
    if "start_logits" in result:
        return torch.stack([result.start_logits, result.end_logits], -1)
    for key in ("logits", "prediction_logits"):
        if key in result:
            return result[key]
    return result.last_hidden_state


class Double(TorchFunctionMode):
    """Lets the transformers library compute in float64 where it rounds to float32 on purpose:
    in RMSNorm and the softmax of attention."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        double = bool(args) and isinstance(args[0], Tensor) and args[0].dtype == torch.float64
        if double and func is torch.Tensor.to and args[1:] == (torch.float32,):
            return args[0]
        if double and func is torch.nn.functional.softmax and kwargs.get("dtype"):
            kwargs["dtype"] = torch.float64
        return func(*args, **kwargs)
