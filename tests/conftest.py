"""What every test shares: one thread, patient property tests, and the optional data folder."""

from __future__ import annotations

import os
from pathlib import Path

# Set before anything imports torch: test workers share the cores, and one thread each is fastest.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# The first example of a law may compile a kernel or load a model, so time per example says
# nothing. Fixed examples in CI: a change there should fail for what it changed.
settings.register_profile("interp", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("interp")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the repository; tests that need it skip without it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the data sets in ../shared/data, which are not part of the repository")
    return folder
