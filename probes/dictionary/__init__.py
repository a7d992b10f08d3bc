"""Sparse autoencoders and transcoders: activations as sums of a few directions out of many.

`train` makes a dictionary of any batches of activations, `ModelRows` reads them from a model,
`evaluate` says what is lost, `card` what one latent stands for, `save` and `load` exchange
dictionaries with SAELens and sparsify. As a script: `python -m probes.dictionary`.
"""

from __future__ import annotations

from probes.dictionary.card import Card, card, strongest
from probes.dictionary.coder import Coder
from probes.dictionary.exchange import load, save, save_sparsify
from probes.dictionary.metrics import Fit, evaluate, fit_of_rows
from probes.dictionary.script import SCRIPT
from probes.dictionary.settings import Settings
from probes.dictionary.stream import ModelRows
from probes.dictionary.training import train

__all__ = [
    "SCRIPT",
    "Card",
    "Coder",
    "Fit",
    "ModelRows",
    "Settings",
    "card",
    "evaluate",
    "fit_of_rows",
    "load",
    "save",
    "save_sparsify",
    "strongest",
    "train",
]
