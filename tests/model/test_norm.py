"""LayerNorm and RMSNorm: torch's own, opened and closed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from interp.model.norm import Norm
from interp.model.tap import Record
from tests.model.configurations import CONFIGURATIONS
from tests.model.taps import Journal, Put, Same

KINDS = pytest.mark.parametrize(("rms", "bias"), [(False, True), (False, False), (True, False)])


def norm_of(width: int, rms: bool, bias: bool, eps: float = 1e-5) -> Norm:
    norm = Norm(width, rms=rms, bias=bias, eps=eps)
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(parameter.numel()))
    return norm


@KINDS
@given(seed=st.integers(0, 99), width=st.integers(1, 33), eps=st.sampled_from([1e-12, 1e-5, 0.1]))
def test_it_is_torchs_norm_and_the_definition(
    rms: bool, bias: bool, seed: int, width: int, eps: float
) -> None:
    norm = norm_of(width, rms, bias, eps).double()
    x = torch.randn(2, 3, width, generator=torch.Generator().manual_seed(seed)).double() * 3 + 1
    peer: nn.Module = nn.RMSNorm(width, eps) if rms else nn.LayerNorm(width, eps, bias=bias)
    peer.load_state_dict(norm.state_dict())
    out = norm(x)
    assert torch.allclose(out, peer.double()(x), atol=1e-12)
    centred = x if rms else x - x.mean(-1, keepdim=True)
    scale = (centred.pow(2).mean(-1, keepdim=True) + eps).sqrt()
    by_hand = centred / scale * norm.w + norm.b
    assert torch.allclose(out, by_hand, atol=1e-9)
    record = Record(["hook_scale", "hook_normalized"])
    assert torch.equal(norm(x, record), out)
    assert torch.allclose(record.values["hook_scale"], scale, atol=1e-12)
    assert torch.allclose(record.values["hook_normalized"], centred / scale, atol=1e-9)
    assert torch.allclose(norm(x, Same(["hook_scale"])), out, atol=1e-9)


@KINDS
def test_edits_reach_the_output(rms: bool, bias: bool) -> None:
    norm = norm_of(4, rms, bias)
    x = torch.randn(2, 3, 4)
    plain, opened = norm(x), norm(x, Same(["hook_normalized"]))
    assert torch.allclose(plain, opened, atol=1e-6)
    ones = norm(x, Put({"hook_normalized": torch.ones_like(x)}))
    assert torch.allclose(ones, (norm.w + norm.b).expand_as(x))
    scale = Record(["hook_scale"])
    norm(x, scale)
    halved = norm(x, Put({"hook_scale": 2 * scale.values["hook_scale"]}))
    assert torch.allclose(halved - norm.b, (plain - norm.b) / 2, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_single(dtype: torch.dtype) -> None:
    norm = norm_of(64, rms=True, bias=False).to(dtype)
    x = (torch.randn(8, 64, generator=torch.Generator().manual_seed(0)) * 100).to(dtype)
    record = Record(["hook_scale", "hook_normalized"])
    norm(x, record)
    exact = (x.double().pow(2).mean(-1, keepdim=True) + norm.eps).sqrt()
    assert torch.allclose(record.values["hook_scale"].double(), exact, rtol=1e-5)
    assert record.values["hook_normalized"].dtype == dtype
    assert norm(x, Same(["hook_normalized"])).dtype == dtype


def test_the_configuration_chooses() -> None:
    cfg = CONFIGURATIONS["decoder"]
    assert Norm.from_config(cfg).bias is not None
    assert Norm.from_config(cfg).weight.shape == (16,)
    assert Norm.from_config(cfg, 5).weight.shape == (5,)
    assert Norm.from_config(cfg.replace(norm_bias=False)).bias is None
    rms = Norm.from_config(cfg.replace(normalization_type="RMS", eps=0.5))
    assert (rms.rms, rms.bias, rms.eps) == (True, None, 0.5)
    assert torch.equal(rms.b, torch.zeros(16))


def test_the_points_are_listed_as_they_fire() -> None:
    norm = norm_of(4, rms=False, bias=True)
    journal = Journal()
    norm(torch.randn(2, 3, 4), journal)
    points = list(norm.hook_points())
    assert [point.name for point in points] == [name for name, _ in journal.entries]
    assert [point.shape for point in points] == ["batch pos 1", "batch pos d_model"]
    heads = [point.shape for point in norm.hook_points("batch pos head", "d_head")]
    assert heads == ["batch pos head 1", "batch pos head d_head"]
