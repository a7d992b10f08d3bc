"""Attacks on membership: scores that should be higher for units that a model was trained on.

| attack | score of a unit |
|---|---|
| `loss` | mean log p (Yeom et al. 2018, arXiv 1709.01604) |
| `zlib` | log p by the bytes of the compressed text (Carlini et al. 2021, arXiv 2012.07805) |
| `min_k` | mean of the lowest fifth of log p (Shi et al. 2024, arXiv 2310.16789) |
| `min_k++` | the same of (log p - mean) / std of the model's own prediction (Zhang et al. 2024, \
arXiv 2404.02936) |
| `reference` | mean log p above that of a model that has not seen the unit (Carlini et al. 2021) |

All of them are read off one `Reading` (two with a reference).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from interp.errors import InputError
from probes.privacy.likelihood import Floats, Reading, Unit, text_of

SHARE = 0.2
"""Of a unit's tokens that count in `min_k` and `min_k++`: K = 20%."""

_NEVER_ZERO = 1e-6  # a prediction without any spread says nothing about its label


def attack_scores(
    reading: Reading, units: Sequence[Unit], *, reference: Reading | None = None
) -> dict[str, Floats]:
    """The score of each unit by each attack, [unit].

    Args:
        reading: of the model that is attacked.
        units: what was read.
        reference: of the same units by a model that has not been trained on them.

    Raises:
        InputError: the readings are not of these units.
    """
    for one in (reading, reference):
        if one is not None and len(one) != len(units):
            raise InputError(f"The reading is of {len(one)} units; there are {len(units)}.")
    packed = np.array([len(zlib.compress(text_of(unit).encode())) for unit in units])
    z = (reading.log_prob - reading.mean) / np.maximum(reading.std, _NEVER_ZERO)
    found = {
        "loss": reading.total / reading.lengths,
        "zlib": reading.total / packed,
        "min_k": lowest(reading, reading.log_prob),
        "min_k++": lowest(reading, z),
    }
    if reference is not None:
        found["reference"] = found["loss"] - reference.total / reference.lengths
    return found


def lowest(reading: Reading, values: Floats, share: float = SHARE) -> Floats:
    """Mean of the lowest values of each unit, [unit]: a share of them, and never less than one.

    Args:
        values: [token].
    """
    ordered = values[np.lexsort((values, reading.unit))]
    place = np.arange(len(values)) - reading.starts[reading.unit]
    kept = np.maximum(1, np.floor(share * reading.lengths).astype(np.int64))
    low = np.where(place < kept[reading.unit], ordered, 0.0)
    mean: Floats = np.add.reduceat(low, reading.starts) / kept
    return mean
