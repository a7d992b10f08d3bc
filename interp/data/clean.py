"""Cleaning a corpus: files in; shards of documents and a data card out.

Documents stream through in chunks of a megabyte. Worker processes run the steps, this process
reads, looks for duplicates in the order of the input and writes, so the result depends on the input
and the settings alone, not on how many processes there are or how often the work was interrupted.
In memory are a few chunks for each process and the indices of `interp.data.duplicates`.

After each shard a small state file says how far the input has been used. A run that finds one goes
on from there: it reads past the input that is done, and refills the indices from the shards.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from interp import __version__
from interp.atomic import writing
from interp.data.card import CARD, DataCard
from interp.data.chunks import Corpus, Progress, describe
from interp.data.document import Document
from interp.data.duplicates import Fingerprint, fingerprint
from interp.data.pipeline import PIPELINES, PRIVACY, Pipeline
from interp.data.privacy import scrubbed
from interp.data.readers import Reading, list_files
from interp.data.seen import ABOUT, Seen
from interp.data.shards import Shard, ShardWriter, as_written, read_shard
from interp.data.tally import Tally
from interp.data.workers import Workers, available_cores
from interp.errors import InputError, LoadError

STATE = ".cleaning.json"


@dataclass(frozen=True)
class Cleaned:
    """What a worker makes of a chunk."""

    kept: list[tuple[Document, Fingerprint]]
    tally: Tally


@dataclass
class _State:
    """How far a cleaning has come, as of its last finished shard."""

    plan_sha256: str
    chunks: int = 0
    shards: list[Shard] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


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
        "reading": asdict(reading),
        "pipeline": pipeline.describe(),
        "suffix": suffix,
    }
    digest = _sha256([plan, [asdict(source) for source in sources], [f.name for f in files]])
    ShardWriter(out, 0, suffix)  # refuses a wrong suffix before anything is read
    if restart:
        _forget(out)
    if (out / CARD).is_file():
        card = DataCard.read(out)
        _same(out, card.plan_sha256, digest)
        return card
    state = _load_state(out, digest)
    corpus = Corpus(files, reading, skip_unreadable, progress)
    with Workers(processes if processes is not None else available_cores()) as workers:
        seen = Seen(pipeline)
        for shard in state.shards:
            seen.restore(workers, read_shard(out, shard))
        _write_shards(out, suffix, state, corpus, pipeline, seen, workers)
    card = DataCard(
        plan=plan,
        plan_sha256=digest,
        licence=licence,
        sources=sources,
        shards=tuple(state.shards),
        tally=state.tally,
        about={step.name: step.about for step in pipeline.steps} | ABOUT,
        unreadable=corpus.unreadable,
    )
    if card.documents_in == 0:
        (out / STATE).unlink()
        raise InputError(f"The {len(files)} files hold no document. Are they empty?")
    card.write(out)
    (out / STATE).unlink(missing_ok=True)
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
            kept.append((cleaned, fingerprint(text, near=pipeline.near > 0)))
    return Cleaned(kept, tally)


# -- the output ------------------------------------------------------------------------------------


def _write_shards(
    out: Path,
    suffix: str,
    state: _State,
    corpus: Corpus,
    pipeline: Pipeline,
    seen: Seen,
    workers: Workers,
) -> None:
    """Everything from `state` on to the end; updates `state`."""
    chunks = islice(corpus.chunks(), state.chunks, None)
    writer = ShardWriter(out, len(state.shards), suffix)
    tally, done = Tally(), state.chunks
    try:
        for cleaned in workers.map(partial(clean_chunk, pipeline, suffix), chunks):
            tally.add(cleaned.tally)
            for document, print_ in cleaned.kept:
                if seen.is_new(document.text, print_, tally):
                    writer.write(document)
            done += 1
            if writer.is_full:
                _finish(out, state, writer, tally, done)
                writer, tally = ShardWriter(out, len(state.shards), suffix), Tally()
        _finish(out, state, writer, tally, done)
    except OSError as error:
        writer.abandon(error)
        if isinstance(error, LoadError):
            raise
        raise InputError(
            f"{out} cannot be written to: {error.strerror or error}. The {len(state.shards)} "
            "finished shards stay; the same command goes on from there."
        ) from error
    except BaseException as error:
        writer.abandon(error)
        raise


def _finish(out: Path, state: _State, writer: ShardWriter, tally: Tally, chunks: int) -> None:
    shard = writer.close()
    if shard is not None:
        state.shards.append(shard)
    state.tally.add(tally)
    state.chunks = chunks
    with writing(out / STATE) as file:
        shards = [asdict(shard) for shard in state.shards]
        values = {**vars(state), "shards": shards, "tally": state.tally.to_dict()}
        json.dump(values, file, ensure_ascii=False)


def _load_state(out: Path, digest: str) -> _State:
    path = out / STATE
    if not path.is_file():
        if any(out.glob("part-*")):
            raise InputError(
                f"{out} holds shards of something else. Name another folder, or pass restart to "
                "throw them away."
            )
        return _State(digest)
    try:
        values = json.loads(path.read_text("utf-8"))
        state = _State(
            values["plan_sha256"],
            values["chunks"],
            [Shard(**shard) for shard in values["shards"]],
            Tally.from_dict(values["tally"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LoadError(f"{path} is damaged: {error}. Start over with restart.") from error
    _same(out, state.plan_sha256, digest)
    return state


def _same(out: Path, found: str, wanted: str) -> None:
    if found != wanted:
        raise InputError(
            f"{out} holds a cleaning of other files, with other settings or by another version. "
            "Name another folder, or pass restart to throw it away."
        )


def _forget(out: Path) -> None:
    # The card and the state first: without them nothing takes the rest for finished.
    for pattern in ("card.*", STATE, "part-*"):
        for path in out.glob(pattern):
            path.unlink()


def _sha256(values: Any) -> str:
    text = json.dumps(values, ensure_ascii=True, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
