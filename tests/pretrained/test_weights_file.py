"""Reading safetensors: equal to the library, and refusing what it should, by name."""

from __future__ import annotations

import json
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from interp import LoadError
from interp.pretrained.weights_file import INDEX, SINGLE, WeightFiles, read_header

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool]


@st.composite
def tensors(draw: st.DrawFn) -> dict[str, Tensor]:
    shapes = st.lists(st.integers(0, 4), max_size=3)
    return {
        f"t{i}": (torch.randn(draw(shapes)) * 9).to(draw(st.sampled_from(DTYPES)))
        for i in range(draw(st.integers(1, 4)))
    }


@given(tensors())
def test_reads_what_the_library_writes(some: dict[str, Tensor]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_file(some, folder / SINGLE, metadata={"format": "pt"})
        files = WeightFiles.open(folder)
        assert set(files.names()) == set(some)
        for name, tensor in some.items():
            assert files.shape(name) == tuple(tensor.shape)
            assert files.dtype(name) == tensor.dtype
            assert torch.equal(files.read(name), tensor)
            out = torch.full(tensor.shape, 7.0, dtype=torch.float64)
            files.read_into(name, out)
            assert torch.equal(out, tensor.double())


def test_reads_into_a_part_of_a_tensor(tmp_path: Path) -> None:
    part = torch.arange(6.0).view(2, 3)
    save_file({"x": part}, tmp_path / SINGLE)
    files = WeightFiles.open(tmp_path)
    rows, columns = torch.zeros(5, 3), torch.zeros(2, 5)
    files.read_into("x", rows[1:3])
    files.read_into("x", columns[:, 1:4])
    assert torch.equal(rows[1:3], part)
    assert torch.equal(columns[:, 1:4], part)
    assert rows.sum() == columns.sum() == part.sum()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_file({"first": torch.ones(4), "second": torch.ones(3, 2)}, tmp_path / SINGLE)
    return tmp_path / SINGLE


@pytest.mark.parametrize(
    ("lost", "name"), [(1, "second"), (23, "second"), (25, "first"), (40, "first")]
)
def test_a_truncated_file_names_the_first_tensor_it_lacks(path: Path, lost: int, name: str) -> None:
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(LoadError, match=f"truncated.*'{name}'"):
        WeightFiles.open(path.parent)


@pytest.mark.parametrize("length", [0, 5, 8, 20])
def test_a_file_that_ends_in_its_header_is_refused(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(LoadError, match="header"):
        read_header(path)


def test_what_follows_on_the_last_tensor_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(LoadError, match="follow"):
        read_header(path)


def _second(**changes: Any) -> Any:
    return lambda header: header | {"second": header["second"] | changes}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header: b"\x80\x04pickle", "header is not readable"),
        (lambda header: [1], "not a table"),
        (lambda header: header | {"second": {"dtype": "F32"}}, "'second'"),
        (_second(shape=[3, 3]), "'second'.*36 bytes.*24"),
        (_second(shape=[-3, -2]), "'second'"),
        (_second(dtype="F8_E4M3"), "'second'.*F8_E4M3"),
        (_second(data_offsets=[0, 24]), "'(first|second)' do not follow"),
        (_second(data_offsets=[24, 48]), "'second' do not follow"),
    ],
)
def test_a_header_that_lies_is_refused(path: Path, change: Any, message: str) -> None:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = change(json.loads(data[8 : 8 + length]))
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    with pytest.raises(LoadError, match=message):
        read_header(path)


@given(st.binary(max_size=64))
def test_noise_is_refused(noise: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / SINGLE
        path.write_bytes(noise)
        with pytest.raises(LoadError):
            read_header(path)


FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
NAMES = {"a": FIRST, "b": SECOND, "c": FIRST}


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    save_file({"a": torch.zeros(2), "c": torch.full((2,), 2.0)}, tmp_path / FIRST)
    save_file({"b": torch.ones(2)}, tmp_path / SECOND)
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": NAMES}))
    return tmp_path


def test_several_files_are_one_source(sharded: Path) -> None:
    files = WeightFiles.open(sharded)
    assert [files.read(name)[0].item() for name in "abc"] == [0, 1, 2]


def test_a_missing_shard_is_named(sharded: Path) -> None:
    (sharded / SECOND).unlink()
    with pytest.raises(LoadError, match=f"{SECOND}.*'b'"):
        WeightFiles.open(sharded)


def test_an_index_that_lies_is_refused(sharded: Path) -> None:
    (sharded / INDEX).write_text(json.dumps({"weight_map": NAMES | {"d": FIRST}}))
    with pytest.raises(LoadError, match="'d'"):
        WeightFiles.open(sharded)


@pytest.mark.parametrize("text", ["", "{}", '{"weight_map": 3}', '{"weight_map": {"a": "../x"}}'])
def test_a_broken_index_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(LoadError, match="index"):
        WeightFiles.open(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.ckpt", "m.pth"])
def test_pickles_are_refused_with_the_way_out(tmp_path: Path, name: str) -> None:
    torch.save({"x": torch.ones(1)}, tmp_path / name)
    with pytest.raises(LoadError, match=r"pickle.*safe_serialization=True"):
        WeightFiles.open(tmp_path)


def test_a_folder_without_weights_says_so(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="no weights"):
        WeightFiles.open(tmp_path)
