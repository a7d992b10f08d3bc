"""Splitting the stream into what each component wrote.

In a pre-norm model the stream is a sum: the embeddings, and what every attention layer and every
feed-forward layer added. The norm before a reader of the stream is a linear map once its scale is
held at the value it had in the run, so what reaches the reader is a sum as well, and so is a logit
(Elhage et al. 2021, transformer-circuits.pub/2021/framework). The methods here return its
summands, under the names, arguments and labels of TransformerLens's `ActivationCache`.

Where TransformerLens leaves the gain of a norm out, and so needs a model whose norms are folded,
these include it: `apply_ln=True` and `logit_attrs` are exact with and without folding, and equal
TransformerLens's on folded models.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import Tensor

from interp.errors import InputError, UnsupportedModelError
from interp.model.components import Components, Reading, project
from interp.model.slices import SliceLike, as_index, cut

Mode = Literal["all", "mlp", "attn"]
Labelled = Tensor | tuple[Tensor, list[str]]
"""[component, batch, pos, d_model]; with `return_labels` also the name of each component."""


class Decomposition(Components):
    """The part of a cache that splits the stream: of pre-norm models of any shape, of runs without
    edits; in an encoder-decoder the stream of the decoder.

    Arguments that several methods share:

    - `layer`: the stream that enters this block; None or -1 for what leaves the last block.
    - `mlp_input`: instead, the stream that the feed-forward layer of that block reads.
    - `apply_ln`: pass each component through the norm that reads this stream, at the scale that
      the norm had in the run.
    - `pos_slice`: some positions: an int, (start, stop), a list; None for all.
    - `return_labels`: also the name of each component.

    Results are [component, batch, pos, d_model]; without batch after `remove_batch_dim`, without
    pos for a `pos_slice` that is an int.

    Raises:
        UnsupportedModelError: a post-norm model, whose stream is not a sum of components.
        InputError: a layer or position that does not exist.
    """

    # -- the stream as it grows ------------------------------------------------------------------

    def accumulated_resid(
        self,
        layer: int | None = None,
        incl_mid: bool = False,
        apply_ln: bool = False,
        pos_slice: SliceLike = None,
        mlp_input: bool = False,
        return_labels: bool = False,
    ) -> Labelled:
        """The stream that enters each block, up to `layer`: the rows of a logit lens.

        Args:
            incl_mid: also the stream between the sub-layers, in blocks that have one (parallel
                and attention-only blocks have not).
            apply_ln: the final norm takes each stream's own scale and adds its shift, so that the
                unembedding can read it; the norm of an earlier `layer` has the scale of the run.
        """
        stack, layer = self._up_to(layer, mlp_input)
        final = layer == len(stack.blocks)
        streams = []
        labels = []
        for i in range(layer + 1):
            streams.append(self._stream_into(i))
            labels.append("final_post" if i == len(stack.blocks) else f"{i}_pre")
            if not (mlp_input if i == layer else incl_mid):
                continue
            for mid in ("mid", "mid_cross"):
                name = f"{stack.name}.{i}.hook_resid_{mid}"
                if name in self.model.hook_points:
                    streams.append(self[name])
                    labels.append(f"{i}_{mid}")
        components = torch.stack([cut(stream, pos_slice, -2) for stream in streams])
        if apply_ln:
            components = self.apply_ln_to_stack(
                components, layer, mlp_input, pos_slice, recompute_ln=final
            )
        return (components, labels) if return_labels else components

    def stack_activation(
        self, activation_name: str, layer: int | None = -1, sublayer_type: str | None = None
    ) -> Tensor:
        """One activation of every block before `layer`, [layer, ...]; of any model."""
        layers = range(self._layer(layer))
        return torch.stack([self[activation_name, i, sublayer_type] for i in layers])

    # -- its summands ----------------------------------------------------------------------------

    def decompose_resid(
        self,
        layer: int | None = None,
        mlp_input: bool = False,
        mode: Mode = "all",
        apply_ln: bool = False,
        pos_slice: SliceLike = None,
        incl_embeds: bool = True,
        return_labels: bool = False,
    ) -> Labelled:
        """What the embeddings and every layer wrote; the components sum to the stream.

        Args:
            mode: `all` layers, or `attn` or `mlp` alone.
            incl_embeds: also the embeddings.
        """
        if mode not in ("all", "mlp", "attn"):
            raise InputError(f"mode is {mode!r}; it must be 'all', 'mlp' or 'attn'.")
        _, layer = self._up_to(layer, mlp_input)
        names = self._embeds() if incl_embeds else {}
        names |= self._written(layer, mlp_input, mode)
        components = self._none(pos_slice)
        if names:
            components = torch.stack([cut(self[n], pos_slice, -2) for n in names.values()])
        if apply_ln:
            components = self.apply_ln_to_stack(components, layer, mlp_input, pos_slice)
        return (components, list(names)) if return_labels else components

    def stack_head_results(
        self,
        layer: int | None = -1,
        return_labels: bool = False,
        incl_remainder: bool = False,
        pos_slice: SliceLike = None,
        apply_ln: bool = False,
    ) -> Labelled:
        """What every attention head of the blocks before `layer` wrote, labelled `L0H3`
        (`L0C3` for cross-attention); biases belong to no head.

        Args:
            incl_remainder: a last component, `remainder`: the rest of the stream.
        """
        _, layer = self._up_to(layer)
        components, labels = self._heads(layer, False, pos_slice)
        if incl_remainder:
            rest = cut(self._stream_into(layer), pos_slice, -2) - components.sum(0)
            components, labels = torch.cat([components, rest[None]]), [*labels, "remainder"]
        if apply_ln:
            components = self.apply_ln_to_stack(components, layer, pos_slice=pos_slice)
        return (components, labels) if return_labels else components

    def compute_head_results(self) -> None:
        """Nothing to do: what heads wrote (`hook_result`) is computed when it is read."""

    def get_neuron_results(
        self,
        layer: int,
        neuron_slice: SliceLike = None,
        pos_slice: SliceLike = None,
        project_output_onto: Tensor | None = None,
    ) -> Tensor:
        """What the neurons of one layer wrote, [batch, pos, neuron, d_model]; of any model.

        Args:
            neuron_slice: some neurons, in the form of `pos_slice`.
            project_output_onto: a direction [d_model] or several [d_model, output]: their dot
                products, in place of the last axis. The d_mlp * d_model numbers of a position
                are then never held.
        """
        stack = self._stack()
        if not -len(stack.blocks) <= layer < len(stack.blocks) or self.model.cfg.attn_only:
            raise InputError(f"There is no feed-forward layer {layer}, so it has no neurons.")
        layer %= len(stack.blocks)
        acts = cut(self[f"{stack.name}.{layer}.mlp.hook_post"], pos_slice, -2)
        acts = cut(acts, neuron_slice, -1)
        rows = cut(cast(Any, stack.blocks[layer].mlp).W_out.detach(), neuron_slice, 0)
        written = project(rows, project_output_onto)
        one = project_output_onto is not None and project_output_onto.ndim == 1
        return acts * written if one else acts[..., None] * written

    def stack_neuron_results(
        self,
        layer: int | None = -1,
        pos_slice: SliceLike = None,
        neuron_slice: SliceLike = None,
        return_labels: bool = False,
        incl_remainder: bool = False,
        apply_ln: bool = False,
        project_output_onto: Tensor | None = None,
        mlp_input: bool = False,
    ) -> Labelled:
        """What every neuron of the blocks before `layer` wrote, labelled `L0N3`.

        That is d_mlp * d_model numbers for every layer and position: give `project_output_onto`
        where a direction is what matters (see `get_neuron_results`).

        Args:
            neuron_slice: the same neurons of each layer; an int is a list of one.
            incl_remainder: a last component, `remainder`: the rest of the stream.
        """
        _, layer = self._up_to(layer, mlp_input)
        reading = self._reading(layer, mlp_input, pos_slice) if apply_ln else Reading()
        onto, squeeze = _as_columns(project_output_onto)
        components, labels = self._neurons(layer, pos_slice, neuron_slice, reading, onto)
        if incl_remainder:
            stream = cut(self._stream_into(layer, mlp_input), pos_slice, -2)
            rest = project(reading(stream), onto) - components.sum(0)
            components, labels = torch.cat([components, rest[None]]), [*labels, "remainder"]
        components = components[..., 0] if squeeze else components
        return (components, labels) if return_labels else components

    def get_full_resid_decomposition(
        self,
        layer: int | None = None,
        mlp_input: bool = False,
        expand_neurons: bool = True,
        apply_ln: bool = False,
        pos_slice: SliceLike = None,
        return_labels: bool = False,
        project_output_onto: Tensor | None = None,
    ) -> Labelled:
        """What every head, every neuron, each embedding and all biases wrote, in this order; the
        components sum to the stream.

        Args:
            expand_neurons: False for one component per feed-forward layer, its bias included.
            project_output_onto: see `get_neuron_results`.
        """
        _, layer = self._up_to(layer, mlp_input)
        reading = self._reading(layer, mlp_input, pos_slice) if apply_ln else Reading()
        onto, squeeze = _as_columns(project_output_onto)
        heads, labels = self._heads(layer, mlp_input, pos_slice)
        components = [project(reading(heads), onto)]
        if expand_neurons:
            neurons, neuron_labels = self._neurons(layer, pos_slice, None, reading, onto)
            components.append(neurons)
            labels += neuron_labels
        names = {} if expand_neurons else self._written(layer, mode="mlp")
        names |= self._embeds()
        rest = {label: cut(self[name], pos_slice, -2) for label, name in names.items()}
        bias = self.model.accumulated_bias(layer, mlp_input, include_mlp_biases=expand_neurons)
        rest["bias"] = bias.detach().expand(heads.shape[1:])
        components.append(project(reading(torch.stack(list(rest.values()))), onto))
        out = torch.cat(components)
        out = out[..., 0] if squeeze else out
        return (out, [*labels, *rest]) if return_labels else out

    # -- what reads the stream -------------------------------------------------------------------

    def apply_ln_to_stack(
        self,
        residual_stack: Tensor,
        layer: int | None = None,
        mlp_input: bool = False,
        pos_slice: SliceLike = None,
        batch_slice: SliceLike = None,
        has_batch_dim: bool = True,
        recompute_ln: bool = False,
    ) -> Tensor:
        """Components as the norm before `layer` (or the final norm) hands them on.

        Args:
            residual_stack: [component, batch, pos, d_model], already cut to `pos_slice`.
            batch_slice: some rows of the batch, of `residual_stack` too if `has_batch_dim`.
            recompute_ln: for the final norm: apply it to each component as if that were the whole
                stream, with its own scale, and the shift.
        """
        stack, layer = self._up_to(layer, mlp_input)
        if has_batch_dim and batch_slice is not None:
            residual_stack = cut(residual_stack, batch_slice, 1)
        if recompute_ln and layer == len(stack.blocks) and stack.ln_final is not None:
            with torch.set_grad_enabled(residual_stack.requires_grad):
                return cast(Tensor, stack.ln_final(residual_stack))
        return self._reading(layer, mlp_input, pos_slice, batch_slice)(residual_stack)

    def logit_attrs(
        self,
        residual_stack: Tensor,
        tokens: Any,
        incorrect_tokens: Any = None,
        pos_slice: SliceLike = None,
        batch_slice: SliceLike = None,
        has_batch_dim: bool = True,
    ) -> Tensor:
        """What each component adds to the logit of a token (direct logit attribution).

        Over the components of `decompose_resid()`, these and `logit_bias` sum to the logit
        (before a soft cap, where the model has one).

        Args:
            residual_stack: components of the stream that leaves the last block, without norm.
            tokens: one token as text or id; one per row [batch]; or [batch, pos].
            incorrect_tokens: of the same shape: attribute the difference of the two logits.
            pos_slice, batch_slice: see `apply_ln_to_stack`.

        Returns:
            [component, batch, pos]
        """
        read = self.apply_ln_to_stack(
            residual_stack, None, False, pos_slice, batch_slice, has_batch_dim
        )
        direction = self._direction(tokens, incorrect_tokens)
        keeps_batch = has_batch_dim and not isinstance(as_index(batch_slice), int)
        if (
            keeps_batch
            and read.ndim == 4
            and direction.ndim == 2
            and len(direction) == read.shape[1]
        ):
            direction = direction[:, None]  # one per row, for all its positions
        try:
            attributions: Tensor = torch.linalg.vecdot(read, direction.to(read.dtype))
        except RuntimeError as error:
            raise InputError(
                f"tokens of shape {list(direction.shape[:-1])} do not fit components of shape "
                f"{list(read.shape[:-1])}; give one token, one per row, or [batch, pos]."
            ) from error
        return attributions

    def logit_bias(self, tokens: Any, incorrect_tokens: Any = None) -> Tensor:
        """The part of a logit (or of the difference of two) that no component of the stream wrote:
        from the shift of the final norm and the bias of the unembedding. Shaped as `tokens`."""
        direction = self._direction(tokens, incorrect_tokens)
        bias = self._b_U(tokens)
        if incorrect_tokens is not None:
            bias = bias - self._b_U(incorrect_tokens)
        ln_final = self._up_to(None)[0].ln_final
        if ln_final is None or ln_final.bias is None:
            return bias
        return bias + direction @ ln_final.bias.detach()

    def _b_U(self, tokens: Any) -> Tensor:
        bias: Tensor = self.model.b_U.detach()
        return bias[self.model.to_single_token(tokens) if isinstance(tokens, str) else tokens]

    def _direction(self, tokens: Any, incorrect_tokens: Any) -> Tensor:
        """[d_model] or [*tokens, d_model]"""
        if self.model.cfg.head != "lm":
            raise UnsupportedModelError(
                f"The head {self.model.cfg.head!r} does not read logits off the stream by one "
                "linear map, so they are no sum over its components. Use `interp.attribute`."
            )
        direction: Tensor = self.model.tokens_to_residual_directions(tokens).detach()
        if incorrect_tokens is None:
            return direction
        other: Tensor = self.model.tokens_to_residual_directions(incorrect_tokens).detach()
        if other.shape != direction.shape:
            raise InputError(
                f"tokens and incorrect_tokens have the shapes {list(direction.shape[:-1])} and "
                f"{list(other.shape[:-1])}; they must be the same."
            )
        return direction - other


def _as_columns(onto: Tensor | None) -> tuple[Tensor | None, bool]:
    """Directions as columns [d_model, output], and whether a single one was given without axis."""
    if onto is None or onto.ndim == 2:
        return onto, False
    return onto[:, None], True
