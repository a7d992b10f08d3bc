"""Splitting the stream into what each component wrote."""

from __future__ import annotations


class Decomposition:
    """The part of a cache that splits the stream."""
