"""All secrets of a space as one tree of tokens, so that what they share is computed once.

A million secrets of six digits share 111,111 beginnings; with one forward for each of those the
probability of all of them is known exactly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from interp.data.batch import pad
from interp.data.encoding import encode_texts, special_ids, tokenizer_hash
from interp.errors import InputError
from interp.tokenizer import Tokenizer

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Tree:
    """A prefix tree in the order of levels: node 0 is the root, children lie side by side.

    Attributes:
        token: [node], what leads to it; -1 at the root.
        start: [node + 1], node n has the children `start[n]` to `start[n + 1] - 1`.
        leaves: number of sequences; no sequence begins another.
        depth: tokens of the longest.
    """

    token: Ints
    start: Ints
    leaves: int
    depth: int

    def children(self, node: int) -> range:
        return range(int(self.start[node]), int(self.start[node + 1]))

    @property
    def is_leaf(self) -> NDArray[np.bool_]:
        """[node], whether a sequence ends there."""
        ends: NDArray[np.bool_] = self.start[1:] == self.start[:-1]
        return ends

    def find(self, tokens: Sequence[int]) -> int:
        """The leaf of a sequence.

        Raises:
            InputError: it is not in the tree.
        """
        node = 0
        for token in tokens:
            found = [child for child in self.children(node) if self.token[child] == token]
            if not found:
                break
            node = found[0]
        else:
            if self.start[node] == self.start[node + 1]:
                return node
        raise InputError(f"The tokens {list(tokens)} are none of the {self.leaves:,} sequences.")


def grow(sequences: NDArray[np.integer]) -> Tree:
    """The tree of sequences.

    Args:
        sequences: [sequence, place], -1 behind the end of shorter ones.

    Raises:
        InputError: two are equal, or one begins another: their order of probability is no tree's.
    """
    rows = np.asarray(sequences, np.int64)
    rows = rows[np.lexsort(rows.T[::-1])]
    n, depth = rows.shape
    owner = np.zeros(n, np.int64)  # the node that each sequence has come to
    tokens, parents, first = [np.array([-1])], [np.array([-1])], 1
    for place in range(depth):
        column, goes_on = rows[:, place], rows[:, place] >= 0
        here, of = column[goes_on], owner[goes_on]
        if not len(here):
            break
        new = np.ones(len(here), bool)
        new[1:] = (here[1:] != here[:-1]) | (of[1:] != of[:-1])
        owner = owner.copy()
        owner[goes_on] = first + np.cumsum(new) - 1
        tokens.append(here[new])
        parents.append(of[new])
        first += int(new.sum())
    parent = np.concatenate(parents)
    start = np.searchsorted(parent, np.arange(first + 1)).astype(np.int64)
    tree = Tree(np.concatenate(tokens), start, n, len(tokens) - 1)
    if int(tree.is_leaf.sum()) != n:
        raise InputError(
            "Two of the sequences have equal tokens, or one begins with all of another: the "
            "tokenizer does not tell them apart."
        )
    return tree


def secrets_tree(tokenizer: Tokenizer, digits: int, before: str) -> Tree:
    """The tree of all numbers with so many digits.

    Args:
        before: what stands before the number and belongs to its tokens: a space or nothing.
    """
    return _secrets_tree(_ByHash(tokenizer), digits, before)


class _ByHash:
    """A tokenizer that equals others that encode alike."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer, self.hash = tokenizer, tokenizer_hash(tokenizer)

    def __hash__(self) -> int:
        return hash(self.hash)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByHash) and self.hash == other.hash


@lru_cache(maxsize=4)
def _secrets_tree(by: _ByHash, digits: int, before: str) -> Tree:
    table = _digit_by_digit(by.tokenizer, digits, before)
    if table is None:
        table = _encoded(by.tokenizer, [f"{before}{n:0{digits}d}" for n in range(10**digits)])
    return grow(table)


def _digit_by_digit(tokenizer: Tokenizer, digits: int, before: str) -> Ints | None:
    """The tokens of all numbers, [number, place], where each digit has a token of its own.

    Where no entry of the vocabulary has two digits, numbers can only be put together of such
    tokens, and a million of them need not be encoded; a thousand are, to be sure.
    """
    special = set(special_ids(tokenizer))
    vocabulary = tokenizer.backend.get_vocab()
    if any(re.search(r"\d.*\d", word) for word, i in vocabulary.items() if i not in special):
        return None
    same = list(encode_texts(tokenizer, [before + d * digits for d in "0123456789"]))
    heads = [row[: len(row) - digits + 1] for row in same]
    tails = np.array([row[len(row) - digits + 1 :] for row in same]).reshape(10, digits - 1)
    if not all(heads):
        return None
    head = pad(heads, -1).numpy()
    number = np.arange(10**digits)
    place = [number // 10**k % 10 for k in range(digits - 1, -1, -1)]
    columns = [head[place[0]], *(tails[place[k], k - 1][:, None] for k in range(1, digits))]
    table = _left(np.concatenate(columns, 1))
    some = np.random.default_rng(0).choice(10**digits, min(1000, 10**digits), replace=False)
    proof = _encoded(tokenizer, [f"{before}{n:0{digits}d}" for n in some.tolist()])
    width = max(table.shape[1], proof.shape[1])
    agree = np.array_equal(_wide(table[some], width), _wide(proof, width))
    return table if agree else None


def _encoded(tokenizer: Tokenizer, texts: list[str]) -> Ints:
    """[text, place], -1 behind the end of shorter ones."""
    found: Ints = pad(list(encode_texts(tokenizer, texts)), -1).numpy()
    return found


def _left(table: Ints) -> Ints:
    """Rows without gaps: what is -1 goes to the end, all else keeps its order."""
    return np.take_along_axis(table, np.argsort(table < 0, 1, kind="stable"), 1)


def _wide(table: Ints, width: int) -> Ints:
    return np.pad(table, ((0, 0), (0, width - table.shape[1])), constant_values=-1)
