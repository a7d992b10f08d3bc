"""Ask the parts of an audit in their order, keep what they answer, and write the reports."""

from __future__ import annotations

import dataclasses
import datetime
import json
import time
import warnings
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

from apps.audit.audited import Audited
from apps.audit.card import card_markdown
from apps.audit.folder import AuditFolder
from apps.audit.page import page_of
from apps.audit.parts import PARTS
from apps.audit.recipe import Recipe
from apps.audit.report import Report
from apps.audit.section import Finding, Section
from interp import InputError, InterpError
from interp.atomic import writing

# These look at the answers of the others and take no time, so they are asked each time.
CLOSING = ("limits", "changes", "reproduce")


def run_audit(
    audited: Audited,
    out: Path,
    *,
    parts: Iterable[str] | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Report:
    """Asks the parts, those that have answered before excepted, and writes what they say.

    Args:
        out: folder of the audit; if it was begun there, it goes on.
        parts: names of those to ask; by default all. The order is theirs in `PARTS`.
        tell: gets a line on each part that begins and ends.

    Raises:
        ConfigError: the folder holds something else.
        InputError: an unknown part.
    """
    wanted = chosen(parts)
    recipe = Recipe.of(audited)
    folder = AuditFolder.open(out, recipe)
    done: dict[str, Section] = {}
    for number, name in enumerate(wanted, start=1):
        label = f"[{number}/{len(wanted)}] {name}"
        section = None if name in CLOSING else folder.stored(name)
        if section is not None:
            tell(f"{label}: done before")
        else:
            tell(f"{label}: {PARTS[name]} ...")
            section = ask(name, dataclasses.replace(audited, sections=dict(done)))
            folder.save(section)
            tell(f"{label}: {section.seconds:.1f} s")
        done[name] = section
    report = Report(
        name=audited.name,
        command=audited.command,
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        recipe=recipe,
        sections=tuple(done.values()),
        checksums={name: folder.checksums(section) for name, section in done.items()},
    )
    write(report, out)
    return report


def write(report: Report, folder: Path) -> None:
    """The page, its JSON twin, and the model card."""
    twin = json.dumps(report.to_dict(), indent=1, allow_nan=False)
    for name, text in (
        ("MODEL_CARD.md", card_markdown(report)),
        ("audit.html", page_of(report)),
        ("audit.json", twin + "\n"),
    ):
        with writing(folder / name) as file:
            file.write(text)


def chosen(parts: Iterable[str] | None) -> list[str]:
    """The named parts in the order of the page.

    Raises:
        InputError: there is none of a name.
    """
    names = list(PARTS if parts is None else parts)
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise InputError(f"There is no part {unknown[0]!r}; there are {', '.join(PARTS)}.")
    return [name for name in PARTS if name in names]


def ask(name: str, audited: Audited) -> Section:
    """The answer of a part, timed; what it refuses becomes the finding that it is unknown."""
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            # What a sampling that stopped early warns of, the tables say with an interval.
            warnings.simplefilter("ignore", UserWarning)
            section: Section = import_module(f"apps.audit.parts.{name}").part(audited)
    except InterpError as error:
        message = " ".join(str(error).split())
        section = Section(
            name,
            name.capitalize(),
            text=(f"This part asks {PARTS[name]}. It could not be answered.",),
            findings=(Finding(f"{name}.refused", "unknown", f"Could not be measured: {message}"),),
            open=(f"Nothing is known of {PARTS[name]}: {message}",),
        )
    return dataclasses.replace(section, seconds=round(time.perf_counter() - began, 3))
