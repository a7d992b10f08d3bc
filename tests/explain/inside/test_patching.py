"""Activation patching: every cell is the intervention its name says, whatever is not computed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from interp import HookedTransformer, HookError, InputError
from interp.explain import Target
from interp.explain.inside import cells as cells_module
from interp.explain.inside.cells import KINDS
from interp.explain.inside.patching import patch
from tests.model.configurations import EACH_KIND, example, shared_model

_AXIS = {"position": 1, "head": 2, "neuron": 2}
_AXIS_OF_PATTERN = {"head": 1, "position": 2, "key": 3}


@pytest.fixture(autouse=True)
def positions_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models and texts here are so small that all cells would share a forward from position 0;
    this has the cells of each position resume there."""
    monkeypatch.setattr(cells_module, "_FEW", 1)


def pair(name: str) -> tuple[HookedTransformer, Tensor, Tensor, dict[str, Any]]:
    model = shared_model(name, torch.float64)
    clean, corrupted = (example(model.cfg, batch=1, seed=seed) for seed in (0, 1))
    ids = clean.pop("tokens"), corrupted.pop("tokens")
    return model, *ids, clean


def naive(
    model: HookedTransformer,
    receiver: Tensor,
    donor: Tensor,
    inputs: dict[str, Any],
    name: str,
    axes: dict[int, int],
    metric: Any,
) -> float:
    """One forward from the start, one cell changed in place by a hook."""
    other = model.run_with_cache(donor, names_filter=name, **inputs)[1][name]

    def put(value: Tensor, hook: Any) -> None:
        at = tuple(axes.get(dim, slice(None)) for dim in range(value.ndim))
        value[at] = other[at]

    return float(metric(model.run_with_hooks(receiver, fwd_hooks=[(name, put)], **inputs)))


def last(logits: Tensor) -> Tensor:
    """A metric of logits of any shape, at the last position where there are several."""
    row = logits if logits.ndim == 2 else logits[:, -1]
    return row[:, 1] - row[:, 0]


def cells(found: Any) -> list[tuple[int, ...]]:
    return [tuple(index) for index in (~found.values.isnan()).nonzero().tolist()]


@EACH_KIND
@pytest.mark.parametrize("kind", KINDS)
def test_every_cell_is_a_run_from_the_start(name: str, kind: str) -> None:
    model, clean, corrupted, inputs = pair(name)
    for stack in model.stack_names():
        if f"{stack}.1.{KINDS[kind]}" not in model.hook_points:
            with pytest.raises(HookError):
                patch(model, clean, corrupted, kind, last, stack=stack, inputs=inputs)
            continue
        places = _AXIS_OF_PATTERN if kind.endswith("pattern") else _AXIS
        grids: list[tuple[str, ...]] = [("position",)]
        if kind not in ("resid_pre", "resid_mid", "resid_post") and not kind.endswith("out"):
            part = "neuron" if kind == "neuron" else "head"
            grids = [] if kind == "resid_mid_cross" else [(part,), ("position", part)]
        for by in grids:
            convention: Any = "noising" if by == ("position",) else "denoising"
            options: dict[str, Any] = {"stack": stack, "inputs": inputs, "by": by}
            options |= {"neurons": [0, 7, -1]} if kind == "neuron" else {}
            found = patch(model, clean, corrupted, kind, last, convention=convention, **options)
            assert found.axes == ("layer", *by)
            receiver, donor = (clean, corrupted) if by == ("position",) else (corrupted, clean)
            for cell in cells(found)[::11]:
                axes = {places[axis]: i for axis, i in zip(by, cell[1:], strict=True)}
                point = f"{stack}.{cell[0]}.{KINDS[kind]}"
                value = naive(model, receiver, donor, inputs, point, axes, last)
                assert found.values[cell].item() == pytest.approx(value, abs=1e-8)
            effects = found.values[~found.values.isnan()]
            assert (effects - effects[0]).abs().max() > 1e-4 or effects.numel() == 1


@pytest.mark.parametrize("name", ["decoder", "decoder-window", "decoder-soft-cap"])
@pytest.mark.parametrize(
    "target",
    [Target.log_prob(3, position=2), Target.log_prob_of_span(2, 5), Target.centred_logit()],
)
def test_targets_of_some_positions_read_what_a_whole_forward_gives(
    name: str, target: Target
) -> None:
    model, clean, corrupted, _ = pair(name)
    resolved = target.resolve(model, model(clean), clean)
    for by in (("position",), ("position", "head")):
        kind = "resid_pre" if by == ("position",) else "v"
        found = patch(model, clean, corrupted, kind, target, by=by)
        assert not found.values.isnan().any()
        for cell in cells(found)[::5]:
            axes = {_AXIS[axis]: i for axis, i in zip(by, cell[1:], strict=True)}
            point = f"blocks.{cell[0]}.{KINDS[kind]}"
            value = naive(model, corrupted, clean, {}, point, axes, resolved)
            assert found.values[cell].item() == pytest.approx(value, abs=1e-8)
    position = resolved.position
    assert position is not None
    assert (found.values[:, position + 1 :] == found.corrupted).all()


def test_a_continuation_is_read_behind_both_texts() -> None:
    model, clean, corrupted, _ = pair("decoder")
    found = patch(model, clean, corrupted, "resid_post", Target.continuation([4, 9, 2]))
    assert found.values.shape == (3, 9)  # the last of the continuation predicts nothing
    behind = torch.tensor([[4, 9]])
    texts = [torch.cat([ids, behind], 1) for ids in (clean, corrupted)]
    same = patch(model, *texts, "resid_post", Target.log_prob_of_span(7, 9))
    more = patch(model, *texts, "resid_post", Target.log_prob(2))
    assert found.clean == pytest.approx(same.clean + more.clean)
    torch.testing.assert_close(found.values, same.values + more.values, atol=1e-10, rtol=0)


@EACH_KIND
@pytest.mark.parametrize("convention", ["denoising", "noising"])
def test_the_whole_stream_of_the_other_run_is_the_other_run(name: str, convention: Any) -> None:
    model, clean, corrupted, inputs = pair(name)
    stack = next(iter(model.stack_names()))
    for kind in ("resid_pre", "resid_post"):
        found = patch(
            model,
            clean,
            corrupted,
            kind,
            last,
            by=(),
            stack=stack,
            convention=convention,
            inputs=inputs,
        )
        other = found.clean if convention == "denoising" else found.corrupted
        assert found.values.tolist() == pytest.approx([other] * len(found.values), abs=1e-10)
        assert found.axes == ("layer",) and found.clean != pytest.approx(found.corrupted)
    share = 1 if convention == "denoising" else 0
    assert found.recovered.tolist() == pytest.approx([share] * len(found.values), abs=1e-9)


def test_a_part_of_the_grid_is_that_part_of_the_whole() -> None:
    model, clean, corrupted, _ = pair("decoder")
    options: dict[str, Any] = {"kind": "z", "metric": Target.logit(4), "by": ("head", "position")}
    whole = patch(model, clean, corrupted, **options)
    part = patch(model, clean, corrupted, **options, layers=[-1, 0], heads=[1], positions=[2, -1])
    expected = torch.full_like(whole.values, torch.nan)
    for layer in (0, 2):
        for position in (2, 6):
            expected[layer, position, 1] = whole.values[layer, position, 1]
    torch.testing.assert_close(part.values, expected, atol=1e-10, rtol=0, equal_nan=True)
    assert part.axes == ("layer", "position", "head")
    assert part.forwards == 4 and part.forwards < whole.forwards == 3 * 7 * 4


def test_positions_of_a_head_are_patched_together() -> None:
    model, clean, corrupted, _ = pair("decoder-grouped")
    found = patch(model, clean, corrupted, "k", last, by="head", positions=[1, 4])
    assert found.values.shape == (3, 2)  # of grouped keys, there are two heads

    def put(value: Tensor, hook: Any) -> None:
        value[:, [1, 4], 1] = other[:, [1, 4], 1]

    name = "blocks.1.attn.hook_k"
    other = model.run_with_cache(clean)[1][name]
    value = last(model.run_with_hooks(corrupted, fwd_hooks=[(name, put)]))
    assert found.values[1, 1].item() == pytest.approx(value.item(), abs=1e-10)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_never_patched_and_changes_nothing(side: str) -> None:
    model, clean, corrupted, _ = pair("decoder-rotary")
    pad, ones = torch.full((1, 2), 7), torch.ones_like(clean)
    left = side == "left"
    parts = [torch.zeros_like(pad), ones] if left else [ones, torch.zeros_like(pad)]
    inputs = {"attention_mask": torch.cat(parts, 1)}
    texts = [torch.cat([pad, x] if left else [x, pad], 1) for x in (clean, corrupted)]
    alone = patch(model, clean, corrupted, "mlp_out", Target.logit(3))
    padded = patch(model, *texts, "mlp_out", Target.logit(3), inputs=inputs)
    kept = padded.values[:, 2:] if left else padded.values[:, :7]
    torch.testing.assert_close(kept, alone.values, atol=1e-10, rtol=0)
    assert padded.values.isnan().sum() == 3 * 2
    for by in ("head", ()):
        padded = patch(model, *texts, "z", Target.logit(3), by=by, inputs=inputs)
        alone = patch(model, clean, corrupted, "z", Target.logit(3), by=by)
        torch.testing.assert_close(padded.values, alone.values, atol=1e-10, rtol=0)
    with pytest.raises(InputError, match="padding"):
        patch(model, *texts, positions=[0 if left else -1], inputs=inputs)


def test_source_and_target_of_a_pair_may_both_differ() -> None:
    model, source, other_source, _ = pair("pair-pre-norm")
    targets = [torch.tensor([[0, 4, 9]]), torch.tensor([[0, 8, 3]])]
    found = patch(
        model,
        source,
        other_source,
        "cross_z",
        Target.logit(5),
        by=("position", "head"),
        inputs={"decoder_tokens": targets[0]},
        corrupted_inputs={"decoder_tokens": targets[1]},
    )
    name = "decoder.1.cross_attn.hook_z"
    other = model.run_with_cache(source, decoder_tokens=targets[0])[1][name]

    def put(value: Tensor, hook: Any) -> None:
        value[:, 2, 3] = other[:, 2, 3]

    logits = model.run_with_hooks(other_source, decoder_tokens=targets[1], fwd_hooks=[(name, put)])
    assert found.values[1, 2, 3].item() == pytest.approx(logits[0, -1, 5].item(), abs=1e-10)


def test_the_most_promising_neurons_are_chosen_and_patched_exactly() -> None:
    model, clean, corrupted, _ = pair("decoder")
    every = patch(model, clean, corrupted, "neuron", last)
    assert every.values.shape == (3, 20)
    best = patch(model, clean, corrupted, "neuron", last, neurons=12)
    kept = ~best.values.isnan()
    assert kept.sum() == 12
    torch.testing.assert_close(best.values[kept], every.values[kept], atol=1e-10, rtol=0)
    # A guess is no promise, but it is far better than chance (which would find 12 * 12/60 = 2.4).
    effect = (every.values - every.corrupted).abs()
    truly = torch.zeros_like(kept).flatten()
    truly[effect.flatten().topk(12).indices] = True
    assert (truly & kept.flatten()).sum() >= 7


def test_the_guess_is_exact_where_the_metric_is_linear_in_the_neurons() -> None:
    """In the last layer of a model without a final norm, the logits are."""
    model, clean, corrupted, _ = pair("decoder-no-final-norm")
    every = patch(model, clean, corrupted, "neuron", Target.logit(3), layers=[2])
    best = patch(model, clean, corrupted, "neuron", Target.logit(3), layers=[2], neurons=5)
    effect = (every.values - every.corrupted).abs()[2]
    chosen = (~best.values[2].isnan()).nonzero()[:, 0].tolist()
    assert chosen == sorted(effect.topk(5).indices.tolist())


def test_hooks_around_the_call_act_on_all_its_runs() -> None:
    model, clean, corrupted, _ = pair("decoder")
    edit = ("blocks.1.hook_mlp_out", lambda value, hook: value * -2)
    with model.hooks(fwd_hooks=[edit]):
        found = patch(model, clean, corrupted, "z", last)
        value = naive(model, corrupted, clean, {}, "blocks.2.attn.hook_z", {2: 1}, last)
    assert found.values[2, 1].item() == pytest.approx(value, abs=1e-10)
    assert found.values[2, 1] != patch(model, clean, corrupted, "z", last).values[2, 1]


def test_the_frame_has_a_row_for_each_cell() -> None:
    model, clean, corrupted, _ = pair("decoder")
    found = patch(model, clean, corrupted, "z", Target.logit(4), by=("head", "position"))
    frame = found.to_frame()
    assert len(frame) == 3 * 7 * 4
    row = frame[(frame["layer"] == 1) & (frame["head"] == 2) & (frame["position"] == 5)].iloc[0]
    assert row["value"] == found.values[1, 5, 2].item()
    assert row["token"] == str(clean[0, 5].item())
    assert row["corrupted_token"] == str(corrupted[0, 5].item())
    share = (row["value"] - found.corrupted) / (found.clean - found.corrupted)
    assert row["recovered"] == pytest.approx(share)
    assert set(frame["metric"]) == {"logit of token 4"} and set(frame["site"]) == {"z"}


def test_refusals() -> None:
    model, clean, corrupted, _ = pair("decoder")
    bad: list[tuple[dict[str, Any], str]] = [
        ({"kind": "resid"}, "no kind"),
        ({"by": "head"}, "can be patched by position"),
        ({"layers": [3]}, "no layer 3"),
        ({"positions": [9]}, "no position 9"),
        ({"heads": [0]}, "this grid has none"),
        ({"kind": "z", "heads": []}, "No head was given"),
        ({"neurons": 3}, "by='neuron'"),
        ({"kind": "neuron", "neurons": 0}, "how many"),
        ({"stack": "decoder"}, "stack"),
        ({"convention": "both"}, "denoising"),
        ({"metric": lambda logits: logits.mean()}, "one number per row"),
    ]
    for options, message in bad:
        with pytest.raises(InputError, match=message):
            patch(model, clean, corrupted, **options)
    with pytest.raises(InputError, match="7 tokens and the corrupted one 5"):
        patch(model, clean, corrupted[:, :5])
    with pytest.raises(InputError, match="the same"):
        patch(model, clean, clean)
    with pytest.raises(HookError, match="Parallel"):
        patch(shared_model("decoder-parallel", torch.float64), clean, corrupted, "resid_mid")
    with pytest.warns(UserWarning, match="no share"):
        patch(model, clean, corrupted, metric=lambda logits: logits[:, 0, 0] * 0)
