"""Activations of many texts: read in batches, summed up as moments, kept on disk."""

from interp.activations.moments import CrossMoments, CrossMomentsFitter, Moments, MomentsFitter
from interp.activations.places import Places
from interp.activations.reading import Rows, gather, read
from interp.activations.texts import Side, Texts, encode

__all__ = [
    "CrossMoments",
    "CrossMomentsFitter",
    "Moments",
    "MomentsFitter",
    "Places",
    "Rows",
    "Side",
    "Texts",
    "encode",
    "gather",
    "read",
]
