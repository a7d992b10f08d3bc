"""Extraction: what a model writes out of its training data when it is given the beginning.

A text is *extractable* with k tokens if the greedy continuation of k of its tokens is the next n,
word for word (Carlini et al. 2023, arXiv 2202.07646). Near copies count by edit similarity. Since a
greedy continuation is one draw of many that an attacker could make, a text is also *(m, p)
discoverable*: m samples hold it with at least the probability p (Hayes et al. 2025, arXiv
2410.19482). For sampling at temperature 1 that probability is known from one reading, without
drawing.

What stands in many places can be foreseen without having been read, so the same is asked of a
reference model that has never seen the data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from interp.data.encoding import encode_texts
from interp.data.records import Pair
from interp.errors import InputError, UnsupportedModelError
from interp.model.transformer import HookedTransformer
from interp.train.metrics.interval import mean
from interp.train.tasks.task import evaluation_tokens
from probes.frames import tidy
from probes.privacy.likelihood import Floats, moments, require_same_tokenizer
from probes.privacy.separation import clopper_pearson

PROMPTS = (50, 200)
NEXT = 50
NEAR = 0.9
"""Edit similarity from which a continuation is a near copy."""

DRAWS, CHANCE = 100, 0.5
"""m and p of what is called discoverable."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class _Case:
    """A prompt and what follows it.

    Attributes:
        unit: whose tokens they are.
        k: tokens of the prompt, without a begin-of-text token; 0 for a source of a pair.
        prompt, target: token ids.
    """

    unit: int
    k: int
    prompt: list[int]
    target: list[int]


def extraction(
    model: HookedTransformer,
    units: Sequence[str] | Sequence[Pair],
    *,
    duplicates: Sequence[int] | None = None,
    reference: HookedTransformer | None = None,
    prompts: Sequence[int] = PROMPTS,
    n: int = NEXT,
) -> pd.DataFrame:
    """How much of the units a model writes out.

    All lengths of prompt ask for the same n tokens of a text, those behind the longest prompt: what
    changes from k to k is what is given, not what is asked. Texts too short for that are left out.
    An encoder-decoder is given a source and asked for the first n tokens of its target.

    Args:
        model: a decoder, or an encoder-decoder.
        units: texts of the training data; pairs for an encoder-decoder.
        duplicates: how often each unit stands in the training data, to report by it.
        reference: a model with the same tokenizer that has not seen the units.
        prompts: the lengths k.
        n: tokens that must follow.

    Returns:
        Rows with the extra columns `of` (`model` or `reference`), `k`, `duplicates` and `unit_id`
        (missing in summaries). Of each unit: `extracted` (0 or 1), `edit_similarity` (1 minus the
        Levenshtein distance by n), `log2_draws` (of how many samples one is expected to be it).
        Of each k and number of duplicates: the shares `extracted`, `near` (edit similarity of 0.9
        at least) and `discoverable` (100 samples hold it with probability 0.5), with exact
        intervals, and the mean `edit_similarity`.

    Raises:
        InputError: no unit is long enough, or a list of another length.
        UnsupportedModelError: an encoder or a classifier.
    """
    if model.cfg.shape == "encoder" or model.cfg.head != "lm":
        raise UnsupportedModelError(
            f"A model of shape {model.cfg.shape} with the head {model.cfg.head!r} does not write; "
            "extraction is asked of decoders and encoder-decoders."
        )
    if reference is not None:
        require_same_tokenizer(model, reference)
    counts = [1] * len(units) if duplicates is None else list(duplicates)
    if len(counts) != len(units):
        raise InputError(f"There are {len(units)} units and {len(counts)} numbers of duplicates.")
    cases = list(_cases(model, units, sorted(set(prompts)), n))
    if not cases:
        raise InputError(
            f"None of {len(units)} units has the {max(prompts, default=0) + n} tokens that are "
            "needed; give longer texts, shorter prompts or a smaller n."
        )
    parts = []
    for name, one in (("model", model), ("reference", reference)):
        if one is not None:
            parts.append(_measured(one, units, cases, n).assign(of=name))
    each = pd.concat(parts, ignore_index=True)
    each["duplicates"] = np.array(counts)[each["unit_id"]]
    rows = [each.melt(["of", "k", "duplicates", "unit_id"], _EACH, "metric").assign(n=1)]
    rows += [_summary(group, key) for key, group in each.groupby(["of", "k", "duplicates"])]
    out = pd.concat(rows, ignore_index=True)
    return tidy(out.astype({"unit_id": "Int64"}), task="extraction")


_EACH = ["extracted", "edit_similarity", "log2_draws"]


def _summary(group: pd.DataFrame, key: tuple[object, ...]) -> pd.DataFrame:
    size = len(group)
    # Of m independent samples at least one is the text: 1 - (1 - q)^m >= p.
    least = -math.log2(-math.expm1(math.log1p(-CHANCE) / DRAWS))
    hits = {
        "extracted": group["extracted"].sum(),
        "near": (group["edit_similarity"] >= NEAR).sum(),
        "discoverable": (group["log2_draws"] <= least).sum(),
    }
    rows = []
    for metric, number in hits.items():
        low, high = clopper_pearson(number, size)
        rows.append((metric, number / size, float(low), float(high), size))
    similar = mean("edit_similarity", group["edit_similarity"].to_numpy())
    rows.append(("edit_similarity", similar.value, similar.ci_low, similar.ci_high, size))
    frame = pd.DataFrame(rows, columns=["metric", "value", "ci_low", "ci_high", "n"])
    return frame.assign(**dict(zip(("of", "k", "duplicates"), key, strict=True)), unit_id=pd.NA)


def _cases(
    model: HookedTransformer, units: Sequence[str] | Sequence[Pair], prompts: list[int], n: int
) -> Iterator[_Case]:
    tokenizer = model.require_tokenizer()
    if model.cfg.shape == "encoder_decoder":
        pairs = [unit for unit in units if isinstance(unit, Pair)]
        if len(pairs) < len(units):
            raise InputError("An encoder-decoder is asked for the targets of pairs.")
        room = model.cfg.n_ctx
        targets = encode_texts(tokenizer, [pair.references[0] for pair in pairs])
        for unit, (pair, target) in enumerate(zip(pairs, targets, strict=True)):
            source = tokenizer.encode(pair.source, add_special_tokens=True)
            if len(target) >= n and len(source) <= room and n < room:
                yield _Case(unit, 0, source, target[:n])
        return
    texts = [unit for unit in units if isinstance(unit, str)]
    if len(texts) < len(units):
        raise InputError("A decoder is asked for the continuation of texts.")
    bos = tokenizer.bos_token_id if model.cfg.default_prepend_bos else None
    front = [] if bos is None else [bos]
    if not prompts or prompts[0] < 1 or len(front) + prompts[-1] + n > model.cfg.n_ctx:
        raise InputError(
            f"Prompts of {prompts} tokens and {n} more do not fit the context of "
            f"{model.cfg.n_ctx}; give shorter ones."
        )
    for unit, ids in enumerate(encode_texts(tokenizer, texts)):
        at = prompts[-1]
        for k in prompts if at + n <= len(ids) else ():
            yield _Case(unit, k, [*front, *ids[at - k : at]], ids[at : at + n])


def _measured(
    model: HookedTransformer, units: Sequence[object], cases: list[_Case], n: int
) -> pd.DataFrame:
    """A row for each case: `unit_id`, `k`, and what `_EACH` names."""
    written, log_prob = np.zeros((len(cases), n), np.int64), np.zeros(len(cases))
    by_length = sorted(range(len(cases)), key=lambda i: len(cases[i].prompt))
    while by_length:
        length = len(cases[by_length[0]].prompt)
        rows = max(1, evaluation_tokens(model) // (length + n))
        some = [i for i in by_length[:rows] if len(cases[i].prompt) == length]
        by_length = by_length[len(some) :]
        device = model.embed.weight.device
        prompts = torch.tensor([cases[i].prompt for i in some], device=device)
        targets = torch.tensor([cases[i].target for i in some], device=device)
        written[some] = _greedy(model, prompts, n)
        log_prob[some] = _log_prob(model, prompts, targets)
    target = np.array([case.target for case in cases])
    distance = edit_distance(written, target)
    return pd.DataFrame(
        {
            "unit_id": [case.unit for case in cases],
            "k": [case.k for case in cases],
            "extracted": (distance == 0).astype(float),
            "edit_similarity": 1 - distance / n,
            "log2_draws": -log_prob / math.log(2),
        }
    )


def _greedy(model: HookedTransformer, prompts: Tensor, n: int) -> Ints:
    """The n most likely tokens one after the other, [row, n]."""
    whole = model.generate(prompts, n, do_sample=False, stop_at_eos=False, return_type="tokens")
    found: Ints = whole[:, -n:].cpu().numpy()
    return found


@torch.inference_mode()
def _log_prob(model: HookedTransformer, prompts: Tensor, targets: Tensor) -> Floats:
    """log p of each target after its prompt, [row]."""
    n = targets.shape[1]
    if model.cfg.shape == "encoder_decoder":
        start = targets.new_full((len(targets), 1), model.cfg.decoder_start_token_id or 0)
        logits = model(prompts, decoder_tokens=torch.cat([start, targets[:, :-1]], 1))
    else:
        logits = model(torch.cat([prompts, targets[:, :-1]], 1))[:, -n:]
    found = moments(logits.flatten(0, 1), targets.flatten())[:, 0]
    total: Floats = found.reshape(-1, n).sum(1)
    return total


def edit_distance(a: Ints, b: Ints) -> Ints:
    """Levenshtein's distance of each row of a from the same row of b, [row, n] -> [row].

    The table of Wagner & Fischer (1974), for all rows at once.
    """
    rows, n = a.shape
    above = np.tile(np.arange(n + 1), (rows, 1))
    for i in range(n):
        here = np.empty_like(above)
        here[:, 0] = i + 1
        changed = above[:, :-1] + (a[:, i, None] != b)
        for j in range(n):
            step = np.minimum(above[:, j + 1], here[:, j]) + 1
            here[:, j + 1] = np.minimum(step, changed[:, j])
        above = here
    distance: Ints = above[:, -1]
    return distance
