"""The registry: no file is taken whose hash is not the one that is written down."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from interp.data import registry
from interp.data.registry import DataFile, DataSet, data_sets, get
from interp.errors import InputError, LoadError

TEXT = b"Some text that is worth a download.\n" * 50


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A folder of files behind an address on this machine."""
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "text.txt").write_bytes(TEXT)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def plant(monkeypatch: pytest.MonkeyPatch, *files: DataFile) -> None:
    """A registry of one set."""
    only = DataSet("toy", "a toy", "1", "tests", "CC0", "https://example.org", files)
    monkeypatch.setattr(registry, "data_sets", lambda: {"toy": only})
    monkeypatch.delenv(registry.MIRROR, raising=False)


def packed(url: str) -> DataFile:
    stored = gzip.compress(TEXT)
    return DataFile("text.txt.gz", len(stored), sha256(stored), sha256(TEXT), url)


def test_every_set_has_a_licence_a_source_and_hashes() -> None:
    assert len(data_sets()) > 30
    for name, entry in data_sets().items():
        assert entry.name == name and entry.licence and entry.source and entry.files
        for file in entry.files:
            assert len(file.sha256) == 64 and file.bytes > 0 and "/" not in file.name
            assert file.url == "" or file.url.startswith("https://")


def test_the_mirror_is_what_the_registry_knows(shared_data: Path, tmp_path: Path) -> None:
    """Each stored file of the small sets has the hash, and each packed one the content's hash."""
    for name, entry in data_sets().items():
        if entry.bytes < 400_000:
            folder = get(name, tmp_path, mirror=shared_data)
            for file in entry.files:
                stored = (folder / file.name).read_bytes()
                assert sha256(stored) == file.sha256
                if file.name.endswith(".gz"):
                    assert sha256(gzip.decompress(stored)) == file.content_sha256


def test_a_download_is_checked_and_packed(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, packed(f"{server}/text.txt"))
    folder = get("toy", tmp_path / "data")
    assert gzip.decompress((folder / "text.txt.gz").read_bytes()) == TEXT
    before = (folder / "text.txt.gz").stat().st_mtime_ns
    get("toy", tmp_path / "data")  # sound by its content: not fetched again
    assert (folder / "text.txt.gz").stat().st_mtime_ns == before
    (folder / "text.txt.gz").write_bytes(b"damaged")
    get("toy", tmp_path / "data")
    assert gzip.decompress((folder / "text.txt.gz").read_bytes()) == TEXT


@pytest.mark.parametrize("path", ["text.txt", "missing.txt"])
def test_another_file_than_the_known_one_is_not_taken(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    plant(monkeypatch, DataFile("text.txt", 7, sha256(b"another"), "", f"{server}/{path}"))
    with pytest.raises(LoadError, match=path):
        get("toy", tmp_path / "data")
    assert not [p for p in (tmp_path / "data").rglob("*") if p.is_file()]


def test_a_mirror_is_checked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, packed(""))
    with pytest.raises(InputError, match="Name a mirror"):
        get("toy", tmp_path / "data")
    monkeypatch.setenv(registry.MIRROR, str(tmp_path / "mirror"))
    with pytest.raises(LoadError, match="no file"):
        get("toy", tmp_path / "data")
    (tmp_path / "mirror" / "toy").mkdir(parents=True)
    (tmp_path / "mirror" / "toy" / "text.txt.gz").write_bytes(gzip.compress(b"another"))
    with pytest.raises(LoadError, match="hash differs"):
        get("toy", tmp_path / "data")
    (tmp_path / "mirror" / "toy" / "text.txt.gz").write_bytes(gzip.compress(TEXT, 1))
    get("toy", tmp_path / "data")  # packed by another program, the same content
    with pytest.raises(InputError, match="no data set 'nope'"):
        get("nope", tmp_path)
