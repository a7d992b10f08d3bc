"""The last block at some positions gives what the whole block gives there."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from interp.model.leave import leave, some_logits
from tests.model.configurations import EVERY, example, shared_model


@EVERY
@pytest.mark.parametrize("start", [0, 2])
@pytest.mark.parametrize("positions", [(4,), (2, 3), (4, 1, 3)])
def test_the_last_block_at_some_positions(name: str, start: int, positions: Any) -> None:
    model = shared_model(name, torch.float64)
    inputs = example(model.cfg)
    with torch.no_grad():
        _, cache = model.run_with_cache(**inputs)
        replay = cache.require_replay()
        part = model.stack(model.last_stack)
        trace = replay.traces[part.name]
        if len(part.blocks) == 0 or trace.streams[0].shape[1] <= max(positions):
            pytest.skip("nothing to leave")
        if start and not part.causal:
            pytest.skip("every position sees every other")
        memory = trace.around.memory
        out = leave(
            part,
            trace.streams[-2][:, start:],
            positions,
            trace.position_ids,
            trace.keys,
            trace=trace,
            memory_keys=replay.batch.mask if memory is not None else None,
        )
    torch.testing.assert_close(out, trace.streams[-1][:, list(positions)], atol=1e-10, rtol=0)


@EVERY
def test_some_logits_are_columns_of_all(name: str) -> None:
    model = shared_model(name, torch.float64)
    if not model.cfg.has_vocabulary_head:
        pytest.skip("no vocabulary")
    with torch.no_grad():
        logits, cache = model.run_with_cache(**example(model.cfg))
        stream = cache.require_replay().traces[model.last_stack].streams[-1]
        found = some_logits(model, stream, (3, 1))
    plain = model.cfg.head == "lm" and model.cfg.output_logits_soft_cap <= 0
    assert (found is not None) == plain
    if found is not None:
        torch.testing.assert_close(found, logits[..., [3, 1]], atol=1e-10, rtol=0)
