"""The page of a data card: what went into a corpus, what each step did, what came out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from interp.figures.labels import count, literal, number, percent
from interp.figures.page import facts_html, page_html, paragraph_html


def data_card_html(card: Mapping[str, Any], title: str = "Data card") -> str:
    """A complete page of a card as plain values (`DataCard.to_dict`)."""
    documents, characters = card["documents_in"], card["characters_in"]
    return page_html(
        title,
        f"<style>{_CSS}</style>",
        paragraph_html(_summary(card)),
        facts_html(
            {
                "documents in": documents,
                "documents out": card["documents_out"],
                "characters in": characters,
                "characters out": card["characters_out"],
                "personal data replaced": sum(card["personal_data"].values()),
                "licence": card["licence"] or "not stated",
            }
        ),
        _section("What each step did", _steps(card["steps"], documents)),
        _section("Why documents were removed", _reasons(card["steps"])),
        _section("Personal data", _personal(card["personal_data"])),
        _section("Examples", _examples(card["steps"])),
        _section("Files left out", _left_out(card["unreadable"])),
        _files("Files read", card["sources"], ("name", "bytes", "sha256")),
        _files(
            "Files written", card["shards"], ("name", "documents", "characters", "bytes", "sha256")
        ),
        _settings(card),
    )


def _summary(card: Mapping[str, Any]) -> str:
    kept, total = card["documents_out"], card["documents_in"]
    share = percent(kept / total) if total else "none"
    files, shards = count(len(card["sources"]), "file"), count(len(card["shards"]), "file")
    return f"{number(kept)} of {number(total)} documents kept ({share}): {files} in, {shards} out."


def _section(heading: str, body: str) -> str:
    return f"<section><h2>{escape(heading)}</h2>{body}</section>" if body else ""


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "counts") -> str:
    """A table of cells that are HTML."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="wide"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _text(value: object) -> str:
    return escape(literal(number(value) if isinstance(value, int | float) else str(value)))


def _steps(steps: Sequence[Mapping[str, Any]], documents: int) -> str:
    rows = []
    for step in steps:
        stay = step["documents_in"] - step["documents_removed"]
        name = f"<b>{_text(step['name'])}</b><br><small>{_text(step['about'])}</small>"
        change = step["characters_out"] - step["characters_in"]
        rows.append(
            (
                name,
                _text(step["documents_changed"]),
                _text(step["documents_removed"]),
                _text(stay) + _bar(stay / documents if documents else 0.0),
                escape(number(change, signed=True)),
            )
        )
    names = ("step", "changed", "removed", "documents left", "characters")
    return _table(names, rows)


def _bar(share: float) -> str:
    """The share that is left, as a bar; the number beside it says the same."""
    return f'<div class="bar" aria-hidden="true"><div style="width:{100 * share:.1f}%"></div></div>'


def _reasons(steps: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (_text(step["name"]), _text(reason), _text(n))
        for step in steps
        for reason, n in sorted(step["reasons"].items(), key=lambda item: (-item[1], item[0]))
    ]
    return _table(("step", "reason", "documents"), rows, "texts") if rows else ""


def _personal(found: Mapping[str, int]) -> str:
    if not found:
        return paragraph_html("None was found, or it was not looked for.")
    rows = [(f"<code>&lt;{_text(kind)}&gt;</code>", _text(n)) for kind, n in sorted(found.items())]
    note = "Names and postal addresses are not looked for."
    return _table(("placeholder", "replaced"), rows) + paragraph_html(note)


def _examples(steps: Sequence[Mapping[str, Any]]) -> str:
    """Texts before and after; they come without personal data from `interp.data.tally`."""
    parts = []
    for step in steps:
        if step["examples"]:
            rows = [
                (f"<code>{_text(example['before'])}</code>", _outcome(example))
                for example in step["examples"]
            ]
            summary = f"<summary>{_text(step['name'])}</summary>"
            table = _table(("before", "after"), rows, "texts")
            parts.append(f"<details>{summary}{table}</details>")
    note = (
        "The first of each step. Personal data is shown as its type and long numbers as #; names "
        "are not hidden."
    )
    return paragraph_html(note) + "".join(parts) if parts else ""


def _outcome(example: Mapping[str, str]) -> str:
    if "removed" in example:
        return f"removed: {_text(example['removed'])}"
    return f"<code>{_text(example['after'])}</code>"


def _left_out(unreadable: Mapping[str, str]) -> str:
    rows = [(_text(name), _text(why)) for name, why in unreadable.items()]
    return _table(("file", "why"), rows, "texts") if rows else ""


def _files(heading: str, files: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    rows = [[_text(file[name]) for name in names] for file in files]
    summary = f"<summary>{escape(heading)} ({len(files)})</summary>"
    return f"<details>{summary}{_table(names, rows)}</details>"


def _settings(card: Mapping[str, Any]) -> str:
    plan = card["plan"]
    near = plan["pipeline"]["near"]
    rows = [
        (_text(step["name"]), _text(", ".join(f"{k} = {v}" for k, v in step["settings"].items())))
        for step in plan["pipeline"]["steps"]
    ]
    rows += [
        ("exact", _text("removed" if plan["pipeline"]["exact"] else "kept")),
        ("near", _text(f"removed from {near} on" if near else "kept")),
        ("reading", _text(", ".join(f"{k} = {v}" for k, v in plan["reading"].items()))),
        ("format", _text(plan["suffix"])),
        ("version", _text(plan["version"])),
        ("hash of plan and files", f"<code>{_text(card['plan_sha256'])}</code>"),
    ]
    table = _table(("setting", "value"), rows, "texts")
    return f"<details><summary>Settings</summary>{table}</details>"


_CSS = (
    "h2{font-size:1.05rem;margin:0 0 .25rem;font-weight:650}"
    ".wide{overflow-x:auto}.wide table{width:100%}"
    ".counts th:first-child,.counts td:first-child,.texts th,.texts td{text-align:left}"
    ".counts th:nth-child(2){text-align:right}"
    "code{overflow-wrap:anywhere;white-space:pre-wrap}small{color:var(--muted)}"
    ".bar{height:4px;background:var(--line);margin-top:.3rem}"
    ".bar div{height:4px;background:var(--ink)}"
)
