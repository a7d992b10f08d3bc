"""Pictures, each drawn once.

Altair takes a tenth of a second to build a chart and to check it against the schema of Vega-Lite,
on every click. A drawing function is pure, so its picture is kept under its name and the content of
all that it was given.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    import pandas as pd

    from interp.figures.figure import Figure

_ALTAIR = Lock()  # its theme and its transformer of data are settings of the whole process


@dataclass(frozen=True)
class Drawn:
    """A figure as Streamlit takes it. Treat it as frozen: sessions share it.

    Attributes:
        spec: the chart in Vega-Lite, as JSON, with its data by name.
        data: the tables that the chart names.
        alt, frame: those of the figure.
    """

    spec: str
    data: dict[str, pd.DataFrame]
    alt: str
    frame: pd.DataFrame

    def vega_lite(self) -> dict[str, Any]:
        """A fresh specification, which its reader may change."""
        return {**json.loads(self.spec), "datasets": dict(self.data)}


def drawn(figure: partial[Figure]) -> Drawn:
    """What a drawing function makes of its arguments, given with it.

    Raises:
        InterpError: what the function raises.
    """
    return _draw(figure, content(figure))


@st.cache_resource(max_entries=128, show_spinner=False)
def _draw(_figure: partial[Figure], content: str) -> Drawn:
    import altair as alt

    made = _figure()
    data: dict[str, pd.DataFrame] = {}

    def by_name(frame: Any) -> dict[str, str]:
        known = next((name for name, other in data.items() if other is frame), f"data-{len(data)}")
        data[known] = frame
        return {"name": known}

    with _ALTAIR:
        alt.data_transformers.register("by_name", by_name)
        with alt.theme.enable("none"), alt.data_transformers.enable("by_name"):
            spec = made.chart.to_dict(validate=False)  # as it was when its parts were put together
    return Drawn(json.dumps(spec), data, made.alt, made.frame)


def content(value: Any) -> str:
    """SHA-256 of a value: of a table all rows, of a function its name and what it is given.

    Raises:
        TypeError: a type whose content is not known here; it must not be taken for another's.
    """
    return sha256("\0".join(_parts(value)).encode("utf-8", "surrogatepass")).hexdigest()


def _parts(value: Any) -> list[str]:
    import numpy as np
    import pandas as pd

    kind = type(value).__name__
    if isinstance(value, str | int | float | np.generic | None):
        return [kind, repr(value)]
    if isinstance(value, list | tuple):
        return [kind, *map(content, value)]
    if isinstance(value, dict):
        return [kind, *(content(name) + content(each) for name, each in value.items())]
    if isinstance(value, np.ndarray):
        return [kind, str(value.dtype), repr(value.shape), sha256(value.tobytes()).hexdigest()]
    if isinstance(value, pd.Series):
        return [kind, *_parts(value.to_frame())]
    if isinstance(value, pd.DataFrame):
        rows = pd.util.hash_pandas_object(value).to_numpy()
        about = [(str(name), str(dtype)) for name, dtype in value.dtypes.items()]
        return [kind, repr(about), sha256(rows.tobytes()).hexdigest()]
    if isinstance(value, partial):
        name = f"{value.func.__module__}.{value.func.__qualname__}"
        return [kind, name, *map(content, value.args), content(value.keywords)]
    raise TypeError(f"The content of a {kind} is not known.")
