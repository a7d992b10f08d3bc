"""The membership audit of a model: every attack, against the blind baseline, with its intervals.

Members and non-members must have been told apart by chance before training; `overlap_13` and the
blind baseline say whether they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from interp.errors import InputError
from interp.model.transformer import HookedTransformer
from interp.train.metrics import interval
from probes.frames import tidy
from probes.privacy.attacks import attack_scores
from probes.privacy.blind import blind_scores, overlap
from probes.privacy.dp import epsilon_bound
from probes.privacy.likelihood import Floats, Reading, Unit, read, require_same_tokenizer
from probes.privacy.separation import (
    as_members,
    auroc,
    auroc_interval,
    difference,
    p_value,
    roc,
    tpr_at,
)
from probes.privacy.shadow import Shadows, lira, rmia
from probes.statistics import holm

BLIND = "blind"
RATES = (0.01, 0.001)
"""False alarm rates at which the share of members found is reported."""


@dataclass(frozen=True)
class Membership:
    """The scores of all attacks on the same units.

    Attributes:
        member: [unit], whether the model was trained on it.
        scores: attack -> [unit], higher for what looks like a member; `blind` is among them.
        overlap: [non-member], the share of its runs of 13 words that members have too.
    """

    member: NDArray[np.bool_]
    scores: dict[str, Floats]
    overlap: Floats

    def frame(self, *, delta: float = 0.0) -> pd.DataFrame:
        """The verdicts, with the extra columns `attack`, `fpr`, `threshold` and `note`.

        | metric | value |
        |---|---|
        | `auroc` | the area under the ROC curve; 0.5 is chance |
        | `above_blind` | how far that is above the blind baseline's, on the same units |
        | `counts` | 1 if the intervals of both lie above chance and above 0, else 0 |
        | `p_value` | one-sided, that the attack is no better than chance or than words alone; \
corrected for the number of attacks (Holm 1979) |
        | `tpr` | members found at a false alarm rate `fpr`; NaN with a note where there are too \
few non-members |
        | `epsilon` | what the attack refutes of differential privacy, a 95% lower bound |
        | `overlap_13` | mean overlap of a non-member with all members |

        Args:
            delta: of the differential privacy that is audited.
        """
        n_in, n = int(self.member.sum()), len(self.member)
        rows: list[dict[str, Any]] = []
        attacks = [name for name in self.scores if name != BLIND]
        p = holm([p_value(self.scores[one], self.scores[BLIND], self.member) for one in attacks])
        rows += [_row(one, "p_value", value, n=n) for one, value in zip(attacks, p, strict=True)]
        for attack, scores in self.scores.items():
            area = auroc(scores, self.member)
            low, high = auroc_interval(area, n_in, n - n_in)
            rows.append(_row(attack, "auroc", area, low, high, n))
            if attack != BLIND:
                value, least, most = difference(scores, self.scores[BLIND], self.member)
                rows.append(_row(attack, "above_blind", value, least, most, n))
                rows.append(_row(attack, "counts", float(low > 0.5 and least > 0), n=n))
            rows += [self._found(attack, rate) for rate in RATES]
            bound = epsilon_bound(scores, self.member, delta=delta)
            rows.append(
                _row(attack, "epsilon", bound.epsilon, bound.epsilon, np.inf, bound.n)
                | {"threshold": bound.threshold, "fpr": bound.fpr}
            )
        mean = interval.mean("overlap_13", self.overlap)
        rows.append(_row("", "overlap_13", mean.value, mean.ci_low, mean.ci_high, mean.n))
        return tidy(rows, task="membership")

    def _found(self, attack: str, rate: float) -> dict[str, Any]:
        try:
            found = tpr_at(self.scores[attack], self.member, rate)
        except InputError as error:
            return _row(attack, "tpr", np.nan, n=0) | {"fpr": rate, "note": str(error)}
        row = _row(attack, "tpr", found.tpr, found.ci_low, found.ci_high, int(self.member.sum()))
        return row | {"fpr": rate, "threshold": found.threshold}

    def curves(self) -> pd.DataFrame:
        """The ROC curve of every attack: `attack`, `threshold`, `fpr`, and `tpr` as the value."""
        parts = [
            roc(scores, self.member)
            .rename(columns={"tpr": "value"})
            .assign(attack=attack, metric="roc", n=len(self.member))
            for attack, scores in self.scores.items()
        ]
        return tidy(pd.concat(parts, ignore_index=True), task="membership")

    def units(self) -> pd.DataFrame:
        """A row for each unit and attack: `unit_id`, `member`, `attack`, and the score as value."""
        parts = [
            pd.DataFrame(
                {"unit_id": range(len(scores)), "member": self.member, "value": scores}
            ).assign(attack=attack, metric="score")
            for attack, scores in self.scores.items()
        ]
        return tidy(pd.concat(parts, ignore_index=True), task="membership")


def membership(
    model: HookedTransformer,
    units: Sequence[Unit],
    member: ArrayLike,
    *,
    reference: HookedTransformer | None = None,
    shadows: Shadows | None = None,
    labels: Sequence[str] = (),
    seed: int = 0,
    progress: bool = False,
) -> Membership:
    """Attacks a model with all that is at hand, from one reading of the units.

    Args:
        model: what is attacked.
        units: members and non-members; what a unit is depends on the model, see
            `probes.privacy.likelihood`.
        member: [unit], True for what the model was trained on.
        reference: a model of the same tokenizer that was not; adds the attack `reference`.
        shadows: what shadow models make of the units; adds `lira` and `rmia`.
        labels: as for `read`.
        seed: of the folds of the blind baseline.

    Raises:
        InputError: units that the model does not read, or `member` does not fit them.
    """
    inside = as_members(member, len(units))
    reading = read(model, units, labels=labels, progress=progress)
    other: Reading | None = None
    if reference is not None:
        require_same_tokenizer(model, reference)
        other = read(reference, units, labels=labels, progress=progress)
    scores = attack_scores(reading, units, reference=other)
    if shadows is not None:
        scores |= {"lira": lira(scores["loss"], shadows), "rmia": rmia(scores["loss"], shadows)}
    scores[BLIND] = blind_scores(units, inside, seed=seed)
    return Membership(inside, scores, overlap(units, inside))


def _row(
    attack: str,
    metric: str,
    value: float,
    ci_low: float = np.nan,
    ci_high: float = np.nan,
    n: int = 0,
) -> dict[str, Any]:
    return {
        "attack": attack,
        "fpr": np.nan,
        "threshold": np.nan,
        "note": "",
        "metric": metric,
        "value": value,
        "ci_low": ci_low,
        "ci_high": ci_high,
        "n": n,
    }
