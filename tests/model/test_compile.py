"""torch.compile: one graph without a tap, no more work in it than without hooks, and taps that are
never lost around it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.twin import Twin
from interp.model.config import TransformerConfig
from interp.model.hook_points import HookPoint
from interp.model.tap import Record
from interp.model.transformer import HookedTransformer
from tests.model.configurations import build, example, shared_model
from tests.model.taps import Put

POINT = "blocks.1.hook_resid_mid"
SIZES = [(2, 7), (2, 9), (2, 11), (3, 8), (4, 13), (2, 10)]


class Graphs:
    """A backend that runs graphs as they are and keeps them."""

    def __init__(self) -> None:
        self.graphs: list[torch.fx.GraphModule] = []

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        self.graphs.append(graph)
        return graph.forward


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def stance() -> str:
    return str(torch._dynamo.eval_frame._stance.stance)


@pytest.mark.parametrize("name", ["decoder", "decoder-gemma", "encoder-bert", "pair-t5"])
def test_a_forward_is_one_graph(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    graphs = Graphs()
    compiled = torch.compile(model, fullgraph=True, backend=graphs)
    assert torch.equal(compiled(**inputs), model(**inputs))
    assert torch.equal(compiled(**example(model.cfg, seed=1)), model(**example(model.cfg, seed=1)))
    assert len(graphs.graphs) == 1


def test_a_padded_batch_is_one_graph_too() -> None:
    for name in ("decoder", "encoder-bert"):
        model = shared_model(name)
        inputs = example(model.cfg)
        inputs["attention_mask"] = torch.ones_like(inputs["tokens"])
        inputs["attention_mask"][0, -2:] = 0
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        assert torch.equal(compiled(**inputs), model(**inputs))


def test_a_training_step_is_the_eager_one() -> None:
    model, peer = build("decoder"), build("decoder")
    tokens = example(model.cfg)["tokens"]
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    loss = compiled(tokens, return_type="loss")
    loss.backward()
    expected = peer(tokens, return_type="loss")
    expected.backward()
    assert torch.allclose(loss, expected, atol=1e-6)
    for ours, theirs in zip(model.parameters(), peer.parameters(), strict=True):
        assert ours.grad is not None and torch.allclose(ours.grad, theirs.grad, atol=1e-6)


def padded(model: HookedTransformer, batch: int, pos: int) -> dict[str, Tensor]:
    """A batch whose second text is shorter, on both sides of an encoder-decoder."""
    inputs = example(model.cfg, batch, pos)
    sides = {"attention_mask": "tokens", "decoder_attention_mask": "decoder_tokens"}
    for mask, tokens in sides.items():
        if tokens in inputs:
            inputs[mask] = torch.ones_like(inputs[tokens])
            inputs[mask][1, -2:] = 0
    return inputs


@pytest.mark.parametrize(
    "name", ["decoder", "decoder-llama", "encoder-bert", "pair-t5", "pair-rotary"]
)
def test_a_step_of_training_in_two_halves_is_one_graph_for_all_lengths(name: str) -> None:
    """The stream from the blocks, then the head; with dropout, masks, and segments where they
    belong. After the first length, the batch and the positions become variables of the graph."""
    model = build(name, dropout=0.1).train()
    n_layers = len(model.stack(model.last_stack).blocks)

    def step(**inputs: Tensor) -> Tensor:
        torch.manual_seed(0)  # both ways drop the same
        out = model.finish(model(**inputs, stop_at_layer=n_layers))
        (gradient,) = torch.autograd.grad(out.square().mean(), model.embed.weight)
        return torch.cat([out.flatten(), gradient.flatten()])

    graphs = Graphs()
    eager = [step(**padded(model, batch, pos)) for batch, pos in SIZES]
    model.compile(fullgraph=True, backend=graphs)
    for (batch, pos), expected in zip(SIZES, eager, strict=True):
        torch.testing.assert_close(step(**padded(model, batch, pos)), expected)
    assert len(graphs.graphs) <= 3


# Operations that only say how a tensor lies in memory.
_LAYOUT = ("view", "split", "expand", "unsqueeze", "transpose", "permute", "clone", "slice", "t.")


def _operations(model: nn.Module, tokens: Tensor) -> list[str]:
    from functorch.compile import make_boxed_func
    from torch._dynamo.backends.common import aot_autograd

    graphs: list[torch.fx.GraphModule] = []

    def keep(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        graphs.append(graph)
        boxed: Callable[..., Any] = make_boxed_func(graph.forward)
        return boxed

    with torch.no_grad():
        torch.compile(model, fullgraph=True, backend=aot_autograd(fw_compiler=keep))(tokens)
    (graph,) = graphs
    nodes = (node for node in graph.graph.nodes if node.op == "call_function")
    return [str(node.target).removeprefix("aten.") for node in nodes]


def test_the_graph_has_the_nodes_of_the_hook_free_twin() -> None:
    cfg = TransformerConfig(16, 3, 4, 29, 24, tie_word_embeddings=True)
    twin = Twin(d_vocab=29, n_ctx=24, width=16, n_layers=3, n_heads=4)
    tokens = example(cfg)["tokens"]
    ours, theirs = _operations(HookedTransformer(cfg), tokens), _operations(twin, tokens)

    def work(names: list[str]) -> Counter[str]:
        return Counter(name for name in names if not name.startswith(_LAYOUT))

    assert work(ours) == work(theirs)
    assert len(ours) <= len(theirs) + 3
    assert any("scaled_dot_product" in name for name in ours)


def double(value: Tensor, hook: HookPoint) -> Tensor:
    return value * 2


def test_a_tap_set_unset_and_set_again_is_never_lost() -> None:
    model = shared_model("decoder")
    tokens, more = example(model.cfg)["tokens"], example(model.cfg, seed=1)["tokens"]
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for ids in (tokens, more, tokens):
        plain = model(ids)
        expected = model.run_with_hooks(ids, fwd_hooks=[(POINT, double)])
        resid = Record([POINT])
        model(ids, tap=resid)
        assert torch.equal(compiled(ids), plain)
        # as an argument: a look, an edit
        record = Record([POINT, "blocks.1.attn.hook_pattern"])
        assert torch.allclose(compiled(ids, tap=record), plain, atol=2e-5)
        assert torch.allclose(record.values[POINT], resid.values[POINT], atol=2e-5)
        assert record.values["blocks.1.attn.hook_pattern"].shape == (2, 4, 7, 7)
        edited = compiled(ids, tap=Put({POINT: resid.values[POINT] * 2}))
        assert torch.allclose(edited, expected, atol=2e-5)
        assert torch.equal(compiled(ids), plain)
        # as a context
        with model.hooks(fwd_hooks=[(POINT, double)]):
            assert torch.equal(compiled(ids), expected)
            with model.hooks(fwd_hooks=[(POINT, double)]):
                assert not torch.equal(compiled(ids), expected)
            assert torch.equal(compiled(ids), expected)
        assert torch.equal(compiled(ids), plain)
        with compiled.hooks(fwd_hooks=[(POINT, double)]):
            assert torch.equal(compiled(ids), expected)
        # by the methods of the model
        assert torch.equal(compiled.run_with_hooks(ids, fwd_hooks=[(POINT, double)]), expected)
        logits, cache = compiled.run_with_cache(ids)
        assert torch.equal(logits, plain)
        assert torch.equal(cache[POINT], resid.values[POINT])
        assert torch.equal(compiled(ids), plain)
        assert stance() == "default"


def test_a_context_that_ends_in_an_exception_gives_the_compiler_back() -> None:
    model = shared_model("decoder")
    with pytest.raises(ZeroDivisionError), model.hooks(fwd_hooks=[(POINT, double)]):
        raise ZeroDivisionError
    assert stance() == "default"


def test_contexts_of_two_threads_that_overlap_lose_no_hook() -> None:
    """The first to enter is the first to leave; the second must stay hooked until it leaves."""
    model = shared_model("decoder")
    tokens = example(model.cfg)["tokens"]
    graphs = Graphs()
    compiled = torch.compile(model, fullgraph=True, backend=graphs)
    plain = compiled(tokens)
    expected = model.run_with_hooks(tokens, fwd_hooks=[(POINT, double)])
    second_is_in, first_is_out = Event(), Event()

    def first() -> None:
        with model.hooks(fwd_hooks=[(POINT, double)]):
            assert second_is_in.wait(60)

    def second() -> None:
        with model.hooks(fwd_hooks=[(POINT, double)]):
            second_is_in.set()
            assert first_is_out.wait(60)
            assert torch.equal(compiled(tokens), expected)

    with ThreadPoolExecutor(2) as pool:
        leaving, staying = pool.submit(first), pool.submit(second)
        leaving.result()
        assert stance() == "force_eager"
        first_is_out.set()
        staying.result()
    assert stance() == "default"
    assert torch.equal(compiled(tokens), plain)
    assert len(graphs.graphs) == 1


_COLD = """
import sys
import torch
from tests.model.configurations import build, example

model = build("decoder")
tokens = example(model.cfg)["tokens"]
assert "torch._dynamo" not in sys.modules
with model.hooks(fwd_hooks=[("resid_pre1", lambda value, hook: value * 0)]):
    expected = model(tokens)
    broken = torch.compile(model, backend="eager")
    assert torch.equal(broken(tokens), expected)
assert torch.equal(broken(tokens), model(tokens))
"""


def test_a_model_first_compiled_inside_a_context_does_not_lose_it(repository: Path) -> None:
    """The compiler is loaded by the compilation itself, so the context could not switch it off."""
    done = subprocess.run(
        [sys.executable, "-c", _COLD], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
