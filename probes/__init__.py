"""Global analyses, one file each: a function, the tidy frame it returns, and a script.

An analysis is called by the name of its module, which is imported on first use:
`probes.atlas(run, task="pos")`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

# Name of the module -> what it says, in a line; `interp probe` lists them.
ANALYSES: dict[str, str] = {
    "ablation": "what a model loses without each head, attention layer and feed-forward layer",
    "atlas": "what each layer of each checkpoint knows: probes with their controls",
    "calibration": "whether a model is right as often as it says",
    "checkpoints": "whether the checkpoints of a run are what they say, and how far weights moved",
    "dictionary": "how few latents of a sparse autoencoder or transcoder keep how much of a layer",
    "dimension": "how many dimensions each layer fills: TwoNN and participation ratio",
    "dynamics": "loss, local learning coefficient, gradient noise over a training, and their jumps",
    "edges": "what each layer knows of two words together: edge probes with their controls",
    "erasure": "what a concept is worth to a model: probe accuracy and loss after erasing it",
    "fourier": "whether a model that adds modulo p keeps numbers as angles of a few frequencies",
    "heads": "where each attention head looks, what it copies, and which heads it reads",
    "importance": "which tokens, words, positions or heads matter over a whole data set",
    "lens": "what a model would predict if it stopped after each layer: logit and tuned lens",
    "mdl": "how many bits the labels cost somebody who has a layer: the online code",
    "minimal_pairs": "which of two sentences a model finds more probable: BLiMP",
    "neurons": "how often each neuron is active, how strongly, and where most",
    "privacy": "what a model remembers of its training data, and who could show it",
    "recall": "which facts a model recalls, and whether it says the same however it is asked",
    "shortcuts": "which single words decide what a model says, whatever else the text says",
    "similarity": "how alike the layers of models are: debiased CKA, SVCCA and RSA",
    "slices": "on which slices of its examples a model is worse than elsewhere, beyond chance",
    "stereotypes": "whether a model finds stereotypes more probable: CrowS-Pairs, with its flaws",
    "structural": "whether a layer holds syntax trees as distances between words",
    "surprisal": "how surprising each token or word of a text is",
    "syntaxgym": "whether a model is surprised where grammar says: SyntaxGym",
}


class _Analysis(ModuleType):
    """A module that is called as its function of the same name."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **options)


class _Package(ModuleType):
    """Makes modules of analyses callable at the moment they are imported, whoever does so."""

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and callable(getattr(value, name, None)):
            value.__class__ = _Analysis
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in ANALYSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
