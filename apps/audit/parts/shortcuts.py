"""Which single words or surface features decide, whatever the text says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from apps.audit.audited import Audited, Examples
from apps.audit.section import Finding, Section
from interp.data.order import stream_seed
from interp.errors import InterpError
from interp.figures.labels import percent, shorten, visible
from interp.figures.shortcuts import shortcuts_chart
from interp.figures.still import figure_html
from probes.frames import tidy
from probes.shortcuts import NULL, TURNS, deciding, shortcuts
from probes.surface import EDITS, KEEPS_MEANING

if TYPE_CHECKING:
    import pandas as pd

TITLE = "Which single words decide, whatever the text says"
FIRST = 1000.0
"""Weight of a word that decides: nothing else that is known of the model matters more."""
STRONG = 0.5  # of the texts, from which on a word is worth a caution
CHANGES = 0.25  # of the verdicts, from which on a way of writing is


def part(audited: Audited) -> Section:
    """Words that are put in, taken out, and texts that are written otherwise."""
    given = audited.held_out or audited.learnt
    if given is None or not len(given.records):
        return _unknown("there are no texts to put words into")
    classifier = audited.model.cfg.head == "classification"
    try:
        frame = shortcuts(
            audited.model,
            _some(audited, given),
            labels=getattr(audited.task, "labels", None) or None,
            known=[] if audited.learnt is None else audited.learnt.records,
            words=audited.at_most(5000, 20_000) if classifier else audited.at_most(400, 4000),
            texts=audited.at_most(100, 300, 1000) or 1000,
            seed=audited.seed,
        )
    except InterpError as error:
        return _unknown(str(error))
    words = frame[frame["feature"].isin(["word", "chance"])].drop(columns="feature")
    turned = frame[frame["metric"] == "turned"]
    strongest = turned[turned["feature"] == "word"]
    chance = turned[turned["feature"] == "chance"]
    edits = frame[frame["feature"] == "edit"]
    tried = int(frame.loc[frame["metric"] == "tried", "value"].iloc[0])
    drawn = tidy(frame, run=audited.name, step=None)
    return Section(
        "shortcuts",
        TITLE,
        text=(
            "A model that has learnt a shortcut looks for a sign that goes with the answer and "
            "does not read the rest. Here each word at hand, of texts and vocabulary, was "
            "put into texts of which the model was sure, and the model was asked again. The "
            "strongest were then put into other texts, at the start, in the middle and at the end.",
            f"A word decides if it turns at least {TURNS:.0%} of the texts from one sure answer to "
            f"another, and chance cannot explain more than {NULL:.0%} (exact binomial test, 5 %, "
            "corrected for all words of the last round). Honest words turn some texts, not all. "
            "Random words stand beside them.",
        ),
        findings=tuple(_findings(frame, tried, classifier)),
        facts={"texts from": given.source, "words tried": tried},
        tables={
            "words": words.reset_index(drop=True),
            **({"written": _plain(edits)} if len(edits) else {}),
        },
        pictures={"words": figure_html(lambda scheme: shortcuts_chart(drawn, scheme))},
        measures={
            "deciding_words": float(deciding(frame)["token"].nunique()),
            "strongest_word": float(strongest["value"].max()),
            "random_words": float(chance["value"].max()),
        },
        open=(
            "Phrases, and words that decide only together, were not looked for.",
            "Whether a word that decides is a shortcut or the very thing to be noticed can only be "
            "said by who knows the task.",
        ),
    )


def _some(audited: Audited, given: Examples) -> Sequence[Any]:
    """As many records as the depth allows, drawn by the seed."""
    most = audited.at_most(1000, 5000)
    n = len(given.records)
    if most is None or n <= most:
        return given.records
    random = np.random.default_rng(stream_seed("audit shortcuts", audited.seed))
    return [given.records[i] for i in sorted(random.permutation(n)[:most].tolist())]


def _findings(frame: pd.DataFrame, tried: int, classifier: bool) -> Iterator[Finding]:
    turned = frame[frame["metric"] == "turned"]
    words, chance = (turned[turned["feature"] == name] for name in ("word", "chance"))
    beside = f"Random words turn at most {percent(chance['value'].max())}."
    deciders = deciding(frame)
    anywhere = deciders["place"].ne("anywhere").sort_values(kind="stable").index
    deciders = deciders.loc[anywhere].drop_duplicates(["token", "label"]).sort_index()
    answer = "verdict" if classifier else "next word"
    if len(deciders):
        named = "; ".join(_sentence(row, answer) for row in deciders.head(5).itertuples())
        one = len(deciders) == 1
        yield Finding(
            "shortcuts.words",
            "risk",
            f"{'A single word decides' if one else 'Single words decide'}, whatever else the text "
            f"says: {named}. {beside}{_against(frame, deciders)}",
            ("words",),
            FIRST + float(deciders["value"].max()),
        )
    else:
        top = words.loc[words["value"].idxmax()]
        strong = bool(top["ci_low"] >= STRONG)
        yield Finding(
            "shortcuts.words",
            "caution" if strong else "fine",
            f"No single word decides whatever the text says: of {tried:,} that were tried, the "
            f"strongest, {_sentence(top, answer, comma=True)}. {beside}",
            ("words",),
            float(top["value"]),
        )
    edits = frame[frame["feature"] == "edit"].set_index("token")
    if len(edits):
        yield _written(edits)


def _sentence(row: Any, answer: str, *, comma: bool = False) -> str:
    at = "" if row.place == "anywhere" else f" at the {row.place}"
    hits = round(row.value * row.n)
    name = f"{_quoted(row.token)}{at}{',' if comma else ''}"
    return (
        f"{name} turns the {answer} to {_quoted(row.label)} in {hits} of {row.n} texts that "
        "were surely judged otherwise"
    )


def _against(frame: pd.DataFrame, deciders: pd.DataFrame) -> str:
    """What becomes of the texts that have such a word and mean something else."""
    of_them = frame[frame["token"].isin(list(deciders["token"])) & (frame["feature"] == "word")]
    against = of_them[of_them["metric"] == "right against"]
    against = against.drop_duplicates(["token", "label"])
    n = int(against["n"].sum())
    if n < 10:
        return ""
    right = round(float((against["value"] * against["n"].astype(float)).sum()))
    return f" Of {n} texts that have such a word and another true class, it judges {right} rightly."


def _written(edits: pd.DataFrame) -> Finding:
    """The ways of writing that change the most verdicts, beside a random word less."""
    beside = edits.loc["a word taken out"] if "a word taken out" in edits.index else None
    least = CHANGES if beside is None else max(CHANGES, float(beside["ci_high"]))
    less = (
        ""
        if beside is None
        else f" With a random word less, {percent(float(beside['value']))} change."
    )
    tried = edits[edits.index.isin(list(EDITS))].sort_values("value", ascending=False)
    moving = tried[tried["ci_low"] > least]
    if len(moving):
        named = "; ".join(
            f"{name}, {percent(row['value'])} of the texts get another verdict, "
            f"{_quoted(str(row['label']))} in most cases"
            for name, row in moving.iterrows()
        )
        why = " though the meaning stays" if set(moving.index) & set(KEEPS_MEANING) else ""
        return Finding(
            "shortcuts.written",
            "caution",
            f"The way a text is written changes its verdict{why}: {named}.{less}",
            ("written",),
            float(moving["value"].max()),
        )
    top = tried.iloc[0] if len(tried) else beside
    assert top is not None
    return Finding(
        "shortcuts.written",
        "fine",
        "Capitals, marks, length, the first and the last word do not decide by themselves: at most "
        f"{percent(float(top['value']))} of the texts get another verdict ({top.name}).{less}",
        ("written",),
    )


def _plain(edits: pd.DataFrame) -> pd.DataFrame:
    frame = edits.rename(columns={"token": "written", "label": "most_change_to"})
    columns = ["written", "most_change_to", "metric", "value", "ci_low", "ci_high", "n"]
    return frame[columns].reset_index(drop=True)


def _quoted(text: str) -> str:
    return f"“{shorten(visible(text), 40)}”"


def _unknown(why: str) -> Section:
    said = why if why.endswith(".") else f"{why}."
    return Section(
        "shortcuts",
        TITLE,
        text=("Words would be put into texts about which the model is sure.",),
        findings=(
            Finding(
                "shortcuts.words", "unknown", f"Whether single words decide is not known: {said}"
            ),
        ),
        open=("Whether single words decide, whatever the text says.",),
    )
