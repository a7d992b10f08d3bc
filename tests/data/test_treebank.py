"""Treebanks: every word, with its annotation, where it stands in its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp.data.treebank import ROOT, Sentence, open_treebank, read_treebank, sentences, to_frame
from interp.errors import ConfigError, InputError, LoadError

FRENCH = """\
# newdoc id = d1
# sent_id = s1
# text = Il ne va pas du  tout, dit-elle.
1	Il	il	PRON	_	Gender=Masc|Number=Sing	3	nsubj	_	_
2	ne	ne	ADV	_	_	3	advmod	_	_
3	va	aller	VERB	_	Mood=Ind	0	root	_	_
4	pas	pas	ADV	_	_	3	advmod	_	_
5-6	du	_	_	_	_	_	_	_	_
5	de	de	ADP	_	_	7	case	_	_
6	le	le	DET	_	_	7	det	_	_
7	tout	tout	PRON	_	_	3	obl	_	SpaceAfter=No
8	,	,	PUNCT	_	_	3	punct	_	_
8.1	rien	rien	PRON	_	_	_	_	3:obj	_
9-10	dit-elle	_	_	_	_	_	_	_	SpaceAfter=No
9	dit	dire	VERB	_	_	3	parataxis	_	_
10	-elle	elle	PRON	_	_	9	nsubj	_	_
11	.	.	PUNCT	_	_	3	punct	_	_

# sent_id = s2
1	Oui	oui	INTJ	_	_	0	root	_	SpaceAfter=No
2	!	!	PUNCT	_	_	1	punct	_	_
"""


def read(text: str = FRENCH) -> list[Sentence]:
    return sentences(text.split("\n"), "t.conllu")


def test_words_of_contractions_and_words_that_are_not_written() -> None:
    first, second = read()
    assert first.words == ("Il", "ne", "va", "pas", "de", "le", "tout", ",", "dit", "-elle", ".")
    said = [first.text[start:stop] for start, stop in first.spans]
    assert said == ["Il", "ne", "va", "pas", "du", "du", "tout", ",", "dit", "-elle", "."]
    assert first.heads == (2, 2, ROOT, 2, 6, 6, 2, 2, 2, 8, 2)
    assert first.deprels[2] == "root" and first.upos[5] == "DET" and first.lemmas[8] == "dire"
    assert first.features[0] == {"Gender": "Masc", "Number": "Sing"} and first.features[1] == {}
    assert (first.id, first.document, second.document) == ("s1", "d1", "d1")
    assert second.text == "Oui!" and second.spans == ((0, 3), (3, 4))


def test_a_frame_has_a_line_for_each_word() -> None:
    frame = to_frame(read())
    assert list(frame["sentence"]) == [0] * 11 + [1] * 2
    assert list(frame["word"]) == [*range(11), 0, 1]
    first = frame.iloc[0]
    assert (first["form"], first["features"], first["head"]) == ("Il", "Gender=Masc|Number=Sing", 2)
    assert frame["upos"].iloc[5] == "DET" and frame["head"].iloc[2] == ROOT


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("\tva\t", "\tvas\t", "s1: 'vas' is not what its text goes on with"),
        ("3\tobl", "33\tobl", "word 7 depends on '33'"),
        ("Mood=Ind", "Mood", "no features"),
        ("\n2\tne", "\n12\tne", "not numbered"),
        ("5-6\tdu", "5-7\tdu", "goes on with"),
        ("9-10\tdit-elle", "9-19\tdit-elle", "do not follow"),
    ],
)
def test_what_contradicts_itself_is_refused(old: str, new: str, words: str) -> None:
    assert old in FRENCH
    with pytest.raises(InputError, match=words):
        read(FRENCH.replace(old, new))


def test_parts_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="missing"):
        read_treebank(tmp_path / "none.conllu")
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "x-ud-dev.conllu").write_text(FRENCH, "utf-8")
    assert len(open_treebank("bank", tmp_path, "dev")) == 2
    with pytest.raises(ConfigError, match=r"'train'.*x-ud-dev"):
        open_treebank("bank", tmp_path, "train")


@pytest.mark.parametrize(
    ("name", "split"), [("ud_english_ewt", "dev"), ("ud_french_sequoia", "dev")]
)
def test_real_treebanks(shared_data: Path, name: str, split: str) -> None:
    bank = open_treebank(name, shared_data, split)
    assert len(bank) > 300
    spelt = total = 0
    for sentence in bank:
        assert sentence.heads.count(ROOT) == 1
        assert all(0 <= start < stop <= len(sentence.text) for start, stop in sentence.spans)
        assert list(sentence.spans) == sorted(sentence.spans)
        spelt += sum(
            sentence.text[slice(*span)] == word
            for word, span in zip(sentence.words, sentence.spans, strict=True)
        )
        total += len(sentence)
    assert spelt > 0.9 * total
    if name == "ud_english_ewt":
        assert spelt > 0.998 * total
