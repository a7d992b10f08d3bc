"""A model built without weights, then filled: nothing is drawn, nothing is held twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.pretrained.tables import Entry, Source, check, fill
from interp.tokenizer import Tokenizer

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
