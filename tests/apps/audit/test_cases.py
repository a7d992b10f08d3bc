"""Cases keep to their rules, failures are among them, and each explanation is of its case."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from apps.address import address
from apps.audit.audited import Examples
from apps.audit.choosing import by_confidence, by_score, choose
from apps.audit.opening import open_audited
from apps.audit.parts.cases import part
from interp.data.records import Example
from probes.guesses import guesses
from probes.scoring import score
from tests.apps.audit.subjects import KINDS, subject
from tests.figures.markup import read_html
from tests.train.tasks.small import examples, model, sentences

HOSTILE = "<img src=x onerror=alert(1)> </script> good"


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.sampled_from("ab")), min_size=1))
def test_rules_choose_what_they_say(rows: list[tuple[float, bool, str]]) -> None:
    confidence = np.array([row[0] for row in rows])
    right = np.array([row[1] for row in rows])
    rules = by_confidence(confidence, right, [row[2] for row in rows])
    found = list(choose(rules))
    assert len({i for _, i in found}) == len(found)  # nothing twice
    named = dict(found)
    if not right.all():  # a failure is always among them, and the surest one
        assert confidence[named["surest error"]] == confidence[~right].max()
        assert not right[named["surest error"]]
    for rule, i in found:
        if "where" in rule:
            assert right[i] == ("right answer" in rule) and rows[i][2] == rule[-len("x is right")]
    assert sorted(rules["drawn at random"]) == list(range(len(rows)))
    assert rules["median confidence"].tolist()[0] in np.argsort(-confidence, kind="stable")


def test_the_worst_the_middle_and_the_best() -> None:
    scores = np.array([3.0, 1.0, 5.0, 4.0, 2.0])
    assert dict(choose(by_score(scores, random=0))) == {"worst": 1, "median": 0, "best": 2}
    lower = dict(choose(by_score(scores, higher=False, random=0)))
    assert lower == {"worst": 2, "median": 0, "best": 1}
    first, again = (by_score(scores, random=2, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first["drawn at random"], again["drawn at random, 2"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_answer_has_cases_with_complete_explanations(kind: str) -> None:
    audited = subject(kind)
    section = part(audited)
    cases, figures = section.tables["cases"], section.tables["figures"]
    assert len(cases) >= 4 and cases["rule"].is_unique
    assert set(section.pictures) == {f"case_{i}" for i in cases["case"]}
    done = figures[figures["adds_up"]]
    assert len(done) and (done["completeness_error"] <= 0.01 + 1e-6).all()
    again = part(subject(kind))
    assert all(again.tables[name].equals(table) for name, table in section.tables.items())
    # The tokens in the table are the weightiest of the strip, heaviest first.
    for _, rows in section.tables["weightiest"].groupby("case"):
        assert rows["score"].abs().is_monotonic_decreasing


def test_what_is_told_of_a_class_is_what_the_model_says() -> None:
    audited = subject("classification")
    section = part(audited)
    table = section.tables["cases"].merge(section.tables["figures"], on="case")
    records = [Example(text, "neg") for text in table["text"]]
    assert audited.task
    said = audited.task.answer(audited.model, records)
    np.testing.assert_allclose(said.max(1), table["confidence"], atol=1e-6)
    assert [("neg", "pos")[i] for i in said.argmax(1)] == table["said"].tolist()
    assert (table["right"] == (table["said"] == table["truth"])).all()
    assert (table["right"] == 0).any()


def test_guesses_are_the_models_own() -> None:
    for shape in ("decoder", "encoder"):
        one, texts = model(shape), sentences(6)
        frame = guesses(one, texts)
        told = score(one, texts)
        np.testing.assert_allclose(
            frame["log_prob"], np.concatenate([t.log_probs for t in told]), atol=1e-5
        )
        for i, text in enumerate(texts):
            mine = frame[frame["text"] == i]
            assert mine["true_id"].tolist() == list(told[i].ids)
            assert "".join(text[a:b] for a, b in zip(mine["start"], mine["end"], strict=True))
        best = frame["true_id"] == frame["guess_id"]
        assert (np.exp(frame["log_prob"]) <= frame["confidence"] + 1e-6).all()
        np.testing.assert_allclose(
            np.exp(frame.loc[best, "log_prob"]), frame.loc[best, "confidence"], rtol=1e-5
        )
        assert (frame["guess_id"] != frame["second_id"]).all()


def test_texts_with_personal_data_are_never_chosen() -> None:
    records = [Example(f"call jane{i}@example.org good", "neg") for i in range(30)]
    section = part(subject("classification", held_out=Examples([*records, *examples(20)], "")))
    told = "".join(table.to_csv() for table in section.tables.values())
    assert "jane" not in told and "jane" not in "".join(section.pictures.values())
    assert section.facts["texts left out for personal data"] == 30
    (finding,) = part(subject("classification", held_out=Examples(records, ""))).findings
    assert finding.level == "unknown"


def test_hostile_texts_do_nothing() -> None:
    records = [Example(f"{HOSTILE} {i}", "neg") for i in range(12)]
    section = part(subject("classification", held_out=Examples(records, "")))
    assert section.pictures
    for picture in section.pictures.values():
        tree = read_html(picture)
        assert not tree.all("img") and not tree.all("script")


def test_without_examples_nothing_is_shown() -> None:
    for changes in ({"held_out": None}, {"task": None}):
        (finding,) = part(subject("lm", **changes)).findings
        assert finding.level == "unknown"


@pytest.fixture
def explorer(repository: Path) -> AppTest:
    return AppTest.from_file(str(repository / "apps" / "explorer.py"), default_timeout=300)


def test_an_address_holds_what_it_was_made_of() -> None:
    made = address("a model", "x & y=ü?", at="1 ·x", foil="2 b")
    assert parse_qs(made[1:]) == {
        "model": ["a model"],
        "text": ["x & y=ü?"],
        "method": ["integrated gradients"],
        "at": ["1 ·x"],
        "foil": ["2 b"],
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reviews", "stories"])
def test_the_address_of_a_case_opens_it(explorer: AppTest, name: str) -> None:
    audited = open_audited(name)
    section = part(audited)
    row = section.tables["cases"].iloc[0]
    link = section.tables["addresses"]["address"].iloc[0]
    for parameter, (value,) in parse_qs(link[1:]).items():
        explorer.query_params[parameter] = value
    explorer.run()
    assert not explorer.exception and explorer.selectbox(key="model").value == name
    read = explorer.text_area(key="text").value
    assert read == row["text"] if name == "reviews" else read.startswith(row["text"])
    shown = explorer.selectbox(key="token")
    assert shown.options[shown.value or 0].split(" ", 1)[1].replace("·", " ") == row["said"]
