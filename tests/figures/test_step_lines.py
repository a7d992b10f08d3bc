"""The lines over a training say when it happened, and have a dot for each checkpoint."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from interp.errors import InputError
from interp.figures.step_lines import loss_chart, step_lines
from tests.figures.spec import drawn

STEPS = [0, 10, 100, 1000]


def log(n: int = 1000) -> pd.DataFrame:
    steps = np.arange(1, n + 1)
    return pd.DataFrame({"step": steps, "loss": np.where(steps <= 50, 8.0, 2.0)})


def lines() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"step": step, "line": f"head 0.{head}", "value": head * step / 1000}
            for step in STEPS
            for head in (0, 1)
        ]
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_loss_says_where_it_fell(scheme: str) -> None:
    figure = loss_chart(log(), STEPS, scheme, chosen=100)
    assert "from 8.00 to 2.00 nats in 1,000 steps" in figure.alt
    half = int(figure.alt.split("by step ")[1].split(".")[0])
    assert 50 < half < 55
    assert figure.alt.endswith("At the chosen step 100 it is 2.00.")
    svg = drawn(figure.chart)
    assert all(f"step {step:,}, loss: " in svg for step in STEPS)


def test_a_loss_that_blew_up_is_drawn_where_it_was_finite() -> None:
    broken = log(100).astype({"loss": float})
    broken.loc[60:, "loss"] = np.nan
    assert "in 60 steps" in loss_chart(broken, [0, 100]).alt
    with pytest.raises(InputError, match="finite"):
        loss_chart(broken.iloc[60:], [0])


def test_the_lines_say_which_ends_highest_and_what_the_chosen_has() -> None:
    figure = step_lines(lines(), "score", chosen=100, strong="head 0.1", chance=0.25)
    assert "1.00 of head 0.1 is the most, 0 of head 0.0 the least; chance is 0.250." in figure.alt
    assert "At the chosen step 100, head 0.1 has 0.100." in figure.alt
    assert "step 10, head 0.1: 0.0100" in drawn(figure.chart)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(InputError, match="twice"):
        step_lines(pd.concat([lines(), lines()]), "score")
    with pytest.raises(InputError, match="lacks the column value"):
        step_lines(lines().drop(columns="value"), "score")
