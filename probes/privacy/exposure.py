"""Exposure: how far up a canary's secret stands among all that it could have been.

    exposure = log2 |R| - log2 rank

For a secret that the model has not seen the rank is uniform, so P(exposure >= x) = 2^-x:
2^-exposure is a p-value, and the mean over controls is log2 e = 1.443 bits (Carlini et al. 2019,
arXiv 1802.08232). In nats a sum of n such exposures is Gamma(n), which gives canaries of equally
many repeats one p-value together (Fisher 1932). Spaces are small enough to be counted out, and
nothing is extrapolated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from interp.data.encoding import encode_texts, pad_id
from interp.data.examples import padded
from interp.errors import InputError
from interp.model.transformer import HookedTransformer
from interp.train.metrics import interval
from probes.frames import tidy
from probes.privacy.canaries import Canary
from probes.privacy.ranking import ranks
from probes.privacy.separation import clopper_pearson
from probes.privacy.tree import Tree, secrets_tree
from probes.statistics import holm

CHANCE = math.log2(math.e)
"""Mean exposure in bits of what the model has never seen."""

ALARM = 0.01
"""P-values up to which a canary counts as remembered."""


def exposure(
    model: HookedTransformer, canaries: Sequence[Canary], *, progress: bool = False
) -> pd.DataFrame:
    """The exposure of every canary, and of every number of repeats.

    Args:
        model: a decoder, or an encoder-decoder that reads the prefix and writes the secret.
        canaries: secrets of equally many digits.

    Returns:
        Rows with the extra columns `unit_id` (the canary, missing in summaries), `duplicates` (its
        repeats) and these metrics: `exposure` (bits), `p_value` and `rank` of each canary;
        `mean_exposure` with its bootstrap interval, `joint_p_value` and `remembered` (the share
        with a p-value of at most 0.01, with its exact interval) of each number of repeats; and
        `corrected_p_value` of both, under which the chance of any false alarm among all inserted
        canaries and their numbers of repeats stays at the level (Holm 1979), and likewise among the
        controls.

    Raises:
        InputError: no canaries, secrets of unequal length, or a tokenizer that joins a secret with
            what stands before it.
        UnsupportedModelError: an encoder or a classifier.
    """
    lengths = {len(canary.secret) for canary in canaries}
    if len(lengths) != 1:
        raise InputError(f"Canaries need secrets of one length; these have {sorted(lengths)}.")
    (digits,) = lengths
    tokens, mask, tree, secrets = _encoded(model, canaries, digits)
    total = len(canaries) * int((~tree.is_leaf).sum())
    with tqdm(total=total, unit="prefix", unit_scale=True, disable=not progress) as bar:
        rank = ranks(model, tokens, mask, tree, secrets, on_done=bar.update)
    return tidy(_rows(rank, canaries, 10**digits), task="canaries")


def _encoded(
    model: HookedTransformer, canaries: Sequence[Canary], digits: int
) -> tuple[torch.Tensor, torch.Tensor | None, Tree, list[list[int]]]:
    """Prompts and their mask, the tree of all secrets, and each canary's own."""
    tokenizer = model.require_tokenizer()
    prefixes = [canary.prefix for canary in canaries]
    if model.cfg.shape != "decoder":
        tokens, mask = model.to_tokens_and_mask(prefixes)
        secrets = list(encode_texts(tokenizer, [canary.secret for canary in canaries]))
        return tokens, mask, secrets_tree(tokenizer, digits, ""), secrets
    whole = list(encode_texts(tokenizer, [canary.text for canary in canaries]))
    for before in (" ", ""):  # the space belongs to the secret, or it is the prefix's last
        gap = "" if before else " "
        heads = list(encode_texts(tokenizer, [prefix + gap for prefix in prefixes]))
        secrets = list(encode_texts(tokenizer, [before + c.secret for c in canaries]))
        if all(h + s == w for h, s, w in zip(heads, secrets, whole, strict=True)):
            break
    else:
        raise InputError(
            "The tokenizer joins the end of a prefix with the secret behind it, so that other "
            "secrets would change the prefix; end the prefixes in another way."
        )
    bos = tokenizer.bos_token_id if model.cfg.default_prepend_bos else None
    rows = heads if bos is None else [[bos, *head] for head in heads]
    inputs = padded(rows, pad_id(tokenizer))
    device = model.embed.weight.device
    mask = inputs.get("attention_mask")
    return (
        inputs["tokens"].to(device),
        None if mask is None else mask.to(device),
        secrets_tree(tokenizer, digits, before),
        secrets,
    )


def _rows(rank: np.ndarray, canaries: Sequence[Canary], size: int) -> pd.DataFrame:
    from scipy.stats import gamma

    p = rank / size
    bits = -np.log2(p)
    repeats = np.array([canary.repeats for canary in canaries])
    ids = pd.array(range(len(canaries)), dtype="Int64")
    each = pd.DataFrame({"unit_id": ids, "duplicates": repeats})
    parts = [
        each.assign(metric=metric, value=values.astype(float), n=1)
        for metric, values in (("exposure", bits), ("p_value", p), ("rank", rank))
    ]
    rows = []
    for n_repeats in np.unique(repeats):
        chosen = repeats == n_repeats
        mean = interval.mean("mean_exposure", bits[chosen])
        hits, n = int((p[chosen] <= ALARM).sum()), int(chosen.sum())
        low, high = clopper_pearson(hits, n)
        row = {"unit_id": pd.NA, "duplicates": int(n_repeats), "n": n}
        joint = float(gamma.sf(bits[chosen].sum() * math.log(2), n))
        rows += [
            row | {"metric": "joint_p_value", "value": joint},
            row
            | {"metric": mean.metric, "value": mean.value}
            | {"ci_low": mean.ci_low, "ci_high": mean.ci_high},
            row
            | {"metric": "remembered", "value": hits / n}
            | {"ci_low": float(low), "ci_high": float(high)},
        ]
    summary = pd.DataFrame(rows).astype({"unit_id": "Int64"})
    frame = pd.concat([*parts, summary], ignore_index=True)
    return pd.concat([frame, _corrected(frame)], ignore_index=True)


def _corrected(frame: pd.DataFrame) -> pd.DataFrame:
    asked = frame[frame["metric"].isin(["p_value", "joint_p_value"])]
    families = [part for _, part in asked.groupby(asked["duplicates"] > 0)]
    return pd.concat(
        part.assign(metric="corrected_p_value", value=holm(part["value"].to_numpy()))
        for part in families
    )
