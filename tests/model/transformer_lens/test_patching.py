"""TransformerLens's activation patching finds on our model what it finds on its own bridge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.model.configurations import example, shared_model
from tests.model.transformer_lens.models import CLEAN, CORRUPTED, Pair, close

pytest.importorskip("transformer_lens")

from transformer_lens import patching


def metric(logits: Tensor) -> Tensor:
    return (logits[:, -1, 7] - logits[:, -1, 8]).mean()


SWEEPS = [
    "resid_pre",
    "attn_out",
    "mlp_out",
    *(f"attn_head_{part}_by_pos" for part in ("out", "q", "k", "v", "pattern")),
    *(f"attn_head_{part}_all_pos" for part in ("out", "q", "k", "v", "pattern")),
    "attn_head_pattern_dest_src_pos",
    "attn_head_all_pos_every",
    "attn_head_by_pos_every",
    "block_every",
]


@pytest.mark.parametrize("sweep", SWEEPS)
def test_patching(sweep: str, plain: Pair) -> None:
    function = getattr(patching, f"get_act_patch_{sweep}")
    results = []
    for model in plain:
        _, clean_cache = model.run_with_cache(CLEAN)
        results.append(function(model, CORRUPTED, clean_cache, metric))
    close(results[0], results[1])
    assert results[0].unique().numel() > 1  # patches differ, so equality says something


def test_patching_by_example_with_a_baseline(plain: Pair) -> None:
    results = []
    for model in plain:
        _, clean_cache = model.run_with_cache(CLEAN)
        result = patching.get_act_patch_block_every(
            model,
            CORRUPTED,
            clean_cache,
            lambda logits: logits[:, -1, 7],
            reduce="none",
            baseline=True,
        )
        results.append(result)
    close(results[0].values, results[1].values)
    close(results[0].effect(), results[1].effect())


def test_patching_the_middle_of_the_stream(plain: Pair) -> None:
    """TransformerLens 4's bridge patches what the feed-forward layer reads and not the skip path.

    Patched at all positions, the clean stream must give the clean logits. On our model it does,
    to the last bit; on the bridge the stream that leaves the block is partly the corrupted one.
    """
    mine, _ = plain
    for model in plain:
        clean, cache = model.run_with_cache(CLEAN)
        corrupted = model(CORRUPTED)
        for layer in range(2):
            name = f"blocks.{layer}.hook_resid_mid"
            hook = [(name, lambda value, hook, clean=cache[name]: clean)]
            patched = model.run_with_hooks(CORRUPTED, fwd_hooks=hook)
            if model is mine:
                assert torch.equal(patched, clean)
            else:
                assert (patched - clean).abs().max() > 0.1 * (corrupted - clean).abs().max()
    # The tool, which patches one position at a time: the last row of the last layer alone decides
    # what the last position says.
    clean, cache = mine.run_with_cache(CLEAN)
    recovered = patching.get_act_patch_resid_mid(mine, CORRUPTED, cache, metric)
    torch.testing.assert_close(recovered[1, -1], metric(clean), atol=1e-6, rtol=0)


def test_patching_single_paths(plain: Pair) -> None:
    """From one head into the query, key or value of a later one (Wang et al. 2022)."""
    for component in ("q", "k", "v"):
        results = []
        for model in plain:
            _, clean = model.run_with_cache(CLEAN)
            _, corrupted = model.run_with_cache(CORRUPTED)
            result = patching.get_act_patch_direct_path_all_sources(
                model, CORRUPTED, clean, corrupted, metric, component, verbose=False
            )
            results.append(result)
        close(results[0], results[1])
        assert results[0][0, :, 1].unique().numel() > 1


@pytest.mark.parametrize("name", ["decoder-llama", "decoder-parallel", "decoder-attn-only"])
def test_patching_other_variants(name: str) -> None:
    """Grouped heads, rotation, parallel and missing feed-forward layers: no bridge to compare
    with, but patching the last layer's stream at the last position must give the clean metric."""
    model = shared_model(name)
    clean, corrupted = (example(model.cfg, seed=seed)["tokens"] for seed in (0, 1))
    logits, cache = model.run_with_cache(clean)
    heads = patching.get_act_patch_attn_head_all_pos_every(model, corrupted, cache, metric)
    assert heads.shape == (5, 3, 4) and heads.isfinite().all()
    streams = patching.get_act_patch_resid_pre(model, corrupted, cache, metric)
    expected = metric(model.run_with_hooks(corrupted, fwd_hooks=[_put(cache, -1)]))
    torch.testing.assert_close(streams[-1, -1], expected)
    assert streams.unique().numel() > 1
    assert logits.isfinite().all()


def _put(cache: Any, position: int) -> tuple[str, Callable[..., Tensor]]:
    def hook(value: Tensor, hook: Any) -> Tensor:
        value[:, position] = cache[hook.name][:, position]
        return value

    return "blocks.2.hook_resid_pre", hook
