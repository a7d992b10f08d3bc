"""The laws of splitting the stream: the parts sum to the whole, for every pre-norm model."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from interp.errors import InputError
from interp.model.cache import ActivationCache
from interp.model.transformer import HookedTransformer
from tests.model.configurations import CONFIGURATIONS
from tests.model.pre_norm import EACH, PRE_NORM, close, n_blocks, run

LANGUAGE_MODELS = [name for name in PRE_NORM if CONFIGURATIONS[name].head == "lm"]
EACH_LANGUAGE_MODEL = pytest.mark.parametrize("name", LANGUAGE_MODELS)


def stream(model: HookedTransformer, cache: ActivationCache, layer: int) -> Tensor:
    """What enters block `layer`, read from the cache by name."""
    if layer < n_blocks(model):
        return cache[f"{model.last_stack}.{layer}.hook_resid_pre"]
    return cache[f"{model.last_stack}.{layer - 1}.hook_resid_post"]


def what_the_feed_forward_reads(cache: ActivationCache, layer: int) -> Tensor:
    return cache[f"{cache.model.last_stack}.{layer}.hook_mlp_in"]


# -- the parts sum to the stream -----------------------------------------------------------------


@EACH
def test_components_sum_to_the_stream_that_enters_each_block(name: str) -> None:
    model, _, cache = run(name)
    for layer in range(n_blocks(model) + 1):
        close(cache.decompose_resid(layer).sum(0), stream(model, cache, layer))


@EACH
def test_heads_neurons_embeddings_and_biases_sum_to_the_stream(name: str) -> None:
    model, _, cache = run(name)
    for layer in range(n_blocks(model) + 1):
        for expand in (True, False):
            parts = cache.get_full_resid_decomposition(layer, expand_neurons=expand)
            close(parts.sum(0), stream(model, cache, layer))


@EACH
def test_components_sum_to_what_the_feed_forward_layer_reads(name: str) -> None:
    model, _, cache = run(name)
    if model.cfg.attn_only:
        with pytest.raises(InputError, match="no feed-forward layer 0"):
            cache.decompose_resid(0, mlp_input=True)
        return
    for layer in range(n_blocks(model)):
        read = what_the_feed_forward_reads(cache, layer)
        close(cache.decompose_resid(layer, mlp_input=True).sum(0), read)
        close(cache.get_full_resid_decomposition(layer, mlp_input=True).sum(0), read)
        neurons = cache.stack_neuron_results(layer, incl_remainder=True, mlp_input=True)
        close(neurons.sum(0), read)


@EACH
def test_heads_and_neurons_with_their_remainders_sum_to_the_stream(name: str) -> None:
    model, _, cache = run(name)
    for layer in (0, 1, -1):
        whole = stream(model, cache, n_blocks(model) if layer == -1 else layer)
        close(cache.stack_head_results(layer, incl_remainder=True).sum(0), whole)
        close(cache.stack_neuron_results(layer, incl_remainder=True).sum(0), whole)


@EACH
def test_what_a_head_wrote_is_its_hook_result(name: str) -> None:
    model, _, cache = run(name)
    heads, labels = cache.stack_head_results(return_labels=True)
    for head, label in zip(heads, labels, strict=True):
        layer, kind, index = label[1], label[2], int(label[3:])
        part = {"H": "attn", "C": "cross_attn"}[kind]
        result = cache[f"{model.last_stack}.{layer}.{part}.hook_result"]
        close(head, result[..., index, :])


# -- and so does what is read through a norm -----------------------------------------------------


def reading_of(model: HookedTransformer, cache: ActivationCache, layer: int) -> Tensor:
    """What the norm before block `layer` hands on, without its shift."""
    stack = model.stack(model.last_stack)
    last = layer == len(stack.blocks)
    norm = stack.ln_final if last else stack.blocks[layer].norm("ln1")
    whole = stream(model, cache, layer)
    if norm is None:
        return whole
    out = norm(whole)
    return out if norm.bias is None else out - norm.bias


@EACH
def test_normed_components_sum_to_the_normed_stream(name: str) -> None:
    model, _, cache = run(name)
    for layer in range(n_blocks(model) + 1):
        read = reading_of(model, cache, layer)
        close(cache.decompose_resid(layer, apply_ln=True).sum(0), read)
        close(cache.get_full_resid_decomposition(layer, apply_ln=True).sum(0), read)
        close(cache.stack_head_results(layer, incl_remainder=True, apply_ln=True).sum(0), read)
        close(cache.stack_neuron_results(layer, incl_remainder=True, apply_ln=True).sum(0), read)


@EACH_LANGUAGE_MODEL
@pytest.mark.parametrize("difference", [False, True])
def test_attributions_and_the_bias_sum_to_the_logit(name: str, difference: bool) -> None:
    """Exactly, though no norm is folded: the gain of the final norm is part of the direction."""
    model, logits, cache = run(name)
    cap = model.cfg.output_logits_soft_cap
    if cap > 0:
        logits = cap * torch.atanh(logits / cap)
    tokens = torch.arange(logits.shape[1])[None] % model.cfg.d_vocab_out
    others = (tokens + 3) % model.cfg.d_vocab_out if difference else None
    expected = logits.gather(-1, tokens.expand(2, -1)[..., None])[..., 0]
    if others is not None:
        expected = expected - logits.gather(-1, others.expand(2, -1)[..., None])[..., 0]
    bias = cache.logit_bias(tokens, others)
    for parts in (
        cache.decompose_resid(),
        cache.get_full_resid_decomposition(),
        cache.stack_head_results(incl_remainder=True),
    ):
        close(cache.logit_attrs(parts, tokens, others).sum(0) + bias, expected)


@EACH_LANGUAGE_MODEL
def test_the_last_row_of_the_lens_is_the_models_prediction(name: str) -> None:
    model, logits, cache = run(name)
    lens = model.output(cache.accumulated_resid(apply_ln=True))
    close(lens[-1], logits)


def test_a_row_of_the_lens_has_the_norm_of_its_own_stream() -> None:
    model, _, cache = run("decoder")
    streams = cache.accumulated_resid()
    close(cache.accumulated_resid(apply_ln=True), torch.stack([model.ln_final(x) for x in streams]))


@EACH
def test_projecting_first_and_last_is_the_same(name: str) -> None:
    model, _, cache = run(name)
    onto = torch.randn(model.cfg.d_model, 3, dtype=torch.float64)
    for apply_ln in (False, True):
        for call in (cache.stack_neuron_results, cache.get_full_resid_decomposition):
            whole = call(-1, apply_ln=apply_ln)
            close(call(-1, apply_ln=apply_ln, project_output_onto=onto), whole @ onto)
            one = call(-1, apply_ln=apply_ln, project_output_onto=onto[:, 0])
            close(one, whole @ onto[:, 0])
