"""Hashes that say which weights and which tokens a result belongs to."""

from __future__ import annotations

import hashlib
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from interp.model.replay import weights_version

_KNOWN: WeakKeyDictionary[nn.Module, tuple[object, str]] = WeakKeyDictionary()


def weights_hash(model: nn.Module) -> str:
    """SHA-256 over names, types, shapes and values of the saved tensors of a model.

    Computed once for each state of the weights.
    """
    version = weights_version(model)
    known = _KNOWN.get(model)
    if known is None or known[0] != version:
        digest = hashlib.sha256()
        for name, value in sorted(model.state_dict().items()):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(_bytes(value))
        known = version, digest.hexdigest()
        _KNOWN[model] = known
    return known[1]


def tokens_hash(*tokens: Tensor | None) -> str:
    """SHA-256 over token ids."""
    digest = hashlib.sha256()
    for ids in tokens:
        digest.update(b"-" if ids is None else _bytes(ids.long()))
    return digest.hexdigest()


def _bytes(value: Tensor) -> bytes:
    # As bytes, since numpy has no bfloat16.
    flat = value.detach().cpu().contiguous().reshape(-1)
    return bytes(flat.view(torch.uint8).numpy().data) if flat.numel() else b""
