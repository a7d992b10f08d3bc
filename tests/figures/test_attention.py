"""Heads are drawn with the weights that they have, and summed up by where they look."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import InputError
from interp.figures.attention import attention_grid, attention_head
from interp.figures.labels import shorten, visible
from interp.figures.patterns import attention_frame, dense, head_summary
from tests.figures.hostile import HOSTILE
from tests.figures.spec import drawn, labels_of, rows_of, spec_of, texts_of


def patterns(layers: int, heads: int, n: int, seed: int = 0) -> np.ndarray:
    """Causal patterns [layer, head, query, key]; layer 0, head 0 reads the previous token."""
    scores = np.random.default_rng(seed).normal(size=(layers, heads, n, n))
    scores[0, 0] += 12 * np.eye(n, k=-1)
    weights = np.exp(scores) * np.tril(np.ones((n, n)))
    return weights / weights.sum(axis=-1, keepdims=True)


def one_head(n: int) -> pd.DataFrame:
    return attention_frame(patterns(1, 1, n), causal=True)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 6), st.booleans())
def test_a_frame_holds_the_patterns_and_nothing_masked(
    layers: int, heads: int, n: int, causal: bool
) -> None:
    weights = patterns(layers, heads, n)
    frame = attention_frame(weights, causal=causal).sample(frac=1, random_state=1)
    assert len(frame) == layers * heads * (n * (n + 1) // 2 if causal else n * n)
    names = [(layer, head) for layer in range(layers) for head in range(heads)]
    back = dense(frame, names).reshape(weights.shape)
    assert (np.isnan(back) == (np.triu(np.ones((n, n)), 1) * causal > 0)).all()
    assert (np.nan_to_num(back) == weights).all()


def test_patterns_have_four_dimensions() -> None:
    with pytest.raises(InputError, match=r"shape \[2, 2\]"):
        attention_frame(np.eye(2), causal=True)


@pytest.mark.parametrize(("kind", "shift"), [("previous", -1), ("itself", 0), ("next", 1)])
def test_a_head_that_looks_at_one_kind_of_place_is_named_after_it(kind: str, shift: int) -> None:
    summary = head_summary(np.eye(6, k=shift))
    assert summary[kind] >= 0.8
    assert max(summary, key=lambda name: summary[name]) == kind
    assert summary["entropy"] == 0


def test_shares_and_entropy_of_an_even_head() -> None:
    summary = head_summary(np.full((5, 5), 0.2))
    assert summary["first"] == summary["previous"] == pytest.approx(0.2)
    assert summary["entropy"] == pytest.approx(np.log(5))


def test_a_head_resting_on_the_first_token() -> None:
    pattern = np.zeros((4, 4))
    pattern[:, 0] = 1
    assert head_summary(pattern)["first"] == 1


def test_the_grid_draws_each_head_in_its_place() -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow reads the pictures of the grid")
    weights = patterns(2, 3, 5)
    figure = attention_grid(attention_frame(weights, causal=True))
    rows = rows_of(figure.chart, layer=1)
    assert [(row["layer"], row["head"]) for row in rows] == [
        (layer, head) for layer in range(2) for head in range(3)
    ]
    for row in rows:
        png = image.open(BytesIO(b64decode(row["picture"].split(",")[1])))
        seen = np.asarray(png.convert("RGBA")).astype(int)
        step = seen.shape[0] // 5
        cells = seen[::step, ::step]
        assert (cells[..., 3] == 0).tolist() == (np.triu(np.ones((5, 5)), 1) > 0).tolist()
        # In the light scheme more weight is darker: the order of weights is the order of colours.
        below = np.tril_indices(5)
        order = np.argsort(weights[row["layer"], row["head"]][below])
        assert (np.diff(cells[below].sum(axis=1)[order]) <= 3).all()
    spec = spec_of(figure.chart)
    assert spec["layer"][0]["encoding"]["y"]["sort"] == "descending"
    (param,) = spec["params"]
    assert (param["name"], param["select"]["fields"]) == ("head", ["layer", "head"])


def test_the_grid_names_the_head_with_the_largest_share() -> None:
    figure = attention_grid(attention_frame(patterns(2, 3, 9), causal=True))
    top = figure.frame.set_index(["layer", "head"])[["previous", "itself", "next"]].stack()
    assert top.idxmax() == (0, 0, "previous")
    assert figure.alt.startswith("Attention of 6 heads in 2 layers over 9 tokens.")
    assert "to the previous token, in layer 0, head 0." in figure.alt
    assert rows_of(figure.chart, layer=1)[0]["caption"].startswith("previous ")


@pytest.mark.parametrize("n", [1, 22, 120])
def test_both_charts_compile_at_any_length(n: int) -> None:
    tokens = [f" t{i}" for i in range(n)]
    for scheme in ("light", "dark"):
        svg = drawn(attention_grid(one_head(n), scheme=scheme).chart)
        assert "data:image/png;base64" in svg
        drawn(attention_head(one_head(n), tokens, scheme=scheme).chart)


def test_a_text_of_500_tokens_becomes_a_picture_with_its_strongest_cells() -> None:
    frame = one_head(500)
    figure = attention_head(frame, ["t"] * 500)
    spec = spec_of(figure.chart)
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["image", "rect"]
    cells = rows_of(figure.chart, layer=1)
    assert len(cells) <= 1_000
    assert min(cell["weight"] for cell in cells) >= frame["weight"].nlargest(1_000).min()
    assert len(figure.frame) == len(frame)
    grid = attention_grid(frame)
    assert len(rows_of(grid.chart, layer=1)[0]["picture"]) < 60_000


def test_one_head_shows_each_cell_with_its_tokens() -> None:
    tokens = ["<s>", " a", " b"]
    figure = attention_head(one_head(3), tokens)
    cells = rows_of(figure.chart)
    assert len(cells) == 6
    for cell in cells:
        assert cell["query_token"] == visible(tokens[cell["query"]])
        assert cell["key_token"] == visible(tokens[cell["key"]])
        assert (cell["x"], cell["y2"]) == (cell["key"] - 0.5, cell["query"] + 0.5)
    encoding = spec_of(figure.chart)["layer"][0]["encoding"]
    assert labels_of(encoding["x"]) == labels_of(encoding["y"]) == ["<s>", "·a", "·b"]
    assert encoding["y"]["scale"]["reverse"] is True


def test_the_finding_names_the_largest_weight_after_the_first_token() -> None:
    weights = np.array([[1.0, 0, 0], [0.4, 0.6, 0], [0.1, 0.7, 0.2]])[None, None]
    figure = attention_head(attention_frame(weights, causal=True), ["<s>", " a", " b"])
    assert "largest weight is 0.70, where “·b” (position 2) reads from “·a” (position 1)" in (
        figure.alt
    )
    assert figure.frame["weight"].is_monotonic_decreasing


def test_cross_attention_has_its_own_tokens_below() -> None:
    weights = np.full((1, 1, 2, 3), 1 / 3)
    frame = attention_frame(weights, causal=False)
    figure = attention_head(frame, ["x", "y"], key_tokens=["a", "b", "c"])
    encoding = spec_of(figure.chart)["layer"][0]["encoding"]
    assert labels_of(encoding["x"]) == ["a", "b", "c"]
    assert labels_of(encoding["y"]) == ["x", "y"]


def test_hostile_tokens_are_drawn_as_text() -> None:
    figure = attention_head(one_head(len(HOSTILE)), HOSTILE)
    svg = drawn(figure.chart)
    assert "<img" not in svg
    assert "<script" not in svg
    assert {shorten(visible(token), 14) for token in HOSTILE} <= set(texts_of(svg))


def test_a_position_left_out_stays_blank_and_keeps_its_label() -> None:
    frame = one_head(4)
    figure = attention_head(frame[frame["key"] > 0], ["a", "b", "c", "d"], limit=0.5)
    assert labels_of(spec_of(figure.chart)["layer"][0]["encoding"]["x"]) == ["a", "b", "c", "d"]
    assert {cell["key"] for cell in rows_of(figure.chart)} == {1, 2, 3}
    scale = spec_of(figure.chart)["layer"][0]["encoding"]["fill"]["scale"]
    assert (scale["domain"][0], scale["domain"][-1]) == (0, 0.5)


def test_hiding_the_first_token_hides_it_in_the_picture_only() -> None:
    frame = attention_frame(patterns(1, 2, 5), causal=True)
    plain, hidden = attention_grid(frame), attention_grid(frame, hide_first=True)
    assert hidden.alt == plain.alt
    pd.testing.assert_frame_equal(hidden.frame, plain.frame)
    assert rows_of(hidden.chart, 1)[0]["picture"] != rows_of(plain.chart, 1)[0]["picture"]
    tokens = ["a", "b", "c", "d", "e"]
    frame = frame[frame["head"] == 1]
    plain_head = attention_head(frame, tokens)
    hidden_head = attention_head(frame, tokens, hide_first=True)
    assert hidden_head.alt == plain_head.alt
    assert {cell["key"] for cell in rows_of(hidden_head.chart)} == {1, 2, 3, 4}
    fill = spec_of(hidden_head.chart)["layer"][0]["encoding"]["fill"]
    assert fill["scale"]["domain"][-1] == frame[frame["key"] > 0]["weight"].max()
    assert "and the first token" in fill["legend"]["title"]
    drawn(attention_head(one_head(1), ["a"], hide_first=True).chart)


def put(column: str, value: Any) -> pd.DataFrame:
    frame = one_head(3)
    frame[column] = frame[column].astype(float)
    frame.loc[1, column] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (one_head(3).drop(columns="head"), "lacks the column head"),
        (one_head(3).iloc[:0], "no rows"),
        (put("weight", float("nan")), "nan at position 1"),
        (put("weight", -3.0), "before the softmax"),
        (put("query", 0.5), "must hold positions"),
        (pd.concat([one_head(3)] * 2), "more than once"),
    ],
)
def test_patterns_that_would_mislead_are_refused(frame: pd.DataFrame, says: str) -> None:
    with pytest.raises(InputError, match=says):
        attention_grid(frame)
    with pytest.raises(InputError, match=says):
        attention_head(frame, ["a", "b", "c"])


def test_one_head_is_one_head_with_its_tokens() -> None:
    with pytest.raises(InputError, match="holds 2 heads"):
        attention_head(attention_frame(patterns(1, 2, 3), causal=True), ["a", "b", "c"])
    with pytest.raises(InputError, match="no token for query 2; only 2"):
        attention_head(one_head(3), ["a", "b"])
    for limit in (0.0, 2.0, float("nan")):
        with pytest.raises(InputError, match="limit"):
            attention_grid(one_head(3), limit=limit)
