"""What an explainer or a probe may ask of a model, whoever made the model.

`HookedTransformer` and `BridgedTransformer` (a model opened through TransformerLens's bridge) both
satisfy it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from torch import Tensor

from interp.model.hook_points import HookPoint
from interp.model.hooked import HookList
from interp.tokenizer import Tokenizer


class LanguageModel(Protocol):
    """Tokens in, logits and named activations out.

    Attributes:
        tokenizer: None if the model takes token ids only.
    """

    tokenizer: Tokenizer | None

    @property
    def cfg(self) -> Any:
        """Sizes and variants under the names of `TransformerConfig`: at least `d_model`,
        `n_layers`, `n_heads`, `d_head`, `d_vocab`, `n_ctx`, `shape`, `head`,
        `has_vocabulary_head` and the special tokens."""
        ...

    @property
    def hook_points(self) -> Mapping[str, HookPoint]:
        """The activations that can be read, in firing order; what an edit of each does."""
        ...

    @property
    def W_E(self) -> Tensor:
        """[d_vocab, d_model]"""
        ...

    @property
    def W_U(self) -> Tensor:
        """[d_model, d_vocab_out], of models with a head over the vocabulary."""
        ...

    def __call__(self, *args: Any, **inputs: Any) -> Any:
        """Logits of tokens [batch, pos] or of text; `attention_mask` [batch, pos], `return_type`
        (`logits`, `loss`, `both`, None)."""
        ...

    def run_with_cache(self, *args: Any, **options: Any) -> tuple[Any, Any]:
        """What a call returns (None with a `names_filter`, unless `return_type` is given), and the
        activations as a mapping."""
        ...

    def run_with_hooks(
        self, *args: Any, fwd_hooks: HookList = (), bwd_hooks: HookList = (), **inputs: Any
    ) -> Any:
        """A call with functions `f(tensor, hook=point)` on named activations or gradients."""
        ...

    def hooks(
        self, fwd_hooks: HookList = (), bwd_hooks: HookList = ()
    ) -> AbstractContextManager[Any]:
        """The same for every call inside the context."""
        ...

    def to_tokens(self, input: str | list[str]) -> Tensor:
        """Token ids [batch, pos] of one text or several."""
        ...

    def to_str_tokens(self, input: Any) -> list[Any]:
        """The text of each token."""
        ...

    def to_string(self, tokens: Any) -> Any:
        """The text of ids [pos], or of each row of [batch, pos]."""
        ...

    def to_single_token(self, text: str) -> int:
        """The id of a text that is one token."""
        ...
