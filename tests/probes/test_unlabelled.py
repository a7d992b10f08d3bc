"""Labels are those that a reader of the text would give."""

from __future__ import annotations

import pytest

from interp.errors import InputError
from probes.labelled import Labelled
from probes.unlabelled import TASKS, unlabelled

TEXT = "The cat sat. It's a well-known cat! Is the mat on the cat? "


def told(labelled: Labelled) -> list[tuple[str, str]]:
    """Each word as it stands in its text, and its label."""
    return [
        (labelled.texts[text][slice(*span)], label)
        for text, span, label in zip(labelled.text, labelled.spans, labelled.labels, strict=True)
    ]


def test_a_word_has_the_place_that_it_has_in_its_sentence() -> None:
    found = told(unlabelled([TEXT] * 20, "place in the sentence"))[:13]
    assert found == [
        *[("The", "1"), ("cat", "2 to 3"), ("sat", "2 to 3")],
        *[("It's", "1"), ("a", "2 to 3"), ("well-known", "2 to 3"), ("cat", "4 to 7")],
        *[("Is", "1"), ("the", "2 to 3"), ("mat", "2 to 3")],
        *[("on", "4 to 7"), ("the", "4 to 7"), ("cat", "4 to 7")],
    ]


def test_only_words_after_a_frequent_word_have_that_label() -> None:
    rare = " ".join(f"rare{i} the" for i in range(9))  # more words than are told apart
    found = told(unlabelled([rare, *[TEXT] * 20], "word before"))
    assert ("cat", "the") in found and ("sat", "cat") in found
    assert not any(label.startswith("rare") for _, label in found)
    assert found.count(("It's", "sat")) == 20  # over the end of a sentence, not of a text
    assert ("The", "cat") not in found


def test_lengths_are_those_of_the_words_and_rare_labels_are_left_out() -> None:
    found = told(unlabelled([TEXT] * 20, "length of the word"))
    assert {len(word) for word, label in found if label == "1 to 2"} == {1, 2}
    assert {len(word) for word, label in found if label == "3 to 4"} == {3, 4}
    assert [word for word, label in found if label == "7 or more"] == ["well-known"] * 20
    assert "7 or more" not in unlabelled([TEXT] * 19, "length of the word").labels


def test_what_is_no_task_or_has_no_word_is_refused() -> None:
    assert set(TASKS) == {"word before", "place in the sentence", "length of the word"}
    with pytest.raises(InputError, match="no task 'colour'"):
        unlabelled([TEXT], "colour")
    with pytest.raises(InputError, match="nothing to probe for"):
        unlabelled(["...", "?!"], "word before")
    assert told(unlabelled(["...", *[TEXT] * 20], "word before"))  # the others have words
