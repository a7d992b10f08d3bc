"""The parts that open the model: a shortcut is the first finding, each answer has its evidence, and
where nothing can be measured that is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import pytest

import interp
from apps.audit.audited import Audited, Examples
from apps.audit.parts import explainers, interventions, shortcuts
from apps.audit.section import Finding, Section
from interp.train.tasks.language_modelling import LanguageModelling, MaskedLM
from interp.train.tasks.sequence import Translation
from tests.probes.planting import PLANTED, TASK, classifier, planted, reviews
from tests.train.tasks.small import model, pairs, sentences

PARTS = {
    "shortcuts": shortcuts.part,
    "explainers": explainers.part,
    "interventions": interventions.part,
}


def audited(speaker: Any, task: Any, records: Sequence[Any], **changes: Any) -> Audited:
    held_out = Examples(records, "made here") if len(records) else None
    given: dict[str, Any] = {
        "name": "tiny", "model": speaker, "folder": None, "run": None, "task": task,
        "held_out": held_out, "learnt": None, "depth": "quick", "seed": 0,
    }  # fmt: skip
    return Audited(**{**given, **changes})


def checked(section: Section, name: str) -> dict[str, Finding]:
    """The findings by key, when the section keeps what every section promises."""
    assert section.name == name and section.title and section.text and section.open
    found = {finding.key: finding for finding in section.findings}
    assert found and len(found) == len(section.findings)
    for finding in section.findings:
        assert finding.key.startswith(f"{name}.") and finding.sentence.endswith(".")
        assert set(finding.evidence) <= set(section.tables)
    for frame in section.tables.values():
        assert len(frame) and not {"seconds", "peak MiB"} & set(
            frame.astype(str).to_numpy().ravel()
        )
    return found


def same(one: Section, other: Section) -> None:
    for name, frame in one.tables.items():
        pd.testing.assert_frame_equal(frame, other.tables[name])
    assert one.findings == other.findings and one.measures == other.measures


def test_a_planted_shortcut_is_named_with_its_figures(draw_no_more: Callable[..., None]) -> None:
    given = audited(classifier(True), TASK, planted(200))
    section = shortcuts.part(given)
    finding = checked(section, "shortcuts")["shortcuts.words"]
    assert finding.level == "risk" and finding.weight >= shortcuts.FIRST
    for label, word in PLANTED.items():
        assert f"“{word}” turns the verdict to “{label}” in " in finding.sentence.replace(
            " at the end", ""
        )
    assert section.measures["deciding_words"] == 2
    assert section.measures["random_words"] < 0.2
    draw_no_more("shortcuts")
    same(section, shortcuts.part(given))


def test_without_one_there_is_no_risk() -> None:
    section = shortcuts.part(audited(classifier(False), TASK, reviews(200)))
    found = checked(section, "shortcuts")
    assert all(finding.level != "risk" for finding in section.findings)
    assert "No single word decides" in found["shortcuts.words"].sentence
    assert found["shortcuts.written"].level == "caution"  # it has never seen a capital
    assert section.measures["deciding_words"] == 0


def test_hostile_words_are_shown_and_do_nothing() -> None:
    row = pd.Series({"token": "<b>\u202e", "place": "end", "label": "x\n", "value": 1.0, "n": 7})
    said = shortcuts._sentence(row, "verdict")
    assert "\u202e" not in said and "\n" not in said and "⟨U+202E⟩" in said and "at the end" in said


def test_interventions_say_what_goes_with_each_part(draw_no_more: Callable[..., None]) -> None:
    given = audited(classifier(False), TASK, reviews(80))
    section = interventions.part(given)
    found = checked(section, "interventions")
    assert set(found) == {"interventions.heads", "interventions.layers"}
    assert "beyond chance" in found["interventions.heads"].sentence
    assert "random change of the same size" in found["interventions.layers"].sentence
    assert 0 <= section.measures["largest_head_share"] <= 1
    draw_no_more("interventions")
    same(section, interventions.part(given))


def test_a_model_that_guesses_is_said_to_guess() -> None:
    section = interventions.part(audited(model(), LanguageModelling(), sentences(10)))
    found = checked(section, "interventions")
    assert found["interventions.skill"].level == "unknown"
    assert section.measures["largest_part_share"] == 0


def test_explainers_are_judged_here_and_on_known_mechanisms() -> None:
    given = audited(classifier(False), TASK, reviews(20))
    section = explainers.part(given)
    found = checked(section, "explainers")
    assert set(found) == {"explainers.trusted", *(f"explainers.{m}" for m in explainers.METHODS)}
    verdicts = section.tables["verdicts"].set_index("method")
    assert bool(verdicts.loc["integrated_gradients", "order"])
    assert (verdicts["reads_model"] == (verdicts["random_weights"] < explainers.ALIKE)).all()
    assert (verdicts["trusted"] <= verdicts["order"]).all()
    assert verdicts.loc["integrated_gradients", "planted"] > 0.9 > verdicts["planted_chance"].max()
    assert not verdicts.loc["attention_rollout", "finds_planted"]
    assert (verdicts["gain"].abs() <= 1).all()
    assert section.measures["trusted_methods"] == verdicts["trusted"].sum()


@pytest.mark.parametrize("shape", ["decoder", "encoder", "encoder_decoder"])
def test_every_shape_gets_an_answer_from_each_part(shape: str) -> None:
    task = {"decoder": LanguageModelling(), "encoder": MaskedLM()}.get(shape, Translation())
    records = pairs(12) if shape == "encoder_decoder" else sentences(12)
    given = audited(model(shape), task, records)
    for name, part in PARTS.items():
        if name == "explainers" and shape == "encoder_decoder":
            continue  # as the decoder, and slower
        found = checked(part(given), name)
        assert all(finding.level != "risk" for finding in found.values())


@pytest.mark.parametrize("name", PARTS)
def test_what_cannot_be_measured_is_unknown_and_says_why(name: str) -> None:
    induction = interp.load("induction")
    section = PARTS[name](audited(induction, None, []))
    found = checked(section, name)
    assert {finding.level for finding in found.values()} == {"unknown"}
    assert "no " in section.findings[0].sentence
