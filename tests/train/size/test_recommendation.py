"""A recommendation is the best of what a budget buys, and says how far it can be trusted."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.errors import InputError
from interp.train.size import (
    PUBLISHED,
    Recommendation,
    ScalingLaw,
    Speed,
    count_parameters,
    effective_tokens,
    recommend,
    training_flops,
)
from interp.train.size.shapes import ladder
from tests.train.size.test_laws import a_law

SPEED = Speed(((1e6, 30_000.0), (1e7, 6_000.0), (1e8, 900.0)))
DRAWS = tuple((2.0 + x, 40.0, 300.0, 0.3 + x / 3, 0.35) for x in np.linspace(-0.1, 0.1, 41))
BUDGETS = st.floats(10.0, 1e7)


@given(flops=st.floats(1e12, 1e24), law=st.sampled_from([*PUBLISHED.values(), a_law()]))
@settings(max_examples=40)
def test_the_best_shape_is_next_to_the_closed_form(flops: float, law: ScalingLaw) -> None:
    """With 6 N D for all of the cost (a context of 2 and N of the matrices), the chosen shape is
    one of the two around the optimum of the law, and hardly worse than it."""
    law = dataclasses.replace(law, counting="matrices", d_vocab=64)
    found = recommend(flops=flops, law=law, n_ctx=2)
    n, d = law.optimum(flops)
    sizes = [plan.parameters for plan in found.plans]
    at = sizes.index(found.best.parameters)
    around = (sizes[max(at - 1, 0)], sizes[min(at + 1, len(sizes) - 1)])
    assert around[0] <= n <= around[1] or n < sizes[0] or n > sizes[-1]
    assert found.best.loss >= float(law.loss(n, d)) * (1 - 1e-9)
    if sizes[0] < n < sizes[-1]:
        assert found.best.loss <= float(law.loss(n, d)) * 1.03


@given(budget=BUDGETS, unique=st.one_of(st.none(), st.floats(1e4, 1e10)))
@settings(max_examples=30)
def test_nothing_affordable_is_better(budget: float, unique: float | None) -> None:
    law = a_law()
    found = recommend(seconds=budget, law=law, speed=SPEED, unique_tokens=unique)
    for cfg in ladder(d_vocab=4096, n_ctx=256):
        tokens = budget * SPEED(cfg)
        loss = law.loss(count_parameters(cfg), effective_tokens(tokens, unique))
        assert tokens < 256 or float(loss) >= found.best.loss
    assert found.best.tokens == pytest.approx(budget * SPEED(found.best.shape))


@given(budget=BUDGETS, factor=st.floats(1.001, 100), unique=st.sampled_from([None, 1e6]))
@settings(max_examples=30)
def test_more_budget_is_never_worse(budget: float, factor: float, unique: float | None) -> None:
    def loss(seconds: float) -> float:
        return recommend(seconds=seconds, law=a_law(), speed=SPEED, unique_tokens=unique).best.loss

    assert loss(budget * factor) <= loss(budget)


@given(budget=BUDGETS)
@settings(max_examples=20)
def test_twice_the_speed_is_twice_the_budget(budget: float) -> None:
    fast = Speed(tuple((flops, 2 * tokens) for flops, tokens in SPEED.measured))
    law = a_law(draws=DRAWS)
    one = recommend(seconds=budget, law=law, speed=fast)
    other = recommend(seconds=2 * budget, law=law, speed=SPEED)
    assert one.best.shape == other.best.shape
    assert one.best.tokens == pytest.approx(other.best.tokens)
    assert one.best.loss == pytest.approx(other.best.loss)
    assert one.likely == other.likely and one.warnings == other.warnings


def test_operations_are_seconds_at_one_operation_a_second() -> None:
    law = a_law()
    flops = recommend(flops=1e15, law=law)
    assert flops.best.tokens * training_flops(flops.best.shape) == pytest.approx(1e15)
    constant = Speed(((1e7, 1e5),))  # 1e12 operations a second, whatever the shape
    seconds = recommend(seconds=1e3, law=law, speed=constant)
    assert seconds.best.shape == flops.best.shape
    assert seconds.best.loss == pytest.approx(flops.best.loss)


def warned(found: Recommendation, word: str) -> bool:
    return any(word in warning for warning in found.warnings)


def test_the_warning_comes_exactly_beyond_ten_times() -> None:
    def stretched(end: int, factor: float) -> bool:
        """Whether a law warns that ends so many times before (after) what is recommended."""
        best = recommend(flops=1e15, law=a_law()).best
        compute = 6 * best.parameters * best.tokens
        ends = [(compute / factor / 100, compute / factor), (compute * factor, compute * 1e6)]
        return warned(recommend(flops=1e15, law=a_law(compute=ends[end])), "stretched")

    for end in (0, 1):
        assert not stretched(end, 9.999)
        assert stretched(end, 10.001)


def test_data_that_limit_are_said_to() -> None:
    law = a_law()
    plenty = recommend(seconds=3600, law=law, speed=SPEED)
    read = plenty.best.tokens
    assert plenty.best.epochs is None
    enough = recommend(seconds=3600, law=law, speed=SPEED, unique_tokens=read)
    assert enough.best.loss == pytest.approx(plenty.best.loss)
    assert enough.best.epochs == pytest.approx(1.0)
    assert not warned(enough, "data limit")
    scarce = recommend(seconds=3600, law=law, speed=SPEED, unique_tokens=read / 100)
    assert scarce.best.loss > plenty.best.loss and warned(scarce, "data limit")


def test_what_else_weakens_the_answer_is_said() -> None:
    law = a_law(d_vocab=4096, unidentified=("alpha",))
    assert warned(recommend(flops=1e14, law=law), "leave alpha open")
    assert warned(recommend(flops=1e14, law=law, d_vocab=512), "vocabulary of 4,096")
    assert not warned(recommend(flops=1e14, law=law, d_vocab=4096), "vocabulary")
    assert warned(recommend(flops=1e10, law=a_law()), "smallest shape")
    slow = Speed(((1e6, 30_000.0),))
    assert warned(recommend(seconds=3e5, law=a_law(), speed=slow), "not measured")
    assert not warned(recommend(seconds=60, law=a_law(), speed=SPEED), "not measured")


def test_the_frontier_is_what_each_budget_alone_would_give() -> None:
    law = a_law(draws=DRAWS)
    found = recommend(seconds=900, law=law, speed=SPEED, unique_tokens=2e6)
    assert (found.frontier["loss"].diff().dropna() < 0).all()
    for row in found.frontier.itertuples():
        alone = recommend(seconds=row.budget, law=law, speed=SPEED, unique_tokens=2e6).best
        assert (row.d_model, row.loss) == (alone.shape.d_model, alone.loss)
        assert row.ci_low < row.loss < row.ci_high
    assert found.frontier.set_index("factor").loc[1.0, "loss"] == found.best.loss


def test_sizes_that_the_runs_do_not_settle_are_said() -> None:
    assert recommend(seconds=900, law=a_law(), speed=SPEED).likely is None
    wide = recommend(seconds=900, law=a_law(draws=DRAWS), speed=SPEED)
    sure = recommend(seconds=900, law=a_law(draws=DRAWS[20:21] * 5), speed=SPEED)
    assert wide.likely is not None and wide.likely[0] < wide.likely[1]
    assert wide.likely[0] <= wide.best.parameters <= wide.likely[1]
    assert sure.likely == (sure.best.parameters,) * 2


@pytest.mark.parametrize("law", [a_law(), a_law(draws=DRAWS)], ids=["bare", "with draws"])
def test_a_recommendation_is_json(law: ScalingLaw) -> None:
    found = recommend(seconds=900, law=law, speed=SPEED, unique_tokens=1e6)
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert read["recommended"]["d_model"] == found.best.shape.d_model
    assert len(read["alternatives"]) == len(found.candidates) == len(found.plans)
    assert "draws" not in read["law"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "one budget"),
        ({"seconds": 1.0, "flops": 1.0}, "one budget"),
        ({"seconds": 0.0}, "positive"),
        ({"flops": float("nan")}, "positive"),
        ({"flops": float("inf")}, "positive"),
        ({"flops": 1e6}, "does not pay for one row"),
        ({"seconds": 1e-4}, "does not pay for one row"),
        ({"seconds": 60.0, "unique_tokens": 0}, "some to learn from"),
        ({"seconds": 60.0, "d_vocab": 0}, "vocabulary is 0"),
        ({"seconds": 60.0, "n_ctx": 1}, "context is 1"),
    ],
)
def test_budgets_that_buy_nothing_are_refused(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        recommend(**arguments, law=a_law(), speed=SPEED)
