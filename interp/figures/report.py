"""The page of an attribution report: each text under several explainers, and the scorecard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from interp.figures.labels import count, literal, number
from interp.figures.page import facts_html, page_html, paragraph_html, score_table_html
from interp.figures.scorecard import scorecard_table_html
from interp.figures.strip import color_limit, strip_finding, token_strip_html

HOW_TO_READ = (
    "Each strip is one explainer's answer to the same question, in its own scale. The table says "
    "how far each can be trusted on this text and this model, beside three controls that know "
    "nothing of the model's reasons (in italics): a method that is no better than they are has "
    "told nothing. There is no single score, because the checks ask different questions."
)


def report_html(sections: Sequence[Mapping[str, Any]]) -> str:
    """A complete page.

    Args:
        sections: one per text: `text`; `target`, facts of what is explained; `attributions`, each
            with method, tokens, scores, side, unit, facts; `scorecard`, a frame.
    """
    body = [paragraph_html(HOW_TO_READ)]
    for i, section in enumerate(sections):
        found = section["attributions"]
        heading = literal(section["text"]) if len(sections) == 1 else f"Text {i + 1}"
        body.append(f"<h2>{escape(heading)}</h2>")
        if len(sections) > 1:
            body.append(paragraph_html(section["text"]))
        shared = ("model", "target", "predicted at", "baseline")
        facts = {name: found[0]["facts"][name] for name in shared}
        extra = {n: number(v) for n, v in section["target"].items() if not n.endswith("value")}
        body.append(facts_html({**facts, **extra}))
        for attribution in found:
            body += _strips(attribution)
        body.append("<h3>How far can they be trusted?</h3>")
        body.append(scorecard_table_html(section["scorecard"]))
    n = len(sections)
    title = "Attribution report" if n == 1 else f"Attribution report on {count(n, 'text')}"
    return page_html(title, f"<style>{_CSS}</style>", *body)


def _strips(attribution: Mapping[str, Any]) -> list[str]:
    tokens, scores, sides = (attribution[name] for name in ("tokens", "scores", "side"))
    name = attribution["method"].replace("_", " ")
    parts = []
    for side in dict.fromkeys(sides):
        mine = [i for i, owner in enumerate(sides) if owner == side]
        some = [tokens[i] for i in mine], [scores[i] for i in mine]
        title = name.capitalize() + ("" if side == "input" else f": {side}")
        parts += [
            token_strip_html(
                *some, title=title, unit=attribution["unit"], limit=color_limit(scores)
            ),
            paragraph_html(strip_finding(*some)),
            score_table_html(*some, summary=f"The scores of {title.lower()} as a table"),
        ]
    facts = attribution["facts"]
    own = {n: facts[n] for n in ("scores add up to", "completeness error", "cost")}
    return ['<section class="method">', *parts, facts_html(own), "</section>"]


_CSS = (
    "main{max-width:72rem}"
    "h2{font-size:1.15rem;line-height:1.35;font-weight:600;margin:1rem 0 0;"
    "overflow-wrap:anywhere;white-space:pre-wrap}"
    "h3{font-size:1.05rem;font-weight:600;margin:.5rem 0 0}"
    ".method{display:grid;grid-template-columns:minmax(0,1fr);gap:.6rem;padding-top:1rem;"
    "border-top:1px solid var(--line)}"
)
