"""Audits without a model, for tests of what is made of their answers."""

from __future__ import annotations

import pandas as pd

from apps.audit.recipe import Recipe
from apps.audit.report import Report
from apps.audit.section import Finding, Section

SHA = "0123456789abcdef" * 4
RECIPE = Recipe(SHA, SHA, SHA, '{"task": "lm"}', SHA, "", "", SHA, "quick", 0, "0.1.0", SHA)


def report(*sections: Section, name: str = "model") -> Report:
    return Report(
        name=name,
        command="interp audit model",
        date="2030-01-02 03:04 UTC",
        recipe=RECIPE,
        sections=sections,
        checksums={section.name: dict.fromkeys(section.tables, SHA) for section in sections},
    )


def several() -> Report:
    """An audit with a finding of each level, tables short and long, and a figure without value."""
    short = pd.DataFrame({"word": ["a", "b"], "share": [0.5, float("nan")], "right": [True, False]})
    short["maybe"] = pd.Series([True, None], dtype="boolean")
    long = pd.DataFrame({"step": range(300), "loss": [1 / (i + 1) for i in range(300)]})
    return report(
        Section(
            "performance",
            "How good it is",
            text=("It was asked.",),
            findings=(
                Finding("performance.accuracy", "fine", "It is right.", ("slices",)),
                Finding("performance.slice", "caution", "Less so on long texts.", weight=1.0),
            ),
            facts={"examples": 300, "metric": "accuracy", "none": float("nan")},
            tables={"slices": short, "course": long},
            measures={"accuracy": 0.8, "odd": float("nan")},
            open=("Nobody asked people.",),
            seconds=1.5,
        ),
        Section(
            "shortcuts",
            "Shortcuts",
            findings=(
                Finding("shortcuts.small", "risk", "A small one.", weight=0.1),
                Finding("shortcuts.large", "risk", "A large one.", weight=0.9),
                Finding("shortcuts.pairs", "caution", "Pairs of words.", weight=2.0),
            ),
            measures={"largest": 0.9},
        ),
        Section(
            "privacy",
            "Privacy",
            findings=(Finding("privacy.refused", "unknown", "Could not be measured: no texts."),),
        ),
    )
