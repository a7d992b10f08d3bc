"""Formulas over regions mean what they say, and a scorer without knowledge stays at chance."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from interp.data.records import Condition, Suite
from interp.data.sets import read_set
from interp.errors import InputError
from interp.figures.syntaxgym import syntaxgym_chart
from probes.frames import tidy
from probes.scoring import score
from probes.surprisal import BITS
from probes.syntaxgym import Formula, syntaxgym
from tests.figures.spec import drawn
from tests.train.tasks.small import model, sentences


def suite(n: int = 5, formula: str = "[(2;%a%) < (2;%b%)] & [(1;%a%) > (*;%b%) - 3]") -> Suite:
    texts = [text.split() for text in sentences(2 * n)]
    items = tuple(
        (
            Condition("a", (" ".join(x[:2]), x[2], "")),
            Condition("b", (" ".join(y[:2]), y[2], "")),
        )
        for x, y in zip(texts[:n], texts[n:], strict=True)
    )
    return Suite("tiny", (formula, "(1;%a%) = (1;%b%)"), items)


def by_eval(formula: str, surprisals: dict[str, np.ndarray], item: int) -> bool:
    """The same formula in Python's own grammar."""
    code = re.sub(r"\((\d+);%([\w-]+)%\)", lambda m: f"(s['{m[2]}'][i, {int(m[1]) - 1}])", formula)
    code = re.sub(r"\[(?!i,|')", "(", code)
    code = re.sub(r"(?<!'|\d)\]|(?<=\))\]", ")", code).replace("&", " and ")
    return bool(eval(code.strip(), {"s": surprisals, "i": item}))


def test_every_formula_of_the_suites_is_what_python_makes_of_it(shared_data: Path) -> None:
    random = np.random.default_rng(0)
    n = 0
    for one in read_set("syntaxgym", shared_data, "test"):
        surprisals = {c.name: random.gamma(2, 4, (40, len(c.regions))) for c in one.items[0]}
        for text in one.formulas:
            formula = Formula.read(text)
            if formula.predicts_equality:
                continue
            expected = [by_eval(text, surprisals, i) for i in range(40)]
            assert formula(surprisals).tolist() == expected
            n += 1
    assert n == 35


def test_equal_surprisals_are_half_right_and_halves_multiply() -> None:
    same = {"a": np.ones((3, 2)), "b": np.ones((3, 2))}
    assert Formula.read("(1;%a%) < (2;%b%)")(same).tolist() == [0.5] * 3
    assert Formula.read("[(1;%a%)<(1;%b%)] & [(2;%a%)>(2;%b%)]")(same).tolist() == [0.25] * 3
    assert Formula.read("(1;%a%) + (2;%a%) - 1.5 > 0")(same).tolist() == [1.0] * 3


@pytest.mark.parametrize(
    ("formula", "problem"),
    [
        ("(1;%a%) ? (1;%b%)", "from ' \\?"),
        ("(1;%a%)", "no statement"),
        ("(1;%a%) < ", "cannot be read"),
        ("[(1;%a%) < (1;%b%)) & 1 > 0", "cannot be read"),
        ("(1;%c%) < 1", "condition 'c'"),
        ("(9;%a%) < 1", "region 9"),
        ("[(1;%a%) < 1] + 1 > 0", "cannot be read"),
    ],
)
def test_a_formula_that_makes_no_sense_is_named(formula: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Formula.read(formula)({"a": np.ones((1, 2)), "b": np.ones((1, 2))})


def test_the_regions_of_a_sentence_add_up_to_it() -> None:
    speaker = model().double()
    frame = syntaxgym(speaker, [suite()])
    right = []
    for a, b in suite().items:
        texts = [" ".join(region for region in c.regions if region) for c in (a, b)]
        (whole_a, whole_b), (start_a, start_b) = (
            [-one.total * BITS for one in score(speaker, some)]
            for some in (texts, [c.regions[0] for c in (a, b)])
        )
        right.append(whole_a - start_a < whole_b - start_b and start_a > whole_b - 3)
    accuracy = frame[(frame["metric"] == "accuracy") & frame["task"].notna()]
    assert accuracy["value"].tolist() == [np.mean(right)]
    assert accuracy["n"].tolist() == [5] and len(frame) == 4  # equality is left out


def test_a_model_without_knowledge_is_at_chance() -> None:
    speaker = model().double()
    with torch.no_grad():
        for parameter in speaker.parameters():
            parameter.zero_()
    same = tuple((a, Condition("b", a.regions)) for a, _ in suite().items)
    one = Suite("same", ("[(1;%a%) < (1;%b%)] & [(2;%a%) > (2;%b%)]",), same)
    frame = syntaxgym(speaker, [one])
    assert frame["value"].tolist() == [0.25] * 4


def test_chance_is_what_dealing_out_anew_gives() -> None:
    frame = syntaxgym(model().double(), [suite(formula="(2;%a%) < (2;%b%)")])
    assert frame[frame["metric"] == "chance"]["value"].tolist() == [0.5, 0.5]


def test_items_must_have_the_same_conditions() -> None:
    odd = suite()
    items = (*odd.items[:-1], (odd.items[-1][0], Condition("c", odd.items[-1][1].regions)))
    with pytest.raises(InputError, match="differ in their conditions"):
        syntaxgym(model(), [Suite("odd", odd.formulas, items)])
    with pytest.raises(InputError, match="no suites"):
        syntaxgym(model(), [])


def test_the_chart_compares_with_chance() -> None:
    one = syntaxgym(model(), [suite()])
    figure = syntaxgym_chart(tidy(one, run="tiny", step=None))
    assert "would be chance" in figure.alt and "of 1 tests" in figure.alt
    assert "dealt out anew" in drawn(figure.chart)
    over = tidy(pd.concat([tidy(one, run="tiny", step=step) for step in (0, 8)]))
    assert "at step 0" in syntaxgym_chart(over).alt
    drawn(syntaxgym_chart(over, "dark").chart)
