"""Offline attacks with shadow models find a planted gap that difficulty hides from the loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from interp.errors import InputError
from interp.model.transformer import HookedTransformer
from probes.privacy.likelihood import Unit, read
from probes.privacy.separation import auroc
from probes.privacy.shadow import Shadows, halves, lira, rmia, train_shadows
from tests.train.tasks.small import model, sentences


def planted(n: int = 400, n_shadows: int = 8) -> tuple[np.ndarray, np.ndarray, Shadows]:
    """Units of very different difficulty; a model that has seen one finds it 0.3 easier."""
    random = np.random.default_rng(0)
    hard, member = random.gamma(4, size=n), random.random(n) < 0.5
    inside = halves(n, n_shadows)
    seen = np.concatenate([member[None], inside])
    log_prob = -hard - 1 + 0.3 * seen + 0.1 * random.normal(size=seen.shape)
    return log_prob[0], member, Shadows(log_prob[1:], inside)


@pytest.mark.parametrize("attack", [lira, rmia])
@pytest.mark.parametrize("n_shadows", [4, 16])
def test_a_gap_is_found_that_the_loss_does_not_see(attack: object, n_shadows: int) -> None:
    target, member, shadows = planted(n_shadows=n_shadows)
    assert auroc(target, member) < 0.6
    assert auroc(attack(target, shadows), member) > 0.9


@pytest.mark.parametrize("attack", [lira, rmia])
def test_a_target_that_has_seen_nothing_looks_like_chance(attack: object) -> None:
    _, member, shadows = planted()
    outside = np.where(shadows.inside, np.nan, shadows.log_prob)
    target = np.nanmean(outside, 0) + 0.1 * np.random.default_rng(1).normal(size=len(member))
    assert abs(auroc(attack(target, shadows), member) - 0.5) < 0.09


def test_lira_is_the_distance_from_the_shadows_without_the_unit() -> None:
    inside = np.array([[True, False], [False, True], [False, False], [False, False]])
    odds = np.array([[9.0, -1.0], [-3.0, 9.0], [-2.0, -3.0], [-1.0, -2.0]])
    shadows = Shadows(np.log(1 / (1 + np.exp(-odds))), inside)
    pooled = np.sqrt(2 * 2 / 6)  # of -3 -2 -1 around -2, and -1 -3 -2 around -2
    target = np.log(1 / (1 + np.exp(-np.array([-1.0, -2.0]))))
    assert lira(target, shadows) == pytest.approx([1 / pooled, 0])


def test_rmia_counts_the_units_that_are_exceeded() -> None:
    inside = np.zeros((2, 4), bool)
    shadows = Shadows(np.full((2, 4), -1.0), inside)
    assert rmia(np.array([-4.0, -3.0, -2.0, -1.0]), shadows).tolist() == [0.25, 0.5, 0.75, 1.0]
    assert rmia(np.array([-4.0, -3.0, -2.0, -1.0]), shadows, gamma=np.e**1.5).tolist() == [
        0,
        0,
        0.25,
        0.5,
    ]


def test_each_unit_is_in_half_of_the_shadows() -> None:
    inside = halves(11, 6, seed=3)
    assert inside.sum(0).tolist() == [3] * 11
    assert not np.array_equal(inside[0], inside[2])
    for wrong in (0, 3):
        with pytest.raises(InputError, match="an even number"):
            halves(11, wrong)


def test_shadows_are_trained_on_their_halves_and_read_everything() -> None:
    texts = sentences(10)
    given: list[tuple[list[Unit], int]] = []

    def train(some: Sequence[Unit], seed: int) -> HookedTransformer:
        given.append((list(some), seed))
        return model(seed=len(given))

    shadows = train_shadows(train, texts, 2)
    for i, (some, _) in enumerate(given):
        assert some == [t for t, inside in zip(texts, shadows.inside[i], strict=True) if inside]
    assert given[0][1] != given[1][1]
    reading = read(model(seed=2), texts)
    assert shadows.log_prob[1] == pytest.approx(reading.total / reading.lengths)


def test_shadows_that_have_all_seen_a_unit_are_refused() -> None:
    with pytest.raises(InputError, match="Every shadow was trained on unit 1"):
        Shadows(np.zeros((2, 2)), np.array([[False, True], [True, True]]))
    with pytest.raises(InputError, match="have read 2 units, the target 3"):
        lira(np.zeros(3), Shadows(np.zeros((2, 2)), np.zeros((2, 2), bool)))
