"""The one shape of a result: a tidy frame, a row for each measured value."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from interp import __version__
from interp.atomic import writing
from interp.errors import InputError, LoadError
from interp.untrusted import MALFORMED

KEYS = (
    "run",
    "step",
    "model_hash",
    "site",
    "layer",
    "head",
    "position",
    "token",
    "task",
    "split",
    "draw",
)
"""What a value belongs to, in the order of the columns; an analysis has those that apply."""

VALUES = ("metric", "value", "ci_low", "ci_high", "n")
"""What was measured: its name, the number, its 95% interval and the units that it rests on."""

_WHOLE = ("step", "layer", "head", "position", "draw", "n")
_PROVENANCE = b"interp"


def tidy(rows: Iterable[Mapping[str, Any]] | pd.DataFrame, **keys: Any) -> pd.DataFrame:
    """A frame in the shape that all analyses share.

    Args:
        rows: each with `metric` and `value`; `ci_low`, `ci_high` and `n` where they are known.
        **keys: columns that are the same in all rows.

    Returns:
        The columns of `KEYS` that occur, then any others, then `VALUES`. Whole numbers are
        pandas's `Int64`, so that they may be missing.

    Raises:
        InputError: a row without metric or value, or two rows that say the same thing.
    """
    frame = rows.copy() if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    for name, value in keys.items():
        frame[name] = value
    for name in ("metric", "value"):
        if name not in frame.columns or frame["metric"].isna().any():
            raise InputError(f"Every row of a result needs a {name}; got {list(frame.columns)}.")
    for name in ("ci_low", "ci_high"):
        if name not in frame.columns:
            frame[name] = np.nan
    if "n" not in frame.columns:
        frame["n"] = pd.NA
    for name in ("value", "ci_low", "ci_high"):
        frame[name] = frame[name].astype("float64")
    for name in _WHOLE:
        if name in frame.columns:
            frame[name] = frame[name].astype("Int64")
    first = [name for name in KEYS if name in frame.columns]
    extra = [name for name in frame.columns if name not in KEYS and name not in VALUES]
    frame = frame[first + extra + list(VALUES)].reset_index(drop=True)
    identity = [*first, *extra, "metric"]
    # As text, since an extra column may hold what cannot be compared (a list of contexts).
    twice = frame[identity].astype(str).duplicated()
    if twice.any():
        which = frame.loc[twice.idxmax(), identity].to_dict()
        raise InputError(f"A result says the same thing twice: {which}.")
    return frame


def write(frame: pd.DataFrame, path: str | Path, provenance: Mapping[str, Any]) -> None:
    """Writes a result as Parquet, with what made it in the file's metadata.

    The file is complete or absent, whatever happens meanwhile.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    about = json.dumps({"version": __version__, **provenance}, sort_keys=True).encode()
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), _PROVENANCE: about})
    with writing(Path(path), "wb") as file:
        pq.write_table(table, file)


def read(path: str | Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A result and what made it.

    Raises:
        LoadError: no such file, or one that is not a result.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(Path(path))
        about = json.loads((table.schema.metadata or {})[_PROVENANCE])
        return table.to_pandas(), dict(about)
    except (*MALFORMED, pa.ArrowException) as error:
        raise LoadError(f"{path} does not open as a result of a probe: {error}.") from error
