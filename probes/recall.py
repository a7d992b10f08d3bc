"""Which facts a model recalls, and whether it says the same however it is asked (ParaRel).

A fact is a subject and its object; a relation has patterns, sentences that all say the same. For
each fact and pattern the model chooses among candidates, the objects of the relation's facts, and
is right where the true one wins (Petroni et al. 2019; among candidates as in Elazar et al. 2021,
arXiv 2102.01017).

- An encoder reads `[MASK]` in the object's place and its probabilities are compared. So candidates
  are those of one token, and facts with a longer object are left out (`answerable`).
- Other models read the whole sentence with each candidate, and the sums of log-probability are
  compared; those favour candidates of few tokens.

**What to bear in mind.** The most frequent object alone is often right (`majority`); names give
objects away ("Nintendo of Canada", Poerner et al. 2020); candidates make the task easier than
recalling. Consistency alone is no merit: who always says the same thing is consistent.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from interp.data.encoding import literal, pad_id, role_id
from interp.data.examples import padded
from interp.data.order import stream_seed
from interp.data.records import Relation
from interp.data.sets import read_set
from interp.errors import InputError
from interp.figures.recall import recall_chart
from interp.train.tasks.task import by_length
from probes.frames import tidy
from probes.scoring import batch_tokens, score
from probes.script import Script
from probes.statistics import cluster_bootstrap

Floats = NDArray[np.float64]

METRICS = ("accuracy", "consistency", "consistent_accuracy", "majority", "chance", "answerable")


def recall(
    model: Any,
    relations: Sequence[Relation],
    *,
    facts: int | None = None,
    candidates: int | None = None,
    sources: str | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Which facts a model recalls, by relation and in all.

    Args:
        facts: at most so many of each relation, drawn by the seed; by default all.
        candidates: at most so many for each fact, the true object and others drawn by the seed; the
            same for all patterns. By default all objects of the relation.
        sources: what an encoder-decoder reads.
        seed: of the draws and the bootstrap.

    Returns:
        `task` (the relation; missing for all, each relation counting alike), and as `metric`

        - `accuracy`: how often the true object wins, ties in equal parts, over facts and patterns;
        - `consistency`: how often two patterns choose the same object (no ties in this: the first
          of equal candidates is the choice), if there are two;
        - `consistent_accuracy`: how often all patterns choose the true one;
        - `majority`: how often the relation's most frequent object is the true one;
        - `chance`: of a blind choice among candidates;
        - `answerable`: the share of drawn facts that the model can be asked.

        Relations without two candidates are left out. Intervals are over facts, and for all over
        relations.

    Raises:
        InputError: nothing to ask, or what the model refuses.
    """
    rows: list[dict[str, Any]] = []
    for relation in relations:
        rows += _relation(model, relation, facts, candidates, sources, seed)
    if not rows:
        raise InputError(
            "No fact can be asked: of an encoder, objects have to be one token; and a relation "
            "needs two of them."
        )
    return tidy([*rows, *_overall(rows, seed)])


def _relation(
    model: Any,
    relation: Relation,
    facts: int | None,
    candidates: int | None,
    sources: str | None,
    seed: int,
) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(stream_seed("recall", relation.name, seed))
    objects = list(dict.fromkeys(object for _, object in relation.facts))
    drawn = list(relation.facts)
    if facts is not None and len(drawn) > facts:
        drawn = [drawn[i] for i in sorted(random.permutation(len(drawn))[:facts].tolist())]
    encoder = model.cfg.shape == "encoder"
    words = _single_tokens(model, objects) if encoder else dict.fromkeys(objects, 0)
    asked = [fact for fact in drawn if fact[1] in words]
    offered = [_offer(object, list(words), candidates, random) for _, object in asked]
    if len(words) < 2 or not asked:
        return
    scores = (
        _masked(model, relation.patterns, asked, offered, words)
        if encoder
        else _spoken(model, relation.patterns, asked, offered, sources)
    )
    # The true object is the first that is offered; shares of a tie go to all that have it.
    best = [s == s.max(1, keepdims=True) for s in scores]
    right = np.array([(b[:, 0] / b.sum(1)) for b in best])  # [fact, pattern]
    chosen = np.array([[o[i] for i in s.argmax(1)] for s, o in zip(scores, offered, strict=True)])
    frequent = Counter(object for _, object in relation.facts).most_common(1)[0][0]
    columns = {
        "accuracy": right.mean(1),
        "consistency": _agreement(chosen),
        "consistent_accuracy": (right == 1).all(1).astype(float),
        "majority": np.array([float(object == frequent) for _, object in asked]),
        "chance": np.array([1 / len(o) for o in offered]),
    }
    for metric, column in columns.items():
        if column is not None:
            yield _row(relation.name, metric, column, seed)
    share = np.array([float(fact[1] in words) for fact in drawn])
    yield _row(relation.name, "answerable", share, seed)


def _agreement(chosen: NDArray[Any]) -> Floats | None:
    """For each fact the share of pairs of patterns that choose the same, [fact]."""
    pairs = list(itertools.combinations(range(chosen.shape[1]), 2))
    if not pairs:
        return None
    same: Floats = np.mean([chosen[:, a] == chosen[:, b] for a, b in pairs], 0)
    return same


def _row(relation: str, metric: str, column: Floats, seed: int) -> dict[str, Any]:
    low, high = cluster_bootstrap(column, np.arange(len(column)), seed=seed)
    alone = len(column) < 2
    return {
        "task": relation,
        "metric": metric,
        "value": column.mean(),
        "ci_low": np.nan if alone else float(low),
        "ci_high": np.nan if alone else float(high),
        "n": len(column),
    }


def _overall(rows: list[dict[str, Any]], seed: int) -> Iterator[dict[str, Any]]:
    for metric in METRICS:
        values = np.array([row["value"] for row in rows if row["metric"] == metric])
        if len(values):
            yield {**_row("", metric, values, seed), "task": None}


def _offer(
    object: str, objects: list[str], n: int | None, random: np.random.Generator
) -> list[str]:
    """The true object, and others of the relation behind it."""
    others = [other for other in objects if other != object]
    if n is not None and len(others) >= n:
        others = [others[i] for i in random.permutation(len(others))[: max(1, n - 1)]]
    return [object, *others]


# -- asking --------------------------------------------------------------------------------------


def _spoken(
    model: Any,
    patterns: Sequence[str],
    facts: Sequence[tuple[str, str]],
    offered: Sequence[Sequence[str]],
    sources: str | None,
) -> list[Floats]:
    """Log-probability of the sentence with each candidate: for each fact [pattern, candidate]."""
    texts = [
        pattern.replace("[X]", subject).replace("[Y]", candidate)
        for (subject, _), some in zip(facts, offered, strict=True)
        for pattern in patterns
        for candidate in some
    ]
    totals = iter([one.total for one in score(model, texts, sources=sources)])
    return [np.array([[next(totals) for _ in some] for _ in patterns]) for some in offered]


def _single_tokens(model: Any, objects: Sequence[str]) -> dict[str, int]:
    """Object -> its token, of those that are one known token inside a sentence."""
    tokenizer = model.require_tokenizer()
    backend = literal(tokenizer)
    unknown = tokenizer.token_id(tokenizer.special.get("unk", ""))
    before = backend.encode("a", add_special_tokens=False).ids
    found = {}
    for object in objects:
        ids = backend.encode(f"a {object}", add_special_tokens=False).ids
        if ids[: len(before)] == before and len(ids) == len(before) + 1 and ids[-1] != unknown:
            found[object] = ids[-1]
    return found


@torch.inference_mode()
def _masked(
    model: Any,
    patterns: Sequence[str],
    facts: Sequence[tuple[str, str]],
    offered: Sequence[Sequence[str]],
    words: dict[str, int],
) -> list[Floats]:
    """Log-probability of each candidate under the mask: for each fact [pattern, candidate]."""
    tokenizer = model.require_tokenizer()
    backend, mask = literal(tokenizer), role_id(tokenizer, "mask")
    before, after = role_id(tokenizer, "cls", "bos"), role_id(tokenizer, "sep", "eos")
    rows: list[tuple[list[int], int]] = []
    for subject, _ in facts:
        for pattern in patterns:
            left, right = (
                backend.encode(part.replace("[X]", subject), add_special_tokens=False).ids
                for part in _around(pattern)
            )
            ids = [before, *left, mask, *right, after]
            if len(ids) > model.cfg.n_ctx:
                raise InputError(f"A sentence about {subject!r} has {len(ids)} tokens, too many.")
            rows.append((ids, 1 + len(left)))
    found: list[Any] = [None] * len(rows)
    device = model.W_E.device
    for chosen in by_length([len(ids) for ids, _ in rows], batch_tokens(model)):
        inputs = padded([rows[i][0] for i in chosen], pad_id(tokenizer))
        logits = model(**{name: value.to(device) for name, value in inputs.items()})
        at = logits[range(len(chosen)), [rows[i][1] for i in chosen]]
        for i, row in zip(chosen, at.double().log_softmax(-1).cpu().numpy(), strict=True):
            some = offered[i // len(patterns)]
            found[i] = row[[words[candidate] for candidate in some]]
    return [np.stack(found[i : i + len(patterns)]) for i in range(0, len(found), len(patterns))]


def _around(pattern: str) -> tuple[str, str]:
    """What stands before and behind the object; the space before it belongs to its own token."""
    left, _, right = pattern.partition("[Y]")
    return left.rstrip(), right


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="of data sets")
    parser.add_argument("--set", choices=("pararel", "relations"), default="pararel")
    parser.add_argument("--facts", type=int, metavar="N", help="of each relation (default: all)")
    parser.add_argument(
        "--candidates", type=int, metavar="N", help="for each fact (default: all objects)"
    )
    parser.add_argument("--source", metavar="TEXT", help="what an encoder-decoder reads")
    parser.add_argument("--seed", type=int, default=0, help="of the draws and the bootstrap")


def _measure(model: Any, options: argparse.Namespace) -> pd.DataFrame:
    for name in ("facts", "candidates"):
        least: Literal[1, 2] = 1 if name == "facts" else 2
        if (n := getattr(options, name)) is not None and n < least:
            raise InputError(f"--{name} is {n}; it must be at least {least}.")
    return recall(
        model,
        read_set(options.set, options.data, "test"),
        facts=options.facts,
        candidates=options.candidates,
        sources=options.source,
        seed=options.seed,
    )


SCRIPT = Script(
    name="recall",
    summary="Which facts a model recalls, and whether it says the same however it is asked.",
    examples=(
        "  python -m probes.recall --run stories --data DIR --facts 20 --candidates 10\n"
        "  python -m probes.recall --run stories --data DIR --set relations --facts 20"
    ),
    measure=_measure,
    chart=recall_chart,
    add_arguments=_add_arguments,
)

if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
