"""The address of a moment in the explorer, which holds all that it shows: so a report can link."""

from __future__ import annotations

from urllib.parse import urlencode

from interp.figures.labels import shorten, visible


def position_name(position: int, token: str) -> str:
    """A position in the list of those that can be explained."""
    return f"{position} {shorten(visible(token), 40)}"


def prediction_name(place: int, name: str) -> str:
    """A prediction in the list of those of a position, whose places count from 0."""
    return f"{place + 1} {shorten(visible(name), 40)}"


def method_name(method: str) -> str:
    """An explainer in the list of them."""
    return method.replace("_", " ")


def address(
    model: str,
    text: str,
    *,
    at: str | None = None,
    token: str | None = None,
    foil: str | None = None,
    method: str = "integrated_gradients",
) -> str:
    """What follows the explorer's own address, from `?` on.

    Args:
        model: a name of the zoo, or of a folder that `interp explore FOLDER` was given.
        at: the position that is explained, as `position_name` names it; by default where the page
            begins.
        token, foil: the prediction, and the one that it is compared with, by `prediction_name`.
    """
    chosen = {"at": at, "token": token, "foil": foil}
    values = {"model": model, "text": text, "method": method_name(method)}
    return "?" + urlencode(values | {name: value for name, value in chosen.items() if value})
