"""What directions in the residual stream say by themselves: the tokens that they promote."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from interp.errors import InputError, UnsupportedModelError
from interp.explain.inside.readout import linear_head
from interp.explain.lens import token_texts
from interp.model.transformer import HookedTransformer
from probes.head_weights import as_read


def head_of(model: Any) -> Tensor:
    """The map from the stream to logits, as it reads a stream before a final norm of scale 1, and
    above the mean of all tokens: [d_model, d_vocab].

    Raises:
        UnsupportedModelError: the stream is not read by one linear map.
    """
    linear = isinstance(model, HookedTransformer) and model.cfg.norm_position != "post"
    if not linear or model.cfg.head != "lm":
        raise UnsupportedModelError(
            "What a direction writes is read off the weights of a pre-norm HookedTransformer whose "
            "head predicts tokens by one linear map."
        )
    rows, _ = linear_head(model)
    read = as_read(rows.T, model.stack(model.last_stack).ln_final)
    return read - read.mean(1, keepdim=True)


@torch.no_grad()
def promoted(model: Any, directions: Tensor, *, most: int = 10) -> pd.DataFrame:
    """Which tokens directions of the stream promote and which they suppress, by themselves.

    The value is what a direction, written once, adds to a token's logit, above the mean of all
    tokens and before the final norm divides (Geva et al. 2022, arXiv 2203.14680). It is the direct
    effect: later layers are left out.

    Args:
        directions: [n, d_model].
        most: tokens on each side.

    Returns:
        A row per direction, side (`promoted`, `suppressed`) and rank: `direction` (its row),
        `side`, `rank` (1 is first), `token_id`, `token`, `value`.

    Raises:
        UnsupportedModelError: see `head_of`. InputError: directions of another width.
    """
    read = head_of(model)
    if directions.ndim != 2 or directions.shape[1] != len(read):
        raise InputError(
            f"The directions are {list(directions.shape)}; those of the stream are "
            f"[n, {len(read)}]."
        )
    frames = []
    for first in range(0, len(directions), 256):
        logits = directions[first : first + 256].to(read) @ read
        for side, sign in (("promoted", 1), ("suppressed", -1)):
            value, token = (sign * logits).topk(min(most, logits.shape[1]))
            rows, n = value.shape
            frames.append(
                pd.DataFrame(
                    {
                        "direction": np.repeat(np.arange(first, first + rows), n),
                        "side": side,
                        "rank": np.tile(np.arange(1, n + 1), rows),
                        "token_id": token.flatten().tolist(),
                        "value": (sign * value).flatten().tolist(),
                    }
                )
            )
    if not frames:
        raise InputError("There is no direction to read.")
    frame = pd.concat(frames, ignore_index=True).sort_values(
        ["direction", "side", "rank"], kind="stable", ignore_index=True
    )
    frame["token"] = token_texts(model, frame["token_id"].tolist())
    return frame
