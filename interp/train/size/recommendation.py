"""Which size to train for a budget: the shape of least expected loss among those on the ladder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from interp.errors import InputError
from interp.model.config import TransformerConfig
from interp.train.size.laws import FAR, LEVEL, ScalingLaw, known_law
from interp.train.size.parameters import (
    COUNTINGS,
    count_parameters,
    inference_flops,
    training_flops,
)
from interp.train.size.repeated import FREE_EPOCHS, effective_tokens
from interp.train.size.shapes import ladder, tokens_per_step
from interp.train.size.throughput import MEASURED_WIDTHS, Speed, measure_speed

if TYPE_CHECKING:
    import pandas as pd

Unit = Literal["seconds", "FLOPs"]

D_VOCAB, N_CTX = 4096, 256
FACTORS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16)
"""Multiples of the budget on the frontier."""


@dataclass(frozen=True)
class Plan:
    """One way to spend a budget.

    Attributes:
        shape: the model.
        parameters: its size, as the law counts it.
        tokens: how many it reads, repetitions included.
        tokens_per_step: rows of the context, as many as suit so many tokens.
        epochs: passes over the data at hand, or None if those are not limited.
        loss, ci_low, ci_high: expected, and where a single run lies in 95 of 100 cases (NaN for a
            law without draws).
    """

    shape: TransformerConfig
    parameters: int
    tokens: float
    tokens_per_step: int
    epochs: float | None
    loss: float
    ci_low: float
    ci_high: float

    @property
    def steps(self) -> int:
        return max(1, round(self.tokens / self.tokens_per_step))

    def row(self) -> dict[str, Any]:
        """Plain values, for a frame or JSON."""
        cfg = self.shape
        return {
            "d_model": cfg.d_model,
            "n_layers": cfg.n_layers,
            "n_heads": cfg.n_heads,
            "d_mlp": cfg.d_mlp,
            "d_vocab": cfg.d_vocab,
            "n_ctx": cfg.n_ctx,
            **{f"parameters_{name}": count_parameters(cfg, name) for name in COUNTINGS},
            "tokens": round(self.tokens),
            "tokens_per_parameter": self.tokens / self.parameters,
            "tokens_per_step": self.tokens_per_step,
            "steps": self.steps,
            "epochs": self.epochs,
            "inference_flops": inference_flops(cfg),
            "loss": self.loss,
            "ci_low": self.ci_low,
            "ci_high": self.ci_high,
        }


@dataclass(frozen=True)
class Recommendation:
    """What to train for a budget, what else could be, and how far to trust it.

    Attributes:
        budget, unit: what may be spent.
        law: what the expected losses follow.
        unique_tokens: different tokens at hand, or None for as many as it takes.
        speed: tokens per second that a budget of time was turned into, or None.
        best: the plan of least expected loss.
        plans: one for each shape of the ladder that the budget affords a step of, smallest first.
        likely: parameters of the smallest and the largest shape that are best for 95 of 100 draws
            of the law; None for a law without draws.
        frontier: a row for each of some multiples of the budget: `factor`, `budget`, `beyond`
            (how many times outside of the law's range), and the best plan for it.
        warnings: why to be careful, in sentences.
    """

    budget: float
    unit: Unit
    law: ScalingLaw
    unique_tokens: float | None
    speed: Speed | None
    best: Plan
    plans: tuple[Plan, ...]
    likely: tuple[int, int] | None
    frontier: pd.DataFrame
    warnings: tuple[str, ...]

    @property
    def candidates(self) -> pd.DataFrame:
        """A row for each plan, smallest first."""
        import pandas as pd

        return pd.DataFrame([plan.row() for plan in self.plans])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is not known is None."""
        law = {name: value for name, value in self.law.to_dict().items() if name != "draws"}
        frontier = self.frontier.astype(object).where(self.frontier.notna(), None)
        return {
            "budget": self.budget,
            "unit": self.unit,
            "recommended": _known(self.best.row()),
            "likely_parameters": self.likely,
            "counted_as_parameters": COUNTINGS[self.law.counting],
            "unique_tokens": self.unique_tokens,
            "measured_speed": None if self.speed is None else self.speed.rows(),
            "law": law,
            "warnings": list(self.warnings),
            "alternatives": [_known(plan.row()) for plan in self.plans],
            "frontier": frontier.to_dict("records"),
        }


def recommend(
    *,
    seconds: float | None = None,
    flops: float | None = None,
    law: ScalingLaw | None = None,
    speed: Speed | None = None,
    unique_tokens: float | None = None,
    d_vocab: int | None = None,
    n_ctx: int = N_CTX,
) -> Recommendation:
    """The decoder to train with a budget of time on this machine, or of operations.

    The loss that a law expects of each shape of a ladder is compared, when each is trained on as
    many tokens as the budget pays for. Repeated text counts for less, see `effective_tokens`.

    Args:
        seconds: of training; evaluation and saving come on top. Either this or `flops`.
        flops: operations of training, see `training_flops`.
        law: by default that of the small models trained for this package.
        speed: tokens per second of each shape; measured here if not given, in about half a minute.
        unique_tokens: different tokens at hand; None for as many as it takes.
        d_vocab: vocabulary; by default that of the law.
        n_ctx: tokens of a row.

    Raises:
        InputError: not exactly one budget, a number that is not positive, or a budget below one
            step of the smallest shape.
    """
    law = law or known_law()
    budget, unit = _budget(seconds, flops)
    _check(unique_tokens, d_vocab, n_ctx)
    shapes = ladder(d_vocab=d_vocab or law.d_vocab or D_VOCAB, n_ctx=n_ctx)
    if unit == "seconds":
        speed = speed or measure_speed(s for s in shapes if s.d_model in MEASURED_WIDTHS)
        per_unit = [speed(cfg) for cfg in shapes]
    else:
        per_unit = [1 / training_flops(cfg) for cfg in shapes]
    sizes = np.array([count_parameters(cfg, law.counting) for cfg in shapes])
    rates = np.array(per_unit)

    def plan(i: int, amount: float) -> Plan:
        return _plan(shapes[i], amount * float(rates[i]), law, unique_tokens)

    def best(amount: float) -> int:
        read = effective_tokens(amount * rates, unique_tokens)
        return int(np.argmin(np.where(amount * rates >= n_ctx, law.loss(sizes, read), np.inf)))

    affordable = np.flatnonzero(budget * rates >= n_ctx)
    if not len(affordable):
        raise InputError(
            f"A budget of {budget:g} {unit} does not pay for one row of {n_ctx} tokens of the "
            f"smallest shape; that takes {n_ctx / rates.max():.2g} {unit}."
        )
    plans = {int(i): plan(int(i), budget) for i in affordable}
    chosen = plans[best(budget)]
    return Recommendation(
        budget=budget,
        unit=unit,
        law=law,
        unique_tokens=unique_tokens,
        speed=speed,
        best=chosen,
        plans=tuple(plans.values()),
        likely=_likely(law, sizes, effective_tokens(budget * rates, unique_tokens)),
        frontier=_frontier(
            [f for f in FACTORS if (f * budget * rates >= n_ctx).any()],
            budget,
            law,
            lambda amount: plan(best(amount), amount),
        ),
        warnings=tuple(_warnings(law, chosen, shapes, d_vocab, unique_tokens, speed)),
    )


def _budget(seconds: float | None, flops: float | None) -> tuple[float, Unit]:
    offered: dict[Unit, float | None] = {"seconds": seconds, "FLOPs": flops}
    given = [(budget, unit) for unit, budget in offered.items() if budget is not None]
    if len(given) != 1:
        raise InputError("Give one budget: either seconds or flops.")
    budget, unit = given[0]
    if not (np.isfinite(budget) and budget > 0):
        raise InputError(f"The budget is {budget} {unit}; it must be a positive number.")
    return float(budget), unit


def _check(unique_tokens: float | None, d_vocab: int | None, n_ctx: int) -> None:
    if unique_tokens is not None and not (np.isfinite(unique_tokens) and unique_tokens > 0):
        raise InputError(f"The data hold {unique_tokens} tokens; there must be some to learn from.")
    for name, value in (("vocabulary", d_vocab), ("context", n_ctx)):
        if value is not None and value < 2:
            raise InputError(f"The {name} is {value}; it must be 2 at least.")


def _plan(cfg: TransformerConfig, tokens: float, law: ScalingLaw, unique: float | None) -> Plan:
    size = count_parameters(cfg, law.counting)
    read = effective_tokens(tokens, unique)
    low, high = law.interval(size, read)
    return Plan(
        shape=cfg,
        parameters=size,
        tokens=tokens,
        tokens_per_step=tokens_per_step(tokens, cfg.n_ctx),
        epochs=None if unique is None else tokens / unique,
        loss=float(law.loss(size, read)),
        ci_low=float(low),
        ci_high=float(high),
    )


def _likely(law: ScalingLaw, sizes: Any, read: Any) -> tuple[int, int] | None:
    """Parameters of the smallest and the largest shape that are best for 95 of 100 draws."""
    if not law.draws:
        return None
    winners = sizes[np.argmin(law.losses(sizes, read), axis=1)]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(winners, [tail, 1 - tail], method="nearest")
    return int(low), int(high)


def _frontier(
    factors: Sequence[float], budget: float, law: ScalingLaw, best: Callable[[float], Plan]
) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for factor in factors:
        plan = best(factor * budget)
        head = {"factor": factor, "budget": factor * budget}
        rows.append({**head, "beyond": law.beyond(_compute(plan)), **plan.row()})
    return pd.DataFrame(rows)


def _compute(plan: Plan) -> float:
    """6 N D in the law's own counting, which is what its range is given in."""
    return 6 * plan.parameters * plan.tokens


def _warnings(
    law: ScalingLaw,
    best: Plan,
    shapes: Sequence[TransformerConfig],
    d_vocab: int | None,
    unique: float | None,
    speed: Speed | None,
) -> list[str]:
    said = []
    beyond = law.beyond(_compute(best))
    if beyond > FAR:
        said.append(
            f"The law is stretched {beyond:.3g} times beyond the compute of the runs it was fitted "
            f"to ({law.compute[0]:.2g} to {law.compute[1]:.2g} FLOPs); more than {FAR:.0f} times "
            "is a guess. Train some runs nearer to the budget and fit again."
        )
    if law.unidentified:
        said.append(
            f"The runs behind the law leave {', '.join(law.unidentified)} open: another law fits "
            "them as well and may recommend another size. Add runs of other sizes and lengths."
        )
    if d_vocab and law.d_vocab and d_vocab != law.d_vocab:
        said.append(
            f"The law was fitted with a vocabulary of {law.d_vocab:,}; with {d_vocab:,} the loss "
            "of a token means something else, so the expected loss is not that of your model."
        )
    if best.epochs is not None and best.epochs > FREE_EPOCHS:
        unlimited = float(law.loss(best.parameters, best.tokens))
        said.append(
            f"The data limit the result: {unique:,.0f} tokens are read {best.epochs:.1f} times. Up "
            f"to about {FREE_EPOCHS:.0f} times is nearly as good as new text; the same model would "
            f"reach {unlimited:.2f} instead of {best.loss:.2f} on new text alone."
        )
    if best.shape is shapes[-1] or best.shape is shapes[0]:
        end = "largest" if best.shape is shapes[-1] else "smallest"
        said.append(f"This is the {end} shape considered; the best one may lie beyond it.")
    if speed is not None and training_flops(best.shape) > 4 * speed.largest:
        said.append(
            "The speed of this shape was not measured but taken from the largest that was: its "
            "operations per second."
        )
    return said


def _known(row: dict[str, Any]) -> dict[str, Any]:
    """None in place of NaN, which JSON does not have."""
    return {name: None if value != value else value for name, value in row.items()}
