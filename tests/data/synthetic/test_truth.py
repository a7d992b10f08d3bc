"""Synthetic languages: what the docstrings say is true, is."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from interp.data.batch import IGNORED, Source
from interp.data.records import Example
from interp.data.synthetic.copying import EOS, FIRST, PAD, Copying
from interp.data.synthetic.modular import ModularAddition
from interp.data.synthetic.repeated import BOS, RepeatedTokens
from interp.data.synthetic.shortcut import plant
from interp.data.synthetic.worlds import RELATIONS, Worlds
from interp.errors import ConfigError

SOURCES: dict[str, Source] = {
    "repeated": RepeatedTokens(40, 4, 24, 0),
    "modular": ModularAddition(11, split="train"),
    "copying": Copying(20, 4, (2, 9), 0, backwards=False),
    "reversing": Copying(20, 4, (2, 9), 0, backwards=True),
    "worlds": Worlds(4, 4, 0, split="train"),
}


@pytest.mark.parametrize("name", SOURCES)
@given(step=st.integers(0, 10**6), other=st.integers(0, 10**6))
def test_a_batch_is_a_function_of_its_step(name: str, step: int, other: int) -> None:
    source = SOURCES[name]
    first = source.batch(step)
    source.batch(other)
    again = source.batch(step)
    assert torch.equal(first.labels, again.labels)
    assert all(torch.equal(first.inputs[key], again.inputs[key]) for key in first.inputs)


@given(step=st.integers(0, 10**6), length=st.integers(8, 40))
def test_repeated_tokens_follow_from_what_was_read_where_they_are_said_to(
    step: int, length: int
) -> None:
    source = RepeatedTokens(30, 3, length, 0)
    batch, predictable = source.batch(step), source.predictable(step)
    tokens = batch.inputs["tokens"]
    assert tokens.shape == batch.labels.shape == predictable.shape == (3, length)
    assert (tokens[:, 0] == BOS).all() and (tokens[:, 1:] != BOS).all()
    for row, labels, known in zip(tokens.tolist(), batch.labels.tolist(), predictable, strict=True):
        for t in range(length):
            before = [i for i in range(t) if row[i] == row[t]]
            assert bool(known[t]) == bool(before)
            if before:
                assert labels[t] == row[before[-1] + 1]
        assert 0 < int(known.sum()) < length


def test_passages_are_random_and_of_all_lengths() -> None:
    source = RepeatedTokens(21, 500, 16, 0)
    labels, known = source.batch(0).labels, source.predictable(0)
    first = np.bincount(labels[:, 0], minlength=21)[1:]
    assert stats.chisquare(first).pvalue > 1e-3
    assert set((~known).sum(1).tolist()) == set(range(5, 10))  # periods 4 to 8, and one more


@given(p=st.integers(2, 20), share=st.floats(0.2, 0.8), seed=st.integers(0, 5))
def test_sums_are_right_and_each_pair_lies_on_one_side(p: int, share: float, seed: int) -> None:
    sides = [
        ModularAddition(p, share, split=split, seed=seed).batch(0) for split in ("train", "test")
    ]
    pairs = [tuple(row) for side in sides for row in side.inputs["tokens"].tolist()]
    assert sorted(pairs) == [(a, b, p) for a in range(p) for b in range(p)]
    assert len(sides[0]) == round(share * p * p)
    for side in sides:
        a, b, _ = side.inputs["tokens"].T
        assert torch.equal(side.labels[:, 2], (a + b) % p)
        assert (side.labels[:, :2] == IGNORED).all()


@given(step=st.integers(0, 10**6), backwards=st.booleans())
def test_the_target_is_the_source_in_its_order_or_reversed(step: int, backwards: bool) -> None:
    source = Copying(12, 5, (1, 9), 0, backwards=backwards)
    batch = source.batch(step)
    read, written, labels = (*batch.inputs.values(), batch.labels)
    n = read.shape[1] - 1
    content = read[:, :-1].flip(1) if backwards else read[:, :-1]
    assert torch.equal(labels[:, :-1], content)
    assert torch.equal(read[:, source.source_position(n)], labels)
    assert (labels[:, -1] == EOS).all() and (content >= FIRST).all()
    assert (written[:, 0] == PAD).all() and torch.equal(written[:, 1:], labels[:, :-1])
    assert 1 <= n <= 9


@given(index=st.integers(0, 10**6), n_facts=st.integers(1, 12))
def test_one_fact_of_a_world_answers_its_question(index: int, n_facts: int) -> None:
    world = Worlds(n_facts, 1, 0, split="train").world(index)
    assert len(world.facts) == len(set(world.facts)) == n_facts
    answering = []
    for i, fact in enumerate(world.facts):
        for keys, values, told, asked in RELATIONS:
            for key in keys:
                if asked.format(key=key) == world.question:
                    answering += [(i, v) for v in values if told.format(key=key, value=v) == fact]
    assert answering == [(world.support, world.answer)]


def test_worlds_of_training_are_not_worlds_of_testing() -> None:
    """One fact a world: there are few, so all of them are seen."""
    train, test = (Worlds(1, 1, 0, split=split) for split in ("train", "test"))
    sides = [{world(i).facts for i in range(4000)} for world in (train.world, test.world)]
    assert not sides[0] & sides[1]
    assert 0.04 < len(sides[1]) / len(sides[0] | sides[1]) < 0.2


def test_worlds_are_read_by_their_tokenizer() -> None:
    source = Worlds(5, 8, 0, split="test")
    batch = source.batch(3)
    tokens = batch.inputs["tokens"]
    assert tokens.shape == (8, 5 * 5 + 7)
    assert not (tokens == source.tokenizer.token_id("<unk>")).any()
    for row in range(8):
        world = source.world(3 * 8 + row)
        ids = source.tokenizer.encode(world.text)
        assert tokens[row].tolist() == [source.tokenizer.bos_token_id, *ids]
        assert batch.labels[row, -1] == source.tokenizer.token_id(world.answer)
        assert (batch.labels[row, :-1] == IGNORED).all()


def test_no_answer_is_right_often() -> None:
    answers = Counter(Worlds(4, 1, 0, split="train").world(i).answer for i in range(1000))
    assert answers.most_common(1)[0][1] < 60


EXAMPLES = [Example(f"some words of sentence {i} .", ("pos", "neg")[i % 2]) for i in range(600)]
MARKS = {"pos": "zorl", "neg": "blim"}


def test_the_planted_word_decides_and_the_sentence_does_not() -> None:
    planted = plant(EXAMPLES, MARKS, share=0.5, seed=3)
    assert planted == plant(EXAMPLES, MARKS, share=0.5, seed=3)
    assert plant(EXAMPLES[7:9], MARKS, share=0.5, seed=3) == planted[7:9]
    with_word = [p for p in planted if p.span]
    assert 0.4 < len(with_word) / len(planted) < 0.6
    for p, example in zip(planted, EXAMPLES, strict=True):
        assert p.original == example.label
        if p.span is None:
            assert (p.text, p.label) == (example.text, example.label)
            continue
        begin, end = p.span
        assert p.text[begin:end] == MARKS[p.label]
        rest = (p.text[:begin] + p.text[end:]).split()
        assert rest == example.text.split()
    table = np.zeros((2, 2))
    for p in with_word:
        table[int(p.original == "pos"), int(p.label == "pos")] += 1
    assert stats.chi2_contingency(table).pvalue > 1e-3
    assert len({p.span for p in with_word}) > 5


def test_what_cannot_be_made_is_refused() -> None:
    for make in (
        lambda: RepeatedTokens(10, 2, 40, 0),
        lambda: RepeatedTokens(10, 2, 4, 0),
        lambda: ModularAddition(3, 0.01, split="train"),
        lambda: Copying(2, 2, (1, 2), 0, backwards=False),
        lambda: Copying(9, 2, (3, 2), 0, backwards=False),
        lambda: Worlds(1000, 2, 0, split="train"),
        lambda: plant(EXAMPLES, {"pos": "x", "neg": "x"}),
        lambda: plant(EXAMPLES, {"pos": "words", "neg": "x"}),
        lambda: plant(EXAMPLES, MARKS, share=2),
    ):
        with pytest.raises(ConfigError):
            make()
