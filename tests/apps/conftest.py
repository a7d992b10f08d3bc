"""What the tests of the pages share."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def same_main() -> Iterator[None]:
    """Streamlit makes the page that it runs the main module. Left so, whatever starts processes
    afterwards would run the page in each of them."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main
