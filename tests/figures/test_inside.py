"""The charts of heads, lenses and neurons draw every cell that they are given, and say what they
show."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from interp.errors import InputError
from interp.figures.heads import head_chart
from interp.figures.lens_curve import lens_curve
from interp.figures.neurons import density_chart
from tests.figures.spec import drawn, spec_of

SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])


def heads(steps: list[int], site: str = "blocks.attn", run: str = "r") -> pd.DataFrame:
    """Two layers of three heads; head 1.2 finds induction at the last step."""
    return pd.DataFrame(
        {
            "run": run,
            "step": step,
            "site": site,
            "layer": layer,
            "head": head,
            "metric": metric,
            "value": 0.9 if (layer, head, step) == (1, 2, steps[-1]) else 0.1,
        }
        for step in steps
        for layer in range(2)
        for head in range(3)
        for metric in ("previous", "induction", "copying")
    )


def panels(chart: Any) -> list[dict[str, Any]]:
    return [panel for row in spec_of(chart)["vconcat"] for panel in row["hconcat"]]


@SCHEMES
def test_each_score_has_a_panel_with_a_cell_for_each_head_and_step(scheme: Any) -> None:
    figure = head_chart(heads([0, 10, 20]), scheme)
    found = panels(figure.chart)
    assert [panel["title"]["text"] for panel in found] == ["previous", "induction", "copying"]
    data = spec_of(figure.chart)["datasets"]
    for panel in found:
        cells = data[(panel.get("data") or panel["layer"][0]["data"])["name"]]
        assert len({(cell["x"], cell["y"]) for cell in cells}) == 18
    assert "0.900 in head 1.2 at step 20" in figure.alt
    assert "passes half of that by step 20" in figure.alt
    assert "induction" in drawn(figure.chart)


def test_one_model_is_drawn_layer_by_head_and_several_in_rows() -> None:
    one = head_chart(heads([5]).drop(columns=["step", "run"]))
    assert {p["layer"][0]["encoding"]["x"]["title"] for p in panels(one.chart)} == {"head"}
    two = head_chart(pd.concat([heads([5]), heads([5], run="other")]))
    titles = [panel["title"].get("subtitle") for panel in panels(two.chart)]
    assert "r" in titles and "other" in titles


def test_head_scores_that_say_nothing_are_refused() -> None:
    frame = heads([5])
    with pytest.raises(InputError, match="twice"):
        head_chart(pd.concat([frame, frame]))
    with pytest.raises(InputError, match="none of the metrics"):
        head_chart(frame, panels=["rising"])
    with pytest.raises(InputError, match="not finite"):
        head_chart(frame.assign(value=float("nan")))


def lenses(steps: list[int], run: str = "r") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "run": run,
            "step": step,
            "lens": lens,
            "layer": layer,
            "metric": "kl",
            "value": (3 - layer) * (1 if lens == "logit" else 0.5),
            "ci_low": (3 - layer) * 0.4,
            "ci_high": (3 - layer) * 1.1,
        }
        for step in steps
        for lens in ("logit", "tuned")
        for layer in range(4)
    )


@SCHEMES
def test_a_lens_has_a_curve_for_each_step_and_kind(scheme: Any) -> None:
    figure = lens_curve(lenses([0, 100]), scheme)
    assert "at step 100, tuned lens: 1.50 at layer 0" in figure.alt
    assert "0 at the last" in figure.alt
    svg = drawn(figure.chart)
    assert "tuned" in svg and "100" in svg
    drawn(lens_curve(pd.concat([lenses([0]), lenses([0], "other")]), scheme).chart)
    with pytest.raises(InputError, match="no metric"):
        lens_curve(lenses([0]), metric="rank")


@SCHEMES
def test_density_names_the_sparsest_layer_and_those_that_never_act(scheme: Any) -> None:
    frame = pd.DataFrame(
        {"layer": layer, "neuron": i, "metric": "density", "value": i / 10 / (layer + 1)}
        for layer in range(2)
        for i in range(11)
    )
    figure = density_chart(frame, scheme)
    assert "on 25% of the tokens in layer 1, the sparsest, and on 50% in layer 0" in figure.alt
    assert "2 are never active" in figure.alt
    svg = drawn(figure.chart)
    assert "layer 0" in svg and "1 never" in svg
    with pytest.raises(InputError, match="between 0 and 1"):
        density_chart(frame.assign(value=2.0))
