"""Activations of many texts to a folder: rows, moments, or both, from one pass."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from interp import __version__
from interp.activations.files import RowFiles, full_disk_explained, size_text
from interp.activations.journal import FOLDER, Journal, refuse_others
from interp.activations.plan import Job, Plan
from interp.activations.store import MANIFEST, MOMENTS, PLACES, TEXTS, Store
from interp.activations.summary import SummaryFitter
from interp.atomic import writing
from interp.model.protocol import LanguageModel
from interp.processes import World

Progress = Callable[[int, int], None]
"""Told how many rows this process has read, and how many it will have read."""


def harvest(
    model: LanguageModel,
    plan: Plan,
    folder: str | Path,
    *,
    world: World | None = None,
    progress: Progress = lambda done, total: None,
) -> Store:
    """Reads what is planned into a folder, and opens it.

    The same call goes on where an earlier one was stopped or killed: at most the work on one shard
    (of each process) is done again. If all is there already, nothing is. Memory is that of two
    batches, one being read while the other is written, and of the moments.

    Args:
        folder: new, or left by an earlier call with the same model and plan.
        world: the processes that share the work, each of which makes this call and sees the
            folder; by default those of the process group.

    Raises:
        StoreError: no room on the disk (said before anything is read), or a folder that holds the
            activations of other weights, texts or tokens.
        HookError, InputError: see `Reader` and `Plan`; activations that are not finite, with site,
            text and token. What was finished before stays.
    """
    folder = Path(folder)
    world = World.here() if world is None else world
    job = Job(model, plan)
    if (folder / MANIFEST).is_file():
        store = Store.open(folder)
        refuse_others(folder, store.about, job.description)
        if world.first:  # of a process that was killed when all was done
            shutil.rmtree(folder / FOLDER, ignore_errors=True)
        return store
    with full_disk_explained(folder):
        journal = Journal(folder, job.description, world)
        try:
            _run(job, folder, journal, world, progress)
        finally:
            journal.close()
    return Store.open(folder)


def _run(job: Job, folder: Path, journal: Journal, world: World, progress: Progress) -> None:
    files = None
    if job.plan.rows is not None:
        files = RowFiles(folder, job.widths, job.plan.rows, len(job))
    if world.first:
        if files is not None:
            files.allocate(fresh=not journal.earlier)
        for name, frame in ((PLACES, job.places()), (TEXTS, job.texts())):
            with writing(folder / name, "wb") as file:
                frame.to_parquet(file, index=False)
    world.wait()
    fitter = job.fitter()
    todo = [shard for shard in range(len(job.shards)) if shard not in journal.earlier]
    try:
        if files is not None:
            files.open()
        _read_shards(job, todo[world.rank :: world.size], files, fitter, journal, progress)
    finally:
        if files is not None:
            files.close()
    world.wait()
    if fitter is not None:
        summary = fitter.summary
        if world.first and journal.summary is not None:
            summary = summary + journal.summary
        summary = summary.reduced(world)
        if world.first:
            summary.save(folder / MOMENTS)
    if world.first:
        done = journal.shards()
        manifest = {
            **job.description,
            "sha256": [done[shard] for shard in range(len(job.shards))],
            "shard_rows": [
                sum(len(job.reader.batches[batch]) for batch in shard) for shard in job.shards
            ],
            "written_by": f"interp {__version__}",
        }
        with writing(folder / MANIFEST) as file:
            json.dump(manifest, file, indent=1)
        journal.remove()
    world.wait()


def _read_shards(
    job: Job,
    shards: list[int],
    files: RowFiles | None,
    fitter: SummaryFitter | None,
    journal: Journal,
    progress: Progress,
) -> None:
    batches = job.reader.batches
    total = sum(len(batches[batch]) for shard in shards for batch in job.shards[shard])
    done = 0
    with ThreadPoolExecutor(1) as writer:
        for shard in shards:
            pending = None
            for batch in job.shards[shard]:
                rows = job.reader.batch(batch)
                if pending is not None:
                    pending.result()
                if files is not None:  # written while the next batch is read
                    pending = writer.submit(files.write, rows.order, rows.values)
                if fitter is not None:
                    labels = job.labels
                    fitter.update(
                        rows.values,
                        None if labels is None else labels[torch.from_numpy(rows.order)],
                    )
                done += len(rows)
                progress(done, total)
            if pending is not None:
                pending.result()
            hashes = {} if files is None else files.finish_shard()
            journal.save(shard, hashes, None if fitter is None else fitter.summary)


@dataclass(frozen=True)
class Estimate:
    """What a harvest will take, before it is begun.

    Attributes:
        rows: how many.
        n_bytes: that the store will take, moments included.
        free: bytes that the disk has left.
        seconds: of reading, by one process.
    """

    rows: int
    n_bytes: int
    free: int
    seconds: float

    @property
    def fits(self) -> bool:
        return self.n_bytes <= self.free

    def __str__(self) -> str:
        return (
            f"{self.rows:,} rows, {size_text(self.n_bytes)} of the {size_text(self.free)} that the "
            f"disk has left, about {self._time}"
        )

    @property
    def _time(self) -> str:
        for size, unit in ((3600, "h"), (60, "min")):
            if self.seconds >= 2 * size:
                return f"{self.seconds / size:.0f} {unit}"
        return f"{self.seconds:.0f} s"


def estimate(model: LanguageModel, plan: Plan, folder: str | Path) -> Estimate:
    """Size and time of a harvest, from the reading of one batch of middling length.

    Raises:
        HookError, InputError: see `Reader` and `Plan`.
    """
    job = Job(model, plan)
    batches, lengths = job.reader.batches, plan.texts.source.lengths
    if plan.texts.target is not None:
        lengths = lengths + plan.texts.target.lengths
    sizes = [int(lengths[list(set(job.reader.places.text[b].tolist()))].sum()) for b in batches]
    middle = len(batches) // 2
    fitter = job.fitter()
    start = time.perf_counter()
    rows = job.reader.batch(middle)
    if fitter is not None:
        labels = None if job.labels is None else job.labels[torch.from_numpy(rows.order)]
        fitter.update(rows.values, labels)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - start) * sum(sizes) / sizes[middle]
    there = next(path for path in (Path(folder), *Path(folder).absolute().parents) if path.is_dir())
    return Estimate(len(job), job.n_bytes, shutil.disk_usage(there).free, seconds)
