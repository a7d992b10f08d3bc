"""A picture that was kept is the one that would be drawn."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest

from apps.drawn import content, drawn
from interp.figures.change import change_chart

FRAME = pd.DataFrame(
    {"token": [" a", " b\u202e", "\x1b"], "before": [0.1, 0.2, 0.3], "after": [0.3, 0.2, 0.1]}
)


def test_a_kept_picture_is_the_chart_itself() -> None:
    figure = change_chart(FRAME, scheme="dark")
    for _ in range(2):
        made = drawn(partial(change_chart, FRAME.copy(), scheme="dark"))
        spec, theirs = made.vega_lite(), figure.chart.to_dict()
        tables = [
            json.loads(table.to_json(orient="records")) for table in spec["datasets"].values()
        ]
        assert tables == list(theirs["datasets"].values())
        assert [layer["mark"] for layer in spec["layer"]] == [
            layer["mark"] for layer in theirs["layer"]
        ]
        assert made.alt == figure.alt
        pd.testing.assert_frame_equal(made.frame, figure.frame)


def test_a_reader_may_change_what_it_was_given() -> None:
    make = partial(change_chart, FRAME, scheme="light")
    spec = drawn(make).vega_lite()
    spec.pop("datasets")
    spec["layer"].clear()
    assert drawn(make).vega_lite()["layer"]
    assert drawn(make).vega_lite()["datasets"]


def test_content_tells_what_differs() -> None:
    long = np.zeros(200_000)
    other = long.copy()
    other[123_457] = 1e-300  # a sample would miss it
    values = [
        *(None, 0, 0.0, "0", True, [0], (0,), ("0", "1"), ("0\0", "1"), ("0", "\x001")),
        *({"a": 1}, {"a": 2}, {"b": 1}, long, other, long.reshape(2, -1), long.astype("f4")),
        *(FRAME, FRAME.rename(columns={"after": "now"}), FRAME.iloc[::-1], FRAME["token"]),
        *(FRAME.assign(after=FRAME["after"] * (1 + 1e-15)), pd.DataFrame({"x": long})),
        *(pd.DataFrame({"x": other}), pd.DataFrame({"x": long.astype("f4")})),
        *(partial(max, 1), partial(min, 1), partial(max, 1, key=1), partial(max, 1, default=1)),
    ]
    assert len({content(value) for value in values}) == len(values)
    assert content(FRAME) == content(FRAME.copy())
    assert content(partial(max, FRAME)) == content(partial(max, FRAME.copy()))


def test_content_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(TypeError, match="content of a object"):
        content([object()])
