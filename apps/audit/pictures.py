"""Charts on the page of an audit."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from interp.errors import InputError
from interp.figures.figure import Figure
from interp.figures.still import figure_html
from interp.figures.theme import Scheme


def picture(name: str, draw: Callable[[Scheme], Figure]) -> dict[str, str]:
    """A chart by its name; nothing where it cannot be drawn."""
    with contextlib.suppress(InputError):
        return {name: figure_html(draw)}
    return {}
