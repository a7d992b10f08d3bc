"""A report: several explainers on several texts, side by side, with the evidence for each."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from tqdm import tqdm

from interp.errors import InputError
from interp.explain.attribute import attribute
from interp.explain.attribution import Attribution, write_text
from interp.explain.baseline import Baseline
from interp.explain.scorecard import Scorecard, ranks, scorecard
from interp.explain.scorecard.card import Depth
from interp.explain.target import Target
from interp.explain.units import UnitSpec

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_METHODS = (
    "integrated_gradients",
    "gradient_x_input",
    "leave_one_out",
    "permutation_shapley",
    "attention_rollout",
)


@dataclass(frozen=True)
class Explained:
    """One text: its attributions, and what the checks found of them."""

    text: str
    attributions: tuple[Attribution, ...]
    card: Scorecard


@dataclass(frozen=True)
class AttributionReport:
    """What `attribution_report` found.

    Attributes:
        texts: one entry per text.
    """

    texts: tuple[Explained, ...]

    @property
    def scorecard(self) -> pd.DataFrame:
        """Every figure: text (its number), method, kind, metric, value, ci_low, ci_high, n,
        better, note."""
        import pandas as pd

        frames = [item.card.frame.assign(text=i) for i, item in enumerate(self.texts)]
        frame = pd.concat(frames, ignore_index=True)
        return frame[["text", *(name for name in frame.columns if name != "text")]]

    def summary(self) -> pd.DataFrame:
        """Mean over texts of each figure, with a bootstrap interval over texts: method, kind,
        metric, value, ci_low, ci_high, n, better."""
        import numpy as np
        import pandas as pd

        from interp.explain.scorecard.line import bootstrap

        rows = []
        keys = ["method", "kind", "metric", "better"]
        for key, group in self.scorecard.groupby(keys, sort=False):
            values = group["value"].to_numpy(dtype=float)
            values = values[np.isfinite(values)]
            low, high = bootstrap(values)
            mean = float(values.mean()) if len(values) else math.nan
            rows.append((*key, mean, low, high, len(values)))
        return pd.DataFrame(rows, columns=[*keys, "value", "ci_low", "ci_high", "n"])

    def agreement(self) -> pd.DataFrame:
        """Spearman correlation of the scores of each two methods, by text: text, method, other,
        value."""
        import numpy as np
        import pandas as pd

        rows = []
        for i, item in enumerate(self.texts):
            for a, b in itertools.combinations(item.attributions, 2):
                rho = ranks.spearman(np.array([a.scores]), np.array([b.scores]))
                rows.append((i, a.method, b.method, float(rho[0])))
        return pd.DataFrame(rows, columns=["text", "method", "other", "value"])

    def to_frame(self) -> pd.DataFrame:
        """Every score: text, method, and the columns of `Attribution.to_frame`."""
        import pandas as pd

        frames = [
            found.to_frame().assign(text=i, method=found.method)
            for i, item in enumerate(self.texts)
            for found in item.attributions
        ]
        frame = pd.concat(frames, ignore_index=True)
        first = ["text", "method"]
        return frame[[*first, *(name for name in frame.columns if name not in first)]]

    def to_json(self, path: str | Path | None = None) -> str:
        """The whole report as JSON; also written to `path`."""
        texts = [
            {
                "text": item.text,
                "attributions": [json.loads(found.to_json()) for found in item.attributions],
                "target": item.card.target,
                "scorecard": item.card.frame.to_dict("records"),
            }
            for item in self.texts
        ]
        text = json.dumps({"texts": _finite(texts)}, ensure_ascii=False, indent=1, allow_nan=False)
        return _written(text + "\n", path)

    def to_html(self, path: str | Path | None = None) -> str:
        """One page that opens without a network; also written to `path`."""
        from interp.figures.report import report_html

        return _written(report_html(self._sections()), path)

    def _sections(self) -> list[dict[str, Any]]:
        """Plain values for the page."""
        return [
            {
                "text": item.text,
                "target": item.card.target,
                "attributions": [
                    {
                        "method": found.method,
                        "tokens": found.tokens,
                        "scores": found.scores,
                        "side": found.side,
                        "unit": found.unit,
                        "facts": found.facts(),
                    }
                    for found in item.attributions
                ],
                "scorecard": item.card.frame,
            }
            for item in self.texts
        ]


def attribution_report(
    model: Any,
    texts: str | Tensor | Sequence[str | Tensor],
    methods: Sequence[str] = DEFAULT_METHODS,
    target: Target | Callable[[Tensor], Tensor] | None = None,
    baseline: Baseline | None = None,
    *,
    inputs: dict[str, Any] | None = None,
    units: UnitSpec = "tokens",
    depth: Depth = "light",
    options: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    progress: bool = False,
) -> AttributionReport:
    """Explains texts by several methods and checks each explanation.

    Args:
        texts: one text or several, or ids [pos] of each.
        methods: of `METHODS`.
        target, baseline, inputs, units: as for `attribute`, for every text.
        depth: of the checks, see `scorecard`.
        options: of a method by its name.

    Raises:
        InputError: no text, no method, or one named twice; see `attribute` for the rest.
    """
    one = isinstance(texts, str) or (isinstance(texts, Tensor) and texts.ndim == 1)
    given: list[Any] = [texts] if one else list(texts)
    if not given or not methods:
        raise InputError("A report needs at least one text and one method.")
    if len(set(methods)) < len(methods):
        raise InputError(f"A method is named twice in {', '.join(methods)}.")
    stray = set(options or {}) - set(methods)
    if stray:
        raise InputError(f"There are options for {', '.join(sorted(stray))}, which is not run.")
    steps = tqdm(total=len(given) * (len(methods) + 1), disable=not progress, unit="step")
    explained = []
    with steps:
        for text in given:
            found = []
            for method in methods:
                extra = dict((options or {}).get(method, {}))
                found.append(
                    attribute(
                        model,
                        text,
                        method,
                        target,
                        baseline,
                        inputs=inputs,
                        units=units,
                        **extra,
                    )
                )
                steps.update()
            card = scorecard(found, depth, seed=seed)
            explained.append(Explained(_text(model, text), tuple(found), card))
            steps.update()
    return AttributionReport(tuple(explained))


def _text(model: Any, given: Any) -> str:
    if isinstance(given, str):
        return given
    ids = torch.as_tensor(given).reshape(-1)
    return str(ids.tolist()) if model.tokenizer is None else str(model.to_string(ids))


def _finite(value: Any) -> Any:
    """The same with null for what JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _written(text: str, path: str | Path | None) -> str:
    if path is not None:
        write_text(Path(path), text)
    return text
