"""Texts around the places where something responds, one line each, on one colour scale."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Protocol

import numpy as np

from interp.errors import InputError
from interp.figures.figure import scored_tokens
from interp.figures.labels import count, literal, number, quoted
from interp.figures.strip import PageScheme, color_limit, scale_html, spans_html, strip_css

_MEANING = "orange is positive, blue and underlined negative"


class Response(Protocol):
    """Tokens, what responds to each, and the place that the line is about."""

    @property
    def text(self) -> int: ...
    @property
    def position(self) -> int: ...
    @property
    def tokens(self) -> Sequence[str]: ...
    @property
    def activations(self) -> Sequence[float]: ...


def contexts_finding(contexts: Sequence[Response], unit: str = "activation") -> str:
    """One sentence: the strongest place, and how many there are."""
    if not contexts:
        return "It responds nowhere."
    first = contexts[0]
    value = number(float(first.activations[first.position]), signed=True)
    return (
        f"{count(len(contexts), 'text')} with the strongest {unit}; the first has {value} at "
        f"{quoted(first.tokens[first.position])}."
    )


def contexts_html(
    contexts: Sequence[Response],
    *,
    title: str = "",
    unit: str = "activation",
    limit: float | None = None,
    scheme: PageScheme = "auto",
) -> str:
    """A self-contained HTML fragment: a line of coloured tokens for each context, and one scale.

    Tokens are shown literally, whatever they hold.

    Args:
        contexts: such as `probes.neurons.contexts` gives, in the order in which they are shown.
        title: a heading above them.
        unit: what a number is.
        limit: where the colour scale ends on both sides; by default the largest absolute number.
        scheme: `auto` follows the page that shows the fragment.

    Raises:
        InputError: no contexts, or one whose tokens and numbers do not fit.
    """
    if not contexts:
        raise InputError("There are no contexts to show; the list is empty.")
    arrays = [scored_tokens(one.tokens, one.activations) for one in contexts]
    every = np.concatenate(arrays)
    end = color_limit(every, limit)
    lines = "".join(
        f'<p class="c">text {one.text}: {number(float(array[one.position]), signed=True)} at '
        f"{escape(quoted(one.tokens[one.position]))}</p>"
        f'<p class="s" dir="ltr">{spans_html(one.tokens, array, end, unit)}</p>'
        for one, array in zip(contexts, arrays, strict=True)
    )
    heading = f'<p class="h">{escape(literal(title))}</p>' if title else ""
    forced = "" if scheme == "auto" else f' style="color-scheme:{scheme}"'
    finding = escape(contexts_finding(contexts, unit))
    return (
        f'<figure class="interp-strip"{forced} role="group" aria-label="{finding}">'
        f"<figcaption>{heading}</figcaption>{lines}{scale_html(every, end, unit, _MEANING)}"
        f"<style>{strip_css()}</style></figure>"
    )
