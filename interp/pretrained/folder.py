"""Checkpoint folders of our own: configuration, weights, tokenizer, and a last file that says all
of it is there.

- `config.json`: `TransformerConfig.to_dict()`.
- `model.safetensors`: the parameters under the names they have here; a shared one once.
- `tokenizer.json`, `tokenizer_config.json`: if the model has a tokenizer.
- `metadata.json`: written last, with the hash of the weights. Without it a folder is incomplete.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interp import __version__
from interp.atomic import write_folder
from interp.errors import ConfigError, LoadError
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.pretrained.build import build
from interp.pretrained.tables import identity, parameters
from interp.pretrained.text_files import TOKENIZER_FILES, read_tokenizer
from interp.pretrained.weights_file import INDEX, SHARDS, SINGLE, WeightFiles, read_header
from interp.untrusted import MALFORMED, read_json

CONFIG = "config.json"
METADATA = "metadata.json"


def save_folder(model: HookedTransformer, folder: Path | str) -> None:
    """Writes a model to a folder that `load_folder` and `interp.load` open.

    Other files in the folder stay. The weights are stored in the narrowest precision that holds
    every one of them exactly, so a model that was rounded to bfloat16 takes two bytes a weight;
    `config.json` says which precision it computes in.
    """
    write_folder(
        Path(folder),
        lambda written: _write(model, written),
        last=METADATA,
        obsolete=(*TOKENIZER_FILES, SINGLE, INDEX, SHARDS),
    )


def load_folder(
    folder: Path | str,
    *,
    tokenizer: bool = True,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> HookedTransformer:
    """The model in a folder written by `save_folder`.

    Args:
        tokenizer: whether to read its tokenizer too.
        dtype: to compute in; by default the one that the folder names.

    Raises:
        LoadError: the folder is incomplete, damaged, or of another kind.
    """
    folder = Path(folder)
    cfg = _read_config(folder)
    _check_complete(folder)
    files = WeightFiles.open(folder)
    return build(
        cfg if dtype is None else cfg.replace(dtype=dtype),
        identity,
        files,
        str(folder),
        tokenizer=read_tokenizer(folder) if tokenizer else None,
        device=device,
    )


def is_own(folder: Path) -> bool:
    """Whether a folder looks like one that was written here."""
    config = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    return "n_ctx" in config and "model_type" not in config


# -- writing -------------------------------------------------------------------------------------


def _write(model: HookedTransformer, folder: Path) -> None:
    from safetensors.torch import save_file

    tensors = _narrowed({n: p.detach().cpu() for n, p in parameters(model).items()})
    save_file(tensors, folder / SINGLE, metadata={"format": "pt"})
    _write_json(folder / CONFIG, model.cfg.to_dict())
    if model.tokenizer is not None:
        model.tokenizer.save(folder)
    metadata = {
        "written_by": f"interp {__version__}",
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
        "files": {SINGLE: {"sha256": _sha256(folder / SINGLE)}},
    }
    _write_json(folder / METADATA, metadata)


def _narrowed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        if all(_is_exact_in(dtype, tensor) for tensor in tensors.values()):
            return {name: tensor.to(dtype).contiguous() for name, tensor in tensors.items()}
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def _is_exact_in(dtype: torch.dtype, tensor: Tensor) -> bool:
    return tensor.dtype == dtype or torch.equal(tensor.to(dtype).to(tensor.dtype), tensor)


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "utf-8")


# -- reading -------------------------------------------------------------------------------------


def _read_config(folder: Path) -> TransformerConfig:
    try:
        return TransformerConfig.from_dict(read_json(folder / CONFIG))
    except ConfigError as error:
        raise LoadError(f"{folder / CONFIG} is no configuration of ours: {error}") from error


def _check_complete(folder: Path) -> None:
    """That the folder was written to its end, and that its weights are still those."""
    if not (folder / METADATA).is_file():
        raise LoadError(
            f"{folder} has no {METADATA}, which is written last: saving was cut short. "
            "Write the folder again with `save_folder`."
        )
    metadata = read_json(folder / METADATA)
    try:
        digest = metadata["files"][SINGLE]["sha256"]
    except MALFORMED as error:
        raise LoadError(f"{folder / METADATA} names no hash of the weights.") from error
    path = folder / SINGLE
    if not path.is_file():
        raise LoadError(f"{folder} lacks {SINGLE}; copy the whole folder again.")
    if _sha256(path) != digest:
        read_header(path)  # says which tensor, if the file is visibly damaged
        raise LoadError(
            f"{path} is not the file that {METADATA} was written for: its hash differs. "
            "Copy or write the whole folder again."
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
