"""`interp tokenize` as its users meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from interp.data.chat import CHAT
from interp.data.corpus import PackedCorpus
from tests.apps.test_cli import run
from tests.data.packed import texts


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a table of documents and a text file."""
    folder = tmp_path / "texts"
    folder.mkdir()
    lines = [json.dumps({"text": text, "said": text[::-1]}) for text in texts(20)]
    (folder / "a.jsonl").write_text("\n".join(lines), "utf-8")
    (folder / "b.txt").write_text("the old king\n\n\nand the dog\n", "utf-8")
    return folder


def test_a_tokenizer_is_trained_and_the_texts_are_packed(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "corpus"
    code, said, error = run(
        "tokenize", str(files), "--out", str(out), "--d-vocab", "400", "--document", "document",
        "--chat", "--sentinels", "3", capsys=capsys,
    )  # fmt: skip
    corpus = PackedCorpus.open(out)
    assert (code, error) == (0, "") and said.startswith("22 documents")
    read = [corpus.tokenizer.decode(corpus.document(i)[:-1]) for i in range(22)]
    assert read[:20] == texts(20)
    assert [text.strip() for text in read[20:]] == ["the old king", "and the dog"]
    for mark in (*CHAT.marks, "<extra_id_2>"):
        assert corpus.tokenizer.token_id(mark) is not None


def test_a_tokenizer_is_taken_from_a_folder(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    assert run("tokenize", str(files), "--out", first, "--kind", "bytes", capsys=capsys)[0] == 0
    code, said, _ = run(
        "tokenize", str(files / "a.jsonl"), "--column", "said", "--out", second,
        "--tokenizer", first, "--json", capsys=capsys,
    )  # fmt: skip
    corpus = PackedCorpus.open(second, PackedCorpus.open(first).tokenizer)
    manifest = json.loads(said)
    assert code == 0 and manifest["n_tokens"] == len(corpus) and manifest["n_documents"] == 20
    assert corpus.tokenizer.decode(corpus.document(0)[:-1]) == texts(20)[0][::-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--d-vocab", "100"], "too small"),
        (["--tokenizer", "nowhere"], "has no tokenizer.json"),
        (["--kind", "bpe", "--tokenizer", "x"], "not allowed with"),
        (["--column", "title"], "title"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_left(
    arguments: list[str],
    words: str,
    files: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "corpus"
    source = str(files / "a.jsonl")
    code, _, error = run("tokenize", source, "--out", str(out), *arguments, capsys=capsys)
    assert code == 2 and words in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["texts"]
