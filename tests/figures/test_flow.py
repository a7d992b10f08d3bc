"""The graph of what travels to a prediction."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from interp.errors import InputError
from interp.figures.flow import flow_chart
from tests.figures.hostile import STORABLE


def frames(n: int = 4) -> tuple[pd.DataFrame, pd.DataFrame]:
    nodes = pd.DataFrame(
        [(level, i, f"t{i}", float(i - 1)) for level in (0, 1) for i in range(n)],
        columns=["level", "position", "token", "value"],
    )
    edges = pd.DataFrame(
        [(0, i, 1, j, (i - 0.5) * (j + 1)) for i in range(n) for j in range(i, n)],
        columns=["level", "position", "to_level", "to_position", "value"],
    )
    return nodes, edges


def test_it_states_the_token_that_brings_most_and_the_largest_step_between_tokens() -> None:
    figure = flow_chart(*frames(), "end")
    assert "token 3 “t3” brings most, +2" in figure.alt
    assert "from 2 “t2” at level 0 to 3 “t3” at level 1, +6.00" in figure.alt
    sizes = figure.frame["value"].abs().tolist()
    assert sizes == sorted(sizes, reverse=True) and len(sizes) == len(frames()[1])


def test_at_most_500_steps_are_drawn_and_a_slider_hides_the_small_ones() -> None:
    figure = flow_chart(*frames(40), "end")
    assert len(figure.frame) == 500 and "500 steps of 820" in figure.alt
    spec = json.loads(figure.chart.to_json())
    (slider,) = [param for param in spec["params"] if param["name"] == "least"]
    assert slider["bind"]["input"] == "range" and 0 < slider["value"] < slider["bind"]["max"]


def test_a_step_from_nowhere_is_refused() -> None:
    nodes, edges = frames()
    with pytest.raises(InputError, match="not among"):
        flow_chart(nodes[nodes["position"] > 0], edges, "end")


@pytest.mark.parametrize("text", STORABLE)
def test_tokens_are_shown_literally(text: str) -> None:
    nodes, edges = frames()
    nodes["token"] = text
    figure = flow_chart(nodes, edges, text)
    assert "\u202e" not in figure.chart.to_json(ensure_ascii=False) and "\u202e" not in figure.alt
