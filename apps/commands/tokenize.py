"""Train a tokenizer on texts, or take one, and pack the texts into a corpus to train a model on.

The folder holds the tokens, the tokenizer and a manifest, and is there as a whole or not at all.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from apps.options import add_json, add_reading, reading

if TYPE_CHECKING:
    from interp.data.readers import Reading
    from interp.tokenizer import Tokenizer

EXAMPLES = """\
  interp tokenize clean/ --out corpus --kind bpe --d-vocab 4096
  interp tokenize held-out.txt --out corpus-test --tokenizer corpus
  interp tokenize reviews.csv --column review --out corpus --kind wordpiece --shape encoder
  interp tokenize poems.txt --document document --out corpus --kind characters --d-vocab 200"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", nargs="+", help="files, archives and folders, or hf:NAME (see docs/cleaning.md)"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--kind",
        choices=("bpe", "wordpiece", "unigram", "characters", "bytes"),
        help="of the tokenizer to train (bpe)",
    )
    which.add_argument(
        "--tokenizer", type=Path, metavar="FOLDER", help="take the one in this folder; train none"
    )
    parser.add_argument(
        "--d-vocab", type=int, default=4096, metavar="N", help="the most tokens (4096)"
    )
    parser.add_argument(
        "--shape",
        choices=("decoder", "encoder", "encoder_decoder"),
        default="decoder",
        help="of the model, which decides the special tokens (decoder)",
    )
    parser.add_argument("--chat", action="store_true", help="with the marks of a dialogue")
    parser.add_argument(
        "--sentinels", type=int, default=0, metavar="N", help="with marks for N corrupted spans"
    )
    add_reading(parser, document="file")
    add_json(parser, "the manifest as one JSON object")


def run(options: argparse.Namespace) -> int:
    import dataclasses

    from interp.data.corpus import pack
    from interp.figures.labels import count, literal, number

    read = reading(options)
    tokenizer = _tokenizer(options, read)
    corpus = pack(_texts(options.paths, read, "packing"), tokenizer, options.out)
    manifest = corpus.manifest
    if options.json:
        print(json.dumps(dataclasses.asdict(manifest)))
        return 0
    print(
        f"{count(manifest.n_documents, 'document')}, {count(manifest.n_tokens, 'token')} of "
        f"{number(manifest.d_vocab)}, {manifest.n_bytes / manifest.n_tokens:.2f} bytes each, in "
        f"{literal(str(options.out))}"
    )
    return 0


def _tokenizer(options: argparse.Namespace, read: Reading) -> Tokenizer:
    from interp.data.chat import CHAT
    from interp.data.corruption import sentinels
    from interp.data.tokenizing import train_tokenizer
    from interp.tokenizer import Tokenizer

    if options.tokenizer is not None:
        return Tokenizer.from_folder(options.tokenizer)
    return train_tokenizer(
        _texts(options.paths, read, "training the tokenizer"),
        options.kind or "bpe",  # no default above, or --tokenizer could not exclude it
        options.d_vocab,
        shape=options.shape,
        extra=[*(CHAT.marks if options.chat else ()), *sentinels(options.sentinels)],
    )


def _texts(paths: list[str], read: Reading, what: str) -> Iterator[str]:
    """The texts one by one; the bar shows how much of the files is read."""
    from tqdm import tqdm

    from interp.data.readers import list_files, read_file

    files = list_files(paths)
    size = sum(Path(file.path).stat().st_size for file in files if file.on_disk)
    with tqdm(
        total=size or None, desc=what, unit="B", unit_scale=True, disable=None, leave=False
    ) as bar:
        done = 0
        for file in files:
            with file.open() as raw:
                for document in read_file(file, read, raw):
                    if raw is not None:
                        bar.update(done + raw.tell() - bar.n)
                    yield document.text
                done += 0 if raw is None else raw.tell()
