from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import InputError
from probes.contexts import top_contexts


def brute_force(values: torch.Tensor, k: int) -> list[list[tuple[float, int, int]]]:
    """Of values [text, pos, feature], for each feature the best places in the promised order."""
    out = []
    for feature in range(values.shape[2]):
        best = [
            max((float(v), -p) for p, v in enumerate(row)) for row in values[:, :, feature].tolist()
        ]
        ranked = sorted((-value, text, -place) for text, (value, place) in enumerate(best))
        out.append([(-value, text, place) for value, text, place in ranked[:k]])
    return out


@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
def test_any_batching_gives_what_brute_force_gives(
    texts: int, k: int, at_once: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(-2, 3, (texts, 6, 3), generator=generator).double()  # with many ties
    order = torch.randperm(texts, generator=generator)
    batches = []
    for some in order.split(at_once):
        rows = torch.cartesian_prod(some, torch.arange(6)).view(-1, 2)
        rows = rows[torch.randperm(len(rows), generator=generator)]
        batches.append((values[rows[:, 0], rows[:, 1]], rows[:, 0], rows[:, 1]))
    top = top_contexts(iter(batches), k)
    for feature, expected in enumerate(brute_force(values, k)):
        there = min(k, texts)
        found = zip(
            top.values[feature].tolist(),
            top.text[feature].tolist(),
            top.position[feature].tolist(),
            strict=True,
        )
        assert list(found)[:there] == expected
        assert top.text[feature, there:].tolist() == [-1] * (k - there)
        assert top.values[feature, there:].isneginf().all()


def test_bad_input_is_refused() -> None:
    batch = (torch.tensor([[0.0], [torch.nan]]), torch.tensor([4, 7]), torch.tensor([0, 3]))
    with pytest.raises(InputError, match="position 3 of text 7"):
        top_contexts([batch], 1)
    with pytest.raises(InputError, match="no batch"):
        top_contexts([], 1)
    with pytest.raises(InputError, match="k is 0"):
        top_contexts([batch], 0)
