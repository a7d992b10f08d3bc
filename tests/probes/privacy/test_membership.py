"""The audit finds a planted memory, nothing where there is none, and trusts no attack that words
alone explain."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from interp.data.batch import Batch
from interp.errors import InputError
from interp.train.loop import fit
from interp.train.settings import Settings
from probes.privacy.likelihood import read
from probes.privacy.membership import BLIND, Membership, membership
from probes.privacy.separation import auroc
from tests.train.tasks.small import model, sentences

MEMBER = np.arange(60) % 2 == 0


class Texts:
    """All the texts at every step."""

    def __init__(self, texts: list[str]):
        tokens, _ = model().to_tokens_and_mask(texts)
        self.rows = Batch({"tokens": tokens[:, :-1]}, tokens[:, 1:])

    def batch(self, step: int) -> Batch:
        return self.rows


def value(frame: pd.DataFrame, attack: str, metric: str) -> float:
    return frame.loc[(frame["attack"] == attack) & (frame["metric"] == metric), "value"].item()


def test_a_planted_memory_is_found_and_counts() -> None:
    random = np.random.default_rng(0)
    words = "the cat sat on a mat while dogs ran fast good bad film yes no".split()
    texts = [" ".join(random.choice(words, 8)) for _ in MEMBER]  # nobody foresees them
    learner = model(initializer_range=0.02)
    inside = [text for text, taken in zip(texts, MEMBER, strict=True) if taken]
    settings = Settings(
        steps=70, learning_rate=1e-2, warmup_steps=5, precision="float32", weight_decay=0.0
    )
    fit(learner, Texts(inside), settings, progress=False)
    frame = membership(learner, texts, MEMBER, reference=model()).frame()
    for attack in ("loss", "min_k", "reference"):
        assert value(frame, attack, "auroc") > 0.95
        assert value(frame, attack, "counts") == 1
        assert value(frame, attack, "p_value") < 1e-4
    assert value(frame, "loss", "epsilon") > 0.3


def test_nothing_is_found_in_a_model_that_has_seen_nothing() -> None:
    found = membership(model(), sentences(400), np.random.default_rng(1).random(400) < 0.5)
    frame = found.frame()
    areas = frame[frame["metric"] == "auroc"]
    assert ((areas["ci_low"] < 0.5) & (areas["ci_high"] > 0.5)).sum() >= len(areas) - 1
    assert (frame.loc[frame["metric"] == "epsilon", "value"] < 0.3).all()
    assert (frame.loc[frame["metric"] == "p_value", "value"] > 0.01).all()


def test_an_attack_that_words_explain_does_not_count() -> None:
    years = np.where(MEMBER, 2019, 2024)
    texts = [f"{text} in {year}" for text, year in zip(sentences(60), years, strict=True)]
    scores = {"loss": MEMBER + 0.01 * np.arange(60), BLIND: MEMBER.astype(float)}
    frame = Membership(MEMBER, scores, np.zeros(30)).frame()
    assert value(frame, "loss", "auroc") == 1.0
    assert value(frame, "loss", "counts") == 0
    assert value(frame, "loss", "p_value") == 1.0
    found = membership(model(), texts, MEMBER)
    assert auroc(found.scores[BLIND], MEMBER) > 0.99


def test_rates_that_cannot_be_known_are_left_open_with_the_reason() -> None:
    frame = membership(model(), sentences(60), MEMBER).frame()
    rates = frame[frame["metric"] == "tpr"]
    assert rates["value"].isna().all()
    assert rates["note"].str.contains("non-members; there are 30").all()
    assert not frame.duplicated(["attack", "metric", "fpr"]).any()


def test_scores_and_curves_are_those_of_the_reading() -> None:
    texts = sentences(30)
    found = membership(model(), texts, MEMBER[:30])
    reading = read(model(), texts)
    assert found.scores["loss"] == pytest.approx(reading.total / reading.lengths)
    units = found.units()
    loss = units[units["attack"] == "loss"].sort_values("unit_id")
    assert loss["value"].tolist() == found.scores["loss"].tolist()
    assert loss["member"].tolist() == MEMBER[:30].tolist()
    curves = found.curves()
    for attack, scores in found.scores.items():
        curve = curves[curves["attack"] == attack]
        area = np.trapezoid(curve["value"], curve["fpr"])
        assert area == pytest.approx(auroc(scores, MEMBER[:30]))


def test_units_without_sides_are_refused() -> None:
    with pytest.raises(InputError, match="for each of 2 units"):
        membership(model(), ["cat", "mat"], [True])
    with pytest.raises(InputError, match="reads other tokens"):
        membership(model(), sentences(60), MEMBER, reference=model("encoder"))
