"""The model that is audited, and some moments of its training where they are kept."""

from __future__ import annotations

import numpy as np

from apps.audit.audited import Audited
from probes.subjects import Subject, subjects


def moments(audited: Audited) -> list[Subject]:
    """Checkpoints from the first on, in steps as even as there are, and at the end the model
    itself; the model alone if it has no run."""
    run = audited.run
    if run is None or len(run) < 2:
        return [Subject(audited.name, None, lambda: audited.model)]
    most = min(len(run), audited.at_most(4, 8) or len(run))
    steps = [run.steps[i] for i in np.linspace(0, len(run) - 1, most).round().astype(int)]
    before = [Subject(audited.name, one.step, one.open) for one in subjects(run, steps=steps[:-1])]
    return [*before, Subject(audited.name, steps[-1], lambda: audited.model)]
