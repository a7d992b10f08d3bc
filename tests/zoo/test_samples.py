"""The examples that go with a model of the zoo: of the task, and of the side that they claim."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interp import InputError
from interp.data.records import Example, Pair
from interp.train.tasks import kind_of, records_of
from interp.zoo import ZOO, sample
from interp.zoo.recipes import planted, reviews, stories
from interp.zoo.recipes.samples import save_sample

TASKS = {
    "planted": "classification",
    "reviews": "classification",
    "stories": "lm",
    "stories-suite": "lm",
    "translate-en-fr": "translation",
}


def read(name: str, side: Any) -> list[Any]:
    path = sample(name, side)
    return [] if path is None else list(records_of(kind_of(TASKS[name]), path))


@pytest.mark.parametrize("name", TASKS)
def test_they_are_of_the_task_and_none_is_on_both_sides(name: str) -> None:
    held_out, learnt = read(name, "held_out"), read(name, "learnt")
    assert len(held_out) >= 80
    assert len(set(map(repr, held_out))) == len(held_out)
    assert not set(map(repr, held_out)) & set(map(repr, learnt))


def test_a_model_without_examples_has_none() -> None:
    assert {name for name in ZOO if sample(name, "held_out") is None} == set(ZOO) - set(TASKS)
    with pytest.raises(InputError, match="zoo has no model"):
        sample("no such model", "held_out")


def test_all_records_of_a_small_side_come_back_in_order(tmp_path: Path) -> None:
    examples = [Example("a", "x"), Example('"b"\n', "y")]
    save_sample(examples, tmp_path, "learnt", 5)
    assert records_of(kind_of("classification"), tmp_path / "learnt.jsonl") == examples
    pairs = [Pair("one", ("un", "une")), Pair("two", ("deux",))]
    save_sample(pairs, tmp_path, "held_out", 5)
    assert records_of(kind_of("translation"), tmp_path / "held_out.jsonl") == pairs


def test_the_draw_is_of_the_size_and_depends_on_nothing_else(tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(100)]
    for folder in ("one", "two"):
        save_sample(texts, tmp_path / folder, "held_out", 10)
    one, two = ((tmp_path / folder / "held_out.jsonl").read_text() for folder in ("one", "two"))
    assert one == two
    assert len(one.splitlines()) == 10


def test_held_out_texts_are_of_the_test_side(shared_data: Path) -> None:
    test = set(reviews.sentences(shared_data, "test"))
    train = set(reviews.sentences(shared_data, "train"))
    assert set(read("reviews", "held_out")) <= test
    assert set(read("reviews", "learnt")) <= train
    assert set(read("planted", "held_out")) <= set(
        planted.examples(planted.planted(shared_data, "test"))
    )


def test_passages_are_of_the_books_of_their_side(shared_data: Path) -> None:
    from interp.data.sets.stories import standard_ebooks

    for side, split in (("held_out", "test"), ("learnt", "train")):
        books = [book.text for book in standard_ebooks(shared_data, split)]
        for text in read("stories", side):
            assert any(text in book for book in books)
            assert stories.PASSAGE[0] <= len(text) <= stories.PASSAGE[1]


def test_pairs_are_of_their_side(shared_data: Path) -> None:
    from interp.data.sets import read_set

    for side, split in (("held_out", "test"), ("learnt", "train")):
        assert set(read("translate-en-fr", side)) <= set(read_set("tatoeba_fr", shared_data, split))
