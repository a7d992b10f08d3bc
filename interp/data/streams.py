"""The bytes of files, compressed or inside archives, as streams; nothing is unpacked to disk.

A member's path is a name to show and a suffix to go by, never a place to write to.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from interp.errors import InputError

LIMIT = 1 << 25
"""The most bytes of one document, and so of one line: 32 MiB. Keeps memory bounded whatever a
file, or a small compressed file of a billion equal bytes, may hold."""

BROKEN = (
    EOFError,
    OSError,
    NotImplementedError,  # a compression that this Python's zipfile does not know
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged file or archive raises."""

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_OPENERS: dict[str, Callable[[IO[bytes]], Any]] = {
    **dict.fromkeys((".gz", ".tgz"), lambda file: gzip.GzipFile(fileobj=file)),
    **dict.fromkeys((".bz2", ".tbz2"), bz2.BZ2File),
    **dict.fromkeys((".xz", ".txz"), lzma.LZMAFile),
}
_COMPRESSORS: dict[str, Callable[[IO[bytes]], AbstractContextManager[Any]]] = {
    ".gz": lambda file: gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0),
    ".bz2": partial(bz2.BZ2File, mode="wb"),
    ".xz": partial(lzma.LZMAFile, mode="wb"),
    ".zst": lambda file: zstandard("A .zst").ZstdCompressor().stream_writer(file, closefd=False),
}
_BUFFER = 1 << 16

_TAR = (".tar", ".tgz", ".tbz2", ".txz", ".tzst")

# What stands beside the texts of a corpus, and is none of them; by convention in capitals.
_NOTICE = re.compile(r"(?:.*_)?(?:LICEN[CS]E|COPYING|NOTICE|README|SOURCES|ATTRIBUTION|CC-BY).*")


@dataclass(frozen=True)
class Stream:
    """One file's content, open until the next one is asked for.

    Attributes:
        name: path, and path inside the archive, as a person would say it.
        suffix: of the content, in small letters: `.jsonl` for `a.jsonl.gz`.
        file: its uncompressed bytes.
    """

    name: str
    suffix: str
    file: io.BufferedReader


def content_suffix(name: str) -> str:
    """`.jsonl` for `a.jsonl.gz`, `.tar` for any compressed tar archive."""
    path = PurePosixPath(name.lower())
    if path.suffix in _COMPRESSED:
        path = path.with_suffix("")
    return ".tar" if path.suffix in _TAR else path.suffix


def is_archive(name: str) -> bool:
    return content_suffix(name) in (".tar", ".zip")


def is_notice(name: str) -> bool:
    """Whether a file tells about its neighbours: a licence, a list of sources, a read-me."""
    return _NOTICE.fullmatch(PurePosixPath(name).name) is not None


def open_streams(path: Path, suffixes: Collection[str]) -> Iterator[Stream]:
    """The streams of a file on the disk; see `streams_in`."""
    with path.open("rb") as raw:
        yield from streams_in(raw, path.as_posix(), suffixes)


def streams_in(raw: io.BufferedReader, name: str, suffixes: Collection[str]) -> Iterator[Stream]:
    """The file itself, or each member of an archive that ends in one of `suffixes`.

    Args:
        raw: the file's bytes as they are stored.
        name: what the file is called in what is said about it.

    Raises:
        InputError: an archive without such a member, or locked with a password.
        Any of `BROKEN` for a damaged one.
    """
    if not is_archive(name):
        yield Stream(name, content_suffix(name), decompressed(raw, name))
        return
    found = False
    for member, file in _members(raw, name, suffixes):
        found = True
        yield Stream(f"{name}/{member}", content_suffix(member), file)
    if not found:
        raise InputError(
            f"{name} holds no file that can be read; it takes one of {', '.join(sorted(suffixes))}."
        )


def decompressed(file: IO[bytes], name: str) -> io.BufferedReader:
    """The uncompressed bytes of an open file, by the suffix of its name.

    Raises:
        InputError: `.zst` without the package that reads it.
    """
    suffix = PurePosixPath(name.lower()).suffix
    if suffix in (".zst", ".tzst"):
        return io.BufferedReader(_Zstandard(zstandard(name), file), _BUFFER)
    if suffix in _OPENERS:
        return io.BufferedReader(_OPENERS[suffix](file), _BUFFER)
    return file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast(Any, file))


@contextmanager
def compressing(file: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """What is written to it lands in `file`, compressed as the suffix of `name` says.

    Equal content gives equal bytes: there is no time stamp and no name in them.
    """
    compress = _COMPRESSORS.get(PurePosixPath(name).suffix, nullcontext)
    with compress(file) as store:
        yield store


class _Zstandard(io.RawIOBase):
    """The package's reader, with an error that is known where the package is not installed."""

    def __init__(self, package: Any, file: IO[bytes]):
        self._damaged = package.ZstdError
        self._reader = package.ZstdDecompressor().stream_reader(file, read_across_frames=True)

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        try:
            return int(self._reader.readinto(into))
        except self._damaged as error:
            raise OSError(str(error)) from error


def zstandard(name: str) -> Any:
    """The package that reads and writes Zstandard; an `InputError` where it is not installed."""
    try:
        return importlib.import_module("zstandard")
    except ImportError as error:
        raise InputError(
            f"{name} file needs Zstandard. Install the extra: pip install 'interp[zstd]'."
        ) from error


def _members(
    raw: io.BufferedReader, name: str, suffixes: Collection[str]
) -> Iterator[tuple[str, io.BufferedReader]]:
    def wanted(member: str) -> bool:
        hidden = PurePosixPath(member).name.startswith(".") or member.startswith("__MACOSX/")
        return content_suffix(member) in suffixes and not hidden and not is_notice(member)

    if content_suffix(name) == ".zip":
        with zipfile.ZipFile(raw) as archive:
            for info in archive.infolist():
                if not info.filename or info.is_dir() or not wanted(info.filename):
                    continue
                if info.flag_bits & 1:
                    raise InputError(f"{name}/{info.filename} is locked with a password.")
                with archive.open(info) as file, decompressed(file, info.filename) as content:
                    yield info.filename, content
        return
    with tarfile.open(fileobj=decompressed(raw, name), mode="r|") as tar:
        for member in tar:
            inside = tar.extractfile(member) if member.isfile() and wanted(member.name) else None
            if inside is not None:
                with decompressed(inside, member.name) as content:
                    yield member.name, content
