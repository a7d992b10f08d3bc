"""All that the figures of an audit depend on, as hashes."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.audit.audited import Audited, Examples
from interp import __version__
from interp.model.fingerprint import weights_hash
from interp.train.recorder import MODEL

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("interp", "probes", "apps")
_WORDS = {".csv", ".json", ".jsonl", ".md", ".toml", ".tsv", ".txt"}


@dataclass(frozen=True)
class Recipe:
    """Two audits of one recipe have the same tables.

    Attributes:
        weights, tokenizer, configuration: SHA-256 of each; "" for a model without a tokenizer.
        task: its settings as JSON; "" for none.
        held_out, learnt: SHA-256 of the examples; "" for none.
        purpose: what the user says that the model is for, as JSON; "" for nothing.
        files: SHA-256 over what lies beside the weights: card, records of the training.
        depth, seed: as asked for.
        version, code: of this package, and SHA-256 of its source files.
    """

    weights: str
    tokenizer: str
    configuration: str
    task: str
    held_out: str
    learnt: str
    purpose: str
    files: str
    depth: str
    seed: int
    version: str
    code: str

    @classmethod
    def of(cls, audited: Audited) -> Recipe:
        """The recipe of an audit."""
        tokenizer = audited.model.tokenizer
        task = audited.task
        return cls(
            weights=weights_hash(audited.model),
            tokenizer="" if tokenizer is None else _sha256(tokenizer.backend.to_str()),
            configuration=_sha256(as_json(audited.model.cfg.to_dict())),
            task="" if task is None else as_json(task.to_dict()),
            held_out=_examples(audited.held_out),
            learnt=_examples(audited.learnt),
            purpose=as_json(dict(audited.purpose)) if audited.purpose else "",
            files=_files_sha256(audited.folder),
            depth=audited.depth,
            seed=audited.seed,
            version=__version__,
            code=code_sha256(),
        )

    def differences(self, other: dict[str, Any]) -> list[str]:
        """Names of what is not as in another recipe, read from a file."""
        mine = dataclasses.asdict(self)
        return [name for name in mine if mine[name] != other.get(name)]


def as_json(values: Any) -> str:
    """Plain values on one line, the same text for the same values."""
    return json.dumps(values, sort_keys=True, ensure_ascii=False, default=str)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_records(records: Sequence[Any]) -> str:
    """SHA-256 over records as JSON lines."""
    digest = hashlib.sha256()
    for record in records:
        plain = record if isinstance(record, (str, tuple)) else dataclasses.asdict(record)
        digest.update(as_json(plain).encode() + b"\n")
    return digest.hexdigest()


@functools.cache
def code_sha256() -> str:
    """SHA-256 over the Python files of this package: name and bytes of each."""
    return _over(_ROOT, [path for name in _PACKAGES for path in (_ROOT / name).rglob("*.py")])


def files_beside(folder: Path) -> list[Path]:
    """The files of a model or run but those of its checkpoints, in the order of their names."""
    places = [folder, folder / MODEL]
    return sorted(path for place in places for path in place.glob("*") if path.is_file())


def _files_sha256(folder: Path | None) -> str:
    """What the weights are is known by their own hash."""
    paths = [] if folder is None else files_beside(folder)
    small = [path for path in paths if path.suffix in _WORDS]
    return "" if folder is None else _over(folder, small)


def _over(folder: Path, paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _examples(given: Examples | None) -> str:
    return "" if given is None else given.sha256
