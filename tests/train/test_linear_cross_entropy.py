"""The chunked loss is torch's cross-entropy of the whole logits, and so is its gradient."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from interp.data.batch import IGNORED
from interp.train import linear_cross_entropy as module
from interp.train.linear_cross_entropy import linear_cross_entropy


def whole(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    labels: Tensor,
    soft_cap: float,
    smoothing: float,
    z_loss: float,
) -> Tensor:
    logits = F.linear(x, weight, bias)
    if soft_cap > 0:
        logits = soft_cap * torch.tanh(logits / soft_cap)
    loss = F.cross_entropy(
        logits, labels, ignore_index=IGNORED, label_smoothing=smoothing, reduction="sum"
    )
    lse = logits.logsumexp(-1)[labels != IGNORED]
    return loss + z_loss * lse.square().sum()


@given(
    n=st.integers(1, 20),
    d_vocab=st.integers(2, 9),
    bias=st.booleans(),
    soft_cap=st.sampled_from([-1.0, 2.0]),
    smoothing=st.sampled_from([0.0, 0.1]),
    z_loss=st.sampled_from([0.0, 0.01]),
    chunk=st.integers(1, 40),
    seed=st.integers(0, 1000),
)
def test_loss_and_gradients_are_those_of_torch(
    n: int,
    d_vocab: int,
    bias: bool,
    soft_cap: float,
    smoothing: float,
    z_loss: float,
    chunk: int,
    seed: int,
) -> None:
    random = torch.Generator().manual_seed(seed)
    inputs = [torch.randn(n, 5, generator=random), torch.randn(d_vocab, 5, generator=random)]
    inputs += [torch.randn(d_vocab, generator=random)] if bias else []
    labels = torch.randint(d_vocab, (n,), generator=random)
    labels[torch.rand(n, generator=random) < 0.2] = IGNORED
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(module._CHUNK, "cpu", chunk)
        found = [t.clone().requires_grad_() for t in inputs]
        loss = linear_cross_entropy(
            found[0],
            found[1],
            found[2] if bias else None,
            labels,
            soft_cap=soft_cap,
            smoothing=smoothing,
            z_loss=z_loss,
        )
        (loss / 3).backward()
    asked = [t.double().requires_grad_() for t in inputs]
    expected = whole(
        asked[0], asked[1], asked[2] if bias else None, labels, soft_cap, smoothing, z_loss
    )
    (expected / 3).backward()
    torch.testing.assert_close(loss, expected.float(), atol=1e-4, rtol=1e-5)
    for mine, theirs in zip(found, asked, strict=True):
        assert mine.grad is not None and theirs.grad is not None
        torch.testing.assert_close(mine.grad, theirs.grad.float(), atol=1e-5, rtol=1e-5)


def test_it_is_near_in_bfloat16_too() -> None:
    random = torch.Generator().manual_seed(0)
    x, weight = torch.randn(300, 32, generator=random), torch.randn(70, 32, generator=random)
    labels = torch.randint(70, (300,), generator=random)
    exact = linear_cross_entropy(x, weight, None, labels)
    coarse = linear_cross_entropy(x.bfloat16(), weight.bfloat16(), None, labels)
    assert coarse.dtype == torch.float32
    torch.testing.assert_close(coarse, exact, rtol=5e-3, atol=0)


def test_all_logits_are_never_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module._CHUNK, "cpu", 6)
    seen: list[int] = []
    linear = F.linear
    monkeypatch.setattr(
        F, "linear", lambda x, *rest: (out := linear(x, *rest), seen.append(out.numel()))[0]
    )
    linear_cross_entropy(
        torch.randn(10, 4), torch.randn(3, 4), None, torch.zeros(10, dtype=torch.long)
    )
    assert max(seen) <= 6 and sum(seen) == 30
