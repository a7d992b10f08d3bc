"""Cleaning a corpus: files in; shards of documents and a data card out.

Documents stream through in chunks of a megabyte. Worker processes run the steps, this process
reads, looks for duplicates in the order of the input and writes, so the result depends on the input
and the settings alone, not on how many processes there are or how often the work was interrupted.
In memory are a few chunks for each process and the indices of `interp.data.duplicates`.

After each shard a journal (`interp.data.journal`) says how far the input has been used. A run that
finds one goes on from there: it reads past the input that is done, and refills the indices from the
shards.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from interp import __version__
from interp.data.card import CARD, DataCard
from interp.data.chunks import Corpus, Progress, describe
from interp.data.document import Document
from interp.data.duplicates import Fingerprint, fingerprint
from interp.data.journal import Journal, check_plan, forget
from interp.data.pipeline import PIPELINES, PRIVACY, Pipeline
from interp.data.privacy import scrubbed
from interp.data.readers import Reading, list_files
from interp.data.seen import ABOUT, Seen
from interp.data.shards import ShardWriter, as_written, read_shard
from interp.data.tally import Tally
from interp.data.workers import Workers, available_cores
from interp.errors import InputError, LoadError


@dataclass(frozen=True)
class Cleaned:
    """What a worker makes of a chunk."""

    kept: list[tuple[Document, Fingerprint]]
    tally: Tally


def clean(
    paths: Sequence[str | Path],
    out: Path | str,
    pipeline: Pipeline | None = None,
    *,
    reading: Reading | None = None,
    suffix: str = ".jsonl",
    licence: str = "",
    processes: int | None = None,
    skip_unreadable: bool = False,
    restart: bool = False,
    progress: Progress = lambda done, total: None,
) -> DataCard:
    """Cleans the documents of files and folders into a folder, `part-00000.jsonl` and so on.

    The folder is finished when it holds `card.json`. The same call on an unfinished folder goes on
    where it stopped, on a finished one it returns the card.

    Args:
        paths: as `interp.data.readers.read_documents` takes them.
        pipeline: of `interp.data.pipeline`; by default `PIPELINES["standard"]`.
        reading: how files become documents.
        suffix: the format of the output, one of `interp.data.shards.SUFFIXES`.
        licence: a note for the card.
        processes: workers; by default one for each core. More than one need, like all of Python's
            process pools, that a script guards its start with `if __name__ == "__main__"`.
        skip_unreadable: leave out a damaged or binary file, and say so in the card.
        restart: throw away what an earlier cleaning wrote to the folder.

    Raises:
        InputError: nothing to read, a wrong format or column, a folder with another cleaning.
        LoadError: a damaged file. The shards that are finished stay.
        ConfigError: contradictory settings.
    """
    out, pipeline, reading = Path(out), pipeline or PIPELINES["standard"], reading or Reading()
    files = list_files(paths)
    sources = tuple(describe(file) for file in files)
    plan = {
        "version": __version__,
        "reading": {**asdict(reading), "keep": list(reading.keep)},
        "pipeline": pipeline.describe(),
        "suffix": suffix,
    }
    digest = _sha256([plan, [asdict(source) for source in sources], [f.name for f in files]])
    ShardWriter(out, 0, suffix)  # refuses a wrong suffix before anything is read
    if restart:
        forget(out)
    if (out / CARD).is_file():
        card = DataCard.read(out)
        check_plan(out, card.plan_sha256, digest)
        return card
    corpus = Corpus(files, reading, skip_unreadable, progress)
    with Workers(processes if processes is not None else available_cores()) as workers:
        try:
            journal = Journal.open(out, digest)
            _write_shards(journal, suffix, corpus, pipeline, workers)
        except OSError as error:
            if isinstance(error, LoadError):
                raise
            raise InputError(
                f"{out} cannot be written to: {error.strerror or error}. Its finished shards "
                "stay; the same command goes on from there."
            ) from error
    card = DataCard(
        plan=plan,
        plan_sha256=digest,
        licence=licence,
        sources=sources,
        shards=tuple(journal.shards),
        tally=journal.tally,
        about={step.name: step.about for step in pipeline.steps} | ABOUT,
        unreadable=corpus.unreadable,
    )
    if card.documents_in == 0:
        journal.remove()
        raise InputError(f"The {len(files)} files hold no document. Are they empty?")
    card.write(out)
    journal.remove()
    return card


def clean_chunk(pipeline: Pipeline, suffix: str, chunk: list[Document]) -> Cleaned:
    """Runs the steps on some documents, and fingerprints what they keep."""
    kept, tally, private = [], Tally(), PRIVACY in pipeline.steps
    for step in pipeline.steps:
        tally.step(step.name)
    for document in chunk:
        text = document.text
        for step, before, outcome in pipeline.run(text):
            text = outcome.text
            if outcome.removed:
                tally.step(step.name).removed(before, outcome.removed)
                break
            tally.step(step.name).changed(before, text)
            if outcome.found:
                tally.personal.update(outcome.found)
        else:
            text = as_written(text, suffix)
            id, metadata = document.id, document.metadata
            if private:
                id, metadata = scrubbed(id), scrubbed(metadata)
            cleaned = Document(text, id, document.source, metadata)
            kept.append((cleaned, fingerprint(text, pipeline.near)))
    return Cleaned(kept, tally)


def _write_shards(
    journal: Journal, suffix: str, corpus: Corpus, pipeline: Pipeline, workers: Workers
) -> None:
    """Everything from where the journal is to the end of the corpus."""
    out, seen = journal.folder, Seen(pipeline)
    for shard in journal.shards:
        seen.restore(workers, read_shard(out, shard))
    chunks = islice(corpus.chunks(), journal.chunks, None)
    writer, tally, done = ShardWriter(out, len(journal.shards), suffix), Tally(), journal.chunks
    try:
        for cleaned in workers.map(partial(clean_chunk, pipeline, suffix), chunks):
            tally.add(cleaned.tally)
            for document, print_ in cleaned.kept:
                if seen.is_new(document.text, print_, tally):
                    writer.write(document)
            done += 1
            if writer.is_full:
                journal.finish(writer.close(), tally, done)
                writer, tally = ShardWriter(out, len(journal.shards), suffix), Tally()
        journal.finish(writer.close(), tally, done)
    except BaseException as error:
        writer.abandon(error)
        if not journal.shards:
            journal.remove()  # there is nothing to go on from
        raise


def _sha256(values: Any) -> str:
    text = json.dumps(values, ensure_ascii=True, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
