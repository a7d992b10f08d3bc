"""Generation."""

from __future__ import annotations

from interp.model.core import Transformer


class Generation(Transformer):
    """The part of a model that writes."""
