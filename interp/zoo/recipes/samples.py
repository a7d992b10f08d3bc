"""Examples that go with a model of the zoo, so that it can be measured without the data sets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from interp.atomic import writing
from interp.data.records import Example, Pair
from interp.zoo import Side

SEED = 0


def save_sample(records: Sequence[Example | Pair | str], folder: Path, side: Side, n: int) -> None:
    """Writes `n` examples, drawn from one side of a split, as the lines that their task reads.

    Args:
        side: names the file; see `interp.zoo.sample`.
        n: how many; all, if there are no more.
    """
    drawn = np.random.default_rng(SEED).permutation(len(records))[:n]
    with writing(folder / f"{side}.jsonl") as file:
        for i in sorted(drawn.tolist()):
            file.write(json.dumps(_row(records[i]), ensure_ascii=False) + "\n")


def _row(record: Example | Pair | str) -> dict[str, Any]:
    if isinstance(record, Example):
        return {"text": record.text, "label": record.label}
    if isinstance(record, Pair):
        return {"source": record.source, "target": list(record.references)}
    return {"text": record}
