"""A packed corpus: documents as one row of token ids on the disk, read without loading it.

A folder holds

- `tokens.bin`: all ids one after the other, flat little-endian uint16 (uint32 for vocabularies of
  more than 65,536 tokens), each document closed by the separator if the tokenizer has one;
- `documents.bin`: where each document begins, and the end of the last, little-endian uint64;
- the tokenizer's own files;
- `corpus.json`, written last: counts, the type of the ids, and SHA-256 of the files and of the
  tokenizer.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from interp.atomic import write_folder
from interp.data.encoding import encode_batch, in_batches, literal, tokenizer_hash
from interp.data.order import Indices
from interp.errors import ConfigError, InputError, LoadError
from interp.tokenizer import Tokenizer
from interp.untrusted import MALFORMED, read_json, record

TOKENS, DOCUMENTS, MANIFEST = "tokens.bin", "documents.bin", "corpus.json"
_DTYPES: dict[str, np.dtype[Any]] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
_OFFSETS: np.dtype[Any] = np.dtype("<u8")


@dataclass(frozen=True)
class Manifest:
    """What `corpus.json` says.

    Attributes:
        n_tokens: separators included.
        n_bytes: of the texts in UTF-8, for bits per byte.
        d_vocab: every id is below it.
        dtype: `uint16` or `uint32`.
        separator: the id that closes each document; None for none.
        tokenizer: hash of the tokenizer, see `tokenizer_hash`.
        sha256: file name -> hash of its content.
    """

    n_tokens: int
    n_documents: int
    n_bytes: int
    d_vocab: int
    dtype: str
    separator: int | None
    tokenizer: str
    sha256: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Manifest:
        if not path.is_file():
            raise LoadError(f"{path.parent} is no packed corpus: it has no {path.name}.")
        try:
            read = record(cls, read_json(path))
            counts = (read.n_tokens, read.n_documents, read.n_bytes, read.d_vocab)
            if read.dtype not in _DTYPES or min(counts) < 1:
                raise ValueError(f"dtype {read.dtype!r} with counts {counts}")
        except MALFORMED as error:
            raise LoadError(f"{path} is damaged: {error}. Pack the corpus again.") from error
        return read


@dataclass(frozen=True)
class PackedCorpus:
    """An open corpus; nothing is read before it is asked for.

    Attributes:
        tokens: [n_tokens], mapped from the disk.
        documents: [n_documents + 1], mapped; document i is `tokens[documents[i]:documents[i + 1]]`.
    """

    folder: Path
    manifest: Manifest
    tokens: NDArray[Any] = field(repr=False)
    documents: NDArray[np.uint64] = field(repr=False)

    @classmethod
    def open(cls, folder: str | Path, tokenizer: Tokenizer | None = None) -> PackedCorpus:
        """Opens a folder that `pack` wrote.

        Args:
            tokenizer: the one that the corpus must have been packed with; any if None.

        Raises:
            LoadError: files are missing, cut short or longer than they should be.
            ConfigError: the tokenizer is another one.
        """
        folder = Path(folder)
        manifest = Manifest.read(folder / MANIFEST)
        if tokenizer is not None and tokenizer_hash(tokenizer) != manifest.tokenizer:
            raise ConfigError(
                f"{folder} was packed with another tokenizer than the one given (one of "
                f"{manifest.d_vocab} tokens, here {len(tokenizer)}). Pack the texts again with "
                "this tokenizer, or use the one in the folder."
            )
        dtype = _DTYPES[manifest.dtype]
        tokens = _map(folder / TOKENS, dtype, manifest.n_tokens)
        documents = _map(folder / DOCUMENTS, _OFFSETS, manifest.n_documents + 1)
        return cls(folder, manifest, tokens, documents)

    def __len__(self) -> int:
        """Number of tokens."""
        return self.manifest.n_tokens

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that the corpus was packed with, from its folder."""
        return Tokenizer.from_folder(self.folder)

    def document(self, index: int) -> list[int]:
        """Token ids of one document, its separator included."""
        if not 0 <= index < self.manifest.n_documents:
            raise InputError(
                f"There is no document {index}; the corpus has the documents 0 to "
                f"{self.manifest.n_documents - 1}."
            )
        begin, end = (int(place) for place in self.documents[index : index + 2])
        return list(self.tokens[begin:end].tolist())

    def read(self, starts: Indices, length: int) -> NDArray[np.int64]:
        """`length` consecutive ids from each start on, [row, length]; the first follow the last.

        Raises:
            LoadError: an id is not in the vocabulary: the file is damaged.
        """
        places = (np.asarray(starts)[:, None] + np.arange(length)) % len(self)
        ids: NDArray[np.int64] = self.tokens[places].astype(np.int64)
        if ids.size and ids.max() >= self.manifest.d_vocab:
            raise LoadError(
                f"{self.folder / TOKENS} has the id {ids.max()}; its vocabulary has the ids 0 to "
                f"{self.manifest.d_vocab - 1}. Pack the corpus again."
            )
        return ids

    def verify(self) -> None:
        """Reads everything and compares it with the manifest.

        Raises:
            LoadError: a file is not what was written.
        """
        for name in (TOKENS, DOCUMENTS):
            with (self.folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != self.manifest.sha256.get(name):
                raise LoadError(
                    f"{self.folder / name} is damaged: its SHA-256 is not that of the manifest. "
                    "Pack the corpus again."
                )

    def bits_per_byte(self, nats_per_token: float) -> float:
        """The loss in the unit in which models with different vocabularies compare."""
        return nats_per_token * len(self) / self.manifest.n_bytes / math.log(2)


def pack(documents: Iterable[str], tokenizer: Tokenizer, folder: str | Path) -> PackedCorpus:
    """Encodes documents, in their order, into a folder that is there as a whole or not at all.

    The documents are a stream: memory holds about a megabyte of them (or the longest one). Those
    without a token are left out. Special tokens inside a text are read as letters.

    Raises:
        InputError: there is no document with a token, or the tokenizer is a slow one.
        ConfigError: the tokenizer gives ids that its vocabulary does not have.
        LoadError: the folder cannot be written.
    """
    folder = Path(folder)
    try:
        write_folder(folder, lambda to: _write(documents, tokenizer, to), last=MANIFEST)
    except OSError as error:
        raise LoadError(f"{folder} cannot be written: {error.strerror or error}.") from error
    return PackedCorpus.open(folder)


def _write(documents: Iterable[str], tokenizer: Tokenizer, folder: Path) -> None:
    backend = literal(tokenizer)
    d_vocab = len(tokenizer)
    dtype = "uint16" if d_vocab <= 1 << 16 else "uint32"
    separators = [tokenizer.special[role] for role in ("eos", "sep") if role in tokenizer.special]
    separator = tokenizer.token_id(separators[0]) if separators else None
    closing = [] if separator is None else [separator]
    n_tokens = n_documents = n_bytes = 0
    with _Hashed(folder / TOKENS) as tokens, _Hashed(folder / DOCUMENTS) as starts:
        for texts in in_batches(documents):
            for text, ids in zip(texts, encode_batch(backend, texts), strict=True):
                if not ids:
                    continue
                if max(ids) >= d_vocab:
                    raise ConfigError(
                        f"The tokenizer gives the id {max(ids)}, but counts {d_vocab} tokens; "
                        "its vocabulary has gaps."
                    )
                tokens.write(np.array(ids + closing, _DTYPES[dtype]).tobytes())
                starts.write(np.array([n_tokens], _OFFSETS).tobytes())
                n_tokens += len(ids) + len(closing)
                n_documents += 1
                n_bytes += len(text.encode())
        starts.write(np.array([n_tokens], _OFFSETS).tobytes())
    if n_documents == 0:
        raise InputError("There is nothing to pack: no document has a token.")
    tokenizer.save(folder)
    manifest = Manifest(
        n_tokens,
        n_documents,
        n_bytes,
        d_vocab,
        dtype,
        separator,
        tokenizer_hash(tokenizer),
        {TOKENS: tokens.sha256, DOCUMENTS: starts.sha256},
    )
    text = json.dumps(dataclasses.asdict(manifest), indent=2)
    (folder / MANIFEST).write_text(text + "\n", "utf-8")


class _Hashed:
    """A file that is hashed while it is written."""

    def __init__(self, path: Path):
        self._file: IO[bytes] = path.open("wb")
        self._hash = hashlib.sha256()

    def __enter__(self) -> _Hashed:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def _map(path: Path, dtype: np.dtype[Any], n: int) -> NDArray[Any]:
    if not path.is_file():
        raise LoadError(f"{path.parent} has no {path.name}. Pack the corpus again.")
    size, expected = path.stat().st_size, n * dtype.itemsize
    if size != expected:
        raise LoadError(
            f"{path} has {size} bytes and should have {expected}: it was cut short or belongs to "
            "another corpus. Pack the corpus again."
        )
    return np.memmap(path, dtype, "r", shape=(n,))
