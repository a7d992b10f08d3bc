"""The logit lens (nostalgebraist 2020): each layer's stream, read as if it were the last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from interp.errors import InputError, UnsupportedModelError

if TYPE_CHECKING:
    import pandas as pd


def logit_lens(model: Any, cache: Any, tokens: Tensor | None = None) -> pd.DataFrame:
    """What a model would predict if it stopped after each layer.

    The stream that enters block 0 is layer 0, that which leaves the last is layer n_layers; each
    goes through the final norm and the unembedding, so that the last layer is the model's own
    prediction.

    Args:
        cache: of a run on one text (`run_with_cache`).
        tokens: ids [1, pos] or [pos], for a cache that does not know them.

    Returns:
        A row per layer and position: layer, position, token_id, token (of the input), top_id,
        top_token, probability (of the top token), rank (of the final prediction, 1 is first),
        entropy (nats).

    Raises:
        UnsupportedModelError: the model has no output over a vocabulary.
    """
    import pandas as pd

    if not getattr(model.cfg, "has_vocabulary_head", True):
        raise UnsupportedModelError(
            "The logit lens reads a stream as tokens; this model's head does not predict tokens."
        )
    if tokens is None:
        tokens = _tokens_of(model, cache)
    ids = torch.as_tensor(tokens).reshape(-1)
    frames = []
    final: Tensor | None = None
    with torch.no_grad():
        for layer in reversed(range(model.cfg.n_layers + 1)):
            logits = _read(model, cache, layer).float()
            log_p = logits.log_softmax(-1)
            top = logits.argmax(-1)
            final = top if final is None else final
            rank = (logits > logits.gather(-1, final[:, None])).sum(-1) + 1
            frames.append(
                {
                    "layer": layer,
                    "position": range(len(ids)),
                    "token_id": ids.tolist(),
                    "top_id": top.tolist(),
                    "probability": log_p.gather(-1, top[:, None])[:, 0].exp().tolist(),
                    "rank": rank.tolist(),
                    "entropy": (-(log_p.exp() * log_p).sum(-1)).tolist(),
                }
            )
    frame = pd.concat([pd.DataFrame(f) for f in reversed(frames)], ignore_index=True)
    for column, text in (("token_id", "token"), ("top_id", "top_token")):
        frame[text] = _texts(model, frame[column].tolist())
    order = ["layer", "position", "token_id", "token", "top_id", "top_token"]
    return frame[[*order, "probability", "rank", "entropy"]]


def _tokens_of(model: Any, cache: Any) -> Tensor:
    replay = getattr(cache, "replay", None)
    tokens: Tensor | None = None if replay is None else replay.batch.of(model.last_stack)[0]
    if tokens is None:
        raise InputError("This cache does not know the tokens of its run; pass them as `tokens`.")
    if tokens.shape[0] != 1:
        raise InputError(f"The lens reads one text; this cache is of {tokens.shape[0]}.")
    return tokens


def _read(model: Any, cache: Any, layer: int) -> Tensor:
    """Logits [pos, d_vocab] of the stream that enters block `layer`."""
    last = layer == model.cfg.n_layers
    stream = cache["resid_post", layer - 1] if last else cache["resid_pre", layer]
    if stream.ndim == 2:
        stream = stream[None]
    finish = getattr(model, "finish", None)
    logits: Tensor = finish(stream) if finish else model.unembed(model.ln_final(stream))
    return logits[0]


def _texts(model: Any, ids: list[int]) -> list[str]:
    if getattr(model, "tokenizer", None) is None:
        return [str(i) for i in ids]
    known = {i: model.to_single_str_token(i) for i in set(ids)}
    return [known[i] for i in ids]
