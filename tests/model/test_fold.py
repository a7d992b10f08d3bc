"""The law of folding: another model, the same probabilities."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from interp.errors import UnsupportedModelError
from interp.model.config import TransformerConfig
from interp.model.fold import fold
from interp.model.norm import Norm
from interp.model.transformer import HookedTransformer
from tests.model.configurations import CONFIGURATIONS, build, example

PRE_NORM = [name for name, cfg in CONFIGURATIONS.items() if cfg.norm_position == "pre"]
EACH = pytest.mark.parametrize("name", PRE_NORM)
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}

steps = st.fixed_dictionaries(
    dict.fromkeys(
        ("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases"),
        st.booleans(),
    )
)


def predictions(model: HookedTransformer) -> Tensor:
    """Log-probabilities, or what else the head returns."""
    with torch.no_grad():
        out: Tensor = model(**example(model.cfg))
    return out.log_softmax(-1) if model.cfg.has_vocabulary_head else out


def same_predictions(folded: HookedTransformer, model: HookedTransformer) -> None:
    expected = predictions(model)
    tolerance = TOLERANCE[expected.dtype] * max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(predictions(folded), expected, atol=tolerance, rtol=0)


def folds(name: str, module: Norm, model: HookedTransformer) -> bool:
    """Whether what reads this norm is linear maps alone."""
    headless = model.cfg.head == "none" and name.endswith("ln_final")
    return not (headless or name.startswith(("input.", "decoder_input.")) or "_norm" in name)


@EACH
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_folding_keeps_the_probabilities(name: str, dtype: torch.dtype) -> None:
    model = build(name, dtype=dtype)
    same_predictions(fold(model), model)


@settings(max_examples=60)
@given(st.sampled_from(PRE_NORM), steps)
def test_so_does_each_step_alone(name: str, chosen: dict[str, bool]) -> None:
    model = build(name, dtype=torch.float64)
    same_predictions(fold(model, **chosen), model)


@settings(max_examples=60)
@given(
    st.fixed_dictionaries(
        {
            "normalization_type": st.sampled_from(["LN", "RMS"]),
            "norm_bias": st.booleans(),
            "final_norm": st.booleans(),
            "embed_norm": st.booleans(),
            "qkv_bias": st.booleans(),
            "attn_out_bias": st.booleans(),
            "mlp_bias": st.booleans(),
            "unembed_bias": st.booleans(),
            "gated_mlp": st.booleans(),
            "parallel_attn_mlp": st.booleans(),
            "attn_only": st.booleans(),
            "tie_word_embeddings": st.booleans(),
            "n_key_value_heads": st.sampled_from([1, 2, 4]),
            "n_layers": st.integers(0, 2),
            "logit_scale": st.sampled_from([1.0, 0.5]),
            "output_logits_soft_cap": st.sampled_from([-1.0, 4.0]),
            "positional_embedding_type": st.sampled_from(
                ["standard", "sinusoidal", "rotary", "alibi", "none"]
            ),
        }
    )
)
def test_in_every_combination_of_variants(variant: dict[str, Any]) -> None:
    sizes = {"d_model": 8, "n_heads": 4, "d_vocab": 11, "n_ctx": 8, "initializer_range": 0.4}
    model = build(TransformerConfig(**sizes, **variant, dtype=torch.float64))
    folded = fold(model)
    same_predictions(folded, model)
    rebuilt = HookedTransformer(folded.cfg)
    rebuilt.load_state_dict(folded.state_dict())  # its configuration describes it completely
    torch.testing.assert_close(predictions(rebuilt.eval()), predictions(folded), atol=0, rtol=0)


@EACH
def test_folded_norms_only_normalise(name: str) -> None:
    model = build(name)
    folded = fold(model)
    norms = {n: m for n, m in folded.named_modules() if isinstance(m, Norm)}
    assert norms
    for n, norm in norms.items():
        neutral = bool((norm.weight == 1).all()) and (norm.bias is None or not norm.bias.any())
        assert neutral == folds(n, norm, model), n


@EACH
def test_the_original_is_untouched(name: str) -> None:
    model = build(name)
    before = {n: p.clone() for n, p in model.state_dict().items()}
    cfg = model.cfg
    folded = fold(model)
    after = model.state_dict()
    assert model.cfg is cfg and before.keys() == after.keys()
    assert all(torch.equal(before[n], after[n]) for n in before)
    mine = {p.data_ptr() for p in model.parameters()}
    assert not mine & {p.data_ptr() for p in folded.parameters()}


@EACH
def test_what_is_written_has_no_mean(name: str) -> None:
    """Where LayerNorm reads everything; RMSNorm and a bare output would see the difference."""
    model = build(name, dtype=torch.float64)
    _, cache = fold(model).run_with_cache(**example(model.cfg))
    fixed_or_normed = model.cfg.embed_norm or model.cfg.positional_embedding_type == "sinusoidal"
    stack = model.last_stack
    parts = cache.decompose_resid(incl_embeds=not fixed_or_normed)
    applies = model.cfg.normalization_type == "LN" and bool(model.cfg.final_norm)
    assert bool((parts.mean(-1).abs() < 1e-12).all()) == applies, stack


@EACH
def test_the_logits_have_no_mean(name: str) -> None:
    model = fold(build(name, dtype=torch.float64))
    cfg = model.cfg
    if cfg.has_vocabulary_head:
        logits = model(**example(cfg))
        assert bool((logits.mean(-1).abs() < 1e-12).all()) == (cfg.output_logits_soft_cap <= 0)


@EACH
def test_values_have_no_bias(name: str) -> None:
    model = fold(build(name))
    assert not model.b_V.any()


@EACH
def test_attention_is_the_same(name: str) -> None:
    model = build(name, dtype=torch.float64)
    _, cache = model.run_with_cache(**example(model.cfg))
    _, folded = fold(model).run_with_cache(**example(model.cfg))
    for point in cache:
        if point.endswith(("hook_pattern", "hook_attn_scores", "hook_post")):
            finite = cache[point].isfinite()
            torch.testing.assert_close(
                folded[point][finite], cache[point][finite], atol=1e-10, rtol=1e-10
            )


def test_a_folded_model_is_its_own_folding() -> None:
    once = fold(build("decoder", dtype=torch.float64))
    twice = fold(once)
    assert once.cfg == twice.cfg
    for name, parameter in twice.state_dict().items():
        torch.testing.assert_close(parameter, once.state_dict()[name], atol=1e-13, rtol=0)


def test_nothing_asked_for_is_a_copy() -> None:
    model = build("decoder-tied-scaled")
    off = dict.fromkeys(
        ("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases"), False
    )
    same = fold(model, **off)
    assert same.cfg == model.cfg
    assert same.output.unembed is not None
    assert same.output.unembed.weight is same.embed.weight
    assert torch.equal(predictions(same), predictions(model))


@EACH
def test_half_precision_rounds_once(name: str) -> None:
    """Computed in float32 throughout, whatever the weights are stored in."""
    model = build(name, dtype=torch.bfloat16)
    wide = fold(build(name, dtype=torch.bfloat16).float()).bfloat16()
    narrow = fold(model)
    assert narrow.cfg.dtype == torch.bfloat16
    for parameter, expected in zip(narrow.parameters(), wide.parameters(), strict=True):
        assert torch.equal(parameter, expected)


def test_the_method_and_the_tokenizer() -> None:
    model = build("decoder")
    tokenizer: Any = object()
    model.tokenizer = tokenizer
    folded = model.folded(center_unembed=False)
    assert isinstance(folded, HookedTransformer)
    assert folded.tokenizer is tokenizer
    assert not folded.training
    assert all(parameter.requires_grad for parameter in folded.parameters())


@pytest.mark.parametrize(
    "name", [name for name, cfg in CONFIGURATIONS.items() if cfg.norm_position == "post"]
)
def test_post_norm_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedModelError, match="post-norm"):
        fold(build(name))
