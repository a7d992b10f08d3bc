"""The parameters under TransformerLens's names and shapes, and directions made of them.

All but the stacks over layers are views: writing into one writes into the model.
"""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor

from interp.errors import ConfigError, InputError
from interp.model.core import Transformer
from interp.model.fold import fold
from interp.model.heads import Unembed


class Weights(Transformer):
    """Views of the weights; stacks are over the blocks of the last stack."""

    @property
    def unembed(self) -> Unembed:
        """The map from the final stream to logits.

        Raises:
            ConfigError: the model's head is not one over the vocabulary.
        """
        if self.output.unembed is None:
            raise ConfigError(f"A model with the head {self.cfg.head!r} has no unembedding.")
        return self.output.unembed

    @property
    def W_E(self) -> Tensor:
        """[d_vocab, d_model]"""
        return self.embed.weight

    @property
    def W_U(self) -> Tensor:
        """[d_model, d_vocab_out]"""
        return self.unembed.W_U

    @property
    def b_U(self) -> Tensor:
        """[d_vocab_out]"""
        return self.unembed.b_U

    @property
    def W_pos(self) -> Tensor:
        """[n_ctx, d_model]

        Raises:
            ConfigError: positions are not a table in this model.
        """
        if self.input.positions is None:
            kind = self.cfg.positional_embedding_type
            raise ConfigError(f"Positions of the type {kind!r} are no table, so there is no W_pos.")
        return self.input.positions.weight

    def _stacked(self, part: str, name: str) -> Tensor:
        parts = [getattr(block, part) for block in self.stack(self.last_stack).blocks]
        if not parts or None in parts:
            raise ConfigError(f"This model has no blocks with a part {part!r}, so no {name}.")
        return torch.stack([getattr(one, name) for one in parts])

    @property
    def W_Q(self) -> Tensor:
        """[layer, head, d_model, d_head]"""
        return self._stacked("attn", "W_Q")

    @property
    def W_K(self) -> Tensor:
        """[layer, kv_head, d_model, d_head]"""
        return self._stacked("attn", "W_K")

    @property
    def W_V(self) -> Tensor:
        """[layer, kv_head, d_model, d_head]"""
        return self._stacked("attn", "W_V")

    @property
    def W_O(self) -> Tensor:
        """[layer, head, d_head, d_model]"""
        return self._stacked("attn", "W_O")

    @property
    def b_Q(self) -> Tensor:
        """[layer, head, d_head]"""
        return self._stacked("attn", "b_Q")

    @property
    def b_K(self) -> Tensor:
        """[layer, kv_head, d_head]"""
        return self._stacked("attn", "b_K")

    @property
    def b_V(self) -> Tensor:
        """[layer, kv_head, d_head]"""
        return self._stacked("attn", "b_V")

    @property
    def b_O(self) -> Tensor:
        """[layer, d_model]"""
        return self._stacked("attn", "b_O")

    @property
    def W_in(self) -> Tensor:
        """[layer, d_model, d_mlp]"""
        return self._stacked("mlp", "W_in")

    @property
    def W_out(self) -> Tensor:
        """[layer, d_mlp, d_model]"""
        return self._stacked("mlp", "W_out")

    @property
    def b_in(self) -> Tensor:
        """[layer, d_mlp]"""
        return self._stacked("mlp", "b_in")

    @property
    def b_out(self) -> Tensor:
        """[layer, d_model]"""
        return self._stacked("mlp", "b_out")

    @property
    def QK(self) -> Any:
        """W_Q W_K^T of every head, as a factored matrix [layer, head, d_model, d_model]."""
        return self._factored(self.W_Q, self.W_K.transpose(-2, -1))

    @property
    def OV(self) -> Any:
        """W_V W_O of every head, as a factored matrix [layer, head, d_model, d_model]."""
        return self._factored(self.W_V, self.W_O)

    def _factored(self, left: Tensor, right: Tensor) -> Any:
        from transformer_lens import FactoredMatrix

        n = self.cfg.n_heads // self.cfg.n_key_value_heads
        if left.shape[1] != right.shape[1]:  # grouped: each key/value head serves n queries
            if left.shape[1] < right.shape[1]:
                left = left.repeat_interleave(n, 1)
            else:
                right = right.repeat_interleave(n, 1)
        return FactoredMatrix(left, right)

    def tokens_to_residual_directions(self, tokens: Any) -> Tensor:
        """The directions of the final stream that raise the logits of tokens, [*tokens, d_model].

        Args:
            tokens: one token as text, an id, or a tensor of ids.
        """
        if isinstance(tokens, str):
            tokens = self.to_single_token(tokens)
        ids = torch.as_tensor(tokens, device=self.embed.weight.device)
        if ids.is_floating_point():
            raise InputError(f"Tokens are whole numbers, not {ids.dtype}.")
        if ids.numel() == 1:
            ids = ids.reshape(())  # as in TransformerLens: a batch of one token is one token
        size = self.cfg.d_vocab_out
        if ((ids < 0) | (ids >= size)).any():
            raise InputError(f"{tokens!r} are no ids of this vocabulary, 0 to {size - 1}.")
        return self.W_U.t()[ids]

    def accumulated_bias(
        self,
        layer: int,
        mlp_input: bool = False,
        include_mlp_biases: bool = True,
    ) -> Tensor:
        """The biases that the blocks before `layer` have added to the stream, [d_model].

        Args:
            mlp_input: also that of the attention of `layer` itself.
            include_mlp_biases: False for those of the attention alone.
        """
        bias = torch.zeros_like(self.embed.weight[0])
        blocks: Any = self.stack(self.last_stack).blocks
        if mlp_input and layer >= len(blocks):
            raise InputError(f"There is no block {layer} whose feed-forward layer could read.")
        for i, block in enumerate(blocks[: layer + mlp_input]):
            # What a parallel block's feed-forward layer reads, its attention has not written to.
            if i < layer or not block.parallel:
                bias = bias + block.attn.b_O
                if block.cross_attn is not None:
                    bias = bias + block.cross_attn.b_O
            if i < layer and include_mlp_biases and block.mlp is not None:
                bias = bias + block.mlp.b_out
        return bias

    def folded(self, **steps: bool) -> Self:
        """A new, equal model whose norms are folded and whose weights are centred; see
        `interp.model.fold.fold`, whose steps can be switched off."""
        return fold(self, **steps)
