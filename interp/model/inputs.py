"""What a forward pass is given, checked: the one place where bad input is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.compiler import is_compiling

from interp.errors import InputError

if TYPE_CHECKING:
    from interp.model.core import Transformer
    from interp.model.kv_cache import KeyValueCache


class Inputs(NamedTuple):
    """A checked batch.

    Attributes:
        tokens: [batch, pos]; of an encoder-decoder, the source.
        mask: [batch, pos], True for real tokens; None if all are.
        decoder_tokens, decoder_mask: the target side of an encoder-decoder.
        embedded: [batch, pos, d_model] in place of rows of the token table (source side).
        resid: [batch, pos, d_model], the stream to start a later block from.
        first: position of the first token, behind those in a key-value cache.
    """

    tokens: Tensor | None
    mask: Tensor | None = None
    token_type_ids: Tensor | None = None
    decoder_tokens: Tensor | None = None
    decoder_mask: Tensor | None = None
    embedded: Tensor | None = None
    resid: Tensor | None = None
    explicit_position_ids: Tensor | None = None
    first: int | Tensor = 0

    def of(self, stack: str) -> tuple[Tensor | None, Tensor | None]:
        """Tokens and mask of a stack."""
        if stack == "decoder":
            return self.decoder_tokens, self.decoder_mask
        return self.tokens, self.mask

    def position_ids(self, stack: str) -> Tensor:
        """[batch or 1, pos]: padding does not count, so a padded text keeps its positions."""
        if stack != "decoder" and self.explicit_position_ids is not None:
            return self.explicit_position_ids
        tokens, mask = self.of(stack)
        like = self.resid if self.resid is not None and stack != "encoder" else tokens
        if like is None:
            like = self.embedded
        assert like is not None
        first = self.first if stack != "encoder" else 0
        if mask is None:
            ids = torch.arange(like.shape[1], device=like.device).unsqueeze(0)
            return ids if isinstance(first, int) and first == 0 else ids + first
        return (mask.long().cumsum(1) - 1).clamp(min=0) + first


def read_inputs(
    model: Transformer,
    tokens: Tensor | str | list[str] | None,
    *,
    input_ids: Tensor | None = None,
    attention_mask: Tensor | None = None,
    token_type_ids: Tensor | None = None,
    position_ids: Tensor | None = None,
    inputs_embeds: Tensor | None = None,
    decoder_tokens: Tensor | str | list[str] | None = None,
    decoder_input_ids: Tensor | None = None,
    decoder_attention_mask: Tensor | None = None,
    prepend_bos: bool | None = None,
    padding_side: str | None = None,
    start_at_layer: int | None = None,
    past: KeyValueCache | None = None,
) -> Inputs:
    """Checks and completes the inputs of `forward`; texts become tokens here."""
    cfg = model.cfg
    tokens = input_ids if tokens is None else tokens
    decoder_tokens = decoder_input_ids if decoder_tokens is None else decoder_tokens
    decoder = cfg.shape == "encoder_decoder"
    if not decoder and (decoder_tokens is not None or decoder_attention_mask is not None):
        raise InputError(
            f"Only an encoder-decoder takes decoder tokens and their mask; this is a {cfg.shape}."
        )
    if isinstance(tokens, (str, list)):
        if attention_mask is not None:
            raise InputError(
                "The attention mask of texts is made here, from their lengths; give the tokens as "
                "ids to mask more of them."
            )
        tokens, attention_mask = model.to_tokens_and_mask(
            tokens, prepend_bos=prepend_bos, padding_side=padding_side
        )
    if isinstance(decoder_tokens, (str, list)):
        decoder_tokens, decoder_attention_mask = model.decoder_tokens_and_mask(decoder_tokens)
    first: int | Tensor = 0 if past is None else past.next_position()
    if start_at_layer is not None:
        resid = _stream(model, tokens, "start_at_layer")
        mask = _mask(attention_mask, resid)
        if decoder:
            raise InputError(
                "start_at_layer needs the encoder's output too, for an encoder-decoder: "
                "use `resume(cache, layer)`."
            )
        _check_positions(model, position_ids, resid)
        return Inputs(None, mask, resid=resid, explicit_position_ids=position_ids, first=first)
    used = 0 if past is None else past.length
    if inputs_embeds is None:
        ids = _tokens(model, tokens, "tokens")
    elif tokens is None:
        ids = _stream(model, inputs_embeds, "inputs_embeds")
    else:
        raise InputError("Both tokens and inputs_embeds are given; a forward reads one of them.")
    _check_length(model, ids.shape[1] + (0 if decoder else used))
    mask = _mask(attention_mask, ids)
    _check_segments(model, token_type_ids, ids)
    _check_positions(model, position_ids, ids)
    target, target_mask = None, None
    if decoder:
        target = _target(model, ids, decoder_tokens)
        encoded = past is not None and past.source is not None
        if not encoded and target.shape[0] != ids.shape[0]:
            raise InputError(
                f"decoder_tokens has {target.shape[0]} rows and the source {ids.shape[0]}; each "
                "target needs its source."
            )
        _check_length(model, target.shape[1] + used)
        target_mask = _mask(decoder_attention_mask, target)
    return Inputs(
        None if inputs_embeds is not None else ids,
        mask,
        token_type_ids,
        target,
        target_mask,
        embedded=inputs_embeds,
        explicit_position_ids=position_ids,
        first=first,
    )


def _tokens(model: Transformer, tokens: Any, what: str) -> Tensor:
    if not isinstance(tokens, Tensor):
        raise InputError(
            f"{what} is {type(tokens).__name__}; give ids as a tensor [batch, pos], or text."
        )
    ids: Tensor = tokens[None] if tokens.ndim == 1 else tokens
    if ids.ndim != 2 or ids.dtype not in (torch.int32, torch.int64):
        raise InputError(
            f"{what} has shape {list(ids.shape)} and dtype {ids.dtype}; "
            "it must be int64 (or int32) ids [batch, pos]."
        )
    if ids.numel() == 0:
        raise InputError(f"{what} is empty; a forward needs at least one token.")
    bad = _outside(ids, model.cfg.d_vocab)
    if bad is not None:
        raise InputError(
            f"{what} has the id {bad}; the vocabulary has the ids 0 to {model.cfg.d_vocab - 1}. "
            "Was the text encoded with another tokenizer?"
        )
    return ids


def _target(model: Transformer, source: Tensor, tokens: Any) -> Tensor:
    """The decoder's tokens; by default the start token alone."""
    if tokens is not None:
        return _tokens(model, tokens, "decoder_tokens")
    start = model.cfg.decoder_start_token_id
    if start is None:
        raise InputError(
            "An encoder-decoder needs decoder_tokens, and its configuration names no "
            "decoder_start_token_id to begin with."
        )
    return torch.full((source.shape[0], 1), start, dtype=torch.long, device=source.device)


def _stream(model: Transformer, resid: Any, what: str) -> Tensor:
    d_model = model.cfg.d_model
    fits = isinstance(resid, Tensor) and resid.ndim == 3 and resid.shape[-1] == d_model
    if not fits or not resid.is_floating_point() or resid.numel() == 0:
        found = list(resid.shape) if isinstance(resid, Tensor) else type(resid).__name__
        raise InputError(
            f"{what} takes a stream [batch, pos, {d_model}] in place of tokens, not {found}."
        )
    stream: Tensor = resid
    return stream


def _check_segments(model: Transformer, segments: Any, like: Tensor) -> None:
    n_segments = model.cfg.n_segments
    if segments is None:
        return
    if n_segments == 0:
        raise InputError("token_type_ids are given, but this model has no segment embedding.")
    if not isinstance(segments, Tensor) or segments.shape != like.shape[:2]:
        found = list(segments.shape) if isinstance(segments, Tensor) else type(segments).__name__
        raise InputError(f"token_type_ids has shape {found}; it needs {list(like.shape[:2])}.")
    _check_range("token_type_ids", segments, n_segments)


def _check_positions(model: Transformer, ids: Any, like: Tensor) -> None:
    if ids is None:
        return
    batch, pos = like.shape[:2]
    if not isinstance(ids, Tensor) or list(ids.shape) not in ([1, pos], [batch, pos]):
        found = list(ids.shape) if isinstance(ids, Tensor) else type(ids).__name__
        raise InputError(f"position_ids has shape {found}; it needs {[batch, pos]} or {[1, pos]}.")
    tabled = model.cfg.positional_embedding_type in ("standard", "sinusoidal")
    _check_range("position_ids", ids, model.cfg.n_ctx if tabled else None)


def _check_range(what: str, ids: Tensor, size: int | None) -> None:
    bad = _outside(ids, size)
    if bad is not None:
        last = "up" if size is None else f"to {size - 1}"
        raise InputError(f"{what} has {bad}; this model knows 0 {last}.")


def _outside(ids: Tensor, size: int | None) -> int | None:
    """One of the ids that is not in 0 to size - 1, if any is."""
    if _unseen(ids):
        return None
    bounds = ids.aminmax()
    low, high = int(bounds.min), int(bounds.max)
    if low < 0:
        return low
    return high if size is not None and high >= size else None


def _unseen(values: Tensor) -> bool:
    """Whether values cannot be looked at: while compiling, under a transform of `torch.func`, or on
    a GPU, where a look would wait for the device at every step; there the embedding's own
    device-side assertion remains."""
    return is_compiling() or not values.is_cpu or is_functorch_wrapped_tensor(values)


def _mask(mask: Any, like: Tensor) -> Tensor | None:
    if mask is None:
        return None
    expected = list(like.shape[:2])
    if not isinstance(mask, Tensor) or list(mask.shape) != expected:
        found = list(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
        raise InputError(
            f"The attention mask has shape {found}; the tokens need {expected}, "
            "1 for real tokens and 0 for padding."
        )
    real: Tensor = mask.bool()
    if not _unseen(real) and not real.any(1).all():
        raise InputError("The attention mask hides a whole row; each text needs a real token.")
    return real


def _check_length(model: Transformer, length: int) -> None:
    if length > model.cfg.n_ctx:
        raise InputError(
            f"The text has {length} tokens; the model's context holds {model.cfg.n_ctx}. "
            "Shorten it, or pass `truncate=True` to `to_tokens`."
        )
