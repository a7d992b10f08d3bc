"""Syntactic tests of regions: whether a model is surprised where a reader should be (SyntaxGym).

An item of a suite has several conditions: sentences in numbered regions. A formula over the
surprisals of regions says what grammar predicts, `(6;%match%) < (6;%mismatch%)`, and an item is
right where its formula holds (Hu et al. 2020, arXiv 2005.03692).

Two points differ from the original. A comparison of equal surprisals counts 1/2, and `&`
multiplies, so that a scorer that says the same of everything stays at chance. And predictions of
*equal* surprisals are left out: their truth is a matter of tolerance, and that same scorer would
fulfil them.
"""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from interp.data.records import Condition, Suite
from interp.data.sets import read_set
from interp.errors import InputError
from interp.figures.syntaxgym import syntaxgym_chart
from probes.frames import tidy
from probes.minimal_pairs import preferred
from probes.scoring import Scored, owners, score
from probes.script import Script
from probes.statistics import cluster_bootstrap
from probes.surprisal import BITS

Floats = NDArray[np.float64]
Surprisals = Mapping[str, Floats]
"""The condition's name -> surprisals of its regions, [item, region], in bits."""

_TOKEN = re.compile(r"\s*(?:\((\d+|\*);%([\w-]+)%\)|(\d+(?:\.\d+)?)|([()\[\]&<>=+-]))")
_CLOSES = {"(": ")", "[": "]"}


@dataclass(frozen=True)
class Formula:
    """A prediction over the surprisals of regions.

    Attributes:
        text: as the suite writes it.
        tokens: its pieces: regions, numbers and signs.
    """

    text: str
    tokens: tuple[Any, ...]

    @classmethod
    def read(cls, text: str) -> Formula:
        """Takes a formula apart.

        Raises:
            InputError: names where it cannot be read.
        """
        tokens: list[Any] = []
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if found is None:
                raise InputError(f"The formula {text!r} cannot be read from {text[place:]!r} on.")
            region, condition, number, sign = found.groups()
            if condition is not None:
                tokens.append((condition, None if region == "*" else int(region) - 1))
            else:
                tokens.append(sign if number is None else float(number))
            place = found.end()
        return cls(text, tuple(tokens))

    @property
    def predicts_equality(self) -> bool:
        return "=" in self.tokens

    def __call__(self, surprisals: Surprisals) -> Floats:
        """How far it holds for each item: 1, 0, or between where surprisals are equal, [item].

        Raises:
            InputError: it names a region or condition that there is not, or makes no statement.
        """
        value, rest, truth = self._all(surprisals, list(self.tokens))
        if rest or not truth:
            raise InputError(f"The formula {self.text!r} is no statement that holds or does not.")
        return value

    # Each level reads what it can from the front, and says whether that is a truth or a number.

    def _all(self, given: Surprisals, tokens: list[Any]) -> tuple[Floats, list[Any], bool]:
        value, tokens, truth = self._comparison(given, tokens)
        while tokens and tokens[0] == "&":
            right, tokens, also = self._comparison(given, tokens[1:])
            self._require(truth and also)
            value = value * right
        return value, tokens, truth

    def _comparison(self, given: Surprisals, tokens: list[Any]) -> tuple[Floats, list[Any], bool]:
        left, tokens, truth = self._sum(given, tokens)
        if not tokens or tokens[0] not in ("<", ">"):
            return left, tokens, truth
        sign = tokens[0]
        right, tokens, also = self._sum(given, tokens[1:])
        self._require(not truth and not also)
        left, right = np.broadcast_arrays(left, right)
        return preferred(*((left, right) if sign == ">" else (right, left))), tokens, True

    def _sum(self, given: Surprisals, tokens: list[Any]) -> tuple[Floats, list[Any], bool]:
        value, tokens, truth = self._one(given, tokens)
        while tokens and tokens[0] in ("+", "-"):
            sign = 1.0 if tokens[0] == "+" else -1.0
            right, tokens, also = self._one(given, tokens[1:])
            self._require(not truth and not also)
            value = value + sign * right
        return value, tokens, truth

    def _one(self, given: Surprisals, tokens: list[Any]) -> tuple[Floats, list[Any], bool]:
        self._require(bool(tokens))
        first, tokens = tokens[0], tokens[1:]
        if isinstance(first, tuple):
            return self._region(given, *first), tokens, False
        if isinstance(first, float):
            return np.array(first), tokens, False
        self._require(first in _CLOSES)
        value, tokens, truth = self._all(given, tokens)
        self._require(bool(tokens) and tokens[0] == _CLOSES[first])
        return value, tokens[1:], truth

    def _region(self, given: Surprisals, condition: str, region: int | None) -> Floats:
        if condition not in given:
            raise InputError(f"The formula {self.text!r} names a condition {condition!r}.")
        regions = given[condition]
        if region is None:
            whole: Floats = regions.sum(1)
            return whole
        if not 0 <= region < regions.shape[1]:
            raise InputError(f"The formula {self.text!r} names a region {region + 1}.")
        return regions[:, region]

    def _require(self, fits: bool) -> None:
        if not fits:
            raise InputError(f"The formula {self.text!r} cannot be read.")


def syntaxgym(
    model: Any,
    suites: Sequence[Suite],
    *,
    sources: str | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """How many items of each suite a model is surprised by as grammar predicts.

    Args:
        sources: what an encoder-decoder reads.
        seed: of the bootstrap.

    Returns:
        `task` (the suite; missing for all, each suite counting alike), `formula`, and as `metric`

        - `accuracy`: the share of items for which the formula holds, with its interval over items,
          or for all over suites;
        - `chance`: the same if the conditions of each item are dealt out anew, in all ways.

    Raises:
        InputError: no suites, a formula that does not fit, or what `score` refuses.
    """
    if not suites:
        raise InputError("There are no suites to judge.")
    sentences = [c for suite in suites for item in suite.items for c in item]
    scored = iter(score(model, [_text(c) for c in sentences], sources=sources))
    rows = [row for suite in suites for row in _suite(suite, scored, seed)]
    if not rows:
        raise InputError("The suites predict nothing but equal surprisals.")
    means = np.array(
        [[r["value"] for r in rows if r["metric"] == m] for m in ("accuracy", "chance")]
    )
    names = [row["task"] for row in rows if row["metric"] == "accuracy"]
    low, high = cluster_bootstrap(means.T, names, seed=seed)
    several = len(set(names)) > 1
    for i, metric in enumerate(("accuracy", "chance")):
        rows.append(
            {
                "metric": metric,
                "value": means[i].mean(),
                "ci_low": low[i] if several else np.nan,
                "ci_high": high[i] if several else np.nan,
                "n": len(names),
            }
        )
    return tidy(rows)


def _suite(suite: Suite, scored: Iterator[Scored], seed: int) -> Iterator[dict[str, Any]]:
    by_item = [
        {condition.name: _regions(condition, next(scored)) for condition in item}
        for item in suite.items
    ]
    names = list(by_item[0])
    if any(item.keys() != set(names) for item in by_item):
        raise InputError(f"The items of the suite {suite.name!r} differ in their conditions.")
    surprisals = {name: np.stack([item[name] for item in by_item]) for name in names}
    for formula in map(Formula.read, suite.formulas):
        if formula.predicts_equality:
            continue
        right = formula(surprisals)
        dealt = [
            formula({name: surprisals[other] for name, other in zip(names, order, strict=True)})
            for order in itertools.permutations(names)
        ]
        columns = np.stack([right, np.mean(dealt, 0)], 1)
        low, high = cluster_bootstrap(columns, np.arange(len(right)), seed=seed)
        for i, metric in enumerate(("accuracy", "chance")):
            yield {
                "task": suite.name,
                "formula": formula.text,
                "metric": metric,
                "value": columns[:, i].mean(),
                "ci_low": low[i] if len(right) > 1 else np.nan,
                "ci_high": high[i] if len(right) > 1 else np.nan,
                "n": len(right),
            }


def _text(condition: Condition) -> str:
    """The sentence of a condition; a region may be empty."""
    return " ".join(region for region in condition.regions if region)


def _regions(condition: Condition, scored: Scored) -> Floats:
    """The surprisal of each region in bits, [region]; an empty one has none."""
    filled = [i for i, region in enumerate(condition.regions) if region]
    lengths = [len(condition.regions[i]) + 1 for i in filled]
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    owner = np.array(filled)[owners(_text(condition), scored.spans, starts)]
    nats = -np.nan_to_num(scored.log_probs)
    return np.bincount(owner, nats, len(condition.regions)).astype(np.float64) * BITS


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="of data sets")
    parser.add_argument("--source", metavar="TEXT", help="what an encoder-decoder reads")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")


def _measure(model: Any, options: argparse.Namespace) -> pd.DataFrame:
    suites = read_set("syntaxgym", options.data, "test")
    return syntaxgym(model, suites, sources=options.source, seed=options.seed)


SCRIPT = Script(
    name="syntaxgym",
    summary="Whether a model is surprised where grammar says: the suites of SyntaxGym.",
    examples=(
        "  python -m probes.syntaxgym --run stories --data DIR --chart suites.html\n"
        "  python -m probes.syntaxgym --run stories-suite --data DIR --out suites.parquet"
    ),
    measure=_measure,
    chart=syntaxgym_chart,
    add_arguments=_add_arguments,
)

if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
