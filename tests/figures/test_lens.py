"""The lens has its layers upwards and its text in reading order; both charts say what they show."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from interp.errors import InputError
from interp.figures.labels import shorten, visible
from interp.figures.lens import lens_chart, prediction_chart
from interp.figures.theme import contrast, sequential_color
from tests.figures.hostile import STORABLE
from tests.figures.spec import drawn, labels_of, rows_of, spec_of, texts_of


def lens_frame(tokens: list[str], layers: int = 3) -> pd.DataFrame:
    """A lens whose probability grows with layer and position, and that settles at layer 1."""
    rows: list[dict[str, Any]] = [
        {
            "layer": layer,
            "position": place,
            "token": token,
            "top_token": f"guess{place}" if layer == 0 else tokens[(place + 1) % len(tokens)],
            "probability": (1 + layer * len(tokens) + place) / (1 + layers * len(tokens)),
            "rank": 5 - layer,
            "entropy": 1.5,
        }
        for layer in range(layers)
        for place, token in enumerate(tokens)
    ]
    return pd.DataFrame(rows)


WORDS = [f" w{i}" for i in range(7)]


def test_layer_zero_is_at_the_bottom_of_each_band_and_text_wraps() -> None:
    figure = lens_chart(lens_frame(WORDS), per_line=3)
    for cell in rows_of(figure.chart):
        assert cell["column"] == cell["position"] % 3
        band = cell["position"] // 3
        assert cell["row"] == band * 5 + 2 - cell["layer"]
    labels = labels_of(spec_of(figure.chart)["layer"][0]["encoding"]["y"])
    assert labels == [*["layer 2", "layer 1", "layer 0", "input", ""] * 2, *labels[:4]]
    for word in rows_of(figure.chart, layer=3):
        assert labels[word["row"]] == "input"


def test_the_order_of_rows_does_not_matter() -> None:
    frame = lens_frame(WORDS)
    shuffled = frame.sample(frac=1, random_state=3)
    assert rows_of(lens_chart(shuffled).chart) == rows_of(lens_chart(frame).chart)
    assert lens_chart(shuffled).alt == lens_chart(frame).alt


def test_a_click_selects_layer_and_position() -> None:
    (param,) = spec_of(lens_chart(lens_frame(WORDS)).chart)["params"]
    assert param["name"] == "cell"
    assert param["select"]["fields"] == ["layer", "position"]


def test_the_lens_names_its_most_certain_cell_and_the_last_prediction() -> None:
    finding = lens_chart(lens_frame(WORDS)).alt
    assert "7 tokens at 3 layers" in finding
    assert "most certain is “·w0” with 95% at layer 2, position 6, after “·w6”" in finding
    assert "prediction after the last token is “·w0” (95%), on top from layer 1 on" in finding


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_cell_text_reads_on_its_colour(scheme: Any) -> None:
    for cell in rows_of(lens_chart(lens_frame(WORDS), scheme=scheme).chart):
        face = sequential_color(cell["probability"], 1.0, scheme)
        assert contrast(face, cell["ink"]) >= 4.5


def test_bold_is_what_the_last_layer_says_too() -> None:
    for cell in rows_of(lens_chart(lens_frame(WORDS)).chart):
        assert cell["settled"] == (cell["layer"] > 0)


def test_hostile_tokens_are_drawn_as_text() -> None:
    frame = lens_frame(STORABLE, layers=2)
    svg = drawn(lens_chart(frame).chart)
    assert "<img" not in svg
    assert "<script" not in svg
    shown = texts_of(svg)
    for token in STORABLE:
        assert shorten(visible(token), 9) in shown
    said = {cell["says"] for cell in rows_of(lens_chart(frame).chart)}
    assert {visible(token) for token in STORABLE} <= said


@pytest.mark.parametrize("n", [1, 500])
def test_short_and_long_texts(n: int) -> None:
    figure = lens_chart(lens_frame([f" t{i}" for i in range(n)]))
    assert len(rows_of(figure.chart)) == 3 * n
    assert len(figure.frame) == 3 * n
    spec_of(figure.chart)


def test_both_charts_compile() -> None:
    for scheme in ("light", "dark"):
        drawn(lens_chart(lens_frame([" a"]), scheme=scheme).chart)
        drawn(lens_chart(lens_frame(WORDS), scheme=scheme).chart)
        drawn(prediction_chart(GUESSES, scheme=scheme).chart)


def test_the_chosen_position_is_marked_in_words_too() -> None:
    words = rows_of(lens_chart(lens_frame(WORDS), chosen=2).chart, layer=3)
    assert [word["label"] for word in words if word["chosen"]] == ["[·w2]"]
    assert [word["position"] for word in words if "[" in word["label"]] == [2]


def test_optional_columns_are_optional() -> None:
    frame = lens_frame(WORDS).drop(columns=["rank", "entropy"])
    tips = spec_of(lens_chart(frame).chart)["layer"][0]["encoding"]["tooltip"]
    assert not {"rank", "entropy"} & {tip["field"] for tip in tips}


def change(column: str, value: Any) -> pd.DataFrame:
    frame = lens_frame(WORDS)
    frame[column] = frame[column].astype(object if isinstance(value, str) else float)
    frame.loc[2, column] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (lens_frame(WORDS).drop(columns="top_token"), "lacks the column top_token"),
        (lens_frame(WORDS).iloc[:0], "no rows"),
        (change("probability", float("nan")), "nan at position 2"),
        (change("probability", 1.5), "Row 2 .* 1.5"),
        (change("probability", "much"), "not numbers"),
        (pd.concat([lens_frame(WORDS)] * 2), "layer 0, position 0 more than once"),
    ],
)
def test_a_lens_that_would_mislead_is_refused(frame: pd.DataFrame, says: str) -> None:
    with pytest.raises(InputError, match=says):
        lens_chart(frame)


def test_a_line_holds_a_position() -> None:
    with pytest.raises(InputError, match="per_line is 0"):
        lens_chart(lens_frame(WORDS), per_line=0)


GUESSES = pd.DataFrame({"token": [" cat", " dog", "\n"], "probability": [0.2, 0.5, 0.1]})


def test_predictions_are_sorted_and_named() -> None:
    figure = prediction_chart(GUESSES)
    assert [row["label"] for row in rows_of(figure.chart)] == ["·dog", "·cat", "⏎"]
    assert figure.frame["token"].tolist() == [" dog", " cat", "\n"]
    assert figure.alt == (
        "The most probable next token is “·dog” with 50%, then “·cat” with 20%; these 3 hold 80% "
        "of the probability."
    )
    (param,) = spec_of(figure.chart)["params"]
    assert (param["name"], param["select"]["fields"]) == ("prediction", ["place"])


def test_the_chosen_prediction_says_so_in_words() -> None:
    rows = rows_of(prediction_chart(GUESSES, chosen=1).chart)
    assert [("explained" in row["value"], row["chosen"]) for row in rows] == [
        (False, False),
        (True, True),
        (False, False),
    ]


def test_predictions_of_hostile_tokens() -> None:
    frame = pd.DataFrame({"token": STORABLE, "probability": 1 / len(STORABLE)})
    figure = prediction_chart(frame)
    labels = labels_of(spec_of(figure.chart)["layer"][0]["encoding"]["y"])
    assert labels == [shorten(visible(token), 24) for token in STORABLE]
    svg = drawn(figure.chart)
    assert set(labels) <= set(texts_of(svg))
    assert "<img" not in svg


def test_a_single_or_impossible_prediction_can_be_drawn() -> None:
    one = pd.DataFrame({"token": [" a"], "probability": [1.0]})
    assert prediction_chart(one).alt == "The most probable next token is “·a” with 100%."
    drawn(prediction_chart(pd.DataFrame({"token": [" a"], "probability": [0.0]})).chart)


def test_predictions_that_would_mislead_are_refused() -> None:
    with pytest.raises(InputError, match="place 3 among 3 predictions"):
        prediction_chart(GUESSES, chosen=3)
    with pytest.raises(InputError, match="nan at position 0"):
        prediction_chart(pd.DataFrame({"token": ["a"], "probability": [float("nan")]}))
    with pytest.raises(InputError, match="not logits"):
        prediction_chart(pd.DataFrame({"token": ["a"], "probability": [7.0]}))
