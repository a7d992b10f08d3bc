"""A model that was given secrets is found to remember them; one that was not raises no alarm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from apps.audit.audited import Audited, Examples
from apps.audit.parts.privacy import part
from apps.audit.parts.privacy.canaries import canaries
from apps.audit.parts.privacy.extraction import extraction
from apps.audit.parts.privacy.membership import membership
from apps.audit.parts.privacy.personal import personal
from apps.audit.section import Finding, Section
from apps.audit.units import cut
from interp.data.batch import IGNORED, Batch
from interp.data.records import Example
from interp.model.transformer import HookedTransformer
from interp.train.loop import fit
from interp.train.settings import Settings
from probes.privacy import insert, make_canaries
from probes.privacy.canaries import FILE, save
from tests.train.tasks.small import examples, model, pairs, sentences

PLANTED = make_canaries((0, 1, 8, 32), 4, digits=3)
DRAWN = ("canaries", "membership")  # the answers that have pictures


class Texts:
    """Some of the texts at every step."""

    def __init__(self, texts: list[str]):
        self.tokens, self.real = model().to_tokens_and_mask(texts)

    def batch(self, step: int) -> Batch:
        rows = np.random.default_rng(step).integers(0, len(self.tokens), 48)
        tokens, real = self.tokens[rows], self.real[rows].bool()
        labels = torch.where(real[:, 1:], tokens[:, 1:], IGNORED)
        return Batch({"tokens": tokens[:, :-1], "attention_mask": real[:, :-1]}, labels)


def trained(texts: list[str], steps: int) -> HookedTransformer:
    learner = model(d_model=32, initializer_range=0.02)
    settings = Settings(
        steps=steps, learning_rate=1e-2, warmup_steps=5, precision="float32", weight_decay=0.0
    )
    fit(learner, Texts(texts), settings, progress=False)
    return learner.eval()


@pytest.fixture(scope="module")
def learner() -> HookedTransformer:
    """Has read sentences and canaries."""
    return trained(insert(sentences(200), PLANTED), 60)


def audit(of: Any, folder: Path | None = None, **more: Any) -> Audited:
    known: dict[str, Any] = {"run": None, "task": None, "held_out": None, "learnt": None}
    return Audited("small", of, folder, depth="quick", seed=0, **{**known, **more})


def finding(section: Section, key: str) -> Finding:
    (found,) = (one for one in section.findings if one.key == f"privacy.{key}")
    return found


def test_planted_secrets_are_named_with_their_exposure_and_p_values(
    learner: HookedTransformer, tmp_path: Path
) -> None:
    save(PLANTED, tmp_path / FILE)
    section = canaries(audit(learner, tmp_path))
    found = finding(section, "canaries")
    each = section.tables["canaries"]
    often = each[each["repeats"] == 32]
    assert found.level == "risk" and found.weight > 0
    assert (often["exposure"] > 6).all()  # of 10 bits, where chance has 1.4
    assert f"{each['exposure'].max():.1f} bits" in found.sentence
    assert f"(p = {often['p-value'].min():.1g}" in found.sentence
    assert each["p-value"].to_numpy() == pytest.approx(2 ** -each["exposure"].to_numpy())
    assert section.measures["canaries.p"] < 1e-4
    assert finding(section, "controls").level == "fine"
    means = section.tables["repeats"].set_index("repeats")["mean exposure"]
    assert means.is_monotonic_increasing
    assert finding(section, "repetition").sentence.startswith("The more often")
    assert not any(canary.secret in found.sentence for canary in PLANTED)


def test_secrets_that_were_never_put_in_raise_no_alarm(
    learner: HookedTransformer, tmp_path: Path, draw_no_more: Callable[..., None]
) -> None:
    """The record names canaries that another training had: over many of them false alarms stay at
    their level, which is a hundredth."""
    draw_no_more("privacy.canaries")
    risks = 0
    for seed in range(30):
        others = make_canaries((0, 1, 4), 4, digits=2, seed=100 + seed)
        save(others, tmp_path / FILE)
        risks += finding(canaries(audit(learner, tmp_path)), "canaries").level == "risk"
    assert risks <= 1


def test_without_a_record_chance_is_shown_and_nothing_is_below_it(
    learner: HookedTransformer, draw_no_more: Callable[..., None]
) -> None:
    draw_no_more("privacy.canaries")
    sections = [canaries(replace(audit(learner), seed=seed)) for seed in range(6)]
    alarms = [section.measures["controls.alarms"] for section in sections]
    assert {section.measures["controls.expected"] for section in sections} == {2.0}
    assert sum(alarms) <= 12 + 3 * np.sqrt(12)
    assert {finding(section, "controls").level for section in sections} == {"fine"}
    assert {finding(section, "canaries").level for section in sections} == {"unknown"}
    means = [section.measures["controls.mean_exposure"] for section in sections]
    assert np.mean(means) == pytest.approx(1.443, abs=4 * 1.443 / np.sqrt(1200))


def test_controls_that_stand_out_are_said_to_be_wrong(
    learner: HookedTransformer, tmp_path: Path
) -> None:
    often = [replace(canary, repeats=0) for canary in PLANTED if canary.repeats == 32]
    save(often, tmp_path / FILE)  # the record claims that they were never put in
    assert finding(canaries(audit(learner, tmp_path)), "controls").level == "caution"


def test_what_was_learnt_is_told_apart_and_what_differs_is_not_trusted() -> None:
    random = np.random.default_rng(0)
    words = "the cat sat on a mat while dogs ran fast good bad film yes no".split()
    texts = [" ".join(random.choice(words, 8)) for _ in range(120)]
    inside, outside = texts[::2], texts[1::2]
    of = trained(inside, 120)
    known = {"learnt": Examples(inside, "in"), "held_out": Examples(outside, "out")}
    section = membership(audit(of, **known))
    found = finding(section, "membership")
    assert found.level == "risk" and section.measures["membership.auroc"] > 0.85
    assert any("is not known" in sentence for sentence in section.open)  # a rate of 1% of 60
    stranger = membership(audit(model(seed=3), **known))
    assert finding(stranger, "membership").level == "fine"
    dated = [f"{text} yes no yes no yes no yes no" for text in outside]
    apart = membership(audit(of, **{**known, "held_out": Examples(dated, "out")}))
    assert finding(apart, "membership").level == "caution"
    assert "not drawn alike" in finding(apart, "membership").sentence


def test_what_it_recites_is_memory_only_if_others_are_not_recited() -> None:
    random = np.random.default_rng(1)
    words = "the cat sat on a mat while dogs ran fast good bad film yes no".split()
    texts = [" ".join(random.choice(words, 12)) for _ in range(40)]
    of = trained(texts[:20], 150)
    known = {"learnt": Examples(texts[:20], "in"), "held_out": Examples(texts[20:], "out")}
    section = extraction(audit(of, **known))
    assert finding(section, "extraction").level == "risk"
    assert section.measures["extraction.learnt"] > 0.5 > section.measures["extraction.held_out"]
    alone = extraction(audit(of, learnt=known["learnt"]))
    assert finding(alone, "extraction").level == "caution"
    same = audit(of, learnt=known["learnt"], held_out=known["learnt"])
    assert finding(extraction(same), "extraction").level == "fine"  # it recites as many of both
    found = finding(membership(same), "membership")
    assert found.level == "caution" and "no strangers" in found.sentence


def test_personal_data_are_counted_and_never_shown() -> None:
    told = ["Write to anna.berg@example.com now.", *sentences(12)]
    section = part(audit(model(), learnt=Examples(told, "in")))
    found = finding(section, "personal_learnt")
    assert found.level == "caution" and "1 EMAIL" in found.sentence
    said = " ".join([*(one.sentence for one in section.findings), *section.text, *section.open])
    shown = said + "".join(table.to_csv() for table in section.tables.values())
    assert "anna" not in shown.casefold()


def test_what_is_written_out_of_the_training_data_is_a_risk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = import_module("apps.audit.parts.privacy.personal")  # its name is also the function's
    monkeypatch.setattr(module, "generate", lambda *a, **more: ["see a.cat@mat.com"] * 3)
    of = model()
    known = Examples(["ask A.CAT@mat.com", *sentences(12)], "in")
    assert finding(personal(audit(of, learnt=known)), "personal_written").level == "risk"
    other = Examples(["ask b.cat@mat.com", *sentences(12)], "in")
    assert finding(personal(audit(of, learnt=other)), "personal_written").level == "caution"
    nothing = finding(personal(audit(of)), "personal_written")
    assert nothing.level == "caution" and "not known" in nothing.sentence


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("shape", ["decoder", "encoder", "encoder_decoder", "classifier"])
def test_every_shape_is_answered_and_twice_alike(
    shape: str, given: bool, draw_no_more: Callable[..., None]
) -> None:
    classifier = {"head": "classification", "n_classes": 2, "class_names": ("neg", "pos")}
    of = model("encoder", **classifier) if shape == "classifier" else model(shape)
    records: list[Any] = sentences(60)
    if shape == "encoder_decoder":
        records = list(pairs(60))
    elif shape == "classifier":
        records = list(examples(60))
        assert isinstance(records[0], Example)
    known = {}
    if given:
        known = {"learnt": Examples(records[:30], "in"), "held_out": Examples(records[30:], "out")}
    one = part(audit(of, **known))
    draw_no_more(*(f"privacy.{name}" for name in DRAWN))
    two = part(audit(of, **known))
    keys = ["canaries", "extraction", "membership", "personal_learnt", "personal_written"]
    assert {finding(one, key).level for key in keys} <= {"unknown", "fine", "caution"}
    assert not any(found.level == "risk" for found in one.findings)
    assert one.findings == two.findings and one.measures == two.measures
    for name, table in one.tables.items():
        assert table.equals(two.tables[name])
    if not given and shape != "classifier":
        assert finding(one, "membership").level == "unknown"
        assert "--learnt" in finding(one, "membership").sentence


def test_a_model_without_a_tokenizer_is_unknown_and_does_not_fail(induction: Audited) -> None:
    section = part(induction)
    assert finding(section, "canaries").level == "unknown"
    assert {found.level for found in section.findings} <= {"unknown", "fine"}


def test_pieces_hold_all_words_in_their_order_and_fit() -> None:
    text = "  one two\nthree  four-and-twenty-blackbirds five "
    for most in range(1, 60):
        pieces = cut(text, most)
        assert "".join("".join(pieces).split()) == "".join(text.split())
        assert all(len(piece) <= most and piece == piece.strip() for piece in pieces)
    assert cut(" \n ", 5) == []
