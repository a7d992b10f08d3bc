"""Models that have no table here, through TransformerLens's `TransformerBridge`, behind the same
protocol as our own.

The bridge gives more names than it keeps promises for: of some architectures it shows an attention
pattern whose edit changes nothing, and an edit of `hook_resid_mid` misses the skip path. So a
bridged model is tried out when its points are first asked for (see `points`), and an edit that
would not do what its name says is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from interp.errors import ConfigError, HookError, InputError, LoadError, UnsupportedModelError
from interp.model.cache import ActivationCache, PosSlice, delivery
from interp.model.hook_points import HookPoint, HookTable, NamesFilter, select
from interp.model.hooked import HookList
from interp.model.tap import HookFunction
from interp.model.text import Text
from interp.pretrained.bridge_config import BridgedConfig
from interp.pretrained.bridge_points import READ_ONLY, bridge_name, points
from interp.tokenizer import Tokenizer


def is_bridge(what: Any) -> bool:
    """Whether an object is a `TransformerBridge`."""
    return any(
        kind.__name__ == "TransformerBridge" and kind.__module__.startswith("transformer_lens")
        for kind in type(what).__mro__
    )


def wrap(bridge: Any, tokenizer: Tokenizer | None = None) -> BridgedTransformer:
    """A `TransformerBridge` behind our protocol; its own tokenizer unless another is given."""
    if tokenizer is None and getattr(bridge, "tokenizer", None) is not None:
        tokenizer = Tokenizer.from_hf(bridge.tokenizer)
    return BridgedTransformer(bridge, tokenizer)


def open_bridge(
    what: Any,
    *,
    tokenizer: Tokenizer | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> BridgedTransformer:
    """A folder, or a copy of a model object, of the transformers library.

    Raises:
        UnsupportedModelError: the bridge has no adapter for it either.
        LoadError: the folder cannot be read.
    """
    model = _from_folder(what) if isinstance(what, Path) else copy.deepcopy(what)
    if dtype is not None:
        model.to(dtype=dtype)
    if device is not None:
        model.to(device=device)
    architecture = type(model).__name__
    from transformer_lens.factories.architecture_adapter_factory import SUPPORTED_ARCHITECTURES
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    if architecture not in SUPPORTED_ARCHITECTURES:
        raise UnsupportedModelError(
            f"{architecture} has no table here, and TransformerLens's bridge has no adapter for "
            "it: its activations have no names."
        )
    # With it the scores and the pattern exist; fused kernels never form them.
    model.set_attn_implementation("eager")
    try:
        bridge = build_bridge_from_module(model.eval(), architecture, hf_config=model.config)
    except Exception as error:  # adapters fail in their own ways on variants they do not know
        raise UnsupportedModelError(
            f"TransformerLens's bridge cannot open this {architecture}: {error}"
        ) from error
    return BridgedTransformer(bridge, tokenizer)


def _from_folder(folder: Path) -> Any:
    import transformers

    from interp.pretrained.huggingface import read_config

    config = read_config(folder)
    architecture = (config.architectures or ["?"])[0]
    kind = getattr(transformers, architecture, None)
    if kind is None:
        raise UnsupportedModelError(
            f"{folder} holds a {architecture}, a class that the installed transformers library "
            "does not have; code that comes with a checkpoint is never run."
        )
    try:
        model, info = kind.from_pretrained(
            str(folder), use_safetensors=True, output_loading_info=True
        )
    except Exception as error:
        raise LoadError(f"The transformers library cannot open {folder}: {error}") from error
    if info["missing_keys"]:  # which the library draws at random
        raise LoadError(
            f"{folder} lacks the tensor(s) {', '.join(sorted(info['missing_keys'])[:4])} of a "
            f"{architecture}; the weights and config.json do not belong together."
        )
    return model


class BridgedTransformer(Text):
    """A model behind TransformerLens's bridge, with the calls of `interp.model.protocol`.

    Attributes:
        bridge: the `TransformerBridge`, for what the protocol leaves out.
    """

    def __init__(self, bridge: Any, tokenizer: Tokenizer | None = None):
        super().__init__()
        self.bridge = bridge
        self.tokenizer = tokenizer
        self.cfg = cast(Any, BridgedConfig(bridge))

    @property
    def embed(self) -> nn.Embedding:  # type: ignore[override]
        """The token table, as the model itself has it."""
        table: nn.Embedding = self.bridge.original_model.get_input_embeddings()
        return table

    @cached_property
    def hook_points(self) -> HookTable:
        """The points of the bridge under their classic names, found by trying them out."""
        return points(self.bridge, self.cfg)

    # -- running ---------------------------------------------------------------------------------

    def forward(
        self,
        tokens: Tensor | str | list[str] | None = None,
        *,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_type: str | None = "logits",
        prepend_bos: bool | None = None,
        padding_side: str | None = None,
        **inputs: Any,
    ) -> Any:
        """Logits (and loss) of a batch; see `HookedTransformer.forward`."""
        tokens = input_ids if tokens is None else tokens
        if isinstance(tokens, str | list):
            tokens, attention_mask = self.to_tokens_and_mask(
                tokens, prepend_bos=prepend_bos, padding_side=padding_side
            )
        ids = self._checked(tokens, attention_mask)
        if return_type not in ("logits", "loss", "both", None):
            raise InputError(f"return_type is {return_type!r}; it must be logits, loss or both.")
        if attention_mask is not None:
            inputs["attention_mask"] = attention_mask.long()
        if "decoder_tokens" in inputs:
            inputs["decoder_input"] = inputs.pop("decoder_tokens")
        return self.bridge(ids, return_type=return_type, **inputs)

    def _checked(self, tokens: Any, mask: Tensor | None) -> Tensor:
        if not isinstance(tokens, Tensor) or tokens.is_floating_point():
            raise InputError("Give text, or token ids as a tensor [batch, pos].")
        ids: Tensor = tokens[None] if tokens.ndim == 1 else tokens
        if ids.ndim != 2 or ids.numel() == 0:
            raise InputError(f"tokens has shape {list(ids.shape)}; it must be [batch, pos].")
        low, high = (int(bound) for bound in ids.aminmax())
        if low < 0 or high >= self.cfg.d_vocab:
            raise InputError(
                f"tokens has the id {low if low < 0 else high}; the vocabulary has the ids 0 to "
                f"{self.cfg.d_vocab - 1}."
            )
        if ids.shape[1] > self.cfg.n_ctx:
            raise InputError(
                f"The text has {ids.shape[1]} tokens; the model's context holds {self.cfg.n_ctx}."
            )
        if mask is not None and mask.shape != ids.shape:
            raise InputError(
                f"The attention mask has shape {list(mask.shape)}; the tokens need "
                f"{list(ids.shape)}."
            )
        return ids.to(self.embed.weight.device)

    def run_with_cache(
        self,
        *args: Any,
        names_filter: NamesFilter = None,
        return_type: str | None = "default",
        incl_bwd: bool = False,
        pos_slice: PosSlice = None,
        device: torch.device | str | None = None,
        remove_batch_dim: bool = False,
        return_cache_object: bool = True,
        **inputs: Any,
    ) -> tuple[Any, Any]:
        """A forward pass and the activations in it; see `HookedTransformer.run_with_cache`.

        The activations are kept, not recomputed: without a filter this holds all of them.
        """
        if return_type == "default":
            return_type = "logits" if names_filter is None else None
        values: dict[str, Tensor] = {}

        def keep(value: Tensor, hook: HookPoint) -> None:
            values[hook.name] = value if incl_bwd else value.detach()

        names = select(self.hook_points, names_filter)
        with (
            torch.set_grad_enabled(incl_bwd or torch.is_grad_enabled()),
            self._observing(names, keep),
        ):
            out = self(*args, return_type=return_type, **inputs)
        if incl_bwd:
            out = _with_gradients(out, values)
        deliver = delivery(self.hook_points, pos_slice, device)
        if deliver is not None:
            values = {name: deliver(name, value) for name, value in values.items()}
        ordered = {n: values[n] for n in [*names, *(n + "_grad" for n in names)] if n in values}
        cache = ActivationCache(cast(Any, self), ordered)
        if remove_batch_dim:
            cache.remove_batch_dim()
        return out, cache if return_cache_object else dict(cache)

    def run_with_hooks(
        self, *args: Any, fwd_hooks: HookList = (), bwd_hooks: HookList = (), **inputs: Any
    ) -> Any:
        """A forward pass with functions on named activations; see
        `HookedTransformer.run_with_hooks`.

        Raises:
            HookError: a hook edits a point at which an edit would not do what the name says.
        """
        for accepted in ("reset_hooks_end", "clear_contexts"):  # nothing outlives a call here
            inputs.pop(accepted, None)
        with self.hooks(fwd_hooks, bwd_hooks):
            return self(*args, **inputs)

    @contextmanager
    def hooks(
        self, fwd_hooks: HookList = (), bwd_hooks: HookList = ()
    ) -> Generator[Self, None, None]:
        """All forwards inside the context run with these hooks. They are on the model itself, so
        another thread that uses it meets them too."""
        with ExitStack() as stack:
            for names, function in fwd_hooks:
                self._install(stack, names, _guarded(_function(names, function)))
            for names, function in bwd_hooks:
                self._install(stack, names, _on_gradient(_function(names, function)))
            yield self

    @contextmanager
    def _observing(self, names: Iterable[str], keep: HookFunction) -> Generator[None, None, None]:
        with ExitStack() as stack:
            self._install(stack, list(names), keep)
            yield

    def _install(self, stack: ExitStack, names: NamesFilter, function: HookFunction) -> None:
        table = self.hook_points
        for name in select(table, names):
            point = table[name]

            def call(value: Tensor, hook: Any, point: HookPoint = point) -> Tensor | None:
                out: Tensor | None = function(value, hook=point)
                return out

            stack.enter_context(self.bridge.hooks(fwd_hooks=[(bridge_name(name), call)]))

    # -- weights ---------------------------------------------------------------------------------

    @property
    def W_E(self) -> Tensor:
        """[d_vocab, d_model]"""
        return self.embed.weight

    @property
    def W_U(self) -> Tensor:
        """[d_model, d_vocab_out]

        Raises:
            ConfigError: the model has no head over the vocabulary.
        """
        try:
            weight: Tensor = self.bridge.W_U
        except Exception as error:  # the bridge answers a missing part in several ways
            raise ConfigError(f"The bridge finds no unembedding in this model: {error}") from error
        return weight

    def finish(self, resid: Tensor) -> Tensor:
        """From the stream that leaves the last block, [batch, pos, d_model], to logits."""
        out: Tensor = self.bridge.unembed(self.bridge.ln_final(resid))
        return out


def _function(names: NamesFilter, function: Any) -> HookFunction:
    if not callable(function):
        raise InputError(f"The hook on {names!r} is {function!r}; it must be a function.")
    return cast(HookFunction, function)


def _guarded(function: HookFunction) -> HookFunction:
    """Refuses an edit, by returning or in place, where it would not do what its name says."""

    def call(value: Tensor, hook: HookPoint) -> Tensor | None:
        before = value._version
        out: Tensor | None = function(value, hook=hook)
        edited = (out is not None and out is not value) or value._version != before
        if edited and hook.edit.startswith(READ_ONLY):
            raise HookError(
                f"{hook.name} can be read but not edited through the bridge: {hook.edit}."
            )
        return out

    return call


def _on_gradient(function: HookFunction) -> HookFunction:
    def call(value: Tensor, hook: HookPoint) -> None:
        if value.requires_grad:
            value.register_hook(lambda gradient: function(gradient, hook=hook))

    return call


def _with_gradients(out: Any, values: dict[str, Tensor]) -> Tensor:
    """Adds the gradients of a scalar to the activations, as `NAME_grad`."""
    if not isinstance(out, Tensor) or out.numel() != 1:
        raise InputError(
            "incl_bwd back-propagates what the forward returns, which must be one number: "
            'pass return_type="loss".'
        )
    wanted = {name: value for name, value in values.items() if value.requires_grad}
    gradients = torch.autograd.grad(out, list(wanted.values()), allow_unused=True)
    values.update({name: value.detach() for name, value in values.items()})
    for (name, value), gradient in zip(wanted.items(), gradients, strict=True):
        values[f"{name}_grad"] = torch.zeros_like(value) if gradient is None else gradient
    return out.detach()
