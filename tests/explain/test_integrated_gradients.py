"""The laws of integrated gradients, on models of all shapes and against captum."""

from __future__ import annotations

from typing import Any

import captum.attr
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from interp import HookedTransformer, InputError, TransformerConfig
from interp.explain import Baseline, Target, attribute
from interp.explain.integrated_gradients import _rule

N_POS = 7


def model(seed: int = 0, **changes: Any) -> HookedTransformer:
    settings: dict[str, Any] = {
        "d_model": 16,
        "n_layers": 2,
        "n_heads": 2,
        "d_vocab": 30,
        "n_ctx": 16,
        "initializer_range": 0.3,
        "dtype": torch.float64,
        **changes,
    }
    return HookedTransformer(TransformerConfig(**settings), seed=seed).eval()


def tokens(n: int = N_POS, seed: int = 0) -> Tensor:
    return torch.randint(0, 30, (1, n), generator=torch.Generator().manual_seed(seed))


SHAPES: dict[str, dict[str, Any]] = {
    "decoder": {},
    "rotary": {"positional_embedding_type": "rotary", "normalization_type": "RMS"},
    "masked": {"shape": "encoder", "head": "mlm", "norm_position": "post", "embed_norm": True},
    "classifier": {"shape": "encoder", "head": "classification", "n_classes": 3},
    "pair": {"shape": "encoder_decoder", "decoder_start_token_id": 0},
}


@pytest.mark.parametrize("name", SHAPES)
def test_scores_add_up_to_the_difference(name: str) -> None:
    found = attribute(model(**SHAPES[name]), tokens())
    assert found.converged
    assert found.completeness_error is not None and found.completeness_error <= 0.01
    assert sum(found.scores) == pytest.approx(found.difference, abs=0.01 * abs(found.difference))
    assert found.difference != 0


def test_the_error_is_the_true_one_and_not_a_claim() -> None:
    m, ids = model(), tokens()
    found = attribute(m, ids, target=Target.logit(3))
    with torch.no_grad():
        value = m(ids)[0, -1, 3].item()
        mean = m.W_E.mean(0).expand(1, N_POS, -1)
        start = m.run_with_hooks(ids, fwd_hooks=[("hook_embed", lambda v, hook: mean)])
    assert found.value == pytest.approx(value, rel=1e-12)
    assert found.baseline_value == pytest.approx(start[0, -1, 3].item(), rel=1e-12)
    error = abs(sum(found.scores) - found.difference) / abs(found.difference)
    assert found.completeness_error == pytest.approx(error, abs=1e-12)


def test_captum_finds_the_same_scores() -> None:
    m, ids = model(), tokens()
    found = attribute(m, ids, target=Target.logit(5), tolerance=1e-4)

    def logit(embedded: Tensor) -> Tensor:
        rows = ids.expand(len(embedded), -1)
        out = m.run_with_hooks(rows, fwd_hooks=[("hook_embed", lambda v, hook: embedded)])
        return out[:, -1, 5]

    embedded = m.W_E[ids].detach()
    start = m.W_E.detach().mean(0).expand_as(embedded)
    theirs = captum.attr.IntegratedGradients(logit).attribute(embedded, start, n_steps=300)
    torch.testing.assert_close(
        torch.tensor(found.scores), theirs.sum(-1)[0].float(), atol=1e-3, rtol=0
    )


def test_a_linear_model_is_explained_in_closed_form() -> None:
    """Without blocks and norm the logit is e_last . w, so only the last token has a score."""
    m = model(n_layers=0, final_norm=False)
    ids = tokens()
    found = attribute(m, ids, target=Target.logit(4))
    expected = ((m.W_E[ids[0, -1]] - m.W_E.mean(0)) @ m.W_U[:, 4]).item()
    assert found.scores[:-1] == (0.0,) * (N_POS - 1)
    assert found.scores[-1] == pytest.approx(expected, rel=1e-9)


@given(token=st.integers(0, 29), foil=st.integers(0, 29), seed=st.integers(0, 5))
@settings(max_examples=10)
def test_exchanging_token_and_foil_reverses_every_score(token: int, foil: int, seed: int) -> None:
    m, ids = model(seed), tokens(4, seed)
    if token == foil:
        with pytest.raises(InputError, match="same"):
            attribute(m, ids, target=Target.logit_difference(token, foil))
        return
    one = attribute(m, ids, target=Target.logit_difference(token, foil))
    other = attribute(m, ids, target=Target.logit_difference(foil, token))
    assert one.scores == pytest.approx([-s for s in other.scores], abs=1e-9)


def test_tokens_after_the_target_position_have_no_score() -> None:
    found = attribute(model(), tokens(), target=Target.logit(position=3))
    assert found.scores[4:] == (0.0,) * (N_POS - 4)
    assert any(found.scores[:4])


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_has_no_score_and_changes_none(side: str) -> None:
    m, ids = model(shape="encoder", head="mlm"), tokens()
    pad = torch.full((1, 3), 9)
    padded = torch.cat([pad, ids] if side == "left" else [ids, pad], 1)
    real = slice(3, None) if side == "left" else slice(0, N_POS)
    mask = torch.zeros_like(padded)
    mask[:, real] = 1
    at = 2 + (3 if side == "left" else 0)
    alone = attribute(m, ids, target=Target.logit(4, position=2))
    found = attribute(
        m, padded, target=Target.logit(4, position=at), inputs={"attention_mask": mask}
    )
    assert found.scores[real] == pytest.approx(alone.scores, abs=1e-9)
    padding = [s for i, s in enumerate(found.scores) if i not in range(*real.indices(N_POS + 3))]
    assert padding == [0.0, 0.0, 0.0]


def test_scores_do_not_depend_on_how_the_function_is_computed() -> None:
    """Implementation invariance: the opened attention, and folded norms, give the same scores."""
    m, ids = model(), tokens()
    one = attribute(m, ids, tolerance=1e-4)
    with m.hooks(fwd_hooks=[(lambda name: name.endswith("hook_pattern"), lambda v, hook: v)]):
        opened = attribute(m, ids, tolerance=1e-4)
    assert opened.scores == pytest.approx(one.scores, abs=1e-6)


def test_a_text_equal_to_its_baseline_has_nothing_to_explain() -> None:
    m, ids = model(), tokens()
    found = attribute(m, ids, baseline=Baseline.text(ids))
    assert found.difference == 0 and set(found.scores) == {0.0} and found.completeness_error == 0


def test_easy_paths_take_fewer_evaluations_than_hard_ones() -> None:
    easy, hard = (
        attribute(model(initializer_range=r), tokens(), target=Target.logit(2)) for r in (0.05, 0.6)
    )
    assert easy.cost.backwards < hard.cost.backwards


def test_it_says_so_when_it_cannot() -> None:
    hard = model(initializer_range=1.5)
    with pytest.warns(UserWarning, match="still miss"):
        found = attribute(hard, tokens(), max_evaluations=15, tolerance=1e-6)
    assert not found.converged
    assert "do not rely" in found.facts()["completeness error"]


def test_callable_targets_and_their_refusals() -> None:
    m, ids = model(), tokens()
    by_name = attribute(m, ids, target=Target.logit(3))
    by_function = attribute(m, ids, target=Target.of(lambda logits: logits[:, -1, 3]))
    assert by_function.scores == pytest.approx(by_name.scores, abs=1e-12)
    with pytest.raises(InputError, match="one number per row"):
        attribute(m, ids, target=Target.of(lambda logits: logits.sum()))


@pytest.mark.parametrize("kind", ["centred_logit", "log_prob", "probability"])
def test_targets_are_what_their_names_say(kind: str) -> None:
    m, ids = model(), tokens()
    found = attribute(m, ids, target=getattr(Target, kind)(3))
    logits = m(ids)[0, -1].detach()
    expected = {
        "centred_logit": logits[3] - logits.mean(),
        "log_prob": logits.log_softmax(-1)[3],
        "probability": logits.softmax(-1)[3],
    }[kind]
    assert found.value == pytest.approx(expected.item(), rel=1e-9)


def test_an_encoder_decoder_is_explained_on_both_sides() -> None:
    m = model(**SHAPES["pair"])
    target = torch.randint(0, 30, (1, 4))
    found = attribute(m, tokens(), inputs={"decoder_tokens": target})
    assert found.side == ("source",) * N_POS + ("target",) * 4
    assert any(found.scores[:N_POS]) and any(found.scores[N_POS:])


def test_the_rule_is_gauss_kronrod() -> None:
    """15 Kronrod points integrate polynomials up to degree 22 exactly, 7 Gauss points up to 13."""
    kronrod, gauss, nodes = _rule(torch.zeros(1))
    for degree in range(0, 23, 2):
        exact = 2 / (degree + 1)
        assert (kronrod @ nodes**degree).item() == pytest.approx(exact, abs=1e-14)
        if degree <= 13:
            assert (gauss @ nodes**degree).item() == pytest.approx(exact, abs=1e-14)
    assert abs((gauss @ nodes**14).item() - 2 / 15) > 1e-6


def test_special_tokens_keep_their_embedding_unless_told_otherwise() -> None:
    m = model(bos_token_id=0)
    ids = tokens()
    ids[0, 0] = 0
    assert attribute(m, ids).scores[0] == 0
    assert attribute(m, ids, baseline=Baseline("mean", keep_special=False)).scores[0] != 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "crystal_ball"}, "integrated_gradients"),
        ({"target": Target.logit(99)}, "outputs"),
        ({"target": Target.logit(position=20)}, "positions"),
        ({"target": Target.logit(" a")}, "no tokenizer"),
        ({"baseline": Baseline.token(99)}, "vocabulary"),
        ({"baseline": Baseline.text(tokens(3))}, "as many"),
        ({"baseline": Baseline.embeddings(torch.zeros(3))}, "embeddings"),
        ({"tolerance": 2}, "tolerance"),
        ({"max_evaluations": 3}, "max_evaluations"),
        ({"steps": 3}, "options"),
    ],
)
def test_what_cannot_be_explained_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        attribute(model(), tokens(), **arguments)


def test_several_texts_are_refused() -> None:
    with pytest.raises(InputError, match="one text"):
        attribute(model(), torch.zeros(2, 3, dtype=torch.long))


def test_a_zero_baseline_warns() -> None:
    with pytest.warns(UserWarning, match="ill-posed"):
        attribute(model(), tokens(), baseline=Baseline.zero())
