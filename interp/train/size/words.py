"""A recommendation in words and in a table of text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from interp.figures.amounts import budget_text, short
from interp.train.size.laws import LEVEL, ScalingLaw
from interp.train.size.parameters import COUNTINGS, count_parameters, inference_flops
from interp.train.size.recommendation import Plan, Recommendation


def describe(found: Recommendation) -> list[str]:
    """What to train, how good it will be, and what else could be done: a sentence each."""
    return [
        *_what(found),
        _how_good(found.law, found.best),
        _counted(found),
        *_budgets(found),
        *_cheaper(found),
        f"The law: {found.law.source}; {found.law.n_runs} runs.",
    ]


def _what(found: Recommendation) -> Iterator[str]:
    best, cfg = found.best, found.best.shape
    yield (
        f"With {budget_text(found.budget, found.unit)}, train a decoder of width {cfg.d_model}, "
        f"{cfg.n_layers} layers, {cfg.n_heads} heads, a feed-forward layer of {cfg.d_mlp} and a "
        f"vocabulary of {cfg.d_vocab:,} on {short(best.tokens)} tokens: {best.steps:,} steps of "
        f"{best.tokens_per_step:,}."
    )
    if best.epochs is not None:
        share = f"{best.epochs:.1f} times" if best.epochs >= 1 else f"to {best.epochs:.0%}"
        yield f"The data at hand are read {share}."
    if found.likely is not None and found.likely[0] < found.likely[1]:
        low, high = map(short, found.likely)
        yield (
            f"The runs behind the law do not settle the size: from {low} to {high} parameters, "
            f"each is the best for some of {LEVEL:.0%} of its resamples."
        )


def _how_good(law: ScalingLaw, best: Plan) -> str:
    text = f"Expected loss: {_loss(law, best.loss)}"
    if math.isfinite(best.ci_low):
        text += f", a single run between {best.ci_low:.2f} and {best.ci_high:.2f} ({LEVEL:.0%})"
    else:
        text += "; this law was published without what an interval needs"
    return f"{text}."


def _loss(law: ScalingLaw, loss: float) -> str:
    if law.bytes_per_token is None or law.unit != "nats per token":
        return f"{loss:.2f} {law.unit}"
    bits = loss / math.log(2) / law.bytes_per_token
    return f"{loss:.2f} {law.unit} ({bits:.2f} bits per byte)"


def _counted(found: Recommendation) -> str:
    best, ours = found.best, found.law.counting
    others = " or ".join(
        f"{short(number)} ({short(best.tokens / number)}) counted as {name!r}"
        for name in COUNTINGS
        if name != ours and (number := count_parameters(best.shape, name))
    )
    return (
        f"It has {short(best.parameters)} parameters and reads "
        f"{short(best.tokens / best.parameters)} tokens for each; counted are {COUNTINGS[ours]} "
        f"({ours!r}). The same model has {others}."
    )


def _budgets(found: Recommendation) -> Iterator[str]:
    rows = {row["factor"]: row for row in found.frontier.to_dict("records")}
    said = [
        f"{name} the budget would reach {rows[factor]['loss']:.2f} with {short(size)} parameters"
        for factor, name in ((0.5, "Half"), (2.0, "twice"))
        if factor in rows and (size := rows[factor][f"parameters_{found.law.counting}"])
    ]
    if said:
        yield f"{', '.join(said)}."


def _cheaper(found: Recommendation) -> Iterator[str]:
    """The best of the shapes that cost half as much to use."""
    cost = inference_flops(found.best.shape)
    cheap = [plan for plan in found.plans if inference_flops(plan.shape) <= cost / 2]
    if cheap:
        best = min(cheap, key=lambda plan: plan.loss)
        yield (
            f"A model that costs {cost / inference_flops(best.shape):.1f} times less to use, of "
            f"width {best.shape.d_model}, would reach {best.loss:.2f} in the same budget."
        )


def shape_cells(found: Recommendation, rows: int = 9) -> list[list[str]]:
    """A header, and a line for each of the shapes around the recommended one, which is marked."""
    at = next(i for i, plan in enumerate(found.plans) if plan is found.best)
    first = min(max(at - rows // 2, 0), max(len(found.plans) - rows, 0))
    header = ["", "width × layers", "heads", "parameters", "tokens", "steps", "epochs", "loss"]
    lines = [[*header, f"{LEVEL:.0%} of runs"]]
    for plan in found.plans[first : first + rows]:
        cfg = plan.shape
        known = math.isfinite(plan.ci_low)
        lines.append(
            [
                ">" if plan is found.best else "",
                f"{cfg.d_model} × {cfg.n_layers}",
                str(cfg.n_heads),
                short(plan.parameters),
                short(plan.tokens),
                f"{plan.steps:,}",
                "-" if plan.epochs is None else f"{plan.epochs:.2f}",
                f"{plan.loss:.3f}",
                f"{plan.ci_low:.2f} to {plan.ci_high:.2f}" if known else "-",
            ]
        )
    return lines


def counting_cells(found: Iterable[Recommendation]) -> list[list[str]]:
    """A header, and what is recommended under each way of counting parameters."""
    header = ["counted", "width × layers", "parameters", "tokens", "tokens each", "loss"]
    return [
        header,
        *(
            [
                one.law.counting,
                f"{one.best.shape.d_model} × {one.best.shape.n_layers}",
                short(one.best.parameters),
                short(one.best.tokens),
                short(one.best.tokens / one.best.parameters),
                f"{one.best.loss:.3f}",
            ]
            for one in found
        ),
    ]


def aligned(lines: list[list[str]]) -> str:
    """Cells in columns, for a terminal."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
