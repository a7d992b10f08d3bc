"""Documents of every format, and what is said about files that cannot be read."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interp.data.document import Document
from interp.data.readers import Reading, read_documents
from interp.data.streams import LIMIT
from interp.errors import InputError, InterpError, LoadError

TEXTS = ["Grüße aus\nKöln", 'with "quotes", commas\tand tabs', "🙂 last"]
COMPRESS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def texts(path: Path | str, **reading: object) -> list[str]:
    return [d.text for d in read_documents([path], Reading(**reading))]


def as_jsonl(rows: list[str]) -> bytes:
    return "".join(json.dumps({"text": row}) + "\n" for row in rows).encode()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_tables_as_pandas_writes_them(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"stars": [1, 2, 3], "review": TEXTS, "id": ["x", "y", "z"]})
    path = tmp_path / f"t{suffix}"
    write = {
        ".csv": lambda: frame.to_csv(path, index=False),
        ".jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        ".parquet": lambda: frame.to_parquet(path),
    }
    write[suffix]()
    found = list(read_documents([path], Reading("review", keep=("stars",))))
    assert [d.text for d in found] == TEXTS
    assert [int(d.metadata["stars"]) for d in found] == [1, 2, 3]
    assert [d.id for d in found] == ["x", "y", "z"]


@pytest.mark.parametrize("suffix", ["", *COMPRESS])
def test_compressed_or_not(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.jsonl{suffix}"
    path.write_bytes(COMPRESS.get(suffix, bytes)(as_jsonl(TEXTS)))
    assert texts(path) == TEXTS


def test_zstandard(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    path = tmp_path / "t.jsonl.zst"
    path.write_bytes(zstandard.compress(as_jsonl(TEXTS)))
    assert texts(path) == TEXTS


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz"])
def test_members_of_archives(tmp_path: Path, kind: str) -> None:
    """Whatever a member is called, it is read and nothing is written."""
    members = {
        "a/b.txt": b"one",
        "../../escape.txt": b"two",
        "/etc/absolute.txt": b"three",
        "c.jsonl.gz": gzip.compress(as_jsonl(["four"])),
        "picture.png": b"\x89PNG",
        "LICENSE.txt": b"a licence",
        ".hidden.txt": b"hidden",
    }
    path = tmp_path / "folder" / f"t.{kind}"
    path.parent.mkdir()
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, f"w:{kind[4:]}") as tar:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            link = tarfile.TarInfo("link.txt")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(link)
    before = sorted(tmp_path.rglob("*"))
    assert texts(path) == ["one", "two", "three", "four"]
    assert sorted(tmp_path.rglob("*")) == before


def test_tables_without_names_have_numbers(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text('Go.\tVa "vite" !\nHi.\tSalut.\n')
    assert texts(path, column=2) == ['Va "vite" !', "Salut."]


@pytest.mark.parametrize(
    ("split", "parts"),
    [
        ("file", ["a\nb\n\nc\n\n\nd\n"]),
        ("document", ["a\nb\n\nc", "d"]),
        ("paragraph", ["a\nb", "c", "d"]),
        ("line", ["a", "b", "c", "d"]),
    ],
)
def test_ways_to_split_a_text(tmp_path: Path, split: str, parts: list[str]) -> None:
    path = tmp_path / "t.txt"
    path.write_text("a\nb\n\nc\n\n\nd\n")
    assert texts(path, split=split) == parts


def test_treebanks_give_their_sentences_back(shared_data: Path, tmp_path: Path) -> None:
    """Left to the words alone, the text is what the comment says."""
    path = shared_data / "ud_french_sequoia" / "fr_sequoia-ud-dev.conllu.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines(keepends=True)
    bare = tmp_path / "bare.conllu"
    bare.write_text("".join(line for line in lines if not line.startswith("# text =")))
    said = [line.removeprefix("# text = ").strip() for line in lines if line.startswith("# text =")]
    assert texts(path, split="line") == said
    rebuilt = texts(bare, split="line")
    assert sum(a == b for a, b in zip(rebuilt, said, strict=True)) >= 0.99 * len(said)
    assert " ".join(texts(path)).split() == " ".join(said).split()


def test_mixed_encodings_and_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes("\ufeffZürich\r\n".encode() + "Köln – “x”\r".encode("cp1252") + b"end\n")
    assert texts(path, split="line") == ["Zürich", "Köln – “x”", "end"]
    path.write_bytes("Zürich\r\nKöln\n".encode("utf-16"))
    assert texts(path, split="line") == ["Zürich", "Köln"]


def test_halves_of_surrogate_pairs_do_not_pass(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "\\ud83d\\ude42 \\ud800", "k": "\\ud800"}\n')
    (found,) = read_documents([path], Reading(keep=("k",)))
    assert found.text == "🙂 \ufffd"
    assert json.loads(found.to_json().encode("utf-8"))["metadata"] == {"k": "\ud800"}


@given(st.text(), st.text(), st.dictionaries(st.text(), st.integers() | st.text()))
def test_a_document_is_one_line_of_json(text: str, id: str, metadata: dict[str, object]) -> None:
    line = Document(text, id, "s", metadata).to_json()
    assert "\n" not in line
    read = json.loads(line.encode("utf-8"))
    assert (read["text"], read["id"], read.get("metadata", {})) == (text, id, metadata)


def test_folders_in_order_without_notices(tmp_path: Path) -> None:
    names = ["b.txt", "a/z.txt", "a/c.md", "README.md", "SOURCES.tsv", ".git/x.txt", "x.bin"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    found = list(read_documents([tmp_path]))
    assert [d.text for d in found] == ["a/c.md", "a/z.txt", "b.txt"]
    assert [d.source for d in found] == [f"{tmp_path.name}/{d.text}" for d in found]
    assert len({d.id for d in found}) == 3


def test_a_hugging_face_folder(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"text": TEXTS, "n": [1, 2, 3]}).save_to_disk(tmp_path / "d")
    found = list(read_documents([tmp_path / "d"], Reading(keep=("n",))))
    assert [d.text for d in found] == TEXTS
    assert [d.metadata["n"] for d in found] == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("t.txt", b"\x7fELF\0\0", InputError, "not text"),
        ("t.jsonl", b'{"text": "a"}\n{"text": \n', InputError, "line 2 is not JSON"),
        ("t.jsonl", b'["text"]\n', InputError, "not an object"),
        ("t.jsonl", b'{"body": "a"}\n', InputError, "no column 'text'. It has: body"),
        ("t.jsonl", b'{"text": 7}\n', InputError, "holds int, not text"),
        ("t.jsonl", b"[" * 10**5, InputError, "not JSON"),
        ("t.csv", b"body\nx\n", InputError, "no column 'text'"),
        ("t.jsonl.gz", gzip.compress(as_jsonl(TEXTS * 100))[:-20], LoadError, "damaged"),
        ("t.jsonl.gz", b"no gzip at all", LoadError, "damaged"),
        ("t.jsonl.xz", lzma.compress(b"x" * 999)[:-9], LoadError, "damaged"),
        ("t.zip", b"PK\x03\x04 no zip", LoadError, "damaged"),
        ("t.tar.gz", gzip.compress(b"no tar" * 200), LoadError, "damaged"),
        ("t.parquet", b"PAR1 no parquet PAR1", LoadError, "Parquet"),
        ("t.conllu", b"1\tword\n", InputError, "ten columns"),
        ("t.pdf", b"%PDF", InputError, "no suffix"),
        ("t.txt.gz", gzip.compress(b"a" * (LIMIT + 10)), InputError, "longer than 32 MiB"),
        ("t.jsonl.gz", gzip.compress(b'{"text": "' + b"a" * LIMIT), InputError, "longer than"),
    ],
    ids=lambda value: (
        value if isinstance(value, str) else ""
    ),  # gzip writes the time into its bytes
)
def test_what_cannot_be_read_is_said(
    tmp_path: Path, name: str, content: bytes, error: type[InterpError], words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(error, match=words) as raised:
        list(read_documents([path]))
    assert name in str(raised.value)


def test_a_locked_archive_and_missing_paths(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file or folder"):
        list(read_documents([tmp_path / "nothing.txt"]))
    with pytest.raises(InputError, match="nothing to read"):
        list(read_documents([tmp_path]))
    path = tmp_path / "t.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", b"x")
    with pytest.raises(InputError, match="holds no file that can be read"):
        list(read_documents([path]))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", b"x")
    raw = bytearray(path.read_bytes())
    raw[raw.rindex(b"PK\x01\x02") + 8] |= 1  # the flag of an encrypted member
    path.write_bytes(raw)
    with pytest.raises(InputError, match="password"):
        list(read_documents([path]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), suffix=st.sampled_from([".txt", ".jsonl", ".csv", ".gz"]))
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / ("t.txt.gz" if suffix == ".gz" else f"t{suffix}")
    path.write_bytes(content)
    try:
        for document in read_documents([path], Reading(column=1)):
            document.text.encode("utf-8")
    except InterpError:
        pass
