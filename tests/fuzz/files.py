"""Readers of texts, tables and the results of earlier work."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections import deque
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import zstandard

from apps.results_data import SUFFIXES, uploaded
from interp.data.card import DataCard
from interp.data.clean import clean
from interp.data.journal import Journal
from interp.data.readers import Reading, read_documents
from interp.data.sets import files
from interp.data.treebank import read_treebank
from interp.errors import InterpError
from interp.train.size import fitting, runs
from interp.train.tasks.rows import read_rows
from probes import frames
from probes.privacy.canaries import make_canaries, open_canaries, save
from tests.fuzz.judge import Reader

ROWS = [{"text": f"the {word} naïve 漢 {i}", "label": word, "n": i, "id": f"r{i}"} for i, word in
        enumerate(("king", "cat", "dog, or", 'old "home"', "ran"))]  # fmt: skip
TREEBANK = """\
# newdoc id = a
# sent_id = a-1
# text = Don't go.
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVB\tMood=Imp|VerbForm=Fin\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_
3\tgo\tgo\tVERB\tVB\tVerbForm=Inf\t0\troot\t_\tSpaceAfter=No
4\t.\t.\tPUNCT\t.\t_\t3\tpunct\t_\t_

# sent_id = a-2
1\tCats\tcat\tNOUN\tNNS\tNumber=Plur\t2\tnsubj\t_\t_
2\trun\trun\tVERB\tVBP\t_\t0\troot\t2:root\t_
2.1\tran\trun\tVERB\tVBD\t_\t_\t_\t2:conj\t_

"""


def _spent(found: Any) -> None:
    deque(found, maxlen=0)


def _jsonl() -> str:
    return "".join(json.dumps(row) + "\n" for row in ROWS)


def _table(sep: str) -> str:
    return str(pd.DataFrame(ROWS).to_csv(sep=sep, index=False))


_PLAIN = {
    ".txt": "\n\n\n".join(row["text"] for row in ROWS),
    ".jsonl": _jsonl(),
    ".csv": _table(","),
    ".tsv": "text\tlabel\nthe king\tgood\nthe cat\tbad\n",
    ".conllu": TREEBANK,
}


def _texts(*suffixes: str) -> Reader:
    """One file of documents, whose name ends so."""
    name = "texts" + "".join(suffixes)

    def make(folder: Path) -> None:
        content = _PLAIN[suffixes[0]].encode()
        for suffix in suffixes[1:]:
            content = _PACKED[suffix](content)
        (folder / name).write_bytes(content)

    def read(folder: Path) -> None:
        keep = ("label",) if suffixes[0] in (".jsonl", ".csv", ".tsv") else ()
        for split in ("file", "line"):
            _spent(read_documents([folder / name], Reading(keep=keep, split=split)))

    return Reader(make, read)


_PACKED = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: zstandard.ZstdCompressor().compress(content),
}


def _make_parquet(folder: Path) -> None:
    pd.DataFrame(ROWS).to_parquet(folder / "texts.parquet")


def _read_folder(folder: Path) -> None:
    _spent(read_documents([folder]))


def _make_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "texts.zip", "w") as archive:
        for suffix in (".txt", ".jsonl", ".csv", ".conllu"):
            archive.writestr(f"inside/texts{suffix}", _PLAIN[suffix])
        archive.writestr("inside/more.txt.gz", gzip.compress(b"one\ntwo\n"))


def _make_tar(folder: Path, mode: Any = "w:gz") -> None:
    with tarfile.open(folder / "texts.tar.gz", mode) as archive:
        for suffix in (".txt", ".jsonl"):
            info = tarfile.TarInfo(f"inside/texts{suffix}")
            content = _PLAIN[suffix].encode()
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("inside/link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "../../outside/secret.txt"
        archive.addfile(link)


def _make_rows(folder: Path) -> None:
    (folder / "rows.jsonl.gz").write_bytes(gzip.compress(_jsonl().encode()))
    (folder / "rows.csv").write_text(_table(","), "utf-8")
    (folder / "rows.tsv").write_text(_PLAIN[".tsv"], "utf-8")


def _read_rows(folder: Path) -> None:
    for name in ("rows.jsonl.gz", "rows.csv", "rows.tsv"):
        for row in read_rows(folder / name):
            row.text("text")
            row.words("text")
            if row.has("n"):
                row.number("n")


def _make_treebank(folder: Path) -> None:
    (folder / "bank.conllu").write_text(TREEBANK, "utf-8")


def _read_treebank(folder: Path) -> None:
    read_treebank(folder / "bank.conllu")


def _make_set(folder: Path) -> None:
    (folder / "set.json.gz").write_bytes(gzip.compress(json.dumps(ROWS).encode()))
    (folder / "set.jsonl.xz").write_bytes(lzma.compress(_jsonl().encode()))
    _make_zip(folder)
    _make_tar(folder)


def _read_set(folder: Path) -> None:
    files.from_json(folder / "set.json.gz")
    files.from_jsonl(folder / "set.jsonl.xz")
    files.zip_members(folder / "texts.zip", "inside/texts")
    files.tar_members(folder / "texts.tar.gz", "inside/")


def _make_card(folder: Path) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as source:
        (Path(source) / "texts.jsonl").write_text(_jsonl(), "utf-8")
        clean([Path(source) / "texts.jsonl"], folder)


def _read_card(folder: Path) -> None:
    card = DataCard.read(folder)
    _ = card.documents_in, card.characters_in, card.documents_out, card.to_dict()


def _make_journal(folder: Path) -> None:
    Journal(folder, "0" * 64, chunks=2).save()


def _read_journal(folder: Path) -> None:
    Journal.open(folder, "0" * 64)


def _make_canaries(folder: Path) -> None:
    save(make_canaries((0, 2), each=2), folder / "canaries.jsonl")


def _make_frame(folder: Path) -> None:
    frame = frames.tidy([{"layer": i, "metric": "loss", "value": i / 3} for i in range(5)])
    frames.write(frame, folder / "frame.parquet", {"seed": 1, "command": ["a"]})


def _make_runs(folder: Path) -> None:
    rows = [(10**6 * i, 10**8 * i, 4.0 / i) for i in range(1, 9)]
    frame = pd.DataFrame(rows, columns=["parameters", "tokens", "loss"])
    frame.to_csv(folder / "runs.csv", index=False)


def _read_runs(folder: Path) -> None:
    # All that stands before the fit, which takes seconds.
    with mock.patch.object(runs, "fit", lambda frame, **facts: fitting._columns(frame)):
        runs.fit_file(folder / "runs.csv")


def _make_uploads(folder: Path) -> None:
    for suffix in SUFFIXES:
        (folder / f"upload{suffix}").write_text(_PLAIN[suffix], "utf-8")


def _read_uploads(folder: Path) -> None:
    for suffix in SUFFIXES:
        path = folder / f"upload{suffix}"
        content = path.read_bytes() if path.is_file() else b""
        for names in (("text", "label"), ("text",)):
            digest = sha256(content).hexdigest()
            try:
                uploaded.__wrapped__(digest, content, suffix, names)
            except InterpError:
                continue  # the page shows why, and goes on


READERS: dict[str, Reader] = {
    "text": _texts(".txt"),
    "JSONL": _texts(".jsonl"),
    "CSV": _texts(".csv"),
    "TSV": _texts(".tsv"),
    "CoNLL-U": _texts(".conllu"),
    "text, gzip": _texts(".txt", ".gz"),
    "JSONL, xz": _texts(".jsonl", ".xz"),
    "CSV, bzip2": _texts(".csv", ".bz2"),
    "CoNLL-U, zstd": _texts(".conllu", ".zst"),
    "Parquet": Reader(_make_parquet, _read_folder, cost=2),
    "zip archive": Reader(_make_zip, _read_folder, cost=2),
    "tar archive": Reader(_make_tar, _read_folder, cost=2),
    "examples": Reader(_make_rows, _read_rows, cost=2),
    "treebank": Reader(_make_treebank, _read_treebank),
    "data sets": Reader(_make_set, _read_set, cost=3),
    "data card": Reader(_make_card, _read_card),
    "journal of a cleaning": Reader(_make_journal, _read_journal),
    "canaries": Reader(_make_canaries, lambda folder: open_canaries(folder / "canaries.jsonl")),
    "frame of a probe": Reader(
        _make_frame, lambda folder: frames.read(folder / "frame.parquet"), cost=2
    ),
    "runs of sizes": Reader(_make_runs, _read_runs, cost=2),
    "uploads": Reader(_make_uploads, _read_uploads, cost=10),
}
