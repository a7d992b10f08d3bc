"""The logit lens on what each component writes: which tokens a layer or a head speaks for.

The stream is a sum, and so are the logits once the scale of the final norm is held at the value it
had in the run (see `direct_attribution`); each summand is read here as a whole row of logits. A
shift common to all tokens changes no prediction, so rows are centred: their mean is 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor

from interp.errors import InputError, UnsupportedModelError
from interp.explain.inside.labels import named, when
from interp.explain.inside.readout import linear_head
from interp.explain.lens import read_positions, token_texts
from interp.model.core import Transformer

if TYPE_CHECKING:
    import pandas as pd

By = Literal["layer", "head"]

_ROWS = 256  # of logits held at a time


def component_lens(
    model: Any, cache: Any, tokens: Tensor | None = None, *, by: By = "layer"
) -> pd.DataFrame:
    """What each component's own writing promotes, at every position.

    Args:
        cache: of a run on one text (`run_with_cache`).
        tokens: ids [1, pos] or [pos], for a cache that does not know them.
        by: `layer`: what each attention and each feed-forward layer wrote; `head`: heads one by
            one, the biases of attention apart.

    Returns:
        A row per component and position, in the order of writing; biases come last. Columns:
        component, part, layer, head, position, token_id, token (of the input), top_id, top_token
        (that it raises most), top_logit (by how much), low_id, low_token, low_logit (the same for
        the token that it lowers most), logit (its share of the final prediction's), rank (of the
        final prediction in its row, 1 is first). The shares of a position add up to the
        prediction's logit above the mean of all, before a soft cap. Padding has no rows.

    Raises:
        InputError: the cache is of several texts, or of other positions than `tokens`.
        CacheError: the weights have changed since.
        UnsupportedModelError: a post-norm model, a head that is not linear or not over a
            vocabulary, a model of another library.
    """
    import pandas as pd

    if by not in get_args(By):
        raise InputError(f"by is {by!r}; it must be one of {', '.join(get_args(By))}.")
    if not isinstance(model, Transformer) or not model.cfg.has_vocabulary_head:
        raise UnsupportedModelError(
            "This lens reads what components write as tokens; that takes a HookedTransformer whose "
            "head predicts tokens. The logit lens reads the stream of other models."
        )
    ids, real = read_positions(model, cache, tokens)
    with torch.no_grad():
        written, labels = _written(cache, by, len(ids))
        weight, offsets = _centred_head(model)
        rows = written[:, real].to(weight).flatten(0, 1)
        of_bias = torch.arange(len(rows)) >= len(rows) - len(real)  # the last component's rows
        final = (written[:, real].sum(0).to(weight) @ weight.T + offsets).argmax(-1)
        final = final.repeat(len(labels))
        found: dict[str, list[float]] = {}
        for part in torch.arange(len(rows)).split(_ROWS):
            logits = rows[part] @ weight.T
            logits[of_bias[part]] += offsets
            for name, values in _described(logits, final[part]).items():
                found.setdefault(name, []).extend(values.tolist())
    frame = pd.DataFrame([named(label) for label in labels for _ in real])
    frame = frame.drop(columns=["neuron", "source"])
    frame = frame.astype({"layer": "Int64", "head": "Int64"})
    frame["position"] = real.tolist() * len(labels)
    frame["token_id"] = ids[real].tolist() * len(labels)
    frame = frame.assign(**found)
    for name, text in (("token_id", "token"), ("top_id", "top_token"), ("low_id", "low_token")):
        place = list(frame).index(name) + 1
        frame.insert(place, text, token_texts(model, frame[name].tolist()))
    return frame


def _written(cache: Any, by: By, n_pos: int) -> tuple[Tensor, list[str]]:
    """What each component wrote, as the final norm hands it on, [component, pos, d_model], in the
    order of writing, and labels; the last is `bias`."""
    if by == "head":
        written, labels = cache.get_full_resid_decomposition(
            expand_neurons=False, apply_ln=True, return_labels=True
        )
    else:
        written, labels = cache.decompose_resid(apply_ln=True, return_labels=True)
        written = torch.cat([written, torch.zeros_like(written[:1])])
        labels = [*labels, "bias"]
    written = written[:, None] if written.ndim == 3 else written
    if written.shape[1:3] != (1, n_pos):
        raise InputError(
            f"The lens reads one text; this cache holds {list(written.shape[1:3])} texts and "
            f"positions, and the tokens are {n_pos}."
        )
    order = sorted(range(len(labels)), key=lambda i: when(named(labels[i])))
    return written[order, 0], [labels[i] for i in order]


def _centred_head(model: Transformer) -> tuple[Tensor, Tensor]:
    """The map from the normalised stream to centred logits, [output, d_model], and what it adds
    by itself, [output]."""
    weight, offsets = linear_head(model)
    weight, offsets = weight - weight.mean(0), offsets - offsets.mean()
    ln_final = model.stack(model.last_stack).ln_final
    if ln_final is not None and ln_final.bias is not None:
        offsets = offsets + weight @ ln_final.bias.detach()
    return weight, offsets


def _described(logits: Tensor, final: Tensor) -> dict[str, Tensor]:
    """The columns of rows of logits [row, output] and final predictions [row]."""
    top, low = logits.max(-1), logits.min(-1)
    own = logits.gather(-1, final[:, None])
    return {
        "top_id": top.indices,
        "top_logit": top.values,
        "low_id": low.indices,
        "low_logit": low.values,
        "logit": own[:, 0],
        "rank": (logits > own).sum(-1) + 1,
    }
