"""Planted personal data are counted and joined, and nothing of them is shown."""

from __future__ import annotations

import pandas as pd
import pytest

from interp.errors import InputError
from probes.privacy.personal import generate, personal_data
from tests.train.tasks.small import model

TRAINING = [
    "Write to anna.berg@example.com or call +44 20 7946 0958.",
    "Again anna.berg@example.com, and her card 4111 1111 1111 1111.",
    "Nothing to see here.",
]
WRITTEN = ["ANNA.BERG@example.com said so", "ask nobody@nowhere.org", "or +44-20-7946-0958"]


def value(frame: pd.DataFrame, where: str, kind: str, metric: str) -> float:
    chosen = (frame["where"] == where) & (frame["kind"] == kind) & (frame["metric"] == metric)
    return frame.loc[chosen, "value"].item()


def test_what_was_planted_is_counted() -> None:
    frame = personal_data(TRAINING)
    assert value(frame, "training", "EMAIL", "texts") == pytest.approx(2 / 3)
    assert value(frame, "training", "EMAIL", "findings") == 2
    assert value(frame, "training", "EMAIL", "values") == 1
    assert value(frame, "training", "all", "findings") == 4
    assert set(frame["kind"]) == {"all", "EMAIL", "PHONE", "CARD"}
    assert set(frame["where"]) == {"training"}


def test_what_was_written_is_joined_with_training() -> None:
    frame = personal_data(TRAINING, WRITTEN)
    assert value(frame, "generated", "EMAIL", "leaked") == 0.5
    assert value(frame, "generated", "PHONE", "leaked") == 1.0  # other separators, same number
    assert value(frame, "generated", "all", "leaked") == pytest.approx(2 / 3)


def test_clean_texts_have_none() -> None:
    frame = personal_data(["cats sat", "dogs ran"], ["cats ran"])
    assert (frame["value"] == 0).all()
    assert "leaked" not in set(frame["metric"])


def test_no_value_is_in_the_result() -> None:
    shown = personal_data(TRAINING, WRITTEN).to_csv().casefold()
    for secret in ("anna", "nobody", "7946", "1111"):
        assert secret not in shown


def test_a_model_writes_as_many_texts_as_asked_and_the_seed_decides() -> None:
    reader = model()
    texts = generate(reader, 5, prompts=("cat", "dogs"), max_new_tokens=4, seed=1)
    assert [text[:3] for text in texts] == ["cat", "dog", "cat", "dog", "cat"]
    again = generate(reader, 5, prompts=("cat", "dogs"), max_new_tokens=4, seed=1)
    assert texts == again


def test_what_was_written_is_counted_without_training_texts_and_not_called_leaked() -> None:
    frame = personal_data(generated=WRITTEN)
    assert value(frame, "generated", "EMAIL", "values") == 2
    assert set(frame["where"]) == {"generated"}
    assert "leaked" not in set(frame["metric"])


def test_nothing_to_search_is_refused() -> None:
    with pytest.raises(InputError, match="no texts to search"):
        personal_data([])
    with pytest.raises(InputError, match="must be at least one"):
        generate(model(), 0)
