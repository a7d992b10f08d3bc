"""Conductance: full cuts pass on the whole difference, parts of a cut their part of it."""

from __future__ import annotations

from typing import Any

import captum.attr
import pytest
import torch
from torch import Tensor

import interp
from interp import HookError, InputError
from interp.explain import Baseline, Target, attribute
from interp.explain.inside.conductance import conductance
from interp.pretrained.bridge import wrap
from tests.model.configurations import example, shared_model
from tests.model.transformer_lens.models import bridge, gpt2

CUTS = [
    "decoder",
    "decoder-llama",
    "decoder-soft-cap",
    "decoder-post-norm",
    "decoder-parallel",
    "decoder-classification",
    "encoder-bert",
    "encoder-mean-classification",
]


def read(name: str) -> tuple[Any, Tensor, dict[str, Any]]:
    model = shared_model(name, torch.float64)
    inputs: dict[str, Any] = dict(example(model.cfg, batch=1))
    return model, inputs.pop("tokens"), inputs


def streams(name: str) -> bool:
    return name.startswith("blocks") and "resid" in name


@pytest.mark.parametrize("name", CUTS)
def test_every_cut_of_the_stream_passes_on_the_whole_difference(name: str) -> None:
    model, ids, inputs = read(name)
    found = conductance(model, ids, streams, Target.logit(1), inputs=inputs, tolerance=1e-7)
    assert found.converged and found.gap <= 1e-7 * abs(found.difference)
    whole = [found.through(point) for point in found.scores]
    assert whole == pytest.approx([found.difference] * len(whole), rel=2e-7)
    # Between cuts nothing is lost: they agree far better than the integral is exact.
    assert whole == pytest.approx([whole[0]] * len(whole), abs=1e-10)
    assert len(whole) >= 6


def test_what_both_ends_are_is_what_the_model_says() -> None:
    model, ids, _ = read("decoder")
    found = conductance(model, ids, "resid_pre1", Target.logit(3))
    mean = model.W_E.mean(0).expand(1, 7, -1)
    start = model.run_with_hooks(ids, fwd_hooks=[("hook_embed", lambda value, hook: mean)])
    assert found.value == pytest.approx(model(ids)[0, -1, 3].item())
    assert found.baseline_value == pytest.approx(start[0, -1, 3].item())


def test_a_pair_is_cut_across_both_stacks() -> None:
    """What leaves the encoder and what enters the decoder carry it all, each its part."""
    model, ids, inputs = read("pair-pre-norm")
    names = ["encoder.2.hook_resid_post", "decoder.0.hook_resid_pre", "decoder.1.hook_resid_post"]
    found = conductance(model, ids, names, Target.logit(4), inputs=inputs, tolerance=1e-7)
    encoder, entry, exit = (found.through(name) for name in names)
    assert encoder + entry == pytest.approx(found.difference, rel=2e-7)
    assert exit == pytest.approx(found.difference, rel=2e-7)
    assert min(abs(encoder), abs(entry)) > 1e-3


@pytest.mark.parametrize("name", ["decoder", "decoder-llama", "encoder-bert"])
def test_neurons_pass_on_what_their_layer_writes(name: str) -> None:
    model, ids, inputs = read(name)
    names = ["blocks.1.mlp.hook_post", "blocks.1.hook_mlp_out", "blocks.1.attn.hook_z"]
    found = conductance(model, ids, [*names, "blocks.1.hook_attn_out"], inputs=inputs)
    neurons, mlp, heads = (found.scores[name].flatten(1).sum(1) for name in names)
    torch.testing.assert_close(neurons, mlp, atol=1e-10, rtol=0)
    attention = found.scores["blocks.1.hook_attn_out"].sum(1)
    torch.testing.assert_close(heads, attention, atol=1e-10, rtol=0)
    assert found.through(names[0]) != pytest.approx(found.difference, abs=1e-3)


def test_of_the_first_stream_it_is_integrated_gradients() -> None:
    model, ids, _ = read("decoder")
    target = Target.log_prob(4)
    found = conductance(model, ids, "blocks.0.hook_resid_pre", target)
    scores = found.scores["blocks.0.hook_resid_pre"].sum(1)
    expected = attribute(model, ids, target=target).scores
    assert scores.tolist() == pytest.approx(list(expected), abs=1e-12)


@pytest.mark.parametrize("name", ["decoder-llama", "encoder-mean-classification"])
def test_captum_finds_the_same(name: str) -> None:
    model, ids, _ = read(name)
    target = Target.logit(1)
    found = conductance(model, ids, "blocks.1.hook_resid_post", target, tolerance=1e-6)

    def logit(embedded: Tensor) -> Tensor:
        rows = ids.expand(len(embedded), -1)
        out = model.run_with_hooks(rows, fwd_hooks=[("hook_embed", lambda v, hook: embedded)])
        return out[:, 1] if out.ndim == 2 else out[:, -1, 1]

    embedded = model.W_E[ids].detach()
    start = model.W_E.detach().mean(0).expand_as(embedded)
    theirs = captum.attr.LayerConductance(logit, model.blocks[1])
    # Theirs takes differences of the units between the steps: first order, so many steps.
    expected = theirs.attribute(embedded, start, n_steps=1000, internal_batch_size=100)[0]
    ours = found.scores["blocks.1.hook_resid_post"]
    torch.testing.assert_close(ours, expected.double(), atol=5e-3, rtol=0)
    assert expected.abs().max() > 0.05


def test_several_baselines_count_by_their_mean() -> None:
    model, ids, _ = read("decoder")
    others = [example(model.cfg, batch=1, seed=seed)["tokens"] for seed in (1, 2)]
    name, target = "blocks.1.mlp.hook_post", Target.logit(4)
    both = conductance(model, ids, name, target, Baseline.samples(others), tolerance=1e-5)
    each = [
        conductance(model, ids, name, target, Baseline.text(other), tolerance=1e-5)
        for other in others
    ]
    mean = (each[0].scores[name] + each[1].scores[name]) / 2
    torch.testing.assert_close(both.scores[name], mean, atol=1e-4, rtol=0)


def test_nothing_flows_where_the_target_does_not_look() -> None:
    model, ids, _ = read("decoder")
    names = ["blocks.1.hook_resid_pre", "blocks.2.hook_resid_post"]
    found = conductance(model, ids, names, Target.logit(4, position=3))
    assert (found.scores[names[0]][4:] == 0).all() and (found.scores[names[0]][3] != 0).any()
    last = found.scores[names[1]].abs().sum(1)
    assert last.nonzero().tolist() == [[3]]
    padded = torch.cat([torch.full((1, 2), 7), ids], 1)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1, 1]])
    moved = conductance(
        model, padded, names, Target.logit(4, position=3), inputs={"attention_mask": mask}
    )
    for name in names:
        assert (moved.scores[name][:2] == 0).all()
        torch.testing.assert_close(moved.scores[name][2:], found.scores[name], atol=1e-6, rtol=0)


def test_another_librarys_model_is_opened_too() -> None:
    ids, names = torch.tensor([[0, 3, 7, 3, 9, 11]]), ["blocks.0.mlp.hook_post"]
    names.append("blocks.1.hook_resid_pre")
    mine = conductance(interp.load(gpt2()), ids, names, Target.logit(5))
    bridged = wrap(bridge())
    other = conductance(bridged, ids, names, Target.logit(5))
    assert other.difference == pytest.approx(mine.difference, abs=1e-4)
    for name in names:
        torch.testing.assert_close(other.scores[name], mine.scores[name], atol=1e-4, rtol=0)


def test_the_frame_adds_up_along_the_other_axes() -> None:
    model, ids, inputs = read("pair-pre-norm")
    names = ["decoder.0.cross_attn.hook_z", "decoder.1.attn.hook_z"]
    found = conductance(model, ids, names, inputs=inputs)
    by_head = found.to_frame("head")
    assert len(by_head) == 2 * 4 and by_head["layer"].tolist() == [0] * 4 + [1] * 4
    both = found.to_frame(["head", "position"])
    sums = both.groupby(["site", "head"], sort=False)["value"].sum()
    assert sums.tolist() == pytest.approx(by_head["value"].tolist(), abs=1e-12)
    cell = both[(both["site"] == names[1]) & (both["head"] == 2) & (both["position"] == 4)]
    assert cell["value"].item() == pytest.approx(found.scores[names[1]][4, 2].sum().item())
    assert cell["token"].item() == str(inputs["decoder_tokens"][0, 4].item())
    assert cell["share"].item() == pytest.approx(cell["value"].item() / found.difference)
    with pytest.raises(InputError, match="no 'neuron'"):
        found.to_frame("neuron")


def test_refusals() -> None:
    model, ids, _ = read("decoder")
    with pytest.raises(InputError, match="outside the blocks"):
        conductance(model, ids, "hook_embed")
    with pytest.raises(HookError):
        conductance(model, ids, "blocks.7.hook_resid_pre")
    with pytest.raises(InputError, match="tolerance"):
        conductance(model, ids, "resid_pre1", tolerance=0)
    with pytest.raises(InputError, match="max_evaluations"):
        conductance(model, ids, "resid_pre1", max_evaluations=3)
    with pytest.warns(UserWarning, match="may still be off"):
        conductance(model, ids, "resid_pre1", tolerance=1e-12, max_evaluations=20)
