"""Which hook points a bridged model really has, and which of them can be edited: by trial.

One forward shows the names and shapes that fire. Then each kind of point is edited once, and what
follows is compared: a point whose edit changes no logit is read-only, and so is a `hook_resid_mid`
whose edit does not arrive in the stream that leaves the block.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from interp.model.hook_points import HookPoint, HookTable

READ_ONLY = "nothing: "
_NO_EFFECT = READ_ONLY + "the model computes on without it"
_MISSES_SKIP = READ_ONLY + "the skip path does not pass through it"

# Last part of a name -> dimensions. What has other dimensions than these goes by another name.
_SHAPES = {
    **dict.fromkeys(
        "embed pos_embed token_type_embed resid_pre resid_mid resid_post attn_out mlp_out "
        "normalized mlp_in cross_attn_out resid_mid_cross".split(),
        "batch pos d_model",
    ),
    "scale": "batch pos 1",
    **dict.fromkeys("q z rot_q".split(), "batch pos head d_head"),
    **dict.fromkeys("k v rot_k".split(), "batch pos kv_head d_head"),
    **dict.fromkeys("attn_scores pattern".split(), "batch head query_pos key_pos"),
    "result": "batch pos head d_model",
    **dict.fromkeys("pre post pre_linear".split(), "batch pos d_mlp"),
}


def bridge_name(name: str) -> str:
    """The bridge's name of a point of ours."""
    name = re.sub(r"^(encoder|decoder)\.(?=\d)", r"\1_blocks.", name)
    return re.sub(r"^(decoder_blocks\.\d+\.)attn\.", r"\1self_attn.", name)


def _our_name(name: str) -> str:
    name = re.sub(r"^(encoder|decoder)_blocks\.", r"\1.", name)
    return name.replace(".self_attn.", ".attn.")


def points(bridge: Any, cfg: Any) -> HookTable:
    """The table of a bridged model; runs it once, and once more for each kind of point."""
    tokens = (torch.arange(8, device=bridge.original_model.device) % cfg.d_vocab).view(2, 4)
    inputs = {"decoder_input": tokens[:, :3]} if cfg.shape == "encoder_decoder" else {}

    def run(edits: dict[str, Callable[..., Any]]) -> Tensor:
        with torch.no_grad():
            out = bridge.run_with_hooks(
                tokens, fwd_hooks=list(edits.items()), return_type="logits", **inputs
            )
        return out if isinstance(out, Tensor) else out[0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of edits that take another path, which is looked at here
        return _tried(_seen(bridge, tokens, inputs), run)


def _tried(seen: dict[str, Tensor], run: Callable[[dict[str, Any]], Tensor]) -> HookTable:
    """A point for each activation, with what an edit of its kind was found to change."""
    logits = run({})
    effects: dict[str, str] = {}
    table = HookTable()
    for theirs, value in seen.items():
        kind = re.sub(r"\.\d+\.", ".{i}.", theirs)
        if kind not in effects:
            effects[kind] = _effect(theirs, value, logits, run)
        name = _our_name(theirs)
        table[name] = HookPoint(name, _shape(theirs), effects[kind])
    return table


def _shape(name: str) -> str:
    return _SHAPES[name.rsplit("hook_", 1)[-1]]


def _seen(bridge: Any, tokens: Tensor, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Activations of one run by classic name, in firing order."""
    with torch.no_grad():
        _, cache = bridge.run_with_cache(tokens, **inputs)
    seen = {
        name: value
        for name, value in cache.items()
        if name.rsplit("hook_", 1)[-1] in _SHAPES and value.ndim == len(_shape(name).split())
    }
    return {name: value for name, value in seen.items() if _is_what_it_says(name, seen)}


def _is_what_it_says(name: str, seen: dict[str, Tensor]) -> bool:
    """Some adapters show another activation under a name."""
    value = seen[name]
    if name.endswith("hook_attn_scores"):
        pattern = seen.get(name.replace("attn_scores", "pattern"))
        return pattern is None or not torch.equal(value, pattern)
    if name.endswith("hook_resid_mid"):
        block = name.removesuffix("hook_resid_mid")
        parts = [seen.get(f"{block}hook_{part}") for part in ("resid_pre", "attn_out")]
        return all(p is not None for p in parts) and torch.allclose(
            value, cast(Tensor, parts[0]) + cast(Tensor, parts[1]), atol=1e-3, rtol=1e-3
        )
    return True


def _effect(
    name: str, value: Tensor, logits: Tensor, run: Callable[[dict[str, Any]], Tensor]
) -> str:
    """What an edit changes, by trial."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(value.shape, generator=generator).to(value)
    if name.endswith("hook_scale"):
        noise = noise.abs()
    changed = torch.where(value.isfinite() & (value > -1e30), value + noise, value)
    if torch.equal(logits, run({name: lambda value, hook: changed})):
        return _NO_EFFECT
    if name.endswith("hook_resid_mid") and not _reaches_skip(name, changed, run):
        return _MISSES_SKIP
    return f"the activation {name.rsplit('hook_', 1)[-1]!r}, as the bridge defines it"


def _reaches_skip(name: str, changed: Tensor, run: Callable[[dict[str, Any]], Tensor]) -> bool:
    """Whether the stream after the block is what was put in, plus the feed-forward output."""
    block = name.removesuffix("hook_resid_mid")
    after: dict[str, Tensor] = {}

    def keep(key: str) -> Callable[..., None]:
        def hook(value: Tensor, hook: Any) -> None:
            after[key] = value.detach()

        return hook

    run(
        {
            name: lambda value, hook: changed,
            f"{block}hook_mlp_out": keep("mlp"),
            f"{block}hook_resid_post": keep("post"),
        }
    )
    if len(after) < 2:
        return False
    return torch.allclose(after["post"], changed + after["mlp"], atol=1e-3, rtol=1e-3)
