"""The result of a local explainer: a signed score per token, and what is needed to judge it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.errors import InputError
from interp.figures.labels import literal

if TYPE_CHECKING:
    import pandas as pd

    from interp.explain.points import Point


@dataclass(frozen=True)
class Cost:
    """What an explanation took.

    Attributes:
        forwards, backwards: passes over one copy of the text.
        seconds: of wall time.
        bytes: memory at the peak beyond what was held before; None where it is not known.
    """

    forwards: int
    backwards: int
    seconds: float
    bytes: int | None = None


@dataclass(frozen=True)
class Origin:
    """Where an attribution comes from, so that it can be checked; not part of the result.

    Attributes:
        point: the text on the model.
        method, options: what was run there.
    """

    point: Point
    method: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Attribution:
    """Why a model gave a target its value, as one number per token.

    Attributes:
        tokens: text of each unit: of each token, unless words or spans were asked for.
        token_ids: ids of all tokens.
        groups: the positions of each unit in `token_ids`.
        scores: how much each unit raised (or lowered) the target, in the target's unit.
        low, high: the ends of a 95 % interval of each score, of methods that sample.
        side: `input`, or for an encoder-decoder `source` and `target`, per unit.
        method: name of the explainer.
        target: what was explained, in words.
        position: index (in its side) of the token after which, or at which, the model predicts;
            None for a classifier of whole texts or a function of all logits.
        predicted_at: the same in words.
        value: the target on the text.
        baseline: what the text was compared with, in words.
        baseline_value: the target on the baseline.
        completeness_error: |sum of scores - (value - baseline_value)| / |value - baseline_value|,
            or None if the method does not claim that its scores add up.
        converged: whether the method met its own tolerance.
        cost: passes and time.
        seed: of the method's random draws; None if it has none.
        model: name of the model.
        dtype: what it was computed in; a model in half precision is explained in float32.
        weights_hash, tokens_hash: what the result belongs to.
        parameters: options of the method.
        details: what else the method measured, by name in words.
        origin: what a scorecard runs again; None for a result that was read from a file.
    """

    tokens: tuple[str, ...]
    token_ids: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    scores: tuple[float, ...]
    low: tuple[float, ...] | None
    high: tuple[float, ...] | None
    side: tuple[str, ...]
    method: str
    target: str
    position: int | None
    predicted_at: str
    value: float
    baseline: str
    baseline_value: float
    completeness_error: float | None
    converged: bool
    cost: Cost
    seed: int | None
    model: str
    dtype: str
    weights_hash: str
    tokens_hash: str
    parameters: dict[str, Any]
    details: dict[str, float] = field(default_factory=dict)
    origin: Origin | None = field(default=None, repr=False, compare=False)

    @property
    def difference(self) -> float:
        """What the scores of a complete method add up to."""
        return self.value - self.baseline_value

    def to_frame(self) -> pd.DataFrame:
        """One row per unit: position (of its first token, in its side), token, token_id (of its
        first token), side, score, share of the difference, and low and high where they are known.
        """
        import pandas as pd

        begins = [group[0] for group in self.groups]
        first = {side: begins[self.side.index(side)] for side in self.side}
        frame = pd.DataFrame(
            {
                "position": [i - first[side] for i, side in zip(begins, self.side, strict=True)],
                "token": self.tokens,
                "token_id": [self.token_ids[i] for i in begins],
                "side": self.side,
                "score": self.scores,
            }
        )
        if self.low is not None:
            frame["low"], frame["high"] = self.low, self.high
        difference = self.difference
        frame["share"] = frame["score"] / difference if difference else math.nan
        return frame

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        values = asdict(replace(self, origin=None))
        del values["origin"]
        return values

    def to_json(self, path: str | Path | None = None) -> str:
        """The whole result as JSON; also written to `path`."""
        values = self.to_dict()
        error = self.completeness_error
        if error is not None and not math.isfinite(error):
            values["completeness_error"] = str(error)  # JSON has no infinity
        text = json.dumps(values, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
        if path is not None:
            write_text(Path(path), text)
        return text

    def to_html(self, path: str | Path | None = None) -> str:
        """A page that opens without a network: strip, table and facts; also written to `path`."""
        from interp.figures.page import facts_html, page_html, paragraph_html, score_table_html
        from interp.figures.strip import strip_finding

        body = [facts_html(self.facts())]
        for strip, tokens, scores in self._strips():
            body += [
                strip,
                paragraph_html(strip_finding(tokens, scores)),
                score_table_html(tokens, scores),
            ]
        text = page_html(f"Why the {self.target}?", *body)
        if path is not None:
            write_text(Path(path), text)
        return text

    def _repr_html_(self) -> str:
        """What a notebook shows: the strip."""
        return "".join(strip for strip, _, _ in self._strips())

    def _strips(self) -> Iterator[tuple[str, list[str], list[float]]]:
        """The strip of each side, with its tokens and scores."""
        from interp.figures.strip import color_limit, token_strip_html

        for side in dict.fromkeys(self.side):
            mine = [i for i, name in enumerate(self.side) if name == side]
            tokens, scores = [self.tokens[i] for i in mine], [self.scores[i] for i in mine]
            title = "" if side == "input" else side.capitalize()
            limit = color_limit(self.scores)  # one scale for both sides
            strip = token_strip_html(tokens, scores, title=title, unit=self.unit, limit=limit)
            yield strip, tokens, scores

    @property
    def unit(self) -> str:
        """What a score is: a share of the target where scores claim to add up to it."""
        target = self.target if len(self.target) <= 40 else "target"
        claims = self.completeness_error is not None
        return f"share of the {target}" if claims else f"score for the {target}"

    def facts(self) -> dict[str, str]:
        """What a reader must know to judge the scores, in words."""
        cost = self.cost
        error = self.completeness_error
        claim = "not claimed by this method" if error is None else f"{error:.2%}"
        if not self.converged:
            claim += ", above the tolerance: do not rely on the scores"
        total = f"{sum(self.scores):.4g} of {self.difference:.4g}"
        if not any(self.scores) and abs(self.difference) <= 1e-6 * abs(self.value):
            total += ": the text is as its baseline, so there is nothing to explain"
        return {
            "model": f"{literal(self.model)}, weights {self.weights_hash[:12]}, in {self.dtype}",
            "method": self.method.replace("_", " "),
            "target": f"{self.target}: {self.value:.4g}",
            "predicted at": self.predicted_at,
            "baseline": f"{self.baseline}: {self.baseline_value:.4g}",
            "scores add up to": total,
            "completeness error": claim,
            **{name: f"{value:.4g}" for name, value in self.details.items()},
            "cost": f"{cost.forwards} forwards, {cost.backwards} backwards, {cost.seconds:.2f} s"
            + ("" if cost.bytes is None else f", {cost.bytes / 2**20:.0f} MiB at the peak"),
        }


def write_text(path: Path, text: str) -> None:
    """Writes beside the file and renames, so that no half page is left."""
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_text(text, "utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
