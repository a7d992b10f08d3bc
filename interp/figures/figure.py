"""What a drawing function returns, and the checks that each makes of what it is given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from interp.errors import InputError
from interp.figures.theme import Scheme, chart_config

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd


@dataclass(frozen=True)
class Figure:
    """A chart, the sentence that says what it shows, and the table that it was drawn from.

    Attributes:
        chart: the Altair chart, configured for its scheme.
        alt: states the finding for those who do not see the chart.
        frame: the chart's table twin, in the order in which it is best read.
    """

    chart: alt.TopLevelMixin
    alt: str
    frame: pd.DataFrame

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What a notebook shows: the picture with its finding below, which runs no script."""
        from interp.figures.still import shown_html

        try:
            return {"text/html": shown_html(self), "text/plain": self.alt}
        except InputError as error:  # nothing that draws is installed
            return {"text/plain": f"{self.alt}\n\n{error}"}


def themed(
    chart: alt.LayerChart | alt.FacetChart | alt.HConcatChart | alt.VConcatChart,
    scheme: Scheme,
    *,
    autosize: Literal["pad", "fit-x"] = "pad",
    **config: Any,
) -> alt.TopLevelMixin:
    """A chart with the shared settings of its scheme; `config` replaces some of them.

    With `pad` the size is that of the plot, to which axes and legend add, and the cells of a map
    stay as large as they were made; with `fit-x` the width includes them. It is said here because
    Streamlit squeezes every chart that leaves it open.
    """
    sized = chart.properties(autosize={"type": autosize, "contains": "padding"})
    configured: alt.TopLevelMixin = sized.configure(**{**chart_config(scheme), **config})
    return configured


def require_columns(frame: pd.DataFrame, names: Iterable[str], what: str) -> None:
    """Raise `InputError` unless a frame has rows and the named columns."""
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise InputError(
            f"The frame of the {what} lacks the column{'s' if len(missing) > 1 else ''} "
            f"{', '.join(missing)}; it has {', '.join(map(str, frame.columns)) or 'none'}."
        )
    if not len(frame):
        raise InputError(f"The frame of the {what} has no rows; there is nothing to draw.")


def finite(
    values: Sequence[float] | NDArray[np.floating] | pd.Series, what: str
) -> NDArray[np.float64]:
    """Values as a float64 array [n].

    Raises:
        InputError: not one-dimensional, not numbers, or one that is NaN or infinite; names the
            first of those by its place.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"The {what} are not numbers: {error}.") from error
    if array.ndim != 1:
        raise InputError(
            f"The {what} have shape {list(array.shape)}; give one number each, shape [n]."
        )
    bad = np.flatnonzero(~np.isfinite(array))
    if len(bad):
        raise InputError(
            f"The {what} hold {array[bad[0]]} at position {bad[0]} ({len(bad)} of {len(array)} are "
            "not finite); a picture of them would mislead. Find out where they come from."
        )
    return array


def scored_tokens(
    tokens: Sequence[str], scores: Sequence[float] | NDArray[np.floating]
) -> NDArray[np.float64]:
    """The scores of a strip as an array [n], checked against its tokens.

    Raises:
        InputError: no tokens, tokens that are not text, not one score for each token, or a score
            that is not finite.
    """
    if isinstance(tokens, str):
        raise InputError("The tokens are one string; give a list with a string for each token.")
    if not len(tokens):
        raise InputError("There are no tokens; a strip needs at least one.")
    for place, token in enumerate(tokens):
        if not isinstance(token, str):
            raise InputError(
                f"Token {place} is {token!r}; a strip shows text. Decode the ids first, for "
                "example with `model.to_str_tokens`."
            )
    array = finite(scores, "scores")
    if len(array) != len(tokens):
        raise InputError(
            f"There are {len(tokens)} tokens and {len(array)} scores; give one score for each."
        )
    return array
