"""Activations of many texts: read in batches, summed up as moments, kept on disk."""

from interp.activations.harvest import Estimate, estimate, harvest
from interp.activations.moments import CrossMoments, CrossMomentsFitter, Moments, MomentsFitter
from interp.activations.places import Places
from interp.activations.plan import Plan
from interp.activations.reading import Reader, Rows, gather, read
from interp.activations.store import Store
from interp.activations.summary import Summary, summarise
from interp.activations.texts import Side, Texts, encode

__all__ = [
    "CrossMoments",
    "CrossMomentsFitter",
    "Estimate",
    "Moments",
    "MomentsFitter",
    "Places",
    "Plan",
    "Reader",
    "Rows",
    "Side",
    "Store",
    "Summary",
    "Texts",
    "encode",
    "estimate",
    "gather",
    "harvest",
    "read",
    "summarise",
]
