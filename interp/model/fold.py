"""An equal model that is simpler to read: norms without gain, weights without idle directions.

What TransformerLens's `from_pretrained` did by default (its documentation calls it weight
processing). None of the four steps changes a probability:

- the gain and shift of a norm go into the linear maps that read it, W (g x + s) + b =
  (W g) x + (W s + b), and the norm only normalises;
- what is written along (1, ..., 1) is removed, since every LayerNorm subtracts the mean it would
  add to; RMSNorm does not, so there the weights stay;
- the mean over the vocabulary is taken from the unembedding, since softmax does not see it;
- values' biases reach the output whole, since the weights of a query sum to 1: they move into the
  output bias.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from interp.errors import UnsupportedModelError
from interp.model.attention import Attention
from interp.model.core import Transformer
from interp.model.norm import Norm

Model = TypeVar("Model", bound=Transformer)
Reader = tuple[nn.Linear, slice, float]
"""A linear map that reads a norm, the rows of it that do, and a factor on what it reads."""


def fold(
    model: Model,
    *,
    fold_ln: bool = True,
    center_writing_weights: bool = True,
    center_unembed: bool = True,
    fold_value_biases: bool = True,
) -> Model:
    """A new model with the same probabilities; `model` is left as it is.

    Where the configuration rules a step out, it is left out: centring what is written needs
    LayerNorm before every reader, the final one too; centring logits needs them without a soft cap.
    The norm of the embeddings and those of queries and keys stay, since what reads them is not one
    linear map, and so does the final norm of a model without a head. Tied embeddings are untied.

    Args:
        fold_ln: put the norms' gains and shifts into what reads them.
        center_writing_weights: remove the mean of what embeddings and layers write.
        center_unembed: remove the mean of the logits.
        fold_value_biases: move the values' biases into the output biases.

    Raises:
        UnsupportedModelError: a post-norm model, whose norms are not read by linear maps alone:
            the stream goes on from them.
    """
    cfg = model.cfg
    if cfg.norm_position == "post":
        raise UnsupportedModelError(
            "The blocks of this model normalise the stream itself (post-norm), so their gains and "
            "shifts cannot move into the layers that read it. Use the model as it is."
        )
    # A tokenizer is shared: it has no weights.
    new = copy.deepcopy(model, {id(model.tokenizer): model.tokenizer})
    new.to(torch.promote_types(cfg.dtype, torch.float32))  # half precision rounds once, at the end
    with torch.no_grad():
        _set_config(new, fold_ln, center_unembed or center_writing_weights, fold_value_biases)
        if fold_ln:
            for norm, readers in _norms(new):
                _fold_norm(norm, readers)
        if center_writing_weights and cfg.normalization_type == "LN" and cfg.final_norm:
            for weight, dim in _writers(new):
                _centre(weight, dim)
        unembed = new.output.unembed
        if center_unembed and unembed is not None and unembed.soft_cap <= 0:
            _centre(unembed.weight, 0)
            if unembed.bias is not None:
                _centre(unembed.bias, 0)
        if fold_value_biases:
            for attn in _attentions(new):
                _fold_value_bias(attn)
    return new.to(cfg.dtype)


# -- making room ---------------------------------------------------------------------------------


def _set_config(model: Transformer, fold_ln: bool, centre: bool, values: bool) -> None:
    """Adds the biases that shifts go into, and unties the unembedding from the embedding."""
    cfg = model.cfg
    shifts = fold_ln and cfg.norm_bias
    changes: dict[str, bool] = {}
    if shifts:
        changes = dict.fromkeys(("qkv_bias", "mlp_bias", "unembed_bias", "classifier_bias"), True)
    if values and (cfg.qkv_bias or shifts):
        changes["attn_out_bias"] = True
    if cfg.tie_word_embeddings and (fold_ln or centre):
        changes["tie_word_embeddings"] = False
        unembed = model.output.unembed
        assert unembed is not None
        unembed.weight = nn.Parameter(unembed.weight.clone(), unembed.weight.requires_grad)
    model.cfg = cfg.replace(**changes)
    for linear in _with_bias(model):
        if linear.bias is None:
            zeros = linear.weight.new_zeros(linear.out_features)
            linear.bias = nn.Parameter(zeros, linear.weight.requires_grad)


def _with_bias(model: Transformer) -> Iterator[nn.Linear]:
    """The layers that have a bias in the model's configuration."""
    cfg = model.cfg
    for attn in _attentions(model):
        if cfg.qkv_bias:
            yield attn.qkv
        if cfg.attn_out_bias:
            yield attn.out
    for block in _blocks(model):
        if block.mlp is not None and cfg.mlp_bias:
            yield from (x for x in (block.mlp.gate, block.mlp.up, block.mlp.down) if x is not None)
    output = model.output
    if output.unembed is not None and cfg.unembed_bias:
        yield output.unembed
    if output.classifier is not None and cfg.classifier_bias:
        yield output.classifier


# -- who reads a norm, who writes to the stream --------------------------------------------------


def _blocks(model: Transformer) -> Iterator[Any]:
    for name in model.stack_names():
        yield from model.stack(name).blocks


def _attentions(model: Transformer) -> Iterator[Attention]:
    for block in _blocks(model):
        yield from (attn for attn in (block.attn, block.cross_attn) if attn is not None)


def _norms(model: Transformer) -> Iterator[tuple[Norm, list[Reader]]]:
    """Every norm that is read by linear maps alone, and these."""
    everything = slice(None)
    for block in _blocks(model):
        yield block.ln1, [(block.attn.qkv, everything, 1.0)]
        if block.cross_attn is not None:
            queries = slice(0, block.cross_attn.n_heads * block.cross_attn.d_head)
            yield block.ln2, [(block.cross_attn.qkv, queries, 1.0)]
        if block.mlp is not None:
            inputs = (block.mlp.up, block.mlp.gate)
            readers = [(linear, everything, 1.0) for linear in inputs if linear is not None]
            yield block.norm(f"ln{block.n_sublayers}"), readers
    if model.cfg.shape == "encoder_decoder":
        encoder = model.stack("encoder").ln_final
        if encoder is not None:
            crossed = [block.cross_attn for block in model.stack("decoder").blocks]
            yield (
                encoder,
                [
                    (attn.qkv, slice(attn.n_heads * attn.d_head, None), 1.0)
                    for attn in crossed
                    if attn is not None
                ],
            )
    yield from _output_norms(model)


def _output_norms(model: Transformer) -> Iterator[tuple[Norm, list[Reader]]]:
    output, everything = model.output, slice(None)
    unembed = output.unembed
    last: Reader | None = None
    if unembed is not None:
        last = (unembed, everything, unembed.scale)
    elif output.classifier is not None:
        last = (output.classifier, everything, 1.0)
    if output.mlm_head is not None:
        assert last is not None
        yield output.mlm_head.ln, [last]
        last = (output.mlm_head.dense, everything, 1.0)
    elif output.pooler is not None and output.pooler.dense is not None:
        last = (output.pooler.dense, everything, 1.0)
    final = model.stack(model.last_stack).ln_final
    if final is not None and last is not None:
        yield final, [last]


def _writers(model: Transformer) -> Iterator[tuple[Tensor, int]]:
    """Every weight that writes to the stream, and its axis along the stream.

    Fixed position tables stay: they are no weights, and the norms remove their mean anyway.
    """
    yield model.embed.weight, 1
    inputs = [model.input]
    if model.cfg.shape == "encoder_decoder":
        inputs.append(model.decoder_input)
    for part in inputs:
        if part.positions is not None and isinstance(part.positions.weight, nn.Parameter):
            yield part.positions.weight, 1
        if part.segments is not None:
            yield part.segments.weight, 1
    writers = [attn.out for attn in _attentions(model)]
    writers += [block.mlp.down for block in _blocks(model) if block.mlp is not None]
    for linear in writers:
        yield linear.weight, 0
        if linear.bias is not None:
            yield linear.bias, 0


# -- the four steps ------------------------------------------------------------------------------


def _fold_norm(norm: Norm, readers: list[Reader]) -> None:
    for linear, rows, factor in readers:
        weight = linear.weight[rows]  # a view, as that of the bias: writing changes the layer
        if norm.bias is not None:
            linear.bias[rows].add_(weight @ norm.bias, alpha=factor)
        weight.mul_(norm.weight)
        if not norm.rms:
            _centre(weight, 1)  # a LayerNorm's output has no mean, so its reader needs none
    norm.weight.fill_(1.0)
    if norm.bias is not None:
        norm.bias.zero_()


def _centre(weight: Tensor, dim: int) -> None:
    weight.sub_(weight.mean(dim, keepdim=True))


def _fold_value_bias(attn: Attention) -> None:
    if attn.qkv.bias is not None:
        values = attn.b_V.repeat_interleave(attn.n_heads // attn.n_kv, 0)
        attn.out.bias.add_(torch.einsum("he,hed->d", values, attn.W_O))
        attn.b_V.zero_()
