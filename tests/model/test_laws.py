"""The laws every model obeys, whatever its shape and variant.

Property (a) of the list below is about a *cut*: a set of points through which everything flows
that the logits are made of. In a decoder or encoder it is the residual stream at one place, after
any sub-layer of any block. In an encoder-decoder two streams run side by side: the cut is the
decoder's stream together with the encoder's output, or the encoder's stream together with the
decoder's input. Values of a clean run put at a cut leave nothing of a corrupted run.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from interp.errors import HookError
from interp.model.hook_points import HookPoint
from interp.model.tap import NO_TAP, Record, chain
from interp.model.transformer import HookedTransformer
from tests.model.configurations import EACH_KIND, EVERY, build, example, one_of_each, shared_model
from tests.model.taps import Journal, Noise, Put, Same

_STREAM = ("hook_resid_pre", "hook_resid_mid", "hook_resid_mid_cross", "hook_resid_post")
_SPLIT = ("hook_attn_in", "hook_q_input", "hook_k_input", "hook_v_input")


def cuts(model: HookedTransformer) -> Iterator[tuple[str, ...]]:
    """All cuts of a model, each as the names of its points."""
    for name in model.hook_points:
        if name.endswith(_STREAM):
            if name.startswith("decoder."):
                yield name, f"encoder.{model.cfg.n_layers - 1}.hook_resid_post"
            elif name.startswith("encoder."):
                yield name, "decoder.0.hook_resid_pre"
            else:
                yield (name,)


def recorded(model: HookedTransformer, names: list[str] | None = None, **inputs: Tensor) -> Record:
    record = Record(model.hook_points if names is None else names)
    with torch.no_grad():
        model(**inputs, tap=record)
    return record


# -- (a) a full cut decides everything -------------------------------------------------------------


@EVERY
def test_a_clean_cut_gives_the_clean_logits_exactly(name: str) -> None:
    model = shared_model(name)
    clean, corrupted = example(model.cfg, seed=1), example(model.cfg, seed=2)
    logits = model(**clean)
    assert (model(**corrupted) - logits).abs().max() > 1e-2
    record = recorded(model, [point for cut in cuts(model) for point in cut], **clean)
    for cut in cuts(model):
        values = {point: record.values[point] for point in cut}
        assert torch.equal(model(**corrupted, tap=Put(values)), logits), cut
        hooks = [(point, lambda _, hook, v=value: v) for point, value in values.items()]
        assert torch.equal(model.run_with_hooks(**corrupted, fwd_hooks=hooks), logits), cut


@pytest.mark.parametrize("name", ["pair-original", "pair-t5", "pair-pre-norm"])
def test_one_stream_of_an_encoder_decoder_is_no_cut(name: str) -> None:
    model = shared_model(name)
    clean, corrupted = example(model.cfg, seed=1), example(model.cfg, seed=2)
    logits = model(**clean)
    for point in ("decoder.0.hook_resid_post", "encoder.0.hook_resid_post"):
        record = recorded(model, [point], **clean)
        patched = model(**corrupted, tap=Put(record.values))
        assert (patched - logits).abs().max() > 1e-3


@EVERY
def test_an_edit_between_sublayers_reaches_the_layer_and_the_skip_path(name: str) -> None:
    model = shared_model(name)
    mids = [p for p in model.hook_points if p.endswith("hook_resid_mid")]
    if model.cfg.parallel_attn_mlp or (model.cfg.attn_only and not model.cfg.n_decoder_layers):
        assert not mids
        return
    for mid in mids:
        block = mid.removesuffix("hook_resid_mid")
        record = Record(
            [p for p in model.hook_points if p.startswith(block) and p != mid], on_path=False
        )
        edited = recorded(model, [mid], **example(model.cfg, seed=3)).values[mid]
        model(**example(model.cfg), tap=chain(Put({mid: edited}), record))
        values = record.values
        entered = edited
        if model.cfg.norm_position == "post":
            norm = model.get_submodule(f"{block}ln1")
            entered = norm(edited)
        cross = f"{block}hook_cross_attn_out"
        reader = f"{block}hook_cross_attn_in" if cross in values else f"{block}hook_mlp_in"
        after = f"{block}hook_resid_mid_cross" if cross in values else f"{block}hook_resid_post"
        out = cross if cross in values else f"{block}hook_mlp_out"
        assert torch.equal(values[reader], entered)
        assert torch.equal(values[after], entered + values[out])


# -- (b), (c) the stream is a sum ------------------------------------------------------------------


@EVERY
def test_the_stream_is_the_sum_of_what_is_written_to_it(name: str) -> None:
    model = shared_model(name)
    values = recorded(model, **example(model.cfg)).values
    stacks = ("encoder", "decoder") if model.cfg.n_decoder_layers else ("blocks",)
    for stack in stacks:
        blocks = getattr(model, stack)
        for i, block in enumerate(blocks):
            at = {
                point.removeprefix(f"{stack}.{i}."): value
                for point, value in values.items()
                if point.startswith(f"{stack}.{i}.")
            }
            assert torch.equal(_add_up(block, at), at["hook_resid_post"])
            leaves = at.get("hook_normalized_resid_post", at["hook_resid_post"])
            if i + 1 < len(blocks):
                assert torch.equal(values[f"{stack}.{i + 1}.hook_resid_pre"], leaves)


def _add_up(block: torch.nn.Module, at: dict[str, Tensor]) -> Tensor:
    """The stream that leaves a block, from what entered and what was added; asserts on the way."""
    n_norm = 0

    def normed(stream: Tensor) -> Tensor:
        nonlocal n_norm
        n_norm += 1
        if "hook_normalized_resid_post" not in at:
            return stream
        out: Tensor = getattr(block, f"ln{n_norm}")(stream)
        return out

    stream = at["hook_resid_pre"] + at["hook_attn_out"]
    if "hook_resid_mid" in at:
        assert torch.equal(stream, at["hook_resid_mid"])
        stream = normed(stream)
    if "hook_cross_attn_out" in at:
        stream = stream + at["hook_cross_attn_out"]
        assert torch.equal(stream, at["hook_resid_mid_cross"])
        stream = normed(stream) if "hook_mlp_out" in at else stream
    return stream + at["hook_mlp_out"] if "hook_mlp_out" in at else stream


@EVERY
def test_head_results_and_bias_are_what_the_attention_adds(name: str) -> None:
    model = shared_model(name)
    values = recorded(model, **example(model.cfg)).values
    layers = 0
    for point, results in values.items():
        if point.endswith("hook_result"):
            attention = model.get_submodule(point.removesuffix(".hook_result"))
            out = point.replace("cross_attn.hook_result", "hook_cross_attn_out")
            out = out.replace("attn.hook_result", "hook_attn_out")
            assert results.shape[-2] == model.cfg.n_heads
            assert torch.allclose(results.sum(-2) + attention.b_O, values[out], atol=5e-6)
            layers += 1
    assert layers == model.cfg.n_layers + 2 * model.cfg.n_decoder_layers


# -- (d) every point fires once, in the documented order and shape, and every edit counts ----------


@EVERY
def test_every_point_fires_once_in_the_documented_order_and_shape(name: str) -> None:
    model = shared_model(name)
    cfg, inputs = model.cfg, example(model.cfg, batch=2, pos=7)
    journal = Journal()
    model(**inputs, tap=journal)
    assert [point for point, _ in journal.entries] == list(model.hook_points)
    sizes = {
        "batch": 2,
        "head": cfg.n_heads,
        "kv_head": cfg.n_key_value_heads,
        "source_pos": 7,
        "d_head": cfg.d_head,
        "d_model": cfg.d_model,
        "d_mlp": cfg.d_mlp,
        "d_vocab_out": cfg.d_vocab_out,
        "1": 1,
    }
    for point, value in journal.entries:
        decodes = point.startswith("decoder")
        pos = 6 if decodes else 7
        keys = 7 if "cross_attn" in point else pos
        here = {**sizes, "pos": pos, "query_pos": pos, "key_pos": keys}
        shape = model.hook_points[point].shape
        assert list(value.shape) == [here[dim] for dim in shape.split()], (point, shape)


@EVERY
def test_edited_points_fire_once_and_in_order_too(name: str) -> None:
    model = shared_model(name)
    names = [p for p in model.hook_points if not p.endswith(_SPLIT)]
    fired: list[str] = []

    class Opened(Same):
        def visit(self, name: str, value: Tensor) -> Tensor:
            fired.append(name)
            return value

    model(**example(model.cfg), tap=Opened(names))
    assert fired == names


@EVERY
def test_every_edit_changes_the_output(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    logits = model(**inputs)
    for point in one_of_each(model):
        same = model(**inputs, tap=Same([point]))
        assert torch.allclose(same, logits, atol=2e-5), point
        changed = model(**inputs, tap=Noise(point))
        assert changed.isfinite().all(), point
        assert (changed - same).abs().max() > 1e-3, point


@EACH_KIND
def test_a_hook_may_return_whatever_broadcasts(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    for point in one_of_each(model):
        ones = recorded(model, [point], **inputs).values[point] * 0 + 1
        if point.endswith("hook_attn_scores"):  # -inf * 0
            ones = torch.ones_like(ones)
        one = model.run_with_hooks(**inputs, fwd_hooks=[(point, lambda _, hook: torch.ones(()))])
        assert torch.allclose(one, model(**inputs, tap=Put({point: ones})), atol=1e-5), point


@EACH_KIND
def test_edits_that_contradict_each_other_are_refused(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    both = Same([f"{model.last_stack}.0.hook_q_input", f"{model.last_stack}.0.ln1.hook_scale"])
    if model.cfg.norm_position == "post":  # there ln1 comes after the heads and contradicts nothing
        assert torch.allclose(model(**inputs, tap=both), model(**inputs), atol=2e-5)
    else:
        with pytest.raises(HookError, match="cannot be edited in one forward"):
            model(**inputs, tap=both)


@EVERY
def test_an_edit_at_the_scores_acts_before_the_softmax(name: str) -> None:
    model = shared_model(name)
    for point in [p for p in model.hook_points if p.endswith("hook_attn_scores")]:
        part = point.removesuffix("hook_attn_scores")
        scores = recorded(model, [point], **example(model.cfg)).values[point]
        edited = scores + torch.randn(scores.shape, generator=torch.Generator().manual_seed(0))
        record = Record([f"{part}hook_pattern", f"{part}hook_z", f"{part}hook_v"])
        model(**example(model.cfg), tap=chain(Put({point: edited}), record))
        pattern = record.values[f"{part}hook_pattern"]
        assert torch.allclose(pattern, edited.softmax(-1), atol=1e-6)
        assert torch.allclose(
            _mixed(model, pattern, record.values[f"{part}hook_v"]),
            record.values[f"{part}hook_z"],
            atol=1e-5,
        )


@EVERY
def test_an_edited_pattern_reaches_the_values(name: str) -> None:
    model = shared_model(name)
    for point in [p for p in model.hook_points if p.endswith("hook_pattern")]:
        part = point.removesuffix("hook_pattern")
        pattern = recorded(model, [point], **example(model.cfg)).values[point]
        edited = torch.randn(pattern.shape, generator=torch.Generator().manual_seed(0))
        record = Record([f"{part}hook_z", f"{part}hook_v"])
        model(**example(model.cfg), tap=chain(Put({point: edited}), record))
        z = _mixed(model, edited, record.values[f"{part}hook_v"])
        assert torch.allclose(z, record.values[f"{part}hook_z"], atol=1e-5)


def _mixed(model: HookedTransformer, pattern: Tensor, v: Tensor) -> Tensor:
    """Values [batch, key_pos, kv_head, d_head], averaged: [batch, query_pos, head, d_head]."""
    v = v.repeat_interleave(model.cfg.n_heads // model.cfg.n_key_value_heads, 2)
    return torch.einsum("bhqk,bkhe->bqhe", pattern, v)


# -- (e) opening a fast path changes little, looking changes nothing -------------------------------


@EVERY
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 2e-5), (torch.float64, 1e-12)])
def test_fused_equals_opened(name: str, dtype: torch.dtype, bound: float) -> None:
    model = shared_model(name, dtype)
    inputs = example(model.cfg)
    logits = model(**inputs)
    norms = ("hook_scale", "hook_normalized")
    kinds = [("hook_attn_scores",), ("hook_pattern",), ("hook_result",), norms, _SPLIT]
    for kind in kinds:
        names = [point for point in model.hook_points if point.endswith(kind)]
        opened = model(**inputs, tap=Same(names))
        assert (opened - logits).abs().max() <= bound, kind


@EVERY
def test_looking_never_changes_a_bit(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    logits = model(**inputs)
    assert torch.equal(model(**inputs, tap=Record(model.hook_points)), logits)
    once = {point.rsplit(".", 1)[-1]: point for point in model.hook_points}
    for point in once.values():
        assert torch.equal(model(**inputs, tap=Record([point])), logits), point


@EACH_KIND
def test_looking_never_changes_the_draws_of_dropout(name: str) -> None:
    model = build(name, dropout=0.3).train()
    inputs = example(model.cfg)

    def run(tap: Record | None) -> Tensor:
        torch.manual_seed(0)
        out: Tensor = model(**inputs, tap=tap or NO_TAP)
        return out

    assert not torch.equal(run(None), model(**inputs))
    assert torch.equal(run(None), run(Record(model.hook_points)))


# -- (f) stopping and starting in between ----------------------------------------------------------


@EVERY
def test_stop_and_start_make_a_whole(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    logits = model(**inputs)
    stack = model.last_stack
    n_layers = len(getattr(model, stack))
    streams = recorded(model, **inputs).values
    for layer in range(n_layers + 1):
        stream = model(**inputs, stop_at_layer=layer)
        if layer < n_layers:
            assert torch.equal(stream, streams[f"{stack}.{layer}.hook_resid_pre"])
            assert torch.equal(stream, model(**inputs, stop_at_layer=layer - n_layers))
        if model.cfg.shape != "encoder_decoder":
            assert torch.equal(model(stream, start_at_layer=layer), logits)


# -- (i) nothing is left ---------------------------------------------------------------------------


@EACH_KIND
def test_nothing_is_left_after_an_exception_in_a_hook(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    logits = model(**inputs)
    points = list(model.hook_points)

    def fail(value: Tensor, hook: HookPoint) -> None:
        raise ZeroDivisionError(hook.name)

    for point in (points[0], points[len(points) // 2], points[-1]):
        with pytest.raises(ZeroDivisionError):
            model.run_with_hooks(**inputs, fwd_hooks=[(point, fail)])
        assert torch.equal(model(**inputs), logits)
        with pytest.raises(ZeroDivisionError), model.hooks(fwd_hooks=[(point, fail)]):
            model(**inputs)
        assert torch.equal(model(**inputs), logits)
        with pytest.raises(ZeroDivisionError), model.hooks(fwd_hooks=[(point, fail)]):
            model.run_with_cache(**inputs)
        assert torch.equal(model(**inputs), logits)


def test_no_module_ever_holds_a_hook() -> None:
    model = build("decoder")
    tokens = example(model.cfg)["tokens"]
    seen: list[Tensor] = []
    bwd = [(lambda name: name.endswith("_out"), lambda gradient, hook: seen.append(gradient))]
    with model.hooks(fwd_hooks=[("resid_pre0", lambda value, hook: value * 2)], bwd_hooks=bwd):
        model(tokens, return_type="loss").backward()
        _hookless(model)
    _hookless(model)
    assert seen


def _hookless(model: HookedTransformer) -> None:
    for module in model.modules():
        for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks"):
            assert not getattr(module, kind), (module, kind)
    assert not any(parameter._backward_hooks for parameter in model.parameters())
