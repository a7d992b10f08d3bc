"""The tree of the beginnings of coalitions: each once, each above those that go on from it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from interp.explain import Baseline, Target
from interp.explain.branches import Tree
from interp.explain.coalitions import coalition_values
from interp.explain.points import Point
from tests.model.configurations import build


@st.composite
def sorted_texts(draw: st.DrawFn) -> Tensor:
    n_pos = draw(st.integers(1, 7))
    rows = st.lists(st.booleans(), min_size=n_pos, max_size=n_pos)
    return torch.tensor(sorted(draw(st.lists(rows, min_size=1, max_size=20))))


@given(sorted_texts(), st.data())
def test_the_nodes_are_the_distinct_beginnings(texts: Tensor, data: st.DataObject) -> None:
    same = (~texts.any(0)).long().cumprod(0).sum()  # as far as all are as the text
    start = data.draw(st.integers(0, min(int(same), texts.shape[1] - 1)))
    tree = Tree.of(texts, start)
    assert torch.equal(tree.absent[tree.paths], texts[:, start:])
    expected = torch.arange(start, texts.shape[1]).expand(len(texts), -1)
    assert torch.equal(tree.position[tree.paths], expected)
    beginnings = {
        tuple(row[: i + 1]) for row in texts.tolist() for i in range(start, texts.shape[1])
    }
    assert len(tree.position) == len(beginnings)


@given(sorted_texts())
def test_a_node_descends_from_what_is_before_it_on_its_path(texts: Tensor) -> None:
    tree = Tree.of(texts, 0)
    for path in tree.paths:
        for i, node in enumerate(path.tolist()):
            assert set(tree.ancestry[node].nonzero()[:, 0].tolist()) == set(path[: i + 1].tolist())


def counted(model: Any) -> list[int]:
    """How many positions pass through the first block in each forward from now on."""
    seen: list[int] = []
    original = model.blocks[0].forward

    def forward(x: Tensor, *args: Any, **options: Any) -> Any:
        seen.append(x.shape[0] * x.shape[1])
        return original(x, *args, **options)

    model.blocks[0].forward = forward
    return seen


@pytest.mark.parametrize("batch_size", [1, 4, 1000])
def test_the_coalitions_of_eight_tokens_take_few_positions(batch_size: int) -> None:
    """2^9 - 2 beginnings, of which every group repeats one path; to run each took 8 x 2^8. No
    forward is larger than asked for."""
    model = build("decoder", dtype=torch.float64)
    ids = torch.arange(8)[None]
    point = Point.read(model, ids, Target.logit(3), Baseline.mean(), {}, batch_size=batch_size)
    seen = counted(model)
    present = (torch.arange(2**8)[:, None] >> torch.arange(8)) & 1 == 1
    coalition_values(point, present)
    assert max(seen) <= 8 * batch_size
    most = {1: 1500, 4: 700, 1000: 2**9}[batch_size]
    assert 2**9 - 20 <= sum(seen) <= most < 2**11


def test_what_nobody_reads_is_not_computed() -> None:
    model = build("decoder", dtype=torch.float64)
    ids = torch.arange(8)[None]
    target = Target.logit(3, position=2)
    point = Point.read(model, ids, target, Baseline.mean(), {})
    seen = counted(model)
    present = ~torch.eye(8, dtype=torch.bool)
    values = coalition_values(point, present)
    assert sum(seen) == 3 + 2 + 3  # of three coalitions; the rest change what comes later
    assert values[3:].tolist() == [point.value] * 5
