"""The matrix of a whole answer against its rows and sums computed one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from interp import HookedTransformer, InputError, TransformerConfig, UnsupportedModelError
from interp.explain import Baseline, Target, attribute, attribute_answer

PROMPT, ANSWER = torch.tensor([[3, 9, 1, 7]]), [5, 2, 8]


def model(**changes: Any) -> HookedTransformer:
    settings: dict[str, Any] = {
        "d_model": 16,
        "n_layers": 2,
        "n_heads": 2,
        "d_vocab": 12,
        "n_ctx": 16,
        "initializer_range": 0.4,
        "dtype": torch.float64,
        **changes,
    }
    return HookedTransformer(TransformerConfig(**settings)).eval()


PAIR = {"shape": "encoder_decoder", "decoder_start_token_id": 0}
EXACT = {"integrated_gradients": {"tolerance": 1e-6}, "gradient_x_input": {}, "leave_one_out": {}}


@pytest.mark.parametrize("shape", [{}, PAIR])
@pytest.mark.parametrize("method", EXACT)
def test_the_rows_add_up_to_the_attribution_of_the_continuation(
    shape: dict[str, Any], method: str
) -> None:
    m = model(**shape)
    matrix = attribute_answer(m, PROMPT, ANSWER, method, **EXACT[method])
    whole = attribute(m, PROMPT, method, Target.continuation(ANSWER), **EXACT[method])
    assert matrix.tokens == whole.tokens and matrix.side == whole.side
    assert matrix.scores.sum(0) == pytest.approx(np.array(whole.scores), abs=1e-6)
    assert sum(matrix.values) == pytest.approx(whole.value)
    assert sum(matrix.baseline_values) == pytest.approx(whole.baseline_value)


@pytest.mark.parametrize("method", EXACT)
def test_a_row_is_the_attribution_of_its_token(method: str) -> None:
    m = model()
    matrix = attribute_answer(m, PROMPT, ANSWER, method, **EXACT[method])
    for i, token in enumerate(ANSWER):
        before = torch.tensor([[*PROMPT[0].tolist(), *ANSWER[:i]]])
        one = attribute(m, before, method, Target.log_prob(token), **EXACT[method])
        n = before.shape[1]
        assert matrix.scores[i, :n] == pytest.approx(np.array(one.scores), abs=1e-6)
        assert not matrix.scores[i, n:].any()  # what comes later has no part
        assert matrix.values[i] == pytest.approx(one.value)


@pytest.mark.parametrize("shape", [{}, PAIR])
def test_an_answer_that_stays_leaves_all_to_the_prompt(shape: dict[str, Any]) -> None:
    m = model(**shape)
    found = attribute_answer(m, PROMPT, ANSWER, fixed=True, tolerance=1e-6)
    assert not found.scores[:, -2:].any() and found.scores[:, 1:-2].any()
    difference = np.array(found.values) - np.array(found.baseline_values)
    assert found.scores.sum(1) == pytest.approx(difference, abs=1e-5)
    free = attribute_answer(m, PROMPT, ANSWER, tolerance=1e-6)
    assert found.scores[0] == pytest.approx(free.scores[0], abs=1e-6)  # nothing is before it
    assert found.scores[2, 0] != pytest.approx(free.scores[2, 0], abs=1e-4)


def test_a_row_is_refined_as_if_it_were_alone() -> None:
    """However hard the others are: the same points, so the same scores to rounding."""
    m = model(initializer_range=0.9)
    matrix = attribute_answer(m, PROMPT, ANSWER)
    backwards = []
    for i, token in enumerate(ANSWER):
        before = torch.tensor([[*PROMPT[0].tolist(), *ANSWER[:i]]])
        one = attribute(m, before, target=Target.log_prob(token))
        n, size = before.shape[1], max(map(abs, one.scores))
        assert matrix.scores[i, :n] == pytest.approx(np.array(one.scores), abs=1e-9 * size)
        assert matrix.rows_converged[i] == one.converged
        backwards.append(one.cost.backwards)
    assert matrix.cost.backwards == sum(backwards)
    assert len(set(backwards)) > 1  # they are not equally hard


def test_rows_that_miss_the_tolerance_are_named() -> None:
    m = model(initializer_range=0.9)
    with pytest.warns(UserWarning, match="tokens of the answer"):
        found = attribute_answer(m, PROMPT, ANSWER, max_evaluations=20)
    assert not found.converged
    late = [t for t, fine in zip(found.answer, found.rows_converged, strict=True) if not fine]
    assert late and all(repr(t) in found.facts()["completeness error"] for t in late)
    assert found.by(units=[(0, 2)], answer=[(0, 3)]).rows_converged == (False,)


def test_each_row_is_complete() -> None:
    found = attribute_answer(model(), PROMPT, ANSWER)
    assert found.converged and found.completeness_errors is not None
    difference = np.array(found.values) - np.array(found.baseline_values)
    assert found.scores.sum(1) == pytest.approx(difference, rel=0.01)
    assert max(found.completeness_errors) <= 0.01


def test_sums_over_spans_still_add_up() -> None:
    found = attribute_answer(model(), PROMPT, ANSWER)
    coarse = found.by(units=[(0, 2), (4, 6)], answer=[(1, 3)])
    assert coarse.scores.shape == (2, 4)
    assert coarse.scores.sum() == pytest.approx(found.scores.sum())
    assert coarse.scores[1, 0] == pytest.approx(found.scores[1:, :2].sum())
    assert sum(coarse.values) == pytest.approx(sum(found.values))
    with pytest.raises(InputError, match="already"):
        coarse.by()


def test_the_answer_is_what_the_model_writes() -> None:
    m = model()
    found = attribute_answer(m, PROMPT, max_new_tokens=3)
    written = m.generate(PROMPT, max_new_tokens=3, do_sample=False, verbose=False)
    assert list(found.answer_ids) == written[0, 4:].tolist()
    pair = attribute_answer(model(**PAIR), PROMPT, max_new_tokens=3)
    assert pair.side[:4] == ("source",) * 4 and set(pair.side[4:]) == {"target"}


def test_the_frame_and_the_page_hold_the_matrix() -> None:
    found = attribute_answer(model(), PROMPT, ANSWER, baseline=Baseline.token(1))
    frame = found.to_frame()
    assert len(frame) == found.scores.size
    assert frame["score"].to_numpy() == pytest.approx(found.scores.reshape(-1))
    page = found.to_html()
    assert page.count("<tr>") == 1 + len(ANSWER) and "<script" not in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "shapley"}, "leave_one_out"),
        ({"answer": []}, "empty"),
        ({"answer": ""}, "continuation is empty"),
        ({"answer": [99]}, "vocabulary"),
        ({"tolerance": 3}, "tolerance"),
        ({"max_evaluations": 3}, "max_evaluations"),
        ({"steps": 3}, "options"),
        ({"inputs": {"attention_mask": torch.tensor([0, 1, 1, 1])}}, "padding"),
    ],
)
def test_what_cannot_be_explained_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        attribute_answer(model(), PROMPT, **{"answer": ANSWER, **arguments})


def test_models_that_write_nothing_are_refused() -> None:
    m = model(shape="encoder", head="mlm")
    with pytest.raises(UnsupportedModelError, match="no text"):
        attribute_answer(m, PROMPT, ANSWER)
    with pytest.raises(UnsupportedModelError, match="writes none"):
        attribute(m, PROMPT, target=Target.continuation(ANSWER))
