"""The laws of attribution patching, on all shapes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

import interp
from interp import HookError, InputError, Target
from interp.explain.inside.attribution_patching import attribution_patching
from interp.explain.inside.patching import patch
from interp.pretrained.bridge import open_bridge
from tests.explain.inside.edge_models import metric, model, texts

SHAPES: dict[str, dict[str, Any]] = {
    "decoder": {},
    "grouped": {"n_heads": 4, "n_key_value_heads": 2},
    "masked": {"shape": "encoder", "head": "mlm", "norm_position": "post", "embed_norm": True},
    "classifier": {"shape": "encoder", "head": "classification", "n_classes": 3},
    "pair": {"shape": "encoder_decoder", "decoder_start_token_id": 0},
}


def written(name: str) -> dict[str, Any]:
    return {"decoder_tokens": torch.tensor([[0, 4, 7]])} if name == "pair" else {}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(
    ("kind", "by"),
    [
        ("z", ["head"]),
        ("z", ["position", "head"]),
        ("k", ["head"]),
        ("pattern", ["position", "head", "key"]),
        ("mlp_out", ["position"]),
        ("neuron", ["neuron"]),
        ("resid_pre", ["position"]),
    ],
)
def test_it_is_the_slope_of_patching(name: str, kind: str, by: list[str]) -> None:
    """The corrupted embeddings are eps away: the error is of the order of eps squared, where the
    activation that is patched is the only way (so an encoder's stream is moved there too)."""
    inputs, stack = written(name), "encoder" if name == "pair" else None
    errors = []
    for eps in (1e-2, 1e-3):
        m = model(**SHAPES[name])
        clean = texts(1)[0] % 15
        with torch.no_grad():
            m.embed.weight[15:] = m.embed.weight[:15] + eps * m.embed.weight[15:]
        options: dict[str, Any] = {"by": by, "stack": stack, "inputs": inputs}
        found = attribution_patching(m, clean, clean + 15, kind, metric, **options)
        exact = patch(m, clean, clean + 15, kind, metric, convention="noising", **options)
        assert found.axes == exact.axes
        effect = exact.values - exact.clean
        assert effect.shape == found.values.shape
        errors.append(float((found.values - effect).norm() / effect.norm()))
    assert errors[0] < 0.3
    assert 4 < errors[0] / errors[1] < 25


@pytest.mark.parametrize("kind", ["z", "mlp_out", "resid_post", "attn_out", "neuron"])
def test_it_is_exact_where_what_follows_is_linear(kind: str) -> None:
    """One block whose feed-forward layer reads what the attention did not write, and no norm."""
    changes = {"n_layers": 1, "final_norm": False, "parallel_attn_mlp": True}
    m, (clean, corrupted) = model(**changes), texts(1)
    found = attribution_patching(m, clean, corrupted, kind, Target.logit(3))
    exact = patch(m, clean, corrupted, kind, Target.logit(3), convention="noising")
    assert found.value == pytest.approx(exact.clean, abs=1e-12)
    assert found.corrupted_value == pytest.approx(exact.corrupted, abs=1e-12)
    assert found.values.abs().max() > 1e-3
    torch.testing.assert_close(found.values, exact.values - exact.clean, atol=1e-8, rtol=0)


@pytest.mark.parametrize("kind", ["z", "cross_z", "cross_k", "resid_pre"])
def test_both_stacks_of_a_pair_are_scored(kind: str) -> None:
    m, (clean, corrupted) = model(**SHAPES["pair"]), texts(2)
    found = attribution_patching(m, clean, corrupted, kind, metric, inputs=written("pair"))
    assert found.stack == "decoder"
    _, own = m.run_with_cache(clean, **written_for(2))
    _, other = m.run_with_cache(corrupted, **written_for(2))
    part = "hook_resid_pre" if kind == "resid_pre" else _CROSS[kind]
    name = f"decoder.1.{part}"
    leaf = own[name].clone().requires_grad_()
    out = m.run_with_hooks(clean, fwd_hooks=[(name, lambda x, hook: leaf)], **written_for(2))
    (slope,) = torch.autograd.grad(metric(out).mean(), leaf)
    effect = (other[name] - own[name]) * slope
    expected = effect.sum((0, 2)) if kind == "resid_pre" else effect.sum((0, 1, 3))
    torch.testing.assert_close(found.values[1], expected, atol=1e-10, rtol=0)


_CROSS = {
    "z": "attn.hook_z",
    "cross_z": "cross_attn.hook_z",
    "cross_k": "cross_attn.hook_k",
}


def written_for(n: int) -> dict[str, Tensor]:
    return {"decoder_tokens": written("pair")["decoder_tokens"].expand(n, -1)}


def test_pairs_are_averaged() -> None:
    m, (clean, corrupted) = model(), texts(3)
    found = attribution_patching(m, clean, corrupted, "z", metric)
    alone = [
        attribution_patching(m, a, b, "z", metric).values
        for a, b in zip(clean, corrupted, strict=True)
    ]
    torch.testing.assert_close(found.values, torch.stack(alone).mean(0), atol=1e-12, rtol=0)
    frame = found.to_frame()
    assert list(frame.columns) == [
        "site",
        "stack",
        "layer",
        "head",
        "method",
        "metric",
        "value",
        "n",
    ]
    assert len(frame) == 4 and (frame["n"] == 3).all()
    assert frame["value"].tolist() == found.values.flatten().tolist()


def test_layers_as_a_whole() -> None:
    m, (clean, corrupted) = model(), texts()
    whole = attribution_patching(m, clean, corrupted, "mlp_out", metric, by=())
    parts = attribution_patching(m, clean, corrupted, "mlp_out", metric)
    torch.testing.assert_close(whole.values, parts.values.sum(1), atol=1e-12, rtol=0)


def test_padding_is_left_alone() -> None:
    """A padded text has the scores of the text, at its places."""
    m, (clean, corrupted) = model(), texts(1, 4)
    pad = torch.zeros(1, 2, dtype=torch.long)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1]])
    plain = attribution_patching(m, clean, corrupted, "resid_pre", Target.logit(3))
    padded = attribution_patching(
        m,
        torch.cat([pad, clean], 1),
        torch.cat([pad, corrupted], 1),
        "resid_pre",
        Target.logit(3),
        inputs={"attention_mask": mask},
    )
    torch.testing.assert_close(padded.values[:, 2:], plain.values, atol=1e-10, rtol=0)
    assert bool((padded.values[:, :2] == 0).all())


def test_a_continuation_is_read_behind_each_text() -> None:
    m, (clean, corrupted) = model(), texts(2)
    found = attribution_patching(m, clean, corrupted, "z", Target.continuation([3, 5]))
    with torch.no_grad():
        log_p = m(torch.cat([clean, torch.tensor([[3], [3]])], 1)).log_softmax(-1)
    assert found.value == pytest.approx(float((log_p[:, -2, 3] + log_p[:, -1, 5]).mean()))


def test_another_librarys_model() -> None:
    """Opened through TransformerLens, with the same scores as the model opened here."""
    torch.manual_seed(0)
    theirs = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=30,
            bos_token_id=0,
            eos_token_id=0,
            n_positions=16,
            n_embd=16,
            n_layer=2,
            n_head=2,
            initializer_range=0.3,
        )
    ).eval()
    ours, bridged = interp.load(theirs), open_bridge(theirs)
    clean, corrupted = texts()
    for kind in ("z", "mlp_out", "resid_pre"):
        one, other = (
            attribution_patching(m, clean, corrupted, kind, metric) for m in (ours, bridged)
        )
        torch.testing.assert_close(one.values, other.values, atol=1e-5, rtol=1e-4)


def test_bad_input_is_refused() -> None:
    m, (clean, corrupted) = model(attn_only=True), texts()
    with pytest.raises(HookError, match="feed-forward"):
        attribution_patching(m, clean, corrupted, "mlp_out")
    with pytest.raises(InputError, match="no kind"):
        attribution_patching(m, clean, corrupted, "heads")
    with pytest.raises(InputError, match="by position, head"):
        attribution_patching(m, clean, corrupted, "z", by="neuron")
    with pytest.raises(InputError, match="needs decoder_tokens"):
        attribution_patching(model(shape="encoder_decoder"), clean, corrupted)
