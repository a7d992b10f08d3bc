"""The scorecard of explainers as a table: metrics down, methods and controls across."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from interp.figures.figure import require_columns
from interp.figures.labels import literal, number

if TYPE_CHECKING:
    import pandas as pd

# Metric -> what it asks, for those who meet it for the first time. The order is that of the table.
QUESTIONS = {
    "completeness error": "Do the scores add up to what they explain?",
    "ABPC": "Does the target fall sooner when high scores go first than when they go last? "
    "0 for a random order.",
    "comprehensiveness": "How much probability goes with the highest scores?",
    "sufficiency": "How much probability is lost when only the highest scores stay?",
    "comprehensiveness (log-odds)": "",
    "sufficiency (log-odds)": "",
    "soft comprehensiveness": "The same with parts of embeddings, at equal amounts of text.",
    "soft sufficiency": "How much stays, with parts of embeddings, at equal amounts of text?",
    "tau, leave-one-out": "Same order as leaving out one at a time?",
    "rho, exact Shapley": "Same order as exact Shapley values?",
    "infidelity": "Error in predicting the fall when several go at once; 1 is a constant's.",
    "max-sensitivity": "Largest change of the scores when the embeddings move by 2 %.",
    "randomised all weights": "Same order of sizes on a model with random weights? Should not be.",
    "randomised upper half": "The same with only the upper half random.",
    "baseline stability": "Same order against another baseline?",
    "rationale F1": "Same units as people marked?",
    "rationale AUPRC": "The same, without choosing how many.",
    "seconds": "",
    "forwards": "",
    "backwards": "",
    "peak MiB": "",
}
_ARROWS = {"higher": "↑", "lower": "↓", "near 0": "→ 0"}


def scorecard_table_html(frame: pd.DataFrame) -> str:
    """The rows of a scorecard (method, kind, metric, value, ci_low, ci_high, better) as a table.

    Arrows say which way is good. A value's interval stands below it; where there is none, the
    figure is exact for the text.
    """
    require_columns(
        frame, ("method", "kind", "metric", "value", "ci_low", "ci_high", "better"), "scorecard"
    )
    methods = frame[["method", "kind"]].drop_duplicates()
    order = {name: i for i, name in enumerate(QUESTIONS)}
    metrics = sorted(
        dict.fromkeys(frame["metric"]), key=lambda name: (order.get(name, len(order)), name)
    )
    cells = {(row.method, row.metric): row for row in frame.itertuples()}
    head = "".join(
        f'<th scope="col"{" class=control" if kind == "control" else ""}>'
        f"{escape(literal(method.replace('_', ' ')))}</th>"
        for method, kind in methods.itertuples(index=False)
    )
    body = []
    for metric in metrics:
        first = next(cells[m, metric] for m in methods["method"] if (m, metric) in cells)
        arrow = _ARROWS.get(first.better, "")
        ask = QUESTIONS.get(metric, "")
        name = f'<th scope="row">{escape(metric)} <span class="arrow">{arrow}</span>' + (
            f"<small>{escape(ask)}</small></th>" if ask else "</th>"
        )
        row = "".join(
            f"<td{' class=control' if kind == 'control' else ''}>"
            f"{_cell(cells.get((method, metric)))}</td>"
            for method, kind in methods.itertuples(index=False)
        )
        body.append(f"<tr>{name}{row}</tr>")
    return (
        f"<style>{_CSS}</style>"
        '<div class="scorecard"><table><thead><tr><th scope="col">check</th>'
        f"{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _cell(row: object) -> str:
    value = getattr(row, "value", math.nan)
    if not math.isfinite(value):
        return "∞" if value == math.inf else "–"
    text = escape(number(value))
    low, high = getattr(row, "ci_low", math.nan), getattr(row, "ci_high", math.nan)
    if math.isfinite(low) and math.isfinite(high):
        text += f"<small>{escape(number(low))} … {escape(number(high))}</small>"
    return text


_CSS = (
    ".scorecard{overflow-x:auto}"
    ".scorecard th[scope=row]{text-align:left;color:var(--ink);font-size:.9375rem;"
    "min-width:15rem;max-width:22rem}"
    ".scorecard thead th:first-child{text-align:left}"
    ".scorecard th:nth-child(2){text-align:right}"
    ".scorecard thead th{vertical-align:bottom;min-width:5.5rem}"
    ".scorecard small{display:block;color:var(--muted);font-size:.75rem;line-height:1.35}"
    ".scorecard .arrow{color:var(--muted)}"
    ".scorecard td{white-space:nowrap}"
    ".scorecard .control{color:var(--muted);font-style:italic}"
)
