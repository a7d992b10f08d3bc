"""What splits the stream takes positions, rows, tokens and neurons, and refuses the rest."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from interp.errors import CacheError, HookError, InputError, UnsupportedModelError
from tests.model.configurations import CONFIGURATIONS, build, example, shared_model
from tests.model.pre_norm import EACH, close, n_blocks, run

specs = st.one_of(
    st.none(),
    st.integers(-7, 6),
    st.lists(st.integers(-7, 6), min_size=1, max_size=4),
    st.tuples(st.integers(0, 7)),
    st.tuples(st.integers(0, 7), st.integers(0, 7)),
    st.tuples(st.integers(0, 6), st.integers(1, 7), st.integers(1, 3)),
)


def python_cut(x: Tensor, spec: Any) -> Tensor:
    """[component, batch, pos, ...] cut at pos, written without the function under test."""
    if spec is None:
        return x
    return x[:, :, slice(*spec) if isinstance(spec, tuple) else spec]


@settings(max_examples=30)
@given(specs, st.booleans(), st.sampled_from(["decoder", "decoder-llama", "decoder-parallel"]))
def test_cutting_positions_first_and_last_is_the_same(spec: Any, ln: bool, name: str) -> None:
    model, _, cache = run(name)
    direction = torch.randn(model.cfg.d_model, dtype=torch.float64)
    for call in (cache.decompose_resid, cache.accumulated_resid, cache.stack_head_results):
        close(call(pos_slice=spec, apply_ln=ln), python_cut(call(apply_ln=ln), spec))
    for call in (cache.stack_neuron_results, cache.get_full_resid_decomposition):
        whole = call(apply_ln=ln, project_output_onto=direction)
        cut_first = call(apply_ln=ln, pos_slice=spec, project_output_onto=direction)
        close(cut_first, python_cut(whole, spec))


@settings(max_examples=50)
@given(specs)
def test_attributions_of_some_positions(spec: Any) -> None:
    _, _, cache = run("decoder")
    whole = cache.logit_attrs(cache.decompose_resid(), 3)
    some = cache.logit_attrs(cache.decompose_resid(pos_slice=spec), 3, pos_slice=spec)
    close(some, python_cut(whole, spec))


@pytest.mark.parametrize("rows", [0, (1, 2), [1, 0], None])
def test_attributions_of_some_rows(rows: Any) -> None:
    _, _, cache = run("decoder")
    parts = cache.decompose_resid()
    whole = cache.logit_attrs(parts, 3)
    index = slice(*rows) if isinstance(rows, tuple) else slice(None) if rows is None else rows
    close(cache.logit_attrs(parts, 3, batch_slice=rows), whole[:, index])
    if rows == 0:
        cut = cache.logit_attrs(parts[:, 0], 3, batch_slice=0, has_batch_dim=False)
        close(cut, whole[:, 0])


def test_attributions_of_a_token_per_row() -> None:
    _, _, cache = run("decoder")
    parts = cache.decompose_resid()
    per_row = cache.logit_attrs(parts, torch.tensor([3, 5]))
    for row, token in enumerate((3, 5)):
        close(per_row[:, row], cache.logit_attrs(parts, token)[:, row])
    at_end = cache.logit_attrs(
        cache.decompose_resid(pos_slice=-1), torch.tensor([3, 5]), pos_slice=-1
    )
    close(at_end, per_row[:, :, -1])


def test_attributions_of_the_same_number_of_rows_and_positions() -> None:
    """One token per row: the rows win, as in TransformerLens."""
    model = shared_model("decoder", torch.float64)
    _, cache = model.run_with_cache(torch.tensor([[1, 2], [3, 4]]))
    parts = cache.decompose_resid()
    per_row = cache.logit_attrs(parts, torch.tensor([3, 5]))
    close(per_row[:, 1], cache.logit_attrs(parts, 5)[:, 1])
    per_pos = cache.logit_attrs(parts, torch.tensor([[3, 5]]))
    close(per_pos[:, :, 1], cache.logit_attrs(parts, 5)[:, :, 1])


def test_without_batch_dimension() -> None:
    model = shared_model("decoder", torch.float64)
    tokens = example(model.cfg, batch=1)["tokens"]
    _, batched = model.run_with_cache(tokens)
    _, single = model.run_with_cache(tokens, remove_batch_dim=True)
    for method in (
        "decompose_resid",
        "accumulated_resid",
        "stack_head_results",
        "stack_neuron_results",
        "get_full_resid_decomposition",
    ):
        for ln in (False, True):
            with_batch = getattr(batched, method)(apply_ln=ln, pos_slice=(1, 4))
            without = getattr(single, method)(apply_ln=ln, pos_slice=(1, 4))
            close(without, with_batch[:, 0])
    parts = single.decompose_resid()
    attributions = single.logit_attrs(parts, 3, has_batch_dim=False)
    close(attributions, batched.logit_attrs(batched.decompose_resid(), 3)[:, 0])


@EACH
def test_labels_name_the_components(name: str) -> None:
    model, _, cache = run(name)
    n, cfg = n_blocks(model), model.cfg
    for call in (
        cache.decompose_resid,
        cache.accumulated_resid,
        cache.stack_head_results,
        cache.stack_neuron_results,
        cache.get_full_resid_decomposition,
    ):
        parts, labels = call(return_labels=True)
        assert len(parts) == len(labels) == len(set(labels))
    parts, labels = cache.decompose_resid(return_labels=True)
    part = parts[labels.index(f"{n - 1}_attn_out")]
    close(part, cache[f"{model.last_stack}.{n - 1}.hook_attn_out"])
    _, labels = cache.accumulated_resid(return_labels=True, incl_mid=True)
    parallel_or_not_split = cfg.parallel_attn_mlp or (cfg.attn_only and cfg.shape == "decoder")
    assert ("0_mid" in labels) != parallel_or_not_split
    assert labels[0] == "0_pre" and labels[-1] == "final_post"


def test_the_labels_are_those_of_transformer_lens() -> None:
    """As its documentation lists them, for two layers of two heads and three neurons."""
    cfg = CONFIGURATIONS["decoder"].replace(n_layers=2, n_heads=2, n_key_value_heads=2, d_mlp=3)
    model = build(cfg)
    _, cache = model.run_with_cache(torch.tensor([[1, 2, 3]]))

    def labels(method: str, *args: Any, **options: Any) -> str:
        return " ".join(getattr(cache, method)(*args, return_labels=True, **options)[1])

    assert labels("accumulated_resid") == "0_pre 1_pre final_post"
    assert labels("accumulated_resid", incl_mid=True) == "0_pre 0_mid 1_pre 1_mid final_post"
    assert labels("accumulated_resid", 1, mlp_input=True) == "0_pre 1_pre 1_mid"
    out = "embed pos_embed 0_attn_out 0_mlp_out 1_attn_out 1_mlp_out"
    assert labels("decompose_resid") == out
    assert labels("decompose_resid", mode="attn", incl_embeds=False) == "0_attn_out 1_attn_out"
    assert labels("decompose_resid", mode="mlp") == "embed pos_embed 0_mlp_out 1_mlp_out"
    assert labels("decompose_resid", 0, mlp_input=True) == "embed pos_embed 0_attn_out"
    heads, neurons = "L0H0 L0H1 L1H0 L1H1", "L0N0 L0N1 L0N2 L1N0 L1N1 L1N2"
    assert labels("stack_head_results") == heads
    assert labels("stack_head_results", 1, incl_remainder=True) == "L0H0 L0H1 remainder"
    assert labels("stack_neuron_results") == neurons
    assert labels("stack_neuron_results", neuron_slice=1) == "L0N1 L1N1"
    assert labels("stack_neuron_results", neuron_slice=(1, 3)) == "L0N1 L0N2 L1N1 L1N2"
    whole = "get_full_resid_decomposition"
    assert labels(whole) == f"{heads} {neurons} embed pos_embed bias"
    layers = labels(whole, expand_neurons=False)
    assert layers == f"{heads} 0_mlp_out 1_mlp_out embed pos_embed bias"


@pytest.mark.parametrize("neurons", [None, 2, -1, (1, 4), [3, 0]])
def test_neurons_of_one_layer(neurons: Any) -> None:
    model, _, cache = run("decoder")
    index = slice(*neurons) if isinstance(neurons, tuple) else neurons
    index = slice(None) if neurons is None else index
    acts, rows = cache["post", 1], model.W_out[1]
    expected = acts[..., index, None] * rows[index]
    close(cache.get_neuron_results(1, neurons), expected)
    onto = torch.randn(model.cfg.d_model, 2, dtype=torch.float64)
    close(cache.get_neuron_results(1, neurons, project_output_onto=onto), expected @ onto)
    one = cache.get_neuron_results(1, neurons, project_output_onto=onto[:, 0])
    close(one, expected @ onto[:, 0])
    at_end = cache.get_neuron_results(1, neurons, pos_slice=-1)
    close(at_end, expected[:, -1])


def test_a_stack_of_one_activation() -> None:
    _, _, cache = run("decoder")
    stacked = cache.stack_activation("pattern")
    close(stacked[2], cache["pattern", 2])
    assert len(cache.stack_activation("scale", 2, "ln2")) == 2
    close(cache.stack_activation("scale", 2, "ln2")[1], cache["blocks.1.ln2.hook_scale"])


def test_nothing_before_the_first_block_is_an_empty_stack() -> None:
    _, _, cache = run("decoder")
    assert cache.stack_head_results(0).shape == (0, 2, 7, 16)
    assert cache.stack_neuron_results(0, pos_slice=-1).shape == (0, 2, 16)
    assert cache.decompose_resid(0, incl_embeds=False).shape == (0, 2, 7, 16)


def test_a_cache_of_single_activations_is_enough() -> None:
    """The names that a decomposition reads are those that its own definition speaks of."""
    model, _, whole = run("decoder")
    names = ["ln_final.hook_scale", *(f"blocks.{i}.attn.hook_z" for i in range(3))]
    _, cache = model.run_with_cache(**example(model.cfg), names_filter=names)
    close(cache.stack_head_results(apply_ln=True), whole.stack_head_results(apply_ln=True))
    with pytest.raises(HookError, match="was not kept"):
        cache.stack_head_results(incl_remainder=True)


@pytest.mark.parametrize("spec", [-1, (2, 5), [0, 3], None])
def test_a_cache_of_some_positions(spec: Any) -> None:
    """A single position stays an axis of length 1, so that what is stacked keeps its form."""
    model, _, whole = run("decoder")
    _, cache = model.run_with_cache(**example(model.cfg), pos_slice=spec)
    kept = [spec] if spec == -1 else spec
    direction = torch.randn(model.cfg.d_model, dtype=torch.float64)
    parts = cache.get_full_resid_decomposition(apply_ln=True, project_output_onto=direction)
    every = whole.get_full_resid_decomposition(apply_ln=True, project_output_onto=direction)
    close(parts, python_cut(every, kept))
    assert cache["pattern", 0].shape == (2, 4, parts.shape[2], 7)


def test_an_edited_head_is_shown_as_edited() -> None:
    model, _, _ = run("decoder")
    name = "blocks.0.attn.hook_result"
    with model.hooks([(name, lambda result, hook: result * 2)]):
        _, cache = model.run_with_cache(**example(model.cfg), names_filter=lambda _: True)
    close(cache.stack_head_results()[0], cache[name][..., 0, :])
    close(cache.stack_head_results(incl_remainder=True).sum(0), cache["resid_post", -1])


def test_weights_are_not_followed_by_gradients() -> None:
    """A cache holds values: what is made of them needs no graph, unless the caller's stack does."""
    model = build("decoder")
    _, cache = model.run_with_cache(**example(model.cfg))
    parts = cache.get_full_resid_decomposition(apply_ln=True)
    assert not parts.requires_grad
    assert not cache.logit_attrs(parts, 3).requires_grad
    mine = cache.decompose_resid().requires_grad_()
    assert cache.logit_attrs(mine, 3).requires_grad
    assert cache.apply_ln_to_stack(mine, recompute_ln=True).requires_grad


# -- what is refused -----------------------------------------------------------------------------

POST_NORM = [name for name, cfg in CONFIGURATIONS.items() if cfg.norm_position == "post"]


@pytest.mark.parametrize("name", POST_NORM)
def test_post_norm_streams_are_refused(name: str) -> None:
    _, _, cache = run(name)
    for method in (
        "decompose_resid",
        "accumulated_resid",
        "stack_head_results",
        "stack_neuron_results",
        "get_full_resid_decomposition",
    ):
        with pytest.raises(UnsupportedModelError, match="post-norm"):
            getattr(cache, method)()


def test_heads_that_are_not_linear_are_refused() -> None:
    _, _, cache = run("encoder-rotary")
    with pytest.raises(UnsupportedModelError, match="'mlm'"):
        cache.logit_attrs(cache.decompose_resid(), 3)


def test_dropout_is_refused() -> None:
    model = build("decoder", dropout=0.5).train()
    _, cache = model.run_with_cache(**example(model.cfg))
    with pytest.raises(UnsupportedModelError, match="training mode"):
        cache.decompose_resid()


@pytest.mark.parametrize("layer", [4, -2])
def test_a_layer_that_does_not_exist(layer: int) -> None:
    _, _, cache = run("decoder")
    with pytest.raises(InputError, match=f"no layer {layer}"):
        cache.decompose_resid(layer)
    with pytest.raises(InputError, match=f"no layer {layer}"):
        cache.stack_activation("resid_pre", layer)


def test_bad_arguments() -> None:
    _, _, cache = run("decoder")
    with pytest.raises(InputError, match="no feed-forward layer 3"):
        cache.accumulated_resid(mlp_input=True)
    with pytest.raises(InputError, match="mode is 'heads'"):
        cache.decompose_resid(mode="heads")
    with pytest.raises(InputError, match="not in an axis of length 7"):
        cache.decompose_resid(pos_slice=7)
    parts = cache.decompose_resid()
    with pytest.raises(InputError, match="must be the same"):
        cache.logit_attrs(parts, 3, torch.tensor([3, 4]))
    with pytest.raises(InputError, match="do not fit"):
        cache.logit_attrs(parts, torch.tensor([1, 2, 3]))
    with pytest.raises(InputError, match="no ids of this vocabulary"):
        cache.logit_attrs(parts, 29)
    for layer in (3, -4):
        with pytest.raises(InputError, match="no feed-forward layer"):
            cache.get_neuron_results(layer)
    with pytest.raises(InputError, match="no neurons"):
        run("decoder-attn-only")[2].get_neuron_results(0)


def test_changed_weights_are_noticed() -> None:
    model = build("decoder")
    _, cache = model.run_with_cache(**example(model.cfg))
    with torch.no_grad():
        model.embed.weight.add_(1)
    with pytest.raises(CacheError, match="have changed"):
        cache.decompose_resid()
