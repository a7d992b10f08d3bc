"""Tokens and numbers as people read them.

Token text is hostile until shown otherwise: a model's vocabulary holds control characters, and
a prompt may hold anything. A label shows every character, hides none, and can neither reorder the
text around it nor steer a terminal. Escaping for HTML is the business of whoever writes HTML.
"""

from __future__ import annotations

import unicodedata

EMPTY = "∅"

_MARKS = {" ": "·", "\n": "⏎", "\t": "⇥"}

# Characters that Unicode calls letters, marks or symbols and that draw nothing.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")

# Control, format (which holds the bidirectional ones), surrogate, private, unassigned, separators.
_CODED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})


def visible(text: str) -> str:
    """A token with every character to be seen: `·` a space, `⏎` a newline, `⇥` a tab.

    Any other character without an outline becomes its code, like `⟨U+202E⟩`; a combining mark
    at the start gets a dotted circle to sit on; the empty string is `∅`.
    """
    if not text:
        return EMPTY
    label = "".join(_visible_char(char) for char in text)
    # Only the first one can attach itself to what stands before the token.
    return f"◌{label}" if unicodedata.category(label[0]).startswith("M") else label


def literal(text: str) -> str:
    """Prose that holds what others wrote: as it is, but for characters that steer or hide.

    Spaces and line breaks stay; every other character without an outline becomes its code.
    """
    return "".join(char if char in " \n" else _visible_char(char) for char in text)


def _visible_char(char: str) -> str:
    if char in _MARKS:
        return _MARKS[char]
    if char in _BLANK or unicodedata.category(char) in _CODED:
        return f"⟨U+{ord(char):04X}⟩"
    return char


def columns(label: str) -> int:
    """How many columns of a terminal or of a monospaced font a label fills."""
    return sum(_char_columns(char) for char in label)


def _char_columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def shorten(label: str, width: int) -> str:
    """A label of at most `width` columns, cut at the end with `…` where it was longer."""
    if columns(label) <= width:
        return label
    kept, used = "", 0
    for char in label:
        used += _char_columns(char)
        if used > width - 1:
            break
        kept += char
    return kept + "…"


def quoted(token: str) -> str:
    """A token within a sentence: visible, short, in quotation marks."""
    return f"“{shorten(visible(token), 40)}”"


def number(value: float, *, signed: bool = False) -> str:
    """A value in three significant digits, an integer in all of its own, with a true minus sign.

    `signed` puts a plus before positive values.
    """
    if value == 0:
        return "0"
    size = abs(value)
    if isinstance(value, int):
        digits = f"{size:,}"
    elif not 1e-3 <= size < 1e5:
        digits = f"{size:.2e}"
    elif size >= 999.5:
        digits = f"{size:.0f}"
    else:
        digits = f"{size:#.3g}".rstrip(".")
    return ("−" if value < 0 else "+" if signed else "") + digits


def percent(fraction: float) -> str:
    """A probability as a percentage, never rounded to a certainty that it is not."""
    value = 100 * fraction
    if 0 < value < 0.1:
        return "<0.1%"
    if 99.9 < value < 100:
        return ">99.9%"
    return f"{value:.1f}%" if value < 10 or 99 < value < 100 else f"{value:.0f}%"


def count(n: int, noun: str) -> str:
    """`1 token`, `2 tokens`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
