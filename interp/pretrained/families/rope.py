"""The rotary part of a configuration of the transformers library, and back."""

from __future__ import annotations

from typing import Any

from interp.model.config import RopeScaling, TransformerConfig
from interp.pretrained.family import require

# By kind of scaling: our name -> theirs, beyond the factor.
_NAMES: dict[str, dict[str, str]] = {
    "linear": {},
    "llama3": {
        "original_n_ctx": "original_max_position_embeddings",
        "low_freq_factor": "low_freq_factor",
        "high_freq_factor": "high_freq_factor",
    },
    "yarn": {
        "original_n_ctx": "original_max_position_embeddings",
        "beta_fast": "beta_fast",
        "beta_slow": "beta_slow",
        "attention_factor": "attention_factor",
    },
}


def read(hf: Any, d_head: int) -> dict[str, Any]:
    """The rotary fields of our configuration."""
    theirs: dict[str, Any] = dict(hf.rope_parameters or {})
    kind = theirs.get("rope_type", "default")
    require(
        kind == "default" or kind in _NAMES, f"The model scales its rotary positions by {kind!r}"
    )
    require(
        not theirs.get("mscale") and theirs.get("truncate", True) is not False,
        "The model uses a variant of YaRN (mscale or truncate)",
    )
    scaling = None
    if kind != "default":
        names = _NAMES[kind].items()
        given = {ours: theirs[name] for ours, name in names if theirs.get(name) is not None}
        scaling = RopeScaling(kind=kind, factor=float(theirs["factor"]), **given)
    return {
        "positional_embedding_type": "rotary",
        "rotary_base": float(theirs.get("rope_theta") or 10000.0),
        "rotary_dim": int(d_head * (theirs.get("partial_rotary_factor") or 1.0)),
        "rope_scaling": scaling,
    }


def write(cfg: TransformerConfig, *, partial: bool = False) -> dict[str, Any]:
    """Their `rope_parameters`; with the part of a head that is rotated if their family knows it."""
    out: dict[str, Any] = {"rope_type": "default", "rope_theta": cfg.rotary_base}
    if partial:
        out["partial_rotary_factor"] = cfg.rotary_dim / cfg.d_head
    scaling = cfg.rope_scaling
    if scaling is not None:
        out |= {"rope_type": scaling.kind, "factor": scaling.factor}
        for ours, name in _NAMES[scaling.kind].items():
            if getattr(scaling, ours) is not None:
                out[name] = getattr(scaling, ours)
    return {"rope_parameters": out}
