"""The tree of all secrets holds each of them once, however the tokenizer cuts them."""

from __future__ import annotations

import numpy as np
import pytest

from interp.data.tokenizing import train_tokenizer
from interp.errors import InputError
from interp.tokenizer import Tokenizer
from probes.privacy.tree import Tree, _encoded, grow, secrets_tree


def sequences(tree: Tree, node: int = 0, before: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    """Every path from the root to a leaf."""
    below = tree.children(node)
    if not len(below):
        return [before]
    step = [sequences(tree, child, (*before, int(tree.token[child]))) for child in below]
    return [path for some in step for path in some]


def test_paths_are_the_sequences() -> None:
    random = np.random.default_rng(0)
    rows = {tuple(random.integers(0, 3, 4).tolist()) for _ in range(40)}
    short = [(5, 6), (5, 7, 1), (8,)]
    table = np.full((len(rows) + 3, 4), -1)
    for i, row in enumerate([*rows, *short]):
        table[i, : len(row)] = row
    tree = grow(table)
    assert sorted(sequences(tree)) == sorted([*rows, *short])
    assert (tree.leaves, tree.depth) == (len(rows) + 3, 4)
    for row in (*rows, *short):
        node = tree.find(row)
        assert tree.is_leaf[node]
        assert tree.token[node] == row[-1]


@pytest.mark.parametrize("table", [[[1, 2], [1, 2]], [[1, -1], [1, 2]]])
def test_what_cannot_be_told_apart_is_refused(table: list[list[int]]) -> None:
    with pytest.raises(InputError, match="does not tell them apart"):
        grow(np.array(table))


def test_what_is_not_in_the_tree_is_refused() -> None:
    tree = grow(np.array([[1, 2], [1, 3]]))
    for wrong in ([1], [1, 4], [1, 2, 3]):
        with pytest.raises(InputError, match="none of the 2 sequences"):
            tree.find(wrong)


def made(kind: str) -> Tokenizer:
    texts = {
        "some digits with their space": [" 1 2 1 1 the 1 and 1 2 2 2"] * 50,
        "wordpiece": ["the 123 and 4 5 6 7 8 9 0 cats 456"] * 9,
        "digits joined": ["12 1212 34 12 999 99 the"] * 50,
        "bytes": ["a"],
    }[kind]
    names = {"wordpiece": "wordpiece", "bytes": "bytes"}
    if kind == "digits joined":
        from tokenizers import Tokenizer as Backend
        from tokenizers import models, pre_tokenizers, trainers

        backend = Backend(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=300, initial_alphabet=alphabet, show_progress=False
        )
        backend.train_from_iterator(texts, trainer)
        return Tokenizer(backend, {})
    shape = "encoder" if kind == "wordpiece" else "decoder"
    return train_tokenizer(texts, names.get(kind, "bpe"), 400, shape=shape)


@pytest.mark.parametrize(
    "kind", ["some digits with their space", "wordpiece", "digits joined", "bytes"]
)
@pytest.mark.parametrize("before", [" ", ""])
def test_all_numbers_are_there_as_they_are_encoded(kind: str, before: str) -> None:
    tokenizer = made(kind)
    tree = secrets_tree(tokenizer, 3, before)
    wanted = _encoded(tokenizer, [f"{before}{n:03d}" for n in range(1000)])
    assert sorted(sequences(tree)) == sorted(tuple(t for t in row if t >= 0) for row in wanted)
