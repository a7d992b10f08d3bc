"""The laws of integrated gradients, on models of all shapes and against captum."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import captum.attr
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from interp import HookedTransformer, InputError, TransformerConfig
from interp.explain import Baseline, Target, attribute
from interp.explain.quadrature import COARSE, FINE, Panel, integrate, integrate_terms, rule
from interp.model.fold import fold
from interp.tokenizer import Tokenizer

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


@pytest.mark.parametrize("shape", ["decoder", "encoder"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("position", [None, -1, 2])
def test_padding_has_no_score_and_changes_none(shape: str, side: str, position: int | None) -> None:
    """Neither does it move the position that the target names."""
    m, ids = model(shape=shape, head="lm" if shape == "decoder" else "mlm"), tokens()
    pad = torch.full((1, 3), 9)
    padded = torch.cat([pad, ids] if side == "left" else [ids, pad], 1)
    real = slice(3, None) if side == "left" else slice(0, N_POS)
    mask = torch.zeros_like(padded)
    mask[:, real] = 1
    alone = attribute(m, ids, target=Target.logit(4, position))
    found = attribute(m, padded, target=Target.logit(4, position), inputs={"attention_mask": mask})
    assert found.value == pytest.approx(alone.value, abs=1e-9)
    assert found.scores[real] == pytest.approx(alone.scores, abs=1e-9)
    padding = [s for i, s in enumerate(found.scores) if i not in range(*real.indices(N_POS + 3))]
    assert padding == [0.0, 0.0, 0.0]
    assert found.position == alone.position + (3 if side == "left" else 0)


def test_exchanging_text_and_baseline_reverses_every_score() -> None:
    m, one, other = model(), tokens(), tokens(seed=1)
    there = attribute(m, one, target=Target.logit(3), baseline=Baseline.text(other))
    back = attribute(m, other, target=Target.logit(3), baseline=Baseline.text(one))
    assert there.difference == pytest.approx(-back.difference)
    assert there.scores == pytest.approx([-score for score in back.scores], abs=1e-9)


def test_tokens_that_play_the_same_part_get_the_same_score() -> None:
    """Symmetry: without positions, and with a mean over them, order says nothing."""
    m = model(
        shape="encoder",
        head="classification",
        n_classes=2,
        pooling="mean",
        positional_embedding_type="none",
    )
    found = attribute(m, torch.tensor([[5, 8, 5, 2, 8]]))
    assert found.scores[0] == pytest.approx(found.scores[2], abs=1e-12)
    assert found.scores[1] == pytest.approx(found.scores[4], abs=1e-12)
    assert found.scores[0] != pytest.approx(found.scores[1], abs=1e-6)


def test_scores_do_not_depend_on_how_the_function_is_computed() -> None:
    """Implementation invariance: the opened attention, and folded norms, give the same scores."""
    m, ids = model(), tokens()
    one = attribute(m, ids, tolerance=1e-4)
    # Folding moves the embeddings along a direction that no norm lets through, so the baseline
    # moves with them; and it shifts all logits by one number, which a difference does not see.
    target = Target.logit_difference(3, 4)
    plain, folded = (attribute(x, ids, target=target, tolerance=1e-6) for x in (m, fold(m)))
    assert folded.value == pytest.approx(plain.value, rel=1e-9)
    assert folded.scores == pytest.approx(plain.scores, abs=1e-6)
    with m.hooks(fwd_hooks=[(lambda name: name.endswith("hook_pattern"), lambda v, hook: v)]):
        opened = attribute(m, ids, tolerance=1e-4)
    assert opened.scores == pytest.approx(one.scores, abs=1e-6)


def test_a_text_equal_to_its_baseline_has_nothing_to_explain() -> None:
    m, ids = model(), tokens()
    with pytest.warns(UserWarning, match="nothing to explain"):
        found = attribute(m, ids, baseline=Baseline.text(ids))
    assert "nothing to explain" in found.facts()["scores add up to"]
    assert "nothing to explain" not in attribute(m, ids).facts()["scores add up to"]
    assert found.difference == pytest.approx(0, abs=1e-12) and set(found.scores) == {0.0}
    assert found.completeness_error == 0 and found.converged


def test_easy_paths_take_fewer_evaluations_than_hard_ones() -> None:
    easy, hard = (
        attribute(model(initializer_range=r), tokens(), target=Target.logit(2)) for r in (0.05, 0.6)
    )
    assert easy.cost.backwards < hard.cost.backwards


def test_it_says_so_when_it_cannot() -> None:
    hard = model(initializer_range=1.5)
    with pytest.warns(UserWarning, match="still miss"):
        found = attribute(hard, tokens(), max_evaluations=20, tolerance=1e-6)
    assert not found.converged
    assert "do not rely" in found.facts()["completeness error"]


def test_callable_targets_and_their_refusals() -> None:
    m, ids = model(), tokens()
    by_name = attribute(m, ids, target=Target.logit(3))
    by_function = attribute(m, ids, target=lambda logits: logits[:, -1, 3])
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


def path(f: Callable[[Tensor], Tensor]) -> tuple[Callable[..., Any], float, float]:
    """A function of the place on the path alone, as its one token's scores see it."""

    def evaluate(places: Tensor) -> tuple[Tensor, Tensor]:
        at = places.clone().requires_grad_()
        values = f(at)
        return values.detach(), torch.autograd.grad(values.sum(), at)[0][:, None]

    ends = f(torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist()
    return evaluate, ends[0], ends[1]


def gaps(panels: list[Panel]) -> float:
    return sum(panel.gap for panel in panels)


@pytest.mark.parametrize("intervals", [COARSE, FINE])
def test_the_rule_is_exact_up_to_its_degree(intervals: int) -> None:
    points, weights = rule(intervals)
    for degree in range(intervals + 2):  # an even number of intervals gains one degree
        assert float(weights @ points**degree) == pytest.approx(1 / (degree + 1), abs=1e-14)
    assert float(weights @ points ** (4 * intervals)) != pytest.approx(1 / (4 * intervals + 1))
    torch.testing.assert_close(rule(FINE)[0][::2], rule(COARSE)[0])  # they nest


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=FINE + 1))
def test_one_panel_is_exact_for_polynomials(coefficients: list[float]) -> None:
    def polynomial(x: Tensor) -> Tensor:
        return sum((c * x**i for i, c in enumerate(coefficients)), x * 0)

    panels = integrate(*path(polynomial), 1e-8, 10_000)
    assert len(panels) == 1 and panels[0].gap < 1e-8


@pytest.mark.parametrize("slope", [1.0, 10.0, 100.0, 1000.0])
@pytest.mark.parametrize("place", [0.0, 0.3, 0.77])
def test_panels_become_finer_where_the_path_is_steep(slope: float, place: float) -> None:
    """Their gaps, added up without signs, are within what is allowed, and they cover the path."""
    evaluate, start, end = path(lambda x: torch.sigmoid(slope * (x - place)))
    panels = sorted(integrate(evaluate, start, end, 1e-3, 10_000), key=lambda p: p.start)
    assert gaps(panels) <= 1e-3
    assert panels[0].start == 0 and panels[-1].end == 1
    assert all(a.end == b.start for a, b in pairwise(panels))
    if slope == 1000:
        finest = min(panels, key=lambda p: p.end - p.start)
        assert abs(finest.start - place) < 0.05


def test_no_more_evaluations_than_allowed() -> None:
    evaluate, start, end = path(lambda x: torch.sin(400 * x))
    used = 0

    def counted(places: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal used
        used += len(places)
        result: tuple[Tensor, Tensor] = evaluate(places)
        return result

    panels = integrate(counted, start, end, 1e-9, 200)
    assert gaps(panels) > 1e-9 and COARSE < used <= 200


def test_functions_together_are_as_each_alone() -> None:
    """Their panels, to the bit; what several ask for is evaluated once, and nothing else is."""
    slopes = [1.0, 30.0, 31.0, 300.0]
    paths = [path(lambda x, k=k: torch.sigmoid(k * (x - 0.3))) for k in slopes]
    alone, asked = [], set[tuple[int, float]]()
    for i, (evaluate, start, end) in enumerate(paths):

        def watched(places: Tensor, i: int = i, evaluate: Any = evaluate) -> tuple[Tensor, Tensor]:
            asked.update((i, place) for place in places.tolist())
            found: tuple[Tensor, Tensor] = evaluate(places)
            return found

        alone.append(integrate(watched, start, end, 1e-3, 10_000))
    pairs: list[tuple[int, float]] = []
    calls = 0

    def together(places: Tensor, terms: list[int]) -> tuple[Tensor, Tensor]:
        nonlocal calls
        calls += 1
        pairs.extend((i, place) for i in terms for place in places.tolist())
        each = [paths[i][0](places) for i in terms]
        values, slopes = (torch.stack(x, 1) for x in zip(*each, strict=True))
        return values, slopes

    starts, ends = zip(*(one[1:] for one in paths), strict=True)
    found = integrate_terms(together, starts, ends, [1e-3] * 4, 10_000)
    for mine, own in zip(found, alone, strict=True):
        assert [(p.start, p.end) for p in mine] == [(p.start, p.end) for p in own]
        assert all(torch.equal(p.scores, q.scores) for p, q in zip(mine, own, strict=True))
    assert len(pairs) == len(set(pairs)) and set(pairs) == asked
    assert len({len(panels) for panels in found}) > 2 and calls < 20


def test_an_encoder_decoder_keeps_its_prefix_when_the_source_is_another_text() -> None:
    m, source, prefix = model(**SHAPES["pair"]), tokens(), tokens(seed=2)
    other = tokens(seed=1)
    found = attribute(
        m,
        source,
        target=Target.logit(3),
        baseline=Baseline.text(other),
        inputs={"decoder_tokens": prefix},
    )
    assert found.baseline_value == pytest.approx(m(other, decoder_tokens=prefix)[0, -1, 3].item())
    assert found.scores[N_POS:] == (0.0,) * N_POS and any(found.scores[:N_POS])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_explained_in_float32(dtype: torch.dtype) -> None:
    half = model(dtype=dtype)
    full = model(dtype=dtype).float()
    found, expected = attribute(half, tokens()), attribute(full, tokens())
    assert found.scores == pytest.approx(expected.scores, abs=1e-5)
    assert found.dtype == expected.dtype == "float32" and half.W_E.dtype == dtype
    # Edits around the call are edits of the model, whatever is run for it.
    edit = [("blocks.0.hook_mlp_out", lambda value, hook: torch.zeros_like(value))]
    with half.hooks(fwd_hooks=edit):
        edited = attribute(half, tokens())
    with full.hooks(fwd_hooks=edit):
        expected_edited = attribute(full, tokens())
    assert edited.scores == pytest.approx(expected_edited.scores, abs=1e-5)
    assert edited.scores != pytest.approx(found.scores, abs=1e-3)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_mode_of_the_caller_changes_nothing(mode: Any) -> None:
    m = model()
    with mode():
        found = attribute(m, tokens())
    assert found.scores == attribute(m, tokens()).scores


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_the_batch_size_changes_nothing(batch_size: int) -> None:
    m = model()
    found = attribute(m, tokens(), batch_size=batch_size)
    assert found.scores == pytest.approx(attribute(m, tokens()).scores, abs=1e-10)


def test_a_model_of_dropout_is_refused_in_training_mode() -> None:
    m = model(dropout=0.3).train()
    with pytest.raises(InputError, match=r"eval\(\)"):
        attribute(m, tokens())
    assert attribute(m.eval(), tokens()).converged


def test_numbers_that_are_not_finite_are_refused() -> None:
    m = model()
    with torch.no_grad():
        m.blocks[1].mlp.up.weight[0, 0] = math.nan
    with pytest.raises(InputError, match="not finite"):
        attribute(m, tokens())


def test_the_mask_token_is_what_a_masked_model_explains() -> None:
    m = model(shape="encoder", head="mlm")
    m.tokenizer = Tokenizer(FakeVocabulary(), {"mask": "m9"})
    masked = torch.tensor([[5, 2, 9, 4]])
    assert attribute(m, masked).position == 2
    assert attribute(m, torch.tensor([[5, 2, 9, 9]])).position == 3  # not one: the last token
    assert attribute(m, masked, target=Target.logit(position=0)).position == 0


class FakeVocabulary:
    """Ids as words: as much of the tokenizers library as a model without text needs."""

    def token_to_id(self, token: str) -> int:
        return int(token[1:])

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        return " ".join(f"m{i}" for i in ids)


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
        ({"target": Target.logit(position=1.5)}, "positions"),
        ({"target": Target.logit(2.0)}, "as its id"),
        ({"target": 7}, "Target.logit"),
        ({"target": lambda logits: 3}, "tensor"),
        ({"baseline": "mean"}, "Baseline.mean"),
        ({"baseline": Baseline.text(tokens() + 30)}, "vocabulary"),
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


@pytest.mark.parametrize(
    "text", [torch.zeros(2, 3, dtype=torch.long), ["one", "two"], [], None, torch.tensor(3)]
)
def test_what_is_not_one_text_is_refused(text: Any) -> None:
    with pytest.raises(InputError, match=r"one text|a text"):
        attribute(model(), text)


def test_ids_may_be_a_list_and_masks_without_batch() -> None:
    m, ids = model(), tokens()
    expected = attribute(m, ids)
    assert attribute(m, ids[0].tolist()).scores == expected.scores
    mask = torch.ones(N_POS)
    assert attribute(m, ids[0], inputs={"attention_mask": mask}).scores == pytest.approx(
        expected.scores, abs=1e-9
    )


def test_a_zero_baseline_warns() -> None:
    with pytest.warns(UserWarning, match="ill-posed"):
        attribute(model(), tokens(), baseline=Baseline.zero())
