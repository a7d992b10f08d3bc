"""Labels that a layer tells are cheap to send, and those that nothing tells cost the full price."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from interp.errors import InputError
from interp.figures.mdl import mdl_chart
from probes.labelled import Labelled
from probes.mdl import mdl
from tests.figures.spec import drawn, texts_of
from tests.probes.test_atlas import corpus, tiny

FRACTIONS = (0.05, 0.2, 0.5, 1.0)


def compression(frame: pd.DataFrame, labels: str) -> list[float]:
    rows = frame[(frame["metric"] == "compression") & (frame["labels"] == labels)]
    return rows.sort_values("layer")["value"].tolist()


def test_what_is_in_the_words_is_cheap_and_what_is_nowhere_is_not() -> None:
    frame = mdl(tiny(), "planted", corpus("word").train, fractions=FRACTIONS)
    assert compression(frame, "task")[0] > 2
    nothing = mdl(tiny(), "none", corpus("nothing").train, fractions=FRACTIONS)
    assert max(compression(nothing, "task")) <= 1.0
    blocks = frame[(frame["metric"] == "codelength") & (frame["labels"] == "task")]
    length = blocks.groupby("layer")["value"].sum()
    assert [math.log2(5) / v for v in length] == pytest.approx(compression(frame, "task"))
    figure = mdl_chart(frame)
    assert "times shorter than guessing evenly" in figure.alt
    assert {"guessing evenly", "bits a word"} <= set(texts_of(drawn(figure.chart)))
    with pytest.raises(InputError, match="no bars"):
        mdl_chart(frame[frame["metric"] == "uniform"])


def test_labels_of_one_kind_are_refused() -> None:
    same = Labelled.words([["big", "dog"], ["red", "cat"]], [["A", "A"]] * 2)
    with pytest.raises(InputError, match="All words have the label 'A'"):
        mdl(tiny(), "none", same)
