"""Contestants compute one function, and one that does not is found out."""

from __future__ import annotations

import pytest
import torch

from benchmarks import peers
from benchmarks.peers import HF, INTERP, TWIN, Peer, Shape

TINY = Shape("tiny", width=16, n_layers=2, n_heads=2, d_vocab=31, n_ctx=16, batch=2, pos=9)


def test_all_contestants_give_the_same_logits() -> None:
    contestants = peers.build(TINY, "cpu", torch.float32)  # asserts agreement itself
    assert {HF, INTERP, TWIN} <= {peer.name for peer in contestants}
    assert tuple(peer.name for peer in contestants) == peers.installed()


def test_the_twin_is_our_model_to_double_precision() -> None:
    ours, twin = (
        next(peer for peer in peers.build(TINY, "cpu", torch.float64) if peer.name == name)
        for name in (INTERP, TWIN)
    )
    tokens = TINY.tokens("cpu")
    with torch.no_grad():
        torch.testing.assert_close(ours.logits(tokens), twin.logits(tokens), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("parameter", ["layers.1.mlp.down.bias", "layers.0.ln2.weight"])
def test_a_contestant_that_computes_something_else_is_refused(parameter: str) -> None:
    source = peers.gpt2(TINY)
    other = peers.twin_of(source)
    with torch.no_grad():
        other.get_parameter(parameter).mul_(1.5)
    contestants = [peers.HuggingFace(HF, source), Peer(TWIN, other)]
    with torch.no_grad(), pytest.raises(AssertionError, match=f"{TWIN} computes another"):
        peers.check_agreement(contestants, TINY.tokens("cpu"))


def test_every_line_that_a_contestant_offers_runs() -> None:
    tokens = TINY.tokens("cpu")
    with torch.no_grad():
        for peer in peers.build(TINY, "cpu", torch.float32):
            for task in peer.analyses(tokens, 0).values():
                task()


def test_the_early_name_is_the_stream_after_that_block_for_all() -> None:
    tokens = TINY.tokens("cpu")
    found = {}
    with torch.no_grad():
        for peer in peers.build(TINY, "cpu", torch.float32):
            if peer.name == TWIN:
                continue
            kept = peer.analyses(tokens, 0)[peers.EARLY]()
            if peer.name == HF:
                out = kept[0]
                found[peer.name] = out if isinstance(out, torch.Tensor) else out[0]
            else:
                found[peer.name] = kept[1]["blocks.0.hook_resid_post"]
    for value in found.values():
        torch.testing.assert_close(value, found[HF], rtol=1e-4, atol=1e-5)
