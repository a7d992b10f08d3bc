"""Where a model is worse than elsewhere: one metric on slices of the examples, the worst first.

Whoever looks at twenty slices finds one that looks bad by chance. So

- each slice is compared with all the other examples by a permutation test: under the null
  hypothesis the slice is any set of as many examples. The statistic is studentised, so that slices
  whose examples scatter more than the others are not taken for bad ones (Janssen 1997, Statistics &
  Probability Letters 36);
- its p-value is adjusted for all slices by Holm's method (1979): the chance that any slice is
  called worse where none is, is 5%;
- the intervals are simultaneous: with a probability of 95% (Bonferroni) all of them hold.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from interp.data.encoding import literal
from interp.data.order import stream_seed
from interp.data.overlap import copies
from interp.data.words import Words
from interp.errors import InputError
from interp.figures.slices import worst_slices_chart
from interp.tokenizer import Tokenizer
from interp.train.metrics import Scores
from interp.train.tasks import TASKS, Task, kind_of
from interp.train.tasks.classification import Classification
from probes.frames import tidy
from probes.script import Script
from probes.statistics import holm
from probes.texts import add_text_options, records_of, text_of

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Members = dict[tuple[str, str], Mask]
"""By what is sliced, and the name of the slice -> whether each example is in it, [example]."""

LEAST = 20
"""Examples that a slice, and the rest, must have to be looked at."""
DRAWS = 9999
LEVEL = 0.05
ALL = "all examples"
_VALUES = 12  # of a field, up to which it makes slices
_NUMBERS = 2**23  # that are permuted at once


def slices(
    model: Any,
    task: Task[Any, Any],
    records: Sequence[Any],
    answers: Any = None,
    *,
    learnt: Sequence[str] = (),
    draws: int = DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """A model on slices of a task's records.

    Args:
        answers: the model's, if they are known; otherwise it is asked.
        learnt: texts that the model has learnt from, for the slices of copies and of new words.
        draws: of the permutation test.

    Returns:
        See `worst_first`.
    """
    answers = task.answer(model, records) if answers is None else answers
    found = members(records, model.tokenizer, learnt=learnt)
    return worst_first(task.scores(records, answers), found, draws=draws, seed=seed)


# -- which slices there are ------------------------------------------------------------------------


def members(
    records: Sequence[Any], tokenizer: Tokenizer | None = None, *, learnt: Sequence[str] = ()
) -> Members:
    """The slices of records: by class, by each field of few values, and by features of the text.

    - `length`: quarters by the number of words;
    - `rare words`: quarters by the tokens of a word, since a tokenizer cuts what is rare;
    - `unknown words`: whether some character or word is none of the tokenizer's;
    - `digits`: whether there are any;
    - `new words`: how many words stand in no learnt text;
    - `copies`: whether the text stands in a learnt text (see `interp.data.overlap`).
    """
    named: dict[str, list[str]] = {
        "class" if field == "label" else field: values for field, values in _fields(records)
    }
    try:
        texts = [text_of(record) for record in records]
    except InputError:
        texts = []
    if texts:
        words = np.array([len(text.split()) for text in texts])
        named["length"] = quarters(words, "words")
        named["digits"] = [
            "with digits" if any(map(str.isdigit, text)) else "without digits" for text in texts
        ]
        if tokenizer is not None:
            named |= _by_tokens(texts, words, tokenizer)
        if learnt:
            copied = copies(texts, learnt).copied
            named["copies"] = ["in a learnt text" if one else "in none" for one in copied]
            named["new words"] = _by_new_words(texts, learnt)
    return {
        (by, name): np.array([one == name for one in names])
        for by, names in named.items()
        for name in dict.fromkeys(names)
    }


def _fields(records: Sequence[Any]) -> list[tuple[str, list[str]]]:
    """Fields of text that have few values, so that each is a slice."""
    if not records or not dataclasses.is_dataclass(records[0]):
        return []
    found = []
    for field in dataclasses.fields(records[0]):
        values = [getattr(record, field.name) for record in records]
        if not all(isinstance(value, str) for value in values):
            continue
        if field.name == "label" or 2 <= len(set(values)) <= min(_VALUES, len(values) // LEAST):
            found.append((field.name, values))
    return found


def by_length(texts: Sequence[str]) -> list[str]:
    """The slice of each text by its number of words: four of like size."""
    return quarters(np.array([len(text.split()) for text in texts]), "words")


def quarters(values: NDArray[Any], unit: str) -> list[str]:
    """The slice of each value, [example]: four of like size, named by their ends."""
    cuts = np.unique(np.quantile(values, [0.25, 0.5, 0.75], method="lower"))
    place = np.searchsorted(cuts, values, side="left")
    names = {}
    for here in np.unique(place):
        ends = values[place == here].min(), values[place == here].max()
        low, high = (f"{end:.2f}" if values.dtype.kind == "f" else str(end) for end in ends)
        names[here] = f"{low} {unit}" if low == high else f"{low} to {high} {unit}"
    return [names[here] for here in place]


def _by_tokens(texts: list[str], words: NDArray[Any], tokenizer: Tokenizer) -> dict[str, list[str]]:
    encoded = [one.ids for one in literal(tokenizer).encode_batch(texts, add_special_tokens=False)]
    tokens = np.array([len(ids) for ids in encoded])
    found = {"rare words": quarters(tokens / np.maximum(words, 1), "tokens a word")}
    unknown = tokenizer.special.get("unk")
    if unknown is not None:
        number = tokenizer.token_id(unknown)
        found["unknown words"] = ["some" if number in ids else "none" for ids in encoded]
    return found


def _by_new_words(texts: list[str], learnt: Sequence[str]) -> list[str]:
    known = np.unique(np.concatenate([Words(text).grams(1) for text in learnt]))
    new = [int((~np.isin(np.unique(Words(text).grams(1)), known)).sum()) for text in texts]
    return [("no new word", "one new word", "several new words")[min(n, 2)] for n in new]


# -- how the model fares on them -------------------------------------------------------------------


def worst_first(
    scores: Scores, members: Mapping[tuple[str, str], Mask], *, draws: int = DRAWS, seed: int = 0
) -> pd.DataFrame:
    """A metric on all examples and on each slice, and whether it is worse there beyond chance.

    Slices of fewer than `LEAST` examples, or outside of which there are fewer, are left out.

    Returns:
        First all examples, then a row a slice, the worst first: `by`, `slice`, `rest` (the metric
        on the other examples), `p`, `p_holm`, `worse` (`p_holm` is at most 5%), `metric`, `value`,
        `ci_low`, `ci_high` (simultaneous) and `n`.
    """
    counts = scores.below > 0
    scores = scores.of(counts)
    chosen = {name: mask[counts] for name, mask in members.items()}
    chosen = {
        name: mask for name, mask in chosen.items() if LEAST <= mask.sum() <= len(mask) - LEAST
    }
    whole = scores.measure(seed=seed)
    rows = [_row("", ALL, whole.metric, whole.value, whole.ci_low, whole.ci_high, whole.n)]
    if chosen:
        inside = np.stack(list(chosen.values()))
        p = permutation_p(scores, inside, draws=draws, seed=seed)
        level = 1 - LEVEL / len(chosen)
        found = []
        for (by, name), mask, one, adjusted in zip(chosen, inside, p, holm(p), strict=True):
            here = scores.of(mask)
            low, high = _interval(here, level)
            row = _row(by, name, whole.metric, _value(here), low, high, int(mask.sum()))
            row |= {"rest": _value(scores.of(~mask)), "p": one, "p_holm": adjusted}
            found.append(row | {"worse": bool(adjusted <= LEVEL)})
        rows += sorted(found, key=lambda row: row["value"], reverse=not scores.higher)
    return tidy(rows)


def _row(
    by: str, name: str, metric: str, value: float, low: float, high: float, n: int
) -> dict[str, Any]:
    return {
        "by": by,
        "slice": name,
        "rest": np.nan,
        "p": np.nan,
        "p_holm": np.nan,
        "worse": False,
        "metric": metric,
        "value": value,
        "ci_low": low,
        "ci_high": high,
        "n": n,
    }


def _value(scores: Scores) -> float:
    return float(scores.above.sum() / scores.below.sum())


def _interval(scores: Scores, level: float) -> tuple[float, float]:
    """Wilson's interval of a share; of other ratios the delta method with Student's t."""
    from scipy.stats import binomtest, t

    n = len(scores)
    if scores.is_share:
        share = binomtest(int(scores.above.sum()), n).proportion_ci(level, method="wilson")
        return float(share.low), float(share.high)
    value = _value(scores)
    residual = scores.above - value * scores.below
    error = residual.std(ddof=1) * np.sqrt(n) / scores.below.sum()
    width = float(t.ppf((1 + level) / 2, n - 1) * error)
    return value - width, value + width


def permutation_p(scores: Scores, inside: Mask, *, draws: int = DRAWS, seed: int = 0) -> Floats:
    """One-sided p-values, [slice], that the metric is worse inside a slice than outside.

    Exact where slice and outcome are independent, for any metric; slices of one size share their
    draws.

    Args:
        inside: [slice, example]; neither empty nor everything.
    """
    a, b = scores.above, scores.below
    terms = np.stack([a, b, a * a, a * b, b * b], 1)
    total = terms.sum(0)
    sign = -1.0 if scores.higher else 1.0
    observed = sign * _studentised(inside.astype(np.float64) @ terms, total)
    # As large as observed, but for the last digits of the same sums in another order.
    finite = np.isfinite(observed)
    least = np.where(
        finite, observed - 1e-9 * (1 + np.abs(np.where(finite, observed, 0))), observed
    )
    ends = inside.sum(1) - 1
    random = np.random.default_rng(stream_seed("slices", seed))
    larger = np.zeros(len(inside))
    at_once = max(1, _NUMBERS // terms.size)
    for first in range(0, draws, at_once):
        rows = min(at_once, draws - first)
        order = random.permuted(np.tile(np.arange(len(a)), (rows, 1)), axis=1)
        sums = np.cumsum(terms[order], axis=1)[:, ends]
        larger += (sign * _studentised(sums, total) >= least).sum(0)
    p: Floats = (1 + larger) / (1 + draws)
    return p


def _studentised(sums: Floats, total: Floats) -> Floats:
    """The difference of two ratios by its standard error (delta method), from the sums of the
    terms inside and of all, [..., term]."""

    def ratio_and_variance(s: Floats) -> tuple[Floats, Floats]:
        a, b, aa, ab, bb = np.moveaxis(s, -1, 0)
        ratio = a / b
        squares = aa - 2 * ratio * ab + ratio**2 * bb
        return ratio, np.where(squares > 1e-12 * aa, squares, 0.0) / b**2

    (one, spread), (other, rest) = ratio_and_variance(sums), ratio_and_variance(total - sums)
    error = np.sqrt(spread + rest)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(one == other, 0.0, (one - other) / error)
    return found


# -- the command -----------------------------------------------------------------------------------


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_text_options(parser)
    parser.add_argument(
        "--task", choices=TASKS, default="lm", metavar="TASK", help=f"{', '.join(TASKS)} (lm)"
    )


def _measure(model: Any, options: argparse.Namespace) -> pd.DataFrame:
    kind, records = kind_of(options.task), records_of(options)
    if options.task in ("lm", "mlm"):
        records = [text_of(record) for record in records]
    task = kind.of(records)
    if isinstance(task, Classification) and model.cfg.class_names:
        task = Classification(tuple(model.cfg.class_names))
    return slices(model, task, records, seed=options.seed)


SCRIPT = Script(
    name="slices",
    summary="Where a model is worse than elsewhere, the worst slice first.",
    examples=(
        "  python -m probes.slices --run reviews --data DIR --set sentence_polarity \\\n"
        "    --task classification --sample 1000\n"
        "  python -m probes.slices --run stories --files stories.jsonl"
    ),
    measure=_measure,
    chart=worst_slices_chart,
    add_arguments=_add_arguments,
)

if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
