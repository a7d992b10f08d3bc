"""Weights in safetensors files, read one tensor at a time, straight to where they belong.

The format (an 8-byte length, a JSON header, raw bytes) is read here and not mapped into memory:
a mapped page stays resident until the whole file is let go, which doubles the cost of opening a
model. The header is checked in full before anything is built, so that a damaged file is refused by
the name of its first damaged tensor.
"""

from __future__ import annotations

import json
import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interp.errors import LoadError
from interp.untrusted import MALFORMED, fits, read_json

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARDS = "model-*-of-*.safetensors"

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_MAX_HEADER = 100_000_000  # the library's own limit: a longer header is no header
_PLAIN = re.compile(r"[\w.\-]{1,100}\.safetensors")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


@dataclass(frozen=True)
class Stored:
    """One tensor in a file; `begin` is where its bytes start, counted from the file's own."""

    path: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int


class WeightFiles:
    """The tensors of one safetensors file or of the several that an index names: a `Source`."""

    def __init__(self, tensors: dict[str, Stored]):
        self.tensors = tensors

    @classmethod
    def open(cls, folder: Path) -> WeightFiles:
        """Reads and checks the headers of a folder's weights.

        Raises:
            LoadError: there are none, they are pickled, or a file is damaged.
        """
        index = folder / INDEX
        if (folder / SINGLE).is_file():
            return cls(read_header(folder / SINGLE))
        if not index.is_file():
            raise _no_weights(folder)
        names = _read_index(index)
        tensors: dict[str, Stored] = {}
        for file in sorted(set(names.values())):
            if not (folder / file).is_file():
                first = next(name for name, where in names.items() if where == file)
                raise LoadError(
                    f"{folder} lacks {file}, which should hold {first!r} and others; the copy is "
                    "incomplete. Fetch the folder again."
                )
            tensors |= read_header(folder / file)
        for name, file in names.items():
            if name not in tensors or tensors[name].path.name != file:
                raise LoadError(f"{index} says that {name!r} is in {file}, but it is not.")
        return cls(tensors)

    def names(self) -> list[str]:
        return list(self.tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name].shape

    def dtype(self, name: str) -> torch.dtype:
        return self.tensors[name].dtype

    def read(self, name: str) -> Tensor:
        """A tensor, as it is stored."""
        stored = self.tensors[name]
        out = torch.empty(stored.shape, dtype=stored.dtype)
        self.read_into(name, out)
        return out

    def read_into(self, name: str, out: Tensor) -> None:
        """Fills `out`, of the stored shape; without a copy in between if it is laid out alike."""
        stored = self.tensors[name]
        alike = out.dtype == stored.dtype and out.device.type == "cpu" and out.is_contiguous()
        if not alike:
            out.copy_(self.read(name))
            return
        if out.numel() == 0:
            return
        target = memoryview(out.detach().view(-1).view(torch.uint8).numpy().data)
        with stored.path.open("rb", buffering=0) as file:
            file.seek(stored.begin)
            done = 0
            while done < len(target):
                count = file.readinto(target[done:])
                if not count:
                    raise LoadError(f"{stored.path} ends within the tensor {name!r}.")
                done += count


def read_header(path: Path) -> dict[str, Stored]:
    """The tensors of one file.

    Raises:
        LoadError: the file is no safetensors file, or does not hold what its header says.
    """
    if not path.is_file():  # a pipe would be read without end
        raise LoadError(f"There is no {path.name} in {path.parent}.")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(_MAX_HEADER, size - 8):
            raise _damaged(path, "it does not begin with a safetensors header")
        try:
            header = json.loads(file.read(length))
        except MALFORMED as error:
            raise _damaged(path, f"its header is not readable ({error})") from error
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not a table of tensors")
    header.pop("__metadata__", None)
    tensors, spans = {}, {}
    for name, entry in header.items():
        tensors[name], spans[name] = _tensor(path, name, entry, first=8 + length)
    _check_spans(path, spans, first=8 + length, size=size)
    return tensors


def _tensor(path: Path, name: str, entry: Any, first: int) -> tuple[Stored, tuple[int, int]]:
    try:
        shape, (begin, end), dtype = entry["shape"], entry["data_offsets"], str(entry["dtype"])
        if not fits([*shape, begin, end], list[int]):
            raise TypeError("a size is no whole number")
    except MALFORMED as error:
        raise _damaged(path, f"its header does not describe the tensor {name!r}") from error
    if dtype not in _DTYPES:
        raise LoadError(
            f"The tensor {name!r} in {path} is stored as {dtype}; known are "
            f"{', '.join(_DTYPES)}. Convert the checkpoint to one of these first."
        )
    nbytes = math.prod(shape) * _DTYPES[dtype].itemsize
    if min((*shape, begin)) < 0 or end - begin != nbytes:
        raise _damaged(
            path,
            f"the tensor {name!r} of shape {list(shape)} in {dtype} needs {nbytes} bytes, "
            f"and its header gives it {end - begin}",
        )
    return Stored(path, _DTYPES[dtype], tuple(shape), first + begin), (first + begin, first + end)


def _check_spans(path: Path, spans: dict[str, tuple[int, int]], first: int, size: int) -> None:
    at = first
    for name, (begin, end) in sorted(spans.items(), key=lambda item: item[1]):
        if begin != at:
            raise _damaged(path, f"the bytes of the tensor {name!r} do not follow on the last one")
        if end > size:
            raise _damaged(
                path,
                f"it is truncated: the tensor {name!r} should end at byte {end}, "
                f"and the file has {size}",
            )
        at = end
    if at != size:
        raise _damaged(path, f"{size - at} bytes follow on its last tensor")


def _read_index(path: Path) -> dict[str, str]:
    try:
        names = read_json(path)["weight_map"]
        # Only names of files beside the index: a path could lead anywhere.
        plain = {str(name): str(file) for name, file in names.items()}
        if not all(_PLAIN.fullmatch(file) for file in plain.values()):
            raise ValueError("it names what is no safetensors file in its folder")
    except MALFORMED as error:
        raise LoadError(f"{path} is no readable index of weight files: {error}.") from error
    return plain


def refuse_pickle(path: Path) -> None:
    """Raises the error for a pickled checkpoint, if `path` is one by its name."""
    if path.suffix in _PICKLES:
        raise LoadError(
            f"{path} is a pickle, which can run any code while it is read, so it is not opened. "
            "Convert it once, where you trust it: open it with transformers and write it again "
            "with `model.save_pretrained(folder, safe_serialization=True)`."
        )


def _no_weights(folder: Path) -> LoadError:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        refuse_pickle(path)
    return LoadError(f"{folder} has neither {SINGLE} nor {INDEX}: there are no weights to read.")


def _damaged(path: Path, what: str) -> LoadError:
    return LoadError(
        f"{path} is damaged: {what}. Nothing was loaded; fetch or write the file again."
    )
