"""The figures are those of the task; a planted slice is named, chance is not, the rest is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.audit.agreement import agreement
from apps.audit.audited import Audited, Examples
from apps.audit.parts.performance import part
from apps.audit.section import Section
from apps.audit.stated import Stated
from interp.data.records import Example
from interp.train.metrics import Measure
from interp.train.tasks.classification import Classification
from tests.apps.audit.subjects import KINDS, subject
from tests.train.tasks.small import sentences


def found(section: Section) -> dict[str, Any]:
    return {finding.key.removeprefix("performance."): finding for finding in section.findings}


@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_those_of_the_task(kind: str) -> None:
    audited = subject(kind)
    assert audited.task and audited.held_out
    section = part(audited)
    records = audited.held_out.records
    for one in audited.task.measure(records, audited.task.answer(audited.model, records)):
        assert section.measures[one.metric] == pytest.approx(one.value, abs=1e-9)
    systems = section.tables["measures"]["system"].unique()
    assert len(systems) == 2 and systems[0] == "this model"
    assert found(section)["level"].level == "caution"
    assert found(section)["stated"].level == "unknown"
    again = part(subject(kind))
    assert all(again.tables[name].equals(table) for name, table in section.tables.items())
    assert again.measures == section.measures


class Oracle(Classification):
    """Answers by a rule, whatever the model."""

    @staticmethod
    def right(record: Example) -> bool:
        return True

    def answer(self, model: Any, records: Any, *, progress: bool = False) -> Any:
        sure = np.array([[0.9, 0.1] if r.label == "neg" else [0.1, 0.9] for r in records])
        right = np.array([self.right(record) for record in records])
        return np.where(right[:, None], sure, 1 - sure)


class Digits(Oracle):
    """Wrong where a text has digits."""

    @staticmethod
    def right(record: Example) -> bool:
        return not any(map(str.isdigit, record.text))


def judged(task: Classification) -> Audited:
    texts = [f"{text} 7" if i % 4 == 1 else text for i, text in enumerate(sentences(160))]
    random = np.random.default_rng(0)
    records = [Example(text, ("neg", "pos")[random.integers(2)]) for text in texts]
    return subject("classification", task=task, held_out=Examples(records, ""), learnt=None)


def test_a_planted_slice_is_the_worst_and_a_good_model_has_none() -> None:
    section = part(judged(Digits(("neg", "pos"))))
    sentence = found(section)["slices"].sentence
    assert found(section)["slices"].level == "caution" and "digits “with digits”" in sentence
    assert section.tables["slices"]["slice"].iloc[1] == "with digits"
    assert section.measures["worst_slice"] == 0
    good = part(judged(Oracle(("neg", "pos"))))
    assert found(good)["slices"].level == "fine" and good.measures["worse_slices"] == 0
    assert good.measures["accuracy"] == 1
    assert found(good)["simple_rule"].level == "fine"
    # It says 90% and is right in all.
    assert good.measures["overconfidence"] == pytest.approx(-0.1)
    assert "less sure" in found(good)["calibration"].sentence
    assert section.measures["overconfidence"] == pytest.approx(0.15)
    assert "surer" in found(section)["calibration"].sentence


def test_a_model_that_is_no_better_than_the_rule_is_a_risk() -> None:
    records = [Example(text, "neg") for text in sentences(80)]
    untrained = part(subject("classification", held_out=Examples(records, ""), learnt=None))
    assert untrained.measures["above_simple_rule"] <= 0
    assert found(untrained)["simple_rule"].level == "risk"


def test_without_examples_or_task_it_is_unknown() -> None:
    for changes in ({"held_out": None}, {"task": None}, {"held_out": Examples([], "")}):
        (finding,) = part(subject("lm", **changes)).findings
        assert finding.level == "unknown" and finding.key == "performance.level"


def test_few_examples_have_no_slices() -> None:
    section = part(subject("lm", n=12))
    assert found(section)["slices"].level == "unknown"


# -- stated figures --------------------------------------------------------------------------------


def stated(folder: Path, *rows: dict[str, Any]) -> Stated:
    (folder / "training.json").write_text(json.dumps({"figures": rows}))
    return Stated.read(folder)


def row(value: float, half: float = 0.02, metric: str = "accuracy", **more: Any) -> dict[str, Any]:
    return {
        "metric": metric,
        "value": value,
        "ci_low": value - half,
        "ci_high": value + half,
    } | more


def measure(value: float, metric: str = "accuracy") -> Measure:
    return Measure(metric, value, value - 0.03, value + 0.03, 100)


def test_stated_figures_agree_within_chance_and_not_beyond(tmp_path: Path) -> None:
    said = stated(tmp_path, row(0.8), row(0.5, system="rival"))
    assert len(said.figures) == 2
    said = stated(tmp_path, row(0.8, system="this model"), row(0.5, system="rival"))
    assert [figure["value"] for figure in said.figures] == [0.8]
    finding, tables = agreement(said, [measure(0.78)])
    assert finding.level == "fine" and len(tables["stated"]) == 1
    error = np.hypot(0.04, 0.06) / 3.92
    assert tables["stated"]["standard_errors"].iloc[0] == pytest.approx(-0.02 / error)
    finding, _ = agreement(said, [measure(0.6)])
    assert finding.level == "caution" and "worse" in finding.sentence
    finding, _ = agreement(said, [measure(0.95)])
    assert finding.level == "fine" and "better" in finding.sentence
    finding, _ = agreement(
        stated(tmp_path, row(1.5, metric="perplexity")), [measure(1.9, "perplexity")]
    )
    assert finding.level == "caution"
    finding, tables = agreement(said, [measure(0.8, "f1")])
    assert finding.level == "unknown" and not tables


def test_a_value_among_several_stated_ones_agrees(tmp_path: Path) -> None:
    said = stated(tmp_path, row(0.9, of="easy"), row(0.5, of="hard"))
    assert agreement(said, [measure(0.7)])[0].level == "fine"
    assert agreement(said, [measure(0.3)])[0].level == "caution"
