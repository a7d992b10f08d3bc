"""The two charts of a budget say what it buys, and mark what is only a guess."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from interp.errors import InputError
from interp.figures.amounts import budget_text, duration, short
from interp.figures.frontier import frontier_chart, use_chart
from interp.figures.page import page_html
from interp.figures.still import figure_html, table_html
from interp.figures.theme import PALETTES
from tests.figures.hostile import STORABLE
from tests.figures.spec import drawn, rows_of, spec_of, texts_of


def budgets(*, intervals: bool = True) -> pd.DataFrame:
    factors = np.array([0.25, 0.5, 1.0, 2.0, 4.0])
    loss = 3.0 + factors**-0.2
    return pd.DataFrame(
        {
            "factor": factors,
            "budget": 3600 * factors,
            "d_model": [64, 64, 96, 128, 160],
            "n_layers": [2, 2, 2, 3, 3],
            "loss": loss,
            "ci_low": loss - 0.1 if intervals else np.nan,
            "ci_high": loss + 0.2 if intervals else np.nan,
            "beyond": [1.0, 1.0, 9.0, 11.0, 40.0],
        }
    )


def shapes() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "inference_flops": [1e6, 2e6, 4e6, 8e6, 16e6],
            "d_model": [32, 64, 96, 128, 160],
            "n_layers": [2, 2, 2, 3, 3],
            "loss": [4.4, 4.1, 4.0, 4.2, 9.0],
        }
    )


def points(chart: Any, face: str) -> list[Any]:
    return [row for row in rows_of(chart, layer=-1) if row["face"] == face]


def test_the_frontier_says_what_the_budget_buys() -> None:
    figure = frontier_chart(budgets(), unit="seconds")
    assert "4.00 nats per token for 1 h, with width × layers of 96 × 2" in figure.alt
    assert "from 4.32 for 15 min down to 3.76 for 4 h" in figure.alt
    assert "2 of 5 lie more than ten times outside" in figure.alt
    assert list(figure.frame["budget"]) == sorted(figure.frame["budget"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_guesses_are_hollow_and_the_budget_stands_out(scheme: Any) -> None:
    chart = frontier_chart(budgets(), unit="seconds", scheme=scheme).chart
    hollow = points(chart, PALETTES[scheme].paper)
    assert [row["beyond"] for row in hollow] == [11.0, 40.0]
    assert [row["factor"] for row in points(chart, PALETTES[scheme].accent)] == [1.0]


def test_the_axis_speaks_of_time_as_the_words_do() -> None:
    svg = drawn(frontier_chart(budgets(), unit="seconds").chart)
    assert {"15 min", "30 min", "1 h", "2 h", "4 h", "96 × 2"} <= set(texts_of(svg))


def test_without_intervals_there_is_no_band() -> None:
    def marks(frame: pd.DataFrame) -> list[str]:
        spec = spec_of(frontier_chart(frame, unit="FLOPs").chart)
        return [layer["mark"]["type"] for layer in spec["layer"]]

    assert "area" in marks(budgets())
    assert "area" not in marks(budgets(intervals=False))


def test_rows_in_any_order_draw_the_same() -> None:
    frame = budgets()
    mixed = frame.sample(frac=1, random_state=2)
    assert rows_of(frontier_chart(mixed, unit="FLOPs").chart) == rows_of(
        frontier_chart(frame, unit="FLOPs").chart
    )


def test_use_names_the_best_and_a_cheaper_one_and_leaves_out_the_bad() -> None:
    figure = use_chart(shapes())
    assert (
        "least, 4.00 nats per token, at 4M FLOPs a token (width × layers of 96 × 2)" in figure.alt
    )
    assert "64 × 2 costs 2.0 times less to use and reaches 4.10" in figure.alt
    assert list(figure.frame["loss"]) == [4.4, 4.1, 4.0, 4.2]


@pytest.mark.parametrize("n", [1, 2, 60])
def test_few_and_many_points(n: int) -> None:
    many = pd.DataFrame(
        {
            "inference_flops": np.geomspace(1e6, 1e9, n),
            "d_model": range(32, 32 + n),
            "n_layers": 2,
            "loss": np.linspace(4, 4.2, n),
        }
    )
    svg = drawn(use_chart(many).chart)
    assert "32 × 2" in texts_of(svg)
    assert sum("×" in text for text in texts_of(svg)) <= 15
    frame = budgets().tail(1).assign(factor=1.0)
    drawn(frontier_chart(frame, unit="FLOPs").chart)


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (budgets().drop(columns="beyond"), "lacks the column beyond"),
        (budgets().iloc[:0], "no rows"),
        (budgets().assign(loss=np.nan), "nan at position 0"),
        (budgets().assign(budget=0.0), "must be positive"),
        (budgets().assign(factor=2.0), "factor 1"),
    ],
)
def test_budgets_that_cannot_be_drawn_are_refused(frame: pd.DataFrame, says: str) -> None:
    with pytest.raises(InputError, match=says):
        frontier_chart(frame, unit="seconds")


def test_shapes_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(InputError, match="inference_flops hold -1"):
        use_chart(shapes().assign(inference_flops=-1.0))


def test_a_page_holds_both_schemes_and_asks_for_nothing() -> None:
    def draw(scheme: Any) -> Any:
        return frontier_chart(budgets(), unit="seconds", scheme=scheme)

    page = page_html("A budget", figure_html(draw))
    assert page.count("data:image/svg+xml;base64,") == 2
    assert "prefers-color-scheme:dark" in page and "<script" not in page
    assert f'alt="{draw("light").alt}"' in page


def test_cells_are_text_whatever_they_hold() -> None:
    html = table_html([["a", "<b>"], *[[text, "1"] for text in STORABLE]], "A <table>")
    assert "<b>" not in html and "<img" not in html and "<script" not in html
    assert html.count("<tr>") == 1 + len(STORABLE)
    assert "A &lt;table&gt;" in html


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.5, "0.5"),
        (999.4, "999"),
        (999.6, "1k"),
        (2_557_632, "2.56M"),
        (7e10, "70B"),
        (1.4e12, "1.4T"),
        (1e21, "1.00e+21"),
    ],
)
def test_amounts_are_short(value: float, said: str) -> None:
    assert short(value) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (1, "1 s"),
        (90, "90 s"),
        (150, "2.5 min"),
        (3600, "1 h"),
        (9000, "2.5 h"),
        (2e5, "2.31 days"),
    ],
)
def test_durations_are_in_the_unit_that_people_use(seconds: float, said: str) -> None:
    assert duration(seconds) == budget_text(seconds, "seconds") == said
    assert budget_text(1e15, "FLOPs") == "1e+15 FLOPs"
