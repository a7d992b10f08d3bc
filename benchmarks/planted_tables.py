"""The tables of the planted truth: explainers down, figures and mechanisms across."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmarks.report import as_markdown, as_text
from interp.explain.planted.ranking import summary

CONTROLS = ("oracle", "random")
SHUFFLED = "auprc, truth shuffled"
TRAPS = (
    ("redundant copies", "auprc"),
    ("negation", "sign accuracy"),
    ("loud distractor", "auprc"),
    ("loud distractor", "false share"),
    ("sink", "auprc"),
    ("sink", "false share"),
    ("position only", "false share"),
)
"""Mechanism and figure, of the cases on which explainers are known to fail."""


@dataclass(frozen=True)
class Report:
    """All figures of one run.

    Attributes:
        tokens: a row per explanation and figure.
        heads: a row per model and way to score heads.
        estimates: a row per text and estimate, how well it orders what patching finds exactly.
        asked: the explainers, those that refused every model among them.
    """

    tokens: pd.DataFrame
    heads: pd.DataFrame
    estimates: pd.DataFrame
    asked: tuple[str, ...]
    n_items: int
    n_seeds: int

    def tables(self) -> Iterator[tuple[str, list[str], list[list[str]]]]:
        """Title, header and rows of each table."""
        yield self._overview()
        for level in LEVELS:
            if level in set(self.tokens["level"]):
                yield self._matrix(level)
        yield self._traps()
        yield self._shapes()
        if SHORTCUT in set(self.tokens["level"]):
            yield self._shortcut()
        yield self._heads()
        yield self._estimates()

    def _means(self, by: Sequence[str]) -> dict[tuple[str, ...], pd.Series]:
        # What a classifier has learnt beside its shortcut is not known, so it has its own table.
        frame = summary(self.tokens[self.tokens["level"] != SHORTCUT], by)
        return {tuple(row[list(by)]): row for _, row in frame.iterrows()}

    @property
    def methods(self) -> list[str]:
        """Controls, then explainers, the best first; those that went with no model come last."""
        frame = self.tokens[self.tokens["metric"] == "auprc"]
        best = frame.groupby("method")["value"].mean().sort_values(ascending=False)
        return list(dict.fromkeys([*CONTROLS, *best.index, *self.asked]))

    def _overview(self) -> tuple[str, list[str], list[list[str]]]:
        means = self._means(["level", "method", "metric"])
        overall = self._means(["method", "metric"])
        figures = ["auprc causal", "auroc", "precision at k", "sign accuracy", "spearman"]
        figures += ["false share", SHUFFLED]
        rows = [
            [
                method,
                *(_cell(means.get((level, method, "auprc")), True) for level in LEVELS),
                *(_cell(overall.get((method, figure)), figure == SHUFFLED) for figure in figures),
            ]
            for method in self.methods
        ]
        chance = [means.get((level, "random", "auprc chance")) for level in LEVELS]
        causal = overall.get(("random", "auprc causal chance"))
        both = overall.get(("random", "auprc chance"))
        rows.append(["chance", *map(_cell, chance), _cell(causal), "0.50", *[""] * 4, _cell(both)])
        return "Tokens", ["explainer", *(f"auprc, {level}" for level in LEVELS), *figures], rows

    def _matrix(self, level: str) -> tuple[str, list[str], list[list[str]]]:
        means = self._means(["level", "method", "metric", "mechanism"])
        here = self.tokens[(self.tokens["level"] == level) & (self.tokens["metric"] == "auprc")]
        mechanisms = list(dict.fromkeys(here.dropna(subset=["value"])["mechanism"]))

        def row(method: str, metric: str, label: str) -> list[str]:
            cells = (_cell(means.get((level, method, metric, m))) for m in mechanisms)
            return [label, *cells]

        rows = [row(method, "auprc", method) for method in self.methods]
        rows.append(row("random", "auprc chance", "chance"))
        return f"AUPRC by mechanism, {level}", ["explainer", *mechanisms], rows

    def _shortcut(self) -> tuple[str, list[str], list[list[str]]]:
        here = self.tokens[self.tokens["level"] == SHORTCUT]
        frame = summary(here, ["method", "metric"])
        means = {(row["method"], row["metric"]): row for _, row in frame.iterrows()}
        figures = ("auprc causal", "auroc causal")
        found = here[here["metric"] == figures[0]].groupby("method")["value"].mean()
        ranked = list(dict.fromkeys([*CONTROLS, *found.sort_values(ascending=False).index]))
        rows = [[m, *(_cell(means.get((m, figure)), True) for figure in figures)] for m in ranked]
        rows.append(["chance", _cell(means.get(("random", "auprc causal chance"))), "0.50"])
        return "The word that a classifier falls for", ["explainer", *figures], rows

    def _traps(self) -> tuple[str, list[str], list[list[str]]]:
        means = self._means(["mechanism", "method", "metric"])
        rows = [
            [method, *(_cell(means.get((trap, method, metric))) for trap, metric in TRAPS)]
            for method in self.methods
        ]
        header = ["explainer", *(f"{trap}: {metric}" for trap, metric in TRAPS)]
        return "Cases on which explainers fail", header, rows

    def _shapes(self) -> tuple[str, list[str], list[list[str]]]:
        means = self._means(["shape", "method", "metric"])
        shapes = ("decoder", "encoder", "encoder_decoder")
        rows = [
            [method, *(_cell(means.get((shape, method, "auprc")), True) for shape in shapes)]
            for method in self.methods
        ]
        return "AUPRC by shape of the model", ["explainer", *shapes], rows

    def _heads(self) -> tuple[str, list[str], list[list[str]]]:
        frame = summary(self.heads, ["method", "level"])
        means = {(row["method"], row["level"]): row for _, row in frame.iterrows()}
        traps = summary(self.heads, ["method", "mechanism"])
        one = {(row["method"], row["mechanism"]): row for _, row in traps.iterrows()}
        special = ("redundant copies", "conjunction", "position only", "most frequent", "induction")
        rows = [
            [
                method,
                *(_cell(means.get((method, level)), True) for level in LEVELS),
                *(_cell(one.get((method, mechanism))) for mechanism in special),
            ]
            for method in dict.fromkeys(self.heads["method"])
        ]
        return "Heads", ["scores", *(f"auprc, {level}" for level in LEVELS), *special], rows

    def _estimates(self) -> tuple[str, list[str], list[list[str]]]:
        frame = self.estimates.dropna(subset=["value"])
        overall = {row["method"]: row for _, row in summary(frame, ["method"]).iterrows()}
        each = summary(frame, ["method", "mechanism"])
        one = {(row["method"], row["mechanism"]): row for _, row in each.iterrows()}
        mechanisms = list(dict.fromkeys(frame["mechanism"]))
        rows = [
            [
                method,
                _cell(overall[method], True),
                *(_cell(one.get((method, m))) for m in mechanisms),
            ]
            for method in dict.fromkeys(frame["method"])
        ]
        title = "Estimates beside exact patching, compiled (Spearman)"
        return title, ["estimate", "all", *mechanisms], rows

    def to_text(self) -> str:
        """For a terminal."""
        parts = [f"{title}\n{as_text(header, rows)}" for title, header, rows in self.tables()]
        return "\n\n".join([self._head(), *parts])

    def to_markdown(self) -> str:
        """For the documentation."""
        parts = [f"### {title}\n\n{as_markdown(head, rows)}" for title, head, rows in self.tables()]
        return "\n\n".join([self._head(), *parts])

    def _head(self) -> str:
        return (
            f"{self.n_items} items of each of {self.tokens['model'].nunique()} models, made from "
            f"each of {self.n_seeds} seeds."
        )


SHORTCUT = "shortcut"
LEVELS = ("hand-written", "compiled", "normed", "trained")


def _cell(row: pd.Series | None, interval: bool = False) -> str:
    if row is None:
        return "n/a"
    value = f"{row['value']:.2f}"
    return f"{value} ({row['ci_low']:.2f} to {row['ci_high']:.2f})" if interval else value
