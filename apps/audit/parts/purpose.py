"""What the model is for, as far as anybody says so."""

from __future__ import annotations

from collections.abc import Iterable

from apps.audit.audited import Audited
from apps.audit.section import Finding, Section
from apps.audit.stated import TOPICS, Stated, Statement

_HEADS = {
    "classification": "names one of {n} classes for a text",
    "token_classification": "names one of {n} classes for each word",
    "span": "marks the piece of a text that answers a question",
    "mlm": "fills in words that are left out",
}
_SHAPES = {"decoder": "continues a text", "encoder_decoder": "writes a text from another"}


def part(audited: Audited) -> Section:
    """Quotes the card and the user; what nobody says is said to be not stated."""
    import pandas as pd

    stated = Stated.read(audited.folder)
    said: dict[str, list[Statement]] = {
        topic: [
            *([Statement(audited.purpose[topic], "user")] if topic in audited.purpose else []),
            *stated.about(topic),
        ]
        for topic in TOPICS
    }
    rows = [
        {"topic": topic, "question": TOPICS[topic], "stated": text, "by": source}
        for topic, found in said.items()
        for text, source in ([(one.text, one.source) for one in found] or [("not stated", "")])
    ]
    known = [topic for topic, found in said.items() if found]
    return Section(
        "purpose",
        "What the model is for",
        text=(
            "Whether a model is good enough depends on what it is used for. The table quotes what "
            "its card and the user of this audit say; the audit adds nothing to it and does not "
            "judge whether it is true.",
        ),
        findings=tuple(_findings(known)),
        facts={
            "what it does, by its outputs": _does(audited),
            "card": "README.md" if stated.lead or stated.sections else "none",
            "said by the user": ", ".join(audited.purpose) or "nothing",
        },
        tables={"statements": pd.DataFrame(rows)},
        measures={"stated": len(known) / len(TOPICS)},
        open=("Whether the model is fit for its purpose is for people to judge.",),
    )


def _does(audited: Audited) -> str:
    cfg = audited.model.cfg
    does = _HEADS.get(cfg.head) or _SHAPES.get(cfg.shape, "gives an output for a text")
    return does.format(n=cfg.n_classes)


def _findings(known: list[str]) -> Iterable[Finding]:
    evidence = ("statements",)
    if not known:
        yield Finding(
            "purpose.stated",
            "unknown",
            "Nothing that comes with the model says what it is for; no use of it was ever meant.",
            evidence,
        )
        return
    yield Finding(
        "purpose.stated",
        "fine",
        f"It is written down {_listed([TOPICS[topic] for topic in known])}.",
        evidence,
    )
    missing = [topic for topic in TOPICS if topic not in known]
    if missing:
        yield Finding(
            "purpose.missing",
            "caution",
            f"Not stated: {_listed([TOPICS[topic] for topic in missing])}.",
            evidence,
            weight=float(len(missing)),
        )


def _listed(names: list[str]) -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
