"""What the model learnt from, and what it is measured on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from apps.audit.audited import Audited, Examples
from apps.audit.sampling import TEXTS, drawn, texts_of
from apps.audit.section import Finding, Level, Section
from apps.audit.stated import Stated, Statement
from interp.data.card import CARD, DataCard
from interp.data.corpus import MANIFEST, Manifest
from interp.data.language import identify
from interp.data.overlap import RUN, Copies, copies, repeats
from interp.errors import LoadError
from interp.figures.labels import percent
from interp.train.metrics import proportion
from probes.privacy.personal import ALL, Found
from probes.texts import all_text

if TYPE_CHECKING:
    import pandas as pd

HELD_OUT, LEARNT = "held out", "learnt"
FEW = 100  # examples, below which figures are rough
UNEQUAL = 5  # times as many examples in the largest class as in the smallest
COPIED = 0.01  # of the held-out texts, from which on a measurement is in doubt


def part(audited: Audited) -> Section:
    """Statements, counts, copies and personal data of both sides."""
    import pandas as pd

    sides = {
        name: given
        for name, given in ((HELD_OUT, audited.held_out), (LEARNT, audited.learnt))
        if given is not None and len(given.records)
    }
    said = _statements(audited)
    tables: dict[str, pd.DataFrame] = {"statements": _frame_of(said)}
    findings: list[Finding] = [_learnt(audited, said)]
    measures: dict[str, float] = {}
    texts = {name: texts_of(audited, given) for name, given in sides.items()}
    texts = {name: some for name, some in texts.items() if some}
    if sides:
        tables["counts"] = pd.DataFrame([_counts(*side) for side in sides.items()])
    findings += _size(audited)
    if HELD_OUT in sides:
        findings += _classes(sides, tables, measures)
    if texts:
        tables["languages"] = pd.DataFrame(_languages(texts))
        findings += _copies(texts, tables, measures)
        findings += _personal(audited, sides, tables, measures)
    return Section(
        "data",
        "What it learnt from, and what it is measured on",
        text=(
            "Held-out examples are those that the model has not learnt from: what it does on them "
            "is measured. Learnt examples are some of those that it has learnt from. A held-out "
            "example that stands among the learnt ones measures memory, not skill.",
            "Copies are looked for letter for letter; by the share of runs of five words (near "
            f"copies, from 70 % on); and by runs of {RUN} words, which two texts hardly share by "
            "chance. Personal data are found by shape, check digit and context; their values are "
            "not shown. The language of a text is guessed from its small words.",
        ),
        findings=tuple(findings),
        facts={
            f"{name}: {what}": value
            for name, given in sides.items()
            for what, value in (("source", given.source), ("SHA-256", given.sha256 or "none"))
        },
        tables=tables,
        measures=measures,
        open=tuple(_open(audited)),
    )


# -- what is said ----------------------------------------------------------------------------------


def _statements(audited: Audited) -> list[Statement]:
    """What card, run and corpus say of the training data."""
    found = Stated.read(audited.folder).about("data")
    about = audited.run.about.get("data") if audited.run is not None else None
    if not isinstance(about, Mapping):
        return found
    plain = {name: value for name, value in about.items() if not isinstance(value, Mapping)}
    found.append(Statement(", ".join(f"{k}: {v}" for k, v in plain.items()), "record of the run"))
    corpus = about.get("corpus")
    if isinstance(corpus, Mapping):
        found.append(
            Statement(f"SHA-256 of its tokens: {corpus.get('sha256')}", "record of the run")
        )
        found += _corpus(Path(str(corpus.get("folder"))))
    return found


def _corpus(folder: Path) -> Iterator[Statement]:
    """What the folder of a packed corpus says, if it is still there."""
    try:
        manifest = Manifest.read(folder / MANIFEST)
    except LoadError:
        yield Statement("it is no longer where the training read it", "folder of the corpus")
        return
    yield Statement(
        f"{manifest.n_documents:,} documents, {manifest.n_tokens:,} tokens, {manifest.n_bytes:,} "
        "bytes",
        "manifest of the corpus",
    )
    for place in (folder, folder.parent):
        if (place / CARD).is_file():
            try:
                card = DataCard.read(place)
            except LoadError:
                continue
            yield Statement(
                f"cleaned: {card.documents_in:,} documents in, {card.documents_out:,} out; "
                f"licence: {card.licence or 'not stated'}; plan {card.plan_sha256[:12]}",
                "data card",
            )


def _frame_of(said: list[Statement]) -> pd.DataFrame:
    import pandas as pd

    rows = [{"stated": one.text, "by": one.source} for one in said]
    return pd.DataFrame(rows or [{"stated": "not stated", "by": ""}])


def _learnt(audited: Audited, said: list[Statement]) -> Finding:
    if said:
        sentence = "It is written down what the model learnt from."
        return Finding("data.stated", "fine", sentence, ("statements",))
    sentence = "Nothing that comes with the model says what it learnt from."
    return Finding("data.stated", "unknown", sentence, ("statements",))


# -- counts ----------------------------------------------------------------------------------------


def _counts(side: str, given: Examples) -> dict[str, Any]:
    texts = [all_text(record) for record in given.records]
    words = np.array([len(text.split()) for text in texts])
    low, middle, high = np.quantile(words, [0.25, 0.5, 0.75])
    return {
        "side": side,
        "examples": len(texts),
        "words": int(words.sum()),
        "characters": sum(map(len, texts)),
        "shortest": int(words.min()),
        "lower_quarter": float(low),
        "median": float(middle),
        "upper_quarter": float(high),
        "longest": int(words.max()),
    }


def _size(audited: Audited) -> Iterator[Finding]:
    if audited.held_out is None or not len(audited.held_out.records):
        yield Finding(
            "data.size",
            "unknown",
            "No examples are known that the model has not learnt from, so nothing can be measured "
            "on new ones; give some with --data.",
        )
        return
    n = len(audited.held_out.records)
    few = n < FEW
    yield Finding(
        "data.size",
        "caution" if few else "fine",
        f"The model is measured on {n:,} examples"
        + (", which are few: every figure of it is rough." if few else "."),
        ("counts",),
    )


def _classes(
    sides: Mapping[str, Examples], tables: dict[str, pd.DataFrame], measures: dict[str, float]
) -> Iterator[Finding]:
    """The classes of both sides, where records have a label."""
    import pandas as pd

    counts = {
        side: Counter(str(record.label) for record in given.records if hasattr(record, "label"))
        for side, given in sides.items()
    }
    held_out = counts[HELD_OUT]
    if not held_out:
        return
    rows = [
        {"class": name, "side": side, "examples": n, "share": n / counts[side].total()}
        for side in counts
        for name, n in sorted(counts[side].items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    tables["classes"] = pd.DataFrame(rows)
    largest, smallest = max(held_out.values()), min(held_out.values())
    ratio = measures["class_ratio"] = largest / smallest
    level: Level = "caution" if ratio >= UNEQUAL else "fine"
    told = (
        f"The largest of {len(held_out)} classes has {ratio:.1f} times as many held-out examples "
        f"as the smallest ({largest:,} and {smallest:,})"
    )
    more = ": who always names the largest is often right." if ratio >= UNEQUAL else "."
    yield Finding("data.classes", level, told + more, ("classes",), weight=ratio)


def _languages(texts: Mapping[str, list[str]]) -> Iterator[dict[str, Any]]:
    for side, some in texts.items():
        found = Counter(identify(text).code for text in some)
        for code, n in found.most_common():
            yield {"side": side, "language": code, "texts": n, "share": n / len(some)}


# -- copies ----------------------------------------------------------------------------------------


def _copies(
    texts: Mapping[str, list[str]], tables: dict[str, pd.DataFrame], measures: dict[str, float]
) -> Iterator[Finding]:
    import pandas as pd

    if HELD_OUT not in texts:
        return
    held_out = texts[HELD_OUT]
    within = repeats(held_out)
    rows = list(_kinds("held-out text in an earlier one", within))
    share = measures["repeated"] = float(within.copied.mean())
    n = int(within.copied.sum())
    yield Finding(
        "data.repeats",
        "caution" if share >= 0.05 else "fine",
        f"Of {len(held_out):,} held-out texts, {_of(n, share)} repeat an earlier one, word for "
        "word or nearly.",
        ("copies",),
        weight=share,
    )
    if LEARNT in texts:
        found = copies(held_out, texts[LEARNT])
        rows += _kinds("held-out text in a learnt one", found)
        yield _overlap(found, len(texts[LEARNT]), measures)
    else:
        yield Finding(
            "data.overlap",
            "unknown",
            "Whether the model has read what it is measured on cannot be told: no examples are "
            "known that it learnt from; give some with --learnt.",
        )
    tables["copies"] = pd.DataFrame(rows)


def _of(n: int, share: float) -> str:
    return f"{n:,} ({percent(share)})" if n else "none"


def _kinds(where: str, found: Copies) -> Iterator[dict[str, Any]]:
    kinds = {
        "letter for letter": found.exact,
        "near copy": found.near > 0,
        f"half of its runs of {RUN} words or more": found.runs >= 0.5,
        "any of these": found.copied,
    }
    for kind, mask in kinds.items():
        share = proportion("share", int(mask.sum()), len(mask))
        yield {
            "where": where,
            "kind": kind,
            "texts": int(mask.sum()),
            "share": share.value,
            "ci_low": share.ci_low,
            "ci_high": share.ci_high,
            "n": len(mask),
        }


def _overlap(found: Copies, n_learnt: int, measures: dict[str, float]) -> Finding:
    n, share = int(found.copied.sum()), float(found.copied.mean())
    measures["overlap"] = share
    measures["overlap_exact"] = float(found.exact.mean())
    level: Level = "fine" if n == 0 else "risk" if share >= COPIED else "caution"
    among = f"among the {n_learnt:,} learnt texts that are known"
    sentence = (
        f"None of {len(found.exact):,} held-out texts stands {among}."
        if n == 0
        else f"Of {len(found.exact):,} held-out texts, {n:,} ({percent(share)}) stand {among}, "
        f"{int(found.exact.sum()):,} of them letter for letter: on these, memory is measured."
    )
    return Finding("data.overlap", level, sentence, ("copies",), weight=share)


# -- personal data ---------------------------------------------------------------------------------


def _personal(
    audited: Audited,
    sides: Mapping[str, Examples],
    tables: dict[str, pd.DataFrame],
    measures: dict[str, float],
) -> Iterator[Finding]:
    """Counts by kind; the values stay in `probes.privacy.personal`."""
    import pandas as pd

    rows, told = [], []
    for side, given in sides.items():
        found = Found.of([all_text(record) for record in drawn(audited, given.records, *TEXTS)])
        for kind in found.kinds:
            rows.append(
                {
                    "side": side,
                    "kind": kind,
                    "texts": found.with_any[kind],
                    "findings": found.times[kind],
                    "different_values": len(found.values.get(kind, ())),
                    "n": found.texts,
                }
            )
        measures[f"personal_{side.replace(' ', '_')}"] = found.with_any[ALL] / found.texts
        told.append(f"{found.with_any[ALL]:,} of {found.texts:,} {side} texts")
    tables["personal"] = pd.DataFrame(rows)
    any_ = max(measures[f"personal_{side.replace(' ', '_')}"] for side in sides)
    yield Finding(
        "data.personal",
        "caution" if any_ > 0 else "fine",
        f"What has the shape of personal data, such as addresses of e-mail and numbers of "
        f"telephones or accounts, was found in {' and in '.join(told)}.",
        ("personal",),
        weight=any_,
    )


def _open(audited: Audited) -> Iterable[str]:
    yield (
        "Names and postal addresses of people are not looked for: their shape does not tell them "
        "from other words."
    )
    if audited.learnt is not None:
        yield (
            f"Copies are looked for among {len(audited.learnt.records):,} learnt examples; if the "
            "model learnt from more, there may be more copies."
        )
