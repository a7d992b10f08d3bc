"""Parts of an axis, in every form in which TransformerLens's callers write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import InputError
from interp.model.slices import as_index, cut

X = torch.arange(24).reshape(2, 4, 3)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (None, X),
        (1, X[:, 1]),
        (-1, X[:, -1]),
        (np.int64(2), X[:, 2]),
        (torch.tensor(2), X[:, 2]),
        ((2,), X[:, :2]),
        ((1, 3), X[:, 1:3]),
        ((0, 4, 2), X[:, ::2]),
        ((-2, None), X[:, -2:]),
        (slice(1, None), X[:, 1:]),
        ([3, 0], X[:, [3, 0]]),
        ([], X[:, :0]),
        (range(2), X[:, :2]),
        (np.array([1, 1]), X[:, [1, 1]]),
        (torch.tensor([2, 0]), X[:, [2, 0]]),
        (torch.tensor([True, False, False, True]), X[:, [0, 3]]),
    ],
)
def test_each_form(spec: Any, expected: torch.Tensor) -> None:
    assert torch.equal(cut(X, spec, 1), expected)
    assert torch.equal(cut(X, spec, -2), expected)


@given(st.integers(-2, 1), st.integers(-3, 2))
def test_an_int_drops_its_axis(row: int, column: int) -> None:
    assert torch.equal(cut(cut(X, row, 0), column, -1), X[row, :, column])


@pytest.mark.parametrize("spec", ["1", 1.0, True, (), (1, 2, 3, 4), torch.eye(2), {1, 2}])
def test_other_forms_are_refused(spec: Any) -> None:
    with pytest.raises(InputError, match="does not say which part"):
        as_index(spec)


@pytest.mark.parametrize("spec", [4, -5, [0, 4], torch.tensor([True])])
def test_what_is_not_there_is_refused(spec: Any) -> None:
    with pytest.raises(InputError, match="not in an axis of length 4"):
        cut(X, spec, 1)
