"""Two threads, one model, different taps: neither ever sees what the other does."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from torch import Tensor

from interp.model.ambient import UNCOMPILED, ambient_tap
from interp.model.tap import NO_TAP, Record, chain
from tests.model.configurations import example, shared_model
from tests.model.taps import Put

RUNS = 200


def at_once(*jobs: Callable[[], None]) -> None:
    """Runs the jobs in threads that start together; raises what any of them raises."""
    barrier = Barrier(len(jobs))

    def start(job: Callable[[], None]) -> None:
        barrier.wait()
        job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        for future in [pool.submit(start, job) for job in jobs]:
            future.result()


@pytest.mark.parametrize("name", ["decoder", "pair-pre-norm"])
def test_taps_of_two_threads_never_meet(name: str) -> None:
    model = shared_model(name)
    point = f"{model.last_stack}.1.hook_resid_pre"
    after = f"{model.last_stack}.1.attn.hook_pattern"

    def job(seed: int) -> Callable[[], None]:
        inputs = example(model.cfg, seed=seed, pos=5 + seed)
        other = example(model.cfg, seed=seed + 10, pos=5 + seed)
        value = Record([point])
        model(**other, tap=value)
        expected = Record([point, after])
        logits = model(**inputs, tap=chain(Put(value.values), expected))
        plain = model(**inputs)

        def run() -> None:
            for _ in range(RUNS):
                record = Record([point, after])
                assert torch.equal(model(**inputs, tap=chain(Put(value.values), record)), logits)
                for seen, kept in expected.values.items():
                    assert torch.equal(record.values[seen], kept)
                assert torch.equal(model(**inputs), plain)

        return run

    at_once(job(0), job(1))


def test_contexts_of_two_threads_never_meet() -> None:
    model = shared_model("decoder")
    tokens = example(model.cfg)["tokens"]
    plain = model(tokens)

    def job(factor: float) -> Callable[[], None]:
        def scale(value: Tensor, hook: object) -> Tensor:
            return value * factor

        hooks = [("blocks.1.hook_mlp_out", scale)]
        expected = model.run_with_hooks(tokens, fwd_hooks=hooks)
        assert not torch.equal(expected, plain)

        def run() -> None:
            for _ in range(RUNS):
                with model.hooks(fwd_hooks=hooks):
                    assert torch.equal(model(tokens), expected)
                    _, cache = model.run_with_cache(tokens, names_filter="mlp_out1")
                    assert cache["mlp_out", 1].shape == (2, 7, 16)
                assert torch.equal(model(tokens), plain)
            assert ambient_tap(model) is NO_TAP

        return run

    at_once(job(2.0), job(-3.0))
    assert UNCOMPILED.inside == 0
    assert UNCOMPILED.stance is None


def test_caches_of_two_threads_never_meet() -> None:
    model = shared_model("decoder-llama")

    def job(seed: int) -> Callable[[], None]:
        tokens = example(model.cfg, seed=seed)["tokens"]
        _, eager = model.run_with_cache(tokens, names_filter=lambda name: True)

        def run() -> None:
            for i in range(RUNS):
                _, cache = model.run_with_cache(tokens)
                name = list(cache)[i % len(cache)]
                assert torch.allclose(cache[name], eager[name], atol=2e-5)

        return run

    at_once(job(0), job(1))


def test_a_context_ends_at_its_thread() -> None:
    model = shared_model("decoder")
    tokens = example(model.cfg)["tokens"]
    plain = model(tokens)
    seen: list[Tensor] = []
    with (
        model.hooks(fwd_hooks=[("resid_pre1", lambda value, hook: value * 0)]),
        ThreadPoolExecutor(1) as pool,
    ):
        seen.append(pool.submit(model, tokens).result())
    assert torch.equal(seen[0], plain)
