"""`interp.load`: whatever names or is a model, opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from interp.errors import InputError, LoadError, UnsupportedModelError
from interp.pretrained import bridge as bridges
from interp.pretrained.folder import CONFIG, is_own, load_folder
from interp.pretrained.hub import fetch
from interp.pretrained.huggingface import open_folder, open_model
from interp.pretrained.text_files import read_hf_tokenizer
from interp.pretrained.weights_file import WeightFiles, refuse_pickle
from interp.tokenizer import Tokenizer

# The models trained here. They lie one floor above, so they are known by their folders alone.
_ZOO = Path(__file__).resolve().parent.parent / "zoo"


def load(
    what: Any,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    tokenizer: Any = True,
    n_ctx: int | None = None,
    bridge: bool | None = None,
    revision: str | None = None,
) -> Any:
    """Opens a model, in evaluation mode.

    Args:
        what: the name of a model of the zoo (`"stories"`); a folder written by `save_folder`; a
            folder of the transformers library or the id of one on the Hugging Face hub (weights
            in safetensors, of one file or several); a model object of the transformers library;
            or a `TransformerBridge`.
        dtype: to compute in; by default that of the checkpoint.
        device: where to put the weights; by default the CPU, or where the given model is.
        tokenizer: True for the one that comes with the checkpoint, False for none, or a tokenizer
            (of this package or of transformers), which a model object needs for text.
        n_ctx: another context length, for models whose positions are computed.
        bridge: None opens through TransformerLens's bridge what has no table here; True opens
            everything through it; False refuses what has no table.
        revision: a branch, tag or commit of a model on the hub.

    Returns:
        A `HookedTransformer`, or a `BridgedTransformer`, which has the same protocol
        (`interp.model.protocol.LanguageModel`).

    Raises:
        LoadError: nothing is there, or it is incomplete, damaged, or a pickle.
        UnsupportedModelError: a model that nothing here can open.
    """
    options: dict[str, Any] = {"dtype": dtype, "device": device}
    if isinstance(what, str | Path):
        folder = _folder(what, revision)
        if is_own(folder):
            return _own(folder, tokenizer, bridge, n_ctx, options)
        WeightFiles.open(folder)  # a pickle or damage is refused whoever would read it
        text = _tokenizer(tokenizer, folder)
        return _either(lambda **o: open_folder(folder, **o), folder, text, n_ctx, bridge, options)
    text = _tokenizer(tokenizer, None)
    if bridges.is_bridge(what):
        return bridges.wrap(what, text)
    if not hasattr(what, "config") or not hasattr(what, "state_dict"):
        raise InputError(
            f"A model cannot be opened from {type(what).__name__}; give a name, a folder or a "
            "model object of the transformers library."
        )
    return _either(lambda **o: open_model(what, **o), what, text, n_ctx, bridge, options)


_CHECKPOINTS = f"*/checkpoints/step-*/{CONFIG}"


def _own(
    folder: Path, tokenizer: Any, bridge: bool | None, n_ctx: int | None, options: dict[str, Any]
) -> Any:
    if bridge or n_ctx is not None:
        raise InputError(
            f"{folder} was written here: it opens as it is, not through the bridge and not with "
            "another n_ctx."
        )
    model = load_folder(folder, tokenizer=tokenizer is True, **options)
    if tokenizer is not True:
        model.tokenizer = _tokenizer(tokenizer, None)
    return model


def _either(
    native: Any,
    what: Any,
    tokenizer: Tokenizer | None,
    n_ctx: int | None,
    bridge: bool | None,
    options: dict[str, Any],
) -> Any:
    """Through a table, or through the bridge."""
    if not bridge:
        try:
            return native(tokenizer=tokenizer, n_ctx=n_ctx, **options)
        except UnsupportedModelError:
            if bridge is False:
                raise
    if n_ctx is not None:
        raise InputError(
            "The bridge opens a model as it is; n_ctx is for models with a table here."
        )
    return bridges.open_bridge(what, tokenizer=tokenizer, **options)


def _folder(what: str | Path, revision: str | None = None) -> Path:
    """The folder behind a name."""
    if isinstance(what, str) and _is_plain(what) and what in _zoo_names():
        return _last_of_run(_ZOO / what)
    path = Path(what).expanduser()
    if path.is_dir():
        return _last_of_run(path)
    if path.is_file():
        refuse_pickle(path)
        raise LoadError(f"{path} is a file; give the folder that holds it and its {CONFIG}.")
    if isinstance(what, Path) or what.startswith((".", "/", "~")) or what.count("/") > 1:
        raise LoadError(f"There is no folder {what}.")
    zoo = ", ".join(_zoo_names())
    return fetch(what, f"not a model of the zoo ({zoo}) nor a folder", revision)


def _zoo_names() -> list[str]:
    found = {path.relative_to(_ZOO).parts[0] for path in _ZOO.glob(f"*/{CONFIG}")}
    return sorted(found | {path.relative_to(_ZOO).parts[0] for path in _ZOO.glob(_CHECKPOINTS)})


def _last_of_run(folder: Path) -> Path:
    """The folder itself, or of a run the model that it ended with, or its last checkpoint."""
    if (folder / CONFIG).is_file():
        return folder
    if (folder / "model" / CONFIG).is_file():
        return folder / "model"
    steps = sorted(folder.glob(f"checkpoints/step-*/{CONFIG}"))
    return steps[-1].parent if steps else folder


def _is_plain(name: str) -> bool:
    return name == Path(name).name and name not in ("", ".", "..")


def _tokenizer(given: Any, folder: Path | None) -> Tokenizer | None:
    if given is False or given is None:
        return None
    if given is True:
        return None if folder is None else read_hf_tokenizer(folder)
    return given if isinstance(given, Tokenizer) else Tokenizer.from_hf(given)
