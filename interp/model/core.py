"""The forward pass: decoder, encoder or encoder-decoder, one class."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from interp.errors import InputError
from interp.model.ambient import ambient_tap, refuse_to_compile
from interp.model.block import Block
from interp.model.config import TransformerConfig
from interp.model.embed import Input
from interp.model.heads import Output
from interp.model.hook_points import HookTable
from interp.model.init import init_weights
from interp.model.inputs import Inputs, read_inputs
from interp.model.kv_cache import KeyValueCache
from interp.model.loss import next_token_loss
from interp.model.norm import Norm
from interp.model.partial import computed_points, refuse_unheard
from interp.model.positions import Alibi, RelativeBias, Rotary
from interp.model.stack import Stack, Trace
from interp.model.tap import NO_TAP, Tap
from interp.model.text import Text
from interp.tokenizer import Tokenizer


class Transformer(Text):
    """A Transformer of the three shapes, from tokens (or text) to logits.

    What else a model can do stands on this class: see `HookedTransformer`.

    Args:
        cfg: shape and variants.
        tokenizer: for text in and out; not needed for tokens.
        seed: of the initial weights, the only thing they depend on.
    """

    def __init__(
        self, cfg: TransformerConfig, tokenizer: Tokenizer | None = None, *, seed: int = 0
    ):
        super().__init__()
        self.cfg = cfg
        self.tokenizer = tokenizer
        self.embed = nn.Embedding(cfg.d_vocab, cfg.d_model)
        self.input = Input(cfg)
        if cfg.shape == "encoder_decoder":
            self.encoder = nn.ModuleList(Block(cfg, i) for i in range(cfg.n_layers))
            self.decoder = nn.ModuleList(
                Block(cfg, i, cross=True) for i in range(cfg.n_decoder_layers)
            )
            self.decoder_input = Input(cfg)
            self.encoder_final_ln = Norm.from_config(cfg) if cfg.final_norm else None
            self.decoder_final_ln = Norm.from_config(cfg) if cfg.final_norm else None
        else:
            self.blocks = nn.ModuleList(Block(cfg, i) for i in range(cfg.n_layers))
            self.ln_final = Norm.from_config(cfg) if cfg.final_norm else None
        self._add_positions(cfg)
        self.output = Output(cfg)
        if cfg.tie_word_embeddings and self.output.unembed is not None:
            self.output.unembed.weight = self.embed.weight
        if self.embed.weight.device.type != "meta":
            init_weights(self, cfg, seed)
        self.to(dtype=cfg.dtype)

    def _add_positions(self, cfg: TransformerConfig) -> None:
        kind = cfg.positional_embedding_type
        self.rotary = Rotary(cfg) if kind == "rotary" else None
        self.alibi = Alibi(cfg) if kind == "alibi" else None
        self.relative_bias: nn.ModuleDict | None = None
        if kind == "relative_positional_bias":
            self.relative_bias = nn.ModuleDict(
                {
                    name: RelativeBias(cfg, bidirectional=not causal)
                    for name, causal in self.stack_names().items()
                }
            )

    def stack_names(self) -> dict[str, bool]:
        """Name of each stack -> whether it is causal."""
        if self.cfg.shape == "encoder_decoder":
            return {"encoder": False, "decoder": True}
        return {"blocks": self.cfg.shape == "decoder"}

    def stack(self, name: str) -> Stack:
        """The stack `blocks`, `encoder` or `decoder`."""
        pair = self.cfg.shape == "encoder_decoder"
        second = name == "decoder"
        bias: Any = self.alibi
        if self.relative_bias is not None:
            bias = self.relative_bias[name]
        return Stack(
            cfg=self.cfg,
            name=name,
            norm_name=f"{name}_final_ln" if pair else "ln_final",
            input_prefix="decoder" if second else "",
            causal=second or self.cfg.shape == "decoder",
            embed=self.embed,
            input=self.decoder_input if second else self.input,
            blocks=cast(Any, getattr(self, name)),
            ln_final=getattr(self, f"{name}_final_ln") if pair else self.ln_final,
            rotary=self.rotary,
            bias=bias,
        )

    @property
    def last_stack(self) -> str:
        """The stack whose output becomes the logits."""
        return "decoder" if self.cfg.shape == "encoder_decoder" else "blocks"

    # -- the forward pass ------------------------------------------------------------------------

    def forward(
        self,
        tokens: Tensor | str | list[str] | None = None,
        *,
        tap: Tap = NO_TAP,
        return_type: str | None = "logits",
        loss_per_token: bool = False,
        past_kv_cache: KeyValueCache | None = None,
        start_at_layer: int | None = None,
        stop_at_layer: int | None = None,
        **inputs: Any,
    ) -> Any:
        """Logits (and loss) of a batch.

        Args:
            tokens: ids [batch, pos] (or [pos]), or text, or several texts (padded and masked).
            tap: what observes or edits this forward.
            return_type: `logits`, `loss` (mean over the next tokens), `both` or None.
            loss_per_token: leave the loss as [batch, pos - 1].
            past_kv_cache: keys and values of earlier positions; `tokens` are the new ones.
            start_at_layer: `tokens` is the stream that enters this block, [batch, pos, d_model].
            stop_at_layer: return the stream that enters this block instead; negative counts from
                the end. For an encoder-decoder both count decoder blocks. A tap or hook that asks
                by name for a point that is then left out is refused; a predicate keeps to the
                points that are computed.
            **inputs: `attention_mask` [batch, pos] (1 for real tokens), `token_type_ids`,
                `position_ids`, `decoder_tokens` and `decoder_attention_mask` for an
                encoder-decoder, `prepend_bos` and `padding_side` for text; `input_ids` and
                `decoder_input_ids` are other names of the tokens.

        Returns:
            What `return_type` says. The shape of logits depends on the head, see `Output`.

        Raises:
            InputError: ids out of range, a text too long or empty, a mask of another shape.
            HookError: the tap needs a point that this forward leaves out.
            Finished: the tap has ended the forward.
        """
        if torch.compiler.is_compiling():
            refuse_to_compile()
        else:
            tap = ambient_tap(self, tap)
        batch = read_inputs(
            self, tokens, start_at_layer=start_at_layer, past=past_kv_cache, **inputs
        )
        refuse_unheard(self, tap, start_at_layer, stop_at_layer)
        out = self.run(
            batch, tap, past=past_kv_cache, start=start_at_layer or 0, stop=stop_at_layer
        )
        if stop_at_layer is not None:
            return out
        return self.result(out, batch, return_type, loss_per_token=loss_per_token)

    def result(
        self, logits: Tensor, batch: Inputs, return_type: str | None, *, loss_per_token: bool
    ) -> Any:
        """Logits in the form that `return_type` asks for, see `forward`."""
        if return_type == "logits":
            return logits
        if return_type is None:
            return None
        if return_type not in ("loss", "both"):
            raise InputError(
                f"return_type is {return_type!r}; it must be 'logits', 'loss', 'both' or None."
            )
        loss = next_token_loss(self.cfg, logits, batch, per_token=loss_per_token)
        return loss if return_type == "loss" else (logits, loss)

    def run(
        self,
        batch: Inputs,
        tap: Tap = NO_TAP,
        *,
        past: KeyValueCache | None = None,
        start: int = 0,
        stop: int | None = None,
        keep: dict[str, Trace] | None = None,
    ) -> Tensor:
        """The forward pass on checked inputs. `keep` receives a trace of each stack."""
        memory, memory_keys = None, None
        if self.cfg.shape == "encoder_decoder":
            memory, memory_keys = self._encode(batch, tap, past, keep)
        name = self.last_stack
        stack = self.stack(name)
        tokens, mask = batch.of(name)
        position_ids = batch.position_ids(name)
        resid = batch.resid
        if resid is None:
            embedded = batch.embedded if name != "decoder" else None
            resid = stack.begin(tokens, position_ids, batch.token_type_ids, tap, embedded)
        n_key, keys = position_ids.shape[1], mask
        if past is not None:
            keys = past.advance(n_key, mask, resid.shape[0])
            n_key = past.length
        around = stack.surroundings(position_ids, n_key, keys, resid.dtype, memory, memory_keys)
        trace = None
        if keep is not None:
            trace = keep[name] = Trace(around.detach(), position_ids, keys)
        resid = stack.run(
            resid,
            around,
            tap,
            start=start,
            stop=stop,
            memories=None if past is None else past.layers,
            source_memories=None if past is None else past.cross_layers,
            trace=trace,
        )
        return resid if stop is not None else self._finish(stack, resid, mask, tap)

    def finish(self, resid: Tensor, mask: Tensor | None = None, tap: Tap = NO_TAP) -> Tensor:
        """From the stream that leaves the last block to the logits."""
        return self._finish(self.stack(self.last_stack), resid, mask, tap)

    def _finish(self, stack: Stack, resid: Tensor, mask: Tensor | None, tap: Tap) -> Tensor:
        out: Tensor = self.output(stack.finish(resid, tap), mask, tap)
        return out

    def _encode(
        self,
        batch: Inputs,
        tap: Tap,
        past: KeyValueCache | None,
        keep: dict[str, Trace] | None,
    ) -> tuple[Tensor, Tensor | None]:
        """The encoder's output [batch, source_pos, d_model] and which of it is real."""
        if past is not None and past.source is not None:
            return past.source, past.source_mask
        stack = self.stack("encoder")
        tokens, keys = batch.of("encoder")
        position_ids = batch.position_ids("encoder")
        resid = stack.begin(tokens, position_ids, None, tap, batch.embedded)
        around = stack.surroundings(position_ids, position_ids.shape[1], keys, resid.dtype)
        trace = None
        if keep is not None:
            trace = keep["encoder"] = Trace(around, position_ids, keys)
        memory = stack.finish(stack.run(resid, around, tap, trace=trace), tap)
        if past is not None:
            past.source, past.source_mask = memory, keys
        return memory, keys

    # -- what the model is -----------------------------------------------------------------------

    @cached_property
    def hook_points(self) -> HookTable:
        """Every point of this model in firing order: name -> shape, when it fires, what an edit
        does. Generated from the components."""
        return computed_points(self)

    @property
    def hook_dict(self) -> HookTable:
        """TransformerLens's name for `hook_points`."""
        return self.hook_points

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Keeps `cfg.device` and `cfg.dtype` true when the model moves."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        weight = self.embed.weight
        if (self.cfg.dtype, self.cfg.device) != (weight.dtype, str(weight.device)):
            self.cfg = self.cfg.replace(dtype=weight.dtype, device=str(weight.device))
        return self
