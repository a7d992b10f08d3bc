"""The JSON twin and the model card of an audit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from apps.audit.card import card_markdown, escaped
from apps.audit.parts import PARTS
from apps.audit.section import Finding, Section
from tests.apps.audit.made import report, several
from tests.figures.hostile import HOSTILE


@pytest.fixture(scope="module")
def schema(repository: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((repository / "apps/audit/schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(values)
    return values


def test_the_twin_is_what_the_schema_says(schema: dict[str, Any]) -> None:
    values = json.loads(json.dumps(several().to_dict(), allow_nan=False))
    jsonschema.validate(values, schema)
    assert values["measures"]["performance.odd"] is None
    assert [f["key"] for f in values["findings"]][:2] == ["shortcuts.large", "shortcuts.small"]
    assert set(values["skipped"]) == set(PARTS) - {"performance", "shortcuts", "privacy"}


@pytest.mark.parametrize(
    ("at", "value"),
    [
        ("format", "interp-audit/0"),
        ("date", "today"),
        ("findings", [{"key": "x"}]),
        ("measures", {"accuracy": 1.0}),
        ("skipped", ["no such part"]),
        ("more", 1),
    ],
)
def test_the_schema_notices(schema: dict[str, Any], at: str, value: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**several().to_dict(), at: value}, schema)


def test_the_schema_knows_the_parts(schema: dict[str, Any]) -> None:
    assert schema["$defs"]["part"]["enum"] == list(PARTS)


def test_a_card_has_the_verdicts_and_what_is_left_open() -> None:
    card = card_markdown(several())
    assert card.startswith("# model\n")
    assert card.index("What you must decide") < card.index("A large one") < card.index("A small")
    assert "- Nobody asked people." in card


def test_a_card_of_hostile_texts_has_no_marks_but_its_own() -> None:
    findings = tuple(Finding(f"data.n{i}", "risk", t or "-") for i, t in enumerate(HOSTILE))
    purpose = Section("purpose", "# no heading", text=("1. one", "- two"), facts={"<b>": "*x*"})
    card = card_markdown(report(purpose, Section("data", "Data", findings=findings), name="[x](y)"))
    card.encode("utf-8")
    assert card.startswith("# \\[x\\](y)\n")
    assert "\n## \\# no heading\n" in card
    assert "\n1\\. one\n" in card
    assert "\n\\- two\n" in card
    assert "**\\<b\\>**: \\*x\\*" in card
    assert "<img" not in card.replace("\\<", "")
    assert "http://" not in card


@pytest.mark.parametrize("text", ["plain words, 12 % of them (a few): 0.5", "a-b", "it's"])
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert escaped(text) == text


def test_text_is_on_one_line() -> None:
    assert escaped("a\n\n# b") == "a \\# b"
