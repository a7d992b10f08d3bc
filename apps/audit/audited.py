"""What is audited: a model, where it comes from, and the examples that it is measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from apps.audit.section import Section

if TYPE_CHECKING:
    from interp import Run
    from interp.train.tasks import Task

Depth = Literal["quick", "standard", "full"]


@dataclass(frozen=True)
class Examples:
    """Records of the model's task.

    Attributes:
        records: what `interp.train.tasks.records_of` read.
        source: where from, in words: a file's name, a set, or what comes with the zoo.
        sha256: of the file, or of the records where they are no file of their own.
    """

    records: Sequence[Any]
    source: str
    sha256: str = ""


@dataclass(frozen=True)
class Audited:
    """A model about which the parts of an audit ask.

    Attributes:
        name: as it was called on the command line, without its folders.
        model: open, in evaluation mode.
        folder: where its files are; None for a model from elsewhere.
        run: its training, where its checkpoints are known.
        task: how its answers are judged.
        held_out: examples that it has not learnt from; None if none are known.
        learnt: examples that it has learnt from; None if none are known.
        depth: how much is looked at: `quick` takes minutes on two cores, `full` takes all data.
        seed: of all chance.
        purpose: what the user says that the model is for, see `apps.audit.stated.TOPICS`.
        command: that asks for this audit.
        since: folder of the audit that this one is compared with.
        sections: what the parts before have answered, for those that look back.
    """

    name: str
    model: Any
    folder: Path | None
    run: Run | None
    task: Task[Any, Any] | None
    held_out: Examples | None
    learnt: Examples | None
    depth: Depth
    seed: int
    purpose: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    since: Path | None = None
    sections: Mapping[str, Section] = field(default_factory=dict)

    def at_most(self, quick: int, standard: int, full: int | None = None) -> int | None:
        """The number that belongs to the depth; None is everything."""
        return {"quick": quick, "standard": standard, "full": full}[self.depth]
