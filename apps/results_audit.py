"""An audit made from a page, kept in a folder of this process, so that parts are asked once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING

import streamlit as st

from apps.reading import Opened

if TYPE_CHECKING:
    from apps.audit.audited import Audited
    from apps.audit.report import Report


@dataclass(frozen=True)
class Desk:
    """Where the audit of a model is made, by one reader at a time.

    Attributes:
        audited: the model with its examples.
        folder: goes when the model is no longer kept.
    """

    audited: Audited
    folder: TemporaryDirectory[str]
    lock: Lock = field(default_factory=Lock)


@dataclass(frozen=True)
class Made:
    """An audit as files.

    Attributes:
        report: its answers.
        page: the HTML file.
        twin: the JSON file.
        card: the model card.
    """

    report: Report
    page: bytes
    twin: bytes
    card: bytes


@st.cache_resource(max_entries=3, show_spinner=False)
def desk(_opened: Opened, identity: str, what: str) -> Desk:
    """A place for the audit of a model.

    Raises:
        InterpError: the model or the examples beside it cannot be read.
    """
    from apps.audit.opening import open_audited

    audited = open_audited(what, command=f"interp audit {what} --depth quick")
    return Desk(replace(audited, model=_opened.model), TemporaryDirectory(prefix="audit-"))


def audit(opened: Opened, what: str, parts: tuple[str, ...], tell: Callable[[str], None]) -> Made:
    """Asks the parts that were not asked before, and puts all into files.

    Args:
        tell: gets a line on each part that begins and ends.

    Raises:
        InterpError: the model or the examples beside it cannot be read.
    """
    from apps.audit.running import run_audit

    place = desk(opened, opened.identity, what)
    folder = Path(place.folder.name) / "audit"
    with place.lock:
        report = run_audit(place.audited, folder, parts=parts, tell=tell)
        page, twin, card = (
            (folder / name).read_bytes() for name in ("audit.html", "audit.json", "MODEL_CARD.md")
        )
    return Made(report, page, twin, card)
