"""Text as it is written: the pieces make the whole, whatever the tokens are."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interp.errors import InputError
from interp.model.written import Written, cut, read_stops
from interp.tokenizer import Tokenizer
from tests.model.texts import EOS, byte_tokenizer, piece_tokenizer

BYTES, PIECES = byte_tokenizer(), piece_tokenizer()
TOKENIZERS = st.sampled_from([BYTES, PIECES])
TEXTS = st.text(alphabet="ab cdé✓😀\n", max_size=12)


def stream(
    tokenizer: Tokenizer, ids: list[int], prompt: list[int], stops: tuple[str, ...] = ()
) -> list[str]:
    """The pieces of a text, the last of which comes at its end."""
    written = Written(tokenizer, prompt, stops)
    pieces = []
    for token in ids:
        written.push(token)
        pieces.append(written.take())
        if written.stopped:
            break
    written.close()
    return [*pieces, written.take()]


@given(TOKENIZERS, TEXTS, TEXTS)
@example(BYTES, "😀", "😀")
@example(PIECES, "ab", " ab  cd é")
def test_pieces_make_the_text(tokenizer: Tokenizer, before: str, after: str) -> None:
    ids = tokenizer.encode(before + after)
    for cut_at in range(len(ids) + 1):
        prompt, new = ids[:cut_at], ids[cut_at:]
        start = tokenizer.decode(prompt).rstrip("�")
        assert start + "".join(stream(tokenizer, new, prompt)) == tokenizer.decode(ids)


@given(st.lists(st.integers(0, 258), max_size=15), st.lists(st.integers(0, 258), max_size=3))
def test_bytes_that_are_no_text_do_not_get_lost(ids: list[int], prompt: list[int]) -> None:
    """Whatever a model may write, special tokens in the middle included."""
    whole = BYTES.decode([*prompt, *ids], skip_special_tokens=True)
    start = BYTES.decode(prompt, skip_special_tokens=True).rstrip("�")
    assert start + "".join(stream(BYTES, ids, prompt)) == whole


@given(TOKENIZERS, TEXTS)
def test_a_piece_never_holds_half_a_character(tokenizer: Tokenizer, text: str) -> None:
    assert not any("�" in piece for piece in stream(tokenizer, tokenizer.encode(text), []))


def test_half_a_character_comes_out_at_the_end() -> None:
    ids = list("a✓".encode())[:-1]
    assert stream(BYTES, ids, []) == ["a", "", "", "�"]


@given(
    TOKENIZERS,
    TEXTS,
    st.lists(st.text("ab ✓", min_size=1, max_size=4), min_size=1, max_size=3).map(tuple),
)
def test_writing_stops_before_the_first_stop_string(
    tokenizer: Tokenizer, text: str, stops: tuple[str, ...]
) -> None:
    ids = tokenizer.encode(text)
    whole = tokenizer.decode(ids)
    written = Written(tokenizer, [], stops)
    for n, token in enumerate(ids, 1):
        written.push(token)
        so_far = tokenizer.decode(ids[:n]).rstrip("�")
        assert written.stopped == any(stop in so_far for stop in stops), "as early as can be"
        if written.stopped:
            whole = so_far
            break
    assert "".join(stream(tokenizer, ids, [], stops)) == cut(whole, 0, stops)


@given(TEXTS, st.lists(st.text("ab ✓", min_size=1, max_size=4), min_size=1, max_size=3))
def test_what_is_shown_is_never_taken_back(text: str, stops: list[str]) -> None:
    pieces = stream(BYTES, BYTES.encode(text), [], tuple(stops))
    assert text.startswith("".join(pieces))
    assert not any(stop in "".join(pieces) for stop in stops)


def test_what_cannot_begin_a_stop_is_shown_at_once() -> None:
    assert stream(BYTES, list(b"a\nb\n\nc"), [], ("\n\n",)) == ["a", "", "\nb", "", "", ""]


def test_a_stop_string_in_the_prompt_does_not_count() -> None:
    assert "".join(stream(BYTES, list(b"cd"), list(b"ab"), ("ab", "bc"))) == "cd"


def test_special_tokens_have_no_text() -> None:
    assert "".join(stream(BYTES, [*b"ab", EOS, *b"c"], [])) == "abc"
    spaced = [*PIECES.encode("ab"), 2, *PIECES.encode("ab", add_special_tokens=False)]
    assert "".join(stream(PIECES, spaced, [])) == PIECES.decode(spaced, skip_special_tokens=True)


def test_copies_go_their_own_ways() -> None:
    first = Written(BYTES, [], ("cd",))
    first.push(ord("c"))
    second = first.fork()
    first.push(ord("d"))
    second.push(ord("e"))
    assert (first.text, first.stopped) == ("", True)
    assert (second.text, second.stopped) == ("ce", False)


@pytest.mark.parametrize("stop", ["", ["a", ""], [3], [None]])
def test_refuses_stops_that_are_no_text(stop: object) -> None:
    with pytest.raises(InputError, match="stop"):
        read_stops(stop)


def test_reads_stops() -> None:
    assert read_stops(None) == ()
    assert read_stops("ab") == ("ab",)
    assert read_stops(["a", "b"]) == ("a", "b")
