from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import InputError
from probes.contexts import top_contexts


@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
def test_any_batching_gives_what_brute_force_gives(
    texts: int, k: int, at_once: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(-2, 3, (texts, 6, 3), generator=generator).double()  # with many ties
    counted = torch.rand(texts, 6, generator=generator) < 0.8
    counted[:, 2] = True
    order = torch.randperm(texts, generator=generator)
    top = top_contexts(((values[s], counted[s], s) for s in order.split(at_once)), k)
    for feature in range(3):
        best = [
            max((float(values[t, p, feature]), -p) for p in range(6) if counted[t, p])
            for t in range(texts)
        ]
        ranked = sorted((-value, t, -place) for t, (value, place) in enumerate(best))[:k]
        parts = (top.value[feature], top.text[feature], top.position[feature])
        found = zip(*(part.tolist() for part in parts), strict=True)
        assert list(found) == [(-value, t, place) for value, t, place in ranked]


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="no batch"):
        top_contexts([], 1)
    with pytest.raises(InputError, match="k is 0"):
        top_contexts([], 0)
