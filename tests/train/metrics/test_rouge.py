"""ROUGE by its definition: counted by hand, and by brute force."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import InputError
from interp.train.metrics.rouge import longest_common_subsequence, rouge, rouge_scores, words

WORDS = st.lists(st.sampled_from("abc"), max_size=9)


def test_the_papers_example() -> None:
    """Lin (2004), section 3.2: ROUGE-L 3/4 and 2/4 where ROUGE-2 is 1/3 for both."""
    reference = "police killed the gunman"
    assert rouge_scores("police kill the gunman", reference) == pytest.approx((3 / 4, 1 / 3, 3 / 4))
    assert rouge_scores("the gunman kill police", reference) == pytest.approx((3 / 4, 1 / 3, 2 / 4))


def test_repeated_words_count_as_often_as_both_have_them() -> None:
    one, two, longest = rouge_scores("a a a b", "a a c c c c")
    assert one == pytest.approx(2 * 2 / (4 + 6))
    assert two == pytest.approx(2 * 1 / (3 + 5))
    assert longest == pytest.approx(2 * 2 / (4 + 6))


@given(one=WORDS, other=WORDS)
def test_the_longest_common_subsequence_by_brute_force(one: list[str], other: list[str]) -> None:
    shorter, longer = sorted((one, other), key=len)

    def is_within(part: tuple[str, ...]) -> bool:
        rest = iter(longer)
        return all(word in rest for word in part)

    best = next(
        n
        for n in range(len(shorter), -1, -1)
        if any(is_within(part) for part in itertools.combinations(shorter, n))
    )
    assert longest_common_subsequence(one, other) == best


@given(one=WORDS, other=WORDS)
def test_scores_are_symmetric_and_full_for_equal_texts_only(
    one: list[str], other: list[str]
) -> None:
    a, b = " ".join(one), " ".join(other)
    scores = rouge_scores(a, b)
    assert scores == pytest.approx(rouge_scores(b, a))
    assert all(0 <= score <= 1 for score in scores)
    assert (scores[2] == 1) == (one == other and bool(one))


def test_words_are_letters_and_digits_of_any_script() -> None:
    assert words("L'été, it's 3.5_x — Ωμέγα!") == "l été it s 3 5 x ωμέγα".split()


def test_the_best_reference_counts_and_an_empty_summary_has_nothing() -> None:
    found = rouge(["a b", ""], [["c", "a b"], ["a"]])
    assert [m.value for m in found] == pytest.approx([0.5, 0.5, 0.5])
    assert found[0].n == 2 and "stem:no" in found[0].signature
    with pytest.raises(InputError, match="at least one reference"):
        rouge(["a"], [[]])


def test_scores_are_those_of_the_rouge_score_package() -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer")
    theirs = scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    a, b = "The cat, the dog; and 3 mice ran.", "A dog and the 3 mice ran away from the cat"
    expected = [score.fmeasure for score in theirs.score(b, a).values()]
    assert rouge_scores(a, b) == pytest.approx(tuple(expected))
