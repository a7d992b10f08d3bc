"""Slices: one that is worse is found, none where there is none, and the test is the exact one."""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import binomtest, fisher_exact

from interp.data.records import Example
from interp.errors import InputError
from interp.figures.slices import worst_slices_chart
from interp.train.metrics import Scores
from interp.train.tasks.classification import Classification
from interp.train.tasks.language_modelling import LanguageModelling
from probes.slices import (
    ALL,
    LEAST,
    SCRIPT,
    by_length,
    members,
    permutation_p,
    quarters,
    slices,
    worst_first,
)
from tests.figures.spec import drawn
from tests.train.tasks.small import examples, model, sentences, tokenizer


def halves(n: int) -> np.ndarray:
    return np.arange(n) < n // 2


def test_for_shares_the_test_is_fishers() -> None:
    for inside, outside in ((3, 9), (8, 9), (10, 2)):
        hits = np.zeros(40)
        hits[:inside] = hits[20 : 20 + outside] = 1
        p = permutation_p(Scores.each("x", hits), halves(40)[None], draws=20_000)
        table = [[inside, 20 - inside], [outside, 20 - outside]]
        exact = fisher_exact(table, alternative="less").pvalue
        assert p[0] == pytest.approx(exact, abs=4 * (exact * (1 - exact) / 20_000) ** 0.5 + 1e-4)


def test_a_permutation_of_few_examples_by_brute_force() -> None:
    """Every way to choose the slice, once each."""
    random = np.random.default_rng(0)
    above, below = random.normal(size=8) + 1, random.uniform(1, 3, 8)
    scores = Scores("x", above, below, higher=False)

    def statistic(chosen: np.ndarray) -> float:
        parts = []
        for side in (chosen, ~chosen):
            a, b = above[side], below[side]
            ratio = a.sum() / b.sum()
            parts.append((ratio, ((a - ratio * b) ** 2).sum() / b.sum() ** 2))
        (one, spread), (other, rest) = parts
        return float((one - other) / np.sqrt(spread + rest))

    every = []
    for places in itertools.combinations(range(8), 3):
        chosen = np.zeros(8, bool)
        chosen[list(places)] = True
        every.append(statistic(chosen))
    mask = np.zeros(8, bool)
    mask[[1, 4, 6]] = True
    exact = np.mean(np.array(every) >= statistic(mask) - 1e-9)
    p = permutation_p(scores, mask[None], draws=20_000)
    assert p[0] == pytest.approx(exact, abs=0.015)


def test_chance_is_seldom_called_worse() -> None:
    """Of 200 tables without any bad slice, at most 5% have one that is called so."""
    random = np.random.default_rng(1)
    alarms = 0
    for i in range(200):
        hits = random.uniform(size=120) < 0.7
        found = {("x", str(k)): random.uniform(size=120) < 0.3 for k in range(6)}
        frame = worst_first(Scores.each("accuracy", hits), found, draws=199, seed=i)
        alarms += bool(frame["worse"].any())
    assert binomtest(alarms, 200, 0.05, alternative="greater").pvalue > 0.001


def test_slices_that_scatter_more_are_not_taken_for_worse() -> None:
    """Texts of few bytes have ratios that scatter; permuting plain differences would cry wolf."""
    random = np.random.default_rng(2)
    alarms = 0
    for i in range(300):
        below = np.where(np.arange(100) < 25, 1.0, 30.0)
        above = below * (1 + random.normal(size=100) / np.sqrt(below))
        p = permutation_p(Scores("x", above, below, False), (below == 1)[None], draws=199, seed=i)
        alarms += bool(p[0] <= 0.05)
    assert alarms <= 30


def test_a_planted_slice_is_found_and_comes_first() -> None:
    random = np.random.default_rng(3)
    bad = random.uniform(size=300) < 0.25
    hits = random.uniform(size=300) < np.where(bad, 0.5, 0.85)
    found = {("x", str(k)): random.uniform(size=300) < 0.3 for k in range(8)} | {("y", "bad"): bad}
    frame = worst_first(Scores.each("accuracy", hits), found)
    assert frame["slice"].iloc[0] == ALL and frame["slice"].iloc[1] == "bad"
    assert frame.loc[frame["worse"], "slice"].tolist() == ["bad"]
    row = frame.iloc[1]
    assert row["value"] == pytest.approx(hits[bad].mean()) and row["n"] == bad.sum()
    assert row["rest"] == pytest.approx(hits[~bad].mean())
    assert row["p"] <= row["p_holm"] <= 0.05
    values = frame["value"].iloc[1:].tolist()
    assert values == sorted(values)
    losses = worst_first(Scores("loss", 1.0 - hits, np.ones(300), higher=False), found)
    assert losses["slice"].iloc[1] == "bad" and losses["value"].iloc[1] > losses["value"].iloc[2]
    np.testing.assert_array_equal(frame["p"].iloc[1:], losses["p"].iloc[1:])
    assert "“y: bad”" in worst_slices_chart(frame).alt
    assert "Worse than elsewhere" in drawn(worst_slices_chart(frame, "dark").chart)


@pytest.mark.parametrize("share", [True, False])
def test_all_intervals_hold_at_once(share: bool) -> None:
    random = np.random.default_rng(4)
    held = 0
    for i in range(300):
        below = np.ones(400) if share else random.uniform(1, 3, 400)
        truth = 0.7
        noise = random.uniform(size=400)
        above = (noise < truth).astype(float) if share else below * (truth + noise - 0.5)
        found = {("x", str(k)): np.arange(400) % 8 == k for k in range(8)}
        frame = worst_first(Scores("m", above, below), found, draws=1, seed=i).iloc[1:]
        held += bool(((frame["ci_low"] <= truth) & (truth <= frame["ci_high"])).all())
    assert binomtest(held, 300, 0.95, alternative="less").pvalue > 0.001
    assert frame["ci_low"].lt(frame["value"]).all()


def test_small_slices_are_left_out() -> None:
    hits = np.ones(100)
    found = {("x", "few"): np.arange(100) < LEAST - 1, ("x", "most"): np.arange(100) < 85}
    frame = worst_first(Scores.each("accuracy", hits), found)
    assert frame["slice"].tolist() == [ALL]
    with pytest.raises(InputError, match="too few"):
        worst_slices_chart(frame)


@dataclass(frozen=True)
class Sourced(Example):
    source: str = ""


def test_slices_are_read_off_the_records() -> None:
    records = [
        Sourced(f"{'word ' * (1 + i % 8)}{'7' if i % 5 == 0 else ''}", "ab"[i % 2], "xyz"[i % 3])
        for i in range(120)
    ]
    found = members(records, tokenizer("encoder"), learnt=["word word word"])
    groups = {by for by, _ in found}
    assert {"class", "source", "length", "digits", "rare words", "unknown words"} <= groups
    assert {"copies", "new words"} <= groups and "text" not in groups
    for group in groups:  # the slices of a group part the examples
        assert sum(mask for (by, _), mask in found.items() if by == group).tolist() == [1] * 120
    assert found["digits", "with digits"].sum() == 24
    assert found["class", "a"].tolist() == [i % 2 == 0 for i in range(120)]
    copied = found["copies", "in a learnt text"]
    assert copied[2] and not copied[4]
    assert found["new words", "no new word"][1] and found["new words", "one new word"][0]


def test_quarters_are_named_by_their_ends() -> None:
    assert quarters(np.array([1, 2, 3, 4]), "x") == ["1 x", "2 x", "3 x", "4 x"]
    assert quarters(np.array([1.0, 1.0]), "x") == ["1.00 x"] * 2
    assert set(by_length(["a b"] * 9 + ["a"] * 3)) == {"1 words", "2 words"}


def test_a_model_on_its_slices_and_the_command(tmp_path) -> None:  # type: ignore[no-untyped-def]
    records = examples(80)
    one = Classification(("neg", "pos")).prepare(model("encoder"))
    task = Classification(("neg", "pos"))
    answers = task.answer(one, records)
    frame = slices(one, task, records, draws=99)
    assert frame["value"].iloc[0] == pytest.approx((answers.argmax(1) == task.true(records)).mean())
    again = slices(one, task, records, answers, draws=99)
    assert frame.equals(again)
    texts = sentences(100)
    spoken = slices(model(), LanguageModelling(), texts, draws=99)
    assert spoken["metric"].eq("bits_per_byte").all() and len(spoken) > 3
    (tmp_path / "a.jsonl").write_text("\n".join(f'{{"text": "{text}"}}' for text in texts))
    parser = argparse.ArgumentParser()
    SCRIPT.fill(parser)
    options = parser.parse_args(["--run", "x", "--files", str(tmp_path / "a.jsonl")])
    assert SCRIPT.measure is not None
    told = SCRIPT.measure(model(), options)
    assert told["value"].iloc[0] == pytest.approx(spoken["value"].iloc[0])
