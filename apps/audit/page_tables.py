"""The tables of an audit on its page: numbers to the right, text literally, long ones folded."""

from __future__ import annotations

import math
import re
from html import escape
from typing import TYPE_CHECKING, Any

from interp.figures.labels import count, literal, number

if TYPE_CHECKING:
    import pandas as pd

_OPEN, _MOST = 30, 200  # rows: a longer table is folded, and a very long one cut
_SHORT = 24  # characters
_HASH = re.compile("[0-9a-f]{64}")


def table_id(part: str, name: str) -> str:
    """Its anchor."""
    return f"table-{part}-{name}"


def words(name: str) -> str:
    """A name with underscores as words."""
    return name.replace("_", " ")


def table_html(
    part: str, name: str, frame: pd.DataFrame, sha256: str, *, folded: bool = False
) -> str:
    """A table with its caption: its name, its size, its file and the file's fingerprint.

    Args:
        folded: behind a line to be opened, as a long one is in any case.
    """
    shown = frame.head(_MOST)
    kinds = [_kind(shown[column]) for column in shown.columns]
    head = "".join(
        f'<th scope="col" class="{kind}">{_text(words(str(column)))}</th>'
        for column, kind in zip(frame.columns, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{kind}">{_cell(value)}</td>'
            for value, kind in zip(row, kinds, strict=True)
        )
        + "</tr>"
        for row in shown.itertuples(index=False, name=None)
    )
    size = count(len(frame), "row")
    if len(frame) > _MOST:
        size = f"the first {_MOST} of {len(frame):,} rows"
    caption = (
        f"<strong>{_text(words(name).capitalize())}</strong> <small>{size}; "
        f"tables/{part}.{name}.parquet, SHA-256 {sha256[:12]}…</small>"
    )
    label = _text(words(name).capitalize())
    table = (
        f'<div id="{table_id(part, name)}" class="wide" role="group" tabindex="0" '
        f'aria-label="{label}"><table>'
        f"<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        "</div>"
    )
    if len(frame) <= _OPEN and not folded:
        return table
    # A browser that follows a link into it opens it.
    return f"<details><summary>{label}: {size}</summary>{table}</details>"


def _kind(column: pd.Series) -> str:
    """How its cells are set: a short text is not broken."""
    if column.dtype.kind in "iuf":
        return "number"
    if all(len(str(value)) <= _SHORT for value in column):
        return "short"
    return "words"


def _cell(value: Any) -> str:
    import pandas as pd

    if isinstance(value, str):
        return f"<code>{value}</code>" if _HASH.fullmatch(value) else _text(value)
    if pd.isna(value):
        return '<span class="none">–</span>'
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, bool):
        return "yes" if plain else "no"
    if isinstance(plain, int | float):
        if math.isinf(plain):
            return "∞" if plain > 0 else "−∞"
        return number(plain)
    return _text(str(plain))


def _text(text: str) -> str:
    return escape(literal(text))
