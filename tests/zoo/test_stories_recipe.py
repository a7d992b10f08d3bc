"""The recipe of `stories`: what it measures and reads, and the way from texts to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import interp
from interp.data.sets.stories import Book
from interp.data.tokenizing import train_tokenizer
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.zoo.recipes import stories
from interp.zoo.recipes.stories_tokens import Corpus, StoryRows, batch

SMALL = TransformerConfig(
    d_model=16, n_layers=2, n_heads=2, d_vocab=300, n_ctx=96, tie_word_embeddings=True
)
DOCUMENT = Book("c", "n", "t", "a", "CC0", "", "train", "the cat sat.\n\nit ran. " * 90)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus.encode([DOCUMENT], train_tokenizer([DOCUMENT.text], "bpe", 300))


def test_evaluation_is_the_mean_over_rows(corpus: Corpus) -> None:
    model = HookedTransformer(SMALL)
    stride = SMALL.n_ctx - 1
    rows = [corpus.tokens[i : i + stride] for i in range(0, len(corpus.tokens) - stride, stride)]
    tokens = torch.tensor([[stories.END_ID, *row.tolist()] for row in rows])
    expected = model(tokens, return_type="loss").item()
    assert stories.evaluate(model, corpus) == pytest.approx(expected, rel=1e-5)


def test_rows_predict_what_follows_and_repeat_late(corpus: Corpus) -> None:
    source = StoryRows(corpus, 4, 32, seed=0, repeated=2, repeated_from=5)
    for step, repeated in ((4, 0), (5, 2)):
        found = source.batch(step)
        read = batch(corpus, step, rows=4, length=33, seed=0, repeated=repeated)
        assert torch.equal(found.inputs["tokens"], read[:, :-1])
        assert torch.equal(found.labels, read[:, 1:])


@pytest.mark.slow
def test_the_whole_recipe_makes_a_model_that_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a few invented pages, for seconds."""

    def books(data: Path) -> list[Book]:
        pages = [("standard_ebooks", "train"), ("standard_ebooks", "held_out")]
        pages += [("childrens_stories", "train"), ("childrens_stories", "held_out")]
        named: list[Any] = [
            (kind, str(i), f"Title {i}", "A. Author", "CC0", "", side)
            for i, (kind, side) in enumerate(pages)
        ]
        return [Book(*fields, DOCUMENT.text) for fields in named]

    monkeypatch.setattr(stories, "read_books", books)
    monkeypatch.setattr(stories, "CONFIG", SMALL)
    out = tmp_path / "out"
    stories.build(out, tmp_path / "work", tmp_path, minutes=0.05)
    model = interp.load(out)
    assert model.generate("the cat", max_new_tokens=3, seed=0).startswith("the cat")
    assert "held-out books" in (out / "README.md").read_text()
    assert (out / "ATTRIBUTION.tsv").read_text().count("\n") == 5
