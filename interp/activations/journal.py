"""How far a harvest has come, on the disk: what lets an interrupted one go on."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from interp.activations.summary import Summary
from interp.atomic import writing
from interp.errors import LoadError, StoreError
from interp.processes import World
from interp.untrusted import MALFORMED, read_json, read_tensors

FOLDER = ".harvest"
_PLAN = "plan.json"

Hashes = dict[str, str]
"""File -> SHA-256 of a shard's rows in it."""


class Journal:
    """The finished shards of a harvest, each process's in a file of its own.

    A file holds the shards that one process has finished since it started, and their moments: both
    are written at once, so that no row is counted twice or left out.

    Args:
        folder: of the store.
        description: what is being harvested; see `Job.description`.

    Attributes:
        earlier: the shards that were finished before this start, with their hashes.
        summary: the moments of those; None if there are none.

    Raises:
        StoreError: the folder is another harvest's, or another process harvests into it.
    """

    def __init__(self, folder: Path, description: dict[str, Any], world: World):
        self.folder = folder / FOLDER
        self.world = world
        self.mine: dict[int, Hashes] = {}
        self._lock: int | None = None
        if world.first:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            path = self.folder / _PLAN
            if path.is_file():
                refuse_others(folder, _read_plan(path), description)
            else:
                with writing(path) as file:
                    json.dump(description, file, indent=1)
        world.wait()
        found = [_read(path) for path in sorted(self.folder.glob("*.safetensors"))]
        self.earlier = {shard: hashes for shards, _ in found for shard, hashes in shards.items()}
        summaries = [summary for _, summary in found if summary.moments]
        self.summary: Summary | None = None
        for summary in summaries:
            self.summary = summary if self.summary is None else self.summary + summary
        self._path = self.folder / f"{uuid4().hex}.safetensors"
        world.wait()  # nobody writes before all have read

    def save(self, shard: int, hashes: Hashes, summary: Summary | None) -> None:
        """Says that a shard is finished.

        Args:
            summary: the moments of all shards that this process has finished.
        """
        from safetensors.torch import save

        self.mine[shard] = hashes
        tensors = {} if summary is None else summary.to_tensors()
        with writing(self._path, "wb") as file:
            file.write(save(tensors, {"shards": json.dumps(self.mine)}))

    def shards(self) -> dict[int, Hashes]:
        """All that any process has finished."""
        found: dict[int, Hashes] = {}
        for path in self.folder.glob("*.safetensors"):
            found |= _read(path)[0]
        return found

    def close(self) -> None:
        """Lets others harvest into the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def remove(self) -> None:
        """The harvest is finished."""
        self.close()
        shutil.rmtree(self.folder)

    def _take_lock(self) -> None:
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise StoreError(
                f"Another process is harvesting into {self.folder.parent}. Wait for it, or give "
                "another folder."
            ) from error


def refuse_others(folder: Path, found: Mapping[str, Any], wanted: dict[str, Any]) -> None:
    """That what a folder holds is what is wanted.

    Raises:
        StoreError: says in what they differ.
    """
    differ = [key for key, value in wanted.items() if found.get(key) != value]
    if differ:
        key = differ[0]
        before, now = str(found.get(key)), str(wanted[key])
        what = {
            "weights": f"of other weights ({before[:12]}..., not {now[:12]}...)",
            "tokenizer": "of a model with another tokenizer",
            "texts": "of other texts",
            "places": "of other tokens, or with other labels",
        }.get(key, f"with other {key} ({before}, not {now})")
        raise StoreError(
            f"{folder} holds activations {what}. Give another folder, or remove this one."
        )


def _read_plan(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except LoadError as error:
        raise LoadError(
            f"{path} is damaged: {error}. Remove {path.parent.parent} and harvest again."
        ) from error


def _read(path: Path) -> tuple[dict[int, Hashes], Summary]:
    try:
        tensors, facts = read_tensors(path)
        shards = {int(shard): hashes for shard, hashes in json.loads(facts["shards"]).items()}
        return shards, Summary.from_tensors(tensors)
    except MALFORMED as error:
        raise LoadError(
            f"{path} is damaged: {error}. Remove {path.parent.parent} and harvest again."
        ) from error
