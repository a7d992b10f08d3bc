"""A figure shows itself in a notebook, as a picture that runs nothing, or says why it cannot."""

from __future__ import annotations

import sys

import altair as alt
import pandas as pd
import pytest

from interp.figures.figure import Figure
from tests.figures.markup import read_html


def a_figure() -> Figure:
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    return Figure(alt.Chart(frame).mark_line().encode(x="a", y="b"), "<b> & rises.", frame)


def test_a_notebook_gets_the_picture_and_its_finding() -> None:
    pytest.importorskip("vl_convert")
    shown = a_figure()._repr_mimebundle_()
    tree = read_html(shown["text/html"])
    (picture,) = tree.all("img")
    assert picture.attributes["src"].startswith("data:image/svg+xml;base64,")
    assert picture.attributes["alt"] == tree.all("figcaption")[0].text == shown["text/plain"]
    assert not tree.all("script")


def test_without_what_draws_the_finding_is_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    shown = a_figure()._repr_mimebundle_()
    assert set(shown) == {"text/plain"}
    assert shown["text/plain"].startswith("<b> & rises.")
    assert "vl-convert-python" in shown["text/plain"]
