"""TransformerLens finds the same values; and a model behind its bridge can be patched too."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import interp
from interp import HookError
from interp.explain.inside.patching import patch
from interp.pretrained.bridge import wrap
from tests.model.transformer_lens.models import CLEAN, CORRUPTED, bridge, gpt2, ours

pytest.importorskip("transformer_lens")

from transformer_lens import patching

from interp.explain.inside.cells import KINDS

ONE, OTHER = CLEAN[:1], CORRUPTED[:1]

# TransformerLens's sweep -> kind, axes of ours in the order of theirs.
SWEEPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "resid_pre": ("resid_pre", ("position",)),
    "attn_out": ("attn_out", ("position",)),
    "mlp_out": ("mlp_out", ("position",)),
    **{
        f"attn_head_{part}_all_pos": (kind, ("head",))
        for part, kind in [("out", "z"), ("q", "q"), ("k", "k"), ("v", "v"), ("pattern", "pattern")]
    },
    **{
        f"attn_head_{part}_by_pos": (kind, ("position", "head"))
        for part, kind in [("out", "z"), ("q", "q"), ("k", "k"), ("v", "v")]
    },
    "attn_head_pattern_by_pos": ("pattern", ("head", "position")),
    "attn_head_pattern_dest_src_pos": ("pattern", ("head", "position", "key")),
}


def metric(logits: Tensor) -> Tensor:
    return logits[:, -1, 7] - logits[:, -1, 8]


@pytest.fixture(scope="module")
def lens() -> Any:
    """TransformerLens's own model with the weights of ours."""
    return bridge()


@pytest.mark.parametrize("sweep", SWEEPS)
def test_equals_the_sweeps_of_transformer_lens(sweep: str, lens: Any) -> None:
    kind, by = SWEEPS[sweep]
    with torch.no_grad():
        _, cache = lens.run_with_cache(ONE)
        expected = getattr(patching, f"get_act_patch_{sweep}")(
            lens, OTHER, cache, lambda logits: metric(logits).mean()
        )
    found = patch(ours(), ONE, OTHER, kind, metric, by=by)
    order = [found.axes.index(axis) for axis in ("layer", *by)]
    values = found.values.permute(order).float()
    torch.testing.assert_close(values, expected, atol=1e-4, rtol=0)
    assert expected.unique().numel() > 3


@pytest.mark.parametrize("kind", ["resid_pre", "z", "v", "pattern", "neuron"])
def test_a_bridged_model_gives_the_same_values(kind: str) -> None:
    model = interp.load(gpt2())
    bridged = wrap(bridge())
    options: dict[str, Any] = {"neurons": 9} if kind == "neuron" else {}
    mine = patch(model, ONE, OTHER, kind, metric, **options)
    other = patch(bridged, ONE, OTHER, kind, metric, **options)
    torch.testing.assert_close(other.values, mine.values, atol=1e-4, rtol=0, equal_nan=True)
    assert other.forwards == mine.forwards or kind == "resid_pre"


def test_what_the_bridge_cannot_edit_is_refused() -> None:
    """An edit of its `hook_resid_mid` misses the skip path."""
    bridged = wrap(bridge())
    assert f"blocks.0.{KINDS['resid_mid']}" in bridged.hook_points
    with pytest.raises(HookError, match="read but not edited"):
        patch(bridged, ONE, OTHER, "resid_mid", metric)
