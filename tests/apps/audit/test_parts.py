"""Every part that the page promises is there."""

from __future__ import annotations

from importlib import import_module

import pytest

from apps.audit.parts import PARTS


@pytest.mark.parametrize("name", PARTS)
def test_each_part_has_a_module_that_answers(name: str) -> None:
    assert callable(import_module(f"apps.audit.parts.{name}").part)
