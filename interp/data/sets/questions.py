"""Sets of questions whose answers are pieces of a context."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from interp.data.records import Answer, Question, Split
from interp.data.sets.files import from_json, from_jsonl, of_side, own_split, side

SLOTS = ("date", "first_name", "last_name", "people", "time")


def xquad(data: Path, split: Split, language: Literal["de", "en", "es"] = "en") -> list[Question]:
    """1,190 questions to Wikipedia (Artetxe et al. 2020, CC BY-SA 4.0), split by article, alike in
    each language."""
    path = data / "xquad" / f"xquad.{own_split(_XQUAD, language, 'xquad')}.json.gz"
    # Titles are translated, but the articles are the same in the same order.
    return _squad(path, split, "xquad")


def squad_it(data: Path, split: Split) -> list[Question]:
    """7,609 questions to Wikipedia in Italian (Croce et al. 2018, CC BY-SA 4.0), split by article.
    Answers that do not stand where they say are left out, and questions with none but such."""
    return _squad(data / "squad_it" / "SQuAD_it-test.json.gz", split, "squad_it")


def qed(data: Path, split: Split) -> list[Question]:
    """1,355 questions of searchers to paragraphs of Wikipedia (Lamm et al. 2021, CC BY-SA 3.0),
    split by article. Of an answer in several pieces the first is taken."""
    questions, titles = [], []
    for row in from_jsonl(data / "qed" / "qed-dev.jsonl.gz"):
        pieces = [answer[0] for answer in row["original_nq_answers"]]
        answers = tuple(dict.fromkeys(Answer(p["string"], p["start"]) for p in pieces))
        questions.append(
            Question(str(row["example_id"]), row["question_text"], row["paragraph_text"], answers)
        )
        titles.append(row["title_text"])
    return of_side(questions, titles, split)


def restaurant8k(data: Path, split: Split) -> list[Question]:
    """What people tell who book a table (Coope et al. 2020, CC BY 4.0): one question for each turn
    and slot, with no answer where the turn does not fill the slot.

    A question is the slot's name, with ` ?` where the system has just asked for it. Development is
    a tenth of the training file, by a hash of the turn.
    """
    parts = {"train": "train_0", "dev": "train_0", "test": "test"}
    part = own_split(parts, split, "restaurant8k")
    rows = from_json(data / "restaurant8k" / f"{part}.json.gz")
    questions = [q for i, row in enumerate(rows) for q in _slots(f"{part}-{i}", row)]
    if split == "test":
        return questions
    return [q for q in questions if (side(q.context) == "dev") == (split == "dev")]


_XQUAD = {language: language for language in ("de", "en", "es")}


def _squad(path: Path, split: str, name: str) -> list[Question]:
    questions, keys = [], []
    for article_number, article in enumerate(from_json(path)["data"]):
        for paragraph in article["paragraphs"]:
            context = paragraph["context"]
            for asked in paragraph["qas"]:
                given = [Answer(a["text"], a["answer_start"]) for a in asked["answers"]]
                right = [a for a in given if context[a.start :].startswith(a.text) and a.text]
                if given and not right:
                    continue
                answers = tuple(dict.fromkeys(right))
                questions.append(Question(str(asked["id"]), asked["question"], context, answers))
                keys.append(f"{name} {article_number}")
    return of_side(questions, keys, split)


def _slots(name: str, row: dict[str, Any]) -> Iterator[Question]:
    said = row["userInput"]["text"]
    asked = row.get("context", {}).get("requestedSlots", [])
    spans = {label["slot"]: label["valueSpan"] for label in row.get("labels", [])}
    for slot in SLOTS:
        answers: tuple[Answer, ...] = ()
        if slot in spans:
            begin, end = spans[slot].get("startIndex", 0), spans[slot]["endIndex"]
            answers = (Answer(said[begin:end], begin),)
        yield Question(f"{name}-{slot}", slot + " ?" * (slot in asked), said, answers)
