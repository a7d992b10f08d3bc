"""What changes when parts of the model are taken away, beside chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from apps.audit.audited import Audited, Examples
from apps.audit.section import Finding, Section
from interp.data.order import stream_seed
from interp.errors import InterpError
from interp.figures.ablation import ablation_chart, part_name
from interp.figures.labels import percent
from interp.figures.still import figure_html
from probes.ablation import ablation
from probes.frames import tidy
from probes.stakes import commonest, staked

if TYPE_CHECKING:
    import pandas as pd

TITLE = "What changes when its parts are taken away"
LEVEL = 0.05
MOST = 0.5  # of what the model can do beyond guessing, from which on a part carries most of it
_LENGTH = 32  # tokens of a text


def part(audited: Audited) -> Section:
    """Every head, attention layer and feed-forward layer, put to its mean."""
    given = audited.held_out or audited.learnt
    if given is None or not len(given.records):
        return _unknown("there are no examples on which a loss could show")
    records = _some(audited, given)
    try:
        frame = ablation(audited.model, records, audited.task, length=_LENGTH, seed=audited.seed)
        guess = commonest(staked(audited.model, records, audited.task, length=_LENGTH))
    except InterpError as error:
        return _unknown(str(error))
    drawn = tidy(frame, run=audited.name, step=None)
    parts = _parts(frame)
    whole = _whole(frame)
    heads = parts[parts["head"].notna()]
    return Section(
        "interventions",
        TITLE,
        text=(
            "Each head, attention layer and feed-forward layer of the model is silenced in turn: "
            "at every position it gives what it gives on average over these examples. How far the "
            "answers move, how many become others and how many stay right is what the part is for.",
            "Every disturbance does harm. So each part is also changed by the same amounts in a "
            "random direction (chance). A part counts where it moves the answers further than that "
            f"(sign flips over the examples, {LEVEL:.0%}, corrected for all parts).",
        ),
        findings=tuple(_findings(parts, whole, guess)),
        facts={
            "examples from": given.source,
            "examples": int(whole["accuracy"]["n"]),
            "parts": len(parts),
            "right answers of who always gives the most frequent one": percent(guess),
        },
        tables={"parts": frame},
        pictures={"parts": figure_html(lambda scheme: ablation_chart(drawn, scheme))},
        measures={
            "largest_head_share": float(_share(heads, whole, guess).max()) if len(heads) else 0.0,
            "largest_part_share": float(_share(parts, whole, guess).max()),
            "parts_beyond_chance": float((parts["p"] < LEVEL).sum()),
        },
        open=(
            "Other parts may make up for one that is silenced, so that a small effect does not "
            "show that a part has no role; parts were not silenced together.",
        ),
    )


def _some(audited: Audited, given: Examples) -> Sequence[Any]:
    """As many records as the depth allows, drawn by the seed."""
    short = audited.model.cfg.head != "lm"
    most = audited.at_most(200, 1000) if short else audited.at_most(48, 300)
    n = len(given.records)
    if most is None or n <= most:
        return given.records
    random = np.random.default_rng(stream_seed("audit interventions", audited.seed))
    return [given.records[i] for i in sorted(random.permutation(n)[:most].tolist())]


def _parts(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a part, a column a metric, with the interval of the accuracy."""
    of_parts = frame[frame["site"] != "model"]
    keys = ["site", "layer", "head"]
    wide = of_parts.pivot_table(
        index=keys, columns="metric", values="value", dropna=False, observed=True, sort=False
    ).dropna(how="all")
    exact = of_parts[of_parts["metric"] == "accuracy"].set_index(keys)
    wide["ci_low"], wide["ci_high"] = exact["ci_low"], exact["ci_high"]
    return wide.reset_index()


def _whole(frame: pd.DataFrame) -> dict[str, Any]:
    mine = frame[frame["site"] == "model"].set_index("metric")
    return {name: mine.loc[name] for name in ("accuracy", "loss")}


def _share(parts: pd.DataFrame, whole: dict[str, Any], guess: float) -> pd.Series:
    """How much of what the model can do beyond guessing goes with each part, at most all of it."""
    beyond = float(whole["accuracy"]["value"]) - guess
    if beyond <= 0:
        return parts["accuracy"] * 0.0
    return ((float(whole["accuracy"]["value"]) - parts["accuracy"]) / beyond).clip(0, 1)


def _findings(parts: pd.DataFrame, whole: dict[str, Any], guess: float) -> Iterator[Finding]:
    heads, layers = parts[parts["head"].notna()], parts[parts["head"].isna()]
    accuracy = float(whole["accuracy"]["value"])
    if accuracy <= guess:
        yield Finding(
            "interventions.skill",
            "unknown",
            f"What its parts are worth shows little here: it answers {percent(accuracy)} rightly, "
            f"no more than who always gives the most frequent answer ({percent(guess)}).",
            ("parts",),
        )
    for key, what, some in (("heads", "head", heads), ("layers", "layer", layers)):
        if len(some):
            yield _finding(key, what, some, whole, guess)


def _finding(
    key: str, what: str, some: pd.DataFrame, whole: dict[str, Any], guess: float
) -> Finding:
    """Whether one part of a kind carries most of what the model can do."""
    share = _share(some, whole, guess)
    beyond = some["p"] < LEVEL
    k = (share if share.max() > 0 else some["moved"]).idxmax()
    row, name = some.loc[k], _said(part_name(next(some.loc[[k]].itertuples())))
    accuracy = float(whole["accuracy"]["value"])
    without = (
        f"without {name} it answers {percent(float(row['accuracy']))} rightly instead of "
        f"{percent(accuracy)} ({percent(float(row['ci_low']))} to "
        f"{percent(float(row['ci_high']))}), and {percent(float(row['changed']))} of the answers "
        f"are others; a random change of the same size alters "
        f"{percent(float(row['changed, chance']))}"
    )
    many = f"{int(beyond.sum())} of {len(some)} {what}s move the answers beyond chance"
    if float(share[k]) >= MOST and bool(beyond[k]):
        return Finding(
            f"interventions.{key}",
            "caution",
            f"One {what} carries most of what it can do: {without}. {many}.",
            ("parts",),
            float(share[k]),
        )
    return Finding(
        f"interventions.{key}",
        "fine",
        f"No single {what} carries most of what it can do. The most weighty: {without}. {many}.",
        ("parts",),
        float(share[k]),
    )


def _said(name: str) -> str:
    """A part as one says it."""
    return name.replace("mlp", "feed-forward layer").replace("attention", "attention layer")


def _unknown(why: str) -> Section:
    return Section(
        "interventions",
        TITLE,
        text=("Parts of the model would be silenced, and the loss on examples compared.",),
        findings=(
            Finding(
                "interventions.heads",
                "unknown",
                f"What its parts are worth is not known: {why.rstrip('.')}.",
            ),
        ),
        open=("What changes when parts of the model are taken away.",),
    )
