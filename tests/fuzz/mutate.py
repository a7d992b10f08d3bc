"""Files as a careless disk or a hostile hand leaves them: one mutator for all readers.

A change is a pure function of the files and a seed, so that a number names a damaged folder for
good. Bytes are flipped, cut, repeated, spliced and overwritten with numbers that are read as sizes;
what is JSON is also changed as JSON, so that the damage gets past the parser; what is compressed is
also changed inside, or replaced by a bomb; and a file may give way to a folder, a loop, a pipe or
an endless device.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import json
import lzma
import os
import random
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard

from interp.data.streams import BROKEN

_MARK = "\N{SYMBOL FOR NULL}"
BOMB = 1 << 28
"""Bytes that a bomb unpacks to, from a two-hundredth of them at most."""

# As they stand in a JSON file: whatever is too large, too deep, of another kind, or a way out.
HOSTILE = (
    *(
        "null",
        "true",
        "[]",
        "{}",
        '""',
        "-1",
        "0",
        "1",
        "3",
        "0.5",
        '"1"',
        "[[]]",
        '[null, {"a": 1}]',
    ),
    *("65536", "2147483648", "-9223372036854775808", "18446744073709551616", "1" + "0" * 30),
    *("1e308", "1e999", "-1e999", "NaN", "Infinity", "-Infinity", "9" * 5000, "1e-320"),
    *('"../outside/secret.txt"', '"../../../../etc/passwd"', '"/etc/passwd"', '"/dev/zero"', '"."'),
    *('"\\ud800"', '"\\u0000"', '"\\u202e<script>"', '"%s%n{0}"', '"' + "a" * 70_000 + '"'),
    *("[" * 2_000 + "]" * 2_000, '{"a":' * 60_000 + "1" + "}" * 60_000, "[" * 200_000),
    *("[" + "0," * 50_000 + "0]", '{"a": 1, "a": [2]}', '"float64"', '"pickle"', '["a", "a"]'),
)
# As they stand in a line of a table or a treebank.
TEXTS = (
    *(
        "",
        "\t",
        "\t\t\t\t\t\t\t\t\t",
        '"',
        "'",
        ",",
        "\r",
        "\n\n",
        "\n" * 50,
        "\0",
        "\ufeff",
        "#",
        "=",
        "-",
    ),
    *("1-", "-1", "2-1", "1.1", "1-99999999999999999999", "9" * 5_000, "nan", "inf", "1e999", "²"),
    *(
        "# newdoc id =",
        "# text",
        "SpaceAfter=No",
        "../outside/secret.txt",
        "\u2028",
        "\ud7ff",
        "{",
        "}",
    ),
    *("a" * 70_000, '"' + "\n" * 1_000, "=cmd|' /C calc'!A0", "<script>", "\x85", "\x0b", "٣"),
)
# As they stand in a TOML file, besides those of JSON.
_TOML_VALUES = (
    *("nan", "-inf", "0x" + "f" * 4_000, "1" * 4_000, "1979-05-27T07:32:00Z", "07:32:00", "1_0"),
    *("{ min = nan }", "{ max = inf }", "{ min = 1e999 }", "{ max = " + "9" * 4_000 + " }"),
    *("{ min = true }", "{ }", "[1, [2]]", "{ a = " * 3_000 + "1" + " }" * 3_000, "'''", '"""'),
)
_TOML_KEYS = ("a." * 30_000 + "a", '""', '"\\u202e"', "a b", "[[x]]\na", "[measures]\nb", "é", "-")
_BYTES = (
    *(b"\xff", b"\x80\x80", b"\xed\xa0\x80", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\0" * 64),
    *(b"\xf5\xff\xff\xff", b"\xc0\xaf", b"PK\x03\x04", b"\x1f\x8b\x08", b"PAR1", b"\x80\x04\x95"),
)
_SIZES = (0, 1, 2, 7, 127, 255, 1 << 15, (1 << 16) - 1, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63))
_PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": functools.partial(gzip.compress, mtime=0, compresslevel=1),
    ".bz2": functools.partial(bz2.compress, compresslevel=1),
    ".xz": functools.partial(lzma.compress, preset=0),
    ".zst": zstandard.ZstdCompressor(1).compress,
}
_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zst": lambda data: zstandard.ZstdDecompressor().decompress(data),
}


def damage(folder: Path, seed: str, most: int = 3) -> str:
    """Changes one to `most` files of a folder, and says what was done."""
    draw = random.Random(seed)
    done = []
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    before = {path: path.read_bytes() for path in files[:12]}
    for path in draw.sample(files, min(draw.randint(1, most), len(files))):
        if draw.random() < 0.06:
            done.append(f"{path.name} {_replace(path, draw)}")
        else:
            path.write_bytes(changed(path.name, path.read_bytes(), list(before.values()), draw))
            done.append(f"{path.name} changed")
    return ", ".join(done)


def changed(name: str, data: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """Other bytes for a file of this name.

    Args:
        others: files that a piece may be taken from.
    """
    suffix = Path(name).suffix
    if suffix in _PACK and draw.random() < 0.7:
        if draw.random() < 0.03:
            return bomb(suffix, draw.choice((b"a", b"\0", b" ")))
        try:
            inside = _UNPACK[suffix](data)
        except (*BROKEN, ValueError, zstandard.ZstdError):
            return _raw(data, others, draw)
        return _PACK[suffix](changed(Path(name).stem, inside, others, draw))
    if suffix == ".zip" and draw.random() < 0.6:
        return _zip(data, others, draw)
    if draw.random() < 0.25:
        return _raw(data, others, draw)
    if suffix == ".safetensors":
        return _safetensors(data, draw)
    if suffix in (".json", ".jsonl", ".ndjson"):
        return _json_lines(data, draw, whole=suffix == ".json")
    if suffix == ".toml":
        return _toml(data, draw)
    if suffix in (".csv", ".tsv", ".conllu", ".txt", ".md"):
        return _words(data, draw)
    return _raw(data, others, draw)


@functools.cache
def bomb(suffix: str, letter: bytes) -> bytes:
    """A small file of one letter, `BOMB` times."""
    return _PACK[suffix](letter * (1 << 20)) * (BOMB >> 20)


def _raw(data: bytes, others: list[bytes], draw: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        n = len(out)
        at = (
            draw.randint(0, n)
            if draw.random() < 0.6
            else draw.choice((0, n, max(0, n - 8), min(n, 8)))
        )
        kind = draw.randrange(8)
        if kind == 0 and n:
            out[min(at, n - 1)] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del out[at:]
        elif kind == 2:
            del out[at : at + draw.randint(1, 64)]
        elif kind == 3:
            out[at:at] = out[at : at + draw.randint(1, 256)] * draw.randint(1, 8)
        elif kind == 4:
            size = struct.pack(draw.choice("<>") + "Q", draw.choice(_SIZES))
            width = draw.choice((1, 2, 4, 8))
            out[at : at + width] = size[:width]
        elif kind == 5:
            out[at:at] = draw.choice(_BYTES)
        elif kind == 6 and others:
            other = draw.choice(others)
            start = draw.randint(0, len(other))
            out[at:] = other[start : start + 100_000]
        else:
            out[at : at + 8] = draw.randbytes(8)
    return bytes(out)


def _json_lines(data: bytes, draw: random.Random, *, whole: bool) -> bytes:
    try:
        texts = [data.decode()] if whole else data.decode().split("\n")
        at = draw.randrange(len(texts))
        texts[at] = _json(texts[at], draw)
        if not whole and draw.random() < 0.2:
            draw.shuffle(texts)
        return "\n".join(texts).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return _words(data, draw)


def _json(text: str, draw: random.Random) -> str:
    """The same JSON with some values replaced, keys renamed or doubled, parts moved or removed."""
    root = [json.loads(text)]
    raw: dict[str, str] = {}

    def hostile() -> str:
        raw[mark := f"{_MARK}{len(raw)}{_MARK}"] = draw.choice(HOSTILE)
        return mark

    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        places = list(_places(root))
        holder, key = draw.choice(places)
        kind = draw.randrange(6)
        if kind == 0 and holder is not root:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[draw.choice((hostile(), "../outside/x", "", "a" * 9_000))] = holder.pop(key)
        elif kind == 2:
            other, there = draw.choice(places)
            holder[key] = json.loads(json.dumps(other[there]))
        else:
            holder[key] = hostile()
    text = json.dumps(root[0], ensure_ascii=draw.random() < 0.5)
    for mark, value in raw.items():
        text = text.replace(json.dumps(mark), value).replace(f'"{mark}"', value)
    if draw.random() < 0.1 and text.startswith("{") and len(text) > 2:  # every key twice
        text = text[:-1] + "," + text[1:]
    return text


def _places(root: Any) -> Any:
    """Every (container, key) of a JSON value; wide lists by their first entries alone."""
    waiting = [root]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(min(len(holder), 20))
        for key in list(keys)[:60]:
            yield holder, key
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])


def _words(data: bytes, draw: random.Random) -> bytes:
    """A text with words, cells or lines replaced, doubled or removed."""
    lines = data.decode("utf-8", "replace").split("\n")
    for _ in range(draw.choice((1, 1, 2, 8))):
        at = draw.randrange(len(lines))
        split = draw.choice(("\t", " ", ",", "="))
        cells = lines[at].split(split)
        cell = draw.randrange(len(cells))
        kind = draw.randrange(5)
        if kind == 0:
            lines[at:at] = [draw.choice(lines)]
        elif kind == 1:
            del cells[cell]
        elif kind == 2:
            cells[cell:cell] = [draw.choice(TEXTS)]
        else:
            cells[cell] = draw.choice(TEXTS)
        lines[at] = split.join(cells)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _toml(data: bytes, draw: random.Random) -> bytes:
    """The same lines with other values or keys, some twice or gone."""
    lines = data.decode("utf-8", "replace").split("\n")
    for _ in range(draw.choice((1, 1, 2, 5))):
        at = draw.randrange(len(lines))
        key, _, value = lines[at].partition("=")
        kind = draw.randrange(6)
        if kind == 0:
            lines[at:at] = [draw.choice(lines)]
        elif kind == 1:
            lines[at] = f"{draw.choice((*_TOML_KEYS, *TEXTS))} = {value}"
        elif kind == 2:
            lines[at] = draw.choice((*TEXTS, "[findings]", "[measures.x]", "[[findings]]"))
        else:
            lines[at] = f"{key} = {draw.choice((*HOSTILE, *_TOML_VALUES))}"
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _safetensors(data: bytes, draw: random.Random) -> bytes:
    """A header that was changed and measured again, or measured wrongly."""
    length = int.from_bytes(data[:8], "little")
    try:
        header = _json(data[8 : 8 + length].decode(), draw).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return _raw(data, [], draw)
    said = draw.choice(_SIZES) if draw.random() < 0.1 else len(header)
    body = data[8 + length :]
    if draw.random() < 0.1:
        body = body[: draw.randint(0, len(body))]
    return struct.pack("<Q", said) + header + body


def _zip(data: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """An archive whose members have other contents and other names."""
    out = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
            for info in old.infolist():
                name = draw.choice(
                    (
                        info.filename,
                        f"../outside/{info.filename}",
                        f"/tmp/{info.filename}",
                        "a/" * 400 + "b.txt",
                    )
                )
                inside = old.read(info)
                if draw.random() < 0.5:
                    inside = changed(info.filename, inside, others, draw)
                new.writestr(name, inside, draw.choice((0, 8)))
            if draw.random() < 0.02:
                new.writestr("bomb.txt", b"a" * (BOMB >> 2), zipfile.ZIP_DEFLATED)
    except (*BROKEN, ValueError, RuntimeError):
        return _raw(data, others, draw)
    return out.getvalue()


def _replace(path: Path, draw: random.Random) -> str:
    """Something else in the place of a file."""
    kinds = (
        "removed",
        "emptied",
        "a folder",
        "a loop",
        "a dead link",
        "a pipe",
        "endless",
        "a link out",
    )
    kind = draw.choice(kinds)
    content = path.read_bytes()
    path.unlink()
    if kind == "emptied":
        path.write_bytes(b"")
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a loop":
        path.symlink_to(path.name)
    elif kind == "a dead link":
        path.symlink_to("nowhere")
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "a link out":  # as the cache of the hub has it: the content is elsewhere
        there = path.parent / f"{path.name}.kept"
        there.write_bytes(content)
        path.symlink_to(there.name)
    return kind


def fresh(source: Path, target: Path) -> None:
    """A copy of whole files to be damaged."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
