"""Activations in a folder, opened without reading them.

A folder holds

- `SITE.bin`: the rows of each site, [row, d], flat little-endian float32, bfloat16 or int8 (then
  `SITE.scale.bin` has a float32 scale for each row);
- `places.parquet`: a line for each row: `text`, and its tokens from `start` to before `stop`;
  `written`, its place in the order in which rows were read; labels;
- `texts.parquet`: a line for each text: its ids, and what is known about it;
- `moments.safetensors`: a `Summary`, if it was asked for;
- `manifest.json`, written last: what was harvested, with the SHA-256 of the weights, the
  tokenizer, texts and places, and of each shard's rows in each file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from interp.activations.precision import (
    ROWS,
    SCALES,
    TYPES,
    Precision,
    check_precision,
    from_stored,
    row_bytes,
)
from interp.activations.summary import Summary
from interp.errors import InputError, LoadError
from interp.model.fingerprint import weights_hash
from interp.model.hook_points import get_act_name
from interp.model.protocol import LanguageModel
from interp.untrusted import MALFORMED, read_json

MANIFEST, PLACES, TEXTS = "manifest.json", "places.parquet", "texts.parquet"
MOMENTS = "moments.safetensors"

_SITE = re.compile(r"(?=.{1,200}$)\w+(\.\w+)*")  # as long as a file may be named


@dataclass(frozen=True)
class Store:
    """An open store.

    Attributes:
        folder: where it is.
        about: what the manifest says.
        sites: site -> width of its rows.
        precision: of the rows; None if only moments were kept.
    """

    folder: Path
    about: Mapping[str, Any]
    sites: Mapping[str, int]
    precision: Precision | None

    @classmethod
    def open(cls, folder: str | Path, model: LanguageModel | None = None) -> Store:
        """Opens a folder that `harvest` wrote.

        Args:
            model: whose activations they must be; any if None.

        Raises:
            LoadError: there is no store, it is unfinished or damaged, or of other weights.
        """
        folder = Path(folder)
        path = folder / MANIFEST
        if not path.is_file():
            unfinished = "an unfinished harvest: make the same call again to go on"
            what = unfinished if (folder / ".harvest").is_dir() else f"no store: no {MANIFEST}"
            raise LoadError(f"{folder} holds {what}.")
        try:
            about = read_json(path)
            sites = {str(site): int(width) for site, width in about["sites"].items()}
            precision, n = about["rows"], int(about["n"])
            if precision is not None:
                check_precision(precision)
            weights = str(about["weights"])
            if n < 1 or not all(_SITE.fullmatch(site) and sites[site] > 0 for site in sites):
                raise ValueError(f"{n} rows of {sites}")
        except MALFORMED as error:
            raise LoadError(f"{path} is damaged: {error}. Harvest again.") from error
        store = cls(folder, about, sites, precision)
        if model is not None and weights_hash(model) != weights:  # type: ignore[arg-type]
            raise LoadError(
                f"{folder} holds activations of other weights ({weights[:12]}...) than the "
                "model's. Harvest this model into a folder of its own."
            )
        for file, size in store._sizes(n).items():
            if not file.is_file() or file.stat().st_size != size:
                raise LoadError(f"{file} is missing or not {size:,} bytes long. Harvest again.")
        return store

    def __len__(self) -> int:
        """How many rows each site has."""
        return int(self.about["n"])

    @cached_property
    def places(self) -> pd.DataFrame:
        """Where each row is from, and its labels; a `LoadError` if the file is damaged."""
        return _table(self.folder / PLACES)

    @cached_property
    def texts(self) -> pd.DataFrame:
        """The texts, with their ids; a `LoadError` if the file is damaged."""
        return _table(self.folder / TEXTS)

    @cached_property
    def summary(self) -> Summary:
        """The moments.

        Raises:
            LoadError: none were kept.
        """
        return Summary.load(self.folder / MOMENTS)

    @property
    def classes(self) -> list[str]:
        """Names of the classes that the moments have sums of."""
        return list(self.about["classes"])

    # -- rows, where they are on the disk --------------------------------------------------------

    def numpy(self, site: str) -> NDArray[Any]:
        """The rows of a site as they are stored, [row, d], mapped from the disk, not copied.

        Raises:
            InputError: no such site; rows of bfloat16, which numpy does not have.
        """
        path, width = self._file(site)
        if self.precision == "bfloat16":
            raise InputError(
                "numpy has no bfloat16. `store.tensor(site)` maps these rows for torch; "
                "`store.read(site, rows)` gives a copy in float32."
            )
        dtype = np.dtype("<f4" if self.precision == "float32" else "i1")
        return np.memmap(path, dtype, "r", shape=(len(self), width))

    def tensor(self, site: str) -> Tensor:
        """The rows of a site as they are stored, [row, d], mapped from the disk, not copied.

        What is written into it is written to memory alone.
        """
        path, width = self._file(site)
        dtype = TYPES[str(self.precision)]
        flat = torch.from_file(str(path), shared=False, size=len(self) * width, dtype=dtype)
        return flat.view(len(self), width)

    def scales(self, site: str) -> NDArray[np.float32]:
        """By what rows of int8 are multiplied, [row], mapped from the disk."""
        self._file(site)
        if self.precision != "int8":
            raise InputError(f"Rows of {self.precision} have no scales.")
        path = self.folder / f"{self.name(site)}{SCALES}"
        return np.memmap(path, np.dtype("<f4"), "r", shape=(len(self),))

    def frame(self, site: str) -> pd.DataFrame:
        """The rows of a site as a frame with a column for each dimension, not copied; with
        `store.places` line by line."""
        return pd.DataFrame(self.numpy(site), copy=False)

    # -- rows, read ------------------------------------------------------------------------------

    def read(self, site: str, rows: Sequence[int] | NDArray[Any] | slice | None = None) -> Tensor:
        """Some rows of a site in float32, [row, d]; a copy.

        Args:
            rows: numbers, a slice or a mask; by default all.
        """
        which = slice(None) if rows is None else rows
        if not isinstance(which, slice):
            which = torch.from_numpy(np.array(which))  # type: ignore[assignment]
        stored = self.tensor(site)[which]
        scales = None
        if self.precision == "int8":
            scales = torch.from_numpy(np.array(self.scales(site)))[which]
        return from_stored(stored, scales).clone()

    def export(self, path: str | Path, rows: slice | None = None) -> None:
        """Writes the rows of all sites to a safetensors file, in the precision they are stored in;
        int8 with its scales as `SITE.scale`."""
        from safetensors.torch import save_file

        which = slice(None) if rows is None else rows
        tensors = {site: self.tensor(site)[which].contiguous() for site in self.sites}
        if self.precision == "int8":
            scales = {site: torch.from_numpy(np.array(self.scales(site))) for site in self.sites}
            tensors |= {
                f"{site}.scale": value[which].contiguous() for site, value in scales.items()
            }
        facts = {key: str(self.about[key]) for key in ("weights", "tokenizer", "written_by")}
        path = Path(path)
        written = path.with_name(f".{path.name}-{uuid4().hex}")
        try:
            save_file(tensors, written, facts)
            written.replace(path)
        finally:
            written.unlink(missing_ok=True)

    def verify(self) -> None:
        """Reads everything, and compares it with the hashes of the manifest.

        Raises:
            LoadError: names the site and shard that are not as they were written.
        """
        try:
            order = np.argsort(self.places["written"].to_numpy())
            shards = np.split(order, np.cumsum(self.about["shard_rows"])[:-1])
            sizes = self._sizes(len(self))
            hashes = list(zip(shards, self.about["sha256"], strict=True))
            expected = {path: [of[path.name] for _, of in hashes] for path in sizes}
        except MALFORMED as error:
            raise LoadError(f"{self.folder} is damaged: {error}. Harvest again.") from error
        for path, size in sizes.items():
            rows = np.memmap(path, np.uint8, "r", shape=(len(self), size // len(self)))
            for number, (shard, digest) in enumerate(zip(shards, expected[path], strict=True)):
                if hashlib.sha256(rows[shard].data).hexdigest() != digest:
                    raise LoadError(
                        f"{path} was changed since it was written, in shard {number}. Harvest "
                        "again."
                    )

    def name(self, site: str) -> str:
        """The full name of a site of this store.

        Raises:
            InputError: it has none of that name.
        """
        full = get_act_name(site)
        if full not in self.sites:
            raise InputError(f"The store has no site {full!r}; it has {', '.join(self.sites)}.")
        return full

    def _file(self, site: str) -> tuple[Path, int]:
        name = self.name(site)
        if self.precision is None:
            raise InputError("Only moments were kept; `store.summary` has them.")
        return self.folder / f"{name}{ROWS}", self.sites[name]

    def _sizes(self, n: int) -> dict[Path, int]:
        if self.precision is None:
            return {}
        return {
            self.folder / f"{site}{end}": n * size
            for site, width in self.sites.items()
            for end, size in row_bytes(width, self.precision).items()
        }


def _table(path: Path) -> pd.DataFrame:
    import pyarrow

    try:
        return pd.read_parquet(path)
    except (*MALFORMED, pyarrow.ArrowException) as error:
        raise LoadError(f"{path} is missing or damaged: {error}. Harvest again.") from error
