"""The matrix of a whole answer: a row per token written, a column per token read."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from interp.errors import InputError
from interp.figures.labels import number, shorten, visible
from interp.figures.strip import cell_colors, color_limit, scale_html
from interp.figures.theme import MONO

_VISIBLE = 0.02  # of the scale: what is fainter needs no mark of its sign


def answer_finding(
    answer: Sequence[str], tokens: Sequence[str], scores: NDArray[np.float64]
) -> str:
    """The matrix's largest entry in a sentence."""
    if not scores.any():
        return "Every score is zero."
    row, column = divmod(int(np.abs(scores).argmax()), scores.shape[1])
    value = float(scores[row, column])
    return (
        f"The largest score is {number(value, signed=True)} nats: "
        f"{_quoted(tokens[column])} (token {column}) {'raises' if value > 0 else 'lowers'} "
        f"{_quoted(answer[row])} (token {row} of the answer)."
    )


def answer_table_html(
    answer: Sequence[str], tokens: Sequence[str], scores: NDArray[np.float64]
) -> str:
    """A self-contained fragment: scores [answer, token] as coloured cells in one scale, with sums.

    Raises:
        InputError: not as many rows and columns as tokens, or a score that is not finite.
    """
    if scores.shape != (len(answer), len(tokens)):
        raise InputError(
            f"The scores are {list(scores.shape)}; there are {len(answer)} tokens of the answer "
            f"and {len(tokens)} that are read."
        )
    flat = scores.reshape(-1)
    if not np.isfinite(flat).all():
        raise InputError("A score of the answer is not finite.")
    end = color_limit(flat)
    head = "".join(
        f'<th scope="col"><span title="{escape(f"{i}: {visible(token)}")}">'
        f"{escape(shorten(visible(token), 14))}</span></th>"
        for i, token in enumerate(tokens)
    )
    rows = []
    for token, row in zip(answer, scores.tolist(), strict=True):
        cells = "".join(
            f'<td style="{cell_colors(score, end)}" title="'
            + escape(f"{visible(tokens[i])} → {visible(token)}: {number(score, signed=True)}")
            + ('" class="n"></td>' if score < -_VISIBLE * end else '"></td>')
            for i, score in enumerate(row)
        )
        rows.append(
            f'<tr><th scope="row">{escape(visible(token))}</th>'
            f'<td class="sum">{number(sum(row), signed=True)}</td>{cells}</tr>'
        )
    finding = escape(answer_finding(answer, tokens, scores))
    return (
        f'<style>{_CSS}</style><figure class="interp-answer" role="group" aria-label="{finding}">'
        f'<p class="text">{finding}</p><div class="scroll"><table><thead><tr>'
        f'<th scope="col" class="corner">answer ↓ read →</th>'
        f'<th scope="col" class="sum">sum</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        f"{scale_html(flat, end, 'nats')}</figure>"
    )


def _quoted(token: str) -> str:
    return f"“{visible(token)}”"


_CSS = (
    ".interp-answer{margin:0}"
    ".interp-answer .scroll{overflow-x:auto}"
    f".interp-answer table{{font-family:{MONO};font-size:.8125rem;border-collapse:separate;"
    "border-spacing:1px;margin:.5rem 0}"
    ".interp-answer thead th{height:7.5rem;vertical-align:bottom;padding:0;min-width:1.15rem;"
    "border:0;text-align:left}"
    ".interp-answer thead th span{writing-mode:vertical-rl;transform:rotate(180deg);"
    "white-space:nowrap;color:var(--ink,inherit)}"
    ".interp-answer th[scope=row]{text-align:right;padding:0 .5rem 0 0;white-space:pre;"
    "color:var(--ink,inherit);border:0}"
    ".interp-answer td{height:1.15rem;min-width:1.15rem;padding:0;border:0}"
    ".interp-answer td.n{box-shadow:inset 0 -2px 0 currentColor}"
    ".interp-answer .sum{padding:0 .6rem 0 0;color:var(--muted,inherit);text-align:right;"
    "white-space:nowrap;min-width:3rem}"
    ".interp-answer .corner{font-weight:400;font-family:inherit;min-width:6rem}"
    ".interp-answer .l{display:flex;gap:1rem;align-items:flex-start;font-size:.8125rem}"
    ".interp-answer .r{display:grid;grid-template-columns:repeat(3,1fr);width:12rem}"
    ".interp-answer .r i{grid-column:1/-1;height:.6rem}"
    ".interp-answer .r b{font-weight:400}.interp-answer .r b:nth-of-type(2){text-align:center}"
    ".interp-answer .r b:nth-of-type(3){text-align:right}"
)
