"""Whether somebody who has a text could tell that the model learnt from it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from apps.audit.audited import Audited
from apps.audit.joined import unknown
from apps.audit.section import Finding, Level, Section
from apps.audit.units import drawn, units_of
from interp.figures.labels import percent
from interp.figures.roc import roc_chart
from interp.figures.still import figure_html
from probes import privacy
from probes.privacy.blind import FOLDS
from probes.privacy.membership import BLIND
from probes.privacy.separation import LEAST_ALARMS

_LEVEL = 0.01

_APART = 0.6
"""AUROC of words alone from which on the two kinds of texts are called different, and of an attack
(its lower end) from which on it is called a risk."""

_GIVE = (
    "Give examples that it learnt from (--learnt) and examples of the same kind that it did not "
    "(--data)."
)

_SHARED = 0.1
"""Share of a held-out text's runs of 13 words that learnt ones have, from which on it is no
stranger."""


def membership(audited: Audited) -> Section:
    """All attacks that read probabilities, beside a baseline that reads only the words."""
    about = "whether somebody could tell what it learnt from"
    if audited.learnt is None or audited.held_out is None:
        return unknown("privacy.membership", about, _GIVE)
    sides = [
        [units[i] for i in drawn(units, audited.at_most(200, 2000), audited, name)]
        for name, units in (
            ("members", units_of(audited.learnt, audited.model)),
            ("others", units_of(audited.held_out, audited.model)),
        )
    ]
    least = min(map(len, sides))
    if least < 2 * FOLDS:
        return unknown(
            "privacy.membership", about, f"There are {least} texts on one side; give more."
        )
    units = [*sides[0], *sides[1]]
    member = np.repeat([True, False], [len(side) for side in sides])
    found = privacy.membership(
        audited.model, units, member, labels=audited.model.cfg.class_names, seed=audited.seed
    )
    frame, curves = found.frame(), found.curves()
    table = frame[["attack", "fpr", "metric", "value", "ci_low", "ci_high", "n", "note"]]
    unsure = min(LEAST_ALARMS / len(sides[1]), 0.99)
    best = _best(frame)
    text = (
        f"{len(sides[0])} texts that the model learnt from and {len(sides[1])} that it did not are "
        "ordered by how familiar they look to it, in each way that probabilities allow. AUROC is "
        "the chance that a learnt one looks more familiar than another: 50% is guessing. `blind` "
        "is told the words alone and never asks the model: a way of attack counts only above it.",
    )
    return Section(
        "",
        "",
        text=text,
        findings=(_verdict(frame, best),),
        tables={"membership": table.reset_index(drop=True)},
        pictures={
            "membership": figure_html(
                lambda scheme: roc_chart(curves, blind=BLIND, unsure_below=unsure, scheme=scheme)
            )
        },
        measures={
            "membership.auroc": _value(frame, best, "auroc"),
            "membership.blind": _value(frame, BLIND, "auroc"),
            "membership.p": _value(frame, best, "p_value"),
            "membership.overlap": _value(frame, "", "overlap_13"),
        },
        open=_open(frame, best, len(sides[1])),
    )


def _value(frame: pd.DataFrame, attack: str, metric: str) -> float:
    rows = frame[(frame["attack"] == attack) & (frame["metric"] == metric)]
    return float(rows["value"].iloc[0])


def _best(frame: pd.DataFrame) -> str:
    """The attack with the smallest p-value; of equals, the one that separates best."""
    attacks: list[str] = sorted(set(frame["attack"]) - {BLIND, ""})
    return min(
        attacks, key=lambda one: (_value(frame, one, "p_value"), -_value(frame, one, "auroc"))
    )


def _differ(frame: pd.DataFrame) -> str:
    """In what the two kinds of texts differ besides having been learnt from; empty if in nothing
    that was looked at."""
    blind = frame[(frame["attack"] == BLIND) & (frame["metric"] == "auroc")].iloc[0]
    if blind["value"] >= _APART and blind["ci_low"] > 0.5:
        return (
            f"Their words alone tell the two kinds of texts apart in {percent(blind['value'])} of "
            "the pairs, without the model, so they were not drawn alike, and the figure says little"
        )
    shared = _value(frame, "", "overlap_13")
    if shared >= _SHARED:
        return (
            f"{percent(shared)} of the runs of 13 words of the texts that it is said not to have "
            "learnt from stand in those that it has, so they are no strangers to it, and the "
            "figure says little"
        )
    return ""


def _verdict(frame: pd.DataFrame, best: str) -> Finding:
    p, evidence = _value(frame, best, "p_value"), ("membership",)
    area = frame[(frame["attack"] == best) & (frame["metric"] == "auroc")].iloc[0]
    said = (
        f"Of a text that it learnt from and one that it did not, the best attack ({best}) tells "
        f"which is which in {percent(area['value'])} of the pairs ({percent(area['ci_low'])} to "
        f"{percent(area['ci_high'])}; guessing: 50%)"
    )
    differ = _differ(frame)
    if differ:
        sentence = f"{differ}: {said[0].lower()}{said[1:]}."
        return Finding("privacy.membership", "caution", sentence, evidence, float(area["value"]))
    if p > _LEVEL:
        sentence = (
            f"Nobody could be shown to be able to tell what it learnt from. {said}, no better than "
            f"chance or than the words alone (p = {p:.2g}, corrected for the number of attacks)."
        )
        return Finding("privacy.membership", "fine", sentence, evidence)
    strong = area["ci_low"] >= _APART
    begin = "Who has a text can tell that it learnt from it"
    if not strong:
        begin = (
            "Who has a text can tell better than by guessing, but not surely, what it learnt from"
        )
    sentence = (
        f"{begin}. {said}, which is neither chance nor a matter of the words (p = {p:.1g}, "
        f"corrected for the number of attacks).{_sure(frame, best)}"
    )
    level: Level = "risk" if strong else "caution"
    return Finding("privacy.membership", level, sentence, evidence, 10 * float(area["value"]) - 5)


def _sure(frame: pd.DataFrame, attack: str) -> str:
    """How many learnt texts are found at the lowest known rate of false alarms."""
    rows = frame[(frame["attack"] == attack) & (frame["metric"] == "tpr")].dropna(subset="value")
    if not len(rows):
        return ""
    row = rows.loc[rows["fpr"].idxmin()]
    return (
        f" It finds {percent(row['value'])} of them while it wrongly accuses "
        f"{percent(row['fpr'])} of the others."
    )


def _open(frame: pd.DataFrame, attack: str, others: int) -> tuple[str, ...]:
    """What the attack leaves open: texts that differ, and rates that so few cannot show."""
    found = []
    differ = _differ(frame)
    if differ:
        found.append(f"{differ}. It can be judged on texts that were told apart by lot.")
    unknown_rates = frame[(frame["attack"] == attack) & (frame["metric"] == "tpr")]
    unknown_rates = unknown_rates[unknown_rates["value"].isna()]
    if len(unknown_rates):
        rate = float(unknown_rates["fpr"].max())
        found.append(
            f"How many texts an attacker finds who wrongly accuses {percent(rate)} of the others "
            f"is not known: that needs {LEAST_ALARMS / rate:,.0f} texts that it did not learn "
            f"from, and there are {others}."
        )
    return tuple(found)
