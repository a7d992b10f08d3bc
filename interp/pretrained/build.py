"""A model built without weights, then filled: nothing is drawn, nothing is held twice."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from interp.errors import LoadError
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.pretrained.tables import Entry, Source, check, fill
from interp.tokenizer import Tokenizer

_SMALL = 1 << 22
"""Numbers that any configuration may ask for, whatever its weights."""
_WIDTHS = (
    *("d_model", "n_heads", "d_head", "n_key_value_heads", "d_mlp", "d_vocab", "d_vocab_out"),
    *("n_classes", "n_segments", "rotary_dim", "relative_attention_num_buckets"),
)

Table = Callable[[HookedTransformer], Sequence[Entry]]


def build(
    cfg: TransformerConfig,
    table: Table,
    source: Source,
    where: str,
    *,
    tokenizer: Tokenizer | None = None,
    device: torch.device | str | None = None,
    ignore: Callable[[str], bool] = lambda name: False,
) -> HookedTransformer:
    """The model of a configuration with the weights of a source, in evaluation mode.

    Args:
        table: which tensor is which parameter, given the model's shapes.
        where: what the source is, for messages.
        ignore: tensors of the source that may be left over.

    Raises:
        LoadError: the source does not fit; see `tables.check`. No model exists then.
    """
    _check_sizes(cfg, source, where)
    with torch.device("meta"), _Undrawn():
        model = HookedTransformer(cfg, tokenizer)
    entries = table(model)
    check(model, entries, source, where, ignore=ignore)
    # As `to_empty`, whose `empty_like` of a tensor on `meta` imports torch's symbolic shapes.
    target = torch.device(device or "cpu")
    model._apply(lambda x: torch.empty(x.shape, dtype=x.dtype, device=target))
    if cfg.tie_word_embeddings:  # the two were one tensor; leaving `meta` made them two
        model.unembed.weight = model.embed.weight
    fill(model, entries, source)
    return model.eval()


def _check_sizes(cfg: TransformerConfig, source: Source, where: str) -> None:
    """That the weights could be those of so large a model, before it is built.

    On `meta` parameters are for free, but modules take time and computed tables take memory.
    """
    shapes = [source.shape(name) for name in source.names()]
    stored = sum(math.prod(shape) for shape in shapes)
    has_table = cfg.positional_embedding_type in ("standard", "sinusoidal")
    table = cfg.n_ctx * cfg.d_model if has_table else 0
    blocks = cfg.n_layers + cfg.n_decoder_layers
    wide = {name: getattr(cfg, name) for name in _WIDTHS}
    widest = max(wide, key=lambda name: wide[name])
    for what, size, most in (
        ("blocks, each of several tensors", blocks, len(shapes)),
        (widest, wide[widest], max(stored, _SMALL)),
        ("numbers in its table of positions", table, max(stored, _SMALL)),
    ):
        if size > most:
            raise LoadError(
                f"The configuration of {where} asks for {size:,} {what}; its weights are "
                f"{stored:,} numbers in {len(shapes):,} tensors. Nothing was loaded; the "
                "two do not belong together."
            )


class _Undrawn(TorchFunctionMode):
    """Modules made inside do not draw their first weights.

    On `meta` there is nothing to draw, yet asking for it makes torch import its whole compiler:
    seconds, and a hundred megabytes that stay.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)
