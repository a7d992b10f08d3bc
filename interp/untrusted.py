"""Plain values from files that somebody else may have written: read, or refused."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from interp.errors import LoadError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

MALFORMED = (
    ArithmeticError,  # a number that is infinite or too large for what it counts
    AttributeError,
    LookupError,
    OSError,
    RecursionError,  # brackets within brackets within brackets
    TypeError,
    ValueError,  # also text that is no UTF-8, and a path with a zero in it
)
"""What taking values apart raises where they are not what they should be: missing, of another kind,
out of range, nested too deeply, or not there to be read."""

_LONGEST_TOML = 20_000
"""Characters. A key with a point after every letter takes the parser the square of its length."""


def read_text(path: Path) -> str:
    """The text of a file in UTF-8.

    Raises:
        LoadError: there is no such file, or it is no such text.
    """
    if not path.is_file():  # a pipe or a device would be read without end
        raise LoadError(f"There is no {path.name} in {path.parent}.")
    try:
        return path.read_text("utf-8")
    except MALFORMED as error:
        raise LoadError(f"{path} is not readable as text: {error}.") from error


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        LoadError: there is no such file, or it holds something else.
    """
    try:
        values = json.loads(read_text(path))
    except LoadError:
        raise
    except MALFORMED as error:
        raise LoadError(f"{path} is not readable as JSON: {error}.") from error
    if not isinstance(values, dict):
        raise LoadError(f"{path} holds no JSON object.")
    return values


def read_toml(path: Path) -> dict[str, Any]:
    """The table in a TOML file.

    Raises:
        LoadError: there is no such file, or it holds something else.
    """
    text = read_text(path)
    if len(text) > _LONGEST_TOML:
        raise LoadError(
            f"{path} is too long to have been written by hand: {len(text):,} characters."
        )
    try:
        return tomllib.loads(text)
    except MALFORMED as error:
        raise LoadError(f"{path} is not readable as TOML: {error}.") from error


def read_tensors(path: Path, device: str = "cpu") -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors in a safetensors file, and what the file says of them.

    Raises:
        LoadError: there is no such file, or it holds something else.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise LoadError(f"There is no {path.name} in {path.parent}.")
    try:
        with safe_open(path, "pt", device=device) as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (*MALFORMED, SafetensorError) as error:
        raise LoadError(f"{path} is not readable as safetensors: {error}.") from error


def record(kind: type[T], values: Any) -> T:
    """A dataclass of plain fields from a JSON object.

    Raises:
        TypeError: a field is missing, unknown, or of another type than the dataclass says.
    """
    made = kind(**values)
    for name, hint in get_type_hints(kind).items():
        value = getattr(made, name)
        if not fits(value, hint):
            raise TypeError(f"{name} is {shown(value)}")
    return made


def fits(value: Any, hint: Any) -> bool:
    """Whether a plain value is of a type, as deep as the type says.

    A whole number is a `float` too; True and False are no numbers, and neither is what is not
    finite, which JSON does not have.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return any(value == one and type(value) is type(one) for one in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(fits(one, inner[0]) for one in value)
    if origin is list:
        return isinstance(value, list) and all(fits(one, inner[0]) for one in value)
    if origin is not None and issubclass(origin, Mapping):
        of_keys, of_values = inner if len(inner) == 2 else (*inner, int)  # Counter[str]
        return isinstance(value, Mapping) and all(
            fits(key, of_keys) and fits(one, of_values) for key, one in value.items()
        )
    if hint in (int, float):
        is_number = isinstance(value, (int, hint)) and not isinstance(value, bool)
        return is_number and abs(value) <= sys.float_info.max
    return isinstance(value, hint)


def shown(value: Any) -> str:
    """A value as a message may show it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
