"""Who may look at whom, against a mask that is written out pair by pair; and padded batches."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from interp.model.mask import Mask, Surroundings, attention_mask
from interp.model.tap import Record
from interp.model.transformer import HookedTransformer
from tests.model.configurations import EVERY, build, example, shared_model

CPU = torch.device("cpu")


def permitted(query: int, key: int, row: list[bool] | None, *, causal: bool, window: int) -> bool:
    """The rule, for one pair of positions of one text."""
    real = row is None or row[key]
    if not causal:
        return real
    near = window == 0 or query - key < window
    return (key <= query and near and real) or (row is not None and key == query)


@given(
    data=st.data(),
    n_key=st.integers(1, 9),
    causal=st.booleans(),
    window=st.integers(0, 11),
    padded=st.booleans(),
    biased=st.booleans(),
)
def test_the_mask_is_the_rule(
    data: st.DataObject, n_key: int, causal: bool, window: int, padded: bool, biased: bool
) -> None:
    n_query = data.draw(st.integers(1, n_key))
    window = window if causal else 0
    row = st.lists(st.booleans(), min_size=n_key, max_size=n_key).filter(any)
    rows = data.draw(st.lists(row, min_size=1, max_size=3)) if padded else None
    if rows is not None and n_query == 1:
        rows = [[*row[:-1], True] for row in rows]  # a single new token is never padding
    keys = None if rows is None else torch.tensor(rows)
    generator = torch.Generator().manual_seed(n_key)
    bias = torch.randn(1, 2, n_query, n_key, generator=generator) if biased else None
    mask = attention_mask(
        n_query,
        n_key,
        causal=causal,
        device=CPU,
        dtype=torch.float32,
        window=window,
        keys=keys,
        bias=bias,
    )
    n_rows = 1 if rows is None else len(rows)
    scores = torch.randn(n_rows, 2, n_query, n_key, generator=generator)
    applied = mask.apply(scores)
    for b in range(n_rows):
        for q in range(n_query):
            for k in range(n_key):
                text = None if rows is None else rows[b]
                may = permitted(n_key - n_query + q, k, text, causal=causal, window=window)
                expected = scores[b, :, q, k]
                if bias is not None:
                    expected = expected + bias[0, :, q, k]
                if not may:
                    expected = torch.full((2,), -torch.inf)
                assert torch.equal(applied[b, :, q, k], expected), (b, q, k)
    assert applied.softmax(-1).isfinite().all()
    _kernel_agrees(mask, scores, applied)


def _kernel_agrees(mask: Mask, scores: Tensor, applied: Tensor) -> None:
    """The fused kernel, given the mask's own arguments, averages with the softmax of `applied`."""
    width = max(scores.shape[-2:])
    q = torch.zeros(*scores.shape[:-1], width)
    q[..., : scores.shape[-2], : scores.shape[-2]] = torch.eye(scores.shape[-2])
    k = torch.zeros(*scores.shape[:-2], scores.shape[-1], width)
    k[..., : scores.shape[-2]] = scores.transpose(-1, -2)  # q @ k^T = scores
    v = torch.eye(scores.shape[-1]).expand(*scores.shape[:-2], -1, -1)
    z = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=mask.fused, is_causal=mask.is_causal, scale=1.0
    )
    assert torch.allclose(z, applied.softmax(-1), atol=1e-5)


def test_nothing_is_masked_without_need() -> None:
    arguments = {"device": CPU, "dtype": torch.float32}
    assert attention_mask(3, 3, causal=True, **arguments) == Mask(is_causal=True)
    assert attention_mask(1, 5, causal=True, **arguments) == Mask()
    assert attention_mask(3, 3, causal=False, **arguments) == Mask()
    assert attention_mask(3, 3, causal=True, window=3, **arguments) == Mask(is_causal=True)


def test_the_bias_takes_the_precision_of_the_scores() -> None:
    bias = torch.zeros(1, 2, 3, 3)
    mask = attention_mask(3, 3, causal=True, device=CPU, dtype=torch.bfloat16, bias=bias)
    assert mask.fused is not None and mask.fused.dtype == torch.bfloat16
    assert mask.apply(torch.zeros(1, 2, 3, 3, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_surroundings_let_go_of_the_graph_of_the_encoder() -> None:
    memory = torch.ones(1, 2, 3, requires_grad=True)
    assert not Surroundings({}, memory=memory).detach().memory.requires_grad  # type: ignore[union-attr]
    plain = Surroundings({})
    assert plain.detach() is plain


# -- in the model ----------------------------------------------------------------------------------


@EVERY
def test_each_layer_attends_by_its_rule(name: str) -> None:
    model = shared_model(name)
    cfg = model.cfg
    points = [p for p in model.hook_points if p.endswith("hook_pattern")]
    record = Record(points)
    model(**example(cfg, batch=1), tap=record)
    for point in points:
        stack, layer, part = point.split(".")[:3]
        causal = cfg.shape != "encoder" and stack != "encoder" and part == "attn"
        local = bool(cfg.attn_types) and cfg.attn_types[int(layer)] == "local"
        pattern = record.values[point]
        assert torch.allclose(pattern.sum(-1), torch.ones(()), atol=1e-5)
        for q in range(pattern.shape[-2]):
            for k in range(pattern.shape[-1]):
                window = cfg.window_size if local else 0
                may = permitted(q, k, None, causal=causal, window=window)
                assert bool((pattern[..., q, k] > 0).all()) == may, (point, q, k)


LENGTHS = (7, 4, 1)


def padded_batch(
    model: HookedTransformer, side: str, fill: int
) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """Texts of `LENGTHS`, in one batch padded with the token `fill`, and each alone."""
    full = example(model.cfg, batch=len(LENGTHS))
    batch = {key: torch.full_like(value, fill) for key, value in full.items()}
    if "token_type_ids" in batch:
        batch["token_type_ids"].fill_(1)
    singles: list[dict[str, Tensor]] = []
    for key, mask in (
        ("tokens", "attention_mask"),
        ("token_type_ids", None),
        ("decoder_tokens", "decoder_attention_mask"),
    ):
        if key not in full:
            continue
        width = full[key].shape[1]
        if mask:
            batch[mask] = torch.zeros(len(LENGTHS), width, dtype=torch.long)
        for i, length in enumerate(LENGTHS):
            length = min(length, width)
            where = slice(0, length) if side == "right" else slice(width - length, width)
            if len(singles) <= i:
                singles.append({})
            singles[i][key] = full[key][i : i + 1, :length]
            batch[key][i, where] = full[key][i, :length]
            if mask:
                batch[mask][i, where] = 1
    return batch, singles


@EVERY
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_no_logits(name: str, side: str) -> None:
    model = shared_model(name)
    batch, singles = padded_batch(model, side, fill=3)
    logits = model(**batch)
    assert logits.isfinite().all()
    decodes = model.cfg.shape == "encoder_decoder"
    mask = batch["decoder_attention_mask" if decodes else "attention_mask"].bool()
    for i, single in enumerate(singles):
        alone = model(**single)[0]
        row = logits[i] if model.cfg.head == "classification" else logits[i][mask[i]]
        assert row.shape == alone.shape
        assert torch.allclose(row, alone, atol=2e-5), i
    other, _ = padded_batch(model, side, fill=11)
    again = model(**other)
    if model.cfg.head == "classification":
        assert torch.allclose(again, logits, atol=2e-5)
    else:
        assert torch.allclose(again[mask], logits[mask], atol=2e-5)


@EVERY
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_gets_no_weight_at_all(name: str, side: str) -> None:
    model = shared_model(name)
    batch, _ = padded_batch(model, side, fill=3)
    points = [p for p in model.hook_points if p.endswith("hook_pattern")]
    record = Record(points)
    model(**batch, tap=record)
    for point in points:
        decodes = point.startswith("decoder")
        queries = batch["decoder_attention_mask" if decodes else "attention_mask"].bool()
        crosses = "cross_attn" in point or not decodes
        keys = batch["attention_mask" if crosses else "decoder_attention_mask"].bool()
        forbidden = queries[:, None, :, None] & ~keys[:, None, None, :]
        pattern = record.values[point]
        assert pattern.isfinite().all()
        assert not (pattern * forbidden).any()
        assert forbidden.any()


@EVERY
@pytest.mark.parametrize("side", ["left", "right"])
def test_long_padding_never_gives_nan(name: str, side: str) -> None:
    """One real token among a whole context of padding, forwards and backwards."""
    model = build(name)
    inputs = example(model.cfg, pos=24)
    for mask, key in (("attention_mask", "tokens"), ("decoder_attention_mask", "decoder_tokens")):
        if key in inputs:
            inputs[mask] = torch.zeros_like(inputs[key])
            inputs[mask][:, 0 if side == "right" else -1] = 1
    record = Record(model.hook_points)
    out = model(**inputs, tap=record)
    assert out.isfinite().all()
    for point, value in record.values.items():
        assert not value.isnan().any(), point
    out.sum().backward()
    for parameter, value in model.named_parameters():
        assert value.grad is None or value.grad.isfinite().all(), parameter


@pytest.mark.parametrize("name", ["decoder", "decoder-alibi", "encoder-bert", "pair-original"])
def test_a_mask_of_ones_changes_nothing(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    masked = {**inputs, "attention_mask": torch.ones_like(inputs["tokens"])}
    assert torch.allclose(model(**masked), model(**inputs), atol=2e-5)
