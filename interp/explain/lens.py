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
    prediction. Of an encoder-decoder, the decoder is read.

    Args:
        cache: of a run on one text (`run_with_cache`).
        tokens: ids [1, pos] or [pos], for a cache that does not know them.

    Returns:
        A row per layer and position: layer, position, token_id, token (of the input), top_id,
        top_token, probability (of the top token), rank (of the final prediction, 1 is first),
        entropy (nats). Padding has no rows.

    Raises:
        InputError: the cache is of several texts, or of other positions than `tokens`.
        CacheError: the weights have changed since.
        UnsupportedModelError: the model has no output over a vocabulary.
    """
    import pandas as pd

    if not model.cfg.has_vocabulary_head:
        raise UnsupportedModelError(
            "The logit lens reads a stream as tokens; this model's head does not predict tokens."
        )
    ids, real = read_positions(model, cache, tokens)
    streams = _streams(model, cache)
    if any(stream.shape[:2] != (1, len(ids)) for stream in streams):
        raise InputError(
            f"The lens reads one text; this cache holds {list(streams[0].shape[:2])} texts and "
            f"positions, and the tokens are {len(ids)}."
        )
    frames = []
    final: Tensor | None = None
    with torch.no_grad():
        for layer, stream in reversed(list(enumerate(streams))):
            # All positions at once, as in the model's own forward: the last layer has its bits.
            logits = model.finish(stream)[0][real].float()
            log_p = logits.log_softmax(-1)
            top = logits.argmax(-1)
            final = top if final is None else final
            rank = (logits > logits.gather(-1, final[:, None])).sum(-1) + 1
            frames.append(
                {
                    "layer": layer,
                    "position": real.tolist(),
                    "token_id": ids[real].tolist(),
                    "top_id": top.tolist(),
                    "probability": log_p.gather(-1, top[:, None])[:, 0].exp().tolist(),
                    "rank": rank.tolist(),
                    "entropy": (-(log_p.exp() * log_p).sum(-1)).tolist(),
                }
            )
    frame = pd.concat([pd.DataFrame(f) for f in reversed(frames)], ignore_index=True)
    for column, text in (("token_id", "token"), ("top_id", "top_token")):
        frame[text] = token_texts(model, frame[column].tolist())
    order = ["layer", "position", "token_id", "token", "top_id", "top_token"]
    return frame[[*order, "probability", "rank", "entropy"]]


def read_positions(model: Any, cache: Any, tokens: Tensor | None) -> tuple[Tensor, Tensor]:
    """Ids [pos], and the indices of those that are no padding."""
    replay, mask = getattr(cache, "replay", None), None
    if tokens is None and replay is not None:
        tokens, mask = replay.batch.of(model.last_stack)
    if tokens is None:
        raise InputError("This cache does not know the tokens of its run; pass them as `tokens`.")
    if tokens.ndim == 2 and tokens.shape[0] != 1:
        raise InputError(f"The lens reads one text; this cache is of {tokens.shape[0]}.")
    ids = tokens.reshape(-1)
    real = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask[0]
    return ids.cpu(), real.nonzero()[:, 0].cpu()


def _streams(model: Any, cache: Any) -> list[Tensor]:
    """What enters each block and what leaves the last, n_layers + 1 times [batch, pos, d_model]."""
    replay = getattr(cache, "replay", None)
    if replay is not None:  # it keeps them; read by name, each would have its block computed again
        replay.check_weights()
        return list(replay.traces[model.last_stack].streams)
    streams = [cache[full] for full in stream_names(model)]
    return [x[None] if x.ndim == 2 else x for x in streams]


def stream_names(model: Any) -> list[str]:
    """The points of what enters each block and of what leaves the last, n_layers + 1 of them; of
    an encoder-decoder, of its decoder."""
    pair = model.cfg.shape == "encoder_decoder"
    name, n = ("decoder", model.cfg.n_decoder_layers) if pair else ("blocks", model.cfg.n_layers)
    last = f"{name}.{n - 1}.hook_normalized_resid_post"  # a post-norm block ends with its norm
    if last not in model.hook_points:
        last = f"{name}.{n - 1}.hook_resid_post"
    return [*(f"{name}.{i}.hook_resid_pre" for i in range(n)), last]


def token_texts(model: Any, ids: list[int]) -> list[str]:
    """The text of each token, or its number where there is no tokenizer."""
    if model.tokenizer is None:
        return [str(i) for i in ids]
    known = {i: model.to_single_str_token(i) for i in set(ids)}
    return [known[i] for i in ids]
