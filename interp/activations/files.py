"""The files of rows: one for each site, of fixed stride, allocated as a whole before they are
filled row by row, by one process or several."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp.activations.places import Ints
from interp.activations.precision import Precision, row_bytes, to_stored
from interp.errors import StoreError


class RowFiles:
    """The rows of some sites, open for writing.

    Args:
        folder: where they are.
        widths: site -> width of its rows.
        n: how many rows there are.
    """

    def __init__(self, folder: Path, widths: Mapping[str, int], precision: Precision, n: int):
        self.folder, self.precision = folder, precision
        self.strides = {
            (site, end): size
            for site, width in widths.items()
            for end, size in row_bytes(width, precision).items()
        }
        self.n = n
        self._files: dict[tuple[str, str], int] = {}
        self._digests: dict[str, Any] = {}

    def path(self, site: str, end: str) -> Path:
        return self.folder / f"{site}{end}"

    def allocate(self, *, fresh: bool) -> None:
        """Makes the files, with room on the disk for all that will be written.

        Args:
            fresh: nothing is written yet; otherwise the files must be there.

        Raises:
            StoreError: there is no room, or files that were there are gone.
        """
        sizes = {self.path(*key): stride * self.n for key, stride in self.strides.items()}
        new = {path: size for path, size in sizes.items() if not _has(path, size)}
        if new and not fresh:
            raise StoreError(
                f"{next(iter(new))} is gone, which an interrupted harvest had begun. Remove "
                f"{self.folder} and harvest again."
            )
        refuse_without_room(self.folder, sum(new.values()))
        try:
            for path, size in new.items():
                with path.open("wb") as file:
                    if hasattr(os, "posix_fallocate"):
                        os.posix_fallocate(file.fileno(), 0, size)
                    else:
                        file.truncate(size)
        except OSError:
            for path in new:  # what could not be made whole takes no room from others
                path.unlink(missing_ok=True)
            raise

    def open(self) -> None:
        """Opens the files that `allocate` has made."""
        for key in self.strides:
            self._files[key] = os.open(self.path(*key), os.O_WRONLY)

    def write(self, order: Ints, values: Mapping[str, Tensor]) -> None:
        """Writes rows to their places.

        Args:
            order: which rows, ascending.
            values: site -> [row, d].
        """
        cuts = [0, *(np.flatnonzero(np.diff(order) != 1) + 1).tolist(), len(order)]
        for site, rows in values.items():
            for end, stored in to_stored(rows, self.precision).items():
                data = _as_bytes(stored)
                self._digests.setdefault(f"{site}{end}", hashlib.sha256()).update(data)
                stride, file = self.strides[site, end], self._files[site, end]
                for start, stop in itertools.pairwise(cuts):
                    at = int(order[start]) * stride
                    _write_all(file, data[start * stride : stop * stride], at)

    def finish_shard(self) -> dict[str, str]:
        """Puts on the disk what was written since the last call, and returns the hash of it
        in each file."""
        for file in self._files.values():
            os.fsync(file)
        hashes = {name: digest.hexdigest() for name, digest in self._digests.items()}
        self._digests = {}
        return hashes

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files = {}


def _as_bytes(stored: Tensor) -> memoryview:
    """The memory of a tensor, brought to the CPU."""
    flat = stored.cpu().contiguous().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy().data)


def refuse_without_room(folder: Path, needed: int) -> None:
    """That so many bytes fit on the disk of a folder.

    Raises:
        StoreError: they do not.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StoreError(
            f"{folder} needs {size_text(needed)}, and its disk has {size_text(free)} left. Keep "
            "fewer sites or tokens, rows of bfloat16 or int8, means of texts, or moments alone."
        )


@contextmanager
def full_disk_explained(folder: Path) -> Generator[None, None, None]:
    """Says of a disk that is full during a harvest what is kept and how to go on."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StoreError(
            f"The disk of {folder} is full. The shards that were finished are kept: make room, "
            "and the same call goes on with the next."
        ) from error


def _has(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _write_all(file: int, data: memoryview, at: int) -> None:
    while len(data):
        done = os.pwrite(file, data, at)
        data, at = data[done:], at + done


def size_text(n_bytes: int) -> str:
    """Bytes as people write them."""
    size, unit = float(n_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"
