"""The tokenizer files of a model folder."""

from __future__ import annotations

from pathlib import Path

from interp.errors import LoadError
from interp.tokenizer import Tokenizer

# A folder with any of the first three can make tokens; the others only describe how.
VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "source.spm",
    "tokenizer.model",
    "sentencepiece.bpe.model",
)
TOKENIZER_FILES = (
    *VOCABULARIES,
    "target.spm",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)


def read_tokenizer(folder: Path) -> Tokenizer | None:
    """The tokenizer of a folder written here; None if it has none.

    Raises:
        LoadError: its files are broken.
    """
    if (folder / "tokenizer.json").is_file():
        return Tokenizer.from_folder(folder)
    return read_hf_tokenizer(folder)


def read_hf_tokenizer(folder: Path) -> Tokenizer | None:
    """The tokenizer of a Hugging Face folder; None if it has none.

    The transformers library reads it, since much of what it needs (special tokens, templates) is
    known to its classes and in no file.
    """
    if not any((folder / name).is_file() for name in VOCABULARIES):
        return None
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
    except Exception as error:  # of many kinds, by tokenizer class and library
        raise LoadError(
            f"The tokenizer in {folder} cannot be read: {error}. "
            "Pass tokenizer=False to open the model for token ids alone."
        ) from error
    return Tokenizer.from_hf(tokenizer)
