"""What attention heads look at, beside those of the same model with random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.audit.audited import Audited
from apps.audit.parts.probes.moments import moments
from apps.audit.section import Finding, Section
from interp.figures.heads import head_chart
from interp.figures.labels import count, percent
from interp.figures.still import figure_html
from interp.model.transformer import HookedTransformer
from probes.frames import tidy
from probes.heads import attention_scores
from probes.passages import repeats
from probes.subjects import over

_TWIN = 20_000  # seeds of random weights, far from those that people train with

_LEVEL = 0.01

_LOOKS = {
    "previous": "the token right before",
    "next": "the token right behind",
    "duplicate": "another place where the same token stands",
    "induction": "what followed the same token elsewhere, by which it can go on as before",
}


def looking(audited: Audited) -> Section:
    """The scores of all heads on random tokens that repeat, where nothing else can be used."""
    rows = audited.at_most(32, 128, 512) or 0

    def measure(model: Any) -> pd.DataFrame:
        return attention_scores(model, repeats(model, rows=rows, seed=audited.seed))

    frame = over(moments(audited), measure)
    last = frame[frame["step"].isna() | (frame["step"] == frame["step"].max())]
    twins = _twins(audited, measure)
    findings = [
        _verdict(metric, last[last["metric"] == metric], twins)
        for metric in _LOOKS
        if (last["metric"] == metric).any()
    ]
    best = last[last["metric"].isin(_LOOKS)].groupby("metric")["value"].max()
    panels = [metric for metric in (*_LOOKS, "first") if (frame["metric"] == metric).any()]
    text = (
        "An attention head takes something over from other places of the text. How much of its "
        "attention falls on certain places is measured on random tokens of which a passage comes "
        "again, so that nothing but the repetition can be used. `chance` is what a head gives that "
        "attends to all alike. Heads are called by block and number, both counted from 0.",
    )
    return Section(
        "",
        "",
        text=text,
        findings=tuple(findings),
        tables={"heads": frame, **({} if twins is None else {"heads_random": twins})},
        pictures={
            "heads": figure_html(lambda scheme: head_chart(frame, scheme, panels=panels)),
        },
        measures={f"heads.{metric}": float(value) for metric, value in best.items()},
    )


def _twins(audited: Audited, measure: Any) -> pd.DataFrame | None:
    """The scores of the same model with random weights; none of a model that is not built here."""
    model = audited.model
    if not isinstance(model, HookedTransformer):
        return None
    found = []
    for draw in range(audited.at_most(8, 16, 32) or 0):
        twin = HookedTransformer(model.cfg, model.tokenizer, seed=_TWIN + draw).eval()
        found.append(tidy(measure(twin), draw=draw))
    return pd.concat(found, ignore_index=True)


def _verdict(metric: str, rows: pd.DataFrame, twins: pd.DataFrame | None) -> Finding:
    best = rows.loc[rows["value"].idxmax()]
    site = f" of {best['site']}" if rows["site"].nunique() > 1 else ""
    who = f"head {best['layer']}.{best['head']}{site}"
    key = f"probes.heads_{metric}"
    said = f"{who} gives it {percent(best['value'])} of its attention"
    if twins is None:
        sentence = (
            f"Of {count(len(rows), 'attention head')} the one that looks most at {_LOOKS[metric]}: "
            f"{said}, where one that looks everywhere alike gives {percent(best['chance'])}."
        )
        return Finding(key, "fine", sentence, ("heads",))
    largest = twins[twins["metric"] == metric].groupby("draw")["value"].max().to_numpy()
    most, bound = float(largest.max()), _bound(largest)
    more = int((rows["ci_low"] > bound).sum())
    evidence = ("heads", "heads_random")
    if not more:
        sentence = (
            f"No attention head looks at {_LOOKS[metric]} beyond what heads with random weights "
            f"do: {said}, the first of those {percent(most)} at most."
        )
        return Finding(key, "fine", sentence, evidence)
    verb = "looks" if more == 1 else "look"
    sentence = (
        f"{more} of {count(len(rows), 'attention head')} {verb} at {_LOOKS[metric]}, beyond what "
        f"random weights do: {said}, the first of those {percent(most)} at most."
    )
    return Finding(key, "fine", sentence, evidence, float(best["value"]) - most)


def _bound(largest: NDArray[np.float64]) -> float:
    """What the first head of one more model with random weights exceeds with a probability of a
    hundredth for all looks together: a prediction bound of Student's t."""
    from scipy.stats import t

    n = len(largest)
    reach = float(t.ppf(1 - _LEVEL / len(_LOOKS), n - 1)) * float(largest.std(ddof=1))
    return float(largest.mean()) + reach * float(np.sqrt(1 + 1 / n))
