"""Files of data sets: found in their folder, unpacked in memory, and split for good."""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

from interp.data.order import stream_seed
from interp.data.records import Split
from interp.data.streams import BROKEN, LIMIT, decompressed
from interp.errors import ConfigError, LoadError
from interp.untrusted import MALFORMED

T = TypeVar("T")
_DAMAGED = (*BROKEN, *MALFORMED)
_MOST = 2 * LIMIT  # bytes of a file or member; the largest of a set has a quarter of it


def text(path: Path) -> str:
    """A text file, compressed or not, with line ends as `\\n`.

    Raises:
        LoadError: it is missing or damaged.
    """
    try:
        with present(path).open("rb") as file:
            whole = _whole(decompressed(file, path.name))
    except _DAMAGED as error:
        raise _broken(path, error) from error
    return whole.replace("\r\n", "\n")


def lines(path: Path) -> list[str]:
    """The lines of a text file; other characters that some take for line ends are not."""
    return text(path).removesuffix("\n").split("\n")


def from_json(path: Path) -> Any:
    """What a JSON file says."""
    try:
        return json.loads(text(path))
    except MALFORMED as error:
        raise _broken(path, error) from error


def from_jsonl(path: Path) -> list[Any]:
    """What each line of a JSONL file says."""
    try:
        return [json.loads(line) for line in lines(path)]
    except MALFORMED as error:
        raise _broken(path, error) from error


def parsed(member: str, path: Path, *, rows: bool = False) -> Any:
    """What the text of a JSON file inside the archive `path` says, or with `rows` each line of
    it."""
    try:
        if rows:
            return [json.loads(line) for line in member.removesuffix("\n").split("\n")]
        return json.loads(member)
    except MALFORMED as error:
        raise _broken(path, error) from error


def zip_members(path: Path, under: str) -> dict[str, str]:
    """Name -> text of the files below a folder of a zip archive, in the order of their names."""
    try:
        with zipfile.ZipFile(present(path)) as archive:
            names = sorted(n for n in archive.namelist() if n.startswith(under) and n[-1] != "/")
            return {name: _whole(archive.open(name)) for name in names}
    except _DAMAGED as error:
        raise _broken(path, error) from error


def tar_members(path: Path, under: str) -> dict[str, str]:
    """Name -> text of the files below a folder of a tar archive, in the order of their names.

    Members are read one by one, never unpacked: a path inside an archive is not to be trusted.
    """
    found = {}
    try:
        with tarfile.open(present(path)) as archive:
            for member in archive:
                if member.isfile() and member.name.startswith(under):
                    file = archive.extractfile(member)
                    assert file is not None  # as of every file
                    found[member.name] = _whole(file)
    except _DAMAGED as error:
        raise _broken(path, error) from error
    return dict(sorted(found.items()))


def side(key: str) -> Split:
    """On which side of a split something lies that has none of its own: eight parts in ten are
    for training, one for development, one for testing. A function of the key alone."""
    tenth = stream_seed("split", key) % 10
    return "test" if tenth == 0 else "dev" if tenth == 1 else "train"


def own_split(parts: dict[str, T], split: str, name: str) -> T:
    """One of the parts that a set comes in.

    Raises:
        ConfigError: it has no such part.
    """
    if split not in parts:
        raise ConfigError(f"{name} has no part {split!r}; it has {', '.join(parts)}.")
    return parts[split]


def of_side(records: Sequence[T], keys: Sequence[str], split: str) -> list[T]:
    """The records whose key lies on one side.

    Raises:
        ConfigError: there is no such side.
    """
    if split not in ("train", "dev", "test"):
        raise ConfigError(f"There is no split {split!r}; there are train, dev and test.")
    return [r for r, key in zip(records, keys, strict=True) if side(key) == split]


def present(path: Path) -> Path:
    """The path itself, if there is a file.

    Raises:
        LoadError: there is none.
    """
    if not path.is_file():
        name = path.parent.name
        raise LoadError(f"{path} is missing. `interp data get {name}` fetches the set {name}.")
    return path


def _whole(file: IO[bytes]) -> str:
    with file:
        content = file.read(_MOST + 1)
    if len(content) > _MOST:
        raise ValueError(f"it unpacks to more than {_MOST >> 20} MiB")
    return content.decode("utf-8")


def _broken(path: Path, error: Exception) -> LoadError:
    if isinstance(error, LoadError):
        return error
    return LoadError(f"{path} is damaged: {error}. Fetch it again.")
