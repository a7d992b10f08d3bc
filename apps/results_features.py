"""The sparse features of a layer, where a dictionary lies beside the model; see `apps.reading`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from apps.reading import Opened, Passage
from apps.results_neurons import CONTEXTS, SHOWN, WRITTEN, texts_of
from interp import InputError
from interp.zoo import ZOO, zoo_folder

if TYPE_CHECKING:
    import pandas as pd

    from probes.contexts import Extremes
    from probes.dictionary import Card, Coder

FOLDER = "features"
"""Beside the weights of a model: a folder for each dictionary, as `probes.dictionary` saves it."""


def dictionaries(what: str) -> list[Path]:
    """The folders of the dictionaries that lie beside a model."""
    beside = (zoo_folder(what) if what in ZOO else Path(what)) / FOLDER
    return sorted(path.parent for path in beside.glob("*/cfg.json"))


@st.cache_resource(max_entries=4, show_spinner=False)
def open_dictionary(_opened: Opened, identity: str, folder: str) -> Coder:
    """A dictionary of this model.

    Raises:
        InterpError: it is damaged, or it was made of other weights.
    """
    import torch

    from probes.dictionary import load

    coder = load(folder).to(torch.float32)
    made_of = str(coder.about.get("model_hash", ""))
    if made_of and not _opened.weights.startswith(made_of):
        raise InputError(
            f"The dictionary {Path(folder).name} was made of the weights {made_of}, and this model "
            f"has {_opened.weights[:16]}. What it says would be about another model."
        )
    if coder.site not in _opened.model.hook_points:
        raise InputError(f"The dictionary reads {coder.site}, which this model does not have.")
    return coder


@st.cache_resource(max_entries=64, show_spinner=False)
def active(_opened: Opened, identity: str, folder: str, passage: Passage, at: int) -> pd.DataFrame:
    """The features that are active at a position, the strongest first: `neuron`, `value`."""
    import pandas as pd
    import torch

    coder = open_dictionary(_opened, identity, folder)
    with torch.no_grad():
        _, cache = _opened.model.run_with_cache(**passage.inputs, names_filter=[coder.site])
        code = coder.encode(cache[coder.site][0, at].float())
    best = code.topk(min(SHOWN, len(code)))
    kept = best.values > 0
    return pd.DataFrame(
        {"neuron": best.indices[kept].tolist(), "value": best.values[kept].tolist()}
    )


@st.cache_resource(max_entries=4, show_spinner=False)
def where_strongest(_opened: Opened, identity: str, folder: str) -> Extremes:
    """Where in the built-in texts each feature is strongest."""
    from probes.dictionary import strongest

    coder = open_dictionary(_opened, identity, folder)
    examples, _ = texts_of(_opened, identity)
    return strongest(_opened.model, coder, examples, k=CONTEXTS)


@st.cache_resource(max_entries=64, show_spinner=False)
def feature_card(_opened: Opened, identity: str, folder: str, latent: int) -> Card:
    """Where a feature is strongest in the built-in texts, and what it writes."""
    from probes.dictionary import card

    coder = open_dictionary(_opened, identity, folder)
    examples, _ = texts_of(_opened, identity)
    where = where_strongest(_opened, identity, folder)
    return card(_opened.model, coder, examples, where, latent, most=WRITTEN)
