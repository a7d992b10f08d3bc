"""How to get the same figures."""

from __future__ import annotations

import pandas as pd

from apps.audit.audited import Audited
from apps.audit.section import Section


def part(audited: Audited) -> Section:
    """The command, and what it needs to be the same."""
    return Section(
        "reproduce",
        "How to get the same figures",
        text=(
            "The same command on the same weights, examples and code (their fingerprints stand in "
            "the first part) gives the same tables, byte for byte on the same machine. On another "
            "kind of processor the last digits of a figure may differ.",
            "audit.json names the SHA-256 of every table; whoever has the folder can check that "
            "this page speaks of them.",
        ),
        facts={"command": audited.command or "none: it was asked for from Python"},
        tables={"parts": _parts(audited)},
    )


def _parts(audited: Audited) -> pd.DataFrame:
    """What each part found: how much, not how long it took."""
    done = audited.sections.values()
    return pd.DataFrame(
        {
            "part": [section.name for section in done],
            "findings": [len(section.findings) for section in done],
            "tables": [len(section.tables) for section in done],
            "measures": [len(section.measures) for section in done],
        }
    )
