"""How far a cleaning has come, on the disk: what lets an interrupted one go on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from interp.atomic import writing
from interp.data.shards import Shard
from interp.data.tally import Tally
from interp.errors import InputError, LoadError
from interp.untrusted import MALFORMED, read_json, record

JOURNAL = ".cleaning.json"

# The card and the journal first: without them nothing takes the rest for finished.
_OURS = ("card.*", JOURNAL, "part-*")


@dataclass
class Journal:
    """A cleaning's position as of its last finished shard.

    Attributes:
        folder: of the output.
        plan_sha256: what is being done; see `DataCard`.
        chunks: how many chunks of the input are done.
    """

    folder: Path
    plan_sha256: str
    chunks: int = 0
    shards: list[Shard] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    @staticmethod
    def open(folder: Path, plan_sha256: str) -> Journal:
        """The journal of an interrupted cleaning, or a new one.

        Raises:
            InputError: the folder holds something else.
            LoadError: the journal is damaged.
        """
        for pattern in _OURS:  # what a killed process had under a temporary name
            for path in folder.glob(f".{pattern}-*"):
                path.unlink()
        fresh = Journal(folder, plan_sha256)
        path = folder / JOURNAL
        if path.is_dir():
            raise LoadError(f"{path} is a folder, where a journal should be. Remove it.")
        if not path.is_file():
            if any(folder.glob("part-*")):
                raise InputError(
                    f"{folder} holds shards of something else. Name another folder, or pass "
                    "restart to throw them away."
                )
            fresh.save()
            return fresh
        try:
            values = read_json(path)
            shards = [record(Shard, shard) for shard in values["shards"]]
            tally = Tally.from_dict(values["tally"])
            found = record(Journal, {**values, "folder": folder, "shards": shards, "tally": tally})
        except MALFORMED as error:
            raise LoadError(f"{path} is damaged: {error}. Start over with restart.") from error
        if found.shards:
            check_plan(folder, found.plan_sha256, plan_sha256)
            return found
        forget(folder)  # nothing was finished, so nothing is lost
        fresh.save()
        return fresh

    def finish(self, shard: Shard | None, tally: Tally, chunks: int) -> None:
        """Notes a finished shard (none, if nothing of the input was left) and what led to it."""
        if shard is not None:
            self.shards.append(shard)
        self.tally.add(tally)
        self.chunks = chunks
        self.save()

    def save(self) -> None:
        values = {
            "plan_sha256": self.plan_sha256,
            "chunks": self.chunks,
            "shards": [asdict(shard) for shard in self.shards],
            "tally": self.tally.to_dict(),
        }
        with writing(self.folder / JOURNAL) as file:
            json.dump(values, file, ensure_ascii=False)

    def remove(self) -> None:
        (self.folder / JOURNAL).unlink(missing_ok=True)


def check_plan(folder: Path, found: str, wanted: str) -> None:
    """Raises `InputError` where a folder holds another cleaning than the wanted one."""
    if found != wanted:
        raise InputError(
            f"{folder} holds a cleaning of other files, with other settings or by another "
            "version. Name another folder, or pass restart to throw it away."
        )


def forget(folder: Path) -> None:
    """Removes what a cleaning wrote to a folder, and nothing else."""
    for pattern in _OURS:
        for path in folder.glob(pattern):
            path.unlink()
