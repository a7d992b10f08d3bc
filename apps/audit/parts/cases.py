"""Single predictions, failures among them, and what each rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from apps.audit.audited import Audited
from apps.audit.casebook import METHOD, TOLERANCE, Case, Chosen, chosen_cases, explained
from apps.audit.section import Finding, Level, Section
from interp.data.privacy import find_personal
from interp.explain import Attribution
from interp.figures.labels import percent, shorten
from interp.figures.strip import color_limit, token_strip_html
from probes.texts import all_text

if TYPE_CHECKING:
    import pandas as pd

_COMPARED = {
    True: "raises (orange) or lowers (blue, underlined) the log-probability of the whole answer.",
    False: "speaks for the model's answer (orange) or for what it is compared with (blue, "
    "underlined): the right answer where the model is wrong, else its second choice.",
}
SURE, MANY = 0.9, 0.05
"""A confidence, and the share of errors that have it, from which on they are told as a caution."""
_TOKENS = 5  # the weightiest of a case, in the table
_SHOWN = 400  # characters of a text in the table


def part(audited: Audited) -> Section:
    """Chooses, explains, and shows."""
    title = "Single predictions, and what they rest on"
    records = [] if audited.held_out is None else list(audited.held_out.records)
    shown = [record for record in records if not find_personal(all_text(record))]
    if audited.task is None or not shown:
        missing = "task" if audited.task is None else "example that could be shown"
        sentence = f"No single prediction is shown: no {missing} is known."
        unknown = Finding("cases.shown", "unknown", sentence)
        return Section("cases", title, findings=(unknown,), open=(sentence,))
    chosen = chosen_cases(audited, shown)
    found = [explained(case) for case in chosen.cases]
    tables, pictures = _told(chosen, found)
    hidden = len(records) - len(shown)
    return Section(
        "cases",
        title,
        text=(
            f"From {chosen.of}, cases are chosen by rules that were set before: the surest errors, "
            "the least sure answers, the middle ones and some drawn at random. They show what kind "
            "of thing happens, not how often.",
            f"Each strip shows how much every token of the text {_COMPARED[chosen.wrong is None]} "
            "The method is integrated gradients from the mean embedding; its scores must add up to "
            "the difference that they explain, and the table says how far they do not "
            "(completeness error). Whether the method can be trusted on this model is another "
            "part's question.",
            "An address goes behind that of the explorer, which the command interp explore opens: "
            "it shows the case and lets it be changed. Texts with personal data are never chosen.",
        ),
        findings=tuple(_findings(chosen, found)),
        facts={
            "cases": len(chosen.cases),
            "chosen from": chosen.of,
            "method": METHOD.replace("_", " "),
            "texts left out for personal data": hidden,
        },
        tables=tables,
        pictures=pictures,
        measures=_measures(chosen),
        open=("A handful of cases says nothing of how often such cases occur.",),
    )


# -- telling ---------------------------------------------------------------------------------------


def _told(
    chosen: Chosen, found: Sequence[Attribution | None]
) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    import pandas as pd

    cases: list[dict[str, Any]] = []
    figures: list[dict[str, Any]] = []
    addresses: list[dict[str, Any]] = []
    tokens: list[dict[str, Any]] = []
    pictures: dict[str, str] = {}
    for number, (case, one) in enumerate(zip(chosen.cases, found, strict=True), start=1):
        error = np.nan if one is None else one.completeness_error
        cases.append(
            {
                "case": number,
                "rule": case.rule,
                "text": shorten(case.text, _SHOWN),
                "truth": shorten(case.truth, _SHOWN),
                "said": shorten(case.said, _SHOWN),
            }
        )
        figures.append(
            {
                "case": number,
                "confidence": case.confidence,
                chosen.measured: case.right,
                "completeness_error": error,
                "adds_up": one is not None and one.converged,
            }
        )
        addresses.append({"case": number, "address": case.link})
        if one is not None:
            tokens += [{"case": number, **row} for row in _weightiest(one)]
            pictures[f"case_{number}"] = _strips(number, case, one)
    tables = {
        "cases": pd.DataFrame(cases),
        "figures": pd.DataFrame(figures).dropna(axis=1, how="all"),
        "weightiest": pd.DataFrame(tokens),
        "addresses": pd.DataFrame([row for row in addresses if row["address"]]),
    }
    return {name: table for name, table in tables.items() if len(table)}, pictures


def _weightiest(found: Attribution) -> Iterator[dict[str, Any]]:
    frame = found.to_frame()
    order = frame["score"].abs().sort_values(ascending=False, kind="stable").index[:_TOKENS]
    for row in frame.loc[order].itertuples():
        yield {
            "side": row.side,
            "position": row.position,
            "token": row.token,
            "score": row.score,
            "share": row.share,
        }


def _strips(number: int, case: Case, found: Attribution) -> str:
    """The tokens on the colours of their scores; of an encoder-decoder, both sides on one scale."""
    against = f", and not “{case.instead}”" if case.instead else ""
    parts = []
    for side in dict.fromkeys(found.side):
        mine = [i for i, name in enumerate(found.side) if name == side]
        scores = [found.scores[i] for i in mine]
        if not any(scores):
            continue
        parts.append(
            token_strip_html(
                [found.tokens[i] for i in mine],
                scores,
                title=f"Case {number}: {case.rule}" + (f" ({side})" if side == "target" else ""),
                caption=f"Why it says “{shorten(case.said, 120)}”{against}; right is "
                f"“{shorten(case.truth, 120)}”.",
                unit="score",
                limit=color_limit(found.scores),
            )
        )
    return "".join(parts)


def _findings(chosen: Chosen, found: Sequence[Attribution | None]) -> Iterator[Finding]:
    evidence = ("cases",)
    if chosen.wrong is None:
        sentence = (
            f"The worst answer, of {chosen.of}, has {chosen.worst:.3g} in "
            f"{chosen.measured.replace('_', ' ')}; it is among the cases shown."
        )
        yield Finding("cases.worst", "caution", sentence, evidence)
    elif not len(chosen.wrong):
        sentence = f"There is no error among {chosen.of}."
        yield Finding("cases.surest_error", "fine", sentence, evidence)
    else:
        surest, sure = float(chosen.wrong.max()), float((chosen.wrong >= SURE).mean())
        sentence = (
            f"Its surest error, of {chosen.of}, was made with a confidence of {percent(surest)}; "
            f"{percent(sure)} of its {len(chosen.wrong):,} errors were made with {percent(SURE)} "
            "or more."
        )
        level: Level = "caution" if sure >= MANY else "fine"
        if level == "caution":
            sentence += " That it is sure does not mean that it is right."
        yield Finding("cases.surest_error", level, sentence, evidence, weight=sure)
    made = [one for one in found if one is not None]
    if not made:
        sentence = "For answers of this kind no explanation is made here."
        yield Finding("cases.explained", "unknown", sentence)
        return
    good = sum(one.converged for one in made)
    sentence = (
        f"Of {len(made)} explanations, {good} add up to what they explain within "
        f"{percent(TOLERANCE)}."
    )
    if good < len(made):
        sentence += " Do not rely on the others."
    yield Finding("cases.explained", "fine" if good == len(made) else "caution", sentence, evidence)


def _measures(chosen: Chosen) -> dict[str, float]:
    if chosen.wrong is None:
        return {f"worst_{chosen.measured}": chosen.worst}
    if not len(chosen.wrong):
        return {"surest_error": 0.0, "sure_errors": 0.0}
    return {
        "surest_error": float(chosen.wrong.max()),
        "sure_errors": float((chosen.wrong >= SURE).mean()),
    }
