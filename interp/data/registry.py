"""Public data sets that are known by name: what each is, its licence, and the hash of every file.

`registry.json` lists them. A set comes from a mirror, a folder that holds each set in a folder of
its name, or file by file from the address of its source at a fixed commit. Either way no file is
taken whose SHA-256 is not the one that is written down here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.request import urlopen

from interp.atomic import writing
from interp.data.streams import BROKEN, compressing, decompressed, is_notice
from interp.errors import InputError, LoadError

MIRROR = "INTERP_DATA"
"""The environment variable that names a mirror."""

_TIMEOUT = 30  # seconds without a byte
_BLOCK = 1 << 20


@dataclass(frozen=True)
class DataFile:
    """One file of a set.

    Attributes:
        bytes: as it is stored.
        sha256: of the bytes as they are stored.
        content_sha256: of the bytes when unpacked; empty for what is not compressed. Compressors
            differ from one release to the next, contents do not.
        url: where its content is; empty where it has no address of its own.
    """

    name: str
    bytes: int
    sha256: str
    content_sha256: str = ""
    url: str = ""


@dataclass(frozen=True)
class DataSet:
    """A public data set.

    Attributes:
        size: in units of its own, such as sentence pairs.
        use: what it is good for.
        source: addresses, with the commit.
    """

    name: str
    about: str
    size: str
    use: str
    licence: str
    source: str
    files: tuple[DataFile, ...]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def can_be_downloaded(self) -> bool:
        """Whether every file but notices has an address."""
        return all(file.url or is_notice(file.name) for file in self.files)


@cache
def data_sets() -> dict[str, DataSet]:
    """All sets, by name."""
    listed = json.loads(files("interp.data").joinpath("registry.json").read_text("utf-8"))
    return {
        entry["name"]: DataSet(
            **{**entry, "files": tuple(DataFile(**file) for file in entry["files"])}
        )
        for entry in listed
    }


def get(
    name: str,
    to: Path | str,
    *,
    mirror: Path | str | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Path:
    """A set's files in the folder `to/name`; those that are there and sound are not fetched again.

    Args:
        mirror: a folder of sets; by default the one that the environment's `INTERP_DATA` names,
            and without it the addresses of the sources. From those, a licence or read-me that has
            none is left out.
        progress: told the bytes of each finished file.

    Raises:
        InputError: there is no such set, or it has to come from a mirror.
        LoadError: a file is missing, cannot be reached or has another hash. Whole files stay.
    """
    if name not in data_sets():
        raise InputError(f"There is no data set {name!r}; there are {', '.join(data_sets())}.")
    wanted = data_sets()[name]
    folder = Path(to) / name
    mirror = mirror or os.environ.get(MIRROR)
    if mirror is None and not wanted.can_be_downloaded:
        raise InputError(
            f"{name} was put together from its source and has no address of its own: "
            f"{wanted.source}. Name a mirror that has it, with --data or {MIRROR}."
        )
    for file in wanted.files:
        if not _is_sound(folder / file.name, file):
            if mirror is not None:
                _copy(Path(mirror) / name / file.name, folder / file.name, file)
            elif file.url:
                _download(file, folder / file.name)
        progress(file.bytes)
    return folder


def _is_sound(path: Path, file: DataFile) -> bool:
    """Whether a file has the bytes, or after unpacking the content, that it should have."""
    if not path.is_file():
        return False
    with path.open("rb") as raw:
        if hashlib.file_digest(raw, "sha256").hexdigest() == file.sha256:
            return True
    if not file.content_sha256:
        return False
    try:
        with path.open("rb") as raw:
            content = decompressed(raw, path.name)
            return hashlib.file_digest(content, "sha256").hexdigest() == file.content_sha256
    except BROKEN:
        return False


def _copy(source: Path, target: Path, file: DataFile) -> None:
    if not source.is_file():
        raise LoadError(f"The mirror has no file {source}.")
    if not _is_sound(source, file):
        raise LoadError(f"{source} is not the file that the registry knows: its hash differs.")
    with source.open("rb") as content, writing(target, "wb") as out:
        shutil.copyfileobj(content, out, _BLOCK)


def _download(file: DataFile, target: Path) -> None:
    """Fetches content, and compresses it if the file's name says so and the source is not."""
    packed = Path(file.url).suffix == target.suffix
    wanted = file.sha256 if packed or not file.content_sha256 else file.content_sha256
    digest = hashlib.sha256()
    try:
        with urlopen(file.url, timeout=_TIMEOUT) as answer, writing(target, "wb") as out:
            with compressing(out, "" if packed else target.name) as store:
                while block := answer.read(_BLOCK):
                    digest.update(block)
                    store.write(block)
            if digest.hexdigest() != wanted:  # within: the file does not get its name
                raise LoadError(f"{file.url} gives another file than the registry knows.")
    except LoadError:
        raise
    except OSError as error:
        raise LoadError(f"{file.url} cannot be fetched: {error}.") from error
