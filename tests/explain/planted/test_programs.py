"""Programs against plain Python, and what the language refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from interp import InputError
from interp.explain.planted import PROGRAMS
from interp.explain.planted.programs import LENGTH, LETTERS
from interp.explain.planted.rasp import (
    aggregate,
    apply,
    indices,
    number,
    run,
    same,
    select,
    tokens,
    width,
)

Text = list[int]


def dyck(text: Text) -> list[bool]:
    balanced, depth, fine = [], 0, True
    for token in text:
        depth += {1: 1, 2: -1}.get(token, 0)
        fine = fine and depth >= 0
        balanced.append(fine and depth == 0)
    return balanced


def most_frequent(text: Text) -> Text:
    counts = Counter(token for token in text if token)
    best = min(counts, key=lambda t: (-counts[t], t)) if counts else 0
    return [best] * len(text)


PYTHON: dict[str, Callable[[Text], list[int]]] = {
    "reverse": lambda text: text[::-1],
    "histogram": lambda text: [text.count(t) for t in text],
    "double histogram": lambda text: [
        sum(text.count(u) == text.count(t) for u in text) for t in text
    ],
    "sort": sorted,
    "most frequent": most_frequent,
    "dyck": lambda text: [int(b) for b in dyck(text)],
    "first occurrence": lambda text: [int(t not in text[:i]) for i, t in enumerate(text)],
}


def texts(n: int = 300) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, LETTERS, (n, LENGTH), generator=generator)


def said(name: str, ids: Tensor) -> Tensor:
    program = PROGRAMS[name]
    causal = frozenset({"blocks"} if program.shape == "decoder" else set())
    return run(program.output, {"blocks": ids}, causal)


@pytest.mark.parametrize("name", PYTHON)
def test_a_program_is_what_its_name_says(name: str) -> None:
    ids = texts()
    if name == "dyck":
        ids = torch.cat([ids, ids % 3])
    domain = torch.tensor([int(value) for value in PROGRAMS[name].output.domain or ()])
    found = domain[said(name, ids).argmax(-1)]
    assert found.tolist() == [PYTHON[name](text) for text in ids.tolist()]
    assert said(name, ids).sum(-1).eq(1).all()


def test_means_over_earlier_positions() -> None:
    ids = texts()
    ones = (ids == 1).double().cumsum(1) / torch.arange(1, LENGTH + 1)
    torch.testing.assert_close(said("fraction previous", ids)[..., 0], ones)
    rows = torch.eye(LETTERS, dtype=torch.float64)[ids]
    before = torch.cat([torch.zeros(len(ids), 1, LETTERS, dtype=torch.float64), rows[:, :-1]], 1)
    torch.testing.assert_close(said("shift", ids), before)


def test_induction_says_what_followed_before() -> None:
    for text, row in zip(texts(100).tolist(), said("induction", texts(100)), strict=True):
        for i, token in enumerate(text):
            after = [text[j] for j in range(1, i + 1) if text[j - 1] == token]
            expected = [after.count(k) / max(len(after), 1) for k in range(LETTERS)]
            assert row[i].tolist() == pytest.approx(expected)


def test_the_cipher_reads_the_source_backwards() -> None:
    ids = texts()
    out = run(PROGRAMS["reverse cipher"].output, {"encoder": ids, "decoder": ids}, frozenset())
    assert out.argmax(-1).tolist() == ((ids.flip(1) + 1) % LETTERS).tolist()


def test_what_has_no_meaning_is_refused() -> None:
    token, index = tokens(LETTERS), indices(LENGTH)
    mean = aggregate(select(index, index, lambda key, query: True), token)
    with pytest.raises(InputError, match="mean of several"):
        run(apply(lambda t: t, mean), {"blocks": texts()}, frozenset())
    with pytest.raises(InputError, match="no finite domain"):
        apply(lambda x: x, number(float, token))
    with pytest.raises(InputError, match="one input or two"):
        apply(lambda a, b: a, token, tokens(LETTERS, "encoder"))
    with pytest.raises(InputError, match="The values are of the encoder"):
        aggregate(select(token, token, same), tokens(LETTERS, "encoder"))
    assert width(select(token, index, same), LENGTH).domain == tuple(range(LENGTH + 1))
