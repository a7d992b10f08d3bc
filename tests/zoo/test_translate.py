"""The zoo model `translate-en-fr`: it translates, as well as its card says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import interp
from interp.data.sets import read_set
from interp.model.transformer import HookedTransformer
from interp.train.evaluate import evaluate
from interp.train.tasks.sequence import Translation
from interp.zoo import zoo_folder

FOLDER = zoo_folder("translate-en-fr")


@pytest.fixture(scope="module")
def model() -> HookedTransformer:
    model: HookedTransformer = interp.load("translate-en-fr")
    return model


@pytest.mark.parametrize(
    ("english", "french"),
    [("I am happy.", "Je suis"), ("Where is the house?", "Où est"), ("Thank you.", "Merci")],
)
def test_it_translates(model: HookedTransformer, english: str, french: str) -> None:
    written = model.generate(english, num_beams=5, max_new_tokens=20)
    assert french in written


def test_the_card_says_how_well(model: HookedTransformer) -> None:
    record: Any = json.loads((FOLDER / "training.json").read_text("utf-8"))
    found = {(row["data"], row["metric"]): row["value"] for row in record["figures"]}
    assert found["tatoeba, first reference", "bleu"] >= 40
    assert found["tatoeba, all references", "bleu"] > found["tatoeba, first reference", "bleu"]
    assert "Do not rely" in (FOLDER / "README.md").read_text("utf-8")


def test_held_out_sentences_are_as_good_as_stated(
    model: HookedTransformer, shared_data: Path
) -> None:
    """On some of them: within what their number allows."""
    some = list(read_set("tatoeba_fr", shared_data, "test"))[:100]
    frame = evaluate(model, Translation(), some)
    bleu = frame[frame["metric"] == "bleu"].iloc[0]
    assert bleu["ci_high"] > 40


def test_every_output_token_is_explained_on_both_sides(model: HookedTransformer) -> None:
    found = interp.attribute_answer(model, "I am happy.", "Je suis heureux.")
    assert found.converged and set(found.side) == {"source", "target"}
    happy = [i for i, token in enumerate(found.tokens) if "happy" in token]
    heureux = [i for i, token in enumerate(found.answer) if "heureux" in token]
    assert happy and heureux
    row = found.scores[heureux[0]]
    assert row[happy[0]] == row[[s == "source" for s in found.side]].max()
