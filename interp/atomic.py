"""Files and folders that are there as a whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def writing(path: Path, mode: str = "w") -> Generator[IO[Any], None, None]:
    """A file to write to, that takes the place of `path` when the block ends without an error.

    Its bytes are on the disk before it gets its name: neither a full disk nor a crash leaves half
    a file, or a name without its content.

    Args:
        mode: `w` for UTF-8 text, `wb` for bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)  # temporary files are for their owner alone
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def write_folder(
    folder: Path, write: Callable[[Path], None], *, last: str, obsolete: Iterable[str] = ()
) -> None:
    """Lets `write` fill a folder beside the target, then puts it in the target's place.

    If the target exists, its other files stay: new files replace old ones one by one, and `last`,
    without which the folder counts as incomplete, is taken away first and comes back at the end.

    Args:
        obsolete: patterns of old files that must not stay beside the new ones.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    written = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write(written)
        # Temporary folders, and weights as the library writes them, are for their owner alone.
        written.chmod(0o755)
        for path in written.iterdir():
            path.chmod(0o644)
        if not folder.exists():
            written.rename(folder)
            return
        (folder / last).unlink(missing_ok=True)
        for pattern in obsolete:
            for path in folder.glob(pattern):
                path.unlink()
        for path in sorted(written.iterdir(), key=lambda path: path.name == last):
            path.replace(folder / path.name)
    finally:
        shutil.rmtree(written, ignore_errors=True)
