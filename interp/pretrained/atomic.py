"""Folders that are there as a whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path


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
