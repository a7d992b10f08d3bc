"""What stands on top: shapes, formulas and pooling of every head."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from interp.errors import ConfigError
from interp.model.heads import Pooler
from interp.model.tap import Record
from interp.model.transformer import HookedTransformer
from tests.model.configurations import CONFIGURATIONS, EVERY, build, example, shared_model


def final_stream(model: HookedTransformer, inputs: dict[str, Tensor]) -> Tensor:
    """What the head reads."""
    stack = model.stack(model.last_stack)
    out: Tensor = stack.finish(model(**inputs, stop_at_layer=len(stack.blocks)))
    return out


@EVERY
def test_each_head_is_its_formula(name: str) -> None:
    model = shared_model(name)
    cfg, inputs = model.cfg, example(model.cfg)
    logits, resid = model(**inputs), final_stream(model, inputs)
    if cfg.head == "mlm":
        head = model.output.mlm_head
        activations = {"gelu": "none", "gelu_new": "tanh"}
        dense = resid @ head.dense.weight.t() + head.dense.bias
        if cfg.act_fn in activations:
            active = torch.nn.functional.gelu(dense, approximate=activations[cfg.act_fn])
        else:
            active = torch.nn.functional.silu(dense)
        resid = head.ln(active)
    if cfg.head in ("lm", "mlm"):
        expected = resid @ model.W_U + model.b_U
        if cfg.output_logits_soft_cap > 0:
            cap = cfg.output_logits_soft_cap
            expected = cap * torch.tanh(expected / cap)
            assert logits.abs().max() < cap
        assert expected.shape[-1] == cfg.d_vocab_out
    elif cfg.head == "none":
        expected = resid
    else:
        classifier = model.output.classifier
        if cfg.head == "classification":
            resid = {"first": resid[:, 0], "last": resid[:, -1], "mean": resid.mean(1)}[cfg.pooling]
            if cfg.pooler_act:
                dense = model.output.pooler.dense
                resid = torch.tanh(resid @ dense.weight.t() + dense.bias)
        expected = resid @ classifier.weight.t()
        expected = expected if classifier.bias is None else expected + classifier.bias
        assert expected.shape[-1] == (2 if cfg.head == "span" else cfg.n_classes)
    assert torch.allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "before", "after", "formula"),
    [
        ("encoder-bert", "mlm_head.hook_pre", "mlm_head.hook_post", torch.nn.functional.gelu),
        ("encoder-bert-classification", "pooler.hook_pre", "pooler.hook_pooler_out", torch.tanh),
        ("decoder-gemma", "unembed.hook_pre", "unembed.hook_post", lambda x: 5 * torch.tanh(x / 5)),
    ],
)
def test_both_sides_of_a_nonlinearity_have_a_name(
    name: str, before: str, after: str, formula: Callable[[Tensor], Tensor]
) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    _, cache = model.run_with_cache(**inputs)
    assert torch.equal(cache[after], formula(cache[before]))
    doubled = model.run_with_hooks(**inputs, fwd_hooks=[(before, lambda value, hook: value * 2)])
    put = formula(cache[before] * 2)
    expected = model.run_with_hooks(**inputs, fwd_hooks=[(after, lambda value, hook: put)])
    assert torch.equal(doubled, expected) and not torch.equal(doubled, model(**inputs))


@pytest.mark.parametrize("pooling", ["first", "last", "mean"])
def test_pooling_never_reads_padding(pooling: str) -> None:
    cfg = CONFIGURATIONS["encoder-mean-classification"].replace(pooling=pooling)
    pooler = Pooler(cfg)
    resid = torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [0, 1, 0, 0, 0]])
    rows = [row[real.bool()] for row, real in zip(resid, mask, strict=True)]
    expected = {
        "first": torch.stack([row[0] for row in rows]),
        "last": torch.stack([row[-1] for row in rows]),
        "mean": torch.stack([row.mean(0) for row in rows]),
    }[pooling]
    assert torch.allclose(pooler(resid, mask), expected, atol=1e-6)
    ones = torch.ones_like(mask)
    assert torch.allclose(pooler(resid, ones), pooler(resid, None), atol=1e-6)


def test_the_pooled_vector_can_be_edited() -> None:
    model = shared_model("encoder-bert-classification")
    inputs = example(model.cfg)
    record = Record(["pooler.hook_pooler_out"])
    logits = model(**inputs, tap=record)
    pooled = record.values["pooler.hook_pooler_out"]
    assert torch.allclose(model.output.classifier(pooled), logits, atol=1e-6)
    silenced = model.run_with_hooks(
        **inputs, fwd_hooks=[("pooler.hook_pooler_out", lambda value, hook: value * 0)]
    )
    assert torch.allclose(silenced, model.output.classifier.bias.expand(2, 3))


def test_the_factor_on_the_stream_belongs_to_the_unembedding() -> None:
    scaled = shared_model("decoder-tied-scaled")
    assert torch.equal(scaled.W_U, scaled.embed.weight.t() * 0.25)
    plain = shared_model("decoder")
    assert plain.W_U.data_ptr() == plain.unembed.weight.data_ptr()
    assert not plain.b_U.any()


@pytest.mark.parametrize("name", ["encoder-span", "decoder-classification", "encoder-relative"])
def test_other_heads_have_no_unembedding(name: str) -> None:
    model = shared_model(name)
    with pytest.raises(ConfigError, match=f"head '{model.cfg.head}' has no unembedding"):
        _ = model.W_U


def test_heads_train() -> None:
    for name in ("encoder-bert-classification", "encoder-span", "decoder-token-classification"):
        model = build(name)
        model(**example(model.cfg)).square().sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in model.output.parameters())
