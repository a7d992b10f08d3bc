"""Readers of the shared data sets: everything is read once, on one side, and is sound."""

from __future__ import annotations

import gzip
import json
import lzma
from collections import Counter
from pathlib import Path

import pytest

from interp.data.records import Example, Pair, Preference, Question, Tagged, Turn
from interp.data.sets import SETS, classes, dialogues, pairs, questions, read_set, tags, texts
from interp.data.sets.files import from_json, side, text, zip_members
from interp.errors import ConfigError, LoadError

SPLITS = ("train", "dev", "test")


def sides(name: str, data: Path) -> list[list[object]]:
    return [read_set(name, data, split) for split in SPLITS]


@pytest.mark.parametrize("language", ["de", "fr"])
def test_no_held_out_sentence_is_in_training(language: str, shared_data: Path) -> None:
    train, dev, test = (pairs.tatoeba(shared_data, split, language) for split in SPLITS)
    sources = [{pair.source for pair in part} for part in (train, dev, test)]
    assert len(sources[1]) == len(dev) == len(sources[2]) == len(test) == 2000
    assert not sources[0] & sources[1] and not sources[0] & sources[2] | sources[1] & sources[2]
    code = {"de": "deu", "fr": "fra"}[language]
    with lzma.open(shared_data / "tatoeba" / f"{code}.txt.xz", "rt", encoding="utf-8") as file:
        lines = {tuple(map(str.strip, line.split("\t"))) for line in file}
    read = {(p.source, r) for part in (train, dev, test) for p in part for r in p.references}
    assert read == lines


@pytest.mark.parametrize(
    ("name", "n", "n_classes"),
    [
        ("sentence_polarity", 10_662, 2),
        ("subjectivity", 10_000, 2),
        ("movie_reviews", 2_000, 2),
        ("banking77", 13_083, 77),
        ("clinc150", 23_700, 151),
    ],
)
def test_classes_are_complete_and_their_sides_apart(
    name: str, n: int, n_classes: int, shared_data: Path
) -> None:
    train, dev, test = parts = sides(name, shared_data)
    assert sum(map(len, parts)) == n
    for part in parts:
        assert all(isinstance(e, Example) and e.text == e.text.strip() and e.text for e in part)
        labels = Counter(e.label for e in part if isinstance(e, Example))
        assert len(labels) == n_classes
        assert n_classes > 2 or max(labels.values()) < 0.6 * len(part)
    said = [{e.text for e in part if isinstance(e, Example)} for part in (train, dev, test)]
    if name not in ("clinc150", "banking77"):  # those two have parts of their authors
        assert not said[0] & said[1] and not said[0] & said[2] and not said[1] & said[2]
        assert 0.08 < len(test) / n < 0.12 and 0.08 < len(dev) / n < 0.12


@pytest.mark.parametrize("name", ["xquad_de", "xquad_en", "xquad_es", "squad_it", "qed"])
def test_answers_stand_where_they_say_and_contexts_lie_on_one_side(
    name: str, shared_data: Path
) -> None:
    parts = sides(name, shared_data)
    contexts = []
    for part in parts:
        assert part
        for q in part:
            assert isinstance(q, Question) and q.answers
            for a in q.answers:
                assert a.text and q.context[a.start : a.start + len(a.text)] == a.text
        contexts.append({q.context for q in part if isinstance(q, Question)})
    assert not contexts[0] & contexts[1] | contexts[0] & contexts[2] | contexts[1] & contexts[2]
    n = {"squad_it": 7609, "qed": 1355}.get(name, 1190)
    # At most 98 answers of squad_it do not stand where they say, as its description has it.
    assert n - 98 * (name == "squad_it") <= sum(map(len, parts)) <= n


def test_languages_of_xquad_share_their_split(shared_data: Path) -> None:
    ids = [
        [q.id for q in questions.xquad(shared_data, "test", language)]
        for language in ("de", "en", "es")
    ]
    assert ids[0] == ids[1] == ids[2]


def test_slots_are_filled_with_what_was_said(shared_data: Path) -> None:
    test = questions.restaurant8k(shared_data, "test")
    assert len(test) == 3731 * len(questions.SLOTS)
    raw = json.loads(gzip.decompress((shared_data / "restaurant8k/test.json.gz").read_bytes()))
    assert sum(bool(q.answers) for q in test) == sum(len(row.get("labels", [])) for row in raw)
    asked = [q for q in test if q.question.endswith(" ?")]
    # A slot that was asked for is mostly answered; others mostly not.
    assert sum(bool(q.answers) for q in asked) > 0.7 * len(asked)
    assert sum(bool(q.answers) for q in test) < 0.3 * len(test)
    assert all(q.context[a.start :].startswith(a.text) for q in test for a in q.answers)


@pytest.mark.parametrize("column", ["upos", "xpos", "deprel"])
def test_words_have_tags(column: str, shared_data: Path) -> None:
    test = tags.ud_english_ewt(shared_data, "test", column)
    assert len(test) == 2077
    for sentence in test:
        assert isinstance(sentence, Tagged) and len(sentence.words) == len(sentence.tags) > 0
        assert all(word and " " not in word for word in sentence.words)
    labels = {tag for sentence in test for tag in sentence.tags}
    known = {"upos": "NOUN", "xpos": "NN", "deprel": "nsubj"}
    assert known[column] in labels and "_" not in labels
    assert len(labels) <= 60


def test_summaries_and_corrections(shared_data: Path) -> None:
    counts = {"scitldr": [1992, 619, 618], "disfl_qa": [7182, 1000, 3643]}
    for name, expected in counts.items():
        parts = sides(name, shared_data)
        assert [len(part) for part in parts] == expected
        assert all(isinstance(p, Pair) and p.source and p.references for p in parts[2])
    assert any(len(p.references) > 1 for p in pairs.scitldr(shared_data, "test"))
    news = [pairs.ntrex(shared_data, "test", language) for language in ("de", "fr")]
    assert [p.source for p in news[0]] == [p.source for p in news[1]] and len(news[0]) == 1997


def test_dialogues_have_two_sides(shared_data: Path) -> None:
    chats = [d for split in SPLITS for d in dialogues.chatterbot_english(shared_data, split)]
    assert len(chats) > 1500
    assert all([turn.role for turn in chat[:2]] == ["user", "assistant"] for chat in chats)
    orders = [d for split in SPLITS for d in dialogues.taskmaster4(shared_data, split)]
    assert len(orders) == 710
    assert {turn.role for order in orders for turn in order} == {"user", "assistant"}


def test_preferences_are_between_answers_to_one_prompt(shared_data: Path) -> None:
    parts = sides("taskmaster4_preferences", shared_data)
    prompts = [{p.prompt for p in part if isinstance(p, Preference)} for part in parts]
    assert sum(map(len, prompts)) > 150
    assert not prompts[0] & prompts[2] | prompts[0] & prompts[1] | prompts[1] & prompts[2]
    for part in parts:
        for p in part:
            assert isinstance(p, Preference) and p.chosen != p.rejected
            assert all(isinstance(turn, Turn) and turn.text for turn in p.prompt)


def test_plain_texts(shared_data: Path) -> None:
    whole = "".join(t for s in ("train", "test") for t in texts.tinyshakespeare(shared_data, s))
    assert whole == (shared_data / "tinyshakespeare" / "input.txt").read_text("utf-8")
    every = [name for split in SPLITS for name in texts.names(shared_data, split)]
    assert len(every) == len(set(every)) > 29_000


def test_a_side_depends_on_the_key_alone_and_takes_its_tenth() -> None:
    found = Counter(side(str(i)) for i in range(10_000))
    assert abs(found["test"] - 1000) < 100 and abs(found["dev"] - 1000) < 100
    assert [side(str(i)) for i in range(99)] == [side(str(i)) for i in range(99)]


@pytest.mark.parametrize("name", SETS)
def test_a_missing_set_or_part_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="interp data get"):
        read_set(name, tmp_path, "test")
    with pytest.raises((ConfigError, LoadError)):
        read_set(name, tmp_path, "validation")


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no reader for 'imdb'"):
        read_set("imdb", tmp_path, "train")
    with pytest.raises(ConfigError, match="into 'la'"):
        pairs.tatoeba(tmp_path, "train", "la")
    with pytest.raises(ConfigError, match="no part 'validation'"):
        classes.clinc150(tmp_path, "validation")


@pytest.mark.parametrize("name", ["a.txt.gz", "a.txt.xz", "a.txt", "a.zip", "a.json"])
def test_a_damaged_file_is_named(name: str, tmp_path: Path) -> None:
    content = b"\xff\xfe not what it says"
    if name == "a.txt.gz":
        content = gzip.compress(b"x" * 9999)[:-20]
    (tmp_path / name).write_bytes(content)
    readers = {"a.zip": lambda path: zip_members(path, ""), "a.json": from_json}
    with pytest.raises(LoadError, match="damaged"):
        readers.get(name, text)(tmp_path / name)
