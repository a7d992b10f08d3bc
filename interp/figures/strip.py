"""A text as a strip of its tokens, each coloured by its score: for a page and for a terminal.

The strip is plain HTML without scripts or requests. Colour is never the only channel: tokens
with a negative score are underlined, each token says its score on hover and to a screen reader, and
`interp.figures.page.score_table_html` is the table twin.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from interp.errors import InputError
from interp.figures.figure import scored_tokens
from interp.figures.labels import columns, count, literal, number, quoted, shorten, visible
from interp.figures.theme import (
    MONO,
    PALETTES,
    SANS,
    Scheme,
    diverging_color,
    rgb,
    text_color,
)

Scores = Sequence[float] | NDArray[np.floating]
PageScheme = Literal["auto", "light", "dark"]
"""`auto` follows the page: its CSS `color-scheme`, which follows the reader's system."""

# Below this share of the scale a token is left without a colour of its own in a terminal, whose
# background nobody knows.
_FAINT = 0.02

_CELLS = 21  # of the legend in a terminal; odd, so that one of them is zero


def color_limit(scores: Scores, limit: float | None = None) -> float:
    """The end of a symmetric colour scale: `limit`, or the largest absolute score.

    Scores that are all zero have no scale of their own; it then ends at 1.

    Raises:
        InputError: a limit that is not a positive finite number.
    """
    if limit is None:
        return float(np.abs(np.asarray(scores, dtype=np.float64)).max(initial=0.0)) or 1.0
    if not (np.isfinite(limit) and limit > 0):
        raise InputError(f"The limit of the colour scale is {limit}; it must be positive.")
    return float(limit)


def strip_finding(tokens: Sequence[str], scores: Scores) -> str:
    """One sentence that says what a strip shows: the extremes and where they are."""
    array = scored_tokens(tokens, scores)
    if not array.any():
        one = len(array) == 1
        return "The only score is zero." if one else f"All {len(array)} scores are zero."

    def at(place: int) -> str:
        return f"{number(array[place], signed=True)} at token {place} {quoted(tokens[place])}"

    high, low = int(array.argmax()), int(array.argmin())
    parts = [f"the largest positive score is {at(high)}"] if array[high] > 0 else []
    parts += [f"the most negative score is {at(low)}"] if array[low] < 0 else []
    return f"Of {count(len(array), 'token')}, {' and '.join(parts)}."


def token_strip_html(
    tokens: Sequence[str],
    scores: Scores,
    *,
    title: str = "",
    caption: str = "",
    unit: str = "score",
    limit: float | None = None,
    scheme: PageScheme = "auto",
) -> str:
    """A self-contained HTML fragment: the tokens in reading order, coloured by score.

    Args:
        tokens: text of each token; shown literally, whatever it holds.
        scores: one number for each token; orange raises, blue (and underlined) lowers.
        title: a heading above the strip.
        caption: a sentence under the title.
        unit: what a score is, for the legend and the labels.
        limit: where the colour scale ends on both sides; by default the largest absolute score.
            Give the same limit to strips that are compared. Scores beyond it clip, and the legend
            says how many do.
        scheme: `auto` follows the page that shows the fragment.

    Raises:
        InputError: see `scored_tokens` and `color_limit`.
    """
    array = scored_tokens(tokens, scores)
    end = color_limit(array, limit)
    heading = f'<p class="h">{escape(literal(title))}</p>' if title else ""
    below = f'<p class="c">{escape(literal(caption))}</p>' if caption else ""
    forced = "" if scheme == "auto" else f' style="color-scheme:{scheme}"'
    finding = escape(strip_finding(tokens, array))
    return (
        f'<figure class="interp-strip"{forced} role="group" aria-label="{finding}">'
        f"<figcaption>{heading}{below}</figcaption>"
        f'<p class="s" dir="ltr">{spans_html(tokens, array, end, unit)}</p>'
        f"{scale_html(array, end, unit)}<style>{strip_css()}</style></figure>"
    )


def spans_html(tokens: Sequence[str], array: NDArray[np.float64], end: float, unit: str) -> str:
    """The tokens of a strip, each on the colour of its score; `end` is that of the scale."""
    spans = []
    for place, (token, score) in enumerate(zip(tokens, array.tolist(), strict=True)):
        label = visible(token)
        value = f"{unit} {number(score, signed=True)}"
        says = escape(f"token {place} of {len(array)}: {label}, {value}")
        tip = escape(f"{place}: {label}  {value}")
        sign = " n" if score < 0 else ""
        spans.append(
            f'<span class="t{sign}" role="img" tabindex="0" title="{tip}" aria-label="{says}" '
            f'style="{cell_colors(score, end)}">{escape(label)}</span>'
        )
        if token.endswith("\n"):
            spans.append("<br>")
    return "".join(spans)


def cell_colors(score: float, limit: float) -> str:
    """Background and text colour of a score, as declarations."""
    light, dark = (diverging_color(score, limit, scheme) for scheme in ("light", "dark"))
    face = _pair("background", light, dark)
    return face + _pair("color", text_color(light), text_color(dark))


def _pair(name: str, light: str, dark: str) -> str:
    """A declaration for both schemes, after the light one alone for older browsers."""
    return f"{name}:{light};{name}:light-dark({light},{dark});"


def scale_html(
    array: NDArray[np.float64],
    end: float,
    unit: str,
    meaning: str = "orange raises, blue and underlined lowers",
) -> str:
    """The colour scale of an array of scores, with words for it."""
    stops = zip(PALETTES["light"].diverging, PALETTES["dark"].diverging, strict=True)
    ramp = ",".join(f"light-dark({light},{dark})" for light, dark in stops)
    clipped = int((np.abs(array) > end).sum())
    notes = [f"{unit}: {meaning}"]
    if not array.any():
        notes.append("every score is zero")
    if clipped:
        beyond = f"beyond ±{number(end)}, drawn as the end of the scale"
        notes.append(f"{count(clipped, 'token')} {beyond}")
    return (
        '<div class="l">'
        f'<span class="r" aria-hidden="true"><i style="background:linear-gradient(90deg,{ramp})">'
        f"</i><b>{number(-end)}</b><b>0</b><b>{number(end, signed=True)}</b></span>"
        f'<span class="k">{escape(literal("; ".join(notes)))}.</span></div>'
    )


def strip_css() -> str:
    """Rules of a strip, all below its own class so that they touch nothing else on the page."""
    light, dark = PALETTES["light"], PALETTES["dark"]
    ink = _pair("color", light.ink, dark.ink)
    muted = _pair("color", light.muted, dark.muted)
    paper = _pair("background", light.paper, dark.paper)
    edge = _pair("border-color", light.line, dark.line)
    tick = _pair("background", light.ink, dark.ink)
    ring = _pair("outline-color", light.ink, dark.ink)
    me = ".interp-strip"
    return "".join(
        (
            f"{me}{{margin:0;padding:0;font-family:{SANS};{ink}{paper}}}",
            f"{me} p{{margin:0}}",
            f"{me} .h{{font-weight:600;font-size:1rem;line-height:1.4}}",
            f"{me} .c{{{muted}font-size:.875rem;line-height:1.45;margin-top:.15rem}}",
            f"{me} .s{{margin:.7rem 0 .6rem;font-family:{MONO};font-size:.9375rem;"
            "line-height:1.5}",
            f"{me} .t{{display:inline-block;max-width:100%;box-sizing:border-box;"
            "overflow-wrap:anywhere;white-space:pre-wrap;padding:.1rem .2rem;margin:0 1px 4px 0;"
            "border-radius:3px;min-height:1.5em;cursor:default}",
            f"{me} .n{{text-decoration:underline;text-decoration-thickness:2px;"
            "text-underline-offset:3px}",
            f"{me} .t:hover,{me} .t:focus-visible{{outline:2px solid;{ring}}}",
            f"{me} .l{{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;align-items:flex-start;"
            f"font-size:.8125rem;line-height:1.4;{muted}}}",
            f"{me} .r{{position:relative;display:grid;grid-template-columns:1fr auto 1fr;"
            "width:15rem;max-width:100%;font-variant-numeric:tabular-nums}",
            f"{me} .r i{{grid-column:1/-1;height:.75rem;border:1px solid;{edge}}}",
            # The tick that marks zero stands out above and below the ramp.
            f"{me} .r::before{{content:'';position:absolute;left:50%;top:-3px;width:1px;"
            f"height:calc(.75rem + 8px);{tick}}}",
            f"{me} .r b{{font-weight:400}}{me} .r b:last-child{{text-align:right}}",
            f"{me} .k{{flex:1 1 16rem}}",
        )
    )


def strip_ansi(
    tokens: Sequence[str],
    scores: Scores,
    width: int = 80,
    color: bool = True,
    *,
    unit: str = "score",
    limit: float | None = None,
    scheme: Scheme = "dark",
) -> str:
    """The strip for a terminal, as lines of at most `width` columns.

    Args:
        width: columns of the terminal; a token longer than a line is cut with `…`.
        color: 24-bit backgrounds, negative tokens underlined. Without it each token is followed
            by its signed score; pass False where `NO_COLOR` is set or the output is no terminal.
        unit, limit: as in `token_strip_html`.
        scheme: the palette; `dark` also reads well on a light terminal, since each coloured
            token brings its own text colour.

    Raises:
        InputError: see `scored_tokens` and `color_limit`, or a width below 16.
    """
    array = scored_tokens(tokens, scores)
    end = color_limit(array, limit)
    if width < 16:
        raise InputError(f"The width is {width} columns; a strip needs at least 16.")
    paint = _painted if color else _numbered
    lines: list[str] = []
    line, used = "", 0
    for token, score in zip(tokens, array.tolist(), strict=True):
        cell, size = paint(token, score, end, width, scheme)
        if used and used + size > width:
            lines, line, used = [*lines, line], "", 0
        line, used = line + cell, used + size
        if token.endswith("\n"):
            lines, line, used = [*lines, line], "", 0
    lines += [line] if used else []
    return "\n".join([*(text.rstrip() for text in lines), *_ansi_legend(end, unit, color, scheme)])


def _painted(token: str, score: float, end: float, width: int, scheme: Scheme) -> tuple[str, int]:
    """A token on its colour, and the columns that it fills."""
    label = shorten(visible(token), width)
    if abs(score) < _FAINT * end:
        return label, columns(label)
    face = diverging_color(score, end, scheme)
    under = "4;" if score < 0 else ""
    return _sgr(label, face, under), columns(label)


def _numbered(token: str, score: float, end: float, width: int, scheme: Scheme) -> tuple[str, int]:
    """A token followed by its score, and the columns that both fill."""
    value = f"[{number(score, signed=True)}] "
    label = shorten(visible(token), width - columns(value))
    return label + value, columns(label + value)


def _sgr(text: str, face: str, style: str = "") -> str:
    back = ";".join(map(str, rgb(face)))
    ink = ";".join(map(str, rgb(text_color(face))))
    return f"\x1b[{style}48;2;{back};38;2;{ink}m{text}\x1b[0m"


def _ansi_legend(end: float, unit: str, color: bool, scheme: Scheme) -> list[str]:
    if not color:
        return ["", f"[+] raises, [−] lowers; {literal(unit)}, scale ±{number(end)}"]
    half = _CELLS // 2
    cells = [diverging_color(i / half, 1.0, scheme) for i in range(-half, half + 1)]
    ramp = "".join(_sgr("0" if i == half else " ", face) for i, face in enumerate(cells))
    scale = f"{number(-end)} {ramp} {number(end, signed=True)}"
    return ["", scale, f"{literal(unit)}; underlined lowers"]
