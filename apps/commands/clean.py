"""Clean a corpus: repair, filter, scrub personal data and remove duplicates.

Writes shards of documents and a data card (card.json, card.html) that says what was done. It can be
stopped at any time; the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from apps.options import add_json, add_reading, reading

EXAMPLES = """\
  interp clean books/ --out clean
  interp clean crawl.jsonl.gz --out clean --pipeline web --language en --language de
  interp clean reviews.csv --column review --keep stars --out clean --suffix .jsonl.gz
  interp clean novel.txt --document paragraph --without near --out clean --suffix .txt"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", nargs="+", help="files, archives and folders, or hf:NAME (see docs/cleaning.md)"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER")
    parser.add_argument(
        "--pipeline",
        default="standard",
        metavar="NAME",
        help="repair, standard (the default) or web",
    )
    parser.add_argument("--language", action="append", metavar="CODE", help="keep this language")
    parser.add_argument("--min-words", type=int, metavar="N", help="keep documents from N words on")
    parser.add_argument("--max-words", type=int, metavar="N", help="... and up to N words")
    parser.add_argument("--without", action="append", metavar="STEP", help="leave a step out")
    parser.add_argument(
        "--near", type=float, metavar="SHARE", help="near duplicates share so much (0.7)"
    )
    add_reading(parser, document="file")
    parser.add_argument("--keep", action="append", metavar="COLUMN", help="keep this column too")
    parser.add_argument("--suffix", default=".jsonl", help=".jsonl, .jsonl.gz, ... or .txt")
    parser.add_argument("--licence", default="", metavar="TEXT", help="a note for the card")
    parser.add_argument("--processes", type=int, metavar="N", help="one for each core by default")
    parser.add_argument(
        "--skip-unreadable", action="store_true", help="leave out damaged and binary files"
    )
    parser.add_argument(
        "--restart", action="store_true", help="throw away what an earlier run wrote"
    )
    add_json(parser, "the card as one JSON object")


def run(options: argparse.Namespace) -> int:
    from interp.atomic import writing
    from interp.data.clean import clean
    from interp.figures.data_card import data_card_html
    from interp.figures.labels import literal, number

    with _Bar() as bar:
        card = clean(
            options.paths,
            options.out,
            _pipeline(options),
            reading=reading(options, tuple(options.keep or ())),
            suffix=options.suffix,
            licence=options.licence,
            processes=options.processes,
            skip_unreadable=options.skip_unreadable,
            restart=options.restart,
            progress=bar.show,
        )
    with writing(options.out / "card.html") as file:
        file.write(data_card_html(card.to_dict()))
    for name, why in card.unreadable.items():
        print(f"interp: left out {literal(name)}: {literal(why)}", file=sys.stderr)
    if options.json:
        print(json.dumps(card.to_dict(), ensure_ascii=False))
        return 0
    print(
        f"{number(card.documents_in)} documents in, {number(card.documents_out)} out "
        f"({number(card.characters_in)} to {number(card.characters_out)} characters)"
    )
    for name, step in card.tally.steps.items():
        if step.documents_removed or step.documents_changed:
            print(
                f"  {name:12} changed {number(step.documents_changed):>9}, "
                f"removed {number(step.documents_removed):>9}"
            )
    if card.tally.personal:
        found = (f"{kind} {number(n)}" for kind, n in sorted(card.tally.personal.items()))
        print("personal data replaced:", ", ".join(found))
    print(f"card: {options.out / 'card.html'}")
    return 0


def _pipeline(options: argparse.Namespace):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    from interp import ConfigError
    from interp.data.pipeline import PIPELINES, language_step, length_step

    if options.pipeline not in PIPELINES:
        raise ConfigError(f"{options.pipeline} is none of the pipelines {', '.join(PIPELINES)}.")
    pipeline = PIPELINES[options.pipeline]
    if options.min_words is not None or options.max_words is not None:
        settings = next(step.settings for step in pipeline.steps if step.name == "length")
        asked = {"min_words": options.min_words, "max_words": options.max_words}
        chosen = {name: settings[name] if n is None else n for name, n in asked.items()}
        pipeline = pipeline.with_step(length_step(**chosen))
    if options.language:
        pipeline = pipeline.with_step(language_step(tuple(options.language)))
    if options.near is not None:
        pipeline = replace(pipeline, near=options.near)
    return pipeline.without(*(options.without or ()))


class _Bar:
    """Bytes read of all bytes, with rate and time left; only where somebody can see it."""

    def __enter__(self) -> _Bar:
        from tqdm import tqdm

        self._bar = tqdm(unit="B", unit_scale=True, unit_divisor=1024, disable=None, leave=False)
        return self

    def show(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __exit__(self, *exception: object) -> None:
        self._bar.close()
