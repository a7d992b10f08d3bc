"""Packed corpora: the documents come back, memory stays small, and damage is noticed."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.data.corpus import DOCUMENTS, MANIFEST, TOKENS, PackedCorpus, pack
from interp.data.tokenizing import train_tokenizer
from interp.errors import ConfigError, InputError, LoadError
from tests.data.packed import corpus, texts, tokenizer


@given(documents=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=12))
def test_documents_come_back_in_order(
    documents: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("corpus")
    kept = [text for text in documents if text]
    if not kept:
        with pytest.raises(InputError, match="nothing to pack"):
            pack(iter(documents), TOKENIZER, folder / "c")
        assert not any(folder.iterdir())
        return
    packed = pack(iter(documents), TOKENIZER, folder / "c")
    read = [packed.document(i) for i in range(packed.manifest.n_documents)]
    assert [TOKENIZER.decode(ids[:-1]) for ids in read] == kept
    assert all(ids[-1] == TOKENIZER.eos_token_id for ids in read)
    assert [i for ids in read for i in ids] == packed.tokens.tolist()
    assert packed.manifest.n_bytes == sum(len(text.encode()) for text in kept)
    packed.verify()


TOKENIZER = tokenizer()


def test_a_text_cannot_forge_the_end_of_a_document(tmp_path: Path) -> None:
    packed = pack(["one <|endoftext|> still one", "two"], TOKENIZER, tmp_path / "c")
    assert (packed.tokens == TOKENIZER.eos_token_id).sum() == packed.manifest.n_documents == 2


def test_the_corpus_brings_its_tokenizer(tmp_path: Path) -> None:
    packed = corpus(tmp_path / "c")
    assert packed.tokenizer.decode(packed.document(0)[:-1]) == texts(20)[0]
    PackedCorpus.open(tmp_path / "c", packed.tokenizer)
    with pytest.raises(ConfigError, match="another tokenizer"):
        PackedCorpus.open(tmp_path / "c", train_tokenizer(texts(5, seed=3), "bpe", 300))


def test_large_vocabularies_take_four_bytes(tmp_path: Path) -> None:
    letters = [chr(c) for c in [*range(0x3400, 0x9FFF), *range(0x20000, 0x2A6DF)]]
    large = train_tokenizer(["".join(letters)], "characters", 80_000)
    packed = pack(["".join(letters)], large, tmp_path / "c")
    assert len(large) > 1 << 16 and packed.tokens.dtype == np.dtype("<u4")
    assert large.decode(packed.document(0)[:-1]) == "".join(letters)
    assert corpus(tmp_path / "small").tokens.dtype == np.dtype("<u2")


def test_reading_goes_round(tmp_path: Path) -> None:
    packed = corpus(tmp_path / "c")
    rows = packed.read(np.array([0, len(packed) - 3]), 8)
    ids = packed.tokens.tolist()
    assert rows.tolist() == [ids[:8], ids[-3:] + ids[:5]]


def test_packing_holds_little_in_memory(tmp_path: Path) -> None:
    """Eight megabytes of documents, given as a stream, in far less memory."""

    def stream() -> Iterator[str]:
        for i in range(80):
            yield f"{i} " + "the old king " * 8000

    tracemalloc.start()
    packed = pack(stream(), tokenizer("bytes"), tmp_path / "c")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(packed) > 8_000_000
    # A list of ids takes 8 bytes an id (all of them: 66 MB); a megabyte of text is held at once.
    assert peak < 30_000_000


def test_bits_per_byte_of_a_uniform_guess(tmp_path: Path) -> None:
    packed = corpus(tmp_path / "c")
    n_bytes = sum(len(text.encode()) for text in texts(20))
    bits = packed.bits_per_byte(math.log(400))
    assert bits * n_bytes == pytest.approx(len(packed) * math.log2(400))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _raise_an_id(path: Path) -> None:
    path.write_bytes(b"\xff\xff" + path.read_bytes()[2:])


@pytest.mark.parametrize("name", [TOKENS, DOCUMENTS])
def test_a_truncated_or_missing_file_is_refused(name: str, tmp_path: Path) -> None:
    corpus(tmp_path / "c")
    _truncate(tmp_path / "c" / name)
    with pytest.raises(LoadError, match="cut short"):
        PackedCorpus.open(tmp_path / "c")
    (tmp_path / "c" / name).unlink()
    with pytest.raises(LoadError, match=f"has no {name}"):
        PackedCorpus.open(tmp_path / "c")


def test_ids_out_of_the_vocabulary_are_refused_when_read_and_when_verified(tmp_path: Path) -> None:
    corpus(tmp_path / "c")
    _raise_an_id(tmp_path / "c" / TOKENS)
    damaged = PackedCorpus.open(tmp_path / "c")
    with pytest.raises(LoadError, match="65535"):
        damaged.read(np.array([0]), 4)
    with pytest.raises(LoadError, match="SHA-256"):
        damaged.verify()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"n_tokens": 3}', '{"n_tokens": "many"}', "null", "\x00"]
)
def test_a_damaged_manifest_is_refused(text: str, tmp_path: Path) -> None:
    corpus(tmp_path / "c")
    (tmp_path / "c" / MANIFEST).write_text(text)
    with pytest.raises(LoadError, match="damaged"):
        PackedCorpus.open(tmp_path / "c")


def test_an_error_in_the_middle_leaves_nothing_new_and_everything_old(tmp_path: Path) -> None:
    def broken() -> Iterator[str]:
        yield from texts(20)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(broken(), TOKENIZER, tmp_path / "c")
    assert not any(tmp_path.iterdir())
    before = corpus(tmp_path / "c").tokens.tolist()
    with pytest.raises(KeyboardInterrupt):
        pack(broken(), TOKENIZER, tmp_path / "c")
    assert PackedCorpus.open(tmp_path / "c").tokens.tolist() == before
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="wrong encoding"):
        pack(["half a pair: \ud800"], TOKENIZER, tmp_path / "c")
    with pytest.raises(InputError, match="bytes"):
        pack([b"bytes"], TOKENIZER, tmp_path / "c")  # type: ignore[list-item]
    with pytest.raises(LoadError, match="no packed corpus"):
        PackedCorpus.open(tmp_path / "c")
