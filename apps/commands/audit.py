"""Audit a model or a run: from its weights to evidence that a person can sign.

Writes one page that opens offline, its JSON twin, the tables, and a model card. What is stopped
goes on when the same command is given again. docs/auditing.md says how to read it."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from apps.options import add_json, add_model

if TYPE_CHECKING:
    from apps.audit.report import Report

EXAMPLES = """\
  interp audit stories --out audit
  interp audit my-run/model --data test.jsonl --depth standard --out audit
  interp audit planted --fail-on thresholds.toml
  interp audit my-run --data test.jsonl --since audit-of-may --out audit-of-june"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from apps.audit.audited import Depth
    from apps.audit.parts import PARTS

    add_model(parser, "a suite, a run folder")
    what = parser.add_argument_group("what it is measured on")
    what.add_argument(
        "--data", metavar="FILE", help="examples it has not learnt from, or set:NAME:SPLIT"
    )
    what.add_argument("--learnt", metavar="FILE", help="examples that it has learnt from")
    what.add_argument("--task", help="by default the one that the model was fine-tuned on")
    what.add_argument(
        "--purpose", type=Path, metavar="FILE.toml", help="what it is for, in your words"
    )
    how = parser.add_argument_group("how")
    how.add_argument(
        "--depth", choices=get_args(Depth), default="quick", help="quick takes minutes (default)"
    )
    how.add_argument("--seed", type=int, default=0, metavar="N", help="of all chance (0)")
    how.add_argument("--parts", metavar="NAME,NAME", help=f"only some of: {', '.join(PARTS)}")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="to write (audit-NAME)")
    parser.add_argument(
        "--since", type=Path, metavar="FOLDER", help="an earlier audit to compare with"
    )
    parser.add_argument(
        "--fail-on", type=Path, metavar="FILE.toml", help="exit 1 if a threshold is not met"
    )
    add_json(parser, "one JSON object a finding")


def run(options: argparse.Namespace) -> int:
    from apps.audit.earlier import read_earlier
    from apps.audit.gate import Thresholds
    from apps.audit.opening import open_audited
    from apps.audit.running import chosen, run_audit
    from apps.audit.stated import read_purpose

    # What can be refused is refused before the work.
    thresholds = None if options.fail_on is None else Thresholds.read(options.fail_on)
    parts = chosen(None if options.parts is None else options.parts.split(","))
    if options.since is not None:
        read_earlier(options.since)
    audited = open_audited(
        options.model,
        data=options.data,
        learnt=options.learnt,
        task=options.task,
        purpose=None if options.purpose is None else read_purpose(options.purpose),
        depth=options.depth,
        seed=options.seed,
        command=_command(options),
        since=options.since,
    )
    out = options.out or Path(f"audit-{audited.name}")
    try:
        report = run_audit(audited, out, parts=parts, tell=_tell)
    except KeyboardInterrupt:
        _tell("interp: stopped; the same command goes on")
        return 130
    _show(report, out, as_json=options.json)
    broken = [] if thresholds is None else thresholds.breaches(report)
    for sentence in broken:
        _tell(f"interp: not kept: {sentence}")
    return 1 if broken else 0


def _show(report: Report, out: Path, *, as_json: bool) -> None:
    from apps.audit.report import HEADINGS
    from interp.figures.labels import literal

    if as_json:
        for finding in report.to_dict()["findings"]:
            print(json.dumps(finding, ensure_ascii=False))
        return
    for level, heading in HEADINGS.items():
        found = [finding for finding in report.findings if finding.level == level]
        if found:
            print(f"{heading}:")
        for finding in found:
            print(f"  - {literal(finding.sentence)} ({finding.key})")
    print(f"\n{out / 'audit.html'} holds the whole audit")


def _command(options: argparse.Namespace) -> str:
    """The command that makes the same audit: what changes its figures, and nothing else."""
    words = ["interp", "audit", options.model]
    for name in ("data", "learnt", "task", "purpose", "depth", "seed", "parts", "since"):
        value = getattr(options, name)
        if value is not None:
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
