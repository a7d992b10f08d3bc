"""What the tests of the audit share: a small model, and parts that answer at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import pytest

from apps.audit.audited import Audited
from apps.audit.opening import open_audited
from apps.audit.section import Section

Part = Callable[[Audited], Section]


@pytest.fixture(scope="session")
def induction() -> Audited:
    """A model without a tokenizer or a task."""
    return open_audited("induction")


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Part], None]:
    """Puts a function in the place of a part."""

    def put(name: str, part: Part) -> None:
        module = ModuleType(f"apps.audit.parts.{name}")
        module.part = part  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, f"apps.audit.parts.{name}", module)

    return put


@pytest.fixture
def draw_no_more(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Leaves out the pictures of parts from then on: they take much of the time."""

    def leave_out(*parts: str) -> None:
        for name in parts:
            module = import_module(f"apps.audit.parts.{name}")
            monkeypatch.setattr(module, "figure_html", lambda draw: "")

    return leave_out
