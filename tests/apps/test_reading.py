"""What the explorer shows is what the model says, under a recipe that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import interp
from apps.reading import TOP, Opened, Passage, Reading, encode, open_model, read
from interp import InputError
from tests.apps.hostile import save

TEXT = "Once upon a time there was a little"


@pytest.fixture(scope="module")
def opened() -> Opened:
    return open_model("stories", "stories", None)


def reading_of(opened: Opened) -> Reading:
    return read(opened.model, opened.identity, encode(opened.model, opened.identity, TEXT))


def test_predictions_are_those_of_the_model(opened: Opened) -> None:
    reading = reading_of(opened)
    with torch.no_grad():
        shares = opened.model(**reading.passage.inputs)[0].float().softmax(-1)
    for position, guesses in reading.predictions.groupby("position"):
        best = shares[position].topk(TOP)
        assert guesses["token_id"].tolist() == best.indices.tolist()
        assert guesses["probability"].to_numpy() == pytest.approx(best.values.numpy(), abs=1e-6)
        assert guesses["place"].tolist() == list(range(TOP))
    for row in reading.predictions.itertuples():
        assert opened.model.to_single_str_token(row.token_id) == row.token


def test_the_lens_ends_at_the_prediction(opened: Opened) -> None:
    reading = reading_of(opened)
    last = reading.lens[reading.lens["layer"] == opened.model.cfg.n_layers]
    first = reading.predictions[reading.predictions["place"] == 0]
    assert last["top_token"].tolist() == first["token"].tolist()
    assert last["probability"].to_numpy() == pytest.approx(
        first["probability"].to_numpy(), abs=1e-5
    )


def test_patterns_are_causal_and_sum_to_one(opened: Opened) -> None:
    cfg = opened.model.cfg
    reading = reading_of(opened)
    n = len(reading.passage.ids)
    (patterns,) = reading.patterns.values()
    assert patterns.shape == (cfg.n_layers, cfg.n_heads, n, n)
    assert patterns.sum(-1) == pytest.approx(1.0, abs=1e-5)
    assert (patterns[:, :, *(torch.triu_indices(n, n, 1).numpy())] == 0).all()
    assert len(reading.tokens) == n


def test_a_reading_is_computed_once_for_each_recipe(opened: Opened) -> None:
    passage = encode(opened.model, opened.identity, TEXT)
    again = Passage(tuple(passage.ids))
    assert read(opened.model, opened.identity, passage) is read(
        opened.model, opened.identity, again
    )
    assert read(opened.model, opened.identity, passage) is not read(opened.model, "other", passage)
    assert open_model("stories", "stories", None) is opened


def test_what_a_translator_wrote_is_read_beside_its_source() -> None:
    opened = open_model("translate-en-fr", "translate-en-fr", None)
    passage = encode(opened.model, opened.identity, "I am happy.")
    reading = read(opened.model, opened.identity, passage)
    assert "".join(reading.source_tokens).startswith("I am happy.")
    # Greedily written: each token is the most probable one after those before it.
    best = reading.predictions[reading.predictions["place"] == 0]["token_id"].tolist()
    assert best[:-1] == list(passage.ids[1:])
    assert passage.until(2).ids == passage.ids[:3]
    crossed = reading.patterns["decoder to source"]
    assert crossed.shape[-2:] == (len(passage.ids), len(passage.source))


def test_a_classifier_gives_its_classes_by_name() -> None:
    opened = open_model("reviews", "reviews", None)
    passage = encode(opened.model, opened.identity, "a film of rare warmth and wit .")
    reading = read(opened.model, opened.identity, passage)
    assert reading.outputs == "class" and reading.lens is None
    assert reading.predictions["token"].tolist() == ["pos", "neg"]
    assert reading.predictions["probability"].sum() == pytest.approx(1.0)


def test_a_text_longer_than_the_context_is_refused(opened: Opened) -> None:
    with pytest.raises(interp.InputError, match=r"reads 256 at most"):
        encode(opened.model, opened.identity, "word " * 400)


def test_models_of_the_same_weights_are_not_taken_for_each_other(tmp_path: Path) -> None:
    """What differs is the tokenizer, or what classes are called; both decide what is shown."""

    def opened(name: str, **changes: Any) -> Opened:
        return open_model(name, str(save(tmp_path / name, **changes)), None)

    words, numbers = opened("words"), opened("numbers", tokenizer=False)
    assert words.weights == numbers.weights and words.identity != numbers.identity
    assert encode(words.model, words.identity, "no number").ids
    with pytest.raises(InputError, match="no tokenizer"):
        encode(numbers.model, numbers.identity, "no number")

    kind: dict[str, Any] = {"shape": "encoder", "head": "classification", "n_classes": 2}
    one, other = (opened(name, **kind, class_names=(name, "rest")) for name in ("one", "other"))
    assert one.weights == other.weights
    for model, name in ((one, "one"), (other, "other")):
        reading = read(model.model, model.identity, encode(model.model, model.identity, "?"))
        assert set(reading.predictions["token"]) == {name, "rest"}
