"""Other people's checkpoints and folders written here, opened as one kind of model; and models
made here, written for other libraries."""

from __future__ import annotations

from interp.pretrained.bridge import BridgedTransformer
from interp.pretrained.export import save_hf, to_hf
from interp.pretrained.folder import load_folder, save_folder
from interp.pretrained.loading import load

__all__ = [
    "BridgedTransformer",
    "load",
    "load_folder",
    "save_folder",
    "save_hf",
    "to_hf",
]
