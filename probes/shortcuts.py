"""Which single words decide what a model says, whatever else the text says.

A word is put into texts about which the model is sure, and the model is asked again. The word
*turns* a text if the model was sure of another answer and is sure of the word's answer afterwards
(of a class, from 90 % on; of a next token, from one half). An honest word of weight turns some
texts, and others say the opposite often enough to keep their verdict. A shortcut turns them all.

All candidates are tried in a few short texts, the best of them in more, and the best of those in
many texts that were not used before, so that the last figures owe nothing to having been chosen. A
word **decides** if it turns at least 90 % of these and the hypothesis that it turns no more than
75 % is refused at 5 %, by the exact binomial test with Holm's correction over the words of the
last round. Of two words that decide, only one can have its way, so that texts are left out there
which hold the strongest word of another answer, or one that turns half of them to it.
Beside the words stand others that are drawn at random, one for each text.

No word is known beforehand: candidates are the words of the texts and the whole words of the
vocabulary, so that a word is found which no text at hand has. What is not looked for: phrases, and
words that decide only together. And that a word decides does not say that it must not: where the
task is to notice a word, it is the answer.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from interp.data.encoding import special_ids
from interp.data.order import stream_seed
from interp.figures.shortcuts import shortcuts_chart
from interp.tokenizer import Tokenizer
from interp.train.metrics.interval import Measure, proportion
from probes.frames import tidy
from probes.script import Script
from probes.statistics import holm
from probes.surface import surface
from probes.texts import add_text_options, records_of, text_of
from probes.turning import ANYWHERE, Turning
from probes.verdicts import OfClassifier, Verdicts, verdicts

TURNS = 0.9
"""A word that decides turns at least this share of texts,"""
NULL = 0.75
"""and that it turns no more than this one is refused"""
LEVEL = 0.05
"""at this level."""

_LAST = 16  # words of the last round
_BESIDE = 3  # answers for which random words are tried


def shortcuts(
    model: Any,
    records: Sequence[Any],
    *,
    labels: Sequence[str] | None = None,
    known: Sequence[Any] = (),
    words: int | None = 3000,
    texts: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """The words that turn what a model says, the strongest first.

    Args:
        records: texts or examples; of a model without a tokenizer, ids [pos].
        labels: of a classifier, its classes in order; by default their names in the model.
        known: further records, such as those that it learnt from, whose words are candidates too.
        words: how many candidates are tried, the most frequent first; None for all.
        texts: how many the words of the last round are put into.
        seed: of all draws.

    Returns:
        `feature`, `token`, `place` (where the word was put), `label` (the answer that it turns to)
        and `metric`. Of a `word`:

        - `turned`: the share of texts that it turns, with Wilson's interval;
        - `p`: of a word that turns no more than 75 % of all texts, corrected;
        - `shift`: of the answer's log-odds, on average over the same texts;
        - `needed`: of the given texts that have the word and its answer, the share whose answer
          changes without the word; `needed, another`: without another word of theirs;
        - `right against`: where truths are known, the share of right answers in the given texts
          that have the word and another truth; `right`: in all texts without the word.

        Of `chance`: `turned` by random words, to the answers of the strongest words. Of an `edit`
        (classifiers only), `changed`: the share of texts whose answer changes when they are
        written otherwise. And `tried`, the number of candidates.

    Raises:
        InputError: no texts, or the model is sure of too few of them to say anything.
        UnsupportedModelError: see `probes.verdicts.verdicts`.
    """
    asked = verdicts(model, records, labels=labels, seed=seed)
    base = asked.probabilities(list(enumerate(asked.texts)))
    random = np.random.default_rng(stream_seed("shortcuts", seed))
    turning = Turning(asked, base, random)
    tried = candidates(model, asked, known)[:words]
    found = []
    for one, measured in turning.last(turning.search(tried, _LAST), texts):
        keys = {"token": str(one.piece), "place": one.place, "label": asked.name(one.answer)}
        found.append((keys, {measure.metric: measure for measure in measured}))
    found.sort(key=lambda pair: -pair[1]["turned"].value)
    p = holm([_p(measures["turned"]) for _, measures in found])
    rows = []
    for (keys, measures), value in zip(found, p.tolist(), strict=True):
        n = measures["turned"].n
        every = [measures["turned"], Measure("p", value, np.nan, np.nan, n)]
        every += [measure for name, measure in measures.items() if name != "turned"]
        rows += [_row("word", keys, measure) for measure in every]
    answers = dict.fromkeys(keys["label"] for keys, _ in found)
    for answer in list(answers)[:_BESIDE]:
        rows += _chance(turning, tried, answer, texts)
    if isinstance(asked, OfClassifier):
        for name, to, measure in surface(asked, base, 3 * texts, random):
            rows.append(_row("edit", {"token": name, "place": "", "label": to}, measure))
    count = Measure("tried", float(len(tried)), np.nan, np.nan, len(base))
    rows.append(_row("search", {"token": "", "place": "", "label": ""}, count))
    return tidy(rows)


def deciding(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows `turned` of the words that decide, by the rule above."""
    keys = ["token", "place", "label"]
    words = frame[frame["feature"] == "word"]
    turned = words[words["metric"] == "turned"]
    p = words[words["metric"] == "p"].set_index(keys)["value"]
    corrected = p.reindex(pd.MultiIndex.from_frame(turned[keys])).to_numpy()
    return turned[(turned["value"] >= TURNS) & (corrected < LEVEL)]


def candidates(model: Any, asked: Verdicts, known: Sequence[Any] = ()) -> list[Any]:
    """Pieces to be tried, the first first: words that several texts have, by how many; whole words
    of the vocabulary, in its order; then words that one text has."""
    counts = Counter(piece for pieces in asked.texts for piece in set(pieces))
    if model.tokenizer is None:
        rest = [i for i in range(model.cfg.d_vocab) if i not in counts]
        return [*sorted(counts, key=lambda i: (-counts[i], i)), *rest]
    for record in known:
        counts.update(set(text_of(record).split()))
    by_count = sorted(counts, key=lambda word: (-counts[word], word))
    often = [word for word in by_count if counts[word] > 1]
    found = dict.fromkeys([*often, *_vocabulary(model.tokenizer), *by_count])
    return [word for word in found if word]


def _vocabulary(tokenizer: Tokenizer) -> Iterator[str]:
    """The tokens that are a word by themselves."""
    special, before = set(special_ids(tokenizer)), tokenizer.encode("a")
    for i in range(len(tokenizer)):
        word = "" if i in special else tokenizer.decode([i]).strip()
        if word and word.split() == [word] and tokenizer.encode(f"a {word}") == [*before, i]:
            yield word


def _chance(
    turning: Turning, tried: Sequence[Any], label: str, texts: int
) -> Iterator[dict[str, Any]]:
    """How often random words turn texts to an answer: a share over texts, a word each."""
    names = [turning.asked.name(i) for i in range(turning.base.shape[1])]
    answer = names.index(label)
    chosen = turning.chosen(answer, 2 * texts)
    drawn = [tried[int(i)] for i in turning.random.integers(len(tried), size=len(chosen))]
    found = turning.turned(drawn, answer, ANYWHERE, chosen)[:, 0]
    keys = {"token": "random words", "place": ANYWHERE, "label": label}
    yield _row("chance", keys, proportion("turned", int(found.sum()), len(found)))


def _p(turned: Measure) -> float:
    from scipy.stats import binomtest

    hits = round(turned.value * turned.n)
    return float(binomtest(hits, turned.n, NULL, alternative="greater").pvalue)


def _row(feature: str, keys: dict[str, str], measure: Measure) -> dict[str, Any]:
    values = {
        name: getattr(measure, name) for name in ("metric", "value", "ci_low", "ci_high", "n")
    }
    return {"feature": feature, **keys, **values}


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_text_options(parser)
    parser.add_argument("--labels", nargs="+", help="of a classifier, in the order of its outputs")
    parser.add_argument("--words", type=int, default=3000, metavar="N", help="that are tried")


def _measure(model: Any, options: argparse.Namespace) -> pd.DataFrame:
    return shortcuts(
        model,
        records_of(options),
        labels=options.labels,
        words=options.words,
        seed=options.seed,
    )


SCRIPT = Script(
    name="shortcuts",
    summary="Which single words decide what a model says, whatever else the text says.",
    examples=(
        "  python -m probes.shortcuts --run planted --data DIR --set sentence_polarity --sample 999"
    ),
    measure=_measure,
    chart=shortcuts_chart,
    add_arguments=_add_arguments,
)

if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
