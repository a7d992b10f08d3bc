"""The two truths of a token, against closed formulas and slow definitions."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from interp import InputError
from interp.explain.planted.truth import LARGEST, Question, causal, contribution

FULL = torch.ones(4, 3, dtype=torch.bool)


def table(seed: int) -> Tensor:
    """A function of four tokens of three kinds, as a table."""
    return torch.randn(
        3, 3, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


@given(seed=st.integers(0, 1000), ids=st.lists(st.integers(0, 2), min_size=4, max_size=4))
@settings(max_examples=20, deadline=None)
def test_contributions_are_the_mean_over_all_orders(seed: int, ids: list[int]) -> None:
    values = table(seed)
    question = Question(lambda texts: values[tuple(texts.t())], FULL, 0)
    shares, scale = contribution(question, torch.tensor(ids))
    expected = [0.0] * 4
    reached = []
    for order in permutations(range(4)):
        text = [0] * 4
        for unit in order:
            before = values[tuple(text)].item()
            text[unit] = ids[unit]
            expected[unit] += (values[tuple(text)].item() - before) / 24
            now = values[tuple(text)].item()
            reached += [abs(now), abs(now - values[0, 0, 0, 0].item())]
    assert shares.tolist() == pytest.approx(expected, abs=1e-8)
    assert shares.sum().item() == pytest.approx((values[tuple(ids)] - values[0, 0, 0, 0]).item())
    assert scale == pytest.approx(max(*reached, abs(values[0, 0, 0, 0].item())))


@given(seed=st.integers(0, 1000), deaf=st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_a_unit_that_is_not_read_has_no_part(seed: int, deaf: int) -> None:
    values = table(seed).movedim(deaf, 0)[:1].expand(3, 3, 3, 3).movedim(0, deaf)
    question = Question(lambda texts: values[tuple(texts.t())], FULL, 0)
    ids = torch.tensor([1, 2, 1, 2])
    assert causal(question, ids).tolist() == [unit != deaf for unit in range(4)]
    shares, _ = contribution(question, ids)
    assert shares[deaf] == 0 and all(shares[unit] != 0 for unit in range(4) if unit != deaf)


def test_only_what_may_stand_there_is_tried() -> None:
    alphabet = FULL.clone()
    alphabet[0, 2] = False  # the only token that would change something
    alphabet[1] = torch.tensor([False, True, False])
    question = Question(lambda texts: (texts[:, :2] == 2).any(1).double(), alphabet, 0)
    ids = torch.tensor([1, 1, 1, 1])
    assert causal(question, ids).tolist() == [False] * 4
    assert question.movable.tolist() == [True, False, True, True]


def test_copies_of_one_thing_share_it_although_none_is_causal() -> None:
    question = Question(lambda texts: (texts == 1).any(1).double(), FULL, 0)
    ids = torch.tensor([1, 2, 1, 1])
    assert causal(question, ids).tolist() == [False] * 4
    shares, scale = contribution(question, ids)
    assert shares.tolist() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3]) and scale == 1


def test_too_many_tokens_are_refused() -> None:
    n = LARGEST + 1
    question = Question(lambda texts: texts.sum(1), torch.ones(n, 2, dtype=torch.bool), 0)
    with pytest.raises(InputError, match="shorter"):
        contribution(question, torch.ones(n, dtype=torch.long))
