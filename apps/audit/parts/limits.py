"""What cannot be concluded."""

from __future__ import annotations

import pandas as pd

from apps.audit.audited import Audited
from apps.audit.section import Section


def part(audited: Audited) -> Section:
    """All that the parts before leave open."""
    rows = [
        (section.name, sentence)
        for section in audited.sections.values()
        for sentence in section.open
    ]
    return Section(
        "limits",
        "What cannot be concluded",
        text=(
            "An audit shows what was looked for on the examples that there were. What it did not "
            "look for may be there all the same, and what holds on these examples may not hold on "
            "others. Each part says below what it leaves open.",
        ),
        tables={"open": pd.DataFrame(rows, columns=["part", "left open"])} if rows else {},
    )
