"""Checkpoints from the Hugging Face hub: safetensors, JSON and tokenizer files, nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from interp.errors import LoadError
from interp.pretrained.folder import CONFIG
from interp.pretrained.text_files import TOKENIZER_FILES
from interp.pretrained.weights_file import INDEX, SHARDS, SINGLE

FILES = (
    CONFIG,
    "generation_config.json",
    SINGLE,
    INDEX,
    SHARDS,
    *TOKENIZER_FILES,
)


def fetch(name: str, otherwise: str, revision: str | None = None) -> Path:
    """The local copy of a model on the hub; fetched, unless it was before.

    Args:
        otherwise: what the name is not, for the message.
        revision: a branch, tag or commit; the main branch by default.

    Raises:
        LoadError: the name is none of the hub's, or the hub cannot be reached.
    """
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        raise LoadError(f"{name!r} is {otherwise}, and cannot be the id of a model on the hub.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(FILES)))
    except RevisionNotFoundError as error:
        raise LoadError(f"{name!r} on the hub has no revision {revision!r}.") from error
    except RepositoryNotFoundError as error:
        raise LoadError(
            f"{name!r} is {otherwise}, and the Hugging Face hub has no such model (or it asks for "
            "a login). Check the spelling."
        ) from error
    except Exception as error:  # of the network, the cache or the hub, in many classes
        raise LoadError(
            f"{name!r} is {otherwise}, and the Hugging Face hub could not give it: {error}. "
            "Connect to the network, or give the folder of a copy."
        ) from error
    if not (folder / CONFIG).is_file():
        raise LoadError(f"{name!r} on the hub has no {CONFIG}: it is not a model of transformers.")
    return folder


def revisions(name: str) -> list[str]:
    """The branches and tags of a model on the hub.

    Raises:
        LoadError: the hub has no such model, or cannot be reached.
    """
    from huggingface_hub import list_repo_refs

    try:
        refs = list_repo_refs(name)
    except Exception as error:  # of the network, the name or the hub, in many classes
        raise LoadError(
            f"{name!r} is not a folder, and the Hugging Face hub could not list its revisions: "
            f"{error}."
        ) from error
    return [ref.name for ref in (*refs.branches, *refs.tags)]
