"""Lines of text from bytes whose encoding nobody has written down."""

from __future__ import annotations

import io
from collections.abc import Iterator

from interp.data.streams import LIMIT, Stream
from interp.errors import InputError

_PEEKED = 4096
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def text_lines(stream: Stream) -> Iterator[str]:
    """The lines of a text file, each with its `\\n`, whatever the file ends its lines with.

    UTF-8, with or without a byte order mark; UTF-16 with one. A line that is no UTF-8 is read as
    Windows-1252, the Latin-1 of the web: files that were glued together from both come out right.

    Raises:
        InputError: the file is not text, or a line is longer than `LIMIT`.
    """
    head = stream.file.peek(_PEEKED)[:_PEEKED]
    if head.startswith(_UTF16):
        yield from _utf16_lines(stream)
        return
    if b"\0" in head:
        raise InputError(
            f"{stream.name} is not text: it holds zero bytes. Leave it out, or convert it first."
        )
    import ftfy.bad_codecs  # noqa: F401  (registers sloppy-windows-1252, which has every byte)

    first = True
    while line := stream.file.readline(LIMIT):
        if len(line) == LIMIT:
            raise too_long(stream.name)
        try:
            text = line.decode("utf-8-sig" if first else "utf-8")
        except UnicodeDecodeError:
            text = line.decode("sloppy-windows-1252")
        first = False
        if "\r" in text:
            yield from io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n"))
        else:
            yield text


def _utf16_lines(stream: Stream) -> Iterator[str]:
    reader = io.TextIOWrapper(stream.file, encoding="utf-16", errors="replace")
    try:
        while line := reader.readline(LIMIT // 2):
            if len(line) == LIMIT // 2:
                raise too_long(stream.name)
            yield line
    finally:
        reader.detach()  # closing the stream is for whoever opened it


def too_long(name: str) -> InputError:
    return InputError(
        f"A document or line in {name} is longer than {LIMIT >> 20} MiB, the most that is held in "
        "memory. Read text files with split='paragraph' or split='line', or cut the file first."
    )
