"""The checkpoint audit: are the checkpoints of a run what they say, and how did the weights move?

    python -m probes.checkpoints --run stories-suite --chart checkpoints.html

Everything that is said over a training rests on this, and published suites have failed it: 86 of
154 step branches of one served the final weights. See `interp.train.audit`, which does the work.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from interp.errors import InputError
from interp.figures.checkpoints import trajectory_chart
from interp.train.audit import trajectory
from probes.frames import tidy
from probes.script import Script
from probes.subjects import Subject


def checkpoints(these: Sequence[Subject]) -> pd.DataFrame:
    """What is wrong with the checkpoints of runs, and how far the weights moved between them.

    Args:
        these: from `probes.subjects.subjects`, with a step each.

    Returns:
        Two rows for each checkpoint: `norm` of all its weights, and `rel_l2_prev`, the norm of the
        difference from the checkpoint before over that one's norm (missing for the first, and where
        weights cannot be compared). Columns `duplicate_of`, the earlier step with the same weights,
        and `finding`, what is wrong in words ("" where nothing is).

    Raises:
        InputError: a model that is no part of a run.
    """
    alone = next((subject for subject in these if subject.step is None), None)
    if alone is not None:
        raise InputError(f"{alone.run} is a single model; the audit compares checkpoints of a run.")
    rows = []
    for run in dict.fromkeys(subject.run for subject in these):
        openers = {s.step: s.open for s in these if s.run == run and s.step is not None}
        for seen in trajectory(dict(sorted(openers.items()))):
            about = {
                "run": run,
                "step": seen.step,
                "model_hash": seen.model_hash and seen.model_hash[:16],
                "duplicate_of": seen.same_as,
                "finding": "; ".join(f"{word}: {detail}" for word, detail in seen.findings),
            }
            rows += [
                {**about, "metric": "norm", "value": seen.norm},
                {**about, "metric": "rel_l2_prev", "value": seen.relative},
            ]
    frame = pd.DataFrame(rows)
    frame["duplicate_of"] = frame["duplicate_of"].astype("Int64")
    return tidy(frame)


SCRIPT = Script(
    name="checkpoints",
    summary="Whether the checkpoints of a run are what they say, and how far weights moved.",
    examples=(
        "  python -m probes.checkpoints --run stories-suite --chart checkpoints.html\n"
        "  python -m probes.checkpoints --run RUN_FOLDER --out audit.parquet"
    ),
    whole=lambda these, options: checkpoints(these),
    chart=trajectory_chart,
)


if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
