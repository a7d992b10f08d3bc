"""Plain values from files of others: what is read, and that everything else is refused."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import LoadError
from interp.untrusted import MALFORMED, fits, read_json, read_tensors, read_text, record

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@dataclass(frozen=True)
class Made:
    name: str
    n: int
    share: float = 0.5
    kind: Literal["a", "b"] = "a"
    maybe: int | None = None
    counts: Counter[str] = field(default_factory=Counter)


@given(PLAIN, PLAIN)
def test_a_record_has_the_types_it_says_or_is_refused(name: Any, n: Any) -> None:
    try:
        made = record(Made, {"name": name, "n": n})
    except MALFORMED:
        assert not (isinstance(name, str) and type(n) is int and abs(n) < 1e300)
    else:
        assert isinstance(made.name, str) and type(made.n) is int


@pytest.mark.parametrize(
    "values",
    [
        {"name": "x"},
        {"name": "x", "n": True},
        {"name": "x", "n": 1.0},
        {"name": "x", "n": 1, "share": float("nan")},
        {"name": "x", "n": 1, "share": float("inf")},
        {"name": "x", "n": 10**400},
        {"name": "x", "n": 1, "kind": "c"},
        {"name": "x", "n": 1, "maybe": "1"},
        {"name": "x", "n": 1, "counts": Counter({"a": [1]})},
        {"name": "x", "n": 1, "unknown": 1},
        ["x", 1],
        None,
    ],
)
def test_what_is_no_such_record(values: Any) -> None:
    with pytest.raises(TypeError):
        record(Made, values)


def test_types_are_held_as_deep_as_they_say() -> None:
    assert fits([1, 2], list[int]) and not fits([1, "2"], list[int])
    assert fits({"a": [1.5]}, dict[str, list[float]]) and not fits({1: [1.5]}, dict[str, Any])
    assert fits((1, 2), tuple[int, ...]) and not fits([1, 2], tuple[int, ...])
    assert fits(2, float) and not fits(2.0, int) and not fits(True, float)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"\xff", b'{"a":' * 100_000, b"[" * 100_000, b"9" * 5_000]
)
def test_what_is_no_json_object_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(LoadError):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("read", [read_text, read_json, read_tensors])
def test_only_files_are_read(read: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "loop", "endless", "folder", "none"):
        with pytest.raises(LoadError):
            read(tmp_path / name)


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_an_object_is_read_as_it_was_written(values: dict[str, Any]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        path.write_text(json.dumps(values), "utf-8")
        assert read_json(path) == values
