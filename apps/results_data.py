"""What a model says of a table of examples, kept under its recipe; see `apps.reading`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from apps.reading import Opened

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@st.cache_resource(max_entries=16, show_spinner=False)
def probabilities(_opened: Opened, weights: str, texts: tuple[str, ...]) -> NDArray[np.float64]:
    """A classifier's probabilities, [text, class], read in batches of like lengths.

    Raises:
        InterpError: the model cannot read a text.
    """
    from interp.data.records import Example
    from interp.train.tasks.classification import Classification

    model = _opened.model
    labels = tuple(model.cfg.class_names)
    return Classification(labels).answer(model, [Example(text, labels[0]) for text in texts])
