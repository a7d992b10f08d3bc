"""Where a tree lies in the geometry it is found whole; where none lies, only chance is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from interp.errors import InputError
from probes.solvers.structural import (
    attachment,
    fit_structural,
    rank_agreement,
    tree_depths,
    tree_distances,
)

LONGEST = 8


@st.composite
def trees(draw: st.DrawFn) -> list[int]:
    """Heads of a random tree: each word hangs on one that was placed before it."""
    n = draw(st.integers(2, LONGEST))
    order = draw(st.permutations(range(n)))
    heads = [-1] * n
    for i in range(1, n):
        heads[order[i]] = order[draw(st.integers(0, i - 1))]
    return heads


def metric_rows(heads: list[int]) -> Tensor:
    """Rows whose squared distances are those of the tree: the sum of the edges on the way from the
    root, each an axis of its own."""
    rows = torch.zeros(len(heads), LONGEST, dtype=torch.float64)
    for word in range(len(heads)):
        at = word
        while heads[at] >= 0:
            rows[word, at] += 1
            at = heads[at]
    return rows


@given(trees())
def test_tree_metric_rows_give_the_whole_tree(heads: list[int]) -> None:
    rows = metric_rows(heads)
    distances = torch.cdist(rows, rows).square().numpy()
    np.testing.assert_allclose(distances, tree_distances(heads), atol=1e-9)
    np.testing.assert_allclose(rows.square().sum(1), tree_depths(heads), atol=1e-9)
    assert attachment(distances, heads) == 1.0
    assert attachment(tree_distances(heads), heads) == 1.0


def random_tree(generator: np.random.Generator) -> list[int]:
    n = int(generator.integers(5, LONGEST + 1))
    order = generator.permutation(n)
    heads = [-1] * n
    for i in range(1, n):
        heads[order[i]] = int(order[generator.integers(0, i)])
    return heads


def test_a_hidden_tree_metric_is_found() -> None:
    generator = np.random.default_rng(0)
    hidden = torch.linalg.qr(torch.from_numpy(generator.normal(size=(LONGEST, LONGEST))))[0]
    forest = [random_tree(generator) for _ in range(40)]
    # One site has the trees in other axes, the other nothing.
    noise = [torch.from_numpy(generator.normal(size=(len(h), LONGEST))) for h in forest]
    rows = [
        torch.stack([metric_rows(heads) @ hidden, nothing]).float()
        for heads, nothing in zip(forest, noise, strict=True)
    ]
    probe = fit_structural(rows, forest, rank=LONGEST, epochs=40)
    fresh = [random_tree(generator) for _ in range(10)]
    found = [probe.predict((metric_rows(h) @ hidden).float().expand(2, -1, -1)) for h in fresh]
    pairs = list(zip(found, fresh, strict=True))
    assert np.mean([attachment(d[0].double().numpy(), h) for d, h in pairs]) == 1.0
    # Of distances that are equal in the tree the fit makes nearly equal ones, in some order.
    assert np.mean([rank_agreement(d[0].numpy(), tree_distances(h)) for d, h in pairs]) > 0.9
    assert np.mean([rank_agreement(d[1].numpy(), tree_distances(h)) for d, h in pairs]) < 0.8
    assert probe.loss[0] < 0.2 < probe.loss[1]


def test_depths_are_found() -> None:
    generator = np.random.default_rng(1)
    forest = [random_tree(generator) for _ in range(40)]
    rows = [metric_rows(heads).float()[None] for heads in forest]
    probe = fit_structural(rows, forest, "depth", rank=LONGEST, epochs=60)
    depths = [probe.predict(sentence)[0].numpy() for sentence in rows]
    roots = [int(d.argmin()) == heads.index(-1) for d, heads in zip(depths, forest, strict=True)]
    assert np.mean(roots) == 1.0


def test_equal_distances_say_nothing() -> None:
    generator = np.random.default_rng(2)
    forest = [random_tree(generator) for _ in range(20)]
    agreement = [rank_agreement(np.ones((len(h), len(h))), tree_distances(h)) for h in forest]
    assert max(map(abs, agreement)) == 0.0


def test_words_that_are_left_out_take_their_edges_along() -> None:
    heads = [-1, 0, 0]
    distances = tree_distances(heads)
    assert attachment(distances, heads, [False, False, True]) == 1.0
    assert np.isnan(attachment(distances, heads, [True, False, False]))


def test_what_is_no_tree_is_refused() -> None:
    with pytest.raises(InputError, match="no tree"):
        tree_distances([1, 0, -1])
    with pytest.raises(InputError, match="no tree"):
        tree_distances([-1, -1])
    with pytest.raises(InputError, match="Sentence 0 has 3 rows"):
        fit_structural([torch.zeros(1, 3, 4)], [[-1, 0]])
