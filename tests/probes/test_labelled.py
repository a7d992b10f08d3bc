"""Labels stay with their words, and no two parts share anything."""

from __future__ import annotations

import numpy as np
import pytest

from interp.activations import Side
from interp.data.treebank import sentences
from interp.errors import InputError
from probes.labelled import Labelled, Parts

TREE = """\
# newdoc id = a
# text = Dogs don't sleep.
1	Dogs	dog	NOUN	NNS	Number=Plur	4	nsubj	_	_
2-3	don't	_	_	_	_	_	_	_	_
2	do	do	AUX	VBP	_	4	aux	_	_
3	n't	not	PART	RB	_	4	advmod	_	_
4	sleep	sleep	VERB	VB	_	0	root	_	SpaceAfter=No
5	.	.	PUNCT	.	_	4	punct	_	_
"""


def test_the_columns_of_a_treebank() -> None:
    parsed = sentences(TREE.split("\n"), "t.conllu")
    data = Labelled.treebank(parsed, "pos")
    assert data.labels == ("NOUN", "AUX", "PART", "VERB", "PUNCT")
    assert [data.texts[0][a:b] for a, b in data.spans] == ["Dogs", "do", "n't", "sleep", "."]
    assert data.types[0] == "dogs" and data.documents == ("a",)
    assert Labelled.treebank(parsed, "deprel").labels[0] == "nsubj"
    number = Labelled.treebank(parsed, "feature:Number")
    assert number.labels == ("Plur",) and number.types == ("dogs",)
    with pytest.raises(InputError, match="no task 'pso'"):
        Labelled.treebank(parsed, "pso")
    with pytest.raises(InputError, match="feature 'Case'"):
        Labelled.treebank(parsed, "feature:Case")


def test_words_are_read_at_the_tokens_that_say_them() -> None:
    data = Labelled.treebank(sentences(TREE.split("\n"), "t.conllu"), "pos")
    # A special token, "Dog", "s", " don't", " sleep"; the text was cut before its full stop.
    side = Side([[0, 1, 2, 3, 4]], [[None, (0, 3), (3, 4), (4, 10), (10, 16)]])
    places, kept = data.places(side)
    assert kept.tolist() == [0, 1, 2, 3]
    assert places.start.tolist() == [2, 3, 3, 4] and places.stop.tolist() == [3, 4, 4, 5]
    assert data.places(side, "first")[0].start.tolist() == [1, 3, 3, 4]
    whole, _ = data.places(side, "mean")
    assert (whole.start.tolist(), whole.stop.tolist()) == ([1, 3, 3, 4], [3, 4, 4, 5])


def test_labels_that_do_not_fit_their_words_are_refused() -> None:
    with pytest.raises(InputError, match="Sentence 1 has 2 words and 1 labels"):
        Labelled.words([["a"], ["b", "c"]], [["X"], ["Y"]])
    with pytest.raises(InputError, match="is not in it"):
        Labelled.stretches(["short"], [[(2, 9)]], [["X"]])
    with pytest.raises(InputError, match="no labelled word"):
        Labelled.words([["a"]], [[None]])


def corpus(n: int) -> Labelled:
    words = [[f"w{i}", "and", f"v{i}"] for i in range(n)]
    names = [f"document {i // 2}" for i in range(n)]
    return Labelled.words(words, [["N", "C", "N"]] * n, documents=names)


def test_parts_share_no_document_and_no_text() -> None:
    parts = Parts.by_document(corpus(40))
    documents = [set(p.documents) for p in (parts.train, parts.dev, parts.test)]
    assert not documents[0] & documents[1] and not documents[1] & documents[2]
    assert sum(len(d) for d in documents) == 20 and len(documents[1]) == 4
    with pytest.raises(InputError, match=r"document .* is in train and in test"):
        Parts(parts.train, parts.dev, parts.train)
    with pytest.raises(InputError, match="too few"):
        Parts.by_document(corpus(8))


def test_a_text_of_the_test_part_is_not_fitted_to() -> None:
    test = Labelled.sentences(["Thank you.", "Go on."], ["a", "b"], ["t1", "t2"])
    dev = Labelled.sentences(["Thank you.", "Stop it."], ["a", "b"], ["d1", "d2"])
    train = Labelled.sentences(["Thank you.", "Stop it.", "No."], ["a", "b", "a"], ["x", "y", "z"])
    with pytest.raises(InputError, match=r"'Thank you\.' is in train"):
        Parts(train, dev, test)
    parts = Parts.of(train, dev, test)
    assert parts.test.texts == test.texts
    assert parts.dev.texts == ("Stop it.",) and parts.train.texts == ("No.",)
    assert parts.train.labels == ("a",) and np.array_equal(parts.train.text, [0])
