"""The tokenizer: reads, writes, and agrees with the transformers library on the same file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast
from transformers.tokenization_python import PreTrainedTokenizer

from interp.errors import InputError, LoadError
from interp.tokenizer import Tokenizer
from tests.model.texts import BOS, EOS, PAD, byte_tokenizer

BYTES = byte_tokenizer()


class Letters(PreTrainedTokenizer):
    """A slow tokenizer of the transformers library: one token a letter."""

    def __init__(self, **special: Any):
        self.letters = ["<unk>", "<s>", "</s>", "<pad>", *"abcdefgh "]
        super().__init__(
            unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>", **special
        )

    @property
    def vocab_size(self) -> int:
        return len(self.letters)

    def get_vocab(self) -> dict[str, int]:
        return {letter: i for i, letter in enumerate(self.letters)}

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        return list(text)

    def _convert_token_to_id(self, token: str) -> int:
        return self.letters.index(token) if token in self.letters else 0

    def _convert_id_to_token(self, index: int) -> str:
        return self.letters[index]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        return "".join(tokens)

    def save_vocabulary(self, folder: str, filename_prefix: str | None = None) -> tuple[str]:
        path = Path(folder) / "letters.json"
        path.write_text(json.dumps(self.letters))
        return (str(path),)


@given(text=st.text(max_size=20))
def test_text_survives(text: str) -> None:
    ids = BYTES.encode(text)
    assert ids == list(text.encode())
    assert BYTES.decode(ids) == text
    offsets = BYTES.offsets(text)
    assert len(offsets) == len(ids)
    covered = {i for start, end in offsets for i in range(start, end)}
    assert covered == set(range(len(text)))


def test_special_tokens() -> None:
    assert (BYTES.bos_token_id, BYTES.eos_token_id, BYTES.pad_token_id) == (BOS, EOS, PAD)
    assert BYTES.mask_token_id is None
    assert BYTES.special_ids == {BOS, EOS, PAD}
    assert len(BYTES) == BYTES.vocab_size == 259
    assert BYTES.token_id("<eos>") == EOS
    assert BYTES.token_id("nothing") is None
    assert BYTES.decode([104, EOS]) == "h<eos>"
    assert BYTES.decode([104, EOS], skip_special_tokens=True) == "h"
    named = Tokenizer(BYTES.backend, {"mask": "<eos>", "unk": None, "pad": "not there"})
    assert named.mask_token_id == EOS
    assert named.special_ids == {EOS}


def test_only_text_is_encoded() -> None:
    with pytest.raises(InputError, match="not list"):
        BYTES.encode(["a"])


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_saved_tokenizer_is_the_same_here_and_there(tmp_path: Path, side: str) -> None:
    tokenizer = byte_tokenizer(side)
    tokenizer.save(tmp_path)
    here = Tokenizer.from_folder(tmp_path)
    there = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    again = Tokenizer.from_hf(there)
    for text in ("Once upon", "é ü 日本", "a<eos>b"):
        expected = tokenizer.encode(text)
        assert here.encode(text) == again.encode(text) == expected
        assert there.encode(text, add_special_tokens=False) == expected
    for other in (here, again):
        assert other.special == tokenizer.special
        assert other.padding_side == side
        assert other.vocab_size == 259
    assert there.pad_token_id == PAD
    assert there.padding_side == side


def test_padding_and_truncation_set_elsewhere_do_not_reach_it(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.backend.enable_padding(length=12)
    tokenizer.backend.enable_truncation(3)
    tokenizer.save(tmp_path)
    assert Tokenizer.from_folder(tmp_path).encode("four") == list(b"four")
    theirs = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend)
    ours = Tokenizer.from_hf(theirs)
    assert ours.encode("four") == list(b"four")
    theirs.backend_tokenizer.enable_truncation(2)
    assert ours.encode("four") == list(b"four")


def test_special_tokens_written_as_objects(tmp_path: Path) -> None:
    byte_tokenizer().save(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config["bos_token"] = {"content": "<bos>", "lstrip": False}
    path.write_text(json.dumps(config))
    assert Tokenizer.from_folder(tmp_path).bos_token_id == BOS
    path.unlink()
    assert Tokenizer.from_folder(tmp_path).bos_token_id is None


def test_a_missing_or_broken_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"has no tokenizer\.json"):
        Tokenizer.from_folder(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(LoadError, match="cannot be read"):
        Tokenizer.from_folder(tmp_path)
    byte_tokenizer().save(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[")
    with pytest.raises(LoadError, match="not readable as JSON"):
        Tokenizer.from_folder(tmp_path)


def test_a_slow_tokenizer(tmp_path: Path) -> None:
    ours = Tokenizer.from_hf(Letters(padding_side="left"))
    assert ours.slow
    ids = ours.encode("bad cab")
    assert ids == [5, 4, 7, 12, 6, 4, 5]
    assert ours.decode(ids) == "bad cab"
    assert ours.padding_side == "left"
    assert (ours.bos_token_id, ours.eos_token_id, ours.pad_token_id) == (1, 2, 3)
    assert ours.token_id("c") == 6
    assert ours.token_id("z") is None
    assert ours.token_id("<unk>") == 0
    assert len(ours) == 13
    with pytest.raises(InputError, match="does not tell where"):
        ours.offsets("bad")
    ours.save(tmp_path)
    assert (tmp_path / "letters.json").is_file()


def test_half_a_character_is_refused_by_its_place(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    for call in (tokenizer.encode, tokenizer.offsets):
        with pytest.raises(InputError, match="at 2"):
            call("ab\ud800c")
    tokenizer.save(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "\\ud800"}')
    with pytest.raises(LoadError, match="special tokens"):
        Tokenizer.from_folder(tmp_path)
