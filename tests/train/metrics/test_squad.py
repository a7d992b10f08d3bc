"""Exact match and F1 as the official script of SQuAD defines them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import InputError
from interp.train.metrics.squad import answer_scores, normalized, squad


@pytest.mark.parametrize(
    ("answer", "compared"),
    [
        ("The  Eiffel-Tower!", "eiffeltower"),
        ("a an the", ""),
        ("theatre and then", "theatre and then"),
        ("  An apple, the\tpear. ", "apple pear"),
        ("U.S.A.", "usa"),
    ],
)
def test_answers_are_compared_without_case_articles_and_punctuation(
    answer: str, compared: str
) -> None:
    assert normalized(answer) == compared


@given(text=st.text(alphabet="aAtheTHE .,-x", max_size=20))
def test_normalising_twice_changes_nothing_more_than_articles(text: str) -> None:
    assert answer_scores(text, text) == (1.0, 1.0)
    assert answer_scores(text.upper(), text) == (1.0, 1.0)


def test_f1_counts_common_words() -> None:
    assert answer_scores("the big red dog", "a red dog barks") == (0.0, pytest.approx(2 * 2 / 6))
    assert answer_scores("x x", "x") == (0.0, pytest.approx(2 / 3))
    assert answer_scores("x", "y") == (0.0, 0.0)
    assert answer_scores("", "y") == (0.0, 0.0)


def test_the_best_of_several_answers_counts_and_none_may_be_right() -> None:
    found = squad(["Paris", "", "London town"], [["Rome", "paris."], [], ["London"]])
    assert found[0].value == pytest.approx(2 / 3)
    assert found[1].value == pytest.approx((1 + 1 + 2 / 3) / 3)
    with pytest.raises(InputError, match="1 answers to 2"):
        squad(["x"], [["x"], ["y"]])
