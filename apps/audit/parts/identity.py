"""What exactly was audited."""

from __future__ import annotations

import datetime
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from apps.audit.audited import Audited, Examples
from apps.audit.recipe import Recipe, as_json, files_beside, sha256_of
from apps.audit.section import Finding, Section
from interp.pretrained.folder import METADATA

_PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "pandas", "scipy")
_LARGE = 2e9  # parameters of all checkpoints together, beyond which they are not all opened


def part(audited: Audited) -> Section:
    """Hashes, versions and settings."""
    tables = {
        "fingerprints": _fingerprints(audited),
        "configuration": _configuration(audited.model.cfg),
    }
    if audited.folder is not None:
        tables["files"] = _files(audited.folder)
    findings = [_kept(audited)]
    if audited.run is not None:
        tables["checkpoints"], of_run = _checkpoints(audited)
        findings.append(of_run)
    return Section(
        "identity",
        "What exactly was audited",
        text=(
            "A hash is a fingerprint: if a single bit of the weights or of the examples were "
            "another, it would be another. An audit speaks of the model with these fingerprints "
            "and of no other.",
        ),
        findings=tuple(findings),
        facts=_facts(audited),
        tables=tables,
        open=(
            "Hashes say which files these are, not who made them: nobody has signed the weights.",
        ),
    )


def _facts(audited: Audited) -> dict[str, str | float | int]:
    recipe, cfg = Recipe.of(audited), audited.model.cfg
    facts: dict[str, str | float | int] = {
        "model": audited.name,
        "shape": f"{cfg.shape.replace('_', '-')}, head {cfg.head}",
        "parameters": sum(p.numel() for p in audited.model.parameters()),
        "task": recipe.task or "none is known",
        "held-out examples": _examples(audited.held_out),
        "learnt examples": _examples(audited.learnt),
        "depth": audited.depth,
        "seed": audited.seed,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "device": str(next(audited.model.parameters()).device),
        "precision": str(cfg.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "interp": recipe.version,
    }
    for package in _PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            continue
    return facts


def _examples(given: Examples | None) -> str:
    return "none" if given is None else f"{len(given.records):,} ({given.source})"


def _fingerprints(audited: Audited) -> pd.DataFrame:
    recipe = Recipe.of(audited)
    hashes = {
        "weights": recipe.weights,
        "tokenizer": recipe.tokenizer,
        "configuration": recipe.configuration,
        "held-out examples": recipe.held_out,
        "learnt examples": recipe.learnt,
        "files beside the weights": recipe.files,
        "code of this package": recipe.code,
    }
    return pd.DataFrame({"what": list(hashes), "sha256": [h or "none" for h in hashes.values()]})


def _kept(audited: Audited) -> Finding:
    """Whether the weights are those that were written: `interp.load` has compared them."""
    folder = audited.folder
    written = [] if folder is None else list(folder.rglob(METADATA))
    if written:
        return Finding(
            "identity.weights",
            "fine",
            "The weights are complete and unchanged since they were written: their fingerprint is "
            "the one that was noted then.",
            ("files",),
        )
    return Finding(
        "identity.weights",
        "caution",
        "The files do not say what the fingerprint of the weights was when they were written, so "
        "nobody can tell from them whether they were changed since.",
    )


def _configuration(cfg: Any) -> pd.DataFrame:
    values = cfg.to_dict()
    return pd.DataFrame(
        {"field": list(values), "value": [as_json(value) for value in values.values()]}
    )


def _files(folder: Path) -> pd.DataFrame:
    """The files beside a model, in the order of their names; checkpoints have a table of their
    own."""
    paths = files_beside(folder)
    return pd.DataFrame(
        {
            "file": [path.relative_to(folder).as_posix() for path in paths],
            "bytes": [path.stat().st_size for path in paths],
            "sha256": [sha256_of(path) for path in paths],
        }
    )


def _checkpoints(audited: Audited) -> tuple[pd.DataFrame, Finding]:
    """The checkpoints of the training, and whether something is wrong with one."""
    import functools

    from interp.train.audit import trajectory

    run = audited.run
    assert run is not None
    steps = run.steps
    size = sum(p.numel() for p in audited.model.parameters())
    most = max(2, int(_LARGE / size))
    if len(steps) > most:
        steps = [steps[round(i * (len(steps) - 1) / (most - 1))] for i in range(most)]
    seen = trajectory(
        {step: functools.partial(run.load, step) for step in steps}, run.about.get("model")
    )
    frame = pd.DataFrame(
        {
            "step": [one.step for one in seen],
            "sha256": [one.model_hash or "" for one in seen],
            "norm": [one.norm for one in seen],
            "change": [one.relative for one in seen],
            "wrong": ["; ".join(": ".join(pair) for pair in one.findings) for one in seen],
        }
    )
    bad = [one for one in seen if one.findings]
    if bad:
        return frame, Finding(
            "identity.checkpoints",
            "caution",
            f"Of {len(seen)} checkpoints of its training, {len(bad)} look wrong, the first at step "
            f"{bad[0].step}: {bad[0].findings[0][0]}. What is said over the training rests on "
            "them.",
            ("checkpoints",),
        )
    return frame, Finding(
        "identity.checkpoints",
        "fine",
        f"All {len(seen)} checkpoints of its training that were opened are readable, finite and "
        "different.",
        ("checkpoints",),
    )
