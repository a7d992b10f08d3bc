"""The zoo suite `induction`: a mechanism that is known, and the moment at which it arises."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

import interp
from interp.model.transformer import HookedTransformer
from interp.zoo import zoo_folder
from interp.zoo.recipes import induction

FOLDER = zoo_folder("induction")


@pytest.fixture(scope="module")
def run() -> interp.Run:
    return interp.Run.open("induction")


@pytest.fixture(scope="module")
def model() -> HookedTransformer:
    model: HookedTransformer = interp.load("induction")
    return model


@pytest.fixture(scope="module")
def trace(run: interp.Run) -> pd.DataFrame:
    return induction.trace(run)


@pytest.fixture(scope="module")
def stated() -> dict[str, float]:
    record: Any = json.loads((FOLDER / "training.json").read_text("utf-8"))
    return {row["metric"]: row["value"] for row in record["figures"]}


def test_the_suite_is_whole_and_small(run: interp.Run) -> None:
    assert run.audit().empty
    assert len(run) >= 20 and run.steps[-1] == induction.STEPS == len(run.log)
    assert sum(p.stat().st_size for p in FOLDER.rglob("*") if p.is_file()) < 5_000_000


def test_the_mechanism_arises_all_at_once(trace: pd.DataFrame) -> None:
    """From below 0.05 to above 0.5 within a tenth of the steps."""
    risen = induction.rise(trace)
    assert risen is not None
    assert (risen[1] - risen[0]) / trace["step"].iloc[-1] <= 0.1
    assert trace["loss"].iloc[0] > 4 and trace["loss"].iloc[-1] < 0.1


def test_the_second_layer_does_it_and_the_best_heads_are_needed(model: HookedTransformer) -> None:
    scores = induction.induction_scores(model)
    assert scores[1].max() > 0.5 and scores[0].max() < 0.15
    heads = induction.top_heads(model)
    assert induction.loss_on_repeats(model, heads) > induction.loss_on_repeats(model) + 1


def test_the_card_states_what_is_measured(
    model: HookedTransformer, trace: pd.DataFrame, stated: dict[str, float]
) -> None:
    best = float(induction.induction_scores(model).max())
    assert stated["best induction score at the end"] == pytest.approx(best, abs=1e-4)
    loss = induction.loss_on_repeats(model)
    assert stated["loss on repeats, nats a token"] == pytest.approx(loss, abs=1e-4)
    assert stated["first step with a score above 0.5"] == induction.rise(trace)[1]
    assert stated["best induction score of one layer"] < 0.15


def test_what_a_step_read_is_shown(run: interp.Run) -> None:
    assert (run.batch(7).labels == induction.source().batch(7).labels).all()
