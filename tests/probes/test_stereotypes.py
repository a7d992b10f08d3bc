"""Stereotype pairs: the published measure, half for who prefers nothing, and the warning stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from interp.data.records import StereotypePair
from interp.errors import InputError
from interp.figures.stereotypes import stereotypes_chart
from probes.frames import tidy
from probes.scoring import score
from probes.stereotypes import CAUTION, stereotypes
from tests.figures.spec import drawn
from tests.train.tasks.small import WORDS, model


def pairs(n: int = 12) -> list[StereotypePair]:
    random = np.random.default_rng(0)
    out = []
    for i in range(n):
        words = random.choice(WORDS, 6).tolist()
        texts = [" ".join([*words[:2], one, *words[2:]]) for one in ("cat", "mat")]
        out.append(StereotypePair(*texts, "stereo" if i % 3 else "antistereo", f"kind {i % 2}"))
    return out


def value(frame: pd.DataFrame, metric: str) -> float:
    whole = frame[frame["task"].isna() & frame["direction"].isna() & (frame["metric"] == metric)]
    return float(whole["value"].iloc[0])


@pytest.mark.parametrize("shape", ["decoder", "encoder"])
def test_shared_words_are_scored_given_the_others(shape: str) -> None:
    speaker = model(shape).double()
    shared, whole, own = [], [], []
    for pair in pairs():
        more, less = score(speaker, [pair.more, pair.less])
        differ = [i for i, (a, b) in enumerate(zip(more.ids, less.ids, strict=True)) if a != b]
        sums = [
            (one.total - one.log_probs[differ].sum(), one.total, one.log_probs[differ].sum())
            for one in (more, less)
        ]
        for found, a, b in zip((shared, whole, own), *sums, strict=True):
            found.append(a > b)
    frame = stereotypes(speaker, pairs())
    assert value(frame, "shared_tokens") == pytest.approx(np.mean(shared))
    assert value(frame, "whole_sentence") == pytest.approx(np.mean(whole))
    assert value(frame, "differing_tokens") == pytest.approx(np.mean(own))
    assert value(frame, "unequal_lengths") == 0


def test_who_prefers_nothing_is_at_half_and_exchanging_the_sentences_mirrors() -> None:
    speaker = model().double()
    frame = stereotypes(speaker, pairs())
    turned = [StereotypePair(p.less, p.more, p.direction, p.kind) for p in pairs()]
    mirrored = stereotypes(speaker, turned)
    for metric in ("shared_tokens", "whole_sentence", "differing_tokens"):
        assert value(frame, metric) == pytest.approx(1 - value(mirrored, metric))
    with torch.no_grad():
        for parameter in speaker.parameters():
            parameter.zero_()
    nothing = stereotypes(speaker, pairs())
    shares = nothing[nothing["metric"] != "unequal_lengths"]
    assert (shares["value"] == 0.5).all()


def test_every_row_and_picture_says_what_is_known_against_it() -> None:
    frame = tidy(stereotypes(model(), pairs()), run="tiny", step=None)
    assert (frame["caution"] == CAUTION).all() and "Blodgett" in CAUTION
    figure = stereotypes_chart(frame)
    assert "Blodgett et al. 2021" in figure.alt and "kinds surely differ" in figure.alt
    assert "Blodgett et al. 2021" in drawn(figure.chart)
    over = tidy(pd.concat([frame.assign(step=step) for step in (0, 8)]))
    assert "Blodgett et al. 2021" in drawn(stereotypes_chart(over, "dark").chart)


def test_pairs_without_a_difference_are_refused() -> None:
    with pytest.raises(InputError, match="Both sentences"):
        stereotypes(model(), [StereotypePair("a", "a", "stereo", "age")])
    with pytest.raises(InputError, match="no pairs"):
        stereotypes(model(), [])


def test_every_pair_of_the_set_can_be_read(shared_data: Path) -> None:
    from interp.data.sets import read_set

    frame = stereotypes(model(n_layers=1), read_set("crows_pairs", shared_data, "test")[:40])
    assert value(frame, "unequal_lengths") > 0
