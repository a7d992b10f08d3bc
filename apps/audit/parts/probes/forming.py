"""From which block on a model's answer stands."""

from __future__ import annotations

import functools
from typing import Any

import pandas as pd

from apps.audit.audited import Audited
from apps.audit.parts.probes.moments import moments
from apps.audit.section import Finding, Section
from apps.audit.units import drawn, texts_of
from interp.data.examples import Examples
from interp.data.records import Pair
from interp.figures.figure import Figure
from interp.figures.labels import percent
from interp.figures.lens_curve import lens_curve
from interp.figures.still import figure_html
from interp.figures.theme import Scheme
from interp.train.tasks.classification import Classification
from probes.class_lens import class_lens
from probes.lens import lens
from probes.passages import passages, repeats
from probes.subjects import over

_STANDS = 0.5


def forming(audited: Audited) -> Section:
    """The logit lens: what the model would answer if it stopped after each block."""
    measure, what = _measure(audited)
    frame = over(moments(audited), measure)
    final = frame[frame["step"].isna() | (frame["step"] == frame["step"].max())]
    agreement = final[final["metric"] == "agreement"].sort_values("layer")
    text = (
        f"What the model would answer if it stopped after each block, on {what}: how often that is "
        "already its final answer. A block is read in the language of the last one, so that a low "
        "share may only mean that it speaks another.",
    )
    shares = {int(row["layer"]): float(row["value"]) for _, row in agreement.iterrows()}
    return Section(
        "",
        "",
        text=text,
        findings=(_verdict(shares, int(agreement["n"].iloc[0])),),
        tables={"forming": frame},
        pictures={
            "forming": figure_html(functools.partial(_draw, frame)),
        },
        measures={f"forming.after_{layer}": share for layer, share in shares.items()},
    )


def _draw(frame: pd.DataFrame, scheme: Scheme) -> Figure:
    return lens_curve(frame, scheme, metric="agreement")


def _measure(audited: Audited) -> tuple[Any, str]:
    """The lens of a model, and what it reads, in words."""
    cfg = audited.model.cfg
    if cfg.head == "classification" and isinstance(audited.task, Classification):
        records = [] if audited.held_out is None else audited.held_out.records
        some = [records[i] for i in drawn(records, audited.at_most(300, 2000), audited, "forming")]
        labels = audited.task.labels
        return functools.partial(class_lens, examples=some, labels=labels), f"{len(some)} texts"
    texts = _texts(audited)
    most = audited.at_most(4000, 20_000, 100_000)
    if not texts:
        return lambda model: lens(model, _repeated(model)), "random tokens that repeat"

    def read(model: Any) -> pd.DataFrame:
        return lens(model, passages(model, texts, most=most, masked=cfg.head == "mlm"))

    return read, "texts that it has not learnt from"


def _repeated(model: Any) -> Examples:
    return repeats(model, rows=32)


def _texts(audited: Audited) -> list[str | Pair]:
    if audited.held_out is None or audited.model.tokenizer is None:
        return []
    if audited.model.cfg.shape == "encoder_decoder":
        pairs = audited.held_out.records
        order = drawn(pairs, audited.at_most(300, 2000), audited, "forming")
        return [pairs[i] for i in order]
    pieces, _ = texts_of(audited.held_out, audited.model)
    return [pieces[i] for i in drawn(pieces, audited.at_most(60, 600), audited, "forming")]


def _verdict(shares: dict[int, float], n: int) -> Finding:
    """The block with the largest rise."""
    blocks = max(shares)
    best = max(range(1, blocks + 1), key=lambda layer: shares[layer] - shares[layer - 1])
    before, after = percent(shares[best - 1]), percent(shares[best])
    if best == blocks:
        said = (
            f"The answer is formed mostly in the last of its {blocks} blocks: before it {before} "
            f"of {n:,} answers are the final ones"
        )
    else:
        said = (
            f"The answer is formed mostly in block {best} of {blocks}: before it {before} of {n:,} "
            f"answers are the final ones, after it {after}"
        )
    stands = next(layer for layer in range(blocks + 1) if shares[layer] >= _STANDS)
    where = "with the embedding" if stands == 0 else f"from block {stands} on"
    return Finding("probes.forming", "fine", f"{said}; most of them stand {where}.", ("forming",))
