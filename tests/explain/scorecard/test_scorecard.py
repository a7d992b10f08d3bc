"""A scorecard on games whose answers are known, and beside libraries that compute the same."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats
from sklearn.metrics import average_precision_score
from torch import Tensor

from interp import HookedTransformer, InputError, TransformerConfig
from interp.explain import Attribution, Baseline, Target, attribute, scorecard
from interp.explain.game import Game
from interp.explain.methods.shapley import shapley_values
from interp.explain.scorecard import ranks
from interp.explain.scorecard.agreement import (
    average_precision,
    leave_one_out,
    rationale_lines,
)
from interp.explain.scorecard.deletion import area_between, random_areas, steps, without_first
from interp.explain.scorecard.perturbation import infidelity_line, random_masks
from interp.explain.scorecard.variants import probability, with_baseline, with_target

IDS = torch.tensor([[7, 3, 9, 1, 4, 8]])
N = IDS.shape[1]


def model(seed: int = 0, **changes: Any) -> HookedTransformer:
    settings: dict[str, Any] = {
        "d_model": 16,
        "n_layers": 2,
        "n_heads": 2,
        "d_vocab": 20,
        "n_ctx": 16,
        "initializer_range": 0.4,
        "dtype": torch.float64,
        **changes,
    }
    return HookedTransformer(TransformerConfig(**settings), seed=seed).eval()


def additive() -> HookedTransformer:
    """The logit of a class is a sum over tokens: no block, no norm, the mean of the embeddings."""
    return model(
        shape="encoder",
        head="classification",
        n_classes=2,
        pooling="mean",
        pooler_act=None,
        n_layers=0,
        final_norm=False,
        positional_embedding_type="none",
    )


def found(m: HookedTransformer, **arguments: Any) -> Attribution:
    return attribute(m, IDS, target=Target.logit(1), **arguments)


def game(m: HookedTransformer, **arguments: Any) -> Game:
    origin = found(m, **arguments).origin
    assert origin is not None
    return Game(origin.point)


def truth(m: HookedTransformer) -> Tensor:
    """The share of each token of an additive model, in closed form."""
    step = m.W_E[IDS[0]] - m.W_E.mean(0)
    assert m.output.classifier is not None
    return (step @ m.output.classifier.weight[1] / N).detach()


def test_an_additive_model_leaves_nothing_to_doubt() -> None:
    m = additive()
    g, scores = game(m), truth(m)
    torch.testing.assert_close(leave_one_out(g), scores)
    torch.testing.assert_close(shapley_values(g.values, len(g)), scores)
    masks = random_masks(N, 50, seed=0)
    assert infidelity_line(g, scores, masks).value == pytest.approx(0, abs=1e-20)
    assert infidelity_line(g, 7 * scores, masks).value == pytest.approx(0, abs=1e-20)  # any scale
    card = scorecard(found(m)).of("integrated_gradients").set_index("metric")["value"]
    assert card["tau, leave-one-out"] == card["rho, exact Shapley"] == pytest.approx(1)
    assert card["completeness error"] < 1e-9


def test_the_area_between_the_curves_has_a_closed_form_on_an_additive_model() -> None:
    m = additive()
    g, scores = game(m), truth(m)
    ordered = np.sort((scores / scores.sum()).numpy())
    most = 1 - np.concatenate([[0], ordered[::-1].cumsum()])
    least = 1 - np.concatenate([[0], ordered.cumsum()])
    expected = np.trapezoid(least, dx=1 / N) - np.trapezoid(most, dx=1 / N)
    sign = 1 if scores.sum() > 0 else -1
    assert area_between(g, scores) == pytest.approx(sign * expected * sign)
    assert area_between(g, -scores) == pytest.approx(-area_between(g, scores))
    assert abs(np.mean(random_areas(g, 400, seed=1))) < 0.1 * abs(area_between(g, scores))


def test_a_coalition_is_computed_once() -> None:
    g = game(model())
    rows = torch.rand(30, N, generator=torch.Generator().manual_seed(0)) < 0.5
    first = g.values(rows)
    before = g.point.forwards
    torch.testing.assert_close(g.values(rows.flip(0)), first.flip(0), rtol=0, atol=0)
    assert g.point.forwards == before


@given(st.integers(1, 200))
def test_curves_begin_with_the_whole_text_and_end_with_none(n: int) -> None:
    counts = steps(n)
    coalitions = without_first(torch.randperm(n), counts)
    assert coalitions[0].all() and not coalitions[-1].any()
    assert coalitions.sum(1).tolist() == [n - count for count in counts]


pairs = st.integers(2, 12).flatmap(
    lambda n: arrays.arrays(np.float64, (2, n), elements=st.integers(-3, 3).map(float))
)


@given(pairs)
def test_rank_correlations_are_scipys(pair: np.ndarray) -> None:
    a, b = pair
    constant = len(set(a)) == 1 or len(set(b)) == 1
    for ours, theirs in ((ranks.spearman, stats.spearmanr), (ranks.kendall, stats.kendalltau)):
        value = ours(a[None], b[None])[0]
        if constant:
            assert math.isnan(value)
        else:
            assert value == pytest.approx(theirs(a, b).statistic)


@given(pairs, st.integers(0, 2**12 - 1))
def test_average_precision_is_scikit_learns(pair: np.ndarray, bits: int) -> None:
    scores = pair[0]
    positive = np.array([bool(bits >> i & 1) for i in range(len(scores))])
    if not positive.any():
        return
    assert average_precision(scores, positive) == pytest.approx(
        average_precision_score(positive, scores)
    )


def test_a_rationale_is_met_or_missed() -> None:
    best = {line.metric: line.value for line in rationale_lines([3, 2, 0, 1], [1, 1, 0, 0])}
    worst = {line.metric: line.value for line in rationale_lines([0, 1, 3, 2], [1, 1, 0, 0])}
    assert best == {"rationale F1": 1, "rationale AUPRC": 1}
    assert worst["rationale F1"] == 0 and worst["rationale AUPRC"] < 0.5
    for marks in ([1, 1, 1, 1], [0, 0, 0, 0], [1, 0]):
        with pytest.raises(InputError, match="rationale"):
            rationale_lines([3, 2, 0, 1], marks)


SHAPES: dict[str, dict[str, Any]] = {
    "decoder": {},
    "classifier": {"shape": "encoder", "head": "classification", "n_classes": 3},
    "masked": {"shape": "encoder", "head": "mlm", "norm_position": "post", "embed_norm": True},
    "pair": {"shape": "encoder_decoder", "decoder_start_token_id": 0},
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_has_a_card_with_three_controls(name: str) -> None:
    m = model(**SHAPES[name])
    card = scorecard(found(m))
    frame = card.frame
    assert set(frame[frame["kind"] == "control"]["method"]) == {"random", "position", "attention"}
    wanted = {"ABPC", "comprehensiveness", "sufficiency", "infidelity", "tau, leave-one-out"}
    for method in ("integrated_gradients", "random", "position", "attention"):
        assert wanted <= set(card.of(method)["metric"])
    own = set(card.of("integrated_gradients")["metric"])
    assert {"max-sensitivity", "randomised all weights", "baseline stability", "seconds"} <= own
    assert card.target["difference"] == pytest.approx(
        card.target["value"] - card.target["baseline value"]
    )


def test_comprehensiveness_and_sufficiency_by_hand() -> None:
    """One unit in six goes (or stays) for the cuts to 10 %, two at 20 %, three at 50 %."""
    m = model()
    a = found(m)
    card = scorecard(a).of("integrated_gradients").set_index("metric")["value"]
    order = np.argsort(-np.array(a.scores), kind="stable")
    if a.difference < 0:
        order = order[::-1]
    step = m.W_E.mean(0).detach()

    def p(keep: set[int]) -> float:
        rows = m.W_E[IDS].detach().clone()
        for i in set(range(N)) - keep:
            rows[0, i] = step
        hook = ("hook_embed", lambda v, hook: rows)
        with torch.no_grad():
            return float(m.run_with_hooks(IDS, fwd_hooks=[hook])[0, -1].softmax(-1)[1])

    everyone = set(range(N))
    tops = [set(order[:k].tolist()) for k in (1, 2, 3)]
    gone = np.mean([p(everyone) - p(everyone - top) for top in tops])
    alone = np.mean([p(everyone) - p(top) for top in tops])
    assert card["comprehensiveness"] == pytest.approx(gone)
    assert card["sufficiency"] == pytest.approx(alone)


def test_random_weights_change_the_scores_and_leave_the_model() -> None:
    m = model()
    before = {name: value.clone() for name, value in m.state_dict().items()}
    card = scorecard(found(m), "full")
    rows = card.of("integrated_gradients").set_index("metric")
    assert {"randomised all weights", "randomised upper half"} <= set(rows.index)
    assert all(torch.equal(before[name], value) for name, value in m.state_dict().items())
    assert rows.loc["rho, exact Shapley", "ci_low"] <= rows.loc["rho, exact Shapley", "value"]


def test_a_probability_stands_behind_every_target_that_has_one() -> None:
    m = model()
    p = m(IDS)[0, -1].softmax(-1)[1].item()
    for target in (
        Target.logit(1),
        Target.log_prob(1),
        Target.centred_logit(1),
        Target.probability(1),
        Target.logit_difference(1, 2),
    ):
        point = attribute(m, IDS, target=target).origin.point  # type: ignore[union-attr]
        chance = probability(point.target)
        assert chance is not None
        assert with_target(point, chance).value == pytest.approx(p)
    point = attribute(m, IDS, target=lambda logits: logits[:, 0, 0]).origin.point  # type: ignore[union-attr]
    assert probability(point.target) is None


def test_another_baseline_is_another_game() -> None:
    m = model()
    point = found(m).origin.point  # type: ignore[union-attr]
    other = with_baseline(point, Baseline.token(5))
    assert other.value == point.value
    assert other.baseline_value == pytest.approx(
        found(m, baseline=Baseline.token(5)).baseline_value
    )


def test_what_cannot_be_compared_is_refused() -> None:
    m = model()
    a = found(m)
    with pytest.raises(InputError, match="one text"):
        scorecard([a, attribute(m, IDS[:, :4], target=Target.logit(1))])
    with pytest.raises(InputError, match="no attribution"):
        scorecard([])
    with pytest.raises(InputError, match="one row"):
        scorecard([a, a])
    with pytest.raises(InputError, match="light"):
        scorecard(a, "thorough")  # type: ignore[arg-type]
    stored = Attribution(**{**a.__dict__, "origin": None})
    with pytest.raises(InputError, match="file"):
        scorecard(stored)
