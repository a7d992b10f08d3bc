"""Large numbers, times and budgets as people say them."""

from __future__ import annotations

_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def short(value: float) -> str:
    """A positive amount in three significant digits, with a unit from a thousand on: `2.56M`."""
    for size, letter in _UNITS:
        if value >= 0.9995 * size:
            return f"{value / size:.3g}{letter}" if value < 999.5e12 else f"{value:.2e}"
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """`90 s`, `45 min`, `2.5 h`, `3.2 days`."""
    for size, name, until in ((1, "s", 120), (60, "min", 3570), (3600, "h", 48 * 3600)):
        if seconds < until:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds / 86400:.3g} days"


def budget_text(budget: float, unit: str) -> str:
    """A budget of `seconds` or of `FLOPs`."""
    return duration(budget) if unit == "seconds" else f"{budget:.3g} {unit}"
