"""As many of the examples as the depth of an audit allows, drawn by its seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from apps.audit.audited import Audited, Examples
from interp.data.order import stream_seed
from interp.errors import InputError
from probes.texts import text_of

TEXTS = (10_000, 50_000)
"""Texts that are compared with each other, at depth quick and standard."""


def drawn(audited: Audited, records: Sequence[Any], quick: int, standard: int) -> list[Any]:
    """Some of the records, in their order."""
    most = audited.at_most(quick, standard)
    if most is None or len(records) <= most:
        return list(records)
    random = np.random.default_rng(stream_seed("audit", audited.seed))
    return [records[i] for i in sorted(random.permutation(len(records))[:most].tolist())]


def texts_of(audited: Audited, given: Examples | None) -> list[str]:
    """The texts of a side; none where there is no such side, or its records are no texts."""
    if given is None:
        return []
    try:
        return [text_of(record) for record in drawn(audited, given.records, *TEXTS)]
    except InputError:
        return []
