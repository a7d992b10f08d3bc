"""How surprising each token or word of a text is to a model, in bits.

Surprisal is -log2 p (Hale 2001; Levy 2008). How the model is asked, and which token has no number,
is said in `probes.scoring`. A word's surprisal is the sum over its tokens, the space before it
included: where a tokenizer writes spaces in front, the chance that the word ends there is in the
next word's number (Pimentel & Meister 2024, Oh & Schuler 2024).
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from interp.errors import InputError
from interp.figures.surprisal import surprisal_chart
from probes.frames import tidy
from probes.scoring import Scored, owners, score
from probes.script import Script

By = Literal["token", "word", "text"]

BITS = 1 / math.log(2)
"""Bits in a nat."""


def surprisal(
    model: Any,
    texts: Sequence[str],
    *,
    by: By = "token",
    sources: Sequence[str] | str | None = None,
) -> pd.DataFrame:
    """The surprisal of every token, word or text.

    Args:
        by: what gets a row. Words are what spaces part.
        sources: for an encoder-decoder, see `probes.scoring.score`.

    Returns:
        `text` (which one), `position` (of the unit in it), `token` (its characters), `start` and
        `stop` (where they are), `metric` (`surprisal`), `value` in bits, `n` (tokens that were
        predicted). A unit without any, such as a first token that nothing predicts, has the value
        NaN.

    Raises:
        InputError: another `by`, or what `score` refuses.
    """
    if by not in get_args(By):
        raise InputError(f"by is {by!r}; it must be one of {', '.join(get_args(By))}.")
    return tidy(
        {"text": i, **row, "metric": "surprisal"}
        for i, (text, scored) in enumerate(
            zip(texts, score(model, texts, sources=sources), strict=True)
        )
        for row in _units(text, scored, by)
    )


def _units(text: str, scored: Scored, by: By) -> Iterator[dict[str, Any]]:
    if by == "token":
        spans = [(int(a), int(b)) for a, b in scored.spans]
        owner = np.arange(len(spans))
    elif by == "word":
        spans = [found.span() for found in re.finditer(r"\S+", text)] or [(0, len(text))]
        owner = owners(text, scored.spans, [start for start, _ in spans])
    else:
        spans, owner = [(0, len(text))], np.zeros(len(scored.ids), dtype=np.int64)
    predicted = np.isfinite(scored.log_probs)
    bits = -np.where(predicted, scored.log_probs, 0.0) * BITS
    total = np.bincount(owner, bits, len(spans))
    n = np.bincount(owner, predicted, len(spans)).astype(int)
    for i, (start, stop) in enumerate(spans):
        yield {
            "position": i,
            "token": text[start:stop],
            "start": start,
            "stop": stop,
            "value": total[i] if n[i] else math.nan,
            "n": n[i],
        }


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--text", nargs="+", metavar="TEXT", default=[], help="texts to score")
    parser.add_argument("--file", type=Path, metavar="FILE", help="texts to score, one a line")
    parser.add_argument("--by", choices=get_args(By), default="word")
    parser.add_argument("--source", metavar="TEXT", help="what an encoder-decoder reads")


def _measure(model: Any, options: argparse.Namespace) -> pd.DataFrame:
    texts = list(options.text)
    if options.file is not None:
        texts += [line for line in _lines(options.file) if line.strip()]
    if not texts:
        raise InputError("There is no text to score; give --text or --file.")
    return surprisal(model, texts, by=options.by, sources=options.source)


def _lines(path: Path) -> list[str]:
    from interp.data.sets.files import lines

    return lines(path)


SCRIPT = Script(
    name="surprisal",
    summary="How surprising each token or word of a text is to a model.",
    examples=(
        '  python -m probes.surprisal --run stories --text "Once upon a time there was a cat."\n'
        '  python -m probes.surprisal --run stories-suite --text "The cat sat." --chart bits.html\n'
        "  python -m probes.surprisal --run translate-en-fr --source 'I am tired.'"
        " --text 'Je suis fatigué.'"
    ),
    measure=_measure,
    chart=surprisal_chart,
    add_arguments=_add_arguments,
)

if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
