"""The purpose is quoted from card and user, and what nobody says is said to be not stated."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from apps.audit.parts.purpose import part
from apps.audit.stated import TOPICS, Stated, read_purpose
from interp.errors import InputError, LoadError
from interp.zoo import ZOO, zoo_folder
from tests.apps.audit.subjects import card, subject

HUB = """---
license: apache-2.0
pipeline_tag: text-classification
datasets: [imdb, sst2]
model-index:
- name: x
  results:
  - dataset: {name: imdb}
    metrics:
    - {type: accuracy, value: 0.91}
---
# My model

<!-- Say here what it is. -->
It judges reviews,
in one word.

## Uses

### Direct Use
For sorting mail.

### Out-of-Scope Use
[More Information Needed]

## Bias, Risks, and Limitations
It cannot count.

```
# Not a heading
```
"""


def test_a_card_is_quoted_by_its_headings(tmp_path: Path) -> None:
    stated = Stated.read(card(tmp_path, HUB))
    assert stated.lead == "It judges reviews, in one word."
    said = {topic: [one.text for one in stated.about(topic)] for topic in TOPICS}
    assert said["uses"] == ["For sorting mail."]
    assert (
        said["limits"][0].startswith("It cannot count.") and "# Not a heading" in said["limits"][0]
    )
    assert said["licence"] == ["apache-2.0"] and said["out_of_scope"] == said["users"] == []
    assert said["task"] == ["It judges reviews, in one word.", "text-classification"]
    assert [one.text for one in stated.about("data")] == ["imdb, sst2"]
    (figure,) = stated.figures
    assert (figure["metric"], figure["value"], figure["of"]) == ("accuracy", 0.91, "imdb")


def test_nothing_is_invented(tmp_path: Path) -> None:
    section = part(subject("lm", folder=card(tmp_path, HUB)))
    table = section.tables["statements"]
    for row in table.itertuples():
        assert row.stated == "not stated" or "".join(row.stated.split()) in "".join(HUB.split())
    assert table.loc[table["topic"] == "users", "stated"].tolist() == ["not stated"]
    found = {finding.key: finding for finding in section.findings}
    assert found["purpose.missing"].level == "caution"
    assert TOPICS["users"] in found["purpose.missing"].sentence
    assert TOPICS["users"] not in found["purpose.stated"].sentence
    assert section.measures["stated"] == 4 / 6


def test_without_a_card_the_purpose_is_unknown(tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        (finding,) = part(subject("lm", folder=folder)).findings
        assert (finding.key, finding.level) == ("purpose.stated", "unknown")


def test_the_user_may_say_what_it_is_for(tmp_path: Path) -> None:
    path = tmp_path / "purpose.toml"
    path.write_text('users = "nurses"\nlimits = " "\n')
    purpose = read_purpose(path)
    assert purpose == {"users": "nurses"}
    table = part(subject("lm", purpose=purpose)).tables["statements"]
    (row,) = table[table["topic"] == "users"].itertuples()
    assert (row.stated, row.by) == ("nurses", "user")
    for wrong in ('colour = "red"', "users = 3"):
        path.write_text(wrong)
        with pytest.raises(InputError, match="purpose"):
            read_purpose(path)
    for wrong in ("users = [", "users = " + "[" * 5_000):
        path.write_text(wrong)
        with pytest.raises(LoadError, match="purpose"):
            read_purpose(path)


def test_the_zoo_says_what_it_is_for_and_what_it_learnt_from() -> None:
    for name in ZOO:
        stated = Stated.read(zoo_folder(name))
        assert stated.about("uses") and stated.about("out_of_scope") and stated.about("data")
        assert stated.about("licence") and stated.lead
    reviews = Stated.read(zoo_folder("reviews")).frame()
    (accuracy,) = reviews[reviews["metric"] == "accuracy"].itertuples()
    assert 0.7 < accuracy.ci_low < accuracy.value < accuracy.ci_high and accuracy.n > 1000
    suite = Stated.read(zoo_folder("stories-suite")).frame()
    assert suite["metric"].tolist()[:2] == ["bits_per_byte"] * 2 and suite["value"].max() < 1.9


def test_hostile_files_say_nothing_and_do_no_harm(tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(24)
    )
    card(tmp_path, f"---\n{bomb}license: *y\nmodel-index: *y\n---\n\ntext <script>\n")
    (tmp_path / "training.json").write_text('{"figures": [1, {"metric": 3, "value": "x"}]}')
    (tmp_path / "evaluation.csv").write_text("metric,value\naccuracy,nonsense\n")
    stated = Stated.read(tmp_path)
    assert stated.lead == "text <script>" and stated.about("licence") == []
    assert stated.frame()["value"].isna().all()
    part(subject("lm", folder=tmp_path))
    (tmp_path / "README.md").write_bytes(b"\xff\xfe\x00# x\n" * 1000)
    (tmp_path / "training.json").write_text("[" * 100_000)
    assert Stated.read(tmp_path).figures[0]["source"] == "evaluation.csv"


@pytest.mark.parametrize("piece", ["\n", "<!--", "a ", "#", "# a\n", "[", "licensed"])
def test_a_card_is_read_in_the_time_of_its_length(tmp_path: Path, piece: str) -> None:
    (tmp_path / "README.md").write_text("---\n" + piece * 200_000 + "\n---\n" + piece * 200_000)
    began = time.process_time()
    Stated.read(tmp_path).about("licence")
    assert time.process_time() - began < 5


def test_a_table_of_figures_with_a_huge_cell_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "evaluation.csv").write_text("metric,value\nloss," + "1" * 200_000 + "\n")
    assert Stated.read(tmp_path).figures == ()


def test_half_characters_become_text(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text('---\nlicense: "\\ud800"\n---\n')
    rows = '[{"metric": "\\ud800x", "value": "\\ud800", "\\ud800": "\\udfff"}]'
    (tmp_path / "training.json").write_text(f'{{"figures": {rows}}}')
    section = part(subject("lm", folder=tmp_path))
    assert all(text.encode("utf-8") for text in section.tables["statements"]["stated"])
    assert len(Stated.read(tmp_path).frame()) == 1
