"""The blind baseline sees what words give away, and nothing where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest

from interp.errors import InputError
from probes.privacy.blind import blind_scores, overlap
from probes.privacy.separation import auroc
from tests.train.tasks.small import sentences

MEMBER = np.arange(400) % 2 == 0


def test_nothing_is_found_in_a_random_assignment() -> None:
    member = np.random.default_rng(0).permutation(MEMBER)
    assert abs(auroc(blind_scores(sentences(400), member), member) - 0.5) < 0.09  # 3 sd


def test_a_date_gives_the_sides_away() -> None:
    texts = [
        f"{text} in {2019 if inside else 2024}"
        for text, inside in zip(sentences(400), MEMBER, strict=True)
    ]
    assert auroc(blind_scores(texts, MEMBER), MEMBER) > 0.99


def test_so_does_the_length() -> None:
    texts = ["cat " * (3 if inside else 9) for inside in MEMBER]
    assert auroc(blind_scores(texts, MEMBER), MEMBER) > 0.99


def test_too_few_units_are_refused() -> None:
    with pytest.raises(InputError, match="needs 5 members and 5 non-members; there are 3"):
        blind_scores(sentences(12), np.arange(12) < 3)
    with pytest.raises(InputError, match="True or False for each of 12"):
        blind_scores(sentences(12), np.arange(12))


def test_the_overlap_is_the_share_of_runs_that_members_have() -> None:
    words = [f"w{i}" for i in range(40)]
    member = " ".join(words[:20])
    half = " ".join([*words[6:20], *words[30:40]])  # 12 runs of 13, the first two the member's
    texts = [member, half, " ".join(words[20:]), member.upper()]
    assert overlap(texts, np.array([True, False, False, False])).tolist() == [2 / 12, 0, 1]
