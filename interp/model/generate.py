"""Generation."""

from __future__ import annotations


class Generation:
    """The part of a model that writes."""
